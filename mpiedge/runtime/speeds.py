"""How fast ranks are as far as their start tells, before anything was measured."""

import numpy as np

UNLIKE = 2.0  # starts so many times as long tell a slower rank, less may come of what else the hosts did


def speeds_of_starts(starts_s: list[float | None]) -> np.ndarray:
    """Local: the relative speed of each rank, mean 1, by how long the same work, its start, has kept it busy.

    All are equal where they are nearly that, or where some rank does not know: so short a time tells no more.
    """
    if None in starts_s or max(starts_s) < UNLIKE * min(starts_s):
        return np.ones(len(starts_s))
    speeds = 1 / np.array(starts_s)
    return speeds / speeds.mean()
