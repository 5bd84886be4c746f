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

A group of rows that agree on all of X may be larger than a part. It is star-checked as it streams by: its first row
against all others. What else shares its bin is collected and walked over as a part.
"""

import numpy as np

from mpiedge.kernels import bits, hitting, partition
from mpiedge.kernels.walk import DONE, EXHAUST, PAIR_NS, ROW_NS, Candidates, Walk
from mpiedge.profiling.anytime import Stop
from mpiedge.profiling.evidence import COMPACT, TableEvidence, share
from mpiedge.profiling.whole import (
    BETA,
    FEW_COLUMNS,
    FEW_PAIR_NS,
    FEW_PAIRS,
    SLICE_NS,
    TASK_PAIRS,
    WholeTable,
    cut_pairs,
    estimate_bytes,
    seen_bytes,
    tile_bytes,
)

BINS = 1 << 20  # values, or hashes of values, that a grouping tells apart
SLICE_ROWS = 1 << 17  # of the columns that stream by
SAMPLE_ROWS = 1 << 22  # rows that are compared with their neighbours before the first round
LEAST_ROWS = 1 << 14  # of a part
LOAD_NS = 60.0  # to load a row of a part and compare it the first time


class Part:
    """Some rows of a table in memory: their codes by active column, numbered anew where they are sparse."""

    def __init__(self, table: TableEvidence, codes: dict[int, np.ndarray]):
        self.codes, self.cardinality = {}, {}
        for column in list(codes):
            array, cardinality = codes.pop(column), table.cardinality[column]
            if cardinality > 2 * len(array) + 256:
                array, cardinality = partition.renumber(array, cardinality)
            self.codes[column], self.cardinality[column] = partition.narrow(array, cardinality), cardinality
        self.table, self.rows = table, len(next(iter(self.codes.values())))
        self.evidence = table.make_evidence(self.codes, self.cardinality)
        if table.few:
            self.evidence.keep_few()
        self.evidence.add(table.sets)
        self._known = self.evidence.count

    def deliver(self):
        """Local: hand what was found to the table."""
        self.table.evidence.add(self.evidence.masks(self._known))
        self._known = self.evidence.count
        self.table.compact()

    def relieve(self) -> bool:
        """Local: when much was found, hand it over and keep the minimal sets; True if they were renumbered."""
        if self.evidence.count - self._known < COMPACT:
            return False
        self.deliver()
        self.table.settle()
        self.evidence.reset()
        self.evidence.add(self.table.sets)
        self._known = self.evidence.count
        return True


class Grouping:
    """A cut of the rows into parts such that rows that agree on `columns` are in one part.

    A row's bin is the value of a single column (neighbouring values together where they are many), or a hash of the
    values of several. edges: (parts, 2) ranges of bins; sizes: rows of each part; heavy: bins with more than `most`
    rows, which are in no part.
    """

    def __init__(self, table: TableEvidence, columns: tuple[int, ...], most: int):
        self.columns, self._table = columns, table
        self._shift = 0
        while len(columns) == 1 and table.cardinality[columns[0]] >> self._shift > BINS:
            self._shift += 1
        hash_bits = min(BINS.bit_length() - 1, 2 + table.rows.bit_length())
        self.bins = (table.cardinality[columns[0]] - 1 >> self._shift) + 1 if len(columns) == 1 else 1 << hash_bits
        self._drop_bits = np.uint64(64 - hash_bits)
        counts = np.zeros(self.bins, np.int32)
        for start in range(0, table.rows, SLICE_ROWS):
            partition.count(self.of(start, min(start + SLICE_ROWS, table.rows)), self.bins, counts)
        self.largest, self.heavy = int(counts.max()), np.flatnonzero(counts > most)
        counts[self.heavy] = 0
        ends = np.cumsum(counts, dtype=np.int64)
        total = int(ends[-1])
        target = max(int(counts.max()), -(-total // max(1, -(-total // most))))
        edges, before = [0], 0
        while edges[-1] < self.bins and total > before:
            edges.append(max(edges[-1] + 1, int(np.searchsorted(ends, before + target, side="right"))))
            before = int(ends[edges[-1] - 1])
        self.edges = np.column_stack([edges[:-1], edges[1:]]).tolist() if len(edges) > 1 else []
        self.sizes = np.diff(np.concatenate([[0], ends[np.array(edges[1:], np.int64) - 1]])).tolist()

    def of(self, start: int, stop: int) -> np.ndarray:
        """Local: the bins of rows [start, stop), as unsigned integers."""
        codes = [self._table.codes[column][start:stop] for column in self.columns]
        if len(codes) == 1:
            return np.ascontiguousarray(codes[0] >> self._shift if self._shift else codes[0])
        key = np.zeros(stop - start, np.uint64)
        for one in codes:
            key = (key ^ one) * np.uint64(0x9E3779B97F4A7C15)
            key ^= key >> np.uint64(29)
        return ((key * np.uint64(0xD6E8FEB86659FD93)) >> self._drop_bits).astype(np.uint32)


class BucketedTable(TableEvidence):
    """A table whose codes are given as arrays that may be mapped from files, searched in `budget_bytes` beside them."""

    def __init__(self, codes: list[np.ndarray], budget_bytes: float, world=None, queue=None, stop: Stop | None = None,
                 keys: bool = False, limited: bool = False):
        super().__init__(codes, world, partition.unsigned)
        self.queue, self.stop, self.keys = queue, stop or Stop(), keys
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

    def load(self, grouping: Grouping, low: int, high: int, rows: int):
        """Local: a generator that yields None between slices and returns the Part of the rows in bins [low, high)."""
        codes = {column: np.empty(rows, array.dtype) for column, array in self.codes.items()}
        at = 0
        for start in range(0, self.rows, SLICE_ROWS):
            stop = min(start + SLICE_ROWS, self.rows)
            bins = grouping.of(start, stop)
            # Heavy bins have no rows in a part, wherever they lie.
            inside = (bins >= low) & (bins < high)
            if len(grouping.heavy):
                inside &= ~np.isin(bins, grouping.heavy)
            chosen = np.flatnonzero(inside)
            for column, target in codes.items():
                np.take(self.codes[column][start:stop], chosen, out=target[at : at + len(chosen)], mode="clip")
            at += len(chosen)
            yield None
        return Part(self, codes)

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
                yield from self._heavy(grouping, lambda part: equal.append(part.rows > 1),
                                       lambda part: iter([equal.append(self._repeats(part))]))
                return {"found": int(any(equal))}
            if self.stop.tell():
                return None
            part = yield from self.load(grouping, *grouping.edges[task[0]], grouping.sizes[task[0]])
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
                part.evidence.window(column, part.cardinality[column], 0, part.rows)
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
                yield from self._heavy(grouping, self._star,
                                       lambda part: self._walk(part, left[numbers], right[numbers]))
                return None if self.stop.reached else {"closed": left[:0]}
            part = yield from self.load(grouping, *grouping.edges[task[1]], grouping.sizes[task[1]])
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
                    for first, last in cut_pairs(node, TASK_PAIRS):
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

    def _heavy(self, grouping: Grouping, same, rest):
        """Local: a generator over the rows in bins of too many rows, which hold a group that agrees on all columns of
        the grouping.

        same(part): called with rows that agree, the first row of their group first; rest(part): a generator that deals
        with all others. Whenever too many rows were collected, the largest group among them is taken out, and its rows
        are recognised from then on; so each group goes one of both ways as a whole.
        """
        columns = grouping.columns
        for heavy in grouping.heavy.tolist():
            first_rows: list[dict] = []
            waiting = {column: array[:0] for column, array in self.codes.items()}
            for start in range(0, self.rows, SLICE_ROWS):
                stop = min(start + SLICE_ROWS, self.rows)
                chosen = np.flatnonzero(grouping.of(start, stop) == heavy)
                found = {column: array[start:stop][chosen] for column, array in self.codes.items()}
                for first in first_rows:
                    agree = agreeing(found, first, columns)
                    if agree.any():
                        same(Part(self, {column: np.concatenate([first[column], array[agree]])
                                         for column, array in found.items()}))
                        found = {column: array[~agree] for column, array in found.items()}
                waiting = {column: np.concatenate([array, found[column]]) for column, array in waiting.items()}
                while len(waiting[columns[0]]) > self.most:
                    first_rows.append(self._most_frequent(waiting, columns))
                    agree = agreeing(waiting, first_rows[-1], columns)
                    same(Part(self, {column: array[agree] for column, array in waiting.items()}))
                    waiting = {column: array[~agree] for column, array in waiting.items()}
                yield None
                if self.stop.tell():
                    return
            if len(waiting[columns[0]]) > 1:
                yield from rest(Part(self, waiting))

    def _most_frequent(self, rows: dict, columns: tuple[int, ...]) -> dict:
        """Local: the first row of the largest group that agrees on `columns`."""
        group = np.zeros(len(rows[columns[0]]), np.int64)
        for column in columns:
            group = np.unique(group * self.cardinality[column] + rows[column], return_inverse=True)[1]
        at = int(np.flatnonzero(group == np.bincount(group).argmax())[0])
        return {column: array[at : at + 1].copy() for column, array in rows.items()}

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


def agreeing(rows: dict, first: dict, columns: tuple[int, ...]) -> np.ndarray:
    """Local: which rows agree with the one row `first` on `columns`, bool."""
    agree = np.ones(len(rows[columns[0]]), bool)
    for column in columns:
        agree &= rows[column] == first[column]
    return agree


def open_table(codes: list[np.ndarray], budget_bytes: float | None, world, queue, stop: Stop,
               keys: bool = False, limited: bool = False) -> WholeTable | BucketedTable:
    """Collective: the table for a search in memory, or in parts where `budget_bytes` of a rank are too few for it."""
    if budget_bytes is not None and codes and len(codes[0]):
        if world is not None:
            budget_bytes = float(world.min(np.array([budget_bytes], np.float64))[0])
        sizes = [int(array.max()) + 1 for array in codes]
        together = int(world.min(np.array([world.node_size]))[0]) if world is not None else 1
        if estimate_bytes(len(codes[0]), sizes, node_ranks=together) > budget_bytes:
            return BucketedTable(codes, budget_bytes, world, queue, stop, keys, limited)
    return WholeTable(codes, world, queue, stop, keys, limited)


def closed_everywhere(parts: list[np.ndarray], nothing: np.ndarray) -> np.ndarray:
    """Local: of the closed sets of all parts, those that hold one of every part."""
    every = bits.unique(np.concatenate([*parts, nothing]))
    for closed in parts:
        every = every[hitting.covered(every, closed)] if len(closed) else every[:0]
    return every


def part_rows(rows: int, active: list[int], columns: int, budget_bytes: float) -> int:
    """Local: rows of a part such that the search keeps within `budget_bytes` (at least a few)."""
    return max(LEAST_ROWS, int((budget_bytes - fixed_bytes(rows, active, columns)) / part_row_bytes(active)))


def part_row_bytes(active: list[int]) -> int:
    """Local: bytes for one row of a part: its codes and tile, and the partitions of the walk."""
    codes = sum(1 if one <= 256 else 2 if one <= 65536 else 4 for one in active)
    return codes + tile_bytes(active) + 24


def fixed_bytes(rows: int, active: list[int], columns: int) -> int:
    """Local: bytes that a search in parts needs beside a part: a slice of the columns, what was seen, candidates."""
    return SLICE_ROWS * 32 + 2 * seen_bytes(rows, len(active), columns) + (6 << 20)


def least_bytes(rows: int, cardinalities: list[int], columns: int | None = None) -> int:
    """Local: bytes below which a search in parts cannot go, beside the codes; arguments as of `estimate_bytes`.

    Either a part of a few rows, or the counts of the values of a column, which are taken before."""
    active = [int(one) for one in list(cardinalities)[:columns] if one > 1]
    largest = max(active, default=0)
    counts = 5 * largest + 12 * min(BINS, max(4 * rows, largest))
    return max(counts, fixed_bytes(rows, active, len(cardinalities)) + LEAST_ROWS * part_row_bytes(active))
