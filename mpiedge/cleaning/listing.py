"""What a search for duplicates found: clusters, pairs at or above the review floor, and questions to a person."""

from dataclasses import dataclass, field

import numpy as np

from mpiedge.cleaning.matching import logistic

REVIEW_FLOOR = 0.1  # probability from which a pair is listed
REVIEW_WEIGHT = float(np.log(REVIEW_FLOOR / (1 - REVIEW_FLOOR)))
ASKED = 8  # pairs shown of each question
UNSURE_PAIRS = "pairs nearly as likely the same as not, and others around them: same or different?"
UNSURE = np.arange(1.5, -10.0, -1.0)  # distances from the cut of the pairs shown of those that are unsure


@dataclass
class Duplicates:
    """What was found.

    cluster_id: int64 (rows,) smallest row number of the cluster; row_a < row_b (int64) and probability (float64): every
    pair scored at or above the review floor, sorted; equal rows are listed with the first of them only. summary: counts
    and the self-check, JSON-able. reasons: float32 (pairs, len(reason_names)), what each column and the whole record
    add to the match weight of a pair (NaN: the rows are equal); None where weights are not made of columns.
    """

    cluster_id: np.ndarray
    row_a: np.ndarray
    row_b: np.ndarray
    probability: np.ndarray
    summary: dict = field(default_factory=dict)
    questions: list[tuple[str, np.ndarray, np.ndarray]] = field(default_factory=list)
    reasons: np.ndarray | None = None
    reason_names: list[str] = field(default_factory=list)


def listed(label, candidates, weight, completed, cut: float, records: int, summary: dict) -> tuple:
    """Local: (clusters and all pairs at or above the review floor, candidates and completed ones, each once; the place
    of each pair among the candidates, int64, -1 of those that are not)."""
    near = np.flatnonzero(weight >= cut + REVIEW_WEIGHT)
    a = np.append(candidates.a[near], completed[0]).astype(np.int64)
    b = np.append(candidates.b[near], completed[1]).astype(np.int64)
    key, chosen = np.unique(a * records + b, return_index=True)
    probability = logistic(np.append(weight[near], completed[2])[chosen].astype(np.float64) - cut)
    summary = {**summary, "cut": round(cut, 6), "edges": int((weight > cut).sum())}
    unsure = _unsure(candidates, weight, cut)
    place = np.append(near, np.full(len(completed[0]), -1))[chosen]
    return Duplicates(label, key // records, key % records, probability, summary, unsure), place


def question(text: str, candidates, pairs: np.ndarray) -> tuple[str, np.ndarray, np.ndarray]:
    """Local: a question and some of the pairs it concerns, evenly spaced."""
    chosen = pairs[np.linspace(0, len(pairs) - 1, min(len(pairs), ASKED)).astype(np.int64)]
    return f"{len(pairs):,} pairs {text}: same or different?", candidates.a[chosen], candidates.b[chosen]


def _unsure(candidates, weight, cut: float) -> list:
    """Local: a question of pairs above and below the cut, spread evenly by weight: what a person says of them tells
    where the cut belongs (`Answers.moved_cut`)."""
    near = np.flatnonzero((weight > cut + UNSURE[-1] - 1) & (weight < cut + UNSURE[0] + 1))
    if not len(near):
        return []
    near = near[np.argsort(weight[near], kind="stable")]
    places = np.searchsorted(weight[near].astype(np.float64), cut + UNSURE)
    chosen = np.unique(near[np.minimum(places, len(near) - 1)])
    even = np.abs(weight[near] - cut) < -REVIEW_WEIGHT
    return [(f"{np.count_nonzero(even):,} {UNSURE_PAIRS}", candidates.a[chosen], candidates.b[chosen])]
