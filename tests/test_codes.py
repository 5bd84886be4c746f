"""Codes of all columns at once: bounds, agreement and order of rows, compiled and plain, against the definition."""

import numpy as np
import pytest

from mpiedge.kernels import codes as kernel
from mpiedge.kernels.codes import BLOCKS, agreement, block_edges, bounds, row_order


@pytest.fixture(params=["compiled", "plain"], autouse=True)
def version(request, monkeypatch):
    """Both versions of each kernel."""
    if request.param == "plain":
        monkeypatch.setattr(kernel, "_library", None)
    elif kernel._library is None:
        pytest.skip("the kernels are not compiled")


@pytest.mark.parametrize("rows", [1, 2, 1000])
@pytest.mark.parametrize("cells", [kernel.CALL_CELLS, 2000])
def test_bounds_of_columns_of_any_type(rows, cells, monkeypatch):
    """The smallest and the largest number of each column, ends of the types included, in one call or in several; also
    of every second row and of numbers with their bytes the other way round."""
    monkeypatch.setattr(kernel, "CALL_CELLS", cells)
    random, columns = np.random.default_rng(rows), []
    for kind in ("u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8"):
        ends = np.iinfo(kind)
        columns.append(random.integers(ends.min, ends.max, rows, kind, endpoint=True))
        columns[-1][random.integers(0, rows, 2)] = ends.min, ends.max
    swapped = [column.astype(column.dtype.newbyteorder()) for column in columns]
    for chosen in (columns, columns[:3] + columns[4:], [column[::2] for column in columns], swapped):
        numbers = [column.tolist() for column in chosen]
        assert bounds(chosen) == (list(map(min, numbers)), list(map(max, numbers)))
    assert bounds([]) == ([], []) and bounds([columns[0][:0]] * 2) == ([0, 0], [0, 0])


@pytest.mark.parametrize("values", [1, 3, BLOCKS, 1000])
@pytest.mark.parametrize("cells", [kernel.CALL_CELLS, 1])
def test_agreement_is_counted_by_block_of_codes(values, cells, monkeypatch):
    """Pairs of rows that agree and rows with company are those of the codes of a block; blocks hold every code once."""
    monkeypatch.setattr(kernel, "CALL_CELLS", cells)
    random, edges = np.random.default_rng(values), block_edges(values)
    columns = [random.integers(0, values, 700).astype(kind) for kind in ("u1" if values < 256 else "u2", "u4", "u2")]
    found = agreement(columns, [values] * 3)
    assert edges[0] == 0 and edges[-1] == values
    for codes, largest, by_block in zip(columns, *found):
        sizes = np.bincount(codes, minlength=values)
        assert largest == sizes.max()
        for (pairs, rows), first, last in zip(by_block, edges, edges[1:]):
            inside = [int(size) for size in sizes[first:last]]
            assert pairs == sum(size * (size - 1) // 2 for size in inside)
            assert rows == sum(size for size in inside if size > 1)


@pytest.mark.parametrize("rows", [1, 2, 700])
def test_rows_are_ordered_by_the_last_column_first(rows):
    """As numpy does it, equal rows as they stand; with one column and with many, of each width."""
    random, cardinality = np.random.default_rng(rows), [2, 300, 70_000, 1, 3]
    kinds = ("u1", "u2", "u4", "u1", "u2")
    columns = [random.integers(0, values, rows).astype(kind) for values, kind in zip(cardinality, kinds)]
    for count in range(1, 6):
        order = row_order(columns[:count], cardinality[:count])
        assert order.dtype == np.int32 and order.tolist() == np.lexsort(columns[:count]).tolist()
