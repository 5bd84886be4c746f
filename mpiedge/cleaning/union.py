"""Pairs that were found from either side, each once: every rank sorts some, and tells all."""

import itertools
import math

import numpy as np

BUCKETS = 4096
"""Ranges of records whose pairs are counted, to share pairs out evenly."""
PAIR_BYTES = 6
"""Of the pairs of a round, about half of which were found from both sides."""


def union(stage, found: list, documents: int, with_scores: bool, room) -> tuple[np.ndarray, ...]:
    """Collective: pairs a < b and their scores, int32 each, sorted by a and b, on every rank; empties `found`.

    found: of this rank, ((first query,), {"counts", "neighbours", "scores"}) of blocks of queries. Without scores these
    are empty. Messages: each pair to the rank that its smaller record falls to, and from there to every rank, 8
    or 12 bytes, in rounds; before, a sum of 4,096 counts.
    """
    world, queue = stage.world, stage.queue
    low, high, scores = _pairs(found, with_scores, room)
    slot, rounds = _slots(world, queue.speeds, low, documents, room.round_bytes)
    whole = [room.file(np.int32) for _ in range(3)]
    for number in range(rounds):
        here = np.flatnonzero(slot // world.size == number)
        here = here[np.argsort(slot[here], kind="stable")]
        bounds = np.searchsorted(slot[here], number * world.size + np.arange(world.size + 1))
        parts = [here[start:stop] for start, stop in itertools.pairwise(bounds)]
        received = world.alltoall([{"low": low[part], "high": high[part], "score": scores[part] if with_scores else
                                    scores} for part in parts])
        for part in world.allgather(_once(received, documents, with_scores)):
            for key, file in zip(("low", "high", "score"), whole):
                file.write(part[key])
    return tuple(file.array() for file in whole)


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


def _slots(world, speeds: np.ndarray, low: np.ndarray, documents: int, round_bytes: int) -> tuple[np.ndarray, int]:
    """Collective: round * ranks + rank of each pair, ascending with `low`, and the number of rounds. Faster ranks get
    more pairs."""
    bucket = (low // (-(-documents // BUCKETS) or 1)).astype(np.uint16)
    counts = world.sum(np.bincount(bucket, minlength=BUCKETS))
    total = int(counts.sum())
    rounds = max(math.ceil(PAIR_BYTES * total / max(round_bytes, 1)), 1)
    ends = (np.arange(rounds)[:, None] + np.cumsum(speeds) / speeds.sum()).ravel() / rounds * total
    slots = np.searchsorted(ends, np.cumsum(counts) - counts / 2)
    return np.minimum(slots, len(ends) - 1).astype(np.int32)[bucket], rounds


def _once(received: list[dict], documents: int, with_scores: bool) -> dict:
    """Local: the pairs of all messages, each once and sorted."""
    low, high, scores = (np.concatenate([part[key] for part in received]) for key in ("low", "high", "score"))
    _, chosen = np.unique(low.astype(np.int64) * documents + high, return_index=True)
    return {"low": low[chosen], "high": high[chosen], "score": scores[chosen] if with_scores else scores[:0]}
