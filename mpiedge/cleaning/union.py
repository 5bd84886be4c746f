"""Pairs that were found from either side, each once: every rank sorts some, and tells all hosts."""

import itertools
import math

import numpy as np

from mpiedge.cleaning.together import put_together

BUCKETS = 4096
"""Ranges of records whose pairs are counted, to share pairs out evenly."""
PIECE = 65_536
"""Pairs whose places are found at once."""
PAIR_BYTES = 6
"""Of the pairs of a round, about half of which were found from both sides."""


def union(stage, found: list, documents: int, with_scores: bool, room) -> tuple[np.ndarray, ...]:
    """Collective: pairs a < b and their scores, int32 each, sorted by a and b, which the ranks of a host hold
    together; empties `found`.

    found: of this rank, ((first query,), {"counts", "neighbours", "scores"}) of blocks of queries. Without scores these
    are empty. Messages: each pair to the rank that its smaller record falls to, and from there to every host, 8
    or 12 bytes, in rounds; before, a sum of 4,096 counts.
    """
    world, queue = stage.world, stage.queue
    low, high, scores = _pairs(found, with_scores, room)
    slot, rounds = _slots(world, queue.speeds, low, documents, room)
    keys = ("low", "high", "score") if with_scores else ("low", "high")
    own, lengths = {key: room.file(np.int32) for key in keys}, []
    for number in range(rounds):
        first = number * world.size
        here = np.flatnonzero((slot >= first) & (slot < first + world.size))
        here = here[np.argsort(slot[here], kind="stable")]
        bounds = np.searchsorted(slot[here], first + np.arange(world.size + 1))
        parts = [here[start:stop] for start, stop in itertools.pairwise(bounds)]
        received = world.alltoall([{"low": low[part], "high": high[part], "score": scores[part] if with_scores else
                                    scores} for part in parts])
        part = _once(received, documents, with_scores)
        lengths.append(len(part["low"]))
        for key, file in own.items():
            file.write(part[key])
    ends = np.cumsum(np.append(0, np.stack(world.allgather(np.array(lengths)), axis=1))).tolist()
    places = np.cumsum([0, *lengths]).tolist()
    mine = {number * world.size + world.rank: places[number] for number in range(rounds)}
    whole = put_together(stage, mine, ends, {key: file.array() for key, file in own.items()}, room)
    return tuple(whole) if with_scores else (*whole, np.zeros(0, np.int32))


def _pairs(found: list, with_scores: bool, room) -> list[np.ndarray]:
    """Local: smaller record, larger record and score of all that this rank has found."""
    total = sum(len(message["neighbours"]) for _, message in found)
    low, high, scores = (room.array((size,), np.int32) for size in (total, total, total if with_scores else 0))
    at = 0
    for number, ((first,), message) in enumerate(found):
        found[number] = None
        here = slice(at, at := at + len(message["neighbours"]))
        queries = np.repeat(np.arange(first, first + len(message["counts"]), dtype=np.int32), message["counts"])
        np.minimum(queries, message["neighbours"], out=low[here])
        np.maximum(queries, message["neighbours"], out=high[here])
        if with_scores:
            scores[here] = message["scores"]
    found.clear()
    return low, high, scores


def _slots(world, speeds: np.ndarray, low: np.ndarray, documents: int, room) -> tuple[np.ndarray, int]:
    """Collective: round * ranks + rank of each pair, ascending with `low`, and the number of rounds. Faster ranks get
    more pairs."""
    width = -(-documents // BUCKETS) or 1
    pieces = [slice(start, start + PIECE) for start in range(0, len(low), PIECE)]
    counts = np.zeros(BUCKETS, np.int64)
    for piece in pieces:
        counts += np.bincount(low[piece] // width, minlength=BUCKETS)
    counts = world.sum(counts)
    total = int(counts.sum())
    rounds = max(math.ceil(PAIR_BYTES * total / max(room.round_bytes, 1)), 1)
    ends = (np.arange(rounds)[:, None] + np.cumsum(speeds) / speeds.sum()).ravel() / rounds * total
    of_buckets = np.minimum(np.searchsorted(ends, np.cumsum(counts) - counts / 2), len(ends) - 1)
    slot = room.array((len(low),), np.int32)
    for piece in pieces:
        slot[piece] = of_buckets[low[piece] // width]
    return slot, rounds


def _once(received: list[dict], documents: int, with_scores: bool) -> dict:
    """Local: the pairs of all messages, each once and sorted."""
    low, high, scores = (np.concatenate([part[key] for part in received]) for key in ("low", "high", "score"))
    _, chosen = np.unique(low.astype(np.int64) * documents + high, return_index=True)
    return {"low": low[chosen], "high": high[chosen], "score": scores[chosen] if with_scores else scores[:0]}
