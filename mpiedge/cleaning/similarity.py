"""Similarity of two records column by column, as levels of agreement cut where the table's own chance pairs fall.

Levels follow the null of the table itself: random pairs of records tell how similar two cells are by chance, and their
upper-tail quantiles are the cut points. Equality is a level of its own, a missing side is no evidence.
"""

import copy
import itertools
from dataclasses import dataclass

import numpy as np

from mpiedge.cleaning.candidates import count_grams
from mpiedge.kernels import cosine
from mpiedge.kernels.cosine import GRAMS, UNIT, weigh_grams
from mpiedge.kernels.jaro_winkler import jaro_winkler
from mpiedge.kernels.shortened import LEFT_OUT, SHORTENED, shortened

GRAM_SIZE, GRAM_BITS = 3, 16
LONG_WORDS = 3.5  # a column with as many words a cell is compared by its grams alone
ALMOST = np.float32(0.9999)
SHORTER = {SHORTENED: np.float32(0.9), LEFT_OUT: np.float32(0.8)}  # least similarity of such texts
QUANTILES = (0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
MISSING = 255
UNKNOWN = 254
MEMO = 1 << 20  # squares of columns with few values are remembered
COUNTED = 16  # columns whose grams are counted at once
SLICE = 4096
REMEMBERED_BYTES = 4 << 20  # of the texts of a column, up to which the grams of its values are kept


@dataclass(frozen=True)
class Scale:
    """Cut points of one column: level 0 up to the median of chance, 1 below all cuts, ..., `top` equality."""

    median: np.float32
    cuts: np.ndarray  # float32, ascending

    @property
    def top(self) -> int:
        return len(self.cuts) + 2

    def levels(self, similarity: np.ndarray) -> np.ndarray:
        """Local: uint8 level of each similarity."""
        level = np.ones(len(similarity), np.uint8)
        for cut in self.cuts:  # so few that a search for each similarity takes longer
            level += similarity > cut
        level[(similarity <= self.median)] = 0
        level[similarity == 1] = self.top
        return level


def scale_of(similarity: np.ndarray) -> Scale:
    """Local: the scale of a column from the similarities of random pairs (those with both sides filled)."""
    if not len(similarity):
        return Scale(np.float32(0), np.zeros(0, np.float32))
    median, *quantiles = np.quantile(similarity, [0.5, *(1 - tail for tail in QUANTILES)], method="lower")
    quantiles = np.array(quantiles, np.float32)
    return Scale(np.float32(median), np.unique(quantiles[quantiles < ALMOST]))


class Comparison:
    """Compares cells of the columns of `records`: max(gram cosine, Jaro-Winkler), gram cosine alone in long text.
    Short texts with words shortened or left out are alike too."""

    def __init__(self, stage, records):
        """Collective: counts the grams of each column's distinct values. Messages: sums of counts, of some columns at a
        time."""
        self.records = records
        self.grams, self.scales, self._memo, self._rows = [], [], {}, {}
        for first in range(0, records.width, COUNTED):
            values = [np.arange(*span, dtype=np.int32)[:, None] for span in records.spans[first:first + COUNTED]]
            frequency = count_grams(stage, records.texts, values, GRAM_SIZE, GRAM_BITS, GRAMS)
            self.grams += [weigh_grams(found, len(distinct), GRAM_SIZE, GRAM_BITS, GRAMS)
                           for found, distinct in zip(frequency, values)]

    def of(self, records) -> "Comparison":
        """Local: the same comparison of a part of the records (`Records.some`)."""
        part = copy.copy(self)
        part.records, part._memo, part._rows = records, {}, None
        return part

    def similarity(self, column: int, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Local: float32 similarity of value numbers a and b of a column; 1 exactly where they are equal."""
        result = np.ones(len(a), np.float32)
        differ = np.flatnonzero(a != b)
        if not len(differ):
            return result
        a, b = a[differ], b[differ]
        similar = self._cosines(column, a, b) / np.float32(UNIT)
        if self.records.words[column] < LONG_WORDS:
            similar = np.maximum(similar, jaro_winkler(self.records.texts, a, b))
            unlike = np.flatnonzero(similar < max(SHORTER.values()))
            kind = shortened(self.records.texts, a[unlike], b[unlike])
            for shorter, least in SHORTER.items():
                chosen = unlike[kind == shorter]
                similar[chosen] = np.maximum(similar[chosen], least)
        result[differ] = np.minimum(similar.astype(np.float32), ALMOST)
        return result

    def _cosines(self, column: int, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Local: cosines (int32) of the grams of values of a column. Those of a smaller table are made once."""
        texts, grams = self.records.texts, self.grams[column]
        first, last = self.records.spans[column].tolist()
        if self._rows is None or texts.offsets[last] - texts.offsets[first] > REMEMBERED_BYTES:
            key, again = np.unique(a.astype(np.int64) << 32 | b, return_inverse=True)
            return cosine.pairs(texts, key[:, None] >> 32, key[:, None] & 0xFFFFFFFF, grams)[again]
        if column not in self._rows:
            values = np.arange(first, last, dtype=np.int32)[:, None]
            self._rows[column] = cosine.vectors(texts, values, grams), np.zeros(grams.in_use, np.uint16)
        rows, dense = self._rows[column]
        return cosine.dots(rows, a - first, b - first, dense)

    def pairs_similarity(self, column: int, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Local: as `similarity`, for records a and b; NaN where a side is missing."""
        return self._filled(self.similarity, column, self.records.codes[a, column], self.records.codes[b, column],
                            np.float32(np.nan))

    def all_levels(self, a: np.ndarray, b: np.ndarray):
        """Local, a generator that yields None every few milliseconds: uint8 levels (columns, pairs) of records a and b;
        MISSING where a side is."""
        levels = np.empty((self.records.width, len(a)), np.uint8)
        for start in range(0, len(a), SLICE):
            chosen = slice(start, start + SLICE)
            self.records.room.relax()
            left, right = self.records.codes[a[chosen]], self.records.codes[b[chosen]]
            for column in range(self.records.width):
                levels[column, chosen] = self._filled(self._levels, column, left[:, column], right[:, column],
                                                      np.uint8(MISSING))
                yield
        return levels

    def _filled(self, measure, column: int, left: np.ndarray, right: np.ndarray, missing) -> np.ndarray:
        """What `measure` says of values where both sides have one, else `missing`; the lower number first, so that the
        order of two records changes nothing."""
        result = np.full(len(left), missing)
        filled = np.flatnonzero((left >= 0) & (right >= 0))
        left, right = left[filled], right[filled]
        result[filled] = measure(column, np.minimum(left, right), np.maximum(left, right))
        return result

    def _levels(self, column: int, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Local: uint8 levels of values a and b of a column."""
        base, end = self.records.spans[column].tolist()
        size, scale = end - base, self.scales[column]
        if size * size > MEMO:
            return scale.levels(self.similarity(column, a, b))
        if column not in self._memo:
            self._memo[column] = np.full(size * size, UNKNOWN, np.uint8)
        memo = self._memo[column]
        key = (a.astype(np.int64) - base) * size + b - base
        new = np.unique(key[memo[key] == UNKNOWN])
        if len(new):
            memo[new] = scale.levels(self.similarity(column, base + new // size, base + new % size))
        return memo[key]


def random_pairs(documents: int, seed: int, sources, count: int = 60_000) -> tuple[np.ndarray, np.ndarray]:
    """Local: `count` random pairs of positions (of different sources, if given); all pairs when there are no more."""
    if documents * (documents - 1) // 2 <= count:
        a, b = np.triu_indices(documents, 1)
    else:
        draw = np.random.default_rng([seed, 60_000])
        size = count if sources is None else 4 * count
        a = draw.integers(0, documents, size)
        b = (a + draw.integers(1, documents, size)) % documents
    if sources is not None:
        apart = sources[a] != sources[b]
        a, b = a[apart][:count], b[apart][:count]
    return a.astype(np.int32), b.astype(np.int32)


def compare_random(stage, comparison: Comparison, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Collective: sets the scales of `comparison` from random pairs of records; returns their levels on every rank.

    Messages: the similarities of all pairs in a column to one rank each (4 bytes a pair and column), their levels to
    every rank (1 byte).
    """
    columns, step = comparison.records.width, 8192

    def work(task):
        column, start = task
        parts = []
        for piece in range(start, min(start + step, len(a)), SLICE):
            chosen = slice(piece, min(piece + SLICE, start + step))
            parts.append(comparison.pairs_similarity(column, a[chosen], b[chosen]))
            yield
        return {"similarity": np.concatenate(parts)}

    tasks = [(column, start) for start in range(0, len(a), step) for column in range(columns)]  # alike for all ranks
    sent: list[list] = [[] for _ in range(stage.world.size)]
    for task, message in stage.queue.run(tasks, work, name="chance pairs", kept="chance"):
        sent[task[0] % len(sent)].append([list(task), message["similarity"]])
    own: dict[int, list[np.ndarray]] = {column: [] for column in range(stage.world.rank, columns, len(sent))}
    for (column, _), part in sorted(itertools.chain(*stage.world.alltoall(sent)), key=lambda pair: pair[0]):
        own[column].append(part)
    scales, levels = {}, np.empty((columns, len(a)), np.uint8)
    for message in stage.world.allgather([_chance_of(column, parts) for column, parts in own.items()]):
        for one in message:
            scales[one["column"]] = Scale(one["scale"][0], one["scale"][1:])
            levels[one["column"]] = one["levels"]
    comparison.scales = [scales[column] for column in range(columns)]
    return levels


def _chance_of(column: int, similarities: list[np.ndarray]) -> dict:
    """Local: the scale of a column from the similarities of random pairs, and their levels."""
    values = np.concatenate([np.zeros(0, np.float32), *similarities])
    filled = ~np.isnan(values)
    scale, levels = scale_of(values[filled]), np.full(len(values), MISSING, np.uint8)
    levels[filled] = scale.levels(values[filled])
    return {"column": column, "scale": np.append(scale.median, scale.cuts), "levels": levels}
