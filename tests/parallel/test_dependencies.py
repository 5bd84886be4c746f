"""Discovery of dependencies shared over ranks: the same bytes as one rank alone, whoever does what."""

import numpy as np
import pytest
from dependencies import SETTINGS, random_table, read_codes, tune
from hypothesis import given, settings
from hypothesis import strategies as st

from mpiedge.profiling import approximate, evidence, hitting, interest, needs, whole
from mpiedge.profiling.approximate import discover_approximate
from mpiedge.profiling.fds import discover_fds
from mpiedge.profiling.uccs import discover_uccs


def share_all(patch, for_good=False):
    """Share every round on the queue, in small tasks; or, so that nobody takes any of another, for good."""
    for place in (evidence, approximate):
        patch.setattr(place, "LEAST_NS", -1.0)
    for name in ("SHARE_NS", "EVEN_NS"):
        patch.setattr(evidence, name, 1e30 if for_good else -1.0)
    patch.setattr(whole, "TASK_ROWS", 16)
    patch.setattr(evidence, "SHARE_CELLS", 0)
    patch.setattr(evidence, "SHARE_SETS", 0)
    patch.setattr(hitting, "FIRST_STEPS", 4)
    patch.setattr(hitting, "FIRST_SLICES", 3)
    patch.setattr(hitting, "STEPS", 4)
    patch.setattr(whole, "TASK_PAIRS", 50)
    patch.setattr(whole, "TASK_SCANS", 0)


def same_everywhere(world, array):
    """Whether all ranks hold the same bytes."""
    everywhere = world.allgather({"array": array})
    return all(np.array_equal(np.asarray(one["array"]), array) for one in everywhere)


@given(seed=st.integers(0, 2**32), rows=st.integers(2, 400), columns=st.integers(2, 10),
       setting=st.sampled_from(list(SETTINGS)), for_good=st.booleans())
@settings(max_examples=20, deadline=None, derandomize=True)
def test_shared_rounds_give_what_one_rank_gives(world, queue, seed, rows, columns, setting, for_good):
    """Dependencies and keys of random tables, with everything shared, equal those of one rank alone."""
    table = random_table(seed, rows, columns)
    alone = discover_fds(table)
    with pytest.MonkeyPatch.context() as patch:
        tune(patch, setting)
        share_all(patch, for_good)
        patch.setattr(whole, "ROUND_S", 1e-4)  # rounds are cut short
        patch.setattr(whole, "ENUMERATIONS", 0.0)
        shared = discover_fds(table, world=world, queue=queue)
        keys = discover_uccs(shared, world=world, queue=queue)
        patch.setattr(needs, "LEAST_ROWS", rows // 5 + 1)
        parts = discover_fds(table, world=world, queue=queue, budget_bytes=0)
    for found in (shared, parts):
        assert np.array_equal(found.lhs, alone.lhs)
        assert np.array_equal(found.rhs, alone.rhs)
        assert same_everywhere(world, found.lhs)
    assert np.array_equal(keys, discover_uccs(alone))


@given(seed=st.integers(0, 2**32), rows=st.integers(2, 100), columns=st.integers(2, 8),
       for_good=st.booleans())
@settings(max_examples=15, deadline=None, derandomize=True)
def test_shared_searches_with_an_error_give_what_one_rank_gives(world, queue, seed, rows, columns, for_good):
    """Approximate dependencies, their removals and their ranking, shared in small tasks, equal those of one rank."""
    table = random_table(seed, rows, columns)
    alone = discover_approximate(table, 0.1)
    best = interest.rank(alone.lhs, alone.rhs, alone.g3, table, [0] * columns, 0, True)
    with pytest.MonkeyPatch.context() as patch:
        share_all(patch, for_good)
        patch.setattr(interest, "TASK_SETS", 2)
        patch.setattr(interest, "PART_ROWS", max(1, rows // 5))
        shared = discover_approximate(table, 0.1, world=world, queue=queue)
        ranked = interest.rank(shared.lhs, shared.rhs, shared.g3, table, [0] * columns, 0, True, world, queue)
    assert np.array_equal(shared.lhs, alone.lhs) and np.array_equal(shared.removed, alone.removed)
    assert np.array_equal(ranked.index, best.index) and np.array_equal(ranked.score, best.score)


@pytest.mark.parametrize("name", ["hepatitis.csv", "nyc13_weather.csv.gz"])
def test_real_tables(world, queue, shared_data, name):
    """Real tables, one short and one long, with everything shared, have the expected dependencies and keys."""
    codes = read_codes(shared_data / "fd" / name, ",", True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evidence, "SHARE_NS", -1.0)
        patch.setattr(hitting, "FIRST_STEPS", 4)
        patch.setattr(hitting, "FIRST_SLICES", 3)
        found = discover_fds(codes, world=world, queue=queue)
    expected = {"hepatitis.csv": (8250, 348), "nyc13_weather.csv.gz": (383, 41)}[name]
    assert (len(found), len(discover_uccs(found, world=world, queue=queue))) == expected


@given(seed=st.integers(0, 2**32), rows=st.integers(2, 400), columns=st.integers(2, 10),
       setting=st.sampled_from(list(SETTINGS)), calls=st.integers(0, 30), who=st.integers(0, 3),
       for_good=st.booleans())
@settings(max_examples=10, deadline=None, derandomize=True)
def test_one_rank_ends_the_search_of_all(world, queue, seed, rows, columns, setting, calls, who, for_good):
    """When one rank is to stop, all end with the same true dependencies, and can go on to all of them."""
    table = random_table(seed, rows, columns)
    alone = discover_fds(table)
    left = iter(range(calls))
    with pytest.MonkeyPatch.context() as patch:
        tune(patch, setting)
        share_all(patch, for_good)
        mine = world.rank == who % world.size
        early = discover_fds(table, world=world, queue=queue, deadline=lambda: mine and next(left, None) is None)
        later = discover_fds(table, world=world, queue=queue, state=early.state)
        left = iter(range(calls))
        patch.setattr(needs, "LEAST_ROWS", rows // 5 + 1)
        parts = discover_fds(table, world=world, queue=queue, budget_bytes=0,
                             deadline=lambda: mine and next(left, None) is None)
    assert set(parts) <= set(alone)
    assert same_everywhere(world, parts.lhs)
    assert set(early) <= set(alone)
    assert early.partial or len(early) == len(alone)
    assert all(same_everywhere(world, array) for array in (early.lhs, early.rhs, early.state.sets, early.state.closed))
    assert np.array_equal(later.lhs, alone.lhs)
    assert np.array_equal(later.rhs, alone.rhs)


def test_what_others_tell_counts_in_shared_rounds_only(world, queue):
    """Letters are taken over in a round that is shared; in others every rank must find the same, so they are not."""
    if world.size == 1:
        return
    table = whole.WholeTable([np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1])], world, queue)
    for shared in (False, True):
        before = table.evidence.count
        table.news.begin(shared)
        table.news._heard.append(np.array([[1]], np.uint64))
        table.news.share()
        assert table.evidence.count == before + shared
