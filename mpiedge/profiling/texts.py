"""Many byte strings as arrays, so that millions of cells need no Python objects."""

from functools import cached_property
from itertools import chain, islice

import numpy as np

from mpiedge.kernels import dictionary, frequent

SLICE_TEXT = 16
"""Bytes of text that a slice may hold for each of its strings."""


class Texts:
    """String i is data[start[i] : start[i] + length[i]], UTF-8; data uint8, start int64, length int32.

    Without `start` the strings are packed: they lie one after another in `data`.
    """

    def __init__(self, data: np.ndarray, length: np.ndarray, start: np.ndarray | None = None):
        self.data, self.length = data, length
        if start is not None:
            self.start = start

    @cached_property
    def start(self) -> np.ndarray:
        """Where the strings begin; found when it is first asked for."""
        return np.cumsum(self.length, dtype=np.int64) - self.length

    def __len__(self) -> int:
        return len(self.length)

    @classmethod
    def of(cls, strings: list[bytes]) -> "Texts":
        """Local: from Python byte strings."""
        length = np.fromiter(map(len, strings), np.int32, len(strings))
        return cls(np.frombuffer(b"".join(strings), np.uint8), length)

    @classmethod
    def joined(cls, parts: list["Texts"]) -> "Texts":
        """Local: packed parts one after another."""
        if not parts:
            return cls.of([])
        return cls(np.concatenate([part.data for part in parts]), np.concatenate([part.length for part in parts]))

    def take(self, indices: np.ndarray) -> "Texts":
        """Local: the chosen strings, packed."""
        length = self.length[indices]
        return Texts(dictionary.copy_strings(self.data, self.start[indices], length), length)

    def slices(self, most: int):
        """Local: yields (begin, end) of consecutive packed strings to be looked at together: at most `most` of them,
        fewer where they are long, so that what is made of each byte of them stays small."""
        begin, ends = 0, self.start + self.length
        while begin < len(self):
            fit = int(np.searchsorted(ends, self.start[begin] + SLICE_TEXT * most, side="right"))
            end = min(begin + most, max(fit, begin + 1))
            yield begin, end
            begin = end

    def parts(self, most: int):
        """Local: yields (begin, end, their strings) of packed strings as `slices` does, without a copy of anything."""
        text = 0
        for first in range(0, len(self), most):
            length = self.length[first : first + most]
            size = int(length.sum(dtype=np.int64))
            there = Texts(self.data[text : text + size], length)
            if size <= SLICE_TEXT * most:
                yield first, first + len(there), there
            for begin, end in there.slices(most) if size > SLICE_TEXT * most else ():
                data = there.data[int(there.start[begin]) : int(there.start[end - 1] + length[end - 1])]
                yield first + begin, first + end, Texts(data, length[begin:end])
            text += len(there.data)

    def group(self):
        """Local: equal strings numbered alike: ids, first occurrences, hashes (see `kernels.dictionary.group`)."""
        return dictionary.group(self.data, self.start, self.length)

    def tolist(self) -> list[bytes]:
        """Local: as Python byte strings."""
        data = self.data.tobytes()
        return [data[begin : begin + size] for begin, size in zip(self.start.tolist(), self.length.tolist())]

    def to_message(self) -> dict:
        """Local: what travels between ranks; the strings must be packed."""
        return {"data": self.data, "length": self.length}

    @classmethod
    def from_message(cls, message: dict) -> "Texts":
        """Local: the inverse of `to_message`."""
        return cls(message["data"], message["length"])


def most_frequent(texts: Texts, counts: np.ndarray, many: int) -> list[tuple[int, bytes]]:
    """Local: the most frequent packed strings, as (less than nothing by their count, string) in ascending order."""
    which, start = frequent.most_frequent(texts.data, texts.length, counts, many)
    return [(-count, texts.data[begin : begin + size].tobytes()) for count, begin, size in
            zip(counts[which].tolist(), start.tolist(), texts.length[which].tolist())]


def frequent_message(columns: list[list[tuple[int, bytes]]]) -> dict:
    """Local: what `most_frequent` found in some columns, as few arrays to travel between ranks."""
    every = list(chain(*columns))
    return {"many": [len(found) for found in columns], "counts": np.array([count for count, _ in every], np.int64),
            **Texts.of([text for _, text in every]).to_message()}


def frequent_of(message: dict) -> list[list[tuple[int, bytes]]]:
    """Local: the inverse of `frequent_message`."""
    every = zip(message["counts"].tolist(), Texts.from_message(message).tolist())
    return [list(islice(every, many)) for many in message["many"]]
