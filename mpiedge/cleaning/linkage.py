"""Links between sources, one to one: reciprocal best pairs, cut where second-best pairs say false links begin.

A record matches at most one record of another source, so the second best of a record is a known non-match, and the
weights of all second bests are an empirical null of hard negatives. Of several scorers the one that expects the most
true links is taken.
"""

from dataclasses import dataclass, field

import numpy as np

from mpiedge.cleaning import scoring
from mpiedge.cleaning.candidates import find_candidates
from mpiedge.cleaning.matching import COSINE_WEIGHT, logistic, whole_record
from mpiedge.cleaning.similarity import Comparison

REVIEW_FLOOR = 0.1
SURE = 0.9  # expected F1 below which the links should be reviewed
# name: (weight of the column evidence, with the dependence discount, weight of the whole-record cosine)
SCORERS = {"columns": (1, False, 0), "columns + 4 cosine": (1, False, 4), "columns + 16 cosine": (1, False, 16),
           "cosine": (0, False, 1), "discounted columns + 4 cosine": (1, True, 4)}


@dataclass
class Links:
    """As `Duplicates`: cluster_id and pairs as record numbers, probabilities, summary."""

    cluster_id: np.ndarray
    row_a: np.ndarray
    row_b: np.ndarray
    probability: np.ndarray
    summary: dict = field(default_factory=dict)


def link(stage, records, sources: np.ndarray, exhaustive: bool = False) -> Links:
    """Collective: links the records of different sources (uint8 per record); the same on every rank."""
    rows = np.arange(records.rows)
    known, size = np.unique(sources, return_counts=True)
    if len(known) < 2:
        return _none(records.rows, {"linkage": "one source only: nothing to link"})
    with stage.phase("candidates"):
        candidates = find_candidates(stage, records, rows, sources, exhaustive)
    with stage.phase("compare"):
        comparison = Comparison(stage, records)
        chance = scoring.chance_levels(stage, comparison, rows, sources, candidates.grams)
        levels = scoring.compare_candidates(stage, comparison, rows, candidates)
    pairs = (float(size.sum()) ** 2 - float((size.astype(np.float64) ** 2).sum())) / 2
    with stage.phase("fit"):
        tops = np.array([scale.top for scale in comparison.scales])
        plain, _, discounted = scoring.fit_weights(stage, levels, chance, tops, records.rows, pairs)
        evidence = [scoring.gather_pairs(stage, {start: (weights.log_odds + weights.evidence(block)).astype(np.float32)
                                                 for start, block in levels.items()}, np.float32)
                    for weights in (plain, discounted)]
    with stage.phase("link"):
        return _link(candidates, evidence, sources, known, size)


def _link(candidates, evidence, sources, known, size) -> Links:
    """Local: the links of every two sources, then a record of one source in a cluster at most once."""
    a, b = candidates.a, candidates.b
    cosine = whole_record(candidates.cosine)
    chosen = []
    summary = {**candidates.summary, "links": []}
    probability = np.zeros(len(a))
    for number, left in enumerate(known):
        for right in known[number + 1:]:
            here = np.flatnonzero(((sources[a] == left) & (sources[b] == right))
                                  | ((sources[a] == right) & (sources[b] == left)))
            smaller, larger = sorted((int(size[number]), int(size[known == right][0])))
            small_source = left if size[number] == smaller else right
            best = None
            for name, (share, discounted, factor) in SCORERS.items():
                weight = share * evidence[discounted][here].astype(np.float64) + factor * cosine[here]
                weight = weight.astype(np.float32)
                rule = one_to_one(a[here], b[here], weight, sources == small_source, smaller, larger)
                if best is None or rule.true_links > best[1].true_links:
                    best = name, rule, weight
            name, rule, weight = best
            chosen.append((here[rule.links], weight[rule.links]))
            steepness = 1.0 if SCORERS[name][0] else COSINE_WEIGHT
            probability[here] = logistic(steepness * (weight.astype(np.float64) - rule.cut))
            summary["links"].append({"scorer": name, "links": len(rule.links), "cut": round(rule.cut, 6),
                                     "expected_f1": round(rule.expected_f1, 4), "review": rule.expected_f1 < SURE})
    links = np.concatenate([pair for pair, _ in chosen])
    order = np.lexsort((links, -np.concatenate([weight for _, weight in chosen])))
    label = _merge_apart(a, b, links[order], sources)
    near = probability >= REVIEW_FLOOR
    near[links] = True
    return Links(label, a[near].astype(np.int64), b[near].astype(np.int64), probability[near], summary)


@dataclass
class Rule:
    """links: indices of the pairs taken; cut: the lowest weight taken; true_links: the most expected at any cut."""

    links: np.ndarray
    cut: float
    true_links: float
    expected_f1: float


def one_to_one(a, b, weight, in_small: np.ndarray, smaller: int, larger: int) -> Rule:
    """Local: reciprocal best pairs above the cut that maximises the expected F1.

    a, b: the two records of each pair; weight float32; in_small: bool per record, those of the smaller source. With n
    reciprocal pairs at or above t and G(t) the share of their smaller-side records whose second best is too, false
    links are F = max(S - n, 0) G max(B - n, 0) / B, true ones M = max(n - F, 0), F1 = 2 M / (n + max M).
    """
    if not len(a):
        return Rule(np.zeros(0, np.int64), 0.0, 0.0, 0.0)
    records = len(in_small)
    first, second = _two_best(np.append(a, b), np.tile(weight, 2), records)
    index = np.arange(len(a))
    mutual = np.flatnonzero((first[a] == index) & (first[b] == index))
    order = mutual[np.argsort(-weight[mutual], kind="stable")]
    small = np.where(in_small[a[order]], a[order], b[order])
    n = np.arange(1, len(order) + 1, dtype=np.float64)
    # the second best of link i counts at the cut weight[k] when i <= k and it reaches weight[k]
    position = np.maximum(np.searchsorted(-weight[order], -second[small], side="left"), np.arange(len(order)))
    inside = position < len(order)
    above = np.cumsum(np.bincount(position[inside], minlength=len(order))[:len(order)])
    false = np.maximum(smaller - n, 0) * (above / n) * np.maximum(larger - n, 0) / larger
    true = np.maximum(n - false, 0.0)
    last = np.append(weight[order][1:] != weight[order][:-1], True)  # a cut lies between different weights only
    most = true[last].max()
    f1 = np.where(last, 2 * true / (n + most) if most > 0 else 0.0, -1.0)
    best = int(f1.argmax())
    return Rule(order[:best + 1], float(weight[order[best]]), float(most), float(f1[best]))


def _two_best(record, weight, records: int) -> tuple[np.ndarray, np.ndarray]:
    """For each record the index of its best pair (ties: lower index; -1 none) and the weight of its second best."""
    pairs = len(record) // 2
    index = np.tile(np.arange(pairs), 2)
    order = np.lexsort((index, -weight, record))
    record = record[order]
    start = np.flatnonzero(np.append(True, record[1:] != record[:-1]))
    first, second = np.full(records, -1, np.int64), np.full(records, -np.inf, np.float32)
    first[record[start]] = index[order[start]]
    has = start[np.append(np.diff(start), len(record) - start[-1]) > 1]
    second[record[has]] = weight[order[has + 1]]
    return first, second


def _merge_apart(a, b, links, sources) -> np.ndarray:
    """Clusters (smallest record) by joining links in order, never two records of one source."""
    label = np.arange(len(sources))
    members = {}
    for pair in links.tolist():
        low, high = sorted((int(label[a[pair]]), int(label[b[pair]])))
        left, right = members.get(low, [low]), members.get(high, [high])
        if low == high or {int(sources[k]) for k in left} & {int(sources[k]) for k in right}:
            continue
        members[low] = left + right
        label[right] = low
    return label


def _none(records: int, summary: dict) -> Links:
    empty = np.zeros(0, np.int64)
    return Links(np.arange(records), empty, empty, np.zeros(0), summary)
