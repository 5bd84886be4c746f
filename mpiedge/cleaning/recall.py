"""How much the search of candidates may have missed: some records are compared with all others in all their grams."""

import numpy as np

from mpiedge.cleaning.scoring import pairs_a_task
from mpiedge.kernels import cosine
from mpiedge.kernels.cosine import UNIT, Index

SAMPLE = 1000
NEAREST = 20  # of each record looked at
FLOOR = 0.3
BLOCK, SLICE, QUERIES = 2048, 512, 128


def estimate_recall(stage, records, rows: np.ndarray, candidates, scorer, cut: float) -> dict:
    """Collective: of the pairs above the cut that evenly spaced records have, the share among the candidates.

    A pair below FLOOR is taken for no match, and of each record only the nearest are weighed. Returns JSON-able facts:
    records looked at, their matches, and the share of these found (None without a match). Messages: the near pairs and
    their weights to every rank.
    """
    sample = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), SAMPLE)).astype(np.int64))
    a, b = near_pairs(stage, records.texts, records.values_of(rows), candidates, sample)

    step = pairs_a_task(len(a))

    def work(task):
        chosen = slice(task[0], task[0] + step)
        weight = yield from scorer(a[chosen], b[chosen])
        return {"match": weight > cut}

    done = stage.queue.run([(start,) for start in range(0, len(a), step)], work, name="recall")
    match = np.concatenate([np.zeros(0, bool), *(message["match"] for _, message in stage.queue.gather(done))])
    asked = a[match].astype(np.int64) * len(rows) + b[match]
    lowest = np.zeros(len(rows), bool)
    lowest[a[match]] = True
    near = np.flatnonzero(lowest[candidates.a])  # the keys of all candidates would be the largest array there is
    found = np.isin(asked, candidates.a[near].astype(np.int64) * len(rows) + candidates.b[near])
    share = round(float(found.mean()), 4) if len(found) else None
    return {"records": len(sample), "matches": len(found), "share": share}


def near_pairs(stage, texts, values, candidates, sample: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Collective: the nearest documents of each one in the sample, as pairs a < b (int32), each once, sorted.

    Messages: those of each block of documents, to every rank.
    """
    grams, known = candidates.grams, candidates.vectors
    indptr, sample_grams, sample_weights = cosine.vectors(texts, values[sample], grams)

    def rows_of(first, stop):
        if known is not None:
            return known.block(first, stop)
        parts = []
        for start in range(first, stop, SLICE):
            parts.append(cosine.vectors(texts, values[start:min(start + SLICE, stop)], grams))
            yield
        bounds, *rest = zip(*parts)
        lengths = np.concatenate([np.diff(part) for part in bounds])
        return np.append(0, np.cumsum(lengths)), *map(np.concatenate, rest)

    def work(task):
        (first,) = task
        stop = min(first + BLOCK, len(values))
        rows = yield from rows_of(first, stop)
        index = Index(grams.in_use, stop - first, first, stop - first, len(rows[1]))
        index.fill(0, rows, 0)
        found = []
        for start in range(0, len(sample), QUERIES):
            bounds = indptr[start:start + QUERIES + 1]
            here = slice(bounds[0], bounds[-1])
            counts, other, score = index.search((bounds - bounds[0], sample_grams[here], sample_weights[here]),
                                                sample[start:start + QUERIES], NEAREST, NEAREST, int(FLOOR * UNIT))
            found.append((np.repeat(np.arange(start, start + len(counts)), counts), other, score))
            yield
        return dict(zip(("record", "other", "score"), (np.concatenate(part) for part in zip(*found))))

    done = stage.queue.run([(start,) for start in range(0, len(values), BLOCK)], work, name="nearest of a sample")
    found = [message for _, message in stage.queue.gather(done)]
    if not found:
        return np.zeros(0, np.int32), np.zeros(0, np.int32)
    record, other, score = (np.concatenate([part[key] for part in found]) for key in ("record", "other", "score"))
    order = np.lexsort((other, -score, record))
    record, other = record[order], other[order]
    nearest = np.arange(len(record)) - np.searchsorted(record, record) < NEAREST
    record, other = sample[record[nearest]], other[nearest]
    key = np.unique(np.minimum(record, other) * len(values) + np.maximum(record, other))
    return (key // len(values)).astype(np.int32), (key % len(values)).astype(np.int32)
