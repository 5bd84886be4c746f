"""Dictionary encoding: columns become small integers, numbered by first occurrence, alike for any number of ranks.

Each rank encodes blocks of rows with dictionaries of their own. Their strings then meet by hash: equal strings of a
column reach the same rank, which numbers them, counts them, and keeps them for statistics and inclusion dependencies.
"""

from dataclasses import dataclass

import numpy as np

from mpiedge.kernels import dictionary
from mpiedge.profiling.texts import Texts

EXCHANGE_BYTES = 16 << 20
"""Dictionaries merged by one exchange, summed over the ranks (a single larger column is one exchange)."""

STRING_BYTES = 32
"""What a string of a dictionary takes besides its text: length, key, count, hash."""

OWNER_BITS = np.uint64(0xFFFFF)
"""Bits of a hash that choose its owner; the hash tables use the bits above."""


@dataclass(frozen=True)
class Block:
    """Consecutive rows of a table, each column with a dictionary of its own.

    order: position among all blocks of all tables; codes: per column an array of unsigned integers; texts, hashes: the
    column's strings by code and their hashes, emptied while they are merged; an empty string is a missing cell.
    """

    order: int
    rows: int
    codes: list[np.ndarray]
    texts: list[Texts]
    hashes: list[np.ndarray]


@dataclass(frozen=True)
class Values:
    """This rank's share of the distinct values of one column: their codes and how often each occurs (int64)."""

    texts: Texts
    codes: np.ndarray
    counts: np.ndarray


@dataclass(frozen=True)
class EncodedColumn:
    """A whole column on every rank: codes (smallest unsigned dtype), `distinct` of them.

    missing: the code of the missing cells before they were told apart, None when there are none. values: this rank's
    share of the distinct values, None when nobody asks for them.
    """

    codes: np.ndarray
    distinct: int
    missing: int | None
    values: Values | None


@dataclass(frozen=True)
class EncodedTable:
    """A table as discovery wants it, on every rank; kinds: the declared kinds of the columns, None for unknown."""

    name: str
    names: list[str]
    kinds: list[str | None]
    rows: int
    columns: list[EncodedColumn]

    @property
    def codes(self) -> list[np.ndarray]:
        return [column.codes for column in self.columns]


def unsigned(largest: int) -> np.dtype:
    """The smallest unsigned dtype that holds `largest`."""
    return np.min_scalar_type(max(largest, 0))


def encode_cells(order: int, data: np.ndarray, start: np.ndarray, length: np.ndarray,
                 null: bytes | None = None) -> Block:
    """Local: a block of cells, given as (rows, columns) of places in `data`; cells equal to `null` become missing."""
    ids, first, hashes = dictionary.group_columns(data, start, length)
    texts = Texts(data, length.reshape(-1), start.reshape(-1)).take(np.concatenate(first))
    parts = texts.cut(np.cumsum([len(places) for places in first]).tolist())
    return _with_missing(order, len(start), list(zip(parts, ids, hashes)), null)


def encode_arrays(order: int, arrays: list[np.ndarray], null: bytes | None = None) -> Block:
    """Local: a block of typed columns: object arrays of str, int64, or float64 with NaN = missing.

    Numbers become canonical text, so that 3, 3.0 and "3" are equal.
    """
    columns = []
    for values in arrays:
        if values.dtype == object:
            distinct, codes = _first_seen(values.tolist())
            strings = [value.encode("utf-8", "surrogatepass") for value in distinct]
        else:
            numbers, codes = np.unique(values, return_inverse=True)
            strings = [canonical_number(number) for number in numbers.tolist()]
        texts = Texts.of(strings)
        columns.append((texts, codes, texts.group()[2]))
    return _with_missing(order, len(arrays[0]) if arrays else 0, columns, null)


def canonical_number(number: int | float) -> bytes:
    """The text of a number: integers without a fraction, others as short as they can be read back; NaN is empty."""
    if isinstance(number, float):
        if number != number:
            return b""
        if number.is_integer() and abs(number) < 2.0**63:
            number = int(number)
    return repr(number).encode()


def _first_seen(values: list):
    known: dict = {}
    codes = np.fromiter((known.setdefault(value, len(known)) for value in values), np.int64, len(values))
    return known, codes


def _with_missing(order, rows, columns, null):
    codes, texts, hashes = [], [], []
    for strings, ids, digests in columns:
        if null:
            strings, digests = _without(strings, digests, null)
        codes.append(ids.astype(unsigned(len(strings) - 1)))
        texts.append(strings)
        hashes.append(digests)
    return Block(order, rows, codes, texts, hashes)


def _without(strings: Texts, hashes: np.ndarray, null: bytes):
    """Local: the strings with `null` turned into the empty one (which may then be there twice; merging unites them)."""
    same = [index for index in np.flatnonzero(strings.length == len(null))
            if strings.data[strings.start[index] :][: len(null)].tobytes() == null]
    if not same:
        return strings, hashes
    texts = strings.tolist()
    hashes = hashes.copy()
    for index in same:
        texts[index] = b""
        hashes[index] = dictionary.hash_plain(b"")
    return Texts.of(texts), hashes


def merge_blocks(world, blocks: list[Block], columns: int, null_unequal: bool = False,
                 keep_values: bool = True) -> tuple[int, list[EncodedColumn]]:
    """Collective: the rows of a table and its columns, encoded over the blocks of all ranks.

    blocks: this rank's blocks of the table; their texts are emptied. Messages, for every few columns: strings to their
    owners and codes back (all-to-all), first occurrences and the codes of all rows (all-gather).
    """
    blocks = sorted(blocks, key=lambda block: block.order)
    sizes = [dictionary_bytes(blocks, column) for column in range(columns)]
    shapes = world.allgather({"order": np.array([block.order for block in blocks], np.int64),
                              "rows": np.array([block.rows for block in blocks], np.int64),
                              "sizes": np.array(sizes, np.int64)})
    encoded = []
    for chosen in _exchanges(sum(shape["sizes"] for shape in shapes).tolist()):
        encoded += _merge_columns(world, blocks, chosen, shapes, null_unequal, keep_values)
    return int(sum(shape["rows"].sum() for shape in shapes)), encoded


def dictionary_bytes(blocks: list[Block], column: int | None = None) -> int:
    """Local: bytes of the dictionaries of blocks, of one column or of all."""
    return sum(texts.data.nbytes + STRING_BYTES * len(texts) for block in blocks
               for texts in (block.texts if column is None else [block.texts[column]]))


def _exchanges(sizes: list[int]) -> list[list[int]]:
    """Local: neighbouring columns put together until they have EXCHANGE_BYTES."""
    chosen: list[list[int]] = []
    room = 0
    for column, size in enumerate(sizes):
        if not chosen or size > room:
            chosen.append([])
            room = EXCHANGE_BYTES
        chosen[-1].append(column)
        room -= size
    return chosen


def _merge_columns(world, blocks, columns, shapes, null_unequal, keep_values):
    """Collective: why the codes do not depend on the ranks: a string's code is its place in the order of first
    occurrences (block order, then order within the block), and blocks are the same for any number of ranks."""
    outgoing = [_LocalStrings(blocks, column, world.size) for column in columns]
    received = world.alltoall([{"columns": [strings.message(owner) for strings in outgoing]}
                               for owner in range(world.size)])
    for strings in outgoing:
        strings.forget()
    owned = [_OwnedStrings([message["columns"][index] for message in received]) for index in range(len(columns))]
    firsts = world.allgather({"columns": [{"first": strings.first, "missing": strings.first_missing}
                                          for strings in owned]})
    for index, strings in enumerate(owned):
        strings.number([message["columns"][index]["first"] for message in firsts])
    del received
    replies = world.alltoall([{"codes": [strings.reply(rank) for strings in owned]} for rank in range(world.size)])
    gathered = world.allgather({"columns": [
        strings.encode(blocks, [reply["codes"][index] for reply in replies], owned[index].distinct)
        for index, strings in enumerate(outgoing)]})
    encoded = []
    for index, strings in enumerate(owned):
        codes = _place([message["columns"][index] for message in gathered], shapes)
        missing = strings.missing([message["columns"][index]["missing"] for message in firsts])
        distinct = strings.distinct
        if null_unequal and missing is not None:
            codes, distinct = tell_missing_apart(codes, distinct, missing)
        encoded.append(EncodedColumn(codes, distinct, missing, strings.values() if keep_values else None))
    return encoded


class _LocalStrings:
    """The strings of one column on the rank that read them, in block order, and the ranks that own them."""

    def __init__(self, blocks, column, ranks):
        self.column = column
        self.texts = Texts.joined([block.texts[column] for block in blocks])
        self.sizes = sizes = [len(block.texts[column]) for block in blocks]
        self.keys = np.concatenate([np.arange(size, dtype=np.int64) + (block.order << 32)
                                    for size, block in zip(sizes, blocks)] or [np.zeros(0, np.int64)])
        self.counts = np.concatenate([np.bincount(block.codes[column], minlength=size)
                                      for size, block in zip(sizes, blocks)] or [np.zeros(0, np.int64)])
        hashes = np.concatenate([block.hashes[column] for block in blocks] or [np.zeros(0, np.uint64)])
        owners = (hashes & OWNER_BITS) % np.uint64(ranks)
        self.sent = [np.flatnonzero(owners == owner) for owner in range(ranks)]
        for block in blocks:
            block.texts[column] = block.hashes[column] = None

    def message(self, owner):
        """Local: what goes to an owner; keys (block order, place in the block) tell which string came first."""
        chosen = self.sent[owner]
        texts = self.texts if len(chosen) == len(self.texts) else self.texts.take(chosen)
        return {**texts.to_message(), "keys": self.keys[chosen], "counts": self.counts[chosen]}

    def forget(self):
        """Local: the strings were sent; only where they went is needed from here on."""
        self.texts = self.keys = self.counts = None

    def encode(self, blocks, replies, distinct):
        """Local: the global codes of this rank's rows, block after block."""
        kind = unsigned(distinct - 1)
        mapping = np.empty(sum(self.sizes), kind)
        for chosen, codes in zip(self.sent, replies):
            mapping[chosen] = codes
        parts = [mapping[end - size : end][block.codes[self.column]]
                 for block, size, end in zip(blocks, self.sizes, np.cumsum(self.sizes).tolist())]
        return np.concatenate(parts) if parts else np.zeros(0, kind)


class _OwnedStrings:
    """The strings of one column whose hash this rank owns."""

    def __init__(self, messages):
        texts = Texts.joined([Texts.from_message(message) for message in messages])
        keys = np.concatenate([message["keys"] for message in messages])
        counts = np.concatenate([message["counts"] for message in messages])
        order = np.argsort(keys, kind="stable")  # strings of one rank come in order, those of several interleave
        ids, first, _ = dictionary.group(texts.data, texts.start[order], texts.length[order])
        self.first = keys[order[first]]  # ascending: ids are in the order of first occurrence
        self.ids = np.empty(len(ids), np.int64)
        self.ids[order] = ids
        self.counts = np.bincount(self.ids, weights=counts, minlength=len(first)).astype(np.int64)
        self.texts = texts.take(order[first])
        self.ends = np.cumsum([len(message["keys"]) for message in messages])
        empty = np.flatnonzero(self.texts.length == 0)
        self.first_missing = int(self.first[empty[0]]) if len(empty) else -1

    def number(self, firsts):
        """Local: the codes of the owned strings, given the first occurrences on all ranks."""
        self.all_firsts = firsts[0] if len(firsts) == 1 else np.sort(np.concatenate(firsts))
        self.distinct = len(self.all_firsts)
        self.codes = np.searchsorted(self.all_firsts, self.first).astype(unsigned(self.distinct - 1))

    def missing(self, keys):
        """Local: the code of the empty string, which one rank owns, or None."""
        key = max(keys)
        return int(np.searchsorted(self.all_firsts, key)) if key >= 0 else None

    def reply(self, rank):
        """Local: the codes of the strings that came from a rank, in the order they came."""
        begin = self.ends[rank - 1] if rank else 0
        return self.codes[self.ids[begin : self.ends[rank]]]

    def values(self):
        """Local: what statistics and inclusion dependencies need."""
        return Values(self.texts, self.codes, self.counts)


def _place(parts, shapes):
    """Local: the codes of all ranks' blocks in row order."""
    if len(parts) == 1:
        return parts[0]
    orders = np.concatenate([shape["order"] for shape in shapes])
    rows = np.concatenate([shape["rows"] for shape in shapes])
    sorting = np.argsort(orders, kind="stable")
    to = np.empty(len(rows), np.int64)
    to[sorting] = np.cumsum(rows[sorting]) - rows[sorting]
    placed = np.empty(int(rows.sum()), parts[0].dtype)
    block = 0
    for part, shape in zip(parts, shapes):
        begin = 0
        for count in shape["rows"].tolist():
            placed[to[block] : to[block] + count] = part[begin : begin + count]
            begin, block = begin + count, block + 1
    return placed


def tell_missing_apart(codes: np.ndarray, distinct: int, missing: int) -> tuple[np.ndarray, int]:
    """Local: every missing cell but the first gets a code of its own, so that no two of them are equal."""
    rows = np.flatnonzero(codes == missing)[1:]
    codes = codes.astype(unsigned(distinct + len(rows) - 1))
    codes[rows] = distinct + np.arange(len(rows))
    return codes, distinct + len(rows)
