"""A world of one rank inside a job of many: what one rank computes by itself, by the code that many ranks share."""

import numpy as np

from mpiedge.runtime.carrying import Carried


class Alone:
    """The part of `World` that a training uses, for one rank; nothing travels."""

    rank, size, is_root, bytes_sent, bytes_recv, wait_s, carried = 0, 1, True, 0, 0, 0.0, Carried()

    def sum(self, array) -> np.ndarray:
        """Local: the array."""
        return np.array(array)

    def start_sum(self, array: np.ndarray) -> list:
        """Local: nothing to wait for."""
        return []

    def wait(self, *requests) -> None:
        """Local: nothing to wait for."""
