"""Quality figures from confusion matrices."""

import numpy as np


def confusion(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Local: counts, int64 (classes, classes): row = the label, column = the prediction."""
    flat = np.bincount(np.asarray(labels, np.int64) * classes + predicted, minlength=classes * classes)
    return flat.reshape(classes, classes).astype(np.int64)


def accuracy(counts: np.ndarray) -> float | None:
    """Share of right predictions; None without nodes."""
    return float(np.trace(counts) / counts.sum()) if counts.sum() else None


def accuracy_between(share: float, rows: int) -> tuple[float, float]:
    """The accuracies that are likely (95 %) where a share of so many rows was right: the interval of Wilson 1927."""
    square = 1.96**2
    middle = (share + square / (2 * rows)) / (1 + square / rows)
    half = (square * (share * (1 - share) / rows + square / (4 * rows**2))) ** 0.5 / (1 + square / rows)
    return max(0.0, middle - half), min(1.0, middle + half)


def roc_auc(positive: np.ndarray, scores: np.ndarray) -> float | None:
    """Area under the receiver operating characteristic: the chance that a positive outscores a negative, ties half.

    positive: bool; scores: float. None without positives or without negatives.
    """
    count, others = int(positive.sum()), int((~positive).sum())
    if not count or not others:
        return None
    _, place, repeated = np.unique(scores, return_inverse=True, return_counts=True)
    middle = np.cumsum(repeated) - (repeated - 1) / 2
    return float((middle[place][positive].sum() - count * (count + 1) / 2) / (count * others))


def macro_f1(counts: np.ndarray) -> float | None:
    """Mean over the classes that occur (as label or as prediction) of F1 = 2 TP / (2 TP + FP + FN)."""
    true_positive = np.diag(counts)
    either = counts.sum(axis=0) + counts.sum(axis=1)
    occurs = either > 0
    return float(np.mean(2 * true_positive[occurs] / either[occurs])) if occurs.any() else None
