"""Candidate pairs: for each record its nearest records by TF-IDF cosine of 4-grams, found tile by tile.

A task is a block of queries against a resident group of index blocks. Blocks have fixed sizes and scores are whole
numbers, so neither the number of ranks nor the memory changes a pair.

Small tables follow the plain rule: grams in at least 2 records and in at most a tenth of them. Where that costs more
than POSTINGS visits per record, the search looks at each record's rarest features only (4-grams, pairs of neighbouring
words, whole values and pairs of them, until their frequencies add up to BUDGET), and the cosine of the pairs found is
computed after: those stay that have half of what the best pair of one of their records has. Where pairs of values
would fill the table of features, they are left out and the budget is larger.
"""

import time
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from mpiedge.cleaning.gram_rows import GramRows, make_rows
from mpiedge.cleaning.sift import FLOOR, sift
from mpiedge.cleaning.together import put_together
from mpiedge.cleaning.union import union
from mpiedge.kernels import cosine
from mpiedge.kernels.cosine import (
    GRAMS,
    MOST_APART,
    UNIT,
    VALUE_PAIRS,
    WHOLE_VALUES,
    WORD_PAIRS,
    Grams,
    Index,
    weigh_grams,
)
from mpiedge.runtime import resources
from mpiedge.runtime.shared import shared_array

GRAM_SIZE, GRAM_BITS, FEATURE_BITS = 4, 20, 22
MOST_SHARE, MOST_COUNT = 0.1, 300  # a gram in more than a tenth of the records (or 300) tells nothing
LEAST_TELLING, FEW_UNTOLD, SAMPLE = 0.1, 0.01, 1000
"""Share of its grams by which a record can be told, share of the records that may have fewer, records looked at."""

LONE, LONE_ROWS = (0.3, 1.0), 10.0
"""How much a gram of one record alone counts in its length: in full up to a hundred records, where it mostly is a name
of its own; the less the more there are, as it mostly is a slip then."""
VECTORS_FROM = 12  # pairs a record from which it pays to make all gram vectors and keep them
FEATURE_FLOOR = 0.02
LEAST, MOST, FEWEST = 15, 250, 3
SMALL_PAIRS, PAIRS = 1_500_000, 2_500_000  # neighbours kept in all
POSTINGS = 30_000  # mean visits per record above which only the rarest features are searched
BUDGET, LARGE_BUDGET = 2_500, 12_000  # the second without pairs of values
INDEX_BLOCK, QUERY_BLOCK, PAIR_BLOCK = 32_768, 256, 4096
INDEX_SHARE = 0.75  # of the budget, full with what is there already and the index
SLICE_S = 0.05
MOST_SUMMED = (1 << 16) - 1


@dataclass
class Candidates:
    """Pairs of positions a < b in `rows`, each once, in the order of `sift`; cosine int32 (UNIT = 1); the same on every
    rank, and held together by those of a host. vectors: those of all documents in `grams`, where they were made."""

    a: np.ndarray
    b: np.ndarray
    cosine: np.ndarray
    grams: Grams
    summary: dict = field(default_factory=dict)
    vectors: GramRows | None = None


def count_grams(stage, texts, tables: list, size: int, bits: int, features: int) -> np.ndarray:
    """Collective: for each table of values the number of documents (its rows) that hold each gram, int32
    (tables, 2^bits). Messages: as of `sum_counts`."""
    frequency = np.zeros((len(tables), 1 << bits), np.int32)

    def work(task):
        number, start = task
        values = tables[number]
        for piece in range(start, min(start + 4096, len(values)), 1024):
            cosine.count(texts, values[piece:piece + 1024], size, bits, features, frequency[number])
            yield

    longest = max((len(values) for values in tables), default=0)
    tasks = [(number, start) for start in range(0, longest, 4096)  # alike for all ranks
             for number, values in enumerate(tables) if start < len(values)]
    stage.queue.run(tasks, work, name="counting grams")
    return sum_counts(stage.world, frequency.reshape(-1)).reshape(frequency.shape)


def sum_counts(world, counts: np.ndarray) -> np.ndarray:
    """Collective: the sum of int32 counts (n,) over the ranks. Messages: a sum of two bytes a count; to every rank by
    how much the few larger ones exceed what the ranks can add up in these."""
    if world.size == 1:
        return counts
    most = MOST_SUMMED // world.size
    large = np.flatnonzero(counts > most)
    small = counts.astype(np.uint16)
    small[large] = most
    total = world.sum(small).astype(np.int32)
    for message in world.allgather({"place": large.astype(np.int32), "excess": counts[large] - np.int32(most)}):
        total[message["place"]] += message["excess"]
    return total


def find_candidates(stage, records, rows: np.ndarray, sources=None, exhaustive: bool = False) -> Candidates:
    """Collective: the candidate pairs among `rows`; with sources (uint8 per row) only pairs of different sources.

    exhaustive: every pair of records is compared in all its grams, whatever the cost. Messages: a sum of gram counts,
    then every candidate to every host (8 bytes each).
    """
    texts, values = records.texts, records.values_of(rows)
    documents = len(values)

    def counted(bits, features):
        return count_grams(stage, texts, [values], GRAM_SIZE, bits, features)[0]

    def weighed(frequency, bits, features):
        lone = float(np.clip(LONE_ROWS / np.sqrt(max(documents, 1)), *LONE)) if features == GRAMS else 0.0
        return weigh_grams(frequency, documents, GRAM_SIZE, bits, features, 2, most_frequent, lone)

    frequency = counted(GRAM_BITS, GRAMS)
    most_frequent = documents if exhaustive else _most_frequent(texts, values, frequency)
    grams = searched = weighed(frequency, GRAM_BITS, GRAMS)
    del frequency
    visits = float((grams.frequency.astype(np.float64) ** 2).sum()) / max(documents, 1)
    bounded = visits > POSTINGS and not exhaustive
    paired = 2 * documents * records.width * MOST_APART <= 1 << FEATURE_BITS
    budget = (BUDGET if paired else LARGE_BUDGET) if bounded else 0
    if bounded:
        features = GRAMS | WORD_PAIRS | WHOLE_VALUES | (VALUE_PAIRS if paired else 0)
        searched = weighed(counted(FEATURE_BITS, features), FEATURE_BITS, features)
    most = neighbours_per_record(documents)
    limits = (min(LEAST, most), most, int((FEATURE_FLOOR if bounded else FLOOR) * UNIT))
    resources.return_freed()
    rows_of_grams = make_rows(stage, texts, values, searched, budget, records.room)
    in_use = searched.in_use
    del searched  # the rows know their grams by number
    records.room.give_back()
    found = _search(stage, rows_of_grams, in_use, bounded, limits, sources, records.room)
    summary = {"neighbours": list(limits[:2]), "grams_in_use": in_use,
               "bounded": f"each record's rarest features up to {budget:,} visits" if bounded else "no"}
    vectors = None if bounded else rows_of_grams
    del rows_of_grams
    a, b, score = union(stage, found, documents, not bounded, records.room)
    if bounded and len(a) >= VECTORS_FROM * documents:
        vectors = make_rows(stage, texts, values, grams, 0, records.room)
        score = _row_cosines(stage, vectors, a, b, grams)
    elif bounded:
        score = pair_cosines(stage, texts, values, a, b, grams, records.room)
    a, b, score = sift(stage.world, (a, b, score), documents, bounded, records.room)
    return Candidates(a, b, score, grams, {"candidates": len(a), **summary}, vectors)


def _most_frequent(texts, values, frequency: np.ndarray) -> float:
    """Local: the frequency up to which grams tell something: in a tenth of the records, twice as many as long as some
    records have hardly any other grams, for then one thing has so many of the records."""
    documents = len(values)
    most = max(MOST_SHARE * documents, MOST_COUNT)
    sample = np.unique(np.linspace(0, documents - 1, min(documents, SAMPLE)).astype(np.int64))
    every = weigh_grams(frequency, documents, GRAM_SIZE, GRAM_BITS, GRAMS, 2)
    indptr, grams, _ = cosine.vectors(texts, values[sample], every)
    record = np.repeat(np.arange(len(sample)), np.diff(indptr))
    while most < documents:
        telling = np.bincount(record[every.frequency[grams] <= most], minlength=len(sample))
        if np.mean(telling < LEAST_TELLING * np.diff(indptr)) <= FEW_UNTOLD:
            break
        most *= 2
    return most


def neighbours_per_record(documents: int) -> int:
    """Local: neighbours at most: 250, in larger tables SMALL_PAIRS in all but 25 each, at last PAIRS in all."""
    documents = max(documents, 1)
    return int(np.clip(min(max(SMALL_PAIRS // documents, 25), PAIRS // documents), FEWEST, MOST))


def _search(stage, rows: GramRows, grams: int, bounded: bool, limits, sources, room) -> list:
    """Collective: neighbours of all queries, ((first query,), message) of each block on the rank that has found them.

    Group by group, so that one list of neighbours is held, not one for each group. What is dropped early would be
    dropped at the end too: the best score only grows, and a neighbour's place only falls.
    """
    documents = len(rows)
    tasks = [(start,) for start in range(0, documents, QUERY_BLOCK)]
    before: list[dict] = []
    for first, last in _groups(stage, rows, grams):
        index = _index(stage.world, rows, grams, first, last)
        room.give_back()
        scored = last < documents or not bounded  # with a budget scores serve only to merge groups

        def work(task, index=index, before=before, scored=scored):
            (start,) = task
            block, stop, step, parts = start // QUERY_BLOCK, min(start + QUERY_BLOCK, documents), 32, []
            room.relax()
            while start < stop:
                began = time.perf_counter()
                queries = np.arange(start, min(start + step, stop))
                parts.append(index.search(rows.block(start, min(start + step, stop)), queries, *limits,
                                          None if sources is None else sources[queries], sources))
                start += step
                step = int(np.clip(step * SLICE_S / (time.perf_counter() - began + 1e-6), 8, QUERY_BLOCK))
                yield
            message = dict(zip(("counts", "neighbours", "scores"), (np.concatenate(part) for part in zip(*parts))))
            if before:
                message = _merge_groups((before[block], message), *limits[:2])
            return message if scored else {key: message[key] for key in ("counts", "neighbours")}

        results = stage.queue.run(tasks, work, name="candidates", kept=f"candidates {first} {last} {documents}")
        if last == documents:
            return results
        del index, work, before
        before = [message for _, message in stage.queue.gather(results)]  # noqa: F841 - of the next group
    return []


def _index(world, rows: GramRows, grams: int, first: int, last: int) -> Index:
    """Collective over a host: the index of documents first..last, whose blocks its ranks make for one another."""
    index = Index(grams, INDEX_BLOCK, first, last - first, rows.entries(first, last), partial(shared_array, world))
    starts = range(first, last, INDEX_BLOCK)
    for number in range(world.node_rank, len(starts), world.node_size):
        rows_of_block = rows.block(starts[number], min(starts[number] + INDEX_BLOCK, last))
        index.fill(number, rows_of_block, rows.entries(first, starts[number]))
    world.node_barrier()
    return index


def _groups(stage, rows: GramRows, grams: int) -> list[tuple[int, int]]:
    """Collective: ranges of documents whose postings fit the memory of every rank beside what is there already.

    How many there are changes no result. Their lengths are powers of two of blocks, so that a later attempt, which
    holds a little more or less, mostly cuts the same ranges and finds their finished tasks.
    """
    documents = len(rows)
    entries = rows.entries(0, documents) / max(documents, 1)
    block_bytes = 4 * grams + 4 * entries * min(INDEX_BLOCK, max(documents, 1))
    room = max(INDEX_SHARE * stage.budget_bytes - resources.current_rss_bytes(), 0)
    room = float(stage.world.min(np.array([room]))[0])
    blocks = max(int(room // max(block_bytes, 1)), 1)
    step = INDEX_BLOCK * (blocks if blocks * INDEX_BLOCK >= documents else 1 << (blocks.bit_length() - 1))
    return [(start, min(start + step, documents)) for start in range(0, documents, step)]


def _merge_groups(parts: tuple[dict, ...], least: int, most: int) -> dict:
    """The neighbours of one query block over several groups of the index, by the rule of the search."""
    query = np.concatenate([np.repeat(np.arange(len(part["counts"])), part["counts"]) for part in parts])
    neighbours, scores = (np.concatenate([part[key] for part in parts]) for key in ("neighbours", "scores"))
    order = np.lexsort((neighbours, -scores, query))
    query, neighbours, scores = query[order], neighbours[order], scores[order]
    counts = np.bincount(query, minlength=len(parts[0]["counts"]))
    start = np.repeat(np.cumsum(counts) - counts, counts)
    place = np.arange(len(query)) - start
    kept = (place < most) & ((place < least) | (2 * scores.astype(np.int64) >= scores[start]))
    return {"counts": np.bincount(query[kept], minlength=len(counts)).astype(np.int32),
            "neighbours": neighbours[kept], "scores": scores[kept]}


def _row_cosines(stage, rows: GramRows, a, b, grams: Grams) -> np.ndarray:
    """Collective: cosine (int32) of each pair of `rows`. Messages: 4 bytes a pair to every host."""
    dense, whole = np.zeros(grams.in_use, np.uint16), (rows.indptr, rows.grams, rows.weights)

    def measure(chosen: slice):
        rows.room.relax()
        return cosine.dots(whole, a[chosen], b[chosen], dense)

    return _in_pieces(stage, len(a), PAIR_BLOCK, 4096, measure, "cosines", rows.room)


def pair_cosines(stage, texts, values, a, b, grams: Grams, room) -> np.ndarray:
    """Collective: cosine (int32) of each pair. Messages: 8 bytes a document and 4 bytes a pair to every host."""
    scales = _in_pieces(stage, len(values), 4096, 1024, lambda chosen: cosine.scales(texts, values[chosen], grams),
                        "lengths", room)
    return _in_pieces(stage, len(a), PAIR_BLOCK, 2048, lambda chosen: cosine.pairs(
        texts, values[a[chosen]], values[b[chosen]], grams, scales[b[chosen]]), "cosines", room)


def _in_pieces(stage, count: int, block: int, piece: int, measure, name: str, room) -> np.ndarray:
    """Collective: what `measure` says of the slices of 0..count, which the ranks of a host hold together; a task is a
    block of pieces."""
    def work(task):
        (first,) = task
        stop = min(first + block, count)
        parts = []
        for start in range(first, stop, piece):
            parts.append(measure(slice(start, min(start + piece, stop))))
            yield
        return {"part": np.concatenate(parts)}

    tasks = [(start,) for start in range(0, count, block)]
    done = sorted(stage.queue.run(tasks, work, name=name, kept=name), key=lambda pair: pair[0])
    parts = [message["part"] for _, message in done]
    places = np.cumsum([0, *map(len, parts)]).tolist()
    mine = {start // block: place for ((start,), _), place in zip(done, places)}
    own = np.concatenate([measure(slice(0, 0)), *parts])   # of none: the dtype, on ranks without tasks
    (whole,) = put_together(stage, mine, [*range(0, count, block), count], {"part": own}, room)
    return whole
