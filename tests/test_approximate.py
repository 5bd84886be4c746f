"""Approximate dependencies against their definition, and removals against plain counting."""

import itertools

import numpy as np
import pytest
from dependencies import groups, random_table, read_codes
from hypothesis import given, settings
from hypothesis import strategies as st

from mpiedge.kernels import bits, partition, removals
from mpiedge.profiling import evidence
from mpiedge.profiling.approximate import discover_approximate, most_removals
from mpiedge.profiling.fds import discover_fds


def removals_by_definition(table, lhs, rhs, rows) -> int:
    """Rows that must go, group by group."""
    return sum(len(group) - np.bincount(table[rhs][group]).max() for group in groups(table, lhs, rows))


def approximate_by_definition(table, rows, error, largest=99) -> set:
    """All minimal (lhs, rhs, removals); a constant column stands in no left-hand side."""
    constant = [c for c, values in enumerate(table) if len(set(values.tolist())) <= 1]
    found = {((), column, 0) for column in constant}
    active = [column for column in range(len(table)) if column not in constant]
    for rhs in active:
        minimal = []
        others = [column for column in active if column != rhs]
        for size in range(min(len(others), largest) + 1):
            for lhs in itertools.combinations(others, size):
                if any(set(smaller) <= set(lhs) for smaller in minimal):
                    continue
                removed = removals_by_definition(table, lhs, rhs, rows)
                if removed / rows <= error:
                    minimal.append(lhs)
                    found.add((lhs, rhs, int(removed)))
    return found


def run_handing_on(tasks, work) -> list:
    """What a rank does whose tasks are asked for a part of themselves at each step; the results in order."""
    results, waiting = [], list(tasks)
    while waiting:
        task = waiting.pop()
        steps, asked = work(task), None
        while True:
            try:
                children = steps.send(asked)
            except StopIteration as end:
                results.append((task, end.value))
                break
            waiting, asked = waiting + (children or []), True
    return sorted(results, key=lambda result: result[0])


@given(seed=st.integers(0, 2**32), rows=st.integers(0, 30), columns=st.integers(1, 5),
       error=st.sampled_from([0.0, 0.01, 0.1, 0.25, 0.3, 0.6, 0.99]), largest=st.sampled_from([99, 99, 0, 1, 2]),
       native=st.booleans(), handing_on=st.booleans())
@settings(max_examples=150, deadline=None)
def test_approximate_dependencies_match_their_definition(seed, rows, columns, error, largest, native, handing_on):
    """The minimal left-hand sides and their removals on random tables, with kernels compiled and plain, also of tasks
    that leave parts of themselves to others."""
    table = random_table(seed, rows, columns)
    with pytest.MonkeyPatch.context() as patch:
        if not native:
            patch.setattr(removals, "_library", None)
        if handing_on:
            patch.setattr(evidence, "alone", run_handing_on)
        found = discover_approximate(table, error, max_lhs=None if largest == 99 else largest)
    lines = list(zip(bits.members(found.lhs, columns), found.rhs.tolist(), found.removed.tolist()))
    assert len(set(lines)) == len(lines)
    assert set(lines) == approximate_by_definition(table, rows, error, largest)
    assert (found.g3 <= error).all()


def test_no_error_gives_the_exact_dependencies(shared_data):
    """Two algorithms, one answer, on a table of a thousand dependencies; and with more columns than fit a word."""
    codes = read_codes(shared_data / "fd/lineitem_536.csv", "|", True)
    wide = [*codes, *[np.zeros_like(codes[0])] * 60, codes[3]]
    for table in (codes, wide):
        exact, found = discover_fds(table), discover_approximate(table, 0.0)
        assert np.array_equal(exact.lhs, found.lhs) and np.array_equal(exact.rhs, found.rhs) and not found.removed.any()


@given(seed=st.integers(0, 2**32), rows=st.integers(1, 200), limit=st.integers(0, 40))
@settings(max_examples=60, deadline=None)
def test_removals_of_a_partition(seed, rows, limit):
    """Compiled and plain counts agree up to the limit, for codes of every width."""
    values = np.random.default_rng(seed).integers(0, 9, (2, rows))
    node = partition.single(partition.narrow(values[0], 9), 9)
    plain = removals.removals_plain(node, values[1])
    for cardinality in (9, 300, 70000):
        codes = [partition.narrow(one, cardinality) for one in values]
        counted = removals.Removals(codes, [cardinality] * 2, [0], 1).count(node, 1, limit)
        assert counted == plain if plain <= limit else counted > limit


@pytest.mark.parametrize(("error", "rows", "most"), [
    (0.29, 100, 29), (0.07, 100, 7), (0.0, 5, 0), (0.999, 10, 9), (0.05, 0, 0), (0.1, 3, 0), (1 / 3, 3, 1)])
def test_the_bound_is_the_share_as_printed(error, rows, most):
    """The most rows whose share as a float is at most the bound, whatever the rounding of the product."""
    assert most_removals(error, rows) == most


@given(seed=st.integers(0, 2**32), rows=st.integers(0, 60), columns=st.integers(1, 7), calls=st.integers(0, 60))
@settings(max_examples=60, deadline=None)
def test_a_search_ended_early_is_true_and_goes_on(seed, rows, columns, calls):
    """Wherever it ends, what it gives is part of the full result, and a later search goes on to all of it."""
    table, left = random_table(seed, rows, columns), iter(range(calls))
    full = discover_approximate(table, 0.1)
    early = discover_approximate(table, 0.1, deadline=lambda: next(left, None) is None)
    later = discover_approximate(table, 0.1, state=early.state, deadline=lambda: False)
    everything, some = ({(*lhs, rhs, removed) for lhs, rhs, removed in zip(
        one.lhs.tolist(), one.rhs.tolist(), one.removed.tolist())} for one in (full, early))
    assert some <= everything and (early.partial or some == everything) and not later.partial
    assert np.array_equal(later.lhs, full.lhs) and np.array_equal(later.removed, full.removed)
