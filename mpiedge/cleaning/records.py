"""A table as numbered distinct values: every comparison is of two values, and equal values are compared once."""

import hashlib
import re
from dataclasses import dataclass, field

import numpy as np

from mpiedge.cleaning.room import Room, runs
from mpiedge.kernels.cosine import Texts

LEAST_FILL = 0.02  # a column filled in fewer rows tells too little
DIGEST_BYTES = 16
PIECE = 16384
ODD = "surrogatepass"  # halves of a character pair, left by a broken encoding, are cells like others
TEXTS = ("length", "text", "code")
CELLS_PER_PASS = 4_000_000  # a larger table is read several times, some columns each time
CHUNKS_AT_ONCE = 32
VALUES_LOOKED_AT = 20_000
WORD = re.compile(r"[^\W\d_]{3}")
MEASURED = re.compile(r"(?:[0-9]{1,3}(?: [0-9]{3})+|[0-9]+)\.[0-9]+")  # a comma between thousands is a blank here
FRACTION = re.compile(r".*\.[0-9]*[1-9][0-9]*")
LEAST_FRACTIONS = 0.25  # of the numbers of a measured column: others are whole numbers written with a point
UNWORDED = re.compile(r"[^\w.@]+")


@dataclass
class Records:
    """The columns used for comparison, within reach of every rank; large tables lie in mapped files (`room`).

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
    room: Room
    _forms: dict = field(default_factory=dict)  # what `worded` and `measured` have found

    @property
    def rows(self) -> int:
        return len(self.codes)

    def mean_bytes(self) -> float:
        """Local: what a record takes alone, if all values of a column are as frequent."""
        first, last = self.spans.T
        return float(((self.texts.offsets[last] - self.texts.offsets[first]) / (last - first) + 12).sum())

    def values_of(self, rows: np.ndarray) -> "Rows":
        """Local: value numbers of some rows, looked up when they are needed."""
        return Rows(self.codes, rows, self.room)

    @property
    def width(self) -> int:
        return len(self.names)

    def without(self, columns: list[int]) -> "Records":
        """Local: the same records without some columns (values keep their numbers)."""
        kept = [column for column in range(self.width) if column not in columns]
        return Records([self.names[column] for column in kept], self.texts, self.spans[kept],
                       self.room.copy(self.codes, kept), self.words[kept], self.fill[kept], self.dropped, self.room)

    def some(self, rows: np.ndarray):
        """Local, a generator that yields None every few milliseconds: these rows (distinct, ascending) alone, with only
        their values, in memory. A large table is read from its beginning to its end, each page once.
        """
        codes = np.empty((len(rows), self.width), np.int32)
        for start in range(0, len(rows), PIECE):
            self.room.relax()
            codes[start:start + PIECE] = self.codes[rows[start:start + PIECE]]
            yield
        used = np.unique(codes[codes >= 0])
        sizes, parts = np.empty(len(used), np.int64), [np.zeros(0, np.uint8)]
        for start in range(0, len(used), PIECE):
            self.room.relax()
            values = used[start:start + PIECE]
            begin = self.texts.offsets[values]
            sizes[start:start + PIECE] = self.texts.offsets[values + 1] - begin
            parts.append(_cut_out(self.texts.text, begin, sizes[start:start + PIECE]))
            yield
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        codes = np.where(codes >= 0, np.searchsorted(used, codes), -1).astype(np.int32)
        return Records(self.names, Texts(np.concatenate(parts), offsets), np.searchsorted(used, self.spans), codes,
                       self.words, self.fill, self.dropped, self.room)

    def look(self, queue) -> None:
        """Collective: all columns are judged by `worded` and `measured`, each by one rank. Messages: what it found."""
        def work(task):
            values = self._some(task[0])
            return {"forms": np.array([judge(values) for judge in JUDGES])}

        sizes = np.minimum(np.diff(self.spans, axis=1)[:, 0], VALUES_LOOKED_AT)
        mine = queue.own([(column,) for column in range(self.width)], lambda task: sizes[task[0]])
        for (column,), message in queue.gather([(task, work(task)) for task in mine]):
            self._forms.update(((column, judge), bool(said)) for judge, said in zip(JUDGES, message["forms"]))

    def worded(self, column: int) -> bool:
        """Local: whether most distinct values of a column hold a word of three letters: names, not numbers or dates."""
        return self._remembered(column, _worded)

    def measured(self, column: int) -> bool:
        """Local: whether most distinct values of a column are numbers with a fraction: sizes or prices, not numbers
        that only name the record."""
        return self._remembered(column, _measured)

    def _remembered(self, column: int, judge) -> bool:
        if (column, judge) not in self._forms:
            self._forms[column, judge] = judge(self._some(column))
        return self._forms[column, judge]

    def _some(self, column: int) -> list[str]:
        """Local: distinct values of a column, evenly spaced where there are many."""
        first, last = self.spans[column].tolist()
        return self.strings(np.linspace(first, last - 1, min(last - first, VALUES_LOOKED_AT)).astype(np.int64))

    def strings(self, values: np.ndarray) -> list[str]:
        """Local: the texts of value numbers."""
        buffer, offsets = self.texts.text, self.texts.offsets
        starts, stops = offsets[values].tolist(), offsets[np.asarray(values) + 1].tolist()
        whole = memoryview(buffer)
        return [str(whole[start:stop], "utf-8", ODD) for start, stop in zip(starts, stops)]


class Rows:
    """Value numbers of chosen rows, int32 (len, columns), read on indexing: no copy of the table."""

    def __init__(self, codes: np.ndarray, rows: np.ndarray, room: Room):
        self.codes, self.rows, self.room = codes, rows, room

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, chosen) -> np.ndarray:
        self.room.relax()
        return self.codes[self.rows[chosen]]


def _worded(values: list[str]) -> bool:
    return 2 * sum(bool(WORD.search(value)) for value in values) >= len(values)


def _measured(values: list[str]) -> bool:
    numbers = [value for value in values if MEASURED.fullmatch(value)]
    fractions = sum(bool(FRACTION.fullmatch(number)) for number in numbers)
    return 2 * len(numbers) >= len(values) and fractions >= LEAST_FRACTIONS * len(numbers)


JUDGES = (_worded, _measured)


def normalise(text: str) -> str:
    """Lower case; every run of characters other than letter, digit, underscore, `.`, `@` becomes one blank; trimmed."""
    return UNWORDED.sub(" ", text.lower()).strip()


def read_records(stage, table, names: list[str], source_column: str | None):
    """Collective: reads every chunk once. Messages: the distinct values of each chunk to every rank.

    Returns (Records of the columns `names` that are worth comparing, sources as uint8 (rows,) or None, digests: this
    rank's [(first row, uint8 (rows, 16))] of the chunks it read, over `names`).
    """
    starts = np.concatenate([[0], np.cumsum(table.chunk_rows)]).astype(np.int64)
    chunks = [(chunk,) for chunk in range(len(table.chunk_rows))]
    columns = _Columns(stage.world, names, table.chunk_rows, Room(stage))
    step = max(CELLS_PER_PASS // max(table.rows, 1), 1)
    digests, sources = [], None
    for first in range(0, max(len(names), 1), step):
        passed = range(first, min(first + step, len(names)))

        def work(task, passed=passed, first=first):
            (chunk,) = task
            extra = [source_column] if source_column is not None and first == 0 else []
            wanted = [*(names if first == 0 else [names[number] for number in passed]), *extra]
            cells = {name: _texts(array) for name, array in table.read(chunk, wanted).items()}
            yield
            message = {}
            if first == 0:
                message["digest"] = row_digests([cells[name] for name in names], table.chunk_rows[chunk])
                yield
            for number in passed:
                message.update({f"{number}_{key}": array for key, array in _encode(cells[names[number]]).items()})
                yield
            if extra:
                message.update({f"source_{key}": array for key, array in _encode(cells[source_column], str).items()})
            return message

        results = stage.queue.run(chunks, work, name="reading records", kept=f"records {first} {step}")
        if first == 0:
            digests = [(int(starts[chunk]), message.pop("digest")) for (chunk,), message in results]
            if source_column is not None:
                keys = ["source_" + key for key in ("hash", *TEXTS)]
                sources = _source_codes([_unnamed(part, "source_") for part in _gathered(stage, results, keys)])
        columns.add(stage, results, passed)
        del results, work
    return columns.records(), sources, digests


def _gathered(stage, results, keys: list[str], chunks=None, everywhere: bool = True) -> list[dict]:
    """Collective: some of what is known of the encoded chunks (all, or a range of them) of all ranks, in order; it
    leaves `results`. Where it is not needed everywhere, the first rank of each host alone gets it."""
    mine = [(task, {key: message.pop(key) for key in keys}) for task, message in results
            if chunks is None or task[0] in chunks]
    return [message for _, message in (stage.queue.gather if everywhere else stage.queue.gather_hosts)(mine)]


def _unnamed(part: dict, prefix: str) -> dict:
    """Local: the texts of a column of a chunk, which leave it."""
    return {key: part.pop(prefix + key) for key in TEXTS}


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
    """Numbers each column's values in order of their first occurrence; keeps columns worth comparing. Of the ranks of a
    host one does so for all.

    Two different values with one 64-bit hash would be taken as equal: below 1e-6 for a million values.
    """

    def __init__(self, world, names: list[str], chunk_rows: list[int], room: Room):
        self.world, self.shared = world, world.size > 1 and world.node_size > 1
        self.leads = not self.shared or world.node_rank == 0
        self.names, self.chunk_rows, self.rows, self.room = names, chunk_rows, sum(chunk_rows), room
        self.dropped, self.kept, self.words, self.fill, self.spans = {}, [], [], [], []
        self.number = self.values = 0
        self.text, self.offsets = room.file(np.uint8), room.file(np.int64)
        self.offsets.write(np.zeros(1, np.int64))
        shape = (self.rows, len(names))
        self.codes = room.together(world, shape, np.int32) if self.shared else room.array(shape, np.int32)

    def add(self, stage, results, numbers) -> None:
        """Collective: the next columns. Messages: the hashes of their chunks' values and the texts, of some columns at
        once if these are short, else of one and some of its chunks at a time, so that no rank holds a column twice."""
        sizes = np.zeros((len(numbers), len(self.chunk_rows)), np.int64)
        for (chunk,), message in results:
            sizes[:, chunk] = [sum(message[f"{number}_{key}"].nbytes for key in ("hash", *TEXTS)) for number in numbers]
        sizes = stage.world.sum(sizes).sum(axis=1).tolist()
        for first, last in runs(sizes, self.room.round_bytes):
            if sizes[first] > self.room.round_bytes:
                prefix = f"{numbers[first]}_"
                hashes = [part[prefix + "hash"] for part in _gathered(stage, results, [prefix + "hash"], None, False)]
                self._add(hashes, self._texts(stage, results, prefix))
                continue
            prefixes = [f"{number}_" for number in numbers[first:last]]
            keys = [prefix + key for prefix in prefixes for key in ("hash", *TEXTS)]
            parts = _gathered(stage, results, keys, None, False)
            for prefix in prefixes:
                self._add([part.pop(prefix + "hash") for part in parts], (_unnamed(part, prefix) for part in parts))

    def _texts(self, stage, results, prefix: str):
        """Collective, a generator: the texts of a column, chunk by chunk. Messages: those of some chunks at a time."""
        for first in range(0, len(self.chunk_rows), CHUNKS_AT_ONCE):
            span = range(first, min(first + CHUNKS_AT_ONCE, len(self.chunk_rows)))
            for part in _gathered(stage, results, [prefix + key for key in TEXTS], span, False):
                yield _unnamed(part, prefix)

    def _add(self, hashes: list[np.ndarray], texts) -> None:
        """Local, but for what the generator `texts` does: the next column of hashes and texts, chunk by chunk."""
        if not self.leads:
            for _ in texts:
                pass
            return
        name = self.names[self.number]
        self.number += 1
        base = np.cumsum([0, *map(len, hashes)])
        hashes = np.concatenate([np.zeros(0, np.uint64), *hashes])
        _, chosen, renumber = np.unique(hashes, return_index=True, return_inverse=True)
        del hashes
        place = np.empty(len(chosen), np.int32)
        place[np.argsort(chosen)] = np.arange(len(chosen), dtype=np.int32)
        renumber = place[renumber]
        new = np.zeros(len(renumber) + 1, bool)
        new[chosen] = True
        column = len(self.kept)
        worth, count, blanks = len(chosen) > 1, np.zeros(len(chosen), np.int64), [np.zeros(0, np.int32)]
        at, end, mark = 0, self.text.length, (self.text.length, self.offsets.length)
        for chunk, part in enumerate(texts):
            code = np.append(renumber[base[chunk]:base[chunk + 1]], np.int32(-1))[part["code"]]
            count += np.bincount(code[code >= 0], minlength=len(chosen))
            if worth:
                self.codes[at:at + len(code), column] = np.where(code >= 0, code + np.int32(self.values), code)
                fresh = np.flatnonzero(new[base[chunk]:base[chunk + 1]])
                text = _take(part["text"], part["length"], fresh)
                length = part["length"][fresh].astype(np.int64)
                self.text.write(text)
                self.offsets.write(end + np.cumsum(length))
                blanks.append(np.add.reduceat(text == ord(" "), np.cumsum(length) - length, dtype=np.int32)
                              if len(length) else blanks[0])
                end += int(length.sum())
            at += len(code)
        share = float(count.sum() / self.rows) if self.rows else 0.0
        if not worth or share <= LEAST_FILL:
            self.dropped[name] = ("almost empty", "constant")[len(chosen) == 1] if len(chosen) else "empty"
            self.text.cut(mark[0])
            self.offsets.cut(mark[1])
            return
        self.words.append(float((count * (np.concatenate(blanks) + 1)).sum() / count.sum()))
        self.fill.append(share)
        self.kept.append(name)
        self.spans.append((self.values, self.values + len(chosen)))
        self.values += len(chosen)

    def records(self) -> Records:
        """Collective over the ranks of a host: all columns together."""
        text, offsets = self.text.array(), self.offsets.array()
        about = {"names": self.kept, "dropped": self.dropped, "spans": np.array(self.spans, np.int64),
                 "words": np.array(self.words), "fill": np.array(self.fill), "sizes": [len(text), len(offsets)]}
        if self.shared:
            about = self.world.node_bcast(about)
            text, offsets = (self._together(array, size) for array, size in zip((text, offsets), about["sizes"]))
        kept = len(about["names"])
        codes = self.codes if kept == len(self.names) else self.codes[:, :kept]
        return Records(about["names"], Texts(text, offsets), about["spans"].reshape(-1, 2), codes, about["words"],
                       about["fill"], about["dropped"], self.room)

    def _together(self, array: np.ndarray, size: int) -> np.ndarray:
        """Collective over the ranks of a host: the leading rank's array of that size, held together."""
        whole = self.room.together(self.world, (size,), array.dtype)
        if self.leads:
            whole[:] = array
        self.world.node_barrier()
        return whole


def _take(text: np.ndarray, length: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """The bytes of the chosen values of a chunk one after the other."""
    start = np.concatenate([[0], np.cumsum(length, dtype=np.int64)])
    pieces = [np.zeros(0, np.uint8)]
    for piece in range(0, len(chosen), PIECE):  # not at once: positions take eight bytes a byte
        values = chosen[piece:piece + PIECE]
        pieces.append(_cut_out(text, start[values], length[values].astype(np.int64)))
    return np.concatenate(pieces)


def _cut_out(text: np.ndarray, starts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The bytes text[start:start + size], one after the other."""
    ends = np.cumsum(sizes)
    within = np.arange(sizes.sum()) - np.repeat(ends - sizes, sizes)
    return text[np.repeat(starts, sizes) + within]


def _source_codes(chunks: list[dict]) -> np.ndarray:
    """Sources numbered in order of their names (a missing source is one of its own; the 256th and later are one)."""
    flat = []
    for part in chunks:
        ends = np.cumsum(part["length"])
        names = [part["text"][end - size:end].tobytes() for end, size in zip(ends, part["length"])]
        flat += [names[code] if code >= 0 else b"" for code in part["code"]]
    known = {name: number for number, name in enumerate(sorted(set(flat)))}
    return np.array([min(known[name], 255) for name in flat], np.uint8)
