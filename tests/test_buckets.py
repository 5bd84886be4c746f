"""Tables larger than memory: a search in parts of any size finds what a search in memory finds."""

import numpy as np
import pytest
from dependencies import random_table
from hypothesis import given, settings
from hypothesis import strategies as st

from mpiedge.kernels import partition
from mpiedge.profiling import buckets, evidence, fds, needs, parts
from mpiedge.profiling.anytime import Stop
from mpiedge.profiling.fds import discover_fds
from mpiedge.profiling.uccs import discover_uccs


def cut(patch, least_rows, beta, seed):
    """Make parts of a few rows, streamed in small slices, and all steps that large tables take."""
    rng = np.random.default_rng(seed)
    patch.setattr(needs, "LEAST_ROWS", least_rows)
    patch.setattr(parts, "SLICE_ROWS", int(rng.choice([7, 50, 1000])))
    patch.setattr(parts, "BINS", int(rng.choice([4, 64, 1 << 10])))
    patch.setattr(buckets, "BETA", beta)
    patch.setattr(buckets, "TASK_PAIRS", int(rng.choice([1, 5, 1 << 22])))
    patch.setattr(fds, "ALL_PAIRS", int(rng.choice([-1, -1, 1000])))
    most = int(rng.choice([1, 1 << 18]))
    patch.setattr(parts, "COMPACT", most)
    patch.setattr(evidence, "COMPACT", most)


@given(seed=st.integers(0, 2**32), rows=st.integers(0, 90), columns=st.integers(1, 7),
       least_rows=st.sampled_from([1, 5, 20, 40]), beta=st.sampled_from([-1e9, 0.05, 0.3, 1.0, 10.0]))
@settings(max_examples=40, deadline=None)
def test_a_search_in_parts_finds_the_same(seed, rows, columns, least_rows, beta):
    """Whatever the size of the parts, down to one row, dependencies and keys are those found in memory."""
    table = random_table(seed, rows, columns)
    expected, keys = discover_fds(table), discover_uccs(table)
    with pytest.MonkeyPatch.context() as patch:
        cut(patch, least_rows, beta, seed)
        found = discover_fds(table, budget_bytes=0)
        assert np.array_equal(discover_uccs(table, budget_bytes=0), keys)
    assert np.array_equal(found.lhs, expected.lhs)
    assert np.array_equal(found.rhs, expected.rhs)
    assert np.array_equal(discover_uccs(found), keys)


@given(seed=st.integers(0, 2**32), calls=st.integers(0, 60), least_rows=st.sampled_from([2, 20, 100]))
@settings(max_examples=40, deadline=None)
def test_a_search_in_parts_can_end_early(seed, calls, least_rows):
    """Ended anywhere, it gives true dependencies and keys only; resumed in memory, it finds all."""
    table = random_table(seed, 120, 6)
    expected, keys = discover_fds(table), discover_uccs(table)
    left = iter(range(calls))
    with pytest.MonkeyPatch.context() as patch:
        cut(patch, least_rows, 0.3, seed)
        early = discover_fds(table, budget_bytes=0, deadline=lambda: next(left, None) is None)
        early_keys = discover_uccs(table, budget_bytes=0, deadline=lambda: next(left, None) is None)
    assert set(early) <= set(expected)
    assert set(map(tuple, early_keys.tolist())) <= set(map(tuple, keys.tolist()))
    assert np.array_equal(discover_fds(table, state=early.state).lhs, expected.lhs)


@given(seed=st.integers(0, 2**32), limit=st.integers(2, 10**6), most=st.integers(1, 60), several=st.booleans())
@settings(max_examples=25, deadline=None)
def test_rows_that_agree_are_in_one_part(seed, limit, most, several):
    """Each row is in one part or one heavy bin, with all rows that agree on the columns; parts keep their size."""
    rng = np.random.default_rng(seed)
    codes = [np.minimum(rng.geometric(0.05, 200), limit) * (limit // 40 + 1), rng.integers(0, 9, 200)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "BINS", 256)
        patch.setattr(needs, "LEAST_ROWS", most)
        table = buckets.BucketedTable(codes, 0.0, stop=Stop())
        cut_rows = parts.Grouping(table, (0, 1) if several else (0,), most)
    bins = cut_rows.of(0, 200)
    key = codes[0] * 10 + codes[1] if several else codes[0]
    assert all(len(set(bins[key == one].tolist())) == 1 for one in set(key.tolist()))
    place = np.full(200, -1)
    for number, (low, high) in enumerate(cut_rows.edges):
        inside = (bins >= low) & (bins < high) & ~np.isin(bins, cut_rows.heavy)
        assert inside.sum() == cut_rows.sizes[number] <= most
        place[inside] = number
    assert (np.isin(bins, cut_rows.heavy) == (place < 0)).all()


@given(seed=st.integers(0, 2**32), limit=st.integers(1, 10**6))
@settings(max_examples=30)
def test_codes_numbered_anew_keep_their_order(seed, limit):
    """Renumbered codes are 0, 1, ... in the order of the old ones, compiled and plain."""
    codes = np.random.default_rng(seed).integers(0, limit, 100).astype(np.uint32)
    values, expected = np.unique(codes, return_inverse=True)
    for library in (partition._library, None):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(partition, "_library", library)
            found, distinct = partition.renumber(codes, limit)
        assert distinct == len(values)
        assert np.array_equal(found, expected)


def test_memory_of_a_search_in_parts():
    """Parts grow with the budget; the least that is needed is far below what a search in memory needs."""
    cards = [1 << 20, 200_000, 10_000, 50, 11, 9, 3, 2] * 2
    small, large = (needs.part_rows(6_000_000, cards, 16, budget << 20) for budget in (100, 200))
    assert 500_000 < small < large < 3_000_000
    assert needs.least_bytes(6_000_000, cards) < 40 << 20 < needs.estimate_bytes(6_000_000, cards) / 5
