"""Difference sets that a rank tells the others while all still search, so that none does what another made needless."""

import time

import numpy as np

INTERVAL_S = 0.01
"""Between two letters of a rank to the others, at least; so much per rank."""


class News:
    """What one rank finds and hears during the rounds of a search; without a queue nothing.

    Letters are only put aside when they arrive, and taken over between slices of a round that the ranks share: all
    other work is done by every rank alike and must find the same evidence. What is left of them after the round is
    dropped: all have it then.
    """

    def __init__(self, queue, evidence):
        self.queue, self.evidence = queue, evidence
        self.active = False  # in a round that is shared
        self._told = self._next = 0
        self._own: list[np.ndarray] = []
        self._heard: list[np.ndarray] = []
        if queue is not None and queue.world.size > 1:
            queue.mail.handle("news", lambda source, masks: self._heard.append(np.array(masks)))

    def begin(self, shared: bool):
        """Local: a round begins; what is in evidence now is known to all."""
        self.active = shared and self.queue.world.size > 1
        self._told, self._own, self._heard = self.evidence.count, [], []

    def renumbered(self):
        """Local: the evidence was numbered anew, and all that is left of it was told or is told with the rest."""
        self._told = self.evidence.count

    def collect(self):
        """Local: put aside what was found since the last time, before the evidence changes otherwise."""
        if self.active and self.evidence.count > self._told:
            self._own.append(self.evidence.masks(self._told))
            self._told = self.evidence.count

    def share(self):
        """Local: take over what was heard, and from time to time tell the others what was found."""
        if not self.active:
            return
        self.collect()
        if self._heard:
            self.evidence.add(np.concatenate(self._heard))
            self._heard = []
            self._told = self.evidence.count
        if self._own and time.perf_counter() >= self._next:
            self._next = time.perf_counter() + INTERVAL_S * self.queue.world.size
            masks = np.concatenate(self._own)
            self._own = []
            for other in range(self.queue.world.size):
                if other != self.queue.world.rank:
                    self.queue.mail.send(other, "news", masks)
