"""The search with all rows in memory: one tile, partitions of prefixes, tasks that are stolen and cut."""

import time
from bisect import bisect_left
from collections import OrderedDict

import numpy as np

from mpiedge.kernels import partition
from mpiedge.kernels.codes import row_order
from mpiedge.kernels.partition import Partition
from mpiedge.kernels.walk import PAIR_NS, Candidates
from mpiedge.profiling import evidence
from mpiedge.profiling.anytime import Stop
from mpiedge.profiling.evidence import TableEvidence, share
from mpiedge.profiling.needs import PARTITION_BYTES
from mpiedge.profiling.news import News
from mpiedge.profiling.rounds import BETA, Round, cut_pairs
from mpiedge.runtime.shared import shared_array

TASK_PAIRS = 1 << 21
TASK_SCANS = 3  # pairs of a task for each row of the table: they take longer than to look at its code
FEW_COLUMNS = 65
FEW_PAIR_NS = 1e4  # of a pair in a search that keeps few difference sets: each is compared with all kept
FEW_PAIRS = 1 << 15  # to sample in a search that keeps few difference sets
NEW_PAIR_NS = 100.0  # of a pair whose difference set is new, with all that it leads to
ROUND_S = 30.0  # a round begins no new walk after so long: what it has found can be saved then
ENUMERATIONS = 10.0  # or after so many times what it took to find its candidates
SAMPLE_ROWS = 1 << 18  # whose neighbours are compared: more of them tell little that is new
TASK_ROWS = 1 << 17
FEW_ROWS = 256  # whose columns are compared all at once
EVEN_TASKS = 16  # for each rank, at least, of the pairs of a table: their costs are about alike
DUPLICATE_SHARE = 8  # drop duplicate rows when they are at least one in so many


class WholeTable(TableEvidence):
    """A table whose rows are all in memory, and the steps of a search in it.

    keys: look for unique column sets instead of dependencies: one pair that agrees on a candidate refutes it. limited:
    the size of left-hand sides is. Then most difference sets of a table with more than 64 columns decide nothing, and
    there are as many as pairs: few are kept.
    """

    def __init__(self, codes: list[np.ndarray], world=None, queue=None, stop: Stop | None = None, keys: bool = False,
                 limited: bool = False):
        super().__init__(codes, world, queue)
        self.stop, self.keys = stop or Stop(), keys
        self.ranks = 1 if queue is None else world.size
        self._partitions: OrderedDict[tuple, Partition] = OrderedDict()
        self.duplicates = self._drop_duplicates()
        share_tile = self.shared and world.node_size > 1
        self.evidence = self.make_evidence(self.codes, self.cardinality, self._shared_tile if share_tile else None)
        if share_tile:
            world.node_barrier()
        self.news = News(queue, self.evidence)
        self.few = limited and len(self.active) >= FEW_COLUMNS
        if self.few:
            self.evidence.keep_few()
        # Many columns can make most pairs differ in their own way: smaller tasks keep what one task finds small, and
        # each set found has to be compared with others.
        few_columns = len(self.active) <= 24
        self.task_pairs = max(TASK_PAIRS, TASK_SCANS * self.kept_rows) if few_columns else max(1, TASK_PAIRS // 64)
        self.new_pair_ns = PAIR_NS if few_columns else NEW_PAIR_NS
        self.pair_ns = FEW_PAIR_NS if self.few else PAIR_NS
        self._round_s, self._ended_s = ROUND_S, time.monotonic()

    def _shared_tile(self, rows: int, width: int) -> tuple[np.ndarray, int, int]:
        """Collective over a host: one tile for its ranks, of which each fills its share of the rows."""
        first, last = self.queue.own_range(rows, self.world.node_ranks)
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
            self._partitions.clear()
            self._measure()
        return len(groups.rows) > 0

    def _equal_rows(self) -> Partition:
        """Collective: the clusters of rows that agree in all columns; in a long table the ranks look for some each."""
        first, *others = self.by_rank.tolist()

        def refined(groups: Partition) -> Partition:
            for place, column in enumerate(others):
                if len(groups.rows) <= FEW_ROWS:
                    return partition.refine_by_all(groups, [self.codes[left] for left in others[place:]])
                groups = partition.refine(groups, self.codes[column], self.cardinality[column])
            return groups

        if not self.shared:
            return refined(self.partition((first,)))
        groups = refined(partition.part(self.codes[first], *self.queue.own_range(self.cardinality[first])))
        found = self.world.allgather({"rows": groups.rows, "starts": groups.starts, "pairs": groups.pairs})
        return partition.join([Partition(one["rows"], one["starts"], one["pairs"]) for one in found])

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

    def to_make(self, prefix: tuple[int, ...]) -> list[tuple[int, ...]]:
        """Local: of `prefix` and what is shorter, the partitions that have to be made, one from the other."""
        known = len(prefix)
        while known and prefix[:known] not in self._partitions:
            known -= 1
        return [prefix[:length] for length in range(known + 1, len(prefix) + 1)]

    def part(self, prefix: tuple[int, ...], low: int, high: int) -> Partition:
        """Local: of the partition of the columns of `prefix` the clusters whose code in the first column is in [low,
        high); taken from the whole partition where that is in the cache."""
        first, *others = prefix
        if prefix in self._partitions:
            node = self.partition(prefix)
            codes, every = self.codes[first], range(len(node.starts) - 1)
            ends = (bisect_left(every, code, key=lambda k: codes[node.rows[node.starts[k]]]) for code in (low, high))
            return partition.clusters(node, *ends)
        node = partition.part(self.codes[first], low, high)
        for column in others:
            node = partition.refine(node, self.codes[column], self.cardinality[column])
        return node

    def keep(self, prefix: tuple[int, ...], made: Partition):
        """Local: put a partition into the cache, dropping the least recently used ones beyond its limit."""
        self._partitions[prefix] = made
        total = sum(one.nbytes for one in self._partitions.values())
        while total > PARTITION_BYTES and len(self._partitions) > 1:
            total -= self._partitions.popitem(last=False)[1].nbytes

    # ---- steps of the search ----

    def sample(self):
        """Collective: compare each row with the latest earlier one that agrees in a column, for every column."""
        latest = {}

        def work(task):
            column, start, stop = task
            if column not in latest:
                latest.clear()
                latest[column] = np.zeros(self.cardinality[column], np.int32)
            if not self.stop.tell():
                self.evidence.window(column, latest[column], start, stop)
                self.compact()

        def cost_ns(task):
            return 8.0 * (task[2] - task[1])

        rows = min(self.kept_rows, max(2, FEW_PAIRS // len(self.active)) if self.few else SAMPLE_ROWS)
        tasks = [(column, start, min(start + TASK_ROWS, rows)) for column in self.active if self.pairs[column]
                 for start in range(0, rows, TASK_ROWS)]
        _, shared = share(self.world, self.queue, tasks, work, cost_ns, name="sample", even=True)
        self._merge(shared)
        self.sampled = not self.stop.reached

    def compare_all(self):
        """Collective: compare all pairs of rows; the evidence is complete then."""
        everything = self._alike()
        undone = []

        def work(task):
            if self.stop.tell():
                undone.append(np.zeros(self.words, np.uint64))
                return
            self.evidence.pairs(everything, *task)
            self.compact()

        def cost_ns(task):
            return (task[0] + task[1]) * (task[1] - task[0]) / 2 * self.new_pair_ns

        tasks = cut_pairs(everything.starts, min(self.task_pairs, max(1, self.all_pairs // (EVEN_TASKS * self.ranks))))
        tasks = [task for first in range(self.ranks) for task in tasks[first :: self.ranks]]  # each finds as much
        _, shared = share(self.world, self.queue, tasks, work, cost_ns, name="pairs", even=True)
        self._merge(shared, closed=np.zeros((1, self.words), np.uint64), undone=undone)

    def _alike(self) -> Partition:
        """Local: all rows as one cluster, rows that are alike beside each other: in lexicographic order, the columns in
        which most rows agree first.

        So pairs that follow each other differ in the same columns or nearly so, which are found in the cache, and ranks
        that compare different pairs find fewer difference sets that others find as well."""
        columns = self.by_rank.tolist()
        rows = row_order([self.codes[column] for column in columns], [self.cardinality[column] for column in columns])
        return partition.whole(self.kept_rows)._replace(rows=rows)

    def settle_round(self, left: np.ndarray, right: np.ndarray):
        """Collective: one round: walk over the open candidates `left`, `right` (k, words); merge what all ranks found.

        Afterwards each of them is certain or refuted, unless the search is to stop or the round took too long: then the
        walks that had not begun are left to the next. A round that has settled nothing lets the next take twice as
        long, so the search ends."""
        round_ = Round(self, Candidates(left, right, self.by_rank, self.columns))
        work_ns = sum(map(round_.cost_ns, round_.walks()))
        if self.all_pairs * self.pair_ns <= BETA * work_ns:
            self.compare_all()
            return
        began_s, before = time.monotonic(), self._known()
        shared = self.queue is not None and work_ns >= evidence.LEAST_NS  # else every rank does all, all the same
        stolen = shared and work_ns >= evidence.SHARE_NS  # else it is shared out for good
        if stolen:
            round_.ranks = self.ranks
            round_.end_s = began_s + max(self._round_s, ENUMERATIONS * (began_s - self._ended_s))
        self.news.begin(stolen)
        tasks = round_.tasks()
        if stolen:
            self.queue.run(tasks, round_.work, cost=round_.cost_ns, learn=False, in_order=True, name="walk")
        else:
            evidence.alone(self.queue.own(tasks, round_.cost_ns) if shared else tasks, round_.work)
        self._merge(shared, *round_.found())
        if not self.stop.reached:
            self.exchange(None, *round_.found_in_parts(self.world if shared else None))
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
