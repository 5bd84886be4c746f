"""The shape of text: letters become A or a (runs once), digits 9, so that 2014-05-01 and 1999-12-31 look alike."""

import re

import numpy as np

from mpiedge.profiling.texts import Texts

LONGEST = 40
"""Bytes of a pattern that are kept."""

UPPER, LOWER = ord("A"), ord("a")
CLASSES = np.arange(256, dtype=np.uint8)
CLASSES[:32] = ord(" ")
CLASSES[ord("A") : ord("Z") + 1] = UPPER
CLASSES[ord("a") : ord("z") + 1] = LOWER
CLASSES[ord("0") : ord("9") + 1] = ord("9")
CLASSES[128:] = LOWER

DATE = re.compile(rb"9999-99-99([ A]99:99(:99(\.9+)?)?A?)?")


def patterns_of(texts: Texts) -> Texts:
    """Local: the pattern of every string (none of them empty, packed), cut to 40 bytes."""
    shapes = CLASSES[texts.data]
    repeats = np.zeros(len(shapes), bool)
    repeats[1:] = (shapes[1:] == shapes[:-1]) & ((shapes[1:] == UPPER) | (shapes[1:] == LOWER))
    repeats[texts.start] = False
    kept = np.concatenate(([0], np.cumsum(~repeats, dtype=np.int64)))
    start = kept[texts.start]
    length = (kept[texts.start + texts.length] - start).astype(np.int32)
    return Texts(shapes[~repeats], np.minimum(length, LONGEST).astype(np.int32), start)


def group_patterns(texts: Texts, counts: np.ndarray, slice_size: int) -> tuple[Texts, np.ndarray, np.ndarray]:
    """Local: the distinct patterns of packed strings that occur `counts` times, the empty ones left out: the patterns,
    their hashes and how many cells have each."""
    found, weights = Texts.of([]), np.zeros(0)
    waiting: list[tuple[Texts, np.ndarray]] = []
    for begin, end, part in texts.parts(slice_size):
        there = np.flatnonzero(part.length)
        patterns = patterns_of(part if len(there) == len(part) else part.take(there))
        ids, first, _ = patterns.group()
        waiting.append((patterns.take(first), np.bincount(ids, counts[begin:end][there], len(first))))
        if sum(len(one) for one, _ in waiting) > max(slice_size, len(found)):
            found, weights, _ = _united([(found, weights), *waiting])
            waiting = []
    found, weights, hashes = _united([(found, weights), *waiting])
    return found, hashes, weights.astype(np.int64)


def _united(parts: list[tuple[Texts, np.ndarray]]) -> tuple[Texts, np.ndarray, np.ndarray]:
    """Local: the distinct strings of some parts, with sums of their weights, and their hashes."""
    together = Texts.joined([texts for texts, _ in parts])
    ids, first, hashes = together.group()
    return together.take(first), np.bincount(ids, np.concatenate([one for _, one in parts]), len(first)), hashes


def looks_like_date(pattern: bytes) -> bool:
    """Whether a pattern is that of an ISO 8601 date, with or without a time."""
    return DATE.fullmatch(pattern) is not None
