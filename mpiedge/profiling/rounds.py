"""One round of a search: the tasks that settle its candidates, how they are cut, and what each of them does."""

import time
from bisect import bisect_left
from itertools import pairwise

import numpy as np

from mpiedge.kernels import bits, hitting, partition
from mpiedge.kernels.codes import block_edges
from mpiedge.kernels.walk import DONE, EXHAUST, EXPAND, PAIR_NS, ROW_NS, Candidates, Walk

BETA = 0.3  # weight of going on against exhausting pairs; measured flat between 0.1 and 1
EXPAND_NS = 2e7  # nodes with more work below them are cut into their children
SLICE_NS = 1e7  # thieves are answered between two slices, of so much wall time
LEAST_SLICE = 1 / 8  # of that is worth an answer, however small a share of a processor the rank gets
SPLIT_NS = 1e7  # of work not begun are worth giving away, when another rank asks for work
LEVEL_NS = 10.0  # of a row, to split its cluster by one more column
SCAN_NS = 1.0  # of a row, to see whether it belongs to a part
ROW_PAIRS = 16  # fetching a row for the first time costs as much as so many pairs
PARTS = 4  # of a node, for each rank, at most: to make one, a rank looks at the codes of all rows
MAKE_SHARE = 1 / 8  # of its share of a walk: a rank that would take longer to make the whole node gets parts of it
PART_NS = 3e7  # of work in a part, at least
PART_ROWS = 1 << 19  # are walked over in the cache of the processor,
MOST_PARTS = 16  # but to look at all codes for each part costs more, where there are more
WALK, PAIRS = 0, 1


class Round:
    """The tasks of one round.

    (WALK, low, high, depth, first, last, 0, 0): the node of the first `depth` columns of candidate `low`, above
    candidates [low, high); of its clusters those whose code in the first of these columns is in [first, last), or
    all of them when last is 0. (PAIRS, candidate, depth, first, last, from, to, slices): of the node of the first
    `depth` columns of the candidate, the clusters with such codes, and of these the pairs whose later member stands
    at a position in [from, to), which takes so many slices. So a rank that takes a task makes the part of a
    partition that it needs, and a task is eight numbers.

    Nodes of one column that are much work are walked over in such parts. Then what a walk finds holds in its part: a
    column set is closed where it is closed in all of them, and the candidates are checked, for the same reasons as in
    buckets.py, once all parts were walked.

    A node handed on as PAIRS tasks counts as closed at once: that is used after the round only, when all its tasks are
    done, or, where the search is to stop, left undone and told in `undone`. A task done twice is harmless.

    end_s: of time.monotonic; WALK tasks are dropped from then on. They have settled nothing, so that needs no word, but
    for parts: the others of their node have settled nothing then, either. PAIRS tasks are always done, as their nodes
    count as closed.
    """

    def __init__(self, table, candidates: Candidates):
        self.table, self.candidates = table, candidates
        self.rights = candidates.right.copy()
        self.walk, self._part_walk = self._new_walk(), None
        self.undone: list[np.ndarray] = []
        self.end_s = float("inf")
        self.ranks = 1  # that share it
        self._exhausted: list[np.ndarray] = []
        self._cuts: list[tuple] = []  # (low, high, number of parts) of the nodes that are walked over in parts
        self._dropped: list[int] = []  # first columns of the nodes of which a part was dropped
        self._in_parts: list[tuple] = []  # (first column, first code, closed masks) of the parts it has walked over

    def _new_walk(self) -> Walk:
        table = self.table
        return Walk(table.evidence, table.cardinality, self.candidates, BETA, table.task_pairs, table.keys,
                    table.pair_ns)

    @property
    def shared_parts(self) -> int:
        """Of a node, so that all ranks find some."""
        return PARTS * self.ranks if self.ranks > 1 else 1

    def parts(self, walk: tuple) -> int:
        """Local: into how many parts the node of such a walk is cut.

        Ranks that walk over parts of a node refute the same candidates at other times, and compare the pairs of a part
        where others go on, so less is closed at the end, and more candidates are left to the next round."""
        walk_ns, make_ns = self._walk_ns(*walk[1:4]), self._make_ns(*walk[1:4])
        dear = make_ns * self.ranks > MAKE_SHARE * walk_ns
        most = max(self.shared_parts if dear else 1, min(MOST_PARTS, self.table.kept_rows // PART_ROWS))
        return int(min(most, (walk_ns + make_ns) / PART_NS))

    @property
    def slice_share(self) -> float:
        """Of a slice, what this rank computes in its time."""
        return 1.0 if self.table.queue is None else max(LEAST_SLICE, self.table.queue.share_of_processor)

    @property
    def slice_pairs(self) -> int:
        """Pairs that are compared in a slice with a whole processor."""
        return max(1, min(self.table.task_pairs, int(SLICE_NS / PAIR_NS)))

    def walks(self) -> list[tuple]:
        """Local: a task for each node of one column."""
        return self._walks(0, self.candidates.count, 0)

    def tasks(self) -> list[tuple]:
        """Local: the tasks to begin with, the same on every rank: `walks`, those that are much work cut."""
        return [task for walk in self.walks() for task in self._cut(walk)]

    def _walks(self, low: int, high: int, depth: int, codes: tuple = (0, 0)) -> list[tuple]:
        groups = self.candidates.groups(low, high, depth)
        return [(WALK, first, last, depth + 1, *codes, 0, 0) for first, last in groups]

    def prefix(self, candidate: int, depth: int) -> tuple[int, ...]:
        """Local: the columns of a node."""
        return tuple(self.candidates.prefix(candidate, depth).tolist())

    def cost_ns(self, task: tuple) -> float:
        """Local: the estimated work of a task."""
        kind, low, high, depth, first, last, _, slices = task
        if kind == PAIRS:
            return slices * self.slice_pairs * PAIR_NS
        whole_ns = self._walk_ns(low, high, depth) + self._make_ns(low, high, depth)
        if not last:
            return whole_ns
        return (last - first) / self.table.cardinality[self._first(low)] * whole_ns + self.table.kept_rows * SCAN_NS

    def _first(self, candidate: int) -> int:
        return int(self.candidates.prefix(candidate, 1)[0])

    def _walk_ns(self, low: int, high: int, depth: int) -> float:
        rows, pairs = self.table.clustered_rows[self._first(low)], self.table.pairs[self._first(low)]
        levels = int(self.candidates.start[low + 1] - self.candidates.start[low]) - depth
        return min((pairs + rows * ROW_PAIRS) * PAIR_NS, rows * (ROW_NS * (high - low) / depth + LEVEL_NS * levels))

    def _make_ns(self, low: int, high: int, depth: int) -> float:
        return LEVEL_NS * (self.table.kept_rows + self.table.clustered_rows[self._first(low)] * (depth - 1))

    # ---- what was found ----

    def found(self) -> tuple:
        """Local: closed sets, checked sets with their safe columns, and sets left undone, of whole nodes."""
        closed, checked, safe = self.walk.outcome()
        closed = np.concatenate([closed, *self._exhausted])
        return closed, self.candidates.left[checked], safe, self.undone

    def found_in_parts(self, world) -> tuple:
        """Collective, or Local without a world: closed sets, checked sets and their safe columns, of the nodes walked
        over in parts."""
        nothing = np.empty((0, self.table.words), np.uint64)
        own = {
            "dropped": np.array(self._dropped, np.int64),
            "parts": np.array([(column, code, len(masks)) for column, code, masks in self._in_parts],
                              np.int64).reshape(-1, 3),
            "closed": np.concatenate([nothing, *(masks for *_, masks in self._in_parts)])}
        messages = [own] if world is None else world.allgather(own)
        closed_in: dict[int, dict] = {}
        dropped = {column for message in messages for column in message["dropped"].tolist()}
        for message in messages:
            ends = np.cumsum(message["parts"][:, 2])
            for (column, code, count), end in zip(message["parts"].tolist(), ends.tolist()):
                closed_in.setdefault(column, {}).setdefault(code, []).append(message["closed"][end - count : end])
        closed, left, safe = [nothing], [nothing], [nothing]
        for low, high, parts in self._cuts:
            if self.prefix(low, 1)[0] in dropped:
                continue
            left.append(self.candidates.left[low:high])
            safe.append(self.rights[low:high])
            in_parts = closed_in.get(self.prefix(low, 1)[0], {})
            if len(in_parts) == parts:
                closed.append(closed_everywhere([np.concatenate(masks) for masks in in_parts.values()], nothing))
        return np.concatenate(closed), np.concatenate(left), np.concatenate(safe)

    # ---- the work ----

    def work(self, task: tuple):
        """Local: a generator that does one task and yields None between slices and lists of new tasks."""
        kind, low, high, depth, first, last, *_ = task
        if kind == PAIRS:
            yield from self._compare(*task[1:7])
        elif self.table.stop.tell() or time.monotonic() >= self.end_s:
            if last:
                self._dropped.append(self.prefix(low, 1)[0])
        elif last:
            yield from self._walk_part(low, high, depth, (first, last))
        else:
            yield from self._walk_whole(low, high, depth)

    def _walk_whole(self, low: int, high: int, depth: int):
        """Local: a generator: the walk over a whole node; what is much work is left as tasks."""
        for prefix in self.table.to_make(self.prefix(low, depth)):
            self.table.partition(prefix)
            yield None
        node = self.table.partition(self.prefix(low, depth))
        self.walk.begin(low, high, depth, node)
        one_level = high - low > 1 and (high - low) * len(node.rows) * ROW_NS > EXPAND_NS
        while (status := self.walk.run(SLICE_NS * self.slice_share, one_level)) != DONE:
            if status == EXPAND:
                _, _, below, end, _ = self.walk.top()
                if end > below:
                    yield self._walks(below, end, depth)
                return
            yield from self._go_on(self.walk, status, 0, (0, 0))
            if self.table.stop.tell():
                return
        self._compact()

    def _walk_part(self, low: int, high: int, depth: int, codes: tuple):
        """Local: a generator: the walk over some clusters of a node."""
        if not self.walk.open(low, high):  # which also drops the right-hand sides that were refuted elsewhere
            return
        walk = self._part_walk = self._part_walk or self._new_walk()
        walk.restart(self.candidates.some(low, high))
        walk.begin(0, high - low, depth, self.table.part(self.prefix(low, depth), *codes))
        while (status := walk.run(SLICE_NS * self.slice_share)) != DONE:
            yield from self._go_on(walk, status, low, codes)
            if self.table.stop.tell():
                return
        self._in_parts.append((self.prefix(low, 1)[0], codes[0], walk.outcome().closed))
        self._compact()

    def _go_on(self, walk: Walk, status: int, offset: int, codes: tuple):
        """Local: a generator: what is to be done where a walk, over candidates from `offset` on, stopped on its way."""
        if status == EXHAUST:
            candidate, depth, _, _, node = walk.top()
            walk.leave()
            self._keep(candidate + offset, depth, node, codes)
            yield self._pairs(candidate + offset, depth, node.starts, self._code_of(candidate + offset, node))
            return
        self._compact()
        asked = yield None
        if asked and (given := walk.split(SPLIT_NS)):
            candidate, depth, low, high, node = given
            self._keep(candidate + offset, depth, node, codes)
            yield self._walks(low + offset, high + offset, depth, codes)

    def _keep(self, candidate: int, depth: int, node: partition.Partition, codes: tuple):
        if not codes[1]:
            self.table.keep(self.prefix(candidate, depth), node)

    def _cut(self, walk: tuple) -> list[tuple]:
        """Local: the tasks for a node of one column. One that is much work is cut, so that no rank makes its whole
        partition: into pairs, all of them, where a walk would exhaust them, too, or into walks over its parts."""
        table, low, high = self.table, *walk[1:3]
        (column,) = self.prefix(low, 1)
        pairs, rows, blocks = table.pairs[column], table.clustered_rows[column], table.blocks[column]
        exhaust = pairs * table.pair_ns <= BETA * (high - low) * rows * ROW_NS + 2 * rows * PAIR_NS
        parts = self.parts(walk)
        if parts < 2 and not (exhaust and pairs > table.task_pairs):
            return [walk]
        work = np.concatenate([[0], np.cumsum(blocks @ ([1, ROW_PAIRS] if exhaust else [0, 1]))])
        before = np.concatenate([[0], np.cumsum(blocks[:, 1])])  # positions in its whole partition
        at = np.unique(np.interp(np.linspace(0, work[-1], max(1, parts) + 1), work, before).astype(np.int64))
        codes = block_edges(table.cardinality[column])
        tasks = []
        if exhaust:
            self._exhausted.append(bits.mask_of([column], table.columns)[None])
            for first, last in pairwise(at.tolist()):
                block, end = np.searchsorted(before, first, "right") - 1, np.searchsorted(before, last)
                slices = -(-int(work[end] - work[block]) // self.slice_pairs)
                tasks.append((PAIRS, low, 1, codes[block], codes[end], first - int(before[block]),
                              last - int(before[block]), slices))
            return tasks
        edges = np.unique(np.searchsorted(before, at))
        if len(edges) < 3:  # nearly all rows have one code: a walk over the whole can leave its children to others
            return [walk]
        tasks = [(WALK, low, high, 1, codes[first], codes[last], 0, 0) for first, last in pairwise(edges.tolist())]
        self._cuts.append((low, high, len(tasks)))
        return tasks

    def _code_of(self, candidate: int, node: partition.Partition):
        """Local: a function (cluster) -> its code in the first column; they ascend."""
        codes = self.table.codes[self.prefix(candidate, 1)[0]]
        return lambda cluster: codes[node.rows[node.starts[cluster]]]

    def _pairs(self, candidate: int, depth: int, starts: np.ndarray, code_of) -> list[tuple]:
        """Local: the tasks that compare all pairs of a node; code_of: see `_code_of`."""
        edges = self._slices(starts, 0, int(starts[-1]), self.slice_pairs)
        return [self._pairs_task(candidate, depth, starts, code_of, edges[first], edges[last], last - first)
                for first, last in even_ranges(len(edges) - 1, self.shared_parts)]

    def _pairs_task(self, candidate: int, depth: int, starts: np.ndarray, code_of, at: int, end: int,
                    slices: int) -> tuple:
        """Local: the task of the slices between such positions of a node, or of some whole clusters of it."""
        first, last = (np.searchsorted(starts, place, side="right") - 1 for place in (at, end - 1))
        low, high = int(code_of(first)), int(code_of(last)) + 1
        before = int(starts[bisect_left(range(len(starts) - 1), low, key=code_of)])
        return PAIRS, candidate, depth, low, high, at - before, end - before, slices

    def _slices(self, starts: np.ndarray, first: int, last: int, pairs: int) -> list[int]:
        """Local: positions that cut the pairs whose later member stands in [first, last) into slices of `pairs`."""
        inside = [at for _, at in cut_pairs(starts, pairs, ROW_PAIRS) if first < at < last]
        return [first, *inside, last] if first < last else []

    def _compare(self, candidate: int, depth: int, low: int, high: int, first: int, last: int):
        """Local: a generator: some pairs of some clusters of a node, slice by slice; who asks gets half of the rest."""
        columns, stop = self.prefix(candidate, depth), self.table.stop
        if stop.tell():
            self.undone.append(bits.mask_of(columns, self.table.columns))
            return
        part, pairs = self.table.part(columns, low, high), max(1, int(self.slice_share * self.slice_pairs))
        edges = self._slices(part.starts, first, last, pairs)
        while len(edges) > 1:
            self.table.evidence.pairs(part, *edges[:2])
            self._compact()
            edges = edges[1:]
            asked = yield None
            if len(edges) > 1 and stop.tell():
                self.undone.append(bits.mask_of(columns, self.table.columns))
                return
            if asked and len(edges) > 2:
                kept = len(edges) // 2
                slices = -(-(len(edges) - 1 - kept) * pairs // self.slice_pairs)
                yield [self._pairs_task(candidate, depth, part.starts, self._code_of(candidate, part), edges[kept],
                                        edges[-1], slices)]
                edges = edges[: kept + 1]

    def _compact(self):
        self.table.news.share()
        if self.table.compact():
            self.table.news.renumbered()
            self.walk.forget()
            if self._part_walk is not None:
                self._part_walk.forget()


def cut_pairs(starts: np.ndarray, most: int, row_pairs: int = 0) -> list[tuple[int, int]]:
    """Local: cut the positions of a partition into ranges with about `most` pairs whose later member is inside.

    row_pairs: so many pairs are added to those of each position."""
    sizes = np.diff(starts).astype(np.int64)
    before = np.concatenate([[0], np.cumsum(sizes * (sizes - 1) // 2 + row_pairs * sizes)])
    if before[-1] <= most:
        return [(0, int(starts[-1]))] if starts[-1] else []
    targets = np.arange(most, before[-1], most)
    cluster = np.searchsorted(before, targets, side="right") - 1
    half = row_pairs - 0.5  # the first p positions of a cluster hold p (p - 1) / 2 + row_pairs p
    inside = np.ceil(np.sqrt(half * half + 2.0 * (targets - before[cluster])) - half).astype(np.int64)
    edges = np.minimum(starts[cluster] + inside, starts[cluster + 1])
    edges = np.unique(np.concatenate([[0], edges, [starts[-1]]])).tolist()
    return list(pairwise(edges))


def even_ranges(count: int, parts: int) -> list[tuple[int, int]]:
    """Local: range(count) cut into at most `parts` ranges (first, last) of about one length, none of them empty."""
    edges = (count * part // parts for part in range(parts + 1))
    return [(first, last) for first, last in pairwise(edges) if last > first]


def closed_everywhere(parts: list[np.ndarray], nothing: np.ndarray) -> np.ndarray:
    """Local: of the closed sets of all parts, those that hold one of every part."""
    every = bits.unique(np.concatenate([*parts, nothing]))
    for closed in parts:
        every = every[hitting.covered(every, closed)] if len(closed) else every[:0]
    return every
