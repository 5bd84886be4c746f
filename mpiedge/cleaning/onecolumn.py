"""Tables with a single text column: two records are alike by their grams and by how much of their words they share.

Evidence by column cannot be fitted there, since one column would outvote itself. Similarity is the mean of the gram
cosine and the geometric mean of both coverages; the cut follows from how many records have a duplicate at all.
"""

import bisect

import numpy as np
from rapidfuzz import process
from rapidfuzz.distance import JaroWinkler

from mpiedge.cleaning.candidates import PAIR_BLOCK, find_candidates
from mpiedge.cleaning.clusters import cluster
from mpiedge.cleaning.recall import estimate_recall
from mpiedge.cleaning.scoring import Judged, gather_pairs, record_cosines
from mpiedge.cleaning.versions import find_versions
from mpiedge.kernels.cosine import UNIT
from mpiedge.kernels.coverage import Words, coverage

NEAR, PREFIX = 0.92, 0.8  # Jaro-Winkler of partners; strength of an abbreviation
LEAST_LETTERS, LEAST_PREFIX, LONGER = 4, 3, 2
LEAST_IDF = 0.05
MOST_WORDS = 8192  # eligible words above which only words with the same first letter are compared
STEEPNESS, LOWEST_CUT = 4.0, -3.4
STEPS, REFINEMENTS = 8, 2
WINDOW, MOST_UNDECIDED = 2.0, 0.1  # of weight; share of the records whose best weight lies within a window of the cut
TILE = 128


def read_words(stage, records, rows: np.ndarray) -> Words:
    """Collective: the words of the rows' values and their partners. Messages: the partners to every rank."""
    values, inverse = np.unique(records.codes[rows, 0], return_inverse=True)
    texts = [text.split(" ") if value >= 0 else [] for value, text in
             zip(values.tolist(), records.strings(np.maximum(values, 0)))]
    vocabulary = sorted({word for text in texts for word in text})
    place = {word: number for number, word in enumerate(vocabulary)}
    sets = [sorted({place[word] for word in text}) for text in texts]
    lengths = np.array([len(sets[number]) for number in inverse], np.int64)
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    words = np.array([word for number in inverse for word in sets[number]], np.int32)
    frequency = np.bincount(words, minlength=len(vocabulary))
    weight = np.maximum(LEAST_IDF, np.log((len(rows) + 1) / (frequency + 0.5)))
    return Words(indptr, words, weight, *_partners(stage, vocabulary))


def _partners(stage, vocabulary: list[str]):
    """Collective: start, partner, strength of every word (itself first, then by number)."""
    eligible = [number for number, word in enumerate(vocabulary) if len(word) >= LEAST_LETTERS
                and not any(symbol.isdigit() for symbol in word)]
    names = [vocabulary[number] for number in eligible]
    initials = [name[0] for name in names]

    def work(task):
        (start,) = task
        found = []
        for at in range(start, min(start + TILE, len(vocabulary))):
            word = vocabulary[at]
            if len(word) >= LEAST_PREFIX:
                longer = bisect.bisect_right(vocabulary, word)
                while longer < len(vocabulary) and vocabulary[longer].startswith(word):
                    if len(vocabulary[longer]) >= len(word) + LONGER:
                        found += [(at, longer, PREFIX), (longer, at, PREFIX)]
                    longer += 1
        yield
        mine = range(bisect.bisect_left(eligible, start), bisect.bisect_left(eligible, start + TILE))
        for first in range(mine.start, mine.stop, 16):
            chosen = range(first, min(first + 16, mine.stop))
            low, high = 0, len(names)
            if len(names) > MOST_WORDS:
                low = bisect.bisect_left(initials, initials[chosen[0]])
                high = bisect.bisect_right(initials, initials[chosen[-1]])
            near = process.cdist(names[chosen.start:chosen.stop], names[low:high], dtype=np.float32, workers=1,
                                 scorer=JaroWinkler.normalized_similarity, score_cutoff=NEAR)
            for left, right in zip(*np.nonzero(near)):
                if chosen[left] < low + right:
                    pair = eligible[chosen[left]], eligible[low + int(right)], float(near[left, right])
                    found += [pair, (pair[1], pair[0], pair[2])]
            yield
        flat = np.array(found, np.float64).reshape(-1, 3)
        return {"pair": flat[:, :2].astype(np.int32), "strength": flat[:, 2].astype(np.float32)}

    tasks = [(start,) for start in range(0, len(vocabulary), TILE)]
    results = [message for _, message in stage.queue.gather(stage.queue.run(tasks, work, name="words",
                                                                            kept="words"))]
    own = np.arange(len(vocabulary), dtype=np.int32)
    pair = np.concatenate([np.stack([own, own], axis=1), *(message["pair"] for message in results)])
    strength = np.concatenate([np.ones(len(own), np.float32), *(message["strength"] for message in results)])
    order = np.lexsort((-strength, pair[:, 1], pair[:, 0]))
    pair, strength = pair[order], strength[order]
    new = np.ones(len(pair), bool)  # near and an abbreviation: the stronger of both counts
    new[1:] = (pair[1:] != pair[:-1]).any(axis=1)
    pair, strength = pair[new], strength[new]
    start = np.searchsorted(pair[:, 0], np.arange(len(vocabulary) + 1)).astype(np.int64)
    return start, np.ascontiguousarray(pair[:, 1]), strength


class WordScorer(Judged):
    """Match weight of positions by one column: 4 ln(z / (1 - z)), z the mean of cosine and coverage."""

    def __init__(self, texts, values, grams, words: Words):
        self.texts, self.values, self.grams, self.words = texts, values, grams, words

    def weigh(self, a, b, cosines) -> np.ndarray:
        """Local: float32 weights of pairs with these cosines."""
        shared = np.sqrt(coverage(self.words, a, b) * coverage(self.words, b, a))
        z = np.clip((shared + cosines / UNIT) / 2, 0.01, 0.99)
        return (STEEPNESS * np.log(z / (1 - z))).astype(np.float32)

    def __call__(self, a, b):
        """Local, a generator that yields None every few milliseconds: the weights of pairs of positions."""
        weight = self.weigh(a, b, (yield from record_cosines(self.texts, self.values, a, b, self.grams)))
        self.judge(weight, a, b)
        return weight


def find(stage, records, rows, exhaustive: bool, review: float, told_by_numbers: bool = True, answers=None):
    """Collective: (labels, candidates, weights, completed pairs, cut, facts) of a table with one usable column.

    review: weight from the cut at or above which completed pairs are returned; told_by_numbers: versions may be kept
    apart; answers: pairs that are certain.
    """
    with stage.phase("candidates"):
        candidates = find_candidates(stage, records, rows, exhaustive=exhaustive)
    a, b = candidates.a, candidates.b
    with stage.phase("compare"):
        scorer = WordScorer(records.texts, records.values_of(rows), candidates.grams, read_words(stage, records, rows))

        def work(task):
            parts = []
            for start in range(task[0], min(task[0] + PAIR_BLOCK, len(a)), 2048):
                chosen = slice(start, min(start + 2048, task[0] + PAIR_BLOCK))
                parts.append(scorer.weigh(a[chosen], b[chosen], candidates.cosine[chosen]))
                yield
            return np.concatenate(parts)

        done = stage.queue.run([(start,) for start in range(0, len(a), PAIR_BLOCK)], work, name="comparisons",
                               kept="weights")
        weight = gather_pairs(stage, {start: part for (start,), part in done}, np.float32)
    with stage.phase("cluster"):
        found = _cluster(stage, a, b, weight, len(rows), scorer, review)
        links = np.flatnonzero((weight > found[2]) & (found[0][a] == found[0][b]))
        scorer.rows, scorer.answers = rows, answers
        if told_by_numbers:
            scorer.versions = find_versions(stage.world, records, rows[a[links]], rows[b[links]])
        if scorer.versions is not None or answers is not None:
            scorer.judge(weight, a, b)
            found = _cluster(stage, a, b, weight, len(rows), scorer, review)
    label, completed, cut, facts = found
    with stage.phase("recall"):
        recall = estimate_recall(stage, records, rows, candidates, scorer, cut)
    return label, candidates, weight, completed, cut, {**facts, "versions": scorer.versions is not None,
                                                       "candidate_recall": recall}


def _cluster(stage, a, b, weight, records: int, scorer, review: float):
    """Collective: (labels, completed pairs, cut, facts); the cut follows from how many records have a duplicate."""
    best = np.full(records, -np.inf, np.float32)
    np.maximum.at(best, a, weight)
    np.maximum.at(best, b, weight)
    cut = 0.0
    for _ in range(STEPS):
        cut = cut / 2 + _cut(np.mean(best > cut), records) / 2
    if cut < LOWEST_CUT / 2 and np.mean((best > cut) & (best <= cut + WINDOW)) > MOST_UNDECIDED:
        cut = _valley(best)
        label, completed, facts = cluster(stage, a, b, weight, cut, records, scorer, cut + review)
        return label, completed, cut, facts
    for step in range(REFINEMENTS + 1):
        label, completed, facts = cluster(stage, a, b, weight, cut, records, scorer, cut + review)
        if step < REFINEMENTS:
            together = np.bincount(label, minlength=records)[label] > 1
            cut = cut / 2 + _cut(np.mean(together), records) / 2
    return label, completed, float(cut), facts


def _valley(best: np.ndarray) -> float:
    """Local: the middle of the first window with fewer records than the next one, beyond the mode of chance.

    Where nearly all records have a neighbour and many of them a poor one, the share of records with a duplicate says
    nothing: the lower the cut, the more there are. True duplicates rise beyond the best neighbours of the others.
    """
    count = np.bincount(np.maximum((best - LOWEST_CUT) / WINDOW, 0).astype(np.int64), minlength=3)
    place = 0
    while place + 2 < len(count) and count[place + 1] >= 0.9 * count[place]:
        place += 1
    while place + 2 < len(count) and count[place + 1] <= count[place]:
        place += 1
    return float(LOWEST_CUT + (place + 0.5) * WINDOW)


def _cut(share: float, records: int) -> float:
    share = np.clip(share, 1 / records, 1 - 1 / records)
    return max(float(-3 * np.log(share / (1 - share))), LOWEST_CUT)
