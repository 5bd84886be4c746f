"""Inclusion dependencies against plain sets."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mpiedge.profiling.encode import Values, encode_arrays, merge_blocks
from mpiedge.profiling.inds import discover_inds
from mpiedge.profiling.texts import Texts

columns = st.lists(st.lists(st.sampled_from(["", "a", "b", "c", "3", "x" * 20]), max_size=6), min_size=1, max_size=6)


def encoded(world, cells: list) -> list[Values]:
    """Each column as a table of its own."""
    found = []
    for values in cells:
        array = values if isinstance(values, np.ndarray) else np.array(values, object)
        found += merge_blocks(world, [encode_arrays(0, [array])], 1)[1]
    return [column.values for column in found]


@given(columns)
@settings(deadline=None)
def test_inclusions_equal_those_of_sets(world, cells):
    """Every pair of columns, missing cells ignored, columns without values in no pair."""
    sets = [set(values) - {""} for values in cells]
    expected = [(a, b) for a in range(len(sets)) for b in range(len(sets)) if a != b and sets[a] and sets[a] <= sets[b]]
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
