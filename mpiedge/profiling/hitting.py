"""Candidates: the minimal hitting sets of the difference sets of each right-hand side, shared over the ranks.

A task (root, path...) is the search of one right-hand side, or the branch of it at the end of a path of numbers; or
(TURN, ranks, rank) of one right-hand side after another that no other rank of the host has taken. A long search leaves
its other branches to be searched as tasks of their own, so ranks without work find some.
"""

import numpy as np

from mpiedge.kernels import bits, hitting
from mpiedge.kernels.pages import can_count
from mpiedge.profiling.anytime import Stop
from mpiedge.profiling.evidence import SHARE_NS, alone
from mpiedge.profiling.room import Pile, Room, gather_sets, joined
from mpiedge.runtime.counter import Counter

FIRST_STEPS = 1 << 11  # search steps of a right-hand side made at a time before the rest is shared
FIRST_SLICES = 16  # so many steps are made by every rank, before it is clear that sharing pays
STEPS = 1 << 13  # made at a time afterwards; then others are answered
SLICES = 8  # after which other branches are left to others, if nobody has asked for them before
ALIKE = 1.25  # times as fast at most: such ranks of a host take searches in turn
TURN = -2  # instead of the root of a task: roots as long as there are some
EDGE_NS = 2500.0  # of a search, for each difference set to hit: measured on wide tables


def edges_for(sets: np.ndarray, use: np.ndarray, right: int) -> np.ndarray:
    """Local: the minimal difference sets of right-hand side `right`, without it."""
    word, bit = right >> 6, np.uint64(1 << (right & 63))
    edges = sets[(use[:, word] & bit) != 0]
    edges[:, word] &= ~bit
    return edges


class Enumerator:
    """Left-hand sides per right-hand side, enumerated again only where the evidence changed.

    stop: asked between slices; a search that it ends leaves out some candidates. brief: leave out what the first steps
    do not find, for the candidates at the end of a search that was ended early. room: where the candidates lie.
    """

    def __init__(self, max_lhs: int | None = None, stop: Stop | None = None, brief: bool = False,
                 room: Room | None = None):
        self.max_lhs, self.stop, self.brief, self.room = max_lhs, stop or Stop(), brief, room or Room()
        self._known, self._found = None, {}
        self.shared = False  # the last run was, so it may have been ended early

    def run(self, sets: np.ndarray, use: np.ndarray, rights: list[int], world=None, queue=None):
        """Collective: all candidates: (left (k, words) uint64, right (k,) int32), by right, size and value of left.

        sets, use: distinct difference sets, every time in the same order, with the right-hand sides each is for. Where
        it is little work every rank makes the first steps; what is not finished then is shared on the queue.
        """
        changed = set(rights)
        if self._known is not None:
            changed &= set(np.flatnonzero(bits.unpack(changes(*self._known, sets, use)[None], 64 * sets.shape[1])[0]))
        self._known = sets, use
        search = Search(lambda right: edges_for(sets, use, right), bits.counts(use).tolist(), self.max_lhs, self.stop,
                        self.brief, self.room)
        self._found |= search.run([right for right in rights if right in changed], queue)
        self.shared = search.shared
        lefts = [self._found.pop(right) for right in rights]
        right = self.room.keep(np.repeat(np.array(rights, np.int32), [len(left) for left in lefts]))
        left, lefts = joined(lefts, sets.shape[1], self.room)
        self._found |= dict(zip(rights, lefts))
        return left, right


def changes(old_sets, old_use, sets, use) -> np.ndarray:
    """Local: the right-hand sides, as a mask, that have other difference sets than before."""
    new, gone = bits.absent(sets, old_sets), bits.absent(old_sets, sets)
    return np.bitwise_or.reduce(np.concatenate([use[new], old_use[gone], use[~new] ^ old_use[~gone]]), axis=0)


def enumerate_one(edges: np.ndarray, largest: int | None, world=None, queue=None, stop: Stop | None = None,
                  brief: bool = False, room: Room | None = None) -> np.ndarray:
    """Collective: the minimal hitting sets of one hypergraph, (k, words), sorted; the others: as of `Enumerator`."""
    return Search(lambda _: edges, [len(edges)], largest, stop or Stop(), brief, room or Room()).run([0], queue)[0]


class Search:
    """The minimal hitting sets of several hypergraphs, the roots: edges_of(root), with sizes[root] edges."""

    def __init__(self, edges_of, sizes, largest: int | None, stop: Stop, brief: bool, room: Room):
        self.edges_of, self.sizes, self.largest, self.stop, self.brief = edges_of, sizes, largest, stop, brief
        self.room, self.shared = room, False

    def run(self, roots: list[int], queue) -> dict[int, np.ndarray]:
        """Collective: the hitting sets of each root, sorted; without a queue Local."""
        if queue is not None and not self.brief and sum(map(self.cost_ns, zip(roots))) >= SHARE_NS:
            return self._shared(roots, queue)
        found, waiting = self._first_steps(roots)
        return found | (self._shared(waiting, queue) if waiting else {})

    def cost_ns(self, task: tuple) -> float:
        """Local: the estimated work of a task, the less the longer its path is; of a TURN, a rank's share of all."""
        if task[0] == TURN:
            return EDGE_NS * sum(self.sizes) / task[1]
        return EDGE_NS * self.sizes[task[0]] / (1 << sum(number >= 0 for number in task[1:]))

    def _first_steps(self, roots: list[int]) -> tuple[dict[int, np.ndarray], list[int]]:
        """Local: the hitting sets of the roots that do not take long, and the other roots.

        Not ended before the searches are shared: all ranks must agree on which were finished."""
        found, waiting, slices = {}, [], 0
        for root in roots:
            search = hitting.minimal_hitting_sets(self.edges_of(root), self.largest, FIRST_STEPS,
                                                  stop=lambda: self.brief)
            while self.brief or slices < FIRST_SLICES:
                slices += 1
                try:
                    next(search)
                except StopIteration as end:
                    found[root] = self.room.keep(end.value[bits.order(end.value)])
                    break
            else:
                waiting.append(root)
        return found, waiting

    def _shared(self, roots: list[int], queue) -> dict[int, np.ndarray]:
        self.shared = True
        words = self.edges_of(roots[0]).shape[1] if roots else 1
        piles = {root: Pile(words, self.room) for root in roots}
        bare, whole = ([root for root in roots if bool(self.sizes[root]) == some] for some in (False, True))

        def work(task):
            if task[0] != TURN:
                yield from search(task)
                return
            for number in counter.below(len(whole)):
                yield from search(padded(whole[number]))
                yield None

        def search(task):
            path = tuple(number for number in task[1:] if number >= 0)
            search = hitting.minimal_hitting_sets(self.edges_of(task[0]), self.largest, STEPS, path, self.stop.tell,
                                                  cut=SLICES)
            asked = None
            while True:
                try:
                    branches = search.send(asked)
                except StopIteration as end:
                    piles[task[0]].add(end.value[bits.order(end.value)])  # here, as then it is shared too
                    return
                asked = yield [padded(task[0], *branch) for branch in branches]

        if queue is None or queue.world.is_root:
            for root in bare:
                piles[root].add(np.zeros((1, words), np.uint64))  # nothing is to be hit: the empty set does
        tasks = [padded(root) for root in whole]
        if self._taken_in_turn(queue):
            counter = Counter(queue.world)
            whole.sort(key=lambda root: -self.sizes[root])
            tasks = [padded(TURN, queue.world.size, rank) for rank in range(queue.world.size)]
        if queue is None:
            alone(tasks, work)
        else:
            queue.run(tasks, work, cost=self.cost_ns, learn=False, name="enumerate")
        found = gather_sets(None if queue is None else queue.world, list(piles.values()), words, self.room)
        return dict(zip(roots, found))

    def _taken_in_turn(self, queue) -> bool:
        """Local: whether the ranks take the next root each time, the longest first, instead of dealing them out: where
        all are on one host, about as fast as one another."""
        if queue is None or not 1 < queue.world.size == queue.world.node_size:
            return False
        return can_count() and queue.stealing and queue.speeds.max() <= ALIKE * queue.speeds.min()


def padded(*numbers: int) -> tuple[int, ...]:
    """Local: a task: a root and its path, of one length whatever the length of the path."""
    return (*numbers, *[-1] * (1 + hitting.MOST_CUTS - len(numbers)))
