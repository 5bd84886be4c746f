"""The match weight of any pair of records, and what all ranks know of the candidates' weights."""

import numpy as np

from mpiedge.cleaning.candidates import PAIR_BLOCK, pair_cosines
from mpiedge.cleaning.matching import (
    COSINE_WEIGHT,
    MISSING_LEVEL,
    Weights,
    dependence_discount,
    fit,
    level_vectors,
    whole_record,
)
from mpiedge.cleaning.similarity import compare_random, random_pairs
from mpiedge.kernels import cosine
from mpiedge.kernels.cosine import UNIT
from mpiedge.runtime.alone import Alone
from mpiedge.runtime.once import once

GATHERED = 1 << 18  # level vectors that one rank fits for all
JOINED = 32  # blocks of candidates whose level vectors are made distinct together
TASKS, LEAST_TASK = 32, 2048  # tasks of pairs of any records; pairs of one at least
FEW = 2048  # documents whose vectors are held at once
FETCHED_BYTES = 16 << 20  # of the records fetched at once, if all are of mean length


class Judged:
    """A scorer that also heeds what is known of single pairs: versions of a thing, and answers; None without any.

    rows: the rows of the table by position.
    """

    versions = answers = rows = None

    def judge(self, weight, a, b) -> None:
        """Local: takes or gives the weight of pairs of positions that are versions or were answered, in place."""
        if self.versions is not None:
            self.versions.veto(weight, self.rows[a], self.rows[b])
        if self.answers is not None:
            self.answers.judge(weight, a, b)


class Scorer(Judged):
    """Match weight of any pair of positions: column evidence and whole-record cosine, held down by the twin class."""

    def __init__(self, comparison, rows, grams):
        self.comparison, self.rows, self.grams = comparison, rows, grams
        self.weights = self.twins = None

    def weigh(self, levels, cosines) -> np.ndarray:
        """Local: float32 weights of pairs with these levels and cosines."""
        weight = self.weights.log_odds + self.weights.evidence(levels) + COSINE_WEIGHT * whole_record(cosines)
        if self.twins is not None:
            weight = np.minimum(weight, self.twins.evidence(levels))
        return weight.astype(np.float32)

    def __call__(self, a, b):
        """Local, a generator that yields None every few milliseconds: the weights of pairs of positions."""
        weight = self.weigh(*(yield from self._compare(a, b)))
        self.judge(weight, a, b)
        return weight

    def reasons(self, a, b):
        """Local, a generator as the above: what each column and the whole record add, float32 (pairs, columns + 1)."""
        return self.added(*(yield from self._compare(a, b)))

    def added(self, levels, cosines) -> np.ndarray:
        """Local: the reasons of pairs with these levels and cosines."""
        added = [self.weights.ratio[column][np.minimum(row, MISSING_LEVEL)] for column, row in enumerate(levels)]
        return np.stack([*added, COSINE_WEIGHT * whole_record(cosines)], axis=1).astype(np.float32)

    def _compare(self, a, b):
        """Local, a generator: levels and cosines of pairs, which may be any: their records are fetched first, so that
        a table in mapped files is read in order and not once for each pair."""
        records = self.comparison.records
        step = max(int(FETCHED_BYTES / (2 * records.mean_bytes())), 1)
        parts = [(np.empty((records.width, 0), np.uint8), np.zeros(0, np.int32))]
        for start in range(0, len(a), step):
            chosen = slice(start, start + step)
            parts.append((yield from self._compare_fetched(a[chosen], b[chosen])))
        levels, cosines = zip(*parts)
        return np.concatenate(levels, axis=1), np.concatenate(cosines)

    def _compare_fetched(self, a, b):
        rows, place = np.unique(self.rows[np.append(a, b)], return_inverse=True)
        records = yield from self.comparison.records.some(rows)
        left, right = place[:len(a)], place[len(a):]
        levels = yield from self.comparison.of(records).all_levels(left, right)
        return levels, (yield from record_cosines(records.texts, records.codes, left, right, self.grams))


def record_cosines(texts, values, left, right, grams):
    """Local, a generator that yields None every few milliseconds: cosines (int32) of the documents values[left[p]] and
    values[right[p]]. Where the pairs are of few documents, as inside a component, each one's vector is made once."""
    step = len(left) if len(np.unique(np.append(left, right))) <= FEW else FEW // 2
    parts = [np.zeros(0, np.int32)]
    for start in range(0, len(left), max(step, 1)):
        chosen = slice(start, start + step)
        parts.append(cosine.pairs_among(texts, values, left[chosen], right[chosen], grams))
        yield
    return np.concatenate(parts)


def explain(stage, scorer: Scorer, levels: dict[int, np.ndarray], candidates, place, a, b) -> np.ndarray:
    """Collective: the reasons of pairs of positions on every rank. Messages: them, to every rank.

    levels: of this rank's candidates, block by block; place: of each pair among the candidates, -1 where it has to be
    compared."""
    reasons = np.empty((len(a), scorer.comparison.records.width + 1), np.float32)
    order = np.argsort(place, kind="stable")

    def of_block(start):
        return order[slice(*np.searchsorted(place[order], [start, start + PAIR_BLOCK]))]

    parts = [((start,), {"reasons": scorer.added(block[:, place[pairs] - start], candidates.cosine[place[pairs]])})
             for start, block in levels.items() for pairs in (of_block(start),)]
    for (start,), message in stage.queue.gather(parts):
        reasons[of_block(start)] = message["reasons"]
    rest = np.flatnonzero(place < 0)
    reasons[rest] = _compared_reasons(stage, scorer, a[rest], b[rest])
    return reasons


def _compared_reasons(stage, scorer: Scorer, a, b) -> np.ndarray:
    """Collective: as `explain`, of pairs that have to be compared."""
    step = pairs_a_task(len(a))

    def work(task):
        chosen = slice(task[0], task[0] + step)
        return {"reasons": (yield from scorer.reasons(a[chosen], b[chosen]))}

    done = stage.queue.run([(start,) for start in range(0, len(a), step)], work, name="reasons")
    empty = np.zeros((0, scorer.comparison.records.width + 1), np.float32)
    return np.concatenate([empty, *(message["reasons"] for _, message in stage.queue.gather(done))])


def pairs_a_task(pairs: int) -> int:
    """Local: how many pairs are scored as one task: each reads the table from its beginning to its end."""
    return int(np.clip(pairs // TASKS, LEAST_TASK, PAIR_BLOCK))


def compare_candidates(stage, comparison, rows, candidates) -> dict[int, np.ndarray]:
    """Collective: levels of the candidates, block by block, kept where they were computed: {start: (columns, n)}."""
    def work(task):
        (start,) = task
        chosen = slice(start, start + PAIR_BLOCK)
        levels = yield from comparison.all_levels(rows[candidates.a[chosen]], rows[candidates.b[chosen]])
        return {"levels": levels}

    tasks = [(start,) for start in range(0, len(candidates.a), PAIR_BLOCK)]
    done = stage.queue.run(tasks, work, name="comparisons", kept="levels")
    return {start: message["levels"] for (start,), message in done}


def joined(levels: dict[int, np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Local: this rank's blocks as level vectors and their counts (`level_vectors`), some blocks together."""
    blocks = list(levels.values())
    return [level_vectors(np.concatenate(blocks[start:start + JOINED], axis=1))
            for start in range(0, len(blocks), JOINED)]


def fit_weights(stage, levels: dict[int, np.ndarray], chance, tops, records: int, pairs: float
                ) -> tuple[Weights, np.ndarray, Weights]:
    """Collective: match weights, the share of its evidence that each column may count, and the weights with these.

    levels: of this rank's candidates, block by block; the rest as of `fit`. A later attempt need not fit again.
    Messages: as of `fit`; where there are few level vectors, these to the fastest rank and what it found back, as each
    of thirty sums would wait for the slowest.
    """
    def fitted(world, blocks) -> dict:
        plain = fit(world, blocks, chance, tops, records, pairs)
        discount = dependence_discount(world, plain, chance)
        discounted = fit(world, blocks, chance, tops, records, pairs, discount)
        return {"ratio": np.stack([plain.ratio, discounted.ratio]), "discount": discount,
                "log_odds": np.array([plain.log_odds, discounted.log_odds])}

    def work() -> dict:
        blocks, world = joined(levels), stage.world
        if world.size == 1:
            return fitted(world, blocks)
        known = np.zeros(world.size + 1)
        known[world.rank], known[-1] = stage.queue.speeds[world.rank], sum(len(counts) for _, counts in blocks)
        known = world.sum(known)
        if known[-1] > GATHERED:
            return fitted(world, blocks)
        fastest = int(np.argmax(known[:-1]))
        parts = world.gather({f"{key}{number}": array for number, block in enumerate(blocks)
                              for key, array in zip(("levels", "counts"), block)}, fastest)
        return world.bcast(parts and fitted(Alone(), [(part[f"levels{number}"], part[f"counts{number}"])
                                                      for part in parts for number in range(len(part) // 2)]), fastest)

    found = once(stage.queue, "fit", work)
    plain, discounted = (Weights(ratio, float(odds)) for ratio, odds in zip(found["ratio"], found["log_odds"]))
    return plain, found["discount"], discounted


def gather_pairs(stage, parts: dict[int, np.ndarray], dtype) -> np.ndarray:
    """Collective: values computed per block of candidates, in order, on every rank."""
    results = [((start,), {"part": part}) for start, part in parts.items()]
    merged = [message["part"] for _, message in stage.queue.gather(results)]
    return np.concatenate([np.zeros(0, dtype), *merged])


def chance_levels(stage, comparison, rows, sources, grams) -> np.ndarray:
    """Collective: sets the scales from random pairs; returns their levels. In a small table, where all pairs are drawn,
    those alike as whole records are left out: they are what is looked for."""
    a, b = random_pairs(len(rows), stage.seed, sources)
    if len(a) < 60_000:
        records = comparison.records
        likeness = pair_cosines(stage, records.texts, records.values_of(rows), a, b, grams, records.room)
        a, b = a[likeness <= UNIT // 2], b[likeness <= UNIT // 2]
    return compare_random(stage, comparison, rows[a], rows[b])
