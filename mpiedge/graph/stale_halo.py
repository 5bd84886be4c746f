"""An exchange of boundary rows that waits for nobody: what has arrived last is what counts (bounded staleness)."""

import numpy as np

from mpiedge.graph.halo import HaloExchange
from mpiedge.graph.part import Part

TAG = 100  # plus the number of the exchange, 16 bits at most: above those of HaloExchange


class StaleExchange(HaloExchange):
    """As a `HaloExchange`, but `finish` takes the newest rows that have arrived from each neighbour.

    Only the very first rows of each exchange are waited for. Rows of training and of validation passes, and of each
    exchange within a pass, are told apart by tags. A receive is always posted and only ever tested, so a neighbour that
    is in the middle of a long computation holds nobody up. How old rows get is bounded by who trains (see
    training/stale.py), and so is the memory of rows under way.
    """

    def __init__(self, world, part: Part):
        super().__init__(world, part)
        self.known: dict[int, np.ndarray] = {}  # by tag: the newest rows of all neighbours
        self.expected: dict[tuple[int, int], tuple] = {}  # by tag and neighbour: a posted receive and its buffer
        self.counts: dict[tuple[int, int], list[int]] = {}  # by tag and neighbour: messages sent, received
        self.leaving: list[tuple] = []

    def _start(self, outgoing: np.ndarray, halo_rows: np.ndarray) -> None:
        self.turn += 1
        self.tag = TAG + 2 * self.turn + bool(self.place)
        self.leaving = [entry for entry in self.leaving if not self.world.test(entry[0])]
        for rank, start, stop in self.out:
            rows = outgoing[start:stop].copy()
            self.leaving.append((self.world.comm.Isend(rows, rank, self.tag), rows))
            self._counts(self.tag, rank)[0] += 1
            self.world.bytes_sent += rows.nbytes

    def _finish(self, halo_rows: np.ndarray) -> None:
        new = self.tag not in self.known
        known = self.known.setdefault(self.tag, np.zeros_like(halo_rows))
        for rank, start, stop in self.into:
            if new:
                self._expect(self.tag, rank, known[start:stop])
                self.world.wait(self.expected[self.tag, rank][0])
            self._take(self.tag, rank, known[start:stop])
        halo_rows[:] = known

    def _take(self, tag: int, rank: int, rows: np.ndarray) -> None:
        """Local: the newest rows of a neighbour that have arrived, if any."""
        while True:
            request, buffer = self.expected[tag, rank]
            if not self.world.test(request):
                return
            rows[:] = buffer
            self._counts(tag, rank)[1] += 1
            self.world.bytes_recv += buffer.nbytes
            self._expect(tag, rank, rows)

    def _expect(self, tag: int, rank: int, rows: np.ndarray) -> None:
        buffer = np.empty_like(rows)
        self.expected[tag, rank] = self.world.comm.Irecv(buffer, rank, tag), buffer

    def _counts(self, tag: int, rank: int) -> list[int]:
        return self.counts.setdefault((tag, rank), [0, 0])

    def close(self) -> None:
        """Collective: receives what is under way and withdraws from the rest. Messages: how many there were."""
        size, sent = self.world.size, [[] for _ in range(self.world.size)]
        for (tag, rank), (count, _) in self.counts.items():
            sent[rank].append((tag, count))
        found = self.world.alltoall([{"sent": np.array(pairs, np.int64).reshape(-1, 2)} for pairs in sent])
        for rank in range(size):
            for tag, count in found[rank]["sent"].tolist():
                while (tag, rank) in self.expected and self._counts(tag, rank)[1] < count:
                    request, buffer = self.expected[tag, rank]
                    self.world.wait(request)
                    self._counts(tag, rank)[1] += 1
                    self._expect(tag, rank, buffer)
        self.world.wait(*(request for request, _ in self.leaving))
        for request, _ in self.expected.values():
            request.Cancel()
            request.Wait()
