"""Turns typed columns into sparse features: words, values and where numbers lie, the same for old and new rows.

In two passes over the chunks of a table, each chunk alone: first what the columns look like (`survey`, merged in chunk
order), from which `plan_encoder` decides, then `Encoder.encode`.
"""

import re
from collections import Counter
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from hashlib import blake2b
from itertools import chain
from operator import itemgetter

import numpy as np

from mpiedge.graph.sparse import SparseRows, from_triplets, gather_positions, offsets

MOST_TOKENS = 4096  # of one block's vocabulary, the most frequent first
SURVEY_TOKENS = 50_000  # distinct tokens of a block counted before rare ones are forgotten
CHUNK_TOKENS = 8192  # of a column in the survey of one chunk, the most frequent first
FEW_VALUES = 20  # whole numbers with no more different values are categories
MOSTLY_REPEATED = 0.5  # single words are categories when at least this share of the cells repeats; else they are codes
INTERVALS = 16  # of a number, with about as many rows in each
CHUNK_POINTS = 257  # of a chunk's numbers, evenly spaced in their order
MOST_POINTS, FEWER_POINTS = 8192, 2048  # of all chunks together, and what is left of more
WORD = re.compile(r"\w+")
SEPARATOR = re.compile(r"[\s,;|]")


@dataclass
class Survey:
    """What a table's columns hold. Per column: rows present, document counts of words (text only) and of
    whole values (the frequent ones, where there are very many); spread: numbers, or some of them, and how many each
    stands for (k, 2); marks: 64-bit digests of the cells of columns that may be keys, None once a value was seen twice
    in a chunk."""

    rows: int = 0
    present: dict[str, int] = field(default_factory=dict)
    word_counts: dict[str, Counter] = field(default_factory=dict)
    value_counts: dict[str, Counter] = field(default_factory=dict)
    spread: dict[str, np.ndarray] = field(default_factory=dict)
    marks: dict[str, np.ndarray | None] = field(default_factory=dict)

    def merge(self, other: "Survey") -> None:
        """Adds the survey of the next chunk."""
        self.rows += other.rows
        for name in other.present:
            self.present[name] = self.present.get(name, 0) + other.present[name]
            for kept, added in ((self.word_counts, other.word_counts), (self.value_counts, other.value_counts)):
                kept.setdefault(name, Counter()).update(added[name])
                if len(kept[name]) > SURVEY_TOKENS:
                    kept[name] = capped(kept[name], SURVEY_TOKENS // 2)
            mine, theirs = self.marks.get(name, np.zeros(0, np.uint64)), other.marks[name]
            self.marks[name] = None if mine is None or theirs is None else np.concatenate([mine, theirs])
            spread = np.concatenate([self.spread.get(name, np.zeros((0, 2))), other.spread[name]])
            self.spread[name] = _thinned(spread, FEWER_POINTS) if len(spread) > MOST_POINTS else spread

    def distinct(self, name: str) -> int:
        """Number of different values of a column (a lower bound for very many)."""
        return len(self.value_counts[name])

    def names_rows(self, name: str) -> bool:
        """Whether the column is filled and different in every row, as far as 64-bit digests can tell."""
        marks = self.marks[name]
        return marks is not None and len(marks) == self.rows > 0 and len(np.unique(marks)) == self.rows

    def repeats(self, name: str) -> bool:
        """Whether at least half of the filled rows have a value that an earlier row has, too."""
        return 2 * sum(count - 1 for count in self.value_counts[name].values()) >= self.present[name]

    def is_phrase(self, name: str) -> bool:
        """Whether most values of a text column are several words (codes such as 10-20-a are not)."""
        values = self.value_counts[name]
        return 2 * sum(1 for value in values if SEPARATOR.search(value)) > len(values)

    def to_message(self) -> dict:
        """As a message."""
        return vars(self)

    @classmethod
    def from_message(cls, message: dict) -> "Survey":
        """The survey in a message."""
        survey = cls(**message)
        survey.word_counts = {name: Counter(counts) for name, counts in survey.word_counts.items()}
        survey.value_counts = {name: Counter(counts) for name, counts in survey.value_counts.items()}
        return survey


def survey(kinds: dict[str, str], chunk: dict[str, np.ndarray]) -> Survey:
    """Local: what one chunk holds, of its words and values at most CHUNK_TOKENS each, so that surveys stay small.

    kinds: name -> text, integer, decimal, date or boolean."""
    found = Survey(rows=len(next(iter(chunk.values()), ())))
    for name, kind in kinds.items():
        texts = as_text(chunk[name])
        filled = [text for text in texts if text]
        values = Counter(filled)
        found.present[name] = len(filled)
        found.word_counts[name] = capped(_words_of(values) if kind == "text" else Counter(), CHUNK_TOKENS)
        found.value_counts[name] = capped(values, CHUNK_TOKENS)
        may_be_key = kind == "integer" or (kind == "text" and not found.is_phrase(name))
        found.marks[name] = digests(texts) if may_be_key and len(values) == len(texts) else None
        numbers = as_number(kind, chunk[name])
        numbers = numbers[np.isfinite(numbers)]
        found.spread[name] = _thinned(np.column_stack([numbers, np.ones(len(numbers))]), CHUNK_POINTS)
    return found


def _words_of(values: Counter) -> Counter:
    """Local: in how many cells each word stands, of different values and how often each is there."""
    once = (dict.fromkeys(tokens(value)) for value, count in values.items() if count == 1)
    words = Counter(chain.from_iterable(once))
    for value, count in values.items():
        for word in dict.fromkeys(tokens(value)) if count > 1 else ():
            words[word] += count
    return words


def _thinned(spread: np.ndarray, most: int) -> np.ndarray:
    """Local: at most so many points, ascending, with the lowest and the highest; each stands for as many numbers."""
    spread = spread[np.lexsort(spread.T[::-1])]
    if len(spread) <= most:
        return spread
    total = spread[:, 1].sum()
    at = np.searchsorted(np.cumsum(spread[:, 1]), (np.arange(most) + 0.5) / most * total)
    at[[0, -1]] = 0, len(spread) - 1
    return np.column_stack([spread[at, 0], np.full(most, total / most)])


def edges_of(spread: np.ndarray) -> list[float]:
    """Local: the ends of INTERVALS intervals with about as many numbers in each, fewer where numbers repeat."""
    if not len(spread):
        return []
    values, weights = spread[np.argsort(spread[:, 0], kind="stable")].T
    at = np.searchsorted(np.cumsum(weights), np.linspace(0, weights.sum(), INTERVALS + 1)).clip(max=len(values) - 1)
    return (2 * np.unique(values[at] / 2)).tolist()  # apart by more than nothing when halved, as `Encoder` does


def digests(texts: list[str]) -> np.ndarray:
    """64-bit digests of texts (uint64), the same on every host."""
    return np.frombuffer(b"".join(blake2b(text.encode(), digest_size=8).digest() for text in texts), "<u8")


def tokens(text: str) -> list[str]:
    """The words of a text in lower case."""
    return WORD.findall(text.casefold())


def as_text(values: np.ndarray) -> list[str]:
    """Cells as text, "" where missing; whole numbers without a decimal point."""
    if values.dtype.kind in "OSU":
        return list(map(str, values.tolist()))
    if values.dtype.kind == "f":
        return ["" if not np.isfinite(value) else str(int(value)) if value.is_integer() else repr(value)
                for value in values.tolist()]
    return [str(value) for value in values.tolist()]


def as_number(kind: str, values: np.ndarray) -> np.ndarray:
    """Cells as float64: numbers as they are, dates as days since 1970-01-01, NaN where missing or neither."""
    if kind in ("integer", "decimal"):
        if values.dtype.kind in "iuf":
            return values.astype(np.float64)
        return np.array([_float(text) for text in values.tolist()], np.float64)
    if kind == "date":
        return np.array([_days(text) for text in values.tolist()], np.float64)
    return np.full(len(values), np.nan)


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan


@lru_cache(maxsize=1 << 14)
def _days(text: str) -> float:
    try:
        return np.datetime64(text[:19], "s").astype(np.int64) / 86400 if text else np.nan
    except ValueError:
        return np.nan


def capped(counts: Counter, limit: int) -> Counter:
    """The `limit` most frequent entries, ties by name, in no order: only those at the edge are compared by name."""
    if len(counts) <= limit:
        return counts
    least = int(np.partition(np.fromiter(counts.values(), np.int64, len(counts)), -limit)[-limit])
    kept = Counter({name: count for name, count in counts.items() if count > least})
    ties = sorted(name for name, count in counts.items() if count == least)
    kept.update(dict.fromkeys(ties[: limit - len(kept)], least))
    return kept


def _most_frequent(counts: Counter, limit: int) -> list[tuple[str, int]]:
    """The `limit` most frequent entries, ties by name."""
    return sorted(sorted(counts.items()), key=itemgetter(1), reverse=True)[:limit]  # equal ones stay in order


@dataclass
class Block:
    """Columns that are encoded alike. kind: words, values or number; vocabulary, weights: of its tokens; edges: of the
    intervals of a number."""

    kind: str
    columns: list[str]
    vocabulary: list[str] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    edges: list[float] = field(default_factory=list)

    @property
    def width(self) -> int:
        """Number of features."""
        return max(len(self.edges) - 1, 0) if self.kind == "number" else len(self.vocabulary)

    @property
    def many(self) -> bool:
        """Whether a row may have any number of its tokens."""
        return self.kind == "words" or len(self.columns) > 1


@dataclass
class Encoder:
    """How rows become features. kinds: of the columns used; blocks: in feature order."""

    kinds: dict[str, str]
    blocks: list[Block]

    @property
    def columns(self) -> int:
        """Number of features."""
        return sum(block.width for block in self.blocks)

    def encode(self, chunk: dict[str, np.ndarray]) -> SparseRows:
        """Local: features of a chunk's rows, each row scaled to length 1 at the end.

        Of a number how much of each interval lies below it (piecewise linear, Gorishniy et al. 2022), of a missing one
        as of the middle, in all of length 1 at most; 1 for a value; words and values of several columns are weighted,
        those of a row on average by 1. Missing or unknown words and values give no entry."""
        rows = len(next(iter(chunk.values()), ()))
        entries, start, squares, counts = [], 0, np.zeros(rows), np.zeros(rows)
        for block in self.blocks:
            entries.append((self._number if block.kind == "number" else self._tokens)(block, chunk, start))
            start += block.width
            if block.many:
                squares += np.bincount(entries[-1][0], entries[-1][2] ** 2, rows)
                counts += np.bincount(entries[-1][0], minlength=rows)
        for block, (rows_of, _, values) in zip(self.blocks, entries):
            if block.many:
                values *= np.sqrt(counts[rows_of] / squares[rows_of])
        rows_of, columns, values = (np.concatenate([entry[part] for entry in entries]) for part in range(3))
        return from_triplets(rows_of, columns, values, (rows, start)).normalised()

    def _number(self, block: Block, chunk: dict, start: int):
        numbers = as_number(self.kinds[block.columns[0]], chunk[block.columns[0]])
        numbers = np.where(np.isfinite(numbers), numbers, np.nan)
        halves = np.array(block.edges) / 2  # whose differences are no larger than a float can be
        below = ((numbers[:, None] / 2 - halves[:-1]) / np.diff(halves)).clip(0, 1) / np.sqrt(INTERVALS)
        below[np.isnan(numbers)] = (np.arange(block.width) < block.width // 2) / np.sqrt(INTERVALS)
        rows, intervals = np.nonzero(below)
        return rows, start + intervals, below[rows, intervals]

    def _tokens(self, block: Block, chunk: dict, start: int):
        place = {token: number for number, token in enumerate(block.vocabulary)}
        rows, found = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for name in block.columns:
            texts = as_text(chunk[name])
            number = {text: i for i, text in enumerate(dict.fromkeys(texts))}
            groups = [[place[token] for token in (tokens(text) if block.kind == "words" else (text,)) if token in place]
                      for text in number]
            cells = np.fromiter(map(number.__getitem__, texts), np.int64, len(texts))
            lengths = np.fromiter(map(len, groups), np.int64, len(groups))
            known = np.fromiter(chain.from_iterable(groups), np.int64, int(lengths.sum()))
            taken, positions = gather_positions(offsets(lengths), cells)
            rows.append(np.repeat(np.arange(len(texts)), np.diff(taken)))
            found.append(known[positions])
        # A token counts once per row, in however many columns of the block.
        cells = np.unique(np.concatenate(rows) * block.width + np.concatenate(found))
        cells = np.stack(np.divmod(cells, block.width), axis=1)
        weights = np.array(block.weights, np.float64)[cells[:, 1]] if block.many else np.ones(len(cells))
        return cells[:, 0], start + cells[:, 1], weights

    def describe(self) -> list[str]:
        """One phrase per block, for people."""
        phrases = []
        for block in self.blocks:
            names = block.columns[0] if len(block.columns) == 1 else f"{block.columns[0]}..{block.columns[-1]}"
            phrases.append(f"{names} {block.kind} {block.width:,}")
        return phrases

    def to_message(self) -> dict:
        """As a message or JSON."""
        return {"kinds": self.kinds, "blocks": [asdict(block) for block in self.blocks]}

    @classmethod
    def from_message(cls, message: dict) -> "Encoder":
        """The encoder in a message."""
        return cls(message["kinds"], [Block(**block) for block in message["blocks"]])


def plan_encoder(kinds: dict[str, str], found: Survey) -> Encoder:
    """Local: decides the features. kinds: candidate columns in table order (no id, no key, not the label).

    Text of several words -> its words; other text, booleans and whole numbers of few values -> whole values; numbers
    and dates -> intervals. Columns numbered alike (keyword_1, keyword_2) share one block and its vocabulary. Left
    out: columns that are unique or constant, single-word text that nearly never repeats.
    """
    blocks = []
    for columns in _numbered_alike(kinds):
        kind = _block_kind(kinds[columns[0]], columns, found)
        if kind == "number":
            blocks += [Block("number", [name], edges=edges_of(found.spread[name])) for name in columns]
        elif kind:
            blocks.append(_token_block(kind, columns, found))
    blocks = [block for block in blocks if block.width]
    used = {name for block in blocks for name in block.columns}
    return Encoder({name: kind for name, kind in kinds.items() if name in used}, blocks)


def _numbered_alike(kinds: dict[str, str]) -> list[list[str]]:
    """Columns grouped by (name without its closing number, kind), text only; others alone."""
    groups: dict[tuple, list[str]] = {}
    for name, kind in kinds.items():
        stem = re.sub(r"[\W_]*\d+$", "", name)
        groups.setdefault((stem, kind) if kind == "text" and stem else (name, kind, name), []).append(name)
    return list(groups.values())


def _block_kind(kind: str, columns: list[str], found: Survey) -> str | None:
    present = sum(found.present[name] for name in columns)
    values = Counter()
    for name in columns:
        values.update(found.value_counts[name])
    if len(values) < 2 or not present:
        return None
    if kind == "text":
        if any(map(found.is_phrase, columns)) and len(values) > FEW_VALUES:
            return "words"
        repeated = sum(count for _, count in _most_frequent(values, MOST_TOKENS) if count > 1)
        return "values" if repeated >= MOSTLY_REPEATED * present else None
    if kind == "boolean":
        return "values"
    return "values" if kind == "integer" and len(values) <= FEW_VALUES else "number"


def _token_block(kind: str, columns: list[str], found: Survey) -> Block:
    """Tokens of at least two rows, the most frequent first, weighted by ln((1 + rows) / (1 + rows with it)) + 1."""
    counts = Counter()
    for name in columns:
        counts.update(found.word_counts[name] if kind == "words" else found.value_counts[name])
    kept = [(token, count) for token, count in _most_frequent(counts, MOST_TOKENS) if count >= min(2, found.rows)]
    weights = [float(np.log((1 + found.rows) / (1 + min(count, found.rows))) + 1) for _, count in kept]
    return Block(kind, columns, [token for token, _ in kept], weights)
