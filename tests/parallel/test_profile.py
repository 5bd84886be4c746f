"""Encoding, statistics and inclusions over several ranks equal those of one."""

import numpy as np
import pandas
from hypothesis import given
from hypothesis import strategies as st

from mpiedge.profiling.encode import encode_arrays, merge_blocks
from mpiedge.profiling.inds import discover_inds
from mpiedge.profiling.statistics import describe_columns
from mpiedge.profiling.validate import texts_of

cell = st.sampled_from(["", "a", "b", "7", "7.5", "2014-01-01", "é", "long text with words"])
blocks = st.lists(st.lists(st.tuples(cell, cell), max_size=6), max_size=7)


def columns_of(block) -> list[np.ndarray]:
    """Rows as object arrays, one per column."""
    return [np.array([row[column] for row in block] + [None], object)[:-1] for column in range(2)]


class Alone:
    """A world of one rank, for the oracle."""

    rank, size = 0, 1

    def allgather(self, message):
        return [message]

    gather = allgather

    def alltoall(self, messages):
        return messages


def profile(world, blocks, owner):
    """Everything the profile stage makes of a table whose block i is read by rank owner(i)."""
    mine = [encode_arrays(order, columns_of(block)) for order, block in enumerate(blocks) if owner(order) == world.rank]
    rows, columns = merge_blocks(world, mine, 2)
    values = [column.values for column in columns]
    return rows, columns, describe_columns(world, values, [rows] * 2, [None] * 2), discover_inds(world, values)


@given(blocks, st.integers(0, 5))
def test_any_share_of_the_blocks_gives_the_same(world, blocks, turn):
    """Codes are those of pandas.factorize; statistics and inclusions those of one rank, whoever read which block."""
    rows, columns, described, pairs = profile(world, blocks, lambda order: (order * order + turn) % world.size)
    together = [row for block in blocks for row in block]
    assert rows == len(together)
    for index, column in enumerate(columns):
        codes, distinct = pandas.factorize(np.array([row[index] for row in together] + [""], object)[:-1])
        assert column.codes.tolist() == codes.tolist() and column.distinct == len(distinct)
        known = texts_of(world, column.values, np.unique(column.codes))
        assert [known[code] for code in column.codes.tolist()] == [row[index] for row in together]
    _, _, alone, alone_pairs = profile(Alone(), blocks, lambda order: 0)
    assert pairs == alone_pairs
    assert described == (alone if world.rank == 0 else [])


def test_missing_cells_told_apart_alike(world):
    """With null_unequal every rank has the same codes."""
    cells = np.array(["", "a", ""], object)
    mine = [encode_arrays(order, [cells]) for order in range(5) if order % world.size == world.rank]
    _, (column,) = merge_blocks(world, mine, 1, null_unequal=True)
    assert column.distinct == 11 and column.codes.tolist() == [0, 1, 2, 3, 1, 4, 5, 1, 6, 7, 1, 8, 9, 1, 10]
