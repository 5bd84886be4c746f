"""The search with all rows in memory: one tile, partitions of prefixes, tasks that are stolen and cut."""

import time
from collections import OrderedDict
from itertools import pairwise

import numpy as np

from mpiedge.kernels import bits, partition
from mpiedge.kernels.partition import Partition
from mpiedge.kernels.walk import DONE, EXHAUST, EXPAND, PAIR_NS, ROW_NS, Candidates, Walk
from mpiedge.profiling import evidence
from mpiedge.profiling.anytime import Stop
from mpiedge.profiling.evidence import TableEvidence, share
from mpiedge.profiling.needs import PARTITION_BYTES
from mpiedge.runtime.shared import shared_array

BETA = 1.0  # weight of going on against exhausting pairs; measured flat between 0.1 and 10
EXPAND_NS = 2e7  # nodes with more work below them are cut into their children
TASK_PAIRS = 1 << 21
FEW_COLUMNS = 65
FEW_PAIR_NS = 1e4  # of a pair in a search that keeps few difference sets: each is compared with all kept
FEW_PAIRS = 1 << 15  # to sample in a search that keeps few difference sets
NEW_PAIR_NS = 100.0  # of a pair whose difference set is new, with all that it leads to
ROUND_S = 30.0  # a round begins no new walk after so long: what it has found can be saved then
ENUMERATIONS = 10.0  # or after so many times what it took to find its candidates
SLICE_NS = 1e7  # thieves are answered between two slices
TASK_ROWS = 1 << 17
FEW_ROWS = 256  # whose columns are compared all at once
DUPLICATE_SHARE = 8  # drop duplicate rows when they are at least one in so many
WALK, PAIRS = 0, 1


class WholeTable(TableEvidence):
    """A table whose rows are all in memory, and the steps of a search in it.

    keys: look for unique column sets instead of dependencies: one pair that agrees on a candidate refutes it. limited:
    the size of left-hand sides is. Then most difference sets of a table with more than 64 columns decide nothing, and
    there are as many as pairs: few are kept.
    """

    def __init__(self, codes: list[np.ndarray], world=None, queue=None, stop: Stop | None = None, keys: bool = False,
                 limited: bool = False):
        super().__init__(codes, world)
        self.queue, self.stop, self.keys = queue, stop or Stop(), keys
        self._partitions: OrderedDict[tuple, Partition] = OrderedDict()
        self.duplicates = self._drop_duplicates()
        share_tile = self.shared and world.node_size > 1
        self.evidence = self.make_evidence(self.codes, self.cardinality, self._shared_tile if share_tile else None)
        if share_tile:
            world.node_barrier()
        self.few = limited and len(self.active) >= FEW_COLUMNS
        if self.few:
            self.evidence.keep_few()
        # Many columns can make most pairs differ in their own way: smaller tasks keep what one task finds small, and
        # each set found has to be compared with others.
        self.task_pairs = TASK_PAIRS if len(self.active) <= 24 else max(1, TASK_PAIRS // 64)
        self.new_pair_ns = PAIR_NS if len(self.active) <= 24 else NEW_PAIR_NS
        self.pair_ns = FEW_PAIR_NS if self.few else PAIR_NS
        self._round_s, self._ended_s = ROUND_S, time.monotonic()

    def _shared_tile(self, rows: int, width: int) -> tuple[np.ndarray, int, int]:
        """Collective over a host: one tile for its ranks, of which each fills its share of the rows."""
        first, last = (rows * rank // self.world.node_size for rank in (self.world.node_rank, self.world.node_rank + 1))
        return shared_array(self.world, (rows + 1, width), np.uint8), first, last

    def _drop_duplicates(self) -> bool:
        """Collective: whether rows are duplicates; drops them when they are many (they differ nowhere)."""
        if not self.active:
            return self.rows > 1
        if any(self.pairs[column] == 0 for column in self.active):
            return False
        groups = self._equal_rows()
        if (len(groups.rows) - len(groups.starts) + 1) * DUPLICATE_SHARE >= self.rows:
            keep = np.ones(self.rows, bool)
            keep[groups.rows] = False
            keep[groups.rows[groups.starts[:-1]]] = True
            self.codes = {column: array[keep] for column, array in self.codes.items()}
            self.kept_rows = int(keep.sum())
            self._measure()
        return len(groups.rows) > 0

    def _equal_rows(self) -> Partition:
        """Collective: the clusters of rows that agree in all columns; in a long table each rank splits some of them."""
        first, *others = self.by_rank.tolist()
        groups = partition.single(self.codes[first], self.cardinality[first])
        if self.shared:
            groups = partition.cut(groups, self.world.rank, self.world.size)
        for place, column in enumerate(others):
            if len(groups.rows) <= FEW_ROWS:
                groups = partition.refine_by_all(groups, [self.codes[left] for left in others[place:]])
                break
            groups = partition.refine(groups, self.codes[column], self.cardinality[column])
        if self.shared:
            found = self.world.allgather({"rows": groups.rows, "starts": groups.starts, "pairs": groups.pairs})
            groups = partition.join([Partition(one["rows"], one["starts"], one["pairs"]) for one in found])
        return groups

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
        while total > PARTITION_BYTES and len(self._partitions) > 1:
            total -= self._partitions.popitem(last=False)[1].nbytes

    # ---- steps of the search ----

    def sample(self):
        """Collective: compare each row with the latest earlier one that agrees in a column, for every column."""
        def work(task):
            column, start, stop = task
            if not self.stop.tell():
                self.evidence.window(column, self.cardinality[column], start, stop)
                self.compact()

        def cost_ns(task):
            return 8.0 * (task[2] - task[1])

        rows = min(self.kept_rows, max(2, FEW_PAIRS // len(self.active))) if self.few else self.kept_rows
        tasks = [(column, start, min(start + TASK_ROWS, rows)) for column in self.active if self.pairs[column]
                 for start in range(0, rows, TASK_ROWS)]
        _, shared = share(self.world, self.queue, tasks, work, cost_ns, name="sample")
        self._merge(shared)
        self.sampled = not self.stop.reached

    def compare_all(self):
        """Collective: compare all pairs of rows; the evidence is complete then."""
        everything = self.partition(())
        undone = []

        def work(task):
            if self.stop.tell():
                undone.append(np.zeros(self.words, np.uint64))
                return
            self.evidence.pairs(everything, *task)
            self.compact()

        def cost_ns(task):
            return (task[0] + task[1]) * (task[1] - task[0]) / 2 * self.new_pair_ns

        _, shared = share(self.world, self.queue, cut_pairs(everything, self.task_pairs), work, cost_ns, name="pairs")
        self._merge(shared, closed=np.zeros((1, self.words), np.uint64), undone=undone)

    def settle_round(self, left: np.ndarray, right: np.ndarray):
        """Collective: one round: walk over the open candidates `left`, `right` (k, words); merge what all ranks found.

        Afterwards each of them is certain or refuted, unless the search is to stop or the round took too long: then the
        walks that had not begun are left to the next. A round that has settled nothing lets the next take twice as
        long, so the search ends."""
        candidates = Candidates(left, right, self.by_rank, self.columns)
        tasks = [(WALK, low, high, 1, 0) for low, high in candidates.groups(0, candidates.count, 0)]
        round_ = Round(self, candidates)
        work_ns = sum(map(round_.cost_ns, tasks))
        if self.all_pairs * self.pair_ns <= BETA * work_ns:
            self.compare_all()
            return
        began_s, before = time.monotonic(), self._known()
        if self.queue is not None and work_ns >= evidence.SHARE_NS:  # else every rank does all, and must do the same
            round_.end_s = began_s + max(self._round_s, ENUMERATIONS * (began_s - self._ended_s))
        _, shared = share(self.world, self.queue, tasks, round_.work, round_.cost_ns, name="walk")
        closed, checked, safe = round_.walk.outcome()
        self._merge(shared, closed, candidates.left[checked], safe, round_.undone)
        self._round_s = 2 * self._round_s if self._known() == before else ROUND_S
        self._ended_s = time.monotonic()

    def _known(self) -> list[tuple]:
        """Local: what is known between two rounds, in a few numbers, the same on all ranks."""
        return [(len(array), int(array.sum())) for array in (self.sets, self.closed, self.checked_left,
                                                             self.checked_safe)]

    def _merge(self, shared: bool, closed=None, left=None, safe=None, undone=()):
        """Collective: exchange what was found, where the ranks may have found different things: in shared steps, and
        in those ended early."""
        stopped = self.stop.agreed()
        undone = np.array(undone, np.uint64).reshape(-1, self.words)
        self.exchange(self.world if shared or stopped else None, closed, left, safe, undone)


class Round:
    """The tasks of one round.

    (WALK, low, high, depth, 0): the node of the first `depth` columns of candidate `low`, above candidates [low, high).
    (PAIRS, candidate, depth, first, last): the pairs of that node with the later member at a position in [first, last).
    A rank rebuilds the partition of a node from its columns, so a task is five numbers. A node handed on as PAIRS tasks
    counts as closed at once: that is used after the round only, when all its tasks are done, or, where the search is to
    stop, left undone and told in `undone`. A task done twice is harmless.

    end_s: of time.monotonic; WALK tasks are dropped from then on. They have settled nothing, so that needs no word;
    PAIRS tasks are always done, as their nodes count as closed.
    """

    def __init__(self, table: WholeTable, candidates: Candidates):
        self.table, self.candidates = table, candidates
        self.walk = Walk(table.evidence, table.cardinality, candidates, BETA, table.task_pairs, table.keys,
                         table.pair_ns)
        self.undone: list[np.ndarray] = []
        self.end_s = float("inf")

    def cost_ns(self, task: tuple) -> float:
        """Local: the estimated work of a task."""
        kind, low, high, depth, _ = task
        if kind == PAIRS:
            return self.table.task_pairs * PAIR_NS
        column = int(self.candidates.prefix(low, 1)[0])
        rows = self.table.clustered_rows[column]
        walk_ns = min(self.table.pairs[column] * PAIR_NS, (high - low) * rows * ROW_NS / depth)
        return walk_ns + rows * ROW_NS * depth  # the partition of the node has to be made first

    def work(self, task: tuple):
        """Local: a generator that does one task and yields None between slices and lists of new tasks."""
        kind, low, high, depth, last = task
        stop = self.table.stop
        if kind == PAIRS:
            candidate, depth, first = low, high, depth
            columns = self.candidates.prefix(candidate, depth).tolist()
            if stop.tell():
                self.undone.append(bits.mask_of(columns, self.table.columns))
                return
            self.table.evidence.pairs(self.table.partition(tuple(columns)), first, last)
            self._compact()
            return
        if stop.tell() or time.monotonic() >= self.end_s:
            return
        prefix = tuple(self.candidates.prefix(low, depth).tolist())
        node = self.table.partition(prefix)
        self.walk.begin(low, high, depth, node)
        one_level = high - low > 1 and (high - low) * len(node.rows) * ROW_NS > EXPAND_NS
        while (status := self.walk.run(SLICE_NS, one_level)) != DONE:
            if status == EXHAUST:
                candidate, at_depth, _, _, at = self.walk.top()
                self.walk.leave()
                self.table.keep(tuple(self.candidates.prefix(candidate, at_depth).tolist()), at)
                cuts = cut_pairs(at, self.table.task_pairs)
                yield [(PAIRS, candidate, at_depth, first, last) for first, last in cuts]
            elif status == EXPAND:
                _, _, below, end, _ = self.walk.top()
                if end > below:
                    groups = self.candidates.groups(below, end, depth)
                    yield [(WALK, first, last, depth + 1, 0) for first, last in groups]
                return
            else:
                self._compact()
                yield None
            if stop.tell():
                return
        self._compact()

    def _compact(self):
        if self.table.compact():
            self.walk.forget()


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
