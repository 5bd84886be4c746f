"""The exchange of boundary rows between neighbouring parts, forward (to the halo) and back (from the halo)."""

import numpy as np

from mpiedge.graph.part import Part

TAG_FORWARD, TAG_BACK = 41, 42


class HaloExchange:
    """Sends rows of owned nodes to the ranks that hold a halo copy, and sums of the copies back to their owners.

    The plan (which rows, to whom) is fixed by the part; buffers are made once per width. `forward` is the linear map
    E from owned rows to halo rows; `back` is its transpose, so a gradient that passes through `back` is exact.
    """

    def __init__(self, world, part: Part):
        """Local: keeps the plan of this rank's part. idle: no rows go in or out of this rank."""
        self.world, self.owned, self.halo = world, part.owned, part.halo
        self.send_rows = part.send_rows
        self.out, self.into = _segments(part.send_counts), _segments(part.receive_counts)
        self.idle = not self.out and not self.into
        self.buffers: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def forward(self, owned_rows: np.ndarray) -> np.ndarray:
        """Collective: owned rows (float32, n x width) followed by the halo rows, which their owners send.

        Messages: one per neighbouring rank. The result is a buffer that the next call with this width overwrites.
        """
        outgoing, together = self._buffers(owned_rows)
        together[: self.owned] = owned_rows
        np.take(owned_rows, self.send_rows, axis=0, out=outgoing)
        self._exchange(outgoing, self.out, together[self.owned :], self.into, TAG_FORWARD)
        return together

    def back(self, halo_rows: np.ndarray, owned_rows: np.ndarray) -> None:
        """Collective: adds the halo rows of all ranks to the owned rows they are copies of, in rank order."""
        incoming, _ = self._buffers(owned_rows)
        self._exchange(np.ascontiguousarray(halo_rows), self.into, incoming, self.out, TAG_BACK)
        for _, start, stop in self.out:  # rows of one destination are distinct, so a plain indexed sum is right
            owned_rows[self.send_rows[start:stop]] += incoming[start:stop]

    def bytes_per_exchange(self, width: int) -> int:
        """Bytes this rank sends in one forward exchange of rows of `width` float32."""
        return 4 * width * len(self.send_rows)

    def _buffers(self, like: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        width = like.shape[1]
        if width not in self.buffers:
            self.buffers[width] = (np.empty((len(self.send_rows), width), like.dtype),
                                   np.empty((self.owned + self.halo, width), like.dtype))
        return self.buffers[width]

    def _exchange(self, sent, out, received, into, tag) -> None:
        comm = self.world.comm
        requests = [comm.Irecv(received[start:stop], rank, tag) for rank, start, stop in into]
        requests += [comm.Isend(sent[start:stop], rank, tag) for rank, start, stop in out]
        if requests:
            self.world.wait(*requests)
        self.world.bytes_sent += sent.nbytes
        self.world.bytes_recv += received.nbytes


def _segments(counts: np.ndarray) -> list[tuple[int, int, int]]:
    """(rank, start, stop) of every rank with rows to exchange."""
    ends = np.cumsum(counts)
    return [(rank, int(end - count), int(end)) for rank, (count, end) in enumerate(zip(counts, ends)) if count]
