"""Match weights without labels: Fellegi-Sunter over levels of agreement, fitted by EM over all pairs of the table.

Fellegi & Sunter 1969; EM as in Winkler 1988, with three changes that keep it from finding something other than
duplicates: the non-matches are mostly random pairs, m is drawn towards a generic shape, and columns that agree together
by chance (copies, city and postcode) share their evidence.

The sums of the E step are exact (`kernels.expectation`), so the fit has the same bits however the pairs are spread over
the ranks.
"""

import itertools
from dataclasses import dataclass

import numpy as np

from mpiedge.cleaning.similarity import MISSING
from mpiedge.kernels.cosine import UNIT
from mpiedge.kernels.expectation import GRAIN, LEVELS, expected, pack

ROUNDS = 15
OWN_SHARE = 0.7  # of m; the rest is the generic shape
COSINE_WEIGHT = 3.0
LEAST_CORRELATION, CORRELATION_POWER, LEAST_PAIRS = 0.2, 1.5, 200
MISSING_LEVEL = LEVELS - 1


@dataclass
class Weights:
    """What agreement is worth: ratio float64 (columns, LEVELS) = ln(m/u), 0 where missing; log_odds of any pair."""

    ratio: np.ndarray
    log_odds: float

    def evidence(self, levels: np.ndarray) -> np.ndarray:
        """Local: float64 sum over the columns for uint8 levels (columns, pairs)."""
        total = np.zeros(levels.shape[1])
        for column, row in enumerate(levels):
            total += self.ratio[column][np.minimum(row, MISSING_LEVEL)]
        return total


def logistic(weight: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-np.clip(weight, -500, 500)))


def generic_shape(tops: np.ndarray) -> np.ndarray:
    """Local: m before any data, (columns, LEVELS): mostly equal, else the nearer the likelier."""
    shape = np.zeros((len(tops), LEVELS))
    for column, top in enumerate(tops):
        level = np.arange(1, top)
        shape[column, 1:top] = 0.01 + 0.15 * 2.0 ** -(top - level)
        shape[column, top] = 0.71
    return shape / shape.sum(axis=1, keepdims=True)


def level_vectors(levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Local: the distinct columns of levels (columns, pairs), packed (`expectation.pack`), and how often each occurs;
    all of them, once each, where few repeat."""
    rows = pack(levels)
    words = rows.view(np.uint64)
    if words.shape[1] == 1:
        distinct, counts = np.unique(words[:, 0], return_counts=True)
    else:
        order = np.lexsort(words.T)
        ordered = words[order]
        new = np.append(True, (ordered[1:] != ordered[:-1]).any(axis=1))[:len(order)]
        distinct, counts = ordered[new], np.diff(np.append(np.flatnonzero(new), len(order)))
    if 2 * len(counts) > len(rows):
        return rows, np.ones(len(rows), np.int64)
    return distinct.reshape(-1, words.shape[1]).view(np.uint8), counts


def tally(levels: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Local: sum of `weight` per column and level, (columns, LEVELS); missing cells are left out."""
    folded = np.where(levels == MISSING, MISSING_LEVEL, levels)
    table = np.array([np.bincount(row, weight, LEVELS) for row in folded], np.float64)
    table = table.reshape(len(levels), LEVELS)  # bincount of nothing gives whole numbers, hence the dtype
    return _folded(table)


def _folded(table: np.ndarray) -> np.ndarray:
    """The half-levels 0 and 1 as one, and no missing cells."""
    table[:, 1] += table[:, 0]
    table[:, [0, MISSING_LEVEL]] = 0.0
    return table


def fit(world, blocks: list, chance: np.ndarray, tops: np.ndarray, records: int, pairs: float,
        discount: np.ndarray | None = None) -> Weights:
    """Collective: EM over all `pairs` pairs of the table. Messages: two small sums, then one per round.

    blocks: this rank's candidates as (packed level vectors uint8 (n, width), how often int64 (n,)); chance: levels of
    the random pairs, the same on every rank; discount: float64 (columns,) share of its evidence a column may count.
    """
    shape = generic_shape(tops)
    exists = shape > 0
    discount = np.ones(len(tops)) if discount is None else discount

    def summed(ratio, log_odds: float) -> tuple[np.ndarray, float]:
        sums = np.zeros(shape.size + 1)
        for vectors, counts in blocks:
            sums += expected(vectors, counts, ratio, log_odds)
        sums = world.sum(sums)
        return _folded(sums[:-1].reshape(shape.shape)), float(sums[-1])

    everyone, candidates = summed(np.zeros(shape.shape), np.inf)
    random_counts = tally(chance, np.ones(chance.shape[1]))
    scale = max(pairs - candidates, 0.0) / max(chance.shape[1], 1)
    u = _shares(random_counts + 1.0, exists)
    m = shape
    share = min(records / 2 / pairs, 0.5)
    for _ in range(ROUNDS):
        weights = Weights(_ratio(m, u, exists) * discount[:, None], float(np.log(share / (1 - share))))
        matched, matches = summed(weights.ratio, weights.log_odds)
        u = _shares(everyone - matched + scale * random_counts + 0.5, exists)
        m = (1 - OWN_SHARE) * shape + OWN_SHARE * _shares(matched + 0.5, exists)
        share = min((matches + 1.0) / pairs, 0.5)
    return Weights(_ratio(m, u, exists) * discount[:, None], float(np.log(share / (1 - share))))


def dependence_discount(world, weights: Weights, chance: np.ndarray) -> np.ndarray:
    """Collective: 1 / (1 + sum of the correlations with other columns ^ 1.5) per column, over the random pairs.

    chance: levels of the random pairs, weighted by their probability of being no match. Columns that agree together by
    chance would otherwise count the same evidence several times. The weights are rounded as the probabilities of
    matches are, so that their sums by the levels of two columns are exact. Messages: a sum of the correlations, each
    of which one rank computes.
    """
    unlikely = np.round((1.0 - logistic(weights.log_odds + weights.evidence(chance))) * GRAIN) / GRAIN
    folded = np.minimum(chance, MISSING_LEVEL).astype(np.int64)
    correlations = np.zeros((len(chance), len(chance)))
    for c, d in list(itertools.combinations(range(len(chance)), 2))[world.rank::world.size]:
        code = folded[c] * LEVELS + folded[d]
        pairs = np.bincount(code, minlength=LEVELS * LEVELS).reshape(LEVELS, LEVELS)
        if pairs[:MISSING_LEVEL, :MISSING_LEVEL].sum() < LEAST_PAIRS:
            continue
        together = np.bincount(code, unlikely, LEVELS * LEVELS).reshape(LEVELS, LEVELS)
        correlations[c, d] = _correlation(weights.ratio[c, :-1], weights.ratio[d, :-1], together[:-1, :-1])
    correlations = world.sum(correlations.reshape(-1)).reshape(correlations.shape)
    counted = np.where(correlations > LEAST_CORRELATION, correlations, 0.0) ** CORRELATION_POWER
    return 1.0 / (1.0 + (counted + counted.T).sum(axis=1))


def whole_record(cosines: np.ndarray) -> np.ndarray:
    """Local: ln(c / (1 - c)) + .4 of int32 cosines, c kept within .02 and .98."""
    share = np.clip(cosines / UNIT, 0.02, 0.98)
    return np.log(share / (1 - share)) + 0.4


def prevalence_cut(best: np.ndarray) -> float:
    """Local: the weight above which a pair is a match, from each record's best weight (-inf: none).

    A prior: the odds that a record has a duplicate at all; found as a fixed point in eight damped steps.
    """
    cut = 0.0
    for _ in range(8):
        share = np.clip(np.mean(best > cut), 1 / len(best), 1 - 1 / len(best))
        cut = cut / 2 + max(-3 * np.log(share / (1 - share)), -1.0) / 2
    return float(cut)


def _shares(counts: np.ndarray, exists: np.ndarray) -> np.ndarray:
    counts = np.where(exists, counts, 0.0)
    return counts / counts.sum(axis=1, keepdims=True)


def _ratio(m: np.ndarray, u: np.ndarray, exists: np.ndarray) -> np.ndarray:
    """ln(m/u) per level; level 0 (below the median of chance) is worth the same as level 1."""
    ratio = np.zeros_like(m)
    ratio[exists] = np.log(m[exists] / u[exists])
    ratio[:, 0] = ratio[:, 1]
    return ratio


def _correlation(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> float:
    """Of values x and y, the first by row and the second by column of their weights together."""
    of_x, of_y = weight.sum(axis=1), weight.sum(axis=0)
    total = of_x.sum()
    x, y = x - (of_x * x).sum() / total, y - (of_y * y).sum() / total
    spread = (of_x * x * x).sum() * (of_y * y * y).sum()
    return float((weight * x[:, None] * y).sum() / np.sqrt(spread)) if spread > 0 else 0.0
