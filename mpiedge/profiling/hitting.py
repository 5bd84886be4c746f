"""Candidates: the minimal hitting sets of the difference sets of each right-hand side, shared over the ranks."""

import numpy as np

from mpiedge.kernels import bits, hitting
from mpiedge.profiling.anytime import Stop
from mpiedge.profiling.evidence import alone

FIRST_STEPS = 1 << 11  # search steps of a right-hand side made at a time before the rest is shared
FIRST_SLICES = 32  # so many steps are made by every rank, before it is clear that sharing pays
STEPS = 1 << 17


def edges_for(sets: np.ndarray, use: np.ndarray, right: int) -> np.ndarray:
    """Local: the minimal difference sets of right-hand side `right`, without it."""
    word, bit = right >> 6, np.uint64(1 << (right & 63))
    edges = sets[(use[:, word] & bit) != 0]
    edges[:, word] &= ~bit
    return edges


class Enumerator:
    """Left-hand sides per right-hand side, enumerated again only where the evidence changed.

    stop: asked between slices; a search that it ends leaves out some candidates. brief: leave out what the first steps
    do not find, for the candidates at the end of a search that was ended early.
    """

    def __init__(self, max_lhs: int | None = None, stop: Stop | None = None, brief: bool = False):
        self.max_lhs, self.stop, self.brief = max_lhs, stop or Stop(), brief
        self._edges, self._found, self._sharing = {}, {}, False

    def run(self, sets: np.ndarray, use: np.ndarray, rights: list[int], world=None, queue=None):
        """Collective: all candidates: (left (k, words) uint64, right (k,) int32), by right, size and value of left.

        Every rank makes the first steps, which are enough for most tables; what is not finished by then is shared on
        the queue by right-hand sides, and its candidates are exchanged.
        """
        searches = {}
        for right in rights:
            edges = edges_for(sets, use, right)
            if right in self._edges and np.array_equal(edges, self._edges[right]):
                continue
            self._edges[right] = edges
            searches[right] = hitting.minimal_hitting_sets(edges, self.max_lhs, FIRST_STEPS, stop=self._ends)
        slices = 0
        for right, search in list(searches.items()):
            while self.brief or slices < FIRST_SLICES:
                slices += 1
                try:
                    next(search)
                except StopIteration as end:
                    self._found[right] = end.value[bits.order(end.value)]
                    del searches[right]
                    break
        if searches:
            self._finish(searches, world, queue)
        lefts = [self._found[right] for right in rights]
        right = np.repeat(np.array(rights, np.int32), [len(left) for left in lefts])
        return np.concatenate([*lefts, np.empty((0, sets.shape[1]), np.uint64)]), right

    def _ends(self) -> bool:
        # Not before the searches are shared: all ranks must agree on which were finished in the first steps.
        return self.brief or (self._sharing and self.stop.tell())

    def _finish(self, searches: dict, world, queue):
        def work(task):
            left = yield from searches[task[0]]
            return {"left": left[bits.order(left)]}

        tasks = [(right,) for right in searches]
        self._sharing = True
        if queue is None:
            results = alone(tasks, work)
        else:
            results = queue.gather(queue.run(tasks, work, name="enumerate"))
        self._sharing = False
        for (right,), message in results:
            self._found[right] = np.asarray(message["left"], np.uint64)


def enumerate_one(edges: np.ndarray, largest: int | None, world=None, queue=None, stop: Stop | None = None,
                  brief: bool = False) -> np.ndarray:
    """Collective: the minimal hitting sets of one hypergraph, (k, words); a long search is shared by its branches.

    stop, brief: as of `Enumerator`."""
    stop = stop or Stop()
    search = hitting.minimal_hitting_sets(edges, largest, FIRST_STEPS, stop=lambda: brief)
    try:
        next(search)
    except StopIteration as end:
        return end.value

    def work(task):
        found = yield from hitting.minimal_hitting_sets(edges, largest, STEPS, task[0], stop=stop.tell)
        return {"found": found}

    tasks = [(branch,) for branch in range(hitting.branches(edges))]
    results = alone(tasks, work) if queue is None else queue.gather(queue.run(tasks, work, name="keys"))
    return np.concatenate([np.asarray(message["found"], np.uint64) for _, message in results])
