"""Inclusion dependencies against plain sets."""

from itertools import permutations

import numpy as np
import pytest
from encoding import encode_arrays
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mpiedge.profiling import inds, nary
from mpiedge.profiling.encode import Values
from mpiedge.profiling.inds import discover_inds, discover_partial
from mpiedge.profiling.nary import Side, discover_nary
from mpiedge.profiling.texts import Texts

columns = st.lists(st.lists(st.sampled_from(["", "a", "b", "c", "3", "x" * 20]), max_size=6), min_size=1, max_size=6)


def encoded(world, cells: list) -> list[Values]:
    """Each column as a table of its own."""
    found = []
    for values in cells:
        array = values if isinstance(values, np.ndarray) else np.array(values, object)
        found += encode_arrays(world, {0: [array]}, 1)[1]
    return [column.values for column in found]


@given(columns, st.sampled_from([1, 2, 100]))
@settings(deadline=None)
def test_inclusions_equal_those_of_sets(world, cells, together):
    """Every pair of columns, missing cells ignored, columns without values in no pair; in one part or in many."""
    sets = [set(values) - {""} for values in cells]
    expected = [(a, b) for a in range(len(sets)) for b in range(len(sets)) if a != b and sets[a] and sets[a] <= sets[b]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inds, "TOGETHER", together)
        assert discover_inds(world, encoded(world, cells)) == expected


def test_numbers_are_included_by_value(world):
    """The integer 3, the decimal 3.0 and the text "3" are one value."""
    values = encoded(world, [np.array([3, 4]), np.array([3.0, 4.0, np.nan]), ["3", "4", "5"]])
    assert discover_inds(world, values) == [(0, 1), (0, 2), (1, 0), (1, 2)]


def test_many_columns_need_several_words(world):
    """Column sets of more than 64 columns."""
    values = encoded(world, [[str(number)] for number in range(70)] + [[str(number) for number in range(70)]])
    assert discover_inds(world, values) == [(number, 70) for number in range(70)]


def test_no_columns_no_inclusions(world):
    """An empty list stays one."""
    assert discover_inds(world, []) == []
    assert discover_inds(world, [Values(Texts.of([]), np.zeros(0, np.uint8), np.zeros(0, np.int64))] * 2) == []


@given(columns, st.sampled_from([0.2, 0.5, 1.0]))
@settings(deadline=None)
def test_shares_equal_those_of_sets(world, cells, least):
    """The share of distinct values that another column has, for every pair at or above the bound."""
    sets = [set(values) - {""} for values in cells]
    expected = [(a, b, len(sets[a] & sets[b]) / len(sets[a])) for a in range(len(sets)) for b in range(len(sets))
                if a != b and sets[a] and len(sets[a] & sets[b]) / len(sets[a]) >= least]
    assert discover_partial(world, encoded(world, cells), least) == expected


def sides(world, tables: list) -> list[Side]:
    """The columns of tables given as lists of equally long columns."""
    found = []
    for number, table in enumerate(tables):
        arrays = [np.array(values, object) for values in table]
        found += [Side(number, column.codes, column.values)
                  for column in encode_arrays(world, {0: arrays}, len(arrays))[1]]
    return found


def lists_by_definition(tables: list, unary: list, largest: int) -> list:
    """All inclusions between lists of columns, parts included, rows with missing cells left out; some are there."""
    places = [(table, column) for table in range(len(tables)) for column in range(len(tables[table]))]
    known, found = {((a,), (b,)) for a, b in unary}, []
    for size in range(2, largest + 1):
        for left in permutations(range(len(places)), size):
            if list(left) != sorted(left) or len({places[a][0] for a in left}) > 1:
                continue
            for right in permutations(range(len(places)), size):
                if len({places[b][0] for b in right}) > 1 or set(left) & set(right):
                    continue
                parts = [(left[:k] + left[k + 1 :], right[:k] + right[k + 1 :]) for k in range(size)]
                tuples = [{row for row in zip(*[tables[places[c][0]][places[c][1]] for c in side]) if all(row)}
                          for side in (left, right)]
                if all(part in known for part in parts) and set() < tuples[0] <= tuples[1]:
                    known.add((left, right))
                    found.append(tuple(zip(left, right)))
    return sorted(found, key=lambda pairs: (len(pairs), pairs))


@given(st.lists(st.integers(1, 3).flatmap(lambda width: st.lists(
    st.tuples(*[st.sampled_from(["", "a", "b", "c"])] * width), min_size=1, max_size=5)), min_size=1, max_size=2),
    st.booleans(), st.booleans())
@example([[("a", ""), ("", "b")], [("a", "a"), ("b", "b")]], False, False)
@example([[("a", ""), ("", "b")], [("a", "a"), ("b", "b")]], False, True)
@settings(max_examples=80, deadline=None)
def test_lists_of_columns_equal_those_of_sets(world, rows, cut, hashed):
    """Inclusions between up to three columns of one and two tables, also bucket by bucket and slice by slice."""
    tables = [[list(values) for values in zip(*table)] for table in rows]
    columns = sides(world, tables)
    unary = discover_inds(world, [side.values for side in columns])
    with pytest.MonkeyPatch.context() as patch:
        if cut:
            patch.setattr(nary, "BUCKET_ROWS", 2)
            patch.setattr(nary, "SLICE_ROWS", 3)
        if hashed:
            patch.setattr(nary, "MOST_FLAGS", 0)
        found, complete = discover_nary(world, None, columns, unary, 3)
    assert found == lists_by_definition(tables, unary, 3) and complete == 3


def test_too_many_lists_end_with_the_level_before(world, monkeypatch):
    """What could not be looked at is said by the number of columns up to which the result is complete."""
    monkeypatch.setattr(nary, "MOST_CANDIDATES", 3)
    columns = sides(world, [[["a", "b"]] * 4, [["a", "b"]] * 4])
    unary = discover_inds(world, [side.values for side in columns])
    assert discover_nary(world, None, columns, unary, 4) == ([], 1)
