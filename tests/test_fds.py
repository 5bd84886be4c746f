"""Discovery of dependencies: exact, complete and minimal against the definition and published counts."""

import contextlib
import json
from itertools import pairwise

import numpy as np
import pytest
from dependencies import SETTINGS, dependencies_by_definition, random_table, read_codes, tune
from hypothesis import given, settings
from hypothesis import strategies as st

from mpiedge.kernels import codes as codes_kernel
from mpiedge.kernels import hitting as hitting_kernel
from mpiedge.kernels import partition
from mpiedge.kernels.evidence import PlainEvidence
from mpiedge.kernels.walk import Candidates, PlainWalk
from mpiedge.profiling import buckets, evidence, fds, needs, rounds, whole
from mpiedge.profiling.fds import discover_fds
from mpiedge.profiling.uccs import discover_uccs


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("plain", [False, True])
def test_dependencies_match_their_definition(setting, plain):
    """Every way through the algorithm finds exactly the minimal dependencies of random tables."""

    @given(seed=st.integers(0, 2**32), rows=st.integers(0, 40), columns=st.integers(1, 6))
    @settings(max_examples=40 if plain else 100, deadline=None)
    def check(seed, rows, columns):
        table = random_table(seed, rows, columns)
        with pytest.MonkeyPatch.context() as patch:
            tune(patch, setting)
            if plain:
                use_plain(patch)
            found = list(discover_fds(table))
        assert len(found) == len(set(found))
        assert set(found) == dependencies_by_definition(table, rows)

    check()


@pytest.mark.parametrize("exhaust", [False, True])
@pytest.mark.parametrize("values", [3, 40, 900])
def test_nodes_are_cut_into_all_their_clusters(monkeypatch, exhaust, values):
    """The tasks that a round begins with hold every cluster of a long node once, or every position of it."""
    skewed = np.minimum(np.random.default_rng(1).geometric(2 / values, 2000), values - 1)
    table = whole.WholeTable([skewed, np.arange(2000) // 2])
    everything = np.array([[1]], np.uint64)
    round_ = rounds.Round(table, Candidates(everything, everything << np.uint64(1), table.by_rank, 2))
    round_.ranks = 3
    monkeypatch.setattr(rounds, "PART_NS", 1e-3)
    monkeypatch.setattr(rounds, "BETA", 1e9 if exhaust else -1e9)
    tasks, node = round_.tasks(), table.partition((0,))
    found = []
    for kind, _, _, depth, first, last, *_ in tasks:
        if kind == rounds.WALK:
            assert depth == 1
            found.append(table.part((0,), first, last).rows)
    for kind, _, depth, first, last, start, stop, _ in tasks:
        if kind == rounds.PAIRS:
            assert depth == 1
            found.append(table.part((0,), first, last).rows[start:stop])
    assert len(found) > 1 and np.array_equal(np.concatenate(found), node.rows)
    assert {task[0] for task in tasks} == {rounds.PAIRS if exhaust else rounds.WALK}


def test_a_node_of_one_code_is_not_cut(monkeypatch):
    """Where one code holds all rows that agree there are no parts: its walk stays whole and can be expanded."""
    codes = np.concatenate([np.zeros(1500, np.int64), np.arange(1, 501)])
    table = whole.WholeTable([codes, np.arange(2000) // 2])
    everything = np.array([[1]], np.uint64)
    round_ = rounds.Round(table, Candidates(everything, everything << np.uint64(1), table.by_rank, 2))
    round_.ranks = 3
    monkeypatch.setattr(rounds, "PART_NS", 1e-3)
    monkeypatch.setattr(rounds, "BETA", -1e9)
    assert round_.tasks() == round_.walks()


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("ranks, slice_share", [(1, 1.0), (3, 1.0), (3, 0.4)])
def test_who_asks_gets_what_is_left_undone(monkeypatch, depth, ranks, slice_share):
    """All pairs of a node are compared once, also where another rank asks after every slice and gets half of what is
    left, and where the slices are shorter than those that tell the cost."""
    table = whole.WholeTable([np.arange(300) % values for values in (12, 7, 5)])
    table.task_pairs = 5
    everything = np.array([[7]], np.uint64)
    round_ = rounds.Round(table, Candidates(everything, everything, table.by_rank, 3))
    round_.ranks = ranks
    monkeypatch.setattr(rounds.Round, "slice_share", slice_share)
    node, compared = table.partition(round_.prefix(0, depth)), []

    def note(part, first, last):
        for start, stop in pairwise(part.starts.tolist()):
            compared.extend((part.rows[i], part.rows[j]) for j in range(max(first, start), min(last, stop))
                            for i in range(start, j))

    monkeypatch.setattr(table.evidence, "pairs", note)
    waiting = round_._pairs(0, depth, node.starts, round_._code_of(0, node))
    slices = round_._slices(node.starts, 0, len(node.rows), round_.slice_pairs)
    first_tasks = done = len(waiting)
    while waiting:
        steps = round_.work(waiting.pop())
        with contextlib.suppress(StopIteration):
            children = next(steps)
            while True:
                waiting += children or []
                done += len(children or [])
                children = steps.send(True)
    assert done > first_tasks == min(round_.shared_parts, len(slices) - 1)
    assert sorted(compared) == sorted((node.rows[i], node.rows[j]) for start, stop in pairwise(node.starts.tolist())
                                      for j in range(start, stop) for i in range(start, j))


def use_plain(patch):
    """Take the plain versions of all kernels."""
    patch.setattr(evidence, "Evidence", PlainEvidence)
    patch.setattr(rounds, "Walk", PlainWalk)
    patch.setattr(buckets, "Walk", PlainWalk)
    patch.setattr(hitting_kernel, "_library", None)
    patch.setattr(partition, "_library", None)
    patch.setattr(codes_kernel, "_library", None)


@given(seed=st.integers(0, 2**32), rows=st.integers(2, 300), columns=st.integers(7, 12),
       setting=st.sampled_from(list(SETTINGS)))
@settings(max_examples=60, deadline=None)
def test_all_ways_agree(seed, rows, columns, setting):
    """On tables too wide for the definition, every way gives the result of comparing all pairs, in the same order."""
    table = random_table(seed, rows, columns)
    expected = discover_fds(table)
    with pytest.MonkeyPatch.context() as patch:
        tune(patch, setting)
        found = discover_fds(table)
    assert np.array_equal(found.lhs, expected.lhs)
    assert np.array_equal(found.rhs, expected.rhs)


@given(seed=st.integers(0, 2**32), rows=st.integers(0, 40), columns=st.integers(1, 6), largest=st.integers(1, 3),
       setting=st.sampled_from(list(SETTINGS)))
@settings(max_examples=60, deadline=None)
def test_the_size_limit_leaves_out_larger_sets_only(seed, rows, columns, largest, setting):
    """With max_lhs the dependencies with at most so many columns on the left remain, and are exact."""
    table = random_table(seed, rows, columns)
    with pytest.MonkeyPatch.context() as patch:
        tune(patch, setting)
        found = set(discover_fds(table, max_lhs=largest))
    assert found == dependencies_by_definition(table, rows, largest)


@given(seed=st.integers(0, 2**32), rows=st.integers(0, 40), columns=st.integers(1, 6), largest=st.integers(1, 3),
       plain=st.booleans(), budget=st.sampled_from([None, 0]))
@settings(max_examples=40, deadline=None)
def test_few_difference_sets_are_enough(seed, rows, columns, largest, plain, budget):
    """Where a search with a size limit keeps few difference sets, as in wide tables, it finds the same and the keys."""
    table = random_table(seed, rows, columns)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(whole, "FEW_COLUMNS", 0)
        patch.setattr(buckets, "FEW_COLUMNS", 0)
        patch.setattr(needs, "LEAST_ROWS", 7)
        patch.setattr(fds, "ALL_PAIRS", -1)
        if plain:
            use_plain(patch)
        found = set(discover_fds(table, max_lhs=largest, budget_bytes=budget))
        keys = discover_uccs(table, max_size=largest, budget_bytes=budget)
    assert found == dependencies_by_definition(table, rows, largest)
    assert np.array_equal(keys, discover_uccs(table, max_size=largest))


@pytest.mark.parametrize("setting", ["as shipped", "rounds", "never exhaust", "always expand and defer"])
def test_more_than_64_columns(setting):
    """Tables with several words per column set: the dependencies of a narrow table, spread among constants."""
    narrow = random_table(3, 60, 6)
    place = [3, 60, 70, 129, 150, 199]
    wide = [np.zeros(60, int) for _ in range(200)]
    for column, values in zip(place, narrow):
        wide[column] = values
    with pytest.MonkeyPatch.context() as patch:
        tune(patch, setting)
        found = set(discover_fds(wide))
    expected = {(tuple(place[c] for c in lhs), place[rhs]) for lhs, rhs in dependencies_by_definition(narrow, 60)}
    expected |= {((), column) for column in range(200) if column not in place}
    assert found == expected


def test_200_different_columns():
    """200 columns with values: dependencies up to two columns, checked one by one against the rows."""
    rng = np.random.default_rng(0)
    wide = [rng.integers(0, 12, 70) for _ in range(200)]
    wide[150] = wide[3] * 20 + wide[180]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fds, "ALL_PAIRS", -1)
        by_rounds = discover_fds(wide, max_lhs=2)
    found = discover_fds(wide, max_lhs=2)
    assert np.array_equal(found.lhs, by_rounds.lhs)
    assert ((3, 180), 150) in set(found)
    assert ((150,), 3) in set(found)
    for lhs, rhs in list(found)[::500]:
        groups = {}
        for row in range(70):
            groups.setdefault(tuple(wide[c][row] for c in lhs), set()).add(int(wide[rhs][row]))
        assert all(len(group) == 1 for group in groups.values())


@pytest.mark.parametrize("rows", [0, 1])
def test_tables_without_two_rows(rows):
    """With up to one row every column is constant and the empty set is a key."""
    found = discover_fds([np.zeros(rows, np.int32)] * 3)
    assert list(found) == [((), 0), ((), 1), ((), 2)]
    assert discover_uccs(found).tolist() == [[0]]
    assert list(discover_fds([])) == []


def test_order_and_kinds_of_the_result():
    """Dependencies come sorted by right-hand side, then size and value, whatever the integer type of the codes."""
    table = random_table(11, 50, 6)
    expected = discover_fds(table)
    assert expected.lhs.dtype == np.uint64
    assert list(expected) == sorted(expected, key=lambda one: (one[1], len(one[0]), sum(1 << c for c in one[0])))
    for kind in (np.int32, np.uint16, np.uint8, np.uint64):
        assert list(discover_fds([values.astype(kind) for values in table])) == list(expected)


def test_published_counts(shared_data):
    """Every development table has the expected number of dependencies, empty left-hand sides and keys."""
    for name, expected in json.loads((shared_data / "fd/expected.json").read_text()).items():
        found = discover_fds(read_codes(shared_data / "fd" / name, expected["delimiter"], expected["header"]))
        empty = int((found.lhs == 0).all(axis=1).sum())
        got = {"fds": len(found), "uccs": len(discover_uccs(found)), "fds_empty_lhs": empty}
        assert got == {key: expected[key] for key in got}, name
