"""An exchange of boundary rows among the ranks of one host: they lie in memory that all map, and nothing is sent."""

import numpy as np

from mpiedge.graph.halo import HaloExchange
from mpiedge.graph.part import Part
from mpiedge.graph.sparse import offsets
from mpiedge.runtime.shared import shared_array

TAG = 42
NOTHING = np.zeros(0, np.uint8)


def shares_rows(world, halo: str, waits: bool) -> bool:
    """Local: whether boundary rows may lie in shared memory: all ranks on one host, rows as they are (halo: as in the
    flags; auto chooses no other form there), and ranks that wait for each other."""
    return world.size > 1 and world.nodes == 1 and halo in ("fp32", "auto") and waits


class SharedExchange(HaloExchange):
    """As a `HaloExchange`, but `finish` gives the boundary rows of all ranks: those of the halo lie at `places` there.

    Empty messages say that rows are there. Each width has two sets of rows in turn. A rank writes over a set when it
    has finished the exchange in the other one, so its neighbours had started that, and before they did so they were
    done with the set. Neighbours are mutual, as edges are: who reads from a rank is read by it.
    """

    def __init__(self, world, part: Part):
        """Collective: all ranks of the job are on one host. Messages: how many rows each has for whom.

        places: int32, of each row of the halo.
        """
        super().__init__(world, part)
        counts = np.stack([message["counts"] for message in world.allgather({"counts": part.send_counts})])
        ends = offsets(counts.ravel())
        first, self.total = ends[:-1].reshape(counts.shape), int(ends[-1])
        self.own = slice(first[world.rank, 0], first[world.rank, 0] + len(part.send_rows))
        self.places = np.concatenate([first[rank, world.rank] + np.arange(count)
                                      for rank, count in enumerate(counts[:, world.rank])]).astype(np.int32)
        self.sets: dict[int, list[np.ndarray]] = {}

    def start(self, owned_rows: np.ndarray) -> None:
        """Collective: shows the others the rows that they need. Messages: an empty one per neighbouring rank."""
        width = owned_rows.shape[1]
        if width not in self.sets:
            self.sets[width] = list(shared_array(self.world, (2, self.total, width), self.dtype))
        self.sets[width].reverse()
        np.take(owned_rows, self.send_rows, axis=0, out=self.sets[width][0][self.own], mode="clip")  # see HaloExchange
        comm = self.world.comm
        self.requests = [comm.Irecv(NOTHING, rank, TAG) for rank, _, _ in self.into]
        self.requests += [comm.Isend(NOTHING, rank, TAG) for rank, _, _ in self.out]

    def finish(self, width: int) -> np.ndarray:
        """Collective: the boundary rows of all ranks, until the next exchange but one of this width."""
        if self.requests:
            self.world.wait(*self.requests)
        self.requests = []
        return self.sets[width][0]
