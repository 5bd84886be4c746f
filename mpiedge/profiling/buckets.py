"""The search in a table larger than memory: rows that agree on chosen columns are walked over together, part by part.

A round has open candidates X -> A. Each X is given a *grouping*: some columns H inside X whose values cut the rows into
parts small enough for memory. Rows that agree on X agree on H, so every pair that could violate X -> A lies inside one
part. A task loads the rows of one part of one grouping, streaming the columns, and walks over all candidates of the
grouping there, as over a small table. All evidence found goes into one set of difference sets.

Why this decides exactly. When all parts of the grouping of X were walked, and X -> A is false, some pair of one part
violates it. The walk over that part ended with X -> A in one of three ways: refuted by evidence; star-checked, and then
the differences from the first row of each cluster are in evidence, of which one holds A (two rows that differ in A do
not both agree with the first) and misses X; or below a set S inside X that is closed in that part, and then the pair's
own difference set is in evidence. In each case the evidence refutes X -> A. So X counts as checked for all its open
right-hand sides: X -> A holds unless evidence refutes it, which is (b) in fds.py. And when every part has a closed set
inside S, all pairs that agree on S and on H lie in some part where they are in evidence: S with H is closed.
"""

import numpy as np

from mpiedge.kernels import bits, partition
from mpiedge.kernels.codes import bounds
from mpiedge.kernels.walk import DONE, EXHAUST, PAIR_NS, ROW_NS, Candidates, Walk
from mpiedge.profiling.anytime import Stop
from mpiedge.profiling.evidence import TableEvidence, share
from mpiedge.profiling.heavy import walk_heavy
from mpiedge.profiling.needs import estimate_bytes, part_rows
from mpiedge.profiling.parts import Grouping, Part
from mpiedge.profiling.rounds import BETA, SLICE_NS, closed_everywhere, cut_pairs
from mpiedge.profiling.whole import FEW_COLUMNS, FEW_PAIR_NS, FEW_PAIRS, TASK_PAIRS, WholeTable

SAMPLE_ROWS = 1 << 22  # rows that are compared with their neighbours before the first round
LOAD_NS = 60.0  # to load a row of a part and compare it the first time


class BucketedTable(TableEvidence):
    """A table whose codes are given as arrays that may be mapped from files, searched in `budget_bytes` beside them."""

    def __init__(self, codes: list[np.ndarray], budget_bytes: float, world=None, queue=None, stop: Stop | None = None,
                 keys: bool = False, limited: bool = False):
        super().__init__(codes, world, queue, partition.unsigned)
        self.stop, self.keys = stop or Stop(), keys
        nothing = {column: array[:0] for column, array in self.codes.items()}
        self.evidence = self.make_evidence(nothing, self.cardinality)
        self.few = limited and len(self.active) >= FEW_COLUMNS
        self.pair_ns = FEW_PAIR_NS if self.few else PAIR_NS
        self.most = part_rows(self.rows, [self.cardinality[column] for column in self.active], self.columns,
                              budget_bytes)
        self._groupings: dict[tuple, Grouping] = {}
        self.duplicates = self._find_duplicates() if self.active else self.rows > 1

    # ---- parts ----

    def grouping(self, columns: tuple[int, ...]) -> Grouping:
        """Local: the grouping by some columns, made once."""
        if columns not in self._groupings:
            self._groupings[columns] = Grouping(self, columns, self.most)
        return self._groupings[columns]

    def groups_for(self, left: np.ndarray) -> list[tuple[Grouping, list[int]]]:
        """Local: a grouping for each column set, as few groupings as are easily found: (grouping, numbers of sets)."""
        members = bits.unpack(left, self.columns)
        waiting, result = np.ones(len(left), bool), []
        usable = [column for column in self.by_rank.tolist() if self.largest[column] <= self.most]
        while usable and waiting.any():
            counts = members[waiting][:, usable].sum(axis=0)
            best = int(counts.argmax())
            if not counts[best]:
                break
            column = usable.pop(best)
            if not len(self.grouping((column,)).heavy):
                result.append((self.grouping((column,)), np.flatnonzero(waiting & members[:, column]).tolist()))
                waiting &= ~members[:, column]
        composed: dict[tuple, list[int]] = {}
        for i in np.flatnonzero(waiting).tolist():
            columns = sorted(np.flatnonzero(members[i]).tolist(), key=lambda column: (self.largest[column], column))
            for size in range(1, len(columns) + 1):
                chosen = tuple(columns[:size])
                if not len(self.grouping(chosen).heavy):
                    break
            composed.setdefault(chosen, []).append(i)
        return result + [(self.grouping(columns), numbers) for columns, numbers in composed.items()]

    # ---- steps of the search ----

    def _find_duplicates(self) -> bool:
        """Collective: whether two rows are equal."""
        if any(self.pairs[column] == 0 for column in self.active):
            return False
        (grouping, _), = self.groups_for(bits.mask_of(self.active, self.columns)[None])

        def work(task):
            if task[0] < 0:
                equal = []
                yield from walk_heavy(grouping, self, lambda part: equal.append(part.rows > 1),
                                      lambda part: iter([equal.append(self._repeats(part))]))
                return {"found": int(any(equal))}
            if self.stop.tell():
                return None
            part = yield from grouping.load(task[0])
            return {"found": int(self._repeats(part))}

        tasks = [(b,) for b in range(len(grouping.edges))] + ([(-1,)] if len(grouping.heavy) else [])
        results, _ = self._run(tasks, work, lambda task: LOAD_NS * self.most, "duplicates")
        # A search that is to stop may not have looked everywhere: then none of its sets counts as a key.
        return self.stop.reached or any(found["found"] for found in results.values())

    def _repeats(self, part: Part) -> bool:
        groups = partition.whole(part.rows)
        for column in self.by_rank.tolist():
            groups = partition.refine(groups, part.codes[column], part.cardinality[column])
            if not len(groups.rows):
                return False
        return True

    def sample(self):
        """Collective: compare rows with the latest earlier ones that agree in a column, in some ranges of the table."""
        wanted = [(start, min(start + self.most, self.rows)) for start in range(0, self.rows, self.most)]
        step = max(1, self.rows // SAMPLE_ROWS)
        few = max(2, FEW_PAIRS // len(self.active)) if self.few else self.rows

        def work(task):
            if self.stop.tell():
                return
            stop = min(task[1], task[0] + few)
            part = Part(self, {column: np.array(array[task[0] : stop]) for column, array in self.codes.items()})
            for column in self.active:
                part.evidence.window(column, np.zeros(part.cardinality[column], np.int32), 0, part.rows)
                part.relieve()
                yield None
            part.deliver()

        _, shared = share(self.world, self.queue, wanted[::step], work,
                          lambda task: LOAD_NS * len(self.active) * (task[1] - task[0]) / 4, name="sample")
        self._merge(shared)
        self.sampled = not self.stop.reached

    def compare_all(self):
        """Collective: compare all pairs of rows, in blocks of rows against blocks of rows."""
        half = max(1, self.most // 2)
        blocks = [(start, min(start + half, self.rows)) for start in range(0, self.rows, half)]
        tasks = [(i, j) for j in range(1, len(blocks)) for i in range(j)] or [(0, 0)]

        def work(task):
            # Rows of the later block against all before them; the pairs inside block 0 come with (0, 1).
            first, second = blocks[task[0]], blocks[task[1]]
            ranges = [first, second] if task[1] else [first]
            part = Part(self, {column: np.concatenate([array[a:b] for a, b in ranges])
                               for column, array in self.codes.items()})
            everything = partition.whole(part.rows)
            position = 0 if task[0] == 0 and task[1] <= 1 else first[1] - first[0]
            while position < part.rows:
                if self.stop.tell():
                    return None
                last = min(part.rows, position + max(1, TASK_PAIRS // part.rows))
                part.evidence.pairs(everything, position, last)
                position = last
                part.relieve()
                yield None
            part.deliver()
            return {"done": 1}

        results, shared = self._run(tasks, work, lambda task: 2.0 * half * half * PAIR_NS, "pairs")
        self._merge(shared)
        if len(results) == len(tasks):
            self.closed = np.zeros((1, self.words), np.uint64)

    def settle_round(self, left: np.ndarray, right: np.ndarray):
        """Collective: one round: walk over the open candidates in all parts; merge what all ranks found."""
        groups = self.groups_for(left)
        work_ns = sum(ROW_NS * len(numbers) * sum(grouping.sizes) for grouping, numbers in groups)
        if self.all_pairs * self.pair_ns <= BETA * work_ns:
            self.compare_all()
            return
        tasks = [(g, b) for g, (grouping, _) in enumerate(groups) for b in range(len(grouping.edges))]
        tasks += [(g, -1) for g, (grouping, _) in enumerate(groups) if len(grouping.heavy)]

        def work(task):
            grouping, numbers = groups[task[0]]
            if self.stop.tell():
                return None
            self.settle()
            if task[1] < 0:
                yield from walk_heavy(grouping, self, self._star,
                                      lambda part: self._walk(part, left[numbers], right[numbers]))
                return None if self.stop.reached else {"closed": left[:0]}
            part = yield from grouping.load(task[1])
            closed = yield from self._walk(part, left[numbers], right[numbers])
            return None if closed is None else {"closed": closed}

        def cost_ns(task):
            grouping, numbers = groups[task[0]]
            rows = grouping.sizes[task[1]] if task[1] >= 0 else self.rows
            return rows * (LOAD_NS + ROW_NS * min(len(numbers), 32))

        results, shared = self._run(tasks, work, cost_ns, "walk")
        self._merge(shared)
        for g, (grouping, numbers) in enumerate(groups):
            own = [task for task in tasks if task[0] == g]
            if not all(task in results for task in own):
                continue
            closed = left[:0]
            if not len(grouping.heavy):
                closed = closed_everywhere([np.asarray(results[task]["closed"], np.uint64).reshape(-1, self.words)
                                            for task in own], left[:0])
                closed = closed | bits.mask_of(grouping.columns, self.columns)
            self.exchange(None, closed, left[numbers], right[numbers])

    def _walk(self, part: Part, left: np.ndarray, right: np.ndarray):
        """Local: a generator that walks over candidates in one part and returns what is closed there; None if it was
        ended early."""
        candidates = Candidates(left, right, self.by_rank, self.columns)
        walk = Walk(part.evidence, part.cardinality, candidates, BETA, TASK_PAIRS, self.keys, self.pair_ns)
        walk.forget()
        for low, high in candidates.groups(0, candidates.count, 0):
            column = int(candidates.prefix(low, 1)[0])
            walk.begin(low, high, 1, partition.single(part.codes[column], part.cardinality[column]))
            while (status := walk.run(SLICE_NS)) != DONE:
                if status == EXHAUST:
                    node = walk.top()[-1]
                    walk.leave()
                    for first, last in cut_pairs(node.starts, TASK_PAIRS):
                        part.evidence.pairs(node, first, last)
                        if part.relieve():
                            walk.forget()
                        yield None
                        if self.stop.tell():
                            break
                if part.relieve():
                    walk.forget()
                yield None
                if self.stop.tell():
                    part.deliver()
                    return None
        part.deliver()
        return walk.outcome().closed

    def _star(self, part: Part):
        part.evidence.star(partition.whole(part.rows))
        part.deliver()

    def _run(self, tasks: list[tuple], work, cost_ns, name: str) -> tuple[dict, bool]:
        """Collective: do tasks; the results that are not None of all ranks by task, and whether they were shared."""
        results, shared = share(self.world, self.queue, tasks, work, cost_ns, name=name)
        results = [(task, result) for task, result in results if result is not None]
        if shared or (self.stop.agreed() and self.queue is not None):
            results = self.queue.gather(results)
        return dict(results), shared

    def _merge(self, shared: bool):
        """Collective: exchange evidence where the ranks may have found different things."""
        stopped = self.stop.agreed()
        self.exchange(self.world if shared or stopped else None)


def open_table(codes: list[np.ndarray], budget_bytes: float | None, world, queue, stop: Stop,
               keys: bool = False, limited: bool = False) -> WholeTable | BucketedTable:
    """Collective: the table for a search in memory, or in parts where `budget_bytes` of a rank are too few for it."""
    if budget_bytes is not None and codes and len(codes[0]):
        if world is not None:
            budget_bytes = float(world.min(np.array([budget_bytes], np.float64))[0])
        sizes = [largest + 1 for largest in bounds(codes)[1]]
        together = int(world.min(np.array([world.node_size]))[0]) if world is not None else 1
        if estimate_bytes(len(codes[0]), sizes, node_ranks=together) > budget_bytes:
            return BucketedTable(codes, budget_bytes, world, queue, stop, keys, limited)
    return WholeTable(codes, world, queue, stop, keys, limited)
