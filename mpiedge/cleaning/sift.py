"""Which of the pairs that were found stay, and in which order: each rank of a host looks at some of them."""

import itertools

import numpy as np

from mpiedge.kernels.cosine import UNIT
from mpiedge.runtime.shared import shared_array

FLOOR = 0.1
TILE = 1 << 17


def sift(world, pairs: tuple[np.ndarray, ...], documents: int, near_best: bool, room) -> tuple[np.ndarray, ...]:
    """Collective over a host: (a, b, score) of the pairs that stay, ordered by tiles of TILE x TILE records: what is
    compared in a while lies in few pages of memory. The ranks of a host hold them together.

    pairs: (a, b, score), int32 each, a < b and a ascending, the same on every rank. near_best: only those stay that
    have half the score of the best pair of either record, and more than FLOOR.
    """
    if documents <= TILE and not near_best:
        return pairs
    first = np.searchsorted(pairs[0], np.arange(0, documents + TILE, TILE))   # pair of each row of tiles
    share = np.linspace(0, 1, world.node_size + 1)[world.node_rank:world.node_rank + 2]
    own = [slice(*(start + share * (stop - start)).astype(np.int64)) for start, stop in itertools.pairwise(first)]
    best = _best(world, pairs, documents, own) if near_best else None
    kept = [_is_near(pairs, best, here) if near_best else np.ones(here.stop - here.start, bool) for here in own]

    def chosen(row: int, column: int) -> np.ndarray:
        if len(own) == 1:
            return kept[row]
        return kept[row] & (pairs[1][own[row]] // TILE == column)

    tiles = [(row, column) for column in range(len(own)) for row in range(column + 1)]   # b is above a
    counts = shared_array(world, (len(tiles), world.node_size), np.int64)
    counts[:, world.node_rank] = [np.count_nonzero(chosen(*tile)) for tile in tiles]
    world.node_barrier()
    ends = np.cumsum(counts.ravel()).reshape(counts.shape)
    whole = tuple(room.together(world, (int(counts.sum()),), np.int32) for _ in pairs)
    for tile, end, count in zip(tiles, ends[:, world.node_rank], counts[:, world.node_rank]):
        here = np.flatnonzero(chosen(*tile))
        for array, part in zip(whole, pairs):
            array[end - count:end] = part[own[tile[0]]][here]
    world.node_barrier()
    return whole


def _best(world, pairs: tuple[np.ndarray, ...], documents: int, own: list[slice]) -> np.ndarray:
    """Collective over a host: the best score of the pairs of each record."""
    by_rank = shared_array(world, (world.node_size, documents), np.int32)
    a, b, score = pairs
    for here in own:
        np.maximum.at(by_rank[world.node_rank], a[here], score[here])
        np.maximum.at(by_rank[world.node_rank], b[here], score[here])
    world.node_barrier()
    return by_rank.max(axis=0)


def _is_near(pairs: tuple[np.ndarray, ...], best: np.ndarray, here: slice) -> np.ndarray:
    a, b, score = (array[here] for array in pairs)
    return (score > FLOOR * UNIT) & (score >= np.minimum(best[a], best[b]) // 2)
