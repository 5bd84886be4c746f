"""Checked dependencies, their order in the files, and which of them are shown, against plain Python."""

from collections import Counter, defaultdict
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpiedge.errors import UsageError
from mpiedge.kernels import bits
from mpiedge.kernels.lines import lines, lines_plain
from mpiedge.profiling import interest, metanome, output
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


def test_dependencies_are_read():
    """Names may hold commas and arrows inside quotes or before the last arrow; nonsense is a usage error."""
    assert parse_dependency("a, b -> c") == (["a", "b"], "c")
    assert parse_dependency('"a,b" -> c') == (["a,b"], "c") and parse_dependency("-> c") == ([], "c")
    assert parse_dependency('"i -> j", "e""f" -> "k -> l"') == (["i -> j", 'e"f'], "k -> l")
    for text in ("a b", '"a -> b"', "a ->", "a,,b -> c", "a -> b,c"):
        with pytest.raises(UsageError):
            parse_dependency(text)


def test_small_sets_come_first_in_the_order_of_the_table():
    """By size, then columns in table order, then right-hand side; over several words of columns."""
    sets = [columns for size in range(3) for columns in combinations([0, 1, 5, 63, 64, 70], size)]
    shuffled = np.random.default_rng(1).permutation(len(sets))
    masks = np.zeros((len(sets), 2), np.uint64)
    for row, index in enumerate(shuffled):
        for column in sets[index]:
            masks[row, column // 64] |= np.uint64(1 << (column % 64))
    order = sorted_sets(masks, np.arange(len(sets)))
    assert columns_of(masks[order]) == [list(columns) for columns in sets]
    assert sorted_sets(np.zeros((2, 1), np.uint64), np.array([1, 0])).tolist() == [1, 0]


@pytest.mark.parametrize("most", [None, 1 << 19])
def test_long_lists_are_sorted_piece_by_piece(monkeypatch, tmp_path, most):
    """In memory or in files, 2**16 sets of two words with ties come in the order of a sort of all of them."""
    monkeypatch.setattr(output, "SORTED", 1 << 12)
    rng = np.random.default_rng(0)
    lhs = rng.integers(0, 1 << 63, (1 << 16, 2)).astype(np.uint64)
    lhs[:, 0] &= np.uint64(0x8000000000000035)
    lhs[:, 1] &= np.uint64(3)
    rhs, g3 = rng.integers(0, 128, len(lhs)).astype(np.int32), rng.random(len(lhs))
    order, room = sorted_sets(lhs, rhs), output.Room(most, tmp_path)
    found = output.in_order(lhs, rhs, g3, room)
    for array, plain in zip(found, (lhs, rhs, g3)):
        assert np.array_equal(array, plain[order])
    assert room.held <= (most or 0)
    assert output.in_order(lhs, rhs, None, room)[2] is None


def test_lines_are_json_with_any_names():
    """Quotes and letters of any script in the names of columns."""
    text = fd_lines("t", ['a"b', "é", "c"], np.array([[3], [0]], np.uint64), np.array([2, 0]))
    assert text.decode() == ('{"table": "t", "lhs": ["a\\"b", "é"], "rhs": "c", "g3": 0.0}\n'
                             '{"table": "t", "lhs": [], "rhs": "a\\"b", "g3": 0.0}\n')


@given(st.integers(1, 130).flatmap(lambda width: st.tuples(
    st.lists(st.text(max_size=3), min_size=width, max_size=width),
    st.lists(st.tuples(st.sets(st.integers(0, width - 1), max_size=5), st.integers(0, width - 1), st.integers(0, 1)),
             max_size=5))), st.booleans())
@settings(deadline=None)
def test_lines_equal_the_plain_version(case, chosen):
    """Sets of any width, with and without a choice of middles and ends."""
    names, rows = [name.encode() for name in case[0]], case[1]
    sets = np.array([bits.mask_of(columns, len(names)) for columns, *_ in rows], np.uint64)
    sets = sets.reshape(-1, bits.words_for(len(names)))
    choice = [np.array([row[place] for row in rows], int) if chosen else None for place in (1, 2)]
    arguments = (sets, names, b"[", b", ", names, [b"]", b"}\n"], *choice)
    assert lines(*arguments) == lines_plain(*arguments)


def test_keys_and_constants_are_not_interesting():
    """First come dependencies that repeat themselves; last those of a key, of a constant, or nearly so."""
    rows = np.arange(100)
    codes = [rows, rows // 10, rows // 10 % 5, np.zeros(100, np.int64)]  # key, group, its value, constant
    lhs, rhs = np.array([[0], [1], [2]], np.uint64), np.array([3, 1, 2])  # {} -> 3, {0} -> 1, {1} -> 2
    for everything in (False, True):
        found = interest.rank(lhs, rhs, None, codes, [None] * 4, 5, everything)
        assert found.index[0] == 2 and found.redundant[0] == 90 and found.covered[0] == 100
        assert found.score[0] > 0 and not found.score[1:].any()


@given(codes, st.integers(0, 3))
@settings(deadline=None)
def test_ranking_counts_as_plain_sets_do(rows, many):
    """Redundant and covered rows of every left-hand side, the score from them, best first, ties in the given order."""
    columns = np.array(rows, np.uint8).reshape(-1, 3).T
    size = len(rows)
    sets = [(lhs, rhs) for rhs in range(3) for length in range(3) for lhs in combinations({0, 1, 2} - {rhs}, length)]
    masks = np.array([[sum(1 << column for column in lhs)] for lhs, _ in sets], np.uint64)
    errors = np.arange(len(sets)) % 2 / 4
    found = interest.rank(masks, np.array([rhs for _, rhs in sets]), errors, list(columns), [0, None, None], many, True)
    plain = []
    for number, (lhs, rhs) in enumerate(sets if size > 1 else []):
        groups = len({tuple(row[column] for column in lhs) for row in rows})
        covered = sum(0 not in lhs or row[0] != 0 for row in rows)
        variety = 1 - max(Counter(row[rhs] for row in rows).values()) / size
        score = (1 - groups / size) * (covered / size) * variety / max(len(lhs), 1) * (1 - errors[number]) * bool(lhs)
        plain.append((-score, number, size - groups, covered))
    plain = sorted(plain)[: many or None]
    assert found.index.tolist() == [number for _, number, _, _ in plain]
    assert found.score == pytest.approx([-score for score, *_ in plain])
    assert list(zip(found.redundant.tolist(), found.covered.tolist())) == [figures[2:] for figures in plain]


def test_the_form_of_metanome():
    """Tables and columns are numbered from 1, columns on over the tables; signs that would break a line are spaces."""
    numbering = metanome.Numbering([("one", ["a", "b\tc"]), ("two", ["x.y", "z"])])
    assert numbering.head() == ("# TABLES\none\t1\ntwo\t2\n# COLUMN\n1.a\t1\n1.b c\t2\n2.x.y\t3\n2.z\t4\n"
                                "# RESULTS\n")
    assert numbering.fd_lines(1, np.array([[1], [0]], np.uint64), np.array([1, 0])) == b"3->4\n->3\n"
    assert numbering.ucc_lines(0, np.array([[3]], np.uint64)) == b"1,2\n"
    assert numbering.ind_lines([([(0, 0), (0, 1)], [(1, 1), (1, 0)])]) == "1,2[=4,3\n"
