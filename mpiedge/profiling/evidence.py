"""One table as dictionary codes, and the evidence about it: difference sets, closed and checked column sets."""

from collections import OrderedDict
from itertools import pairwise

import numpy as np

from mpiedge.kernels import bits, hitting, partition
from mpiedge.kernels.evidence import Evidence, needed_bytes
from mpiedge.kernels.partition import Partition
from mpiedge.kernels.walk import PAIR_NS

SHARE_NS = 5e7  # less work than this is done by every rank alike: cheaper than sharing it
TASK_PAIRS = 1 << 22
TASK_ROWS = 1 << 17
DUPLICATE_SHARE = 8  # drop duplicate rows when they are at least one in so many
PARTITION_BYTES = 32 << 20
COMPACT = 1 << 18  # difference sets in memory before those that are not minimal are dropped


def share(world, queue, tasks: list[tuple], work, cost_ns, name="tasks") -> list[tuple]:
    """Collective: run tasks on the queue, or, when they are too little work, all of them on every rank.

    Returns the (task, result) pairs of this rank and whether they are only a part: (pairs, shared). The choice depends
    on the tasks alone, so all ranks choose alike.
    """
    if queue is None or sum(map(cost_ns, tasks)) < SHARE_NS:
        return alone(tasks, work), False
    return queue.run(tasks, work, cost=cost_ns, name=name), True


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
    """The evidence about one table, the same on every rank between rounds.

    codes: one array of dictionary codes per column (any integer dtype, not negative), identical on every rank.
    Attributes: rows and columns of the input; constant: columns with one value; active: the others; codes, cardinality:
    dicts by active column; duplicates: whether two rows are equal; by_rank: active columns by ascending number of
    agreeing pairs; sets, use: the minimal difference sets and the right-hand sides each is minimal for; closed: column
    sets of which every agreeing pair is in evidence; checked: column sets with the columns that no pair violated.
    """

    def __init__(self, codes: list[np.ndarray], partition_bytes: int = PARTITION_BYTES):
        self.columns, self.words = len(codes), bits.words_for(len(codes))
        self.rows = self.kept_rows = len(codes[0]) if codes else 0
        self.codes, self.cardinality = {}, {}
        for column, array in enumerate(codes):
            largest, smallest = (int(array.max()), int(array.min())) if self.rows else (0, 0)
            if smallest < 0 or largest > 4 * self.rows + 65536:
                array = np.unique(array, return_inverse=True)[1]
                smallest, largest = 0, int(array.max())
            if largest != smallest:
                self.codes[column], self.cardinality[column] = partition.narrow(array, largest + 1), largest + 1
        self.active = list(self.codes)
        self.constant = [column for column in range(self.columns) if column not in self.codes]
        self.partition_bytes, self._partitions = partition_bytes, OrderedDict()
        self._measure()
        self.duplicates = self._drop_duplicates()
        tile_order = sorted(self.active, key=lambda column: (-needed_bytes(self.cardinality[column]), column))
        self.evidence = Evidence([self.codes[column] for column in tile_order], tile_order, self.columns,
                                 [self.cardinality[column] for column in tile_order])
        empty = np.empty((0, self.words), np.uint64)
        self.sets, self.use, self.closed, self.checked_left, self.checked_safe = empty, empty, empty, empty, empty
        self._settled, self._common = 0, empty  # evidence merged into `sets`; `sets` as all ranks know them
        # Many columns can make most pairs differ in their own way: smaller tasks keep what one task finds small.
        self.task_pairs = TASK_PAIRS if len(self.active) <= 24 else max(1, TASK_PAIRS // 4)

    # ---- preparation ----

    def _measure(self):
        self.pairs, self.clustered_rows = {}, {}
        for column in self.active:
            sizes = partition.count(self.codes[column], self.cardinality[column]).astype(np.int64)
            self.pairs[column] = int((sizes * (sizes - 1)).sum()) // 2
            self.clustered_rows[column] = int(sizes[sizes > 1].sum())
        self.by_rank = np.array(sorted(self.active, key=lambda column: (self.pairs[column], column)), np.int64)

    def _drop_duplicates(self) -> bool:
        """Whether rows are duplicates; drops them when they are many (equal rows differ nowhere: nothing is lost)."""
        if not self.active:
            return self.rows > 1
        if any(self.pairs[column] == 0 for column in self.active):
            return False
        groups = partition.single(self.codes[int(self.by_rank[0])], self.cardinality[int(self.by_rank[0])])
        for column in self.by_rank[1:].tolist():
            if not len(groups.rows):
                return False
            groups = partition.refine(groups, self.codes[column], self.cardinality[column])
        if (len(groups.rows) - len(groups.starts) + 1) * DUPLICATE_SHARE >= self.rows:
            keep = np.ones(self.rows, bool)
            keep[groups.rows] = False
            keep[groups.rows[groups.starts[:-1]]] = True
            self.codes = {column: array[keep] for column, array in self.codes.items()}
            self.kept_rows = int(keep.sum())
            self._measure()
        return len(groups.rows) > 0

    # ---- partitions ----

    def partition(self, prefix: tuple[int, ...]) -> Partition:
        """Local: the partition of the columns of `prefix`, from the cache or refined from a shorter prefix."""
        if prefix in self._partitions:
            self._partitions.move_to_end(prefix)
            return self._partitions[prefix]
        if not prefix:
            return partition.whole(self.kept_rows)
        column = prefix[-1]
        if len(prefix) == 1:
            made = partition.single(self.codes[column], self.cardinality[column])
        else:
            made = partition.refine(self.partition(prefix[:-1]), self.codes[column], self.cardinality[column])
        self.keep(prefix, made)
        return made

    def keep(self, prefix: tuple[int, ...], made: Partition):
        """Local: put a partition into the cache, dropping the least recently used ones beyond its limit."""
        self._partitions[prefix] = made
        total = sum(one.nbytes for one in self._partitions.values())
        while total > self.partition_bytes and len(self._partitions) > 1:
            total -= self._partitions.popitem(last=False)[1].nbytes

    # ---- evidence ----

    @property
    def all_pairs(self) -> int:
        """Number of pairs of rows."""
        return self.kept_rows * (self.kept_rows - 1) // 2

    def seed(self):
        """Local: one pair of rows per column that differs in it (without it, {} would look like a left-hand side)."""
        for codes in self.codes.values():
            start, step = 1, 64
            while not (other := codes[start : start + step] != codes[0]).any():
                start, step = start + step, step * 2
            self.evidence.pair(0, start + int(other.argmax()))
        self.settle()

    def sample(self, world, queue):
        """Collective: compare each row with the latest earlier one that agrees in a column, for every column."""
        def work(task):
            column, start, stop = task
            self.evidence.window(column, self.cardinality[column], start, stop)
            self.compact()

        def cost_ns(task):
            return 8.0 * (task[2] - task[1])

        rows = self.kept_rows
        tasks = [(column, start, min(start + TASK_ROWS, rows)) for column in self.active if self.pairs[column]
                 for start in range(0, rows, TASK_ROWS)]
        _, shared = share(world, queue, tasks, work, cost_ns, name="sample")
        self.exchange(world if shared else None)

    def compare_all(self, world, queue):
        """Collective: compare all pairs of rows; the evidence is complete then."""
        everything = self.partition(())

        def work(task):
            self.evidence.pairs(everything, *task)
            self.compact()

        def cost_ns(task):
            return (task[0] + task[1]) * (task[1] - task[0]) / 2 * PAIR_NS

        _, shared = share(world, queue, cut_pairs(everything, self.task_pairs), work, cost_ns, name="pairs")
        self.exchange(world if shared else None, closed=np.zeros((1, self.words), np.uint64))

    def settle(self):
        """Local: merge the evidence found since the last time into the minimal difference sets."""
        fresh = self.evidence.masks(self._settled)
        self._settled = self.evidence.count
        if len(fresh):
            self.sets, self.use = hitting.minimal_evidence(np.concatenate([self.sets, fresh]))

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

    def exchange(self, world, closed=None, left=None, safe=None):
        """Collective (Local when world is None): merge what all ranks found in a round.

        Each rank sends, once, the minimal difference sets that are new, the closed sets, and the checked sets with
        their safe columns. The minimal sets of a union are those of the union of the ranks' minimal sets, so all ranks
        end with the same `sets`, whoever found what. What else a rank has seen changes nothing: it is no smaller.
        """
        self.settle()
        empty = np.empty((0, self.words), np.uint64)
        closed, left, safe = (empty if array is None else array for array in (closed, left, safe))
        if world is not None:
            known = {row.tobytes() for row in self._common}
            fresh = self.sets[[row.tobytes() not in known for row in self.sets]]
            messages = world.allgather({"fresh": fresh, "closed": closed, "left": left, "safe": safe})
            fresh, closed, left, safe = (np.concatenate([np.asarray(message[name], np.uint64).reshape(-1, self.words)
                                                         for message in messages])
                                         for name in ("fresh", "closed", "left", "safe"))
            self.evidence.add(fresh)
            self.settle()
        self._common = self.sets
        if len(closed):
            self.closed = minimal_sets(np.concatenate([self.closed, closed]))
        if len(left):
            self.checked_left, self.checked_safe = group_or(np.concatenate([self.checked_left, left]),
                                                            np.concatenate([self.checked_safe, safe]))


def cut_pairs(node: Partition, most: int) -> list[tuple[int, int]]:
    """Local: cut the positions of a partition into ranges with about `most` pairs whose later member is inside."""
    if node.pairs <= most:
        return [(0, len(node.rows))] if len(node.rows) else []
    sizes = np.diff(node.starts).astype(np.int64)
    before = np.concatenate([[0], np.cumsum(sizes * (sizes - 1) // 2)])
    targets = np.arange(most, node.pairs, most)
    cluster = np.searchsorted(before, targets, side="right") - 1
    inside = np.ceil((1 + np.sqrt(1 + 8.0 * (targets - before[cluster]))) / 2).astype(np.int64)  # p (p - 1) / 2 = pairs
    edges = np.minimum(node.starts[cluster] + inside, node.starts[cluster + 1])
    edges = np.unique(np.concatenate([[0], edges, [len(node.rows)]])).tolist()
    return list(pairwise(edges))


def minimal_sets(masks: np.ndarray) -> np.ndarray:
    """Local: the masks that hold no other one, sorted."""
    kept: list[np.ndarray] = []
    for mask in bits.unique(masks):
        if not any(not (other & ~mask).any() for other in kept):
            kept.append(mask)
    return np.array(kept, np.uint64)


def group_or(keys: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Local: the distinct keys (k, words), sorted, each with the OR of its values (k, any)."""
    if not len(keys):
        return keys, values
    at = np.lexsort(tuple(keys.T))
    keys, values = keys[at], values[at]
    first = bits.first_of_equals(keys)
    return keys[first], np.bitwise_or.reduceat(values, np.flatnonzero(first), axis=0)


def estimate_bytes(rows: int, cardinalities: list[int], columns: int | None = None) -> int:
    """Local: bytes one rank needs to discover the dependencies of a table, beyond the codes given by the caller.

    cardinalities: distinct values per column, of which `columns` (all by default) are used. Counts the row tile, kept
    partitions, those on the stack of the walk, and what was seen. Codes are counted as given in the narrowest type.
    """
    active = [int(one) for one in list(cardinalities)[:columns] if one > 1]
    used = [needed_bytes(one) for one in active]
    dense = -(-sum(used) // 16) * 16
    tile = dense if sum(used) <= 64 else sum(-(-sum(one > plane for one in used) // 16) * 16 for plane in range(4))
    partitions = min(3 * len(active) * rows, max(PARTITION_BYTES, 5 * rows))
    stack = 12 * rows + 8 * max(active, default=0)
    seen = (1 << len(active)) // 8 if len(active) <= 24 else (1 << 18) * bits.words_for(len(active))
    different = min(rows * rows // 2, 1 << min(len(active), 62), COMPACT)
    found = different * bits.words_for(len(cardinalities)) * (8 if len(active) <= 24 else 40)
    return rows * tile + partitions + stack + seen + found + (1 << 20)
