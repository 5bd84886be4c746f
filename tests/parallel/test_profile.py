"""Encoding, statistics and inclusions over several ranks equal those of one."""

from tempfile import gettempdir

import numpy as np
import pandas
from encoding import encode_arrays
from hypothesis import given
from hypothesis import strategies as st

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

    rank, size, node, nodes, node_rank, node_size = 0, 1, 0, 1, 0, 1

    def node_barrier(self):
        pass

    def allgather(self, message):
        return [message]

    gather = allgather

    def alltoall(self, messages):
        return messages

    def max(self, array):
        return array


def profile(world, blocks, owner, **options):
    """Everything the profile stage makes of a table whose block i is read by rank owner(i)."""
    mine = {order: columns_of(block) for order, block in enumerate(blocks) if owner(order) == world.rank}
    rows, columns = encode_arrays(world, mine, 2, **options)
    values = [column.values for column in columns]
    return rows, columns, describe_columns(world, values, [rows] * 2, [None] * 2), discover_inds(world, values)


class Apart:
    """The ranks as if each were on a host of its own."""

    def __init__(self, world):
        self._world = world
        self.node, self.nodes, self.node_rank, self.node_size = world.rank, world.size, 0, 1

    def __getattr__(self, name):
        return getattr(self._world, name)

    def node_barrier(self):
        pass


@given(blocks, st.integers(0, 5), st.booleans(),
       st.sampled_from([{}, {"pass_bytes": 40}, {"allowance_bytes": 1}, {"different": {0, 1}},
                        {"pass_bytes": 1, "spill_ids": True, "different": {1}, "values_folder": gettempdir()}]))
def test_any_share_of_the_blocks_gives_the_same(world, blocks, turn, apart, options):
    """Codes are those of pandas.factorize; statistics and inclusions those of one rank, whoever read which block, on
    one host or several, in one pass or many, with strings, ids and values in memory or in scratch, and whether or not
    ranks compare what they read."""
    rows, columns, described, pairs = profile(Apart(world) if apart else world, blocks,
                                              lambda order: (order * order + turn) % world.size, **options)
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


def test_missing_cells_told_apart_alike(world, shared_tmp_path):
    """With null_unequal every rank has the same codes, also in a mapped file."""
    cells = np.array(["", "a", ""], object)
    mine = {order: [cells] for order in range(5) if order % world.size == world.rank}
    _, (column,) = encode_arrays(world, mine, 1, null_unequal=True, folder=shared_tmp_path)
    assert column.distinct == 11 and column.codes.tolist() == [0, 1, 2, 3, 1, 4, 5, 1, 6, 7, 1, 8, 9, 1, 10]
