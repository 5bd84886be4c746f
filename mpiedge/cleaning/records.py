"""A table as numbered distinct values: every comparison is of two values, and equal values are compared once."""

import hashlib
import re
from dataclasses import dataclass

import numpy as np

from mpiedge.kernels.cosine import Texts

LEAST_FILL = 0.02  # a column filled in fewer rows tells too little
DIGEST_BYTES = 16
PIECE = 16384
ODD = "surrogatepass"  # halves of a character pair, left by a broken encoding, are cells like others
ENCODED = ("hash", "length", "text", "code")
WORD = re.compile(r"[^\W\d_]{3}")
FRACTION = re.compile(r"[0-9]+\.[0-9]*[1-9][0-9]*")
UNWORDED = re.compile(r"[^\w.@]+")


@dataclass
class Records:
    """The columns used for comparison, replicated on every rank.

    names: columns in table order; texts: all distinct values, column after column; spans: int64 (columns, 2), first and
    last + 1 value number of each column; codes: int32 (rows, columns) value number, -1 where missing; words:
    mean number of words of each column's cells; fill: share of rows filled; dropped: {column: why it is not used}.
    """

    names: list[str]
    texts: Texts
    spans: np.ndarray
    codes: np.ndarray
    words: np.ndarray
    fill: np.ndarray
    dropped: dict[str, str]

    @property
    def rows(self) -> int:
        return len(self.codes)

    @property
    def width(self) -> int:
        return len(self.names)

    def without(self, columns: list[int]) -> "Records":
        """Local: the same records without some columns (values keep their numbers)."""
        kept = [column for column in range(self.width) if column not in columns]
        return Records([self.names[column] for column in kept], self.texts, self.spans[kept],
                       np.ascontiguousarray(self.codes[:, kept]), self.words[kept], self.fill[kept], self.dropped)

    def worded(self, column: int) -> bool:
        """Local: whether most distinct values of a column hold a word of three letters: names, not numbers or dates."""
        values = self.strings(np.arange(*self.spans[column]))
        return 2 * sum(bool(WORD.search(value)) for value in values) >= len(values)

    def measured(self, column: int) -> bool:
        """Local: whether most distinct values of a column are numbers with a fraction: sizes or prices, not numbers
        that only name the record."""
        values = self.strings(np.arange(*self.spans[column]))
        return 2 * sum(bool(FRACTION.fullmatch(value)) for value in values) >= len(values)

    def strings(self, values: np.ndarray) -> list[str]:
        """Local: the texts of value numbers."""
        buffer, offsets = self.texts.text, self.texts.offsets
        starts, stops = offsets[values].tolist(), offsets[np.asarray(values) + 1].tolist()
        whole = memoryview(buffer)
        return [str(whole[start:stop], "utf-8", ODD) for start, stop in zip(starts, stops)]


def normalise(text: str) -> str:
    """Lower case; every run of characters other than letter, digit, underscore, `.`, `@` becomes one blank; trimmed."""
    return UNWORDED.sub(" ", text.lower()).strip()


def read_records(stage, table, names: list[str], source_column: str | None):
    """Collective: reads every chunk once. Messages: the distinct values of each chunk to every rank.

    Returns (Records of the columns `names` that are worth comparing, sources as uint8 (rows,) or None, digests: this
    rank's [(first row, uint8 (rows, 16))] of the chunks it read, over `names`).
    """
    starts = np.concatenate([[0], np.cumsum(table.chunk_rows)]).astype(np.int64)

    def work(task):
        (chunk,) = task
        wanted = names if source_column is None else [*names, source_column]
        cells = {name: _texts(array) for name, array in table.read(chunk, wanted).items()}
        yield
        message = {"digest": row_digests([cells[name] for name in names], table.chunk_rows[chunk])}
        yield
        for number, name in enumerate(names):
            message.update({f"{number}_{key}": array for key, array in _encode(cells[name]).items()})
            yield
        if source_column is not None:
            message.update({f"source_{key}": array for key, array in _encode(cells[source_column], str).items()})
        return message

    results = stage.queue.run([(chunk,) for chunk in range(len(table.chunk_rows))], work, name="reading records")
    digests = [(int(starts[chunk]), message.pop("digest")) for (chunk,), message in results]
    sources = None
    if source_column is not None:
        sources = _source_codes(_gathered(stage, results, "source_"))
    columns = _Columns(names, table.rows)
    for number in range(len(names)):  # one column at a time: no rank holds all chunks of all columns twice
        columns.add(_gathered(stage, results, f"{number}_"))
    return columns.records(), sources, digests


def _gathered(stage, results, prefix: str) -> list[dict]:
    """Collective: one column's encoded chunks of all ranks in order; they leave `results`."""
    mine = [(task, {key: message.pop(prefix + key) for key in ENCODED}) for task, message in results]
    return [message for _, message in stage.queue.gather(mine)]


def row_digests(columns: list[np.ndarray], rows: int) -> np.ndarray:
    """Local: BLAKE2b-128 of each row's cells as they are, uint8 (rows, 16)."""
    digests = bytearray()
    for cells in zip(*columns) if columns else ((),) * rows:
        digests += hashlib.blake2b("\x1f".join(cells).encode("utf-8", ODD), digest_size=DIGEST_BYTES).digest()
    return np.frombuffer(bytes(digests), np.uint8).reshape(rows, DIGEST_BYTES)


def _texts(array: np.ndarray) -> np.ndarray:
    """Cells as str: a whole number without a fraction, a missing number as ""."""
    if array.dtype.kind == "f":
        return np.array(["" if value != value else format(value, ".15g") for value in array.tolist()], object)
    return array if array.dtype.kind == "O" else np.array([str(value) for value in array.tolist()], object)


def _encode(cells: np.ndarray, form=normalise) -> dict[str, np.ndarray]:
    """Distinct values of a chunk's column: their hashes, lengths and bytes, and each row's number (-1 missing)."""
    numbers: dict[str, int] = {}
    raw = [numbers.setdefault(cell, len(numbers)) for cell in cells]
    distinct: dict[str, int] = {}
    forms = [form(cell) for cell in numbers]
    renumber = np.array([distinct.setdefault(text, len(distinct)) if text else -1 for text in forms], np.int32)
    encoded = [text.encode("utf-8", ODD) for text in distinct]
    hashes = b"".join(hashlib.blake2b(text, digest_size=8).digest() for text in encoded)
    return {"hash": np.frombuffer(hashes, "<u8"), "length": np.array([len(text) for text in encoded], np.int32),
            "text": np.frombuffer(b"".join(encoded), np.uint8),
            "code": renumber[np.array(raw, np.int64)] if len(numbers) else np.zeros(0, np.int32)}


class _Columns:
    """Numbers each column's values over all chunks (in order of their 64-bit hash); keeps columns worth comparing.

    Two different values with one 64-bit hash would be taken as equal: below 1e-6 for a million values.
    """

    def __init__(self, names: list[str], rows: int):
        self.names, self.rows, self.dropped = names, rows, {}
        self.number, self.kept, self.texts, self.lengths, self.codes, self.words, self.fill = 0, [], [], [], [], [], []

    def add(self, parts: list[dict]) -> None:
        """Local: the next column from its chunks."""
        name = self.names[self.number]
        self.number += 1
        hashes = np.concatenate([np.zeros(0, np.uint64), *(part["hash"] for part in parts)])
        _, chosen, renumber = np.unique(hashes, return_index=True, return_inverse=True)
        code, at, base = np.full(self.rows, -1, np.int32), 0, 0
        for part in parts:
            places = np.append(renumber[base:base + len(part["hash"])], -1)
            code[at:at + len(part["code"])] = places[part["code"]]
            at += len(part["code"])
            base += len(part["hash"])
        filled = code >= 0
        share = float(filled.mean()) if self.rows else 0.0
        if len(chosen) < 2 or share <= LEAST_FILL:
            self.dropped[name] = ("almost empty", "constant")[len(chosen) == 1] if len(chosen) else "empty"
            return
        length = np.concatenate([part["length"] for part in parts])
        text = _take([part["text"] for part in parts], length, chosen)
        length = length[chosen]
        count = np.bincount(code[filled], minlength=len(chosen))
        blanks = np.add.reduceat(text == ord(" "), np.cumsum(length) - length, dtype=np.int32)
        code[filled] += sum(len(lengths) for lengths in self.lengths)
        self.words.append(float((count * (blanks + 1)).sum() / count.sum()))
        self.fill.append(share)
        self.kept.append(name)
        self.texts.append(text)
        self.lengths.append(length)
        self.codes.append(code)

    def records(self) -> Records:
        """Local: all columns together; the columns are given up on the way."""
        ends = np.cumsum([len(length) for length in self.lengths], dtype=np.int64)
        starts = np.concatenate([[0], ends[:-1]]).astype(np.int64)[:len(ends)]
        offsets = np.concatenate([[0], np.cumsum(np.concatenate([np.zeros(0, np.int64), *self.lengths]))])
        codes = np.empty((self.rows, len(self.kept)), np.int32)
        for column in range(len(self.kept)):
            codes[:, column], self.codes[column] = self.codes[column], None
        text, at = np.empty(int(offsets[-1]), np.uint8), 0
        for column in range(len(self.kept)):
            part, self.texts[column] = self.texts[column], None
            text[at:at + len(part)] = part
            at += len(part)
        return Records(self.kept, Texts(text, offsets.astype(np.int64)), np.stack([starts, ends], axis=1), codes,
                       np.array(self.words), np.array(self.fill), self.dropped)


def _take(texts: list[np.ndarray], length: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """The bytes of the chosen values one after the other."""
    whole = np.concatenate(texts)
    start = np.concatenate([[0], np.cumsum(length, dtype=np.int64)])
    pieces = []
    for piece in range(0, len(chosen), PIECE):  # not at once: positions take eight bytes a byte
        values = chosen[piece:piece + PIECE]
        sizes = length[values].astype(np.int64)
        ends = np.cumsum(sizes)
        within = np.arange(ends[-1]) - np.repeat(ends - sizes, sizes)
        pieces.append(whole[np.repeat(start[values], sizes) + within])
    return np.concatenate(pieces)


def _source_codes(chunks: list[dict]) -> np.ndarray:
    """Sources numbered in order of their names (a missing source is one of its own; the 256th and later are one)."""
    flat = []
    for part in chunks:
        ends = np.cumsum(part["length"])
        names = [part["text"][end - size:end].tobytes() for end, size in zip(ends, part["length"])]
        flat += [names[code] if code >= 0 else b"" for code in part["code"]]
    known = {name: number for number, name in enumerate(sorted(set(flat)))}
    return np.array([min(known[name], 255) for name in flat], np.uint8)
