"""Unary inclusion dependencies: every distinct value knows the columns that hold it; A is included in B if B is in all
those sets of A's values (the idea of SPIDER, Bauckmann et al. 2006, and BINDER, Papenbrock et al. 2015)."""

import numpy as np

from mpiedge.kernels import dictionary
from mpiedge.profiling.encode import Values
from mpiedge.profiling.texts import Texts

WORD_BITS = 64
SLICE = 1 << 16
TOGETHER = 1 << 19
"""Values looked at together."""

PASS_SHIFT = np.uint64(32)
"""The bits of a hash above it choose the part of a value; the lowest chose its rank."""


def discover_inds(world, columns: list[Values]) -> list[tuple[int, int]]:
    """Collective: all pairs (a, b), a != b, such that every value of column a occurs in column b; sorted.

    columns: this rank's share of every column's distinct values, where equal strings of any two columns lie on the same
    rank (see `encode`). Missing cells are ignored; a column without values is in no pair. Messages: all-gather of
    columns * columns / 8 bytes per rank.
    """
    included, filled = local_inclusions(columns)
    gathered = world.allgather({"included": included, "filled": filled})
    included = np.bitwise_and.reduce([message["included"] for message in gathered])
    filled = np.bitwise_or.reduce([message["filled"] for message in gathered])
    pairs = []
    for a in np.flatnonzero(filled).tolist():
        bits = np.unpackbits(included[a].view(np.uint8), bitorder="little")[: len(columns)]
        pairs += [(a, b) for b in np.flatnonzero(bits).tolist() if b != a]
    return pairs


def discover_partial(world, columns: list[Values], least: float) -> list[tuple[int, int, float]]:
    """Collective: all (a, b, share), a != b, where at least the share `least` (above 0) of the distinct values of
    column a occurs in column b; sorted. Messages: sum of columns * columns integers."""
    both = np.zeros((len(columns), len(columns)), np.int64)
    for holders, parts in _holders(columns):
        for column, part in enumerate(parts):
            for begin in range(0, len(part), SLICE):
                flags = np.unpackbits(holders[part[begin : begin + SLICE]].view(np.uint8), axis=1, bitorder="little")
                both[column] += flags[:, : len(columns)].sum(axis=0, dtype=np.int64)
    both = world.sum(both)
    own = np.maximum(np.diagonal(both), 1)
    shares = both / own[:, None]
    return [(a, b, float(shares[a, b])) for a, b in np.argwhere(shares >= least).tolist() if a != b]


def local_inclusions(columns: list[Values]) -> tuple[np.ndarray, np.ndarray]:
    """Local: per column the bit set of columns that hold all its values of this share (uint64 words; all bits when it
    has none here), and whether it has any."""
    words = -(-max(len(columns), 1) // WORD_BITS)
    included = np.full((len(columns), words), np.iinfo(np.uint64).max, np.uint64)
    filled = np.zeros(len(columns), bool)
    for holders, parts in _holders(columns):
        for column, part in enumerate(parts):
            if len(part):
                included[column] &= np.bitwise_and.reduce(holders[part], axis=0)
                filled[column] = True
    return included, filled


def _holders(columns: list[Values]):
    """Local: yields the set of columns that hold a value (values, words), for the values of this share, and the values
    of each column as rows of it; many values come in several parts, by hash, so that equal ones come together."""
    words = -(-max(len(columns), 1) // WORD_BITS)
    passes = -(-sum(len(column.texts) for column in columns) // TOGETHER) or 1
    for number in range(passes):
        present = [Texts.joined(list(_chosen(column.texts, number, passes))) for column in columns]
        ids = Texts.joined(present).group()[0]
        parts = np.split(ids, np.cumsum([len(texts) for texts in present])[:-1]) if columns else []
        holders = np.zeros((int(ids.max()) + 1 if len(ids) else 0, words), np.uint64)
        for column, part in enumerate(parts):  # a value occurs once in `part`, so the indexed |= loses nothing
            holders[part, column // WORD_BITS] |= np.uint64(1) << np.uint64(column % WORD_BITS)
        yield holders, parts


def _chosen(texts: Texts, number: int, passes: int):
    """Local: yields the strings of one part, without the empty one, a few at a time."""
    for _, _, part in texts.parts(SLICE):
        present = part.length > 0
        if passes > 1:
            hashes = dictionary.hashes(part.data, part.length)
            present &= (hashes >> PASS_SHIFT) % np.uint64(passes) == np.uint64(number)
        yield part.take(np.flatnonzero(present))
