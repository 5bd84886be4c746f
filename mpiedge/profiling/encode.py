"""Dictionary encoding: columns become small integers, numbered by first occurrence, alike for any number of ranks.

Each rank reads blocks of rows with dictionaries of its own (local.py). Their strings then meet by hash: equal strings
of a column reach the same rank, which numbers them and keeps them for statistics and inclusion dependencies. The codes
lie once on every host, in memory its ranks share.
"""

from dataclasses import dataclass

import numpy as np

from mpiedge.kernels import dictionary
from mpiedge.profiling.exchange import MergedColumn, exchange
from mpiedge.profiling.local import BUCKETS, LocalTable
from mpiedge.profiling.sketches import ColumnSketch
from mpiedge.profiling.sketches import merged as merged_sketch
from mpiedge.profiling.texts import Texts
from mpiedge.runtime.shared import leave_to_kernel, shared_array

PASS_BYTES = 16 << 20
"""Strings a rank sends in one exchange, by default."""

TOGETHER_BYTES = 1 << 20
"""Columns with fewer strings are sent together, to save messages; the fewer, the less is held twice."""

ALIGNMENT = 64
NO_CODES = np.zeros(0, np.uint8)


@dataclass(frozen=True)
class Values:
    """This rank's share of the distinct values of one column: their codes and how often each occurs (int64)."""

    texts: Texts
    codes: np.ndarray
    counts: np.ndarray


@dataclass(frozen=True)
class EncodedColumn:
    """A whole column on every host: codes (smallest unsigned dtype), `distinct` of them, shared by the host's ranks.

    missing: the code of the missing cells before they were told apart, None when there are none. values: this rank's
    share of the distinct values, None when nobody asks for them. sketch: what is known of a column that was not kept,
    complete on rank 0; such a column has no codes.
    """

    codes: np.ndarray
    distinct: int
    missing: int | None
    values: Values | None
    sketch: ColumnSketch | None = None


@dataclass(frozen=True)
class EncodedTable:
    """A table as discovery wants it, on every rank; kinds: the declared kinds of the columns, None for unknown;
    in_files: the codes are mapped from files, and take memory only as long as there is some."""

    name: str
    names: list[str]
    kinds: list[str | None]
    rows: int
    columns: list[EncodedColumn]
    in_files: bool = False

    @property
    def codes(self) -> list[np.ndarray]:
        return [column.codes for column in self.columns]


def codes_bytes(world, tables: list[EncodedTable]) -> float:
    """Local: this rank's part of the codes that its host holds in memory, which do not count as its own afterwards:
    pages count for those that have touched them, in whatever order that was."""
    held = 0.0
    for table in tables if world.node_size > 1 else []:
        for codes in table.codes:
            leave_to_kernel(codes)
            held += 0 if table.in_files else codes.nbytes / world.node_size
    return held


def unsigned(largest: int) -> np.dtype:
    """The smallest unsigned dtype that holds `largest`."""
    return np.min_scalar_type(max(largest, 0))


def merge(world, local: LocalTable, null_unequal: bool = False, keep_values: bool = True,
          pass_bytes: int = PASS_BYTES, folder=None, values_folder=None, together_bytes: int = TOGETHER_BYTES,
          owners: np.ndarray | None = None) -> tuple[int, list[EncodedColumn]]:
    """Collective: the rows of a table and its columns, encoded over the blocks of all ranks; `local` is emptied.

    null_unequal: each missing cell but the first gets a code of its own. pass_bytes: strings a rank sends at once, of
    one column; together_bytes: of several.
    folder, values_folder: codes and values lie in files there (see `shared_array`). owners: who numbers and keeps the
    strings of which hashes (`dictionary.part_owners`), by default in equal shares. Messages, for every few columns:
    strings to their owners and codes back, see exchange.py, and the codes of the rows to other hosts (all-to-all).
    """
    sketches = local.take_sketches()
    layout = _Layout(world, local)
    owners = dictionary.part_owners(np.ones(world.size)) if owners is None else owners
    encoded: list[EncodedColumn] = []
    for columns in together(layout.string_bytes, min(pass_bytes, together_bytes, dictionary.MOST_BYTES)):
        passes = _passes(max(layout.string_bytes[column] for column in columns), pass_bytes)
        if world.size == 1 and not any(local.columns[column].generations for column in columns):
            passes = 1
        for column in columns if passes > 1 else []:
            local.columns[column].flush()
        merged = [MergedColumn(world, local.columns[column], layout.missing[column], keep_values, values_folder)
                  for column in columns]
        for first in range(0, BUCKETS, BUCKETS // passes):
            exchange(world, merged, owners, first, first + BUCKETS // passes)
        missing = [layout.missing[column] if null_unequal else 0 for column in columns]
        encoded += _place(world, layout, merged, missing, folder)
        for column in columns:
            local.columns[column] = None
    for place in sorted(sketches):
        encoded.insert(place, EncodedColumn(NO_CODES, 0, None, None, merged_sketch(world, sketches.pop(place))))
    return layout.total, encoded


def merge_table(world, source, local: LocalTable, null_unequal: bool, keep_values: bool, plan, owners) -> EncodedTable:
    """Collective: as `merge`, for a table of sources.py that is read as a plan.py says."""
    rows, columns = merge(world, local, null_unequal, keep_values, plan.pass_bytes, plan.codes_folder,
                          plan.values_folder, plan.together_bytes, owners)
    return EncodedTable(source.name, source.columns, source.kinds, rows, columns, plan.codes_folder is not None)


class _Layout:
    """Which rows each block of each rank is, and what the columns hold in all."""

    def __init__(self, world, local):
        messages = world.allgather({
            "order": np.array(local.orders, np.int64), "rows": np.array(local.rows, np.int64), "node": world.node,
            "node_rank": world.node_rank, "missing": np.array([column.missing for column in local.columns], np.int64),
            "bytes": np.array([column.string_bytes for column in local.columns], np.int64)})
        orders = np.concatenate([message["order"] for message in messages])
        rows = np.concatenate([message["rows"] for message in messages])
        sorting = np.argsort(orders)
        starts = np.empty(len(rows), np.int64)
        starts[sorting] = np.cumsum(rows[sorting]) - rows[sorting]
        self.total = int(rows.sum())
        self.start = dict(zip(orders.tolist(), starts.tolist()))
        self.orders, self.rows = [message["order"] for message in messages], [message["rows"] for message in messages]
        self.nodes = [message["node"] for message in messages]
        self.node_ranks = [message["node_rank"] for message in messages]
        self.missing = sum(message["missing"] for message in messages).tolist()
        self.string_bytes = np.max([message["bytes"] for message in messages], axis=0).tolist()


def together(sizes: list[int], pass_bytes: int) -> list[list[int]]:
    """Local: neighbouring columns put together until a rank would send more than `pass_bytes` of them."""
    chosen: list[list[int]] = []
    room = 0
    for column, size in enumerate(sizes):
        if not chosen or size > room:
            chosen.append([])
            room = pass_bytes
        chosen[-1].append(column)
        room -= size
    return chosen


def shares(costs: list[float], ranks: int) -> list[list[int]]:
    """Local: which items each of some ranks does: the dearest first, each by the rank with the least so far."""
    chosen: list[list[int]] = [[] for _ in range(ranks)]
    sums = [0.0] * ranks
    for index in sorted(range(len(costs)), key=lambda index: -costs[index]):
        rank = sums.index(min(sums))
        chosen[rank].append(index)
        sums[rank] += costs[index]
    return chosen


def _passes(size: int, pass_bytes: int) -> int:
    """Local: into how many parts strings are cut: a power of two, at most BUCKETS."""
    passes = 1
    while passes < BUCKETS and size > passes * pass_bytes:
        passes *= 2
    return passes


def _place(world, layout: _Layout, merged: list[MergedColumn], missing_cells: list[int], folder) -> list[EncodedColumn]:
    """Collective: the codes of all rows in arrays that the ranks of a host share; missing_cells: of each column those
    that get codes of their own.

    Why they do not depend on the ranks: each host's copy is numbered anew by first occurrence, in row order.
    """
    more = [max(cells - 1, 0) for cells in missing_cells]
    codes = shared_arrays(world, [(layout.total, unsigned(column.distinct + told_apart - 1))
                                  for column, told_apart in zip(merged, more)], folder)
    for column, array in zip(merged, codes):
        column.write(array, layout.start)
    if world.nodes > 1:
        _send_to_hosts(world, layout, codes)
    numbers = shared_arrays(world, [(column.distinct, np.dtype(np.uint32)) for column in merged], folder)
    world.node_barrier()
    for index in shares([column.distinct + layout.total / 8 for column in merged], world.node_size)[world.node_rank]:
        dictionary.renumber(codes[index], numbers[index])
        if more[index]:
            _tell_missing_apart(codes[index], merged[index].distinct, int(numbers[index][merged[index].missing]))
    world.node_barrier()
    encoded = []
    for column, array, number, told_apart in zip(merged, codes, numbers, more):
        missing = None if column.missing is None else int(number[column.missing])
        values = Values(*column.values(number)) if column.keep_values else None
        column.owned = None
        encoded.append(EncodedColumn(array, column.distinct + told_apart, missing, values))
        if folder is not None:
            leave_to_kernel(array)
    return encoded


def shared_arrays(world, wanted: list[tuple[int, np.dtype]], folder) -> list[np.ndarray]:
    """Collective: several shared arrays in one, each at an aligned place."""
    sizes = [-(-count * kind.itemsize // ALIGNMENT) * ALIGNMENT for count, kind in wanted]
    together = shared_array(world, sum(sizes), np.uint8, folder=folder)
    starts = np.cumsum([0, *sizes]).tolist()
    return [together[start : start + count * kind.itemsize].view(kind) for start, (count, kind) in zip(starts, wanted)]


def _send_to_hosts(world, layout: _Layout, columns: list[np.ndarray]) -> None:
    """Collective: the rows that ranks of other hosts have read; each rank sends its own to one rank of every host."""
    row_bytes, place = sum(codes.itemsize for codes in columns), world.node_rank
    sizes = {node: layout.nodes.count(node) for node in set(layout.nodes)}
    targets = [rank for rank, (node, node_rank) in enumerate(zip(layout.nodes, layout.node_ranks))
               if node != world.node and node_rank == place % sizes[node]]
    part, nothing = np.cumsum(row_bytes * layout.rows[world.rank]) // PASS_BYTES, {}
    for number in range(int(world.max(np.array([part[-1] if len(part) else 0]))[0]) + 1):
        rows = layout.rows[world.rank][part == number].tolist()
        starts = [layout.start[order] for order in layout.orders[world.rank][part == number].tolist()]
        # One array: many take long to pack.
        message = {"starts": starts, "rows": rows, "codes": np.concatenate([np.zeros(0, np.uint8), *(
            codes[start : start + count].view(np.uint8) for codes in columns for start, count in zip(starts, rows))])}
        for received in world.alltoall([message if rank in targets else nothing for rank in range(world.size)]):
            end = 0
            for codes in columns if received else []:
                for start, count in zip(received["starts"], received["rows"]):
                    begin, end = end, end + count * codes.itemsize
                    codes[start : start + count] = received["codes"][begin:end].view(codes.dtype)


def _tell_missing_apart(codes: np.ndarray, distinct: int, missing: int) -> None:
    """Local: every missing cell but the first gets a code of its own, so that no two of them are equal."""
    rows = np.flatnonzero(codes == missing)[1:]
    codes[rows] = distinct + np.arange(len(rows))
