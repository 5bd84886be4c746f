"""Which rank holds which task at first, before any are stolen."""

import numpy as np

FEW_TASKS = 8  # per rank
SAME_END = 1.2  # ends that are so near each other are the same, as speeds are known


def share(weights: np.ndarray, speeds: np.ndarray, worked_s: np.ndarray, in_order: bool = False) -> np.ndarray:
    """Local: the rank that first holds each task. worked_s: what the ranks have computed so far; in_order: tasks are
    best begun in their order, so each goes to the rank that would finish it earliest after those before it.

    Contiguous runs of tasks, their costs in proportion to the speeds; of a few tasks the longest go first, each to the
    rank that would finish it earliest (Graham 1969, here with unequal machines), and of those that would do so at about
    the same time to the one that has worked least: costs are guesses, and the longest task of a run waits for nobody.
    """
    if len(weights) > FEW_TASKS * len(speeds) and not in_order:
        middles = np.cumsum(weights) - weights / 2
        ends = np.cumsum(speeds) / np.sum(speeds) * weights.sum()
        return np.minimum(np.searchsorted(ends, middles), len(speeds) - 1)
    owner, loads = np.zeros(len(weights), np.int64), np.zeros(len(speeds))
    for task in range(len(weights)) if in_order else np.argsort(-weights, kind="stable").tolist():
        ends = (loads + weights[task]) / speeds
        early = np.flatnonzero(ends <= (1.0 if in_order else SAME_END) * ends.min())
        owner[task] = early[worked_s[early].argmin()]
        loads[owner[task]] += weights[task]
    return owner
