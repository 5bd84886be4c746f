"""Statistics of a column in a few megabytes, with stated errors, where its distinct values would not fit in memory.

Facts (facts.py) stay exact. The distinct values are counted by HyperLogLog, quantiles and histogram come from buckets
of numbers, frequent values and patterns from a sample of the rows. What a sketch says depends on the rows alone: ranks
may read them in any order, and merge in any order.
"""

import math

import numpy as np

from mpiedge.kernels import dictionary
from mpiedge.profiling.facts import Facts
from mpiedge.profiling.numbers import Buckets, edges_between, in_bins, positions, to_keys, to_values
from mpiedge.profiling.patterns import group_patterns, looks_like_date
from mpiedge.profiling.texts import Texts

REGISTER_BITS = 16
REGISTERS = 1 << REGISTER_BITS
LONGEST_RUN = 64 - REGISTER_BITS
STANDARD_ERROR = 1.0390 / math.sqrt(REGISTERS)
"""Of a count of distinct values, relative to it."""

MOST_BUCKETS = 1 << 16
SAMPLED_ROWS = 1 << 14
SLICE = 1 << 14
OFTEN = 10
"""A value counts as frequent when so many sampled rows have it."""

MOST_FORMS = 5
"""Different patterns that a column of dates may have."""


def mixed(numbers: np.ndarray) -> np.ndarray:
    """Local: uint64 hashed to uint64 without collisions (the finaliser of SplitMix64, Steele et al. 2014)."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))


class HyperLogLog:
    """How many different hashes there are: per register the longest run of zeros met (Flajolet et al. 2007).

    65,536 registers of a byte: so little that they need no sparse form. The estimate is Ertl's (2017): it has no bias
    to be corrected at either end of the range.
    """

    def __init__(self):
        self.registers = np.zeros(REGISTERS, np.uint8)

    def add(self, hashes: np.ndarray) -> None:
        """Local: well mixed hashes (uint64)."""
        register = (hashes >> np.uint64(LONGEST_RUN)).astype(np.int64)
        rest = hashes & np.uint64((1 << LONGEST_RUN) - 1)
        _, digits = np.frexp(rest.astype(np.float64))  # below 2^53: exact
        np.maximum.at(self.registers, register, (LONGEST_RUN + 1 - digits).astype(np.uint8))

    def estimate(self) -> float:
        """Local: the number of different hashes; the relative standard error is STANDARD_ERROR."""
        times = np.bincount(self.registers, minlength=LONGEST_RUN + 2).tolist()
        inverse = REGISTERS * _tau(1 - times[-1] / REGISTERS)
        for count in times[LONGEST_RUN:0:-1]:
            inverse = (inverse + count) / 2
        inverse += REGISTERS * _sigma(times[0] / REGISTERS)
        return REGISTERS**2 / (2 * math.log(2) * inverse)


def _sigma(share: float) -> float:
    """Local: x + the sum of x^(2^k) 2^(k-1): the registers that nothing was met for."""
    if share == 1:
        return math.inf
    weight, total, before = 1.0, share, None
    while total != before:
        share, before = share * share, total
        total, weight = total + share * weight, 2 * weight
    return total


def _tau(share: float) -> float:
    """Local: a third of 1 - x - the sum of (1 - x^(2^-k))^2 2^-k: the registers that are full."""
    if share in (0, 1):
        return 0.0
    weight, total, before = 1.0, 1 - share, None
    while total != before:
        share, before, weight = math.sqrt(share), total, weight / 2
        total -= (1 - share) ** 2 * weight
    return total / 3


class RowSample:
    """The cells of the rows with the smallest hashes of their places: a random sample without repeats."""

    def __init__(self, most: int = SAMPLED_ROWS):
        self.most = most
        self.hashes, self.texts = np.zeros(0, np.uint64), Texts.of([])

    def add(self, block: int, texts: Texts, ids: np.ndarray) -> None:
        """Local: the rows of a block of the table, whose cells are texts[ids]."""
        hashes = mixed(np.arange(len(ids), dtype=np.uint64) + (np.uint64(block) << np.uint64(32)))
        if len(self.hashes) == self.most:
            chosen = np.flatnonzero(hashes < self.hashes[-1])
        else:
            chosen = np.arange(len(hashes))
        self.merge(hashes[chosen], texts.take(ids[chosen]))

    def merge(self, hashes: np.ndarray, texts: Texts) -> None:
        """Local: other rows."""
        if not len(hashes):
            return
        hashes, texts = np.concatenate([self.hashes, hashes]), Texts.joined([self.texts, texts])
        order = np.argsort(hashes)[: self.most]
        self.hashes, self.texts = hashes[order], texts.take(order)

    def frequent(self, most: int) -> list[tuple[bytes, int]]:
        """Local: the most frequent values of the sample and how many of its rows have them, ties by the value."""
        ids, first, _ = self.texts.group()
        counts = np.bincount(ids, minlength=len(first))
        often = np.flatnonzero((counts >= OFTEN) & (self.texts.length[first] > 0))
        found = sorted(zip((-counts[often]).tolist(), self.texts.take(first[often]).tolist()))
        return [(text, -count) for count, text in found[:most]]

    def patterns(self, most: int) -> list[tuple[bytes, int]]:
        """Local: the most frequent patterns of the sample and how many of its rows have them, ties by the pattern."""
        patterns, counts = group_patterns(self.texts, np.ones(len(self.texts), np.int64), SLICE)
        found = sorted(zip((-counts).tolist(), patterns.tolist()))
        return [(text, -count) for count, text in found[:most]]

    @property
    def repeats(self) -> bool:
        """Whether two rows of the sample have the same value."""
        return len(self.texts.group()[1]) < len(self.texts)

    def scaled(self, count: int, rows: int) -> int:
        """Local: in how many of all rows a thing is expected that so many of the sample have."""
        return round(count * rows / max(len(self.hashes), 1))


def standard_error(taken: int, rows: int) -> float:
    """Local: of a number of rows judged from a sample of them, the largest there is: that of half of the rows."""
    return rows / 2 * math.sqrt((rows - taken) / max(taken * (rows - 1), 1))


class ColumnSketch:
    """What is kept of a column instead of its values; rows are added block by block, on any rank."""

    def __init__(self, may_be_numbers: bool):
        self.facts = Facts(may_be_numbers)
        self.distinct, self.sample, self.buckets = HyperLogLog(), RowSample(), Buckets(MOST_BUCKETS)
        self.forms: set[bytes] | None = set()  # the patterns of all cells as long as they are those of dates

    def add(self, block: int, texts: Texts, ids: np.ndarray) -> None:
        """Local: the rows of a block, whose cells are texts[ids]; the strings are distinct and packed."""
        self.sample.add(block, texts, ids)
        every = np.bincount(ids, minlength=len(texts))
        for begin, end, part in texts.parts(SLICE):
            there = np.flatnonzero(part.length)
            self.facts.missing += int(every[begin:end][part.length == 0].sum())
            counts, part = every[begin:end][there], part if len(there) == len(part) else part.take(there)
            self.distinct.add(mixed(dictionary.hashes(part.data, part.length)))
            numbers = self.facts.add(part, counts)
            if numbers is None:
                self.buckets = Buckets(MOST_BUCKETS)
                if self.forms is not None:
                    self._join_forms(group_patterns(part, counts, SLICE)[0].tolist())
            elif len(numbers):
                self.buckets.add(to_keys(numbers), counts)
                self.forms = None

    def _join_forms(self, forms: list[bytes] | None) -> None:
        if self.forms is None or forms is None or not all(map(looks_like_date, forms)):
            self.forms = None
        else:
            self.forms |= set(forms)
            self.forms = None if len(self.forms) > MOST_FORMS else self.forms

    def to_message(self) -> dict:
        """Local: what travels between ranks."""
        return {"facts": self.facts.to_message(), "registers": self.distinct.registers,
                "rows": self.sample.hashes, "cells": self.sample.texts.to_message(),
                "shift": self.buckets.shift, "keys": self.buckets.keys, "counts": self.buckets.counts,
                "forms": None if self.forms is None else sorted(self.forms)}

    def merge(self, message: dict) -> None:
        """Local: adds what another rank has read."""
        self.facts.merge(message["facts"])
        np.maximum(self.distinct.registers, message["registers"], out=self.distinct.registers)
        self.sample.merge(message["rows"], Texts.from_message(message["cells"]))
        self.buckets.merge(message["shift"], message["keys"], message["counts"])
        self._join_forms(message["forms"])

    @np.errstate(over="ignore", invalid="ignore")
    def numbers(self) -> tuple[dict, dict]:
        """Local: quantiles and histogram, and the errors of both: relative to the value, and in rows of a bin."""
        moments, buckets = self.facts.moments, self.buckets
        half = np.uint64((1 << buckets.shift) >> 1)
        first = buckets.keys << np.uint64(buckets.shift)
        middle = np.clip(to_values(first + half), moments.low, moments.high)
        upto = np.cumsum(buckets.counts)
        quantiles = {}
        for name, low, high, beyond in positions(moments.count):
            low, high = middle[np.searchsorted(upto, [low, high], side="right")]
            quantiles[name] = float(low + (high - low) * beyond)
        edges = edges_between(moments.low, moments.high)
        cut = np.searchsorted(buckets.keys, to_keys(edges) >> np.uint64(buckets.shift))
        there = np.minimum(cut, len(buckets.keys) - 1)
        torn = np.where(buckets.keys[there] == to_keys(edges) >> np.uint64(buckets.shift), buckets.counts[there], 0)
        torn[[0, -1]] = 0  # all numbers are inside
        wide = buckets.shift > 0
        return ({"quantiles": quantiles, "histogram": {
            "edges": edges.tolist(), "counts": in_bins(edges, middle, buckets.counts).tolist()}},
            {"quantiles": 2.0 ** (buckets.shift - 53) if wide else 0.0,
             "histogram": int((torn[1:] + torn[:-1]).max()) if wide else 0})


def merged(world, sketch: ColumnSketch) -> ColumnSketch:
    """Collective: the sketch of all ranks, on rank 0 (part of it elsewhere); two and two merge, so that none holds more
    than two of them."""
    step = 1
    while step < world.size:
        messages: list[dict] = [{} for _ in range(world.size)]
        if world.rank % (2 * step) == step:
            messages[world.rank - step] = sketch.to_message()
        for message in world.alltoall(messages):
            if message:
                sketch.merge(message)
        step *= 2
    return sketch


def sketch_bytes(text_bytes: float) -> float:
    """Local: what the sketch of a column takes whose cells have so many bytes."""
    return REGISTERS + 16.0 * MOST_BUCKETS + SAMPLED_ROWS * (text_bytes + 24)


def merging_bytes(text_bytes: float) -> float:
    """Local: what working on one sketch takes besides."""
    return 3 * sketch_bytes(text_bytes)
