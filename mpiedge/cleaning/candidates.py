"""Candidate pairs: for each record its nearest records by TF-IDF cosine of 4-grams, found tile by tile.

A task is a block of queries against a resident group of index blocks. Blocks have fixed sizes and scores are whole
numbers, so neither the number of ranks nor the memory changes a pair.

Small tables follow the plain rule: grams in at least 2 records and in at most a tenth of them. Where that costs more
than POSTINGS visits per record, the search looks at each record's rarest features only (4-grams, pairs of neighbouring
words and whole values, until their frequencies add up to BUDGET), and the cosine of the pairs found is computed after.
"""

import time
from dataclasses import dataclass, field

import numpy as np

from mpiedge.kernels import cosine
from mpiedge.kernels.cosine import GRAMS, UNIT, WHOLE_VALUES, WORD_PAIRS, Grams, Index, Numbering
from mpiedge.runtime import resources

GRAM_SIZE, GRAM_BITS, FEATURE_BITS = 4, 20, 22
MOST_SHARE, MOST_COUNT = 0.1, 300  # a gram in more than a tenth of the records (or 300) tells nothing
FLOOR = 0.1
FEATURE_FLOOR = 0.02
LEAST, MOST = 15, 250
PAIRS = 5_000_000  # neighbours kept in all, once the table is large
POSTINGS = 100_000  # mean visits per record above which only the rarest features are searched
BUDGET = 30_000
INDEX_BLOCK, QUERY_BLOCK, PAIR_BLOCK = 32_768, 512, 16_384
SLICE_S = 0.05
SEGMENT = 16_384


@dataclass
class Candidates:
    """Pairs of positions a < b in `rows`, sorted; cosine int32 (UNIT = 1); the same on every rank."""

    a: np.ndarray
    b: np.ndarray
    cosine: np.ndarray
    grams: Grams
    summary: dict = field(default_factory=dict)


def inverse_frequency(frequency: np.ndarray, documents: int, in_use: np.ndarray) -> np.ndarray:
    """Local: 1 + ln((1 + N) / (1 + df)) as float32, 0 for grams not in use."""
    return np.where(in_use, 1.0 + np.log((1 + documents) / (1 + frequency)), 0.0).astype(np.float32)


def count_grams(stage, texts, values: np.ndarray, size: int, bits: int, features: int) -> np.ndarray:
    """Collective: number of documents (rows of `values`) that hold each gram, int32 (2^bits,). Messages: one sum."""
    frequency = np.zeros(1 << bits, np.int32)

    def work(task):
        (start,) = task
        for piece in range(start, min(start + 4096, len(values)), 1024):
            cosine.count(texts, values[piece:piece + 1024], size, bits, features, frequency)
            yield

    stage.queue.run([(start,) for start in range(0, len(values), 4096)], work, name="counting grams")
    return stage.world.sum(frequency)


def find_candidates(stage, records, rows: np.ndarray, sources=None, exhaustive: bool = False) -> Candidates:
    """Collective: the candidate pairs among `rows`; with sources (uint8 per row) only pairs of different sources.

    exhaustive: every pair of records is compared in all its grams, whatever the cost. Messages: a sum of gram counts,
    then every candidate to every rank (8 bytes each).
    """
    values = records.codes[rows]
    documents = len(values)
    frequency = count_grams(stage, records.texts, values, GRAM_SIZE, GRAM_BITS, GRAMS)
    ceiling = documents if exhaustive else max(MOST_SHARE * documents, MOST_COUNT)
    in_use = (frequency >= 2) & (frequency <= ceiling)
    grams = Grams(GRAM_SIZE, GRAM_BITS, GRAMS, inverse_frequency(frequency, documents, in_use))
    visits = float((frequency[in_use].astype(np.float64) ** 2).sum()) / max(documents, 1)
    bounded = visits > POSTINGS and not exhaustive
    if bounded:
        features = GRAMS | WORD_PAIRS | WHOLE_VALUES
        frequency = count_grams(stage, records.texts, values, GRAM_SIZE, FEATURE_BITS, features)
        in_use = (frequency >= 2) & (frequency <= ceiling)
        searched = Grams(GRAM_SIZE, FEATURE_BITS, features, inverse_frequency(frequency, documents, in_use))
    else:
        searched = grams
    number = np.full(len(in_use), -1, np.int32)
    used = int(in_use.sum())
    number[in_use] = np.arange(used, dtype=np.int32)
    numbering = Numbering(number, frequency, used, BUDGET if bounded else 0)
    most = int(np.clip(PAIRS // max(documents, 1), 10, MOST))
    limits = (min(LEAST, most), most, int((FEATURE_FLOOR if bounded else FLOOR) * UNIT))
    found = _search(stage, records.texts, values, searched, numbering, limits, sources)
    del searched, numbering, number, frequency, in_use
    a, b, score = _union(*found, documents)
    if bounded:
        score = pair_cosines(stage, records.texts, values, a, b, grams)
        near = score > FLOOR * UNIT
        a, b, score = a[near], b[near], score[near]
    summary = {"candidates": len(a), "grams_in_use": used, "neighbours": limits[:2],
               "bounded": f"each record's rarest features up to {BUDGET:,} visits" if bounded else "no"}
    return Candidates(a, b, score, grams, summary)


def _search(stage, texts, values, grams, numbering, limits, sources):
    """Collective: (counts per query, neighbours, scores) of all queries on every rank, in order of the queries."""
    documents = len(values)
    tasks = [(start,) for start in range(0, documents, QUERY_BLOCK)]
    groups = _groups(stage, texts, values, grams, numbering)
    results = []
    for first, last in groups:
        index = Index((cosine.vectors(texts, values[block:min(block + INDEX_BLOCK, last)], grams, numbering)
                       for block in range(first, last, INDEX_BLOCK)), numbering.used, INDEX_BLOCK, first)

        def work(task, index=index):
            (start,) = task
            stop, step, parts = min(start + QUERY_BLOCK, documents), 32, []
            while start < stop:
                began = time.perf_counter()
                queries = np.arange(start, min(start + step, stop))
                rows = cosine.vectors(texts, values[queries], grams, numbering)
                parts.append(index.search(rows, queries, *limits, None if sources is None else sources[queries],
                                          sources))
                start += step
                step = int(np.clip(step * SLICE_S / (time.perf_counter() - began + 1e-6), 8, QUERY_BLOCK))
                yield
            counts, neighbours, scores = (np.concatenate(part) for part in zip(*parts))
            return {"counts": counts, "neighbours": neighbours, "scores": scores}

        results.append(stage.queue.run(tasks, work, name="candidates"))
        del index, work
    gathered = [[message for _, message in stage.queue.gather(part)] for part in results]
    if len(gathered) == 1:
        messages = gathered[0]
    else:
        messages = [_merge_groups(parts, *limits[:2]) for parts in zip(*gathered)]
    keys = ("counts", "neighbours", "scores")
    return [np.concatenate([np.zeros(0, np.int32), *(message[key] for message in messages)]) for key in keys]


def _groups(stage, texts, values, grams, numbering) -> list[tuple[int, int]]:
    """Collective: document ranges whose postings fit the memory of every rank together with what is there already."""
    documents = len(values)
    sample = np.linspace(0, documents - 1, min(documents, 256)).astype(np.int64)
    entries = len(cosine.vectors(texts, values[sample], grams, numbering)[1]) / max(len(sample), 1)
    block_bytes = 4 * numbering.used + 2 * 4 * entries * min(INDEX_BLOCK, max(documents, 1))  # twice: when it is joined
    room = max(stage.budget_bytes - resources.current_rss_bytes(), 0) * 0.8
    room = float(stage.world.min(np.array([room]))[0])
    blocks = max(int(room // max(block_bytes, 1)), 1)
    return [(start, min(start + blocks * INDEX_BLOCK, documents)) for start in
            range(0, documents, blocks * INDEX_BLOCK)]


def _merge_groups(parts: list[dict], least: int, most: int) -> dict:
    """The neighbours of one query block over several groups of the index, by the rule of the search."""
    query = np.concatenate([np.repeat(np.arange(len(part["counts"])), part["counts"]) for part in parts])
    neighbours, scores = (np.concatenate([part[key] for part in parts]) for key in ("neighbours", "scores"))
    order = np.lexsort((neighbours, -scores, query))
    query, neighbours, scores = query[order], neighbours[order], scores[order]
    counts = np.bincount(query, minlength=len(parts[0]["counts"]))
    start = np.repeat(np.cumsum(counts) - counts, counts)
    place = np.arange(len(query)) - start
    best = scores[start] if len(query) else scores
    kept = (place < most) & ((place < least) | (2 * scores.astype(np.int64) >= best))
    return {"counts": np.bincount(query[kept], minlength=len(counts)).astype(np.int32),
            "neighbours": neighbours[kept], "scores": scores[kept]}


def _union(counts, neighbours, scores, documents: int):
    """Pairs a < b found from either side, each once, sorted."""
    ends = np.cumsum(counts)
    query = np.repeat(np.arange(documents, dtype=np.int32), counts)
    low, high = np.minimum(query, neighbours), np.maximum(query, neighbours)
    del query, ends
    parts = []
    for start in range(0, documents, SEGMENT):  # piece by piece, so that no 8-byte copy of all pairs is needed
        here = np.flatnonzero((low >= start) & (low < start + SEGMENT))
        key, chosen = np.unique((low[here].astype(np.int64) - start) * documents + high[here], return_index=True)
        parts.append(((key // documents + start).astype(np.int32), (key % documents).astype(np.int32),
                      scores[here[chosen]]))
    if not parts:
        return (np.zeros(0, np.int32),) * 3
    return tuple(np.concatenate(column) for column in zip(*parts))


def pair_cosines(stage, texts, values, a, b, grams: Grams) -> np.ndarray:
    """Collective: cosine (int32) of each pair, on every rank. Messages: 4 bytes a pair to every rank."""
    def work(task):
        (start,) = task
        parts = []
        for piece in range(start, min(start + PAIR_BLOCK, len(a)), 2048):
            chosen = slice(piece, min(piece + 2048, start + PAIR_BLOCK, len(a)))
            parts.append(cosine.pairs(texts, values[a[chosen]], values[b[chosen]], grams))
            yield
        return {"cosine": np.concatenate(parts)}

    tasks = [(start,) for start in range(0, len(a), PAIR_BLOCK)]
    results = stage.queue.gather(stage.queue.run(tasks, work, name="cosines"))
    return np.concatenate([np.zeros(0, np.int32), *(message["cosine"] for _, message in results)])
