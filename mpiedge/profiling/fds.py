"""Exact discovery of all minimal functional dependencies: evidence, minimal hitting sets, exhausted pairs.

Rounds of: enumerate the minimal hitting sets of the evidence for each right-hand side (the candidates), drop those that
are certain, and walk over the rest, which either makes them certain or finds evidence against them.

Why the result is exact. Evidence holds difference sets of real pairs of rows only, so every true dependency X -> A hits
all of it, and a minimal true X is never lost to a wrong edge. A candidate X -> A is certain when
(a) X holds a closed set S: if X -> A were false, the violating pair would agree on X, thus on S, so its difference set
(or one inside it that holds A too; others are dropped as not minimal) would be in evidence, hold A and miss X; but X
hits all difference sets that hold A; or
(b) X was star-checked and no row differed in A from the first row of its cluster of X.
Minimality: each column of X is the only hit of some real difference set, so without it the dependency is false. All
minimal dependencies are found: a minimal true X hits every edge, so it contains a minimal hitting set Y, which is
certain at the end, so Y -> A is true and X = Y. The loop ends: every candidate of a round is closed, checked or
refuted, and there are finitely many difference sets.
"""

from dataclasses import dataclass, field

import numpy as np

from mpiedge.kernels import bits, hitting
from mpiedge.kernels.walk import DONE, EXHAUST, EXPAND, PAIR_NS, ROW_NS, Candidates, Walk
from mpiedge.profiling.evidence import SHARE_NS, TableEvidence, cut_pairs, group_or, share
from mpiedge.profiling.hitting import Enumerator

BETA = 1.0  # weight of going on against exhausting pairs; measured flat between 0.1 and 10
EXPAND_NS = 2e7  # nodes with more work below them are cut into their children
ALL_PAIRS = 1 << 21  # compare all pairs at once up to this many, times the square of the columns / 16
WALK, PAIRS = 0, 1


@dataclass
class Dependencies:
    """All minimal dependencies lhs -> rhs of one table.

    lhs: (k, words) uint64, bit c of a row = column c; rhs: (k,) int32; sorted by rhs, then by size and value of lhs.
    Iterating gives (tuple of columns, column) in that order. A constant column A has the one dependency {} -> A. sets,
    use: the minimal difference sets of the table, and the right-hand sides each is minimal for. work: counts of the
    rounds, difference sets and closed sets it took.
    """

    lhs: np.ndarray
    rhs: np.ndarray
    columns: int
    rows: int
    sets: np.ndarray
    use: np.ndarray
    constant: list[int]
    duplicates: bool
    max_lhs: int | None = None
    work: dict = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rhs)

    def __iter__(self):
        """Local: (left columns as a tuple, right column), in order."""
        for start in range(0, len(self), 1 << 14):
            part = slice(start, start + (1 << 14))
            yield from zip(bits.members(self.lhs[part], self.columns), self.rhs[part].tolist())


def discover_fds(codes: list[np.ndarray], *, world=None, queue=None, max_lhs: int | None = None,
                 progress=None) -> Dependencies:
    """Collective: all minimal functional dependencies of one table (Local when world and queue are None).

    codes: one array (rows,) of dictionary codes per column, identical on every rank; equal codes mean equal values.
    max_lhs: only left-hand sides with at most so many columns. progress: called with (round, open candidates,
    difference sets) before each round. A table without rows has constant columns only. The result is the same at any
    number of ranks.
    """
    table = TableEvidence(codes)
    enumerator = Enumerator(max_lhs)
    left, right = np.empty((0, table.words), np.uint64), np.empty(0, np.int32)
    rounds = 0
    if table.active:
        if table.all_pairs <= ALL_PAIRS * max(1.0, (len(table.active) / 16) ** 2):
            table.compare_all(world, queue)
        else:
            table.seed()
            table.sample(world, queue)
        while True:
            left, right = enumerator.run(table.sets, table.use, table.active, world, queue)
            open_left, open_right = uncertain(table, left, right)
            if progress is not None:
                progress(rounds, len(open_left), len(table.sets))
            if not len(open_left):
                break
            rounds += 1
            refute_or_certify(table, open_left, open_right, world, queue)
    return finish(table, left, right, max_lhs, rounds)


def uncertain(table: TableEvidence, left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Local: the column sets of candidates that are not certain yet, each with its open right-hand sides (k, words)."""
    if len(table.closed) and not table.closed[0].any():
        return left[:0], left[:0]
    if len(table.closed):
        keep = ~hitting.covered(left, table.closed)
        left, right = left[keep], right[keep]
    values = np.zeros((len(left) + len(table.checked_left), 2, table.words), np.uint64)
    values[np.arange(len(left)), 0, right >> 6] = np.uint64(1) << (right & 63).astype(np.uint64)
    values[len(left) :, 1] = table.checked_safe
    left, values = group_or(np.concatenate([left, table.checked_left]), values)
    todo = values[:, 0] & ~values[:, 1]
    keep = bits.nonempty(todo)
    return left[keep], todo[keep]


def refute_or_certify(table: TableEvidence, left: np.ndarray, right: np.ndarray, world, queue):
    """Collective: one round: walk over the open candidates and merge what all ranks found."""
    candidates = Candidates(left, right, table.by_rank, table.columns)
    groups = candidates.groups(0, candidates.count, 0)
    tasks = [(WALK, low, high, 1, 0) for low, high in groups]
    round_ = Round(table, candidates)
    if table.all_pairs * PAIR_NS <= BETA * sum(map(round_.cost_ns, tasks)):
        table.compare_all(world, queue)
        return
    _, shared = share(world, queue, tasks, round_.work, round_.cost_ns, name="walk")
    closed, checked, safe = round_.walk.outcome()
    table.exchange(world if shared else None, closed, candidates.left[checked], safe)


class Round:
    """The tasks of one round.

    (WALK, low, high, depth, 0): the node of the first `depth` columns of candidate `low`, above candidates [low, high).
    (PAIRS, candidate, depth, first, last): the pairs of that node with the later member at a position in [first, last).
    A rank rebuilds the partition of a node from its columns, so a task is five numbers. A node handed on as PAIRS tasks
    counts as closed at once: that is used after the round only, when all its tasks are done. A task done twice is
    harmless.
    """

    def __init__(self, table: TableEvidence, candidates: Candidates):
        self.table, self.candidates = table, candidates
        self.walk = Walk(table.evidence, table.cardinality, candidates, BETA, table.task_pairs)

    def cost_ns(self, task: tuple) -> float:
        """Local: the estimated work of a task."""
        kind, low, high, depth, _ = task
        if kind == PAIRS:
            return self.table.task_pairs * PAIR_NS
        column = int(self.candidates.prefix(low, 1)[0])
        rows = self.table.clustered_rows[column]
        return min(self.table.pairs[column] * PAIR_NS, (high - low) * rows * ROW_NS / depth) + rows * PAIR_NS

    def work(self, task: tuple):
        """Local: a generator that does one task and yields None between slices and lists of new tasks."""
        kind, low, high, depth, last = task
        if kind == PAIRS:
            candidate, depth, first = low, high, depth
            node = self.table.partition(tuple(self.candidates.prefix(candidate, depth).tolist()))
            self.table.evidence.pairs(node, first, last)
            self._compact()
            return
        prefix = tuple(self.candidates.prefix(low, depth).tolist())
        node = self.table.partition(prefix)
        self.walk.begin(low, high, depth, node)
        one_level = high - low > 1 and (high - low) * len(node.rows) * ROW_NS > EXPAND_NS
        while (status := self.walk.run(SHARE_NS, one_level)) != DONE:
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
        self._compact()

    def _compact(self):
        if self.table.compact():
            self.walk.forget()


def finish(table: TableEvidence, left, right, max_lhs, rounds) -> Dependencies:
    """Local: the dependencies with those of the constant columns put in order among them."""
    if table.constant:
        at = np.searchsorted(right, table.constant)
        left, right = np.insert(left, at, 0, axis=0), np.insert(right, at, table.constant)
    return Dependencies(left, right, table.columns, table.rows, table.sets, table.use, table.constant,
                        table.duplicates, max_lhs,
                        {"rounds": rounds, "evidence": table.evidence.count, "closed": len(table.closed)})
