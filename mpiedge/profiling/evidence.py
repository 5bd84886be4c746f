"""The evidence about one table: difference sets, closed and checked column sets; what every way of searching shares."""

import numpy as np

from mpiedge.kernels import bits, hitting, partition
from mpiedge.kernels.codes import BLOCKS, agreement, bounds
from mpiedge.kernels.evidence import Evidence, needed_bytes
from mpiedge.profiling.anytime import State
from mpiedge.runtime.lists import gather_lists

LEAST_NS = 2e6  # less work than this is done by every rank alike: to share it out takes an exchange, which is as dear
SHARE_NS = 2e7  # less than this is shared out for good: a run takes as long to end
EVEN_NS = 1e8  # the same, where the costs are known well
SHARE_SETS = 1 << 12  # difference sets of which the ranks find the minimal ones together
SHARE_CELLS = 1 << 19  # of a table of which the ranks prepare parts for one another: 20 ms of work
COMPACT = 1 << 18  # difference sets in memory before those that are not minimal are dropped


def share(world, queue, tasks: list[tuple], work, cost_ns, name="tasks", even=False) -> tuple[list[tuple], bool]:
    """Collective: run tasks on the queue, or, when they are little work, a fixed share or all of them on every rank.

    even: the costs are known well. Returns the (task, result) pairs of this rank and whether they are only a part:
    (pairs, shared). The choice depends on the tasks alone, so all ranks choose alike.
    """
    work_ns = sum(map(cost_ns, tasks))
    if queue is None or work_ns < LEAST_NS:
        return alone(tasks, work), False
    if work_ns < (EVEN_NS if even else SHARE_NS):
        return alone(queue.own(tasks, cost_ns), work), True
    return queue.run(tasks, work, cost=cost_ns, learn=even, name=name), True


def alone(tasks: list[tuple], work) -> list[tuple]:
    """Local: what `Queue.run` does, on this rank only."""
    results, waiting = [], list(reversed(tasks))
    while waiting:
        task = waiting.pop()
        result = work(task)
        if hasattr(result, "send"):
            steps, result = result, None
            while True:
                try:
                    children = next(steps)
                except StopIteration as end:
                    result = end.value
                    break
                if children:
                    waiting.extend(reversed(children))
        results.append((task, result))
    return results


class TableEvidence:
    """The evidence about one table, the same on every rank between rounds; how it is found is left to the searches.

    codes: one array of dictionary codes per column (any integer dtype, not negative), identical on every rank; making
    one is Collective. Attributes: rows and columns of the input; constant: columns with one value; active: the others;
    codes, cardinality, pairs (that agree), clustered_rows (whose value is not unique), largest (rows with the most
    frequent value), blocks (pairs and clustered rows by block of codes): dicts by active column; by_rank: active
    columns by ascending number of agreeing pairs; sets, use: the minimal difference sets and the right-hand sides each
    is minimal for; closed: column sets of which every agreeing pair is in evidence; checked_left, checked_safe: column
    sets X and the columns A for which X -> A holds unless evidence refutes it.
    """

    def __init__(self, codes: list[np.ndarray], world=None, queue=None, narrow=partition.narrow):
        self.world, self.queue, self.columns, self.words = world, queue, len(codes), bits.words_for(len(codes))
        self.rows = self.kept_rows = len(codes[0]) if codes else 0
        self.codes, self.cardinality = {}, {}
        for column, (array, smallest, largest) in enumerate(zip(codes, *bounds(codes))):
            if smallest < 0 or largest > 4 * self.rows + 65536:
                array = np.unique(array, return_inverse=True)[1]
                smallest, largest = 0, int(array.max())
            if largest != smallest:
                self.codes[column], self.cardinality[column] = narrow(array, largest + 1), largest + 1
        self.active = list(self.codes)
        self.constant = [column for column in range(self.columns) if column not in self.codes]
        self.duplicates = self.sampled = False
        empty = np.empty((0, self.words), np.uint64)
        self.sets, self.use, self.closed, self.checked_left, self.checked_safe = empty, empty, empty, empty, empty
        if self.constant:  # {} -> A holds
            self._add_checked(bits.mask_of([], self.columns)[None], bits.mask_of(self.constant, self.columns)[None])
        self._settled = 0  # evidence merged into `sets`
        self._common, self._common_use = empty, empty  # `sets` and `use` as all ranks know them
        self._measure()

    def _measure(self):
        """Collective: count the values of each column; long tables are shared out by columns."""
        def count(columns):
            return agreement([self.codes[column] for column in columns],
                             [self.cardinality[column] for column in columns])

        def work(task):
            found = count(task)
            return np.concatenate([found.largest, found.by_block.ravel()])

        def cost(task):
            return float(self.codes[task[0]].itemsize)  # more counts are found in a slower cache

        if self.shared:
            results = self.queue.run([(column,) for column in self.active], work, cost=cost, name="count")
            counted = {column: values for (column,), values in self.queue.gather(results)}
            values = np.array([counted[column] for column in self.active]).reshape(-1, 1 + 2 * BLOCKS)
            largest, by_block = values[:, 0], values[:, 1:].reshape(-1, BLOCKS, 2)
        else:
            largest, by_block = count(self.active)
        self.largest, self.blocks = dict(zip(self.active, largest.tolist())), dict(zip(self.active, by_block))
        pairs, clustered = by_block.sum(axis=1).T.tolist()
        self.pairs, self.clustered_rows = dict(zip(self.active, pairs)), dict(zip(self.active, clustered))
        self.by_rank = np.array(sorted(self.active, key=lambda column: (self.pairs[column], column)), np.int64)

    def make_evidence(self, codes: dict, cardinality: dict, place=None) -> Evidence:
        """Local: an empty set of difference sets over rows given as codes by active column; place: as of `Evidence`."""
        order = sorted(self.active, key=lambda column: (-needed_bytes(cardinality[column]), column))
        return Evidence([codes[column] for column in order], order, self.columns,
                        [cardinality[column] for column in order], place=place)

    @property
    def shared(self) -> bool:
        """Whether the table is so long that the ranks prepare parts of it for one another."""
        return self.queue is not None and self.world.size > 1 and self.kept_rows * len(self.active) >= SHARE_CELLS

    @property
    def all_pairs(self) -> int:
        """Number of pairs of rows."""
        return self.kept_rows * (self.kept_rows - 1) // 2

    # ---- a state to go on from ----

    def _cardinalities(self) -> np.ndarray:
        return np.array([self.cardinality.get(column, 1) for column in range(self.columns)], np.int64)

    def state(self) -> State:
        """Local: what is known, to go on from later."""
        return State(self.rows, self._cardinalities(), self.sampled, self.sets, self.closed, self.checked_left,
                     self.checked_safe)

    def resume(self, state: State):
        """Local: take over what an earlier search of the same table found."""
        state.require(self.rows, self._cardinalities())
        self.sampled, self.closed = state.sampled, state.closed
        self._add_checked(state.checked_left, state.checked_safe)
        self.evidence.add(state.sets)
        self.settle()
        self._common, self._common_use = self.sets, self.use

    # ---- evidence ----

    def seed(self):
        """Local: one pair of rows per column that differs in it (without it, {} would look like a left-hand side)."""
        others = set()
        for codes in self.codes.values():
            start, step = 1, 64
            while not (other := codes[start : start + step] != codes[0]).any():
                start, step = start + step, step * 2
            others.add(start + int(other.argmax()))
        others = np.array(sorted(others))
        differ = np.zeros((len(others), self.columns), bool)
        for column, codes in self.codes.items():
            differ[:, column] = codes[others] != codes[0]
        self.evidence.add(bits.pack(differ))
        self.settle()

    def settle(self):
        """Local: merge the evidence found since the last time into the minimal difference sets."""
        fresh = self.evidence.view(self._settled)
        self._settled = self.evidence.count
        if len(fresh):
            known = np.concatenate([self.sets, fresh]) if len(self.sets) else fresh
            self.sets, self.use = hitting.minimal_evidence(known)

    def compact(self) -> bool:
        """Local: when too many difference sets are in memory, keep the minimal ones only; True if they were renumbered.

        Those dropped decide nothing, and may be found again."""
        if self.evidence.count - len(self.sets) < COMPACT:
            return False
        self.settle()
        self.evidence.reset()
        self.evidence.add(self.sets)
        self._settled = self.evidence.count
        return True

    def exchange(self, world, closed=None, left=None, safe=None, undone=None):
        """Collective (Local when world is None): merge what all ranks found in a round.

        Each rank sends, once, the minimal difference sets that are new and their use, the closed sets, and the checked
        sets with their safe columns. The minimal sets of a union are those of the union of the ranks' minimal sets,
        each for some of the right-hand sides that it is minimal for on its rank; so all ranks end with the same `sets`,
        whoever found what. What else a rank has seen changes nothing: it is no smaller.
        undone: sets of which pairs were left out because the search is to stop; they are not closed, whoever says so.
        """
        self.settle()
        empty = np.empty((0, self.words), np.uint64)
        closed, left, safe, undone = (empty if array is None else array for array in (closed, left, safe, undone))
        if world is not None and world.size > 1:
            new = bits.absent(self.sets, self._common)
            fresh, use, closed, left, safe, undone = gather_parts(
                world, [self.sets[new], self.use[new], closed, left, safe, undone])
            self._take_over(world, fresh, use, complete=not bits.nonempty(closed).all() and not len(undone))
        self._common, self._common_use = self.sets, self.use
        if len(undone):
            broken = {row.tobytes() for row in undone}
            closed = closed[[row.tobytes() not in broken for row in closed]]
        if len(closed):
            self.closed = minimal_sets(np.concatenate([self.closed, closed]))
        if len(left):
            self._add_checked(left, safe)

    def _take_over(self, world, fresh: np.ndarray, use: np.ndarray, complete: bool):
        """Collective: the minimal sets of those known to all ranks and `fresh`, what is new to any of them; use: the
        right-hand sides each is minimal for among those of its rank.

        Where they are many, each rank finds out for some right-hand sides what is minimal for them. complete: there is
        no other evidence, so none of it will be met again."""
        every, rights = np.concatenate([self._common, fresh]), np.concatenate([self._common_use, use])
        if len(every) < SHARE_SETS:
            self.sets, self.use = hitting.ordered(every, *hitting.minimal_for(every, rights))
        else:
            own = bits.mask_of(self.by_rank[world.rank :: world.size].tolist(), self.columns)
            numbers, own_use = hitting.minimal_for(every, rights & own)
            use = np.zeros_like(every)
            for found in gather_lists(world, np.column_stack([numbers.astype(np.uint64), own_use])):
                use[found[:, 0].astype(np.int64)] |= found[:, 1:]
            numbers = np.flatnonzero(bits.nonempty(use))
            self.sets, self.use = hitting.ordered(every, numbers, use[numbers])
        if not complete:
            self.evidence.add(fresh)
            self._settled = self.evidence.count

    def _add_checked(self, left: np.ndarray, safe: np.ndarray):
        self.checked_left, self.checked_safe = group_or(np.concatenate([self.checked_left, left]),
                                                        np.concatenate([self.checked_safe, safe]))


def gather_parts(world, parts: list[np.ndarray]) -> list[np.ndarray]:
    """Collective: some lists of masks (k, words) in one exchange: of each the masks of all ranks, one rank's after
    another's."""
    counts = np.zeros((len(parts), parts[0].shape[1]), np.uint64)
    counts[:, 0] = [len(part) for part in parts]
    found = [[] for _ in parts]
    for message in gather_lists(world, np.concatenate([counts, *parts])):
        end = len(parts)
        for place, count in enumerate(message[: len(parts), 0].tolist()):
            found[place].append(message[end : end + count])
            end += count
    return [np.concatenate(lists) for lists in found]


def minimal_sets(masks: np.ndarray) -> np.ndarray:
    """Local: the masks that hold no other one, sorted."""
    masks = bits.unique(masks)
    sizes, kept = bits.sizes(masks), masks[:0]
    for size in np.unique(sizes):
        same = masks[sizes == size]
        kept = np.concatenate([kept, same[~hitting.covered(same, kept)] if len(kept) else same])
    return kept


def group_or(keys: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Local: the distinct keys (k, words), sorted, each with the OR of its values (k, any)."""
    if not len(keys):
        return keys, values
    at = np.lexsort(tuple(keys.T))
    keys, values = keys[at], values[at]
    first = bits.first_of_equals(keys)
    return keys[first], np.bitwise_or.reduceat(values, np.flatnonzero(first), axis=0)
