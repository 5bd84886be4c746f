"""Notices that a host runs out of memory while it trains: another program took it, or a limit became tighter."""

import time

from mpiedge.runtime import resources

LOW, WANTED = 0.05, 0.1  # of a rank's budget: what is left when it is short, and what should be left
LOOK_S, REST_S = 1.0, 30.0  # between two looks, and after one that found too little


class Shortage:
    """Calling it tells how many bytes this rank should give away, mostly 0: it looks at a clock first.

    A host that had little left from the start is not short before half of that is gone, too.
    """

    def __init__(self, stage):
        """Local: looks at what is left now."""
        self.stage, self.next_s = stage, time.monotonic() + LOOK_S
        self.low = min(LOW * stage.own_budget_bytes, self.left() / 2)

    def left(self) -> int:
        """Local: bytes that this rank may still take on its host."""
        return resources.available_bytes(self.stage.world.node_size)

    def __call__(self) -> float:
        """Local: bytes to give away, 0.0 where there is no need or it was asked a moment ago."""
        if time.monotonic() < self.next_s:
            return 0.0
        left = self.left()
        short = left < self.low
        self.next_s = time.monotonic() + (REST_S if short else LOOK_S)
        return WANTED * self.stage.own_budget_bytes - left if short else 0.0
