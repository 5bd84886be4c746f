"""Dictionaries of byte strings: numbers for equal strings, hashes, copying; with the plain versions."""

import ctypes
from typing import NamedTuple

import numpy as np

from mpiedge.kernels import native
from mpiedge.kernels.cells import Cells

MULTIPLIER = 0x9E3779B97F4A7C15
MOST_BYTES = (1 << 32) - 1
"""Text one dictionary can hold."""

PLAIN_STRING_BYTES = 120
"""About what a string of a plain dictionary takes besides its text."""

OWNER_BITS = np.uint64(0xFFFFF)
PARTS, MOST_PARTS = 64, 1 << 16  # into which hashes are cut for each rank, and in all
"""Bits of a hash that choose its owner; the hash tables use the bits above."""


def _declare(library):
    size, pointer = ctypes.c_int64, ctypes.c_void_p
    library.mpiedge_dictionary_new.restype = pointer
    library.mpiedge_dictionary_new.argtypes = [ctypes.c_int32]
    library.mpiedge_dictionary_free.restype = None
    library.mpiedge_dictionary_free.argtypes = [pointer]
    library.mpiedge_dictionary_sizes.restype = None
    library.mpiedge_dictionary_sizes.argtypes = [pointer, pointer]
    library.mpiedge_dictionary_text.restype = pointer
    library.mpiedge_dictionary_text.argtypes = [pointer]
    library.mpiedge_dictionary_lengths.restype = None
    library.mpiedge_dictionary_lengths.argtypes = [pointer, pointer]
    library.mpiedge_dictionary_add_cells.restype = size
    library.mpiedge_dictionary_add_cells.argtypes = [*[pointer] * 3, size, size, ctypes.c_char_p, size, *[pointer] * 2]
    library.mpiedge_dictionary_add.restype = size
    library.mpiedge_dictionary_add.argtypes = [*[pointer] * 3, size, pointer]
    library.mpiedge_hash_strings.restype = None
    library.mpiedge_hash_strings.argtypes = [pointer, pointer, size, pointer]
    library.mpiedge_dictionary_add_columns.restype = size
    library.mpiedge_dictionary_add_columns.argtypes = [pointer, size, size, *[pointer] * 5]
    library.mpiedge_deal.restype = None
    library.mpiedge_deal.argtypes = [*[pointer] * 3, size, pointer, size, size, *[pointer] * 7]
    library.mpiedge_group.restype = size
    library.mpiedge_group.argtypes = [*[pointer] * 3, size, pointer, size, *[pointer] * 3]
    library.mpiedge_copy_strings.restype = None
    library.mpiedge_copy_strings.argtypes = [*[pointer] * 3, size, pointer]
    library.mpiedge_renumber.restype = size
    library.mpiedge_renumber.argtypes = [pointer, size, size, pointer, size]
    library.mpiedge_count.restype = None
    library.mpiedge_count.argtypes = [pointer, size, size, pointer]
    library.mpiedge_spread.restype = None
    library.mpiedge_spread.argtypes = [pointer, pointer, size, size, pointer, size]
    return library


_library = _declare(native.library) if native.library is not None else None


class Dictionary:
    """Distinct byte strings, numbered as they are met.

    compared: whether equal strings get one number; else each gets a number of its own, and is not looked for.
    Attributes: nbytes, text_bytes: memory in all and text alone; len() counts the strings.
    """

    def __init__(self, compared: bool = True):
        self._sizes = np.zeros(3, np.int64)
        self._handle = _library.mpiedge_dictionary_new(int(compared))
        if not self._handle:
            raise MemoryError
        self._measure()

    def __del__(self):
        if getattr(self, "_handle", None):
            _library.mpiedge_dictionary_free(self._handle)

    def __len__(self) -> int:
        return int(self._sizes[0])

    @property
    def text_bytes(self) -> int:
        return int(self._sizes[1])

    @property
    def nbytes(self) -> int:
        return int(self._sizes[2])

    def add(self, data: np.ndarray, length: np.ndarray) -> tuple[np.ndarray, int]:
        """Local: the numbers (uint32) of strings that lie one after another, and how many are empty."""
        data, length = np.ascontiguousarray(data, np.uint8), np.ascontiguousarray(length, np.int32)
        ids = np.empty(len(length), np.uint32)
        return self._added(ids, _library.mpiedge_dictionary_add(self._handle, data.ctypes.data, length.ctypes.data,
                                                                len(length), ids.ctypes.data))

    def _added(self, ids, empty):
        if empty < 0:
            raise MemoryError
        self._measure()
        return ids, empty

    def _measure(self):
        _library.mpiedge_dictionary_sizes(self._handle, self._sizes.ctypes.data)

    def strings(self) -> tuple[np.ndarray, np.ndarray]:
        """Local: the strings one after another (uint8) and their lengths (int32). The text is the dictionary's own
        memory: nothing may be added while it is used."""
        length = np.empty(len(self), np.int32)
        _library.mpiedge_dictionary_lengths(self._handle, length.ctypes.data)
        return np.asarray(_Text(self)), length


class _Text:
    """The text of a dictionary as an array, which keeps the dictionary."""

    def __init__(self, known: Dictionary):
        self._known = known
        self.__array_interface__ = {"version": 3, "shape": (known.text_bytes,), "typestr": "|u1",
                                    "data": (_library.mpiedge_dictionary_text(known._handle), True)}


class PlainDictionary:
    """The plain version of `Dictionary`, by a dict."""

    def __init__(self, compared: bool = True):
        self._known: dict[bytes, int] | None = {} if compared else None
        self._texts: list[bytes] = []
        self.text_bytes = 0

    def __len__(self) -> int:
        return len(self._texts)

    @property
    def nbytes(self) -> int:
        return self.text_bytes + PLAIN_STRING_BYTES * len(self)

    def add(self, data: np.ndarray, length: np.ndarray) -> tuple[np.ndarray, int]:
        """Local: as `Dictionary.add`."""
        return self.add_texts(_cut(data, length))

    def add_texts(self, texts: list[bytes]) -> tuple[np.ndarray, int]:
        """Local: as `Dictionary.add`."""
        return np.fromiter(map(self._number, texts), np.uint32, len(texts)), texts.count(b"")

    def _number(self, text: bytes) -> int:
        number = len(self._texts) if self._known is None else self._known.setdefault(text, len(self._texts))
        if number == len(self._texts):
            self._texts.append(text)
            self.text_bytes += len(text)
        return number

    def strings(self) -> tuple[np.ndarray, np.ndarray]:
        """Local: as `Dictionary.strings`."""
        return np.frombuffer(b"".join(self._texts), np.uint8), np.array([len(text) for text in self._texts], np.int32)


def new(compared: bool = True) -> Dictionary | PlainDictionary:
    """Local: an empty dictionary, compiled where the kernels are."""
    return (Dictionary if _library is not None else PlainDictionary)(compared)


def add_cells(known: list, cells: Cells, null: bytes | None = None) -> tuple[list[np.ndarray], list[int]]:
    """Local: the numbers (uint32) of the cells of each column in its dictionary, and how many of them are empty.

    Cells that equal `null` count as empty.
    """
    rows, columns, _ = cells.places.shape
    if _library is None:
        added = [one.add_texts([b"" if text == null else text for text in cells.texts(column)])
                 for column, one in enumerate(known)]
        return [ids for ids, _ in added], [empty for _, empty in added]
    ids, empty = np.empty((columns, rows), np.uint32), np.empty(columns, np.int64)
    handles = np.array([one._handle for one in known], np.uint64)
    if not _library.mpiedge_dictionary_add_cells(
            handles.ctypes.data, cells.data.ctypes.data, cells.places.ctypes.data, rows, columns, null or b"",
            len(null) if null else -1, ids.ctypes.data, empty.ctypes.data):
        raise MemoryError
    for one in known:
        one._measure()
    return list(ids), empty.tolist()


def add_columns(known: list, texts: list[np.ndarray], lengths: list[np.ndarray],
                counts: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """Local: the numbers (uint32) of strings of several columns, each in the dictionary of its column.

    texts, lengths: of each rank the text (uint8) and the lengths (int32) of its strings, which lie column after column;
    counts: how many of each column, int64 (ranks, columns). Returns the numbers in that order, rank after rank, and of
    each column the number of the empty string, -1 where none came.
    """
    counts = np.ascontiguousarray(counts, np.int64)
    ends = np.cumsum(counts.sum(axis=1))
    ids = np.empty(int(ends[-1]), np.uint32)
    if _library is None:
        return ids, _add_columns_plain(known, texts, lengths, counts, ids)
    empty = np.empty(len(known), np.int64)
    handles = np.array([one._handle for one in known], np.uint64)
    places = np.array([[one.ctypes.data for one in arrays] for arrays in (texts, lengths)], np.uint64)
    starts = (ids.ctypes.data + 4 * (ends - counts.sum(axis=1))).astype(np.uint64)
    if not _library.mpiedge_dictionary_add_columns(
            handles.ctypes.data, len(known), len(texts), places[0].ctypes.data, places[1].ctypes.data,
            counts.ctypes.data, starts.ctypes.data, empty.ctypes.data):
        raise MemoryError
    for one in known:
        one._measure()
    return ids, empty.tolist()


def _add_columns_plain(known, texts, lengths, counts, ids) -> list[int]:
    empty = [-1] * len(known)
    parts = [_cut(text, length) for text, length in zip(texts, lengths)]
    ends = np.cumsum(counts).reshape(counts.shape)
    for column, one in enumerate(known):
        for rank, strings in enumerate(parts):
            end = int(ends[rank, column])
            begin, before = end - int(counts[rank, column]), int(counts[:rank].sum())
            some = strings[begin - before : end - before]
            ids[begin:end] = one.add_texts(some)[0]
            if b"" in some:
                empty[column] = int(ids[begin + some.index(b"")])
    return empty


def _cut(data: np.ndarray, length: np.ndarray) -> list[bytes]:
    text, ends = data.tobytes(), np.cumsum(length, dtype=np.int64)
    return [text[end - size : end] for end, size in zip(ends.tolist(), length.tolist())]


def hashes(data: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Local: the 64-bit hashes of strings that lie one after another; the same on every host."""
    if _library is None:
        return np.array([hash_plain(string) for string in _cut(data, length)], np.uint64)
    data, length = np.ascontiguousarray(data, np.uint8), np.ascontiguousarray(length, np.int32)
    found = np.empty(len(length), np.uint64)
    _library.mpiedge_hash_strings(data.ctypes.data, length.ctypes.data, len(length), found.ctypes.data)
    return found


def part_owners(shares: np.ndarray) -> np.ndarray:
    """Local: the rank to which each part of the hashes belongs, uint16, in proportion to `shares` (ranks,)."""
    parts = len(shares) * max(1, min(PARTS, MOST_PARTS // len(shares)))
    ends = np.rint(np.cumsum(shares) / np.sum(shares) * parts).astype(np.int64)
    return np.repeat(np.arange(len(shares), dtype=np.uint16), np.diff(ends, prepend=0))


def owners_of(hashes: np.ndarray, owners: np.ndarray) -> np.ndarray:
    """Local: which rank the strings with these hashes belong to, uint16; owners: as of `part_owners`."""
    return owners[(hashes & OWNER_BITS) % np.uint64(len(owners))]


class Dealt(NamedTuple):
    """Strings by owner: those of the first rank, part after part, then those of the next.

    text: uint8, one after another; length: int32; numbers: of each string over all parts, uint32; counts, sizes: how
    many strings, and bytes of text, of each part each rank owns, int64 (ranks, parts).
    """

    text: np.ndarray
    length: np.ndarray
    numbers: np.ndarray
    counts: np.ndarray
    sizes: np.ndarray


def deal(parts: list[tuple[np.ndarray, np.ndarray]], owners: np.ndarray, ranks: int) -> Dealt:
    """Local: strings by owner among `ranks`; parts: text (uint8) and lengths (int32) of strings that lie one after
    another, fewer than 2**32 in all; owners: as of `part_owners`."""
    parts = [(np.ascontiguousarray(data, np.uint8), np.ascontiguousarray(length, np.int32)) for data, length in parts]
    counts, sizes = np.zeros((ranks, len(parts)), np.int64), np.zeros((ranks, len(parts)), np.int64)
    many = np.array([len(length) for _, length in parts], np.int64)
    total = int(many.sum())
    if ranks == 1:
        counts[0], sizes[0] = many, [len(data) for data, _ in parts]
        return Dealt(_joined([data for data, _ in parts], np.uint8), _joined([length for _, length in parts], np.int32),
                     np.arange(total, dtype=np.uint32), counts, sizes)
    if _library is None:
        return _deal_plain(parts, owners, counts, sizes)
    dealt = Dealt(np.empty(sum(len(data) for data, _ in parts), np.uint8), np.empty(total, np.int32),
                  np.empty(total, np.uint32), counts, sizes)
    texts, lengths = (np.array(one, np.uint64) for one in (
        [data.ctypes.data for data, _ in parts], [length.ctypes.data for _, length in parts]))
    of_strings, places = np.empty(total, np.uint16), np.empty(2 * ranks, np.int64)
    _library.mpiedge_deal(
        texts.ctypes.data, lengths.ctypes.data, many.ctypes.data, len(parts), owners.ctypes.data, len(owners), ranks,
        of_strings.ctypes.data, counts.ctypes.data, sizes.ctypes.data, places.ctypes.data, dealt.text.ctypes.data,
        dealt.length.ctypes.data, dealt.numbers.ctypes.data)
    return dealt


def _joined(arrays: list[np.ndarray], dtype) -> np.ndarray:
    """Local: one array after another; one alone is not copied."""
    return arrays[0] if len(arrays) == 1 else np.concatenate([np.zeros(0, dtype), *arrays])


def _deal_plain(parts, owners, counts, sizes) -> Dealt:
    text, length = (_joined([part[which] for part in parts], kind) for which, kind in ((0, np.uint8), (1, np.int32)))
    of_strings = owners_of(hashes(text, length), owners).astype(np.int64)
    part = np.repeat(np.arange(len(parts)), [len(one) for _, one in parts])
    np.add.at(counts, (of_strings, part), 1)
    np.add.at(sizes, (of_strings, part), length)
    numbers = np.argsort(of_strings, kind="stable").astype(np.uint32)
    start = np.cumsum(length, dtype=np.int64) - length
    return Dealt(copy_strings(text, start[numbers], length[numbers]), length[numbers], numbers, counts, sizes)


def group(text: np.ndarray, start: np.ndarray, length: np.ndarray):
    """Local: number equal strings alike, in the order of first occurrence.

    String i is text[start[i] : start[i] + length[i]]. Returns ids (int32, one per string), first (int64, where each
    distinct string occurs first) and hashes (uint64, of each distinct string; the same on every host).
    """
    return (_group_native if _library is not None else group_plain)(text, start, length)


def _group_native(text, start, length):
    count = len(start)
    start, length = np.ascontiguousarray(start, np.int64), np.ascontiguousarray(length, np.int32)
    slots = _slots(count)
    ids, first, hashes = np.empty(count, np.int32), np.empty(count, np.int64), np.empty(count, np.uint64)
    distinct = _library.mpiedge_group(text.ctypes.data, start.ctypes.data, length.ctypes.data, count,
                                      slots.ctypes.data, len(slots), ids.ctypes.data, first.ctypes.data,
                                      hashes.ctypes.data)
    return ids, first[:distinct].copy(), hashes[:distinct].copy()


def _slots(strings: int) -> np.ndarray:
    """Local: an empty hash table, at most half full in the end."""
    return np.zeros(1 << max(4, (2 * strings).bit_length()), np.int32)


def group_plain(text, start, length):
    """Local: the plain version of `group`, by a dict."""
    data, known, ids, first = text.tobytes(), {}, np.empty(len(start), np.int32), []
    for index, (begin, size) in enumerate(zip(start.tolist(), length.tolist())):
        string = data[begin : begin + size]
        ids[index] = known.setdefault(string, len(first))
        if len(known) > len(first):
            first.append(index)
    hashes = np.array([hash_plain(string) for string in known], np.uint64)
    return ids, np.array(first, np.int64), hashes


def hash_plain(string: bytes) -> int:
    """Local: the 64-bit hash of one string, as the compiled version computes it."""
    value = len(string)
    words = [int.from_bytes(string[at : at + 8], "little") for at in range(0, len(string), 8)]
    for word in [*words, 0]:
        value = ((value ^ word) * MULTIPLIER) & 0xFFFFFFFFFFFFFFFF
        value ^= value >> 29
    return value


def copy_strings(text: np.ndarray, start: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Local: the strings one after another, as a new uint8 array."""
    start, length = np.ascontiguousarray(start, np.int64), np.ascontiguousarray(length, np.int32)
    if _library is None:
        data = text.tobytes()
        parts = [data[begin : begin + size] for begin, size in zip(start.tolist(), length.tolist())]
        return np.frombuffer(b"".join(parts), np.uint8)
    copied = np.empty(int(length.sum(dtype=np.int64)), np.uint8)
    _library.mpiedge_copy_strings(text.ctypes.data, start.ctypes.data, length.ctypes.data, len(start),
                                  copied.ctypes.data)
    return copied


def renumber(codes: np.ndarray, numbers: np.ndarray) -> int:
    """Local: numbers codes in the order of their first occurrence, in place; returns how many occur.

    codes: unsigned, below len(numbers). numbers: uint32 zeros, then the new code of each old one (2**32 - 1 for one
    that does not occur).
    """
    if _library is None:
        old, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
        order = np.argsort(first)
        numbers[:] = np.iinfo(np.uint32).max
        numbers[old[order]] = np.arange(len(old))
        codes[:] = numbers[old][inverse]
        return len(old)
    return _library.mpiedge_renumber(codes.ctypes.data, codes.itemsize, len(codes), numbers.ctypes.data, len(numbers))


def count(ids: np.ndarray, times: np.ndarray) -> None:
    """Local: times[id] (uint32) grows by how often each of `ids` (unsigned, of up to 4 bytes) is there."""
    if _library is None:
        times += np.bincount(ids, minlength=len(times)).astype(np.uint32)
        return
    _library.mpiedge_count(ids.ctypes.data, ids.itemsize, len(ids), times.ctypes.data)


def spread(mapping: np.ndarray, ids: np.ndarray, into: np.ndarray) -> None:
    """Local: into[:] = mapping[ids]; mapping: uint32; ids, into: unsigned of up to 4 bytes."""
    if _library is None:
        into[:] = mapping[ids]
        return
    _library.mpiedge_spread(mapping.ctypes.data, ids.ctypes.data, ids.itemsize, len(ids), into.ctypes.data,
                            into.itemsize)
