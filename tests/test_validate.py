"""Checked dependencies, their order in the files, and which of them are shown, against plain Python."""

from collections import Counter, defaultdict
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpiedge.errors import UsageError
from mpiedge.profiling.interest import count_groups, most_interesting
from mpiedge.profiling.output import columns_of, fd_lines, sorted_sets
from mpiedge.profiling.validate import parse_dependency, verify

codes = st.lists(st.tuples(*[st.integers(0, 2)] * 3), max_size=15)


@given(codes, st.integers(0, 2))
@settings(deadline=None)
def test_verdicts_equal_a_plain_group_by(rows, columns):
    """Violating rows and g3 with none, one or two columns on the left."""
    table = np.array(rows, np.uint8).reshape(-1, 3)
    groups = defaultdict(list)
    for number, row in enumerate(rows):
        groups[row[:columns]].append((number, row[2]))
    broken = [number for members in groups.values() if len({rhs for _, rhs in members}) > 1 for number, _ in members]
    kept = sum(max(Counter(rhs for _, rhs in members).values()) for members in groups.values())
    verdict = verify([table[:, column] for column in range(columns)], table[:, 2])
    assert verdict.violating.tolist() == sorted(broken)
    assert verdict.g3 == ((len(rows) - kept) / len(rows) if rows else 0)
    assert verdict.holds == (not broken)
    if rows and columns:
        assert count_groups([table[:, column] for column in range(columns)]) == len(groups)


def test_dependencies_are_read():
    """Names may hold commas and arrows inside quotes or before the last arrow; nonsense is a usage error."""
    assert parse_dependency("a, b -> c") == (["a", "b"], "c")
    assert parse_dependency('"a,b" -> c') == (["a,b"], "c") and parse_dependency("-> c") == ([], "c")
    for text in ("a b", "a ->", "a,,b -> c", "a -> b,c"):
        with pytest.raises(UsageError):
            parse_dependency(text)


def test_small_sets_come_first_in_the_order_of_the_table():
    """By size, then columns in table order, then right-hand side; over several words of columns."""
    sets = [columns for size in range(3) for columns in combinations([0, 1, 5, 63, 64, 70], size)]
    shuffled = np.random.default_rng(1).permutation(len(sets))
    bits = np.zeros((len(sets), 2), np.uint64)
    for row, index in enumerate(shuffled):
        for column in sets[index]:
            bits[row, column // 64] |= np.uint64(1 << (column % 64))
    order = sorted_sets(bits, np.arange(len(sets)))
    assert columns_of(bits[order]) == [list(columns) for columns in sets]
    assert sorted_sets(np.zeros((2, 1), np.uint64), np.array([1, 0])).tolist() == [1, 0]


def test_lines_are_json_with_any_names():
    """Quotes and letters of any script in the names of columns."""
    text = fd_lines("t", ['a"b', "é", "c"], np.array([[3], [0]], np.uint64), np.array([2, 0]))
    assert text == ('{"table": "t", "lhs": ["a\\"b", "é"], "rhs": "c", "g3": 0.0}\n'
                    '{"table": "t", "lhs": [], "rhs": "a\\"b", "g3": 0.0}\n')


def test_keys_and_constants_are_not_interesting():
    """Shown are dependencies that repeat themselves; not those of a key, of a constant, or nearly so."""
    rows = np.arange(100)
    table = [rows, rows // 10, rows // 10 % 5, np.zeros(100, np.int64)]  # key, group, its value, constant
    lhs = np.array([[0], [1], [2]], np.uint64)  # {} -> 3, {0} -> 1, {1} -> 2
    found = most_interesting(lhs, np.array([3, 1, 2]), [column.astype(np.uint8) for column in table], 5)
    assert found == [{"lhs": [1], "rhs": 2, "redundant": 90}]
