"""The shape of text: letters become A or a (runs once), digits 9, so that 2014-05-01 and 1999-12-31 look alike."""

import re

import numpy as np

from mpiedge.kernels import patterns
from mpiedge.profiling.texts import Texts

DATE = re.compile(rb"9999-99-99([ A]99:99(:99(\.9+)?)?A?)?")


def patterns_of(texts: Texts) -> Texts:
    """Local: the pattern of every string (packed), cut to 40 bytes."""
    return Texts(*patterns.patterns(texts.data, texts.length))


def group_patterns(texts: Texts, counts: np.ndarray, slice_size: int) -> tuple[Texts, np.ndarray, np.ndarray]:
    """Local: the distinct patterns of packed strings that occur `counts` times, the empty ones left out: the patterns,
    their hashes and how many cells have each."""
    found, weights = Texts.of([]), np.zeros(0)
    waiting: list[tuple[Texts, np.ndarray]] = []
    for begin, end, part in texts.parts(slice_size):
        there = np.flatnonzero(part.length)
        shapes = patterns_of(part if len(there) == len(part) else part.take(there))
        ids, first, _ = shapes.group()
        waiting.append((shapes.take(first), np.bincount(ids, counts[begin:end][there], len(first))))
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
