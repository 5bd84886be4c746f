"""The exchange of boundary rows between neighbouring parts: every rank gets the rows of its halo from their owners."""

import numpy as np

from mpiedge.graph.part import Part
from mpiedge.runtime.rows import form

TAG = 41


class HaloExchange:
    """Sends rows of owned nodes to the ranks that hold a halo copy.

    The plan (which rows, to whom) is fixed by the part; buffers are made once per width. Between start and finish the
    rows travel while the caller computes; calling `progress` now and then moves them on where MPI does nothing by
    itself. Rows may travel in fewer bytes (see runtime/rows.py), which is exact in the mean only; what is random in
    that depends on `place`, on the rank and on how many exchanges there were since it was set.
    """

    def __init__(self, world, part: Part, name: str = "fp32"):
        """Local: keeps the plan of this rank's part; name: the rows' form. idle: no rows go in or out of this rank."""
        self.form, self.dtype = form(name), part.features.data.dtype
        self.place, self.turn = (), 0
        self.world, self.halo, self.send_rows = world, part.halo, part.send_rows
        self.out, self.into = _segments(part.send_counts), _segments(part.receive_counts)
        self.idle = not self.out and not self.into
        self.buffers: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self.requests: list = []
        self.wires: list[np.ndarray] = []  # encoded rows under way: what comes in, then what goes out

    def begin(self, *place: int) -> None:
        """Local: a new pass; `place`: whole numbers, such as the seed and the epoch."""
        self.place, self.turn = place, 0

    def start(self, owned_rows: np.ndarray) -> None:
        """Collective: sends off the owned rows (n x width, of the features' dtype) that others need.

        Messages: one per neighbouring rank.
        """
        outgoing, halo_rows = self._buffers(owned_rows.shape[1])
        np.take(owned_rows, self.send_rows, axis=0, out=outgoing, mode="clip")  # "raise" would copy them twice
        self._start(outgoing, halo_rows)

    def finish(self, width: int) -> np.ndarray:
        """Collective: the halo rows, in a buffer that the next exchange of this width overwrites."""
        halo_rows = self._buffers(width)[1]
        self._finish(halo_rows)
        return halo_rows

    def progress(self) -> None:
        """Local: lets MPI move the rows on."""
        if self.requests:
            self.world.test(*self.requests)

    def _buffers(self, width: int) -> tuple[np.ndarray, np.ndarray]:
        if width not in self.buffers:
            self.buffers[width] = (np.empty((len(self.send_rows), width), self.dtype),
                                   np.empty((self.halo, width), self.dtype))
        return self.buffers[width]

    def _start(self, outgoing: np.ndarray, halo_rows: np.ndarray) -> None:
        self.turn += 1
        if self.idle:
            return
        leaving = [outgoing[start:stop] for _, start, stop in self.out]
        coming = [halo_rows[start:stop] for _, start, stop in self.into]
        if not self.form.exact:
            place = *self.place, self.turn, self.world.rank
            leaving = [self.form.encode(rows, *place, rank) for rows, (rank, _, _) in zip(leaving, self.out)]
            coming = [np.empty(self.form.size(*rows.shape), np.uint8) for rows in coming]
            self.wires = [*coming, *leaving]
        comm = self.world.comm
        self.requests = [comm.Irecv(rows, rank, TAG) for rows, (rank, _, _) in zip(coming, self.into)]
        self.requests += [comm.Isend(rows, rank, TAG) for rows, (rank, _, _) in zip(leaving, self.out)]
        self.world.bytes_sent += sum(rows.nbytes for rows in leaving)
        self.world.bytes_recv += sum(rows.nbytes for rows in coming)

    def _finish(self, halo_rows: np.ndarray) -> None:
        if self.requests:
            self.world.wait(*self.requests)
        for data, (_, start, stop) in zip(self.wires, self.into):
            self.form.decode(data, halo_rows[start:stop])
        self.requests, self.wires = [], []


def _segments(counts: np.ndarray) -> list[tuple[int, int, int]]:
    """(rank, start, stop) of every rank with rows to exchange."""
    ends = np.cumsum(counts)
    return [(rank, int(end - count), int(end)) for rank, (count, end) in enumerate(zip(counts, ends)) if count]
