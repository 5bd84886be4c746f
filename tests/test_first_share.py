"""Which rank first holds each task."""

import numpy as np

from mpiedge.runtime.first_share import share


def test_tasks_in_order_begin_about_in_their_order():
    """Whoever would finish a task earliest after those before it gets it; a slow rank gets few."""
    weights = np.array([1.0, 4, 4, 3, 40, 40, 20, 20])
    assert share(weights, np.ones(2), np.zeros(2), in_order=True).tolist() == [0, 1, 0, 1, 0, 1, 0, 1]
    slow = share(np.ones(20), np.array([4.0, 1.0]), np.zeros(2), in_order=True)
    assert np.bincount(slow).tolist() == [16, 4]
