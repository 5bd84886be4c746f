"""Many byte strings as three arrays, so that millions of cells need no Python objects."""

from dataclasses import dataclass

import numpy as np

from mpiedge.kernels import dictionary


@dataclass(frozen=True)
class Texts:
    """String i is data[start[i] : start[i] + length[i]], UTF-8; data uint8, start int64, length int32."""

    data: np.ndarray
    start: np.ndarray
    length: np.ndarray

    def __len__(self) -> int:
        return len(self.start)

    @classmethod
    def packed(cls, data: np.ndarray, length: np.ndarray) -> "Texts":
        """Local: strings that lie one after another in `data`."""
        return cls(data, np.cumsum(length, dtype=np.int64) - length, length)

    @classmethod
    def of(cls, strings: list[bytes]) -> "Texts":
        """Local: from Python byte strings."""
        length = np.fromiter(map(len, strings), np.int32, len(strings))
        return cls.packed(np.frombuffer(b"".join(strings), np.uint8), length)

    @classmethod
    def joined(cls, parts: list["Texts"]) -> "Texts":
        """Local: packed parts one after another."""
        if not parts:
            return cls.of([])
        length = np.concatenate([part.length for part in parts])
        return cls.packed(np.concatenate([part.data for part in parts]), length)

    def take(self, indices: np.ndarray) -> "Texts":
        """Local: the chosen strings, packed."""
        length = self.length[indices]
        return Texts.packed(dictionary.copy_strings(self.data, self.start[indices], length), length)

    def part(self, begin: int, end: int) -> "Texts":
        """Local: a copy of consecutive packed strings."""
        if begin == end:
            return Texts.of([])
        stop = self.start[end - 1] + self.length[end - 1]
        return Texts.packed(self.data[self.start[begin] : stop].copy(), self.length[begin:end].copy())

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
        return cls.packed(message["data"], message["length"])
