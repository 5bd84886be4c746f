"""Dictionary encoding: columns become small integers, numbered by first occurrence, alike for any number of ranks.

Each rank reads blocks of rows with dictionaries of its own (local.py). Their strings then meet by hash: equal strings
of a column reach the same rank, which numbers them and keeps them for statistics and inclusion dependencies. The codes
lie once on every host, in memory its ranks share.
"""

from dataclasses import dataclass
from itertools import accumulate, islice, pairwise

import numpy as np

from mpiedge.kernels import dictionary
from mpiedge.profiling.local import BUCKETS, LocalTable
from mpiedge.profiling.sketches import ColumnSketch
from mpiedge.profiling.sketches import merged as merged_sketch
from mpiedge.profiling.spill import Spill
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
    strings to their owners and codes back (all-to-all), counts (all-gather), the codes of the rows to other hosts.
    """
    sketches = local.take_sketches()
    layout = _Layout(world, local)
    owners = dictionary.part_owners(np.ones(world.size)) if owners is None else owners
    encoded: list[EncodedColumn] = []
    for columns in together(layout.string_bytes, min(pass_bytes, together_bytes)):
        passes = _passes(max(layout.string_bytes[column] for column in columns), pass_bytes)
        if world.size == 1 and not any(local.columns[column].generations for column in columns):
            passes = 1
        for column in columns if passes > 1 else []:
            local.columns[column].flush()
        merged = [_MergedColumn(world, local.columns[column], layout, column, keep_values, values_folder)
                  for column in columns]
        for first in range(0, BUCKETS, BUCKETS // passes):
            _exchange(world, merged, owners, first, first + BUCKETS // passes)
        encoded += _place(world, layout, merged, null_unequal, folder)
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


class _MergedColumn:
    """One column on its way: the ids of this rank get codes, and strings of all ranks whose hash it owns are numbered.

    mapping: the code of each id, None when ids are codes already (one rank whose strings are all in one dictionary).
    ranges: the codes of the owned strings, in their order, as (first, how many). spilled: in which files the text and
    the lengths of those are that were owned in earlier exchanges, None where they stay in memory.
    """

    def __init__(self, world, local, layout, column, keep_values, values_folder):
        self.local, self.layout, self.column, self.keep_values = local, layout, column, keep_values
        self.distinct, self.missing = 0, None
        self.direct = world.size == 1 and local.compared and not local.generations
        self.mapping = None if self.direct else np.empty(len(local), np.uint32)
        self.owned = local.dictionary if self.direct else dictionary.new()
        self.ranges: list[tuple[int, int]] = []
        self.done = 0  # owned strings that have codes
        self.spilled = (Spill(values_folder), Spill(values_folder)) if keep_values and values_folder else None

    def messages(self, ranks, owners, first, stop) -> list[list[dict]]:
        """Local: the strings of some buckets by owner, in parts; remembers which ids they have."""
        messages: list[list[dict]] = [[] for _ in range(ranks)]
        self.sent: list[list] = [[] for _ in range(ranks)]
        for texts, ids in [] if self.direct else self.local.strings(first, stop):
            if ranks == 1:
                messages[0].append(texts.to_message())
                self.sent[0].append(ids)
                continue
            for owner, (data, length, places) in enumerate(dictionary.deal(texts.data, texts.length, owners, ranks)):
                messages[owner].append(Texts(data, length).to_message())
                self.sent[owner].append(places + np.uint32(ids.start) if isinstance(ids, slice) else ids[places])
        return messages

    def let_go(self) -> None:
        """Local: the strings are on their way, all of them: the dictionary they came from is not held besides."""
        if not self.direct:
            self.local.dictionary = dictionary.new()

    def receive(self, messages: list[list[dict]]) -> dict:
        """Local: numbers the strings that came from every rank; says how many are new and which one is the empty."""
        if self.direct:
            self.received, fresh = [], len(self.owned)
        else:
            if self.spilled or not self.keep_values:  # no string of one exchange comes again in another
                self.spill()
                self.owned, self.done = dictionary.new(), 0
            self.received = [[self.owned.add(part["data"], part["length"])[0] for part in parts] for parts in messages]
            fresh = len(self.owned) - self.done
        empty = -1
        if self.layout.missing[self.column] and self.missing is None:
            places = np.flatnonzero(self.owned.strings()[1][self.done :] == 0)
            empty = int(places[0]) if len(places) else -1
        return {"fresh": fresh, "empty": empty}

    def number(self, world, messages: list[dict]) -> None:
        """Local: the codes of the strings that are new on each rank follow those of the ranks before it."""
        begins = self.distinct + np.cumsum([0] + [message["fresh"] for message in messages])
        for begin, message in zip(begins.tolist(), messages):
            if message["empty"] >= 0:
                self.missing = begin + message["empty"]
        self.distinct = int(begins[-1])
        self.begin = int(begins[world.rank])

    def replies(self) -> list[list[np.ndarray]]:
        """Local: the codes of the strings that came from every rank, in the order they came."""
        self.ranges.append((self.begin, len(self.owned) - self.done))
        self.done = len(self.owned)
        if not self.received:
            return []
        codes = self.own_codes(self.ranges[-1:] if self.spilled or not self.keep_values else self.ranges)
        return [[codes[ids] for ids in parts] for parts in self.received]

    def own_codes(self, ranges: list[tuple[int, int]]) -> np.ndarray:
        """Local: the codes of owned strings."""
        return np.concatenate([np.arange(begin, begin + count, dtype=np.uint32) for begin, count in ranges])

    def spill(self) -> None:
        """Local: the owned strings go to their files, if they have any."""
        for file, array in zip(self.spilled or (), self.owned.strings()):
            file.append(array)

    def values(self, number: np.ndarray, counts: np.ndarray) -> Values:
        """Local: the owned strings; number, counts: the final code of each code, and how often that occurs."""
        if not self.spilled:
            own = number[self.own_codes(self.ranges)]
            return Values(Texts(*self.owned.strings()), own, counts[own])
        self.spill()
        text, lengths = self.spilled
        codes, times = Spill(text.folder), Spill(text.folder)
        for begin, count in self.ranges:
            own = number[begin : begin + count]
            codes.append(own)
            times.append(counts[own])
        return Values(Texts(text.mapped(np.uint8), lengths.mapped(np.int32)), codes.mapped(number.dtype),
                      times.mapped(counts.dtype))

    def accept(self, replies: list[list[np.ndarray]]) -> None:
        """Local: the codes of the strings that were sent."""
        for sent, codes in zip(self.sent, replies):
            for ids, part in zip(sent, codes):
                self.mapping[ids] = part

    def kind(self, null_unequal: bool) -> np.dtype:
        """Local: the dtype of the codes."""
        return unsigned(self.distinct + (max(self.layout.missing[self.column] - 1, 0) if null_unequal else 0) - 1)

    def write(self, codes: np.ndarray) -> None:
        """Local: the codes of this rank's rows, each in its place."""
        for order, ids in self.local.ids:
            start = self.layout.start[order]
            if self.mapping is None:
                codes[start : start + len(ids)] = ids
            else:
                dictionary.spread(self.mapping, ids, codes[start : start + len(ids)])
        self.local = self.mapping = None


def _exchange(world, merged: list[_MergedColumn], owners: np.ndarray, first: int, stop: int) -> None:
    """Collective: the strings of some buckets of some columns get their codes."""
    outgoing = [column.messages(world.size, owners, first, stop) for column in merged]
    for column in merged if stop - first == BUCKETS else []:
        column.let_go()
    received = world.alltoall([_bundled([messages[owner] for messages in outgoing]) for owner in range(world.size)])
    del outgoing
    received = [_unbundled(message) for message in received]
    fresh = world.allgather({"columns": [column.receive([columns[index] for columns in received])
                                         for index, column in enumerate(merged)]})
    del received
    for index, column in enumerate(merged):
        column.number(world, [message["columns"][index] for message in fresh])
    answers = [column.replies() for column in merged]
    replies = world.alltoall([_bundled([[{"codes": codes} for codes in answer[rank]] if answer else []
                                        for answer in answers]) for rank in range(world.size)])
    replies = [_unbundled(message) for message in replies]
    for index, column in enumerate(merged):
        column.accept([[part["codes"] for part in columns[index]] for columns in replies])


def _bundled(columns: list[list[dict]]) -> dict:
    """Local: parts of several columns, arrays by name, as few arrays: many small ones take long to pack."""
    parts = [part for column in columns for part in column]
    return {"parts": [len(column) for column in columns], "arrays": {name: {
        "sizes": [len(part[name]) for part in parts],
        "all": parts[0][name] if len(parts) == 1 else np.concatenate([part[name] for part in parts])}
        for name in (parts[0] if parts else [])}}


def _unbundled(message: dict) -> list[list[dict]]:
    """Local: what `_bundled` was given; the arrays are views."""
    cut = {name: [one["all"][begin:end] for begin, end in pairwise([0, *accumulate(one["sizes"])])]
           for name, one in message["arrays"].items()}
    parts = iter([dict(zip(cut, arrays)) for arrays in zip(*cut.values())])
    return [list(islice(parts, count)) for count in message["parts"]]


def _place(world, layout: _Layout, merged: list[_MergedColumn], null_unequal: bool, folder) -> list[EncodedColumn]:
    """Collective: the codes of all rows in arrays that the ranks of a host share.

    Why they do not depend on the ranks: each host's copy is numbered anew by first occurrence, in row order.
    """
    kinds = [column.kind(null_unequal) for column in merged]
    codes = shared_arrays(world, [(layout.total, kind) for kind in kinds], folder)
    for column, array in zip(merged, codes):
        column.write(array)
    if world.nodes > 1:
        _send_to_hosts(world, layout, codes)
    counted = null_unequal or any(column.keep_values for column in merged)
    numbers = shared_arrays(world, [(column.distinct, np.dtype(np.uint32)) for column in merged], folder)
    counts = shared_arrays(world, [(column.distinct * counted, np.dtype(np.int64)) for column in merged], folder)
    world.node_barrier()
    for index in shares([column.distinct + layout.total / 8 for column in merged], world.node_size)[world.node_rank]:
        dictionary.renumber(codes[index], numbers[index], counts[index] if counted else None)
        missing = merged[index].missing
        if null_unequal and missing is not None:
            _tell_missing_apart(codes[index], merged[index].distinct, int(numbers[index][missing]))
    world.node_barrier()
    encoded = []
    for column, array, number, count in zip(merged, codes, numbers, counts):
        distinct, values = column.distinct, None
        missing = None if column.missing is None else int(number[column.missing])
        if null_unequal and missing is not None:
            distinct += int(count[missing]) - 1
        if column.keep_values:
            values = column.values(number, count)
            column.owned = None
        encoded.append(EncodedColumn(array, distinct, missing, values))
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
        message = {"starts": starts, "rows": rows, "codes": [
            np.concatenate([codes[:0], *(codes[start : start + count] for start, count in zip(starts, rows))])
            for codes in columns]}
        for received in world.alltoall([message if rank in targets else nothing for rank in range(world.size)]):
            ends = np.cumsum(received.get("rows", [])).tolist()
            for codes, those in zip(columns, received.get("codes", [])):
                for start, count, end in zip(received["starts"], received["rows"], ends):
                    codes[start : start + count] = those[end - count : end]


def _tell_missing_apart(codes: np.ndarray, distinct: int, missing: int) -> None:
    """Local: every missing cell but the first gets a code of its own, so that no two of them are equal."""
    rows = np.flatnonzero(codes == missing)[1:]
    codes[rows] = distinct + np.arange(len(rows))
