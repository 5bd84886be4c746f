"""Rows of a graph whose ranks are all on one host: they lie in memory that all map, and nothing is sent."""

import numpy as np

from mpiedge.graph.part import Part
from mpiedge.graph.sparse import offsets
from mpiedge.runtime.shared import shared_array

TAG = 42
NOTHING = np.zeros(0, np.uint8)


def shares_rows(world, halo: str, waits: bool) -> bool:
    """Local: whether rows may lie in shared memory: all ranks on one host, rows as they are (halo: as in the flags;
    auto chooses no other form there), and ranks that wait for each other."""
    return world.size > 1 and world.nodes == 1 and halo in ("fp32", "auto") and waits


class SharedRows:
    """The rows of all ranks side by side: each writes its own where the others read them.

    Empty messages say that rows are there. Each width has two sets of rows in turn. A rank writes over a set when it
    has waited for the other one, so its neighbours had filled that, and before they did so they were done with the set.
    Neighbours are mutual, as edges are: who reads from a rank is read by it.
    """

    def __init__(self, world, part: Part):
        """Collective: all ranks of the job are on one host. Messages: each rank's owned rows and those that it sends.

        places: int32, where the rows of the part, owned and halo, lie among all.
        """
        self.world, self.dtype = world, part.features.data.dtype
        ends = np.cumsum(part.send_counts)
        sent = [part.send_rows[end - count : end] for end, count in zip(ends, part.send_counts)]
        found = world.alltoall([{"rows": rows, "owned": np.array([part.owned], np.int64)} for rows in sent])
        first = offsets([int(message["owned"][0]) for message in found])
        self.total, self.own = int(first[-1]), slice(first[world.rank], first[world.rank + 1])
        halo = [first[rank] + message["rows"] for rank, message in enumerate(found)]
        self.places = np.concatenate([np.arange(self.own.start, self.own.stop), *halo]).astype(np.int32)
        self.neighbours = np.flatnonzero(part.send_counts).tolist()
        self.sets: dict[int, list[np.ndarray]] = {}

    def room(self, width: int) -> np.ndarray:
        """Collective: the place of this rank's rows in the set that comes next, to be filled before `share`."""
        if width not in self.sets:
            self.sets[width] = list(shared_array(self.world, (2, self.total, width), self.dtype))
        return self.sets[width][1][self.own]

    def share(self, width: int) -> np.ndarray:
        """Collective: the rows of all ranks, as far as neighbours have filled them, until the next `share` but one of
        this width. Messages: an empty one per neighbouring rank."""
        self.sets[width].reverse()
        comm = self.world.comm
        requests = [comm.Irecv(NOTHING, rank, TAG) for rank in self.neighbours]
        requests += [comm.Isend(NOTHING, rank, TAG) for rank in self.neighbours]
        self.world.wait(*requests)
        return self.sets[width][0]
