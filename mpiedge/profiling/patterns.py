"""The shape of text: letters become A or a (runs once), digits 9, so that 2014-05-01 and 1999-12-31 look alike."""

import re

import numpy as np

from mpiedge.kernels import dictionary, patterns
from mpiedge.profiling.texts import Texts

DATE = re.compile(rb"9999-99-99([ A]99:99(:99(\.9+)?)?A?)?")


def patterns_of(texts: Texts) -> Texts:
    """Local: the pattern of every string (packed), cut to 40 bytes."""
    return Texts(*patterns.patterns(texts.data, texts.length))


def group_patterns(texts: Texts, counts: np.ndarray, slice_size: int) -> tuple[Texts, np.ndarray]:
    """Local: the distinct patterns of packed strings that occur `counts` times, the empty ones left out, and how many
    cells have each (int64)."""
    known, weights = dictionary.new(), np.zeros(0)
    for begin, end, part in texts.parts(slice_size):
        shapes, times = patterns_of(part), counts[begin:end]
        if not part.length.all():
            times = times * (part.length > 0)
        ids, _ = known.add(shapes.data, shapes.length)
        more = np.bincount(ids, times, len(known))
        more[: len(weights)] += weights
        weights = more
    found = Texts(*known.strings())
    if not found.length.all():
        there = np.flatnonzero(found.length)
        found, weights = found.take(there), weights[there]
    return found, weights.astype(np.int64)


def looks_like_date(pattern: bytes) -> bool:
    """Whether a pattern is that of an ISO 8601 date, with or without a time."""
    return DATE.fullmatch(pattern) is not None
