"""Exact discovery of all minimal functional dependencies: evidence, minimal hitting sets, exhausted pairs.

Rounds of: enumerate the minimal hitting sets of the evidence for each right-hand side (the candidates), drop those that
are certain, and walk over the rest, which either makes them certain or finds evidence against them.

Why the result is exact. Evidence holds difference sets of real pairs of rows only, so every true dependency X -> A hits
all of it, and a minimal true X is never lost to a wrong edge. A candidate X -> A is certain when
(a) X holds a closed set S: if X -> A were false, the violating pair would agree on X, thus on S, so its difference set
(or one inside it that holds A too; others are dropped as not minimal) would be in evidence, hold A and miss X; but X
hits all difference sets that hold A; or
(b) X was checked for A: if a pair violates X -> A, evidence holds A in a set that misses X; as in (a), there is none. A
star check gives that (no row differed in A from the first row of its cluster of X), and so does a finished walk over
X in parts of the table (buckets.py).
Minimality: each column of X is the only hit of some real difference set, so without it the dependency is false. All
minimal dependencies are found: a minimal true X hits every edge, so it contains a minimal hitting set Y, which is
certain at the end, so Y -> A is true and X = Y. The loop ends: every candidate of a round is closed, checked or
refuted, and there are finitely many difference sets.

Why a search that is ended early tells nothing false. What it gives are minimal hitting sets of its evidence that are
certain. (a), (b) and the argument of minimality speak of that evidence alone and do not ask for it to be complete; only
"all are found" does. Closed and checked sets are counted only where their work was finished on whatever ranks shared
it. The enumeration may be cut short as well: what it has emitted are minimal hitting sets.
"""

from dataclasses import dataclass, field

import numpy as np

from mpiedge.kernels import bits, hitting
from mpiedge.profiling.anytime import State, Stop
from mpiedge.profiling.buckets import open_table
from mpiedge.profiling.evidence import TableEvidence, group_or
from mpiedge.profiling.hitting import Enumerator
from mpiedge.profiling.room import Room

SLICE = 1 << 17  # candidates looked at together
MOST_OPEN = 1 << 20  # of them are settled in a round, about
ALL_PAIRS = 1 << 21  # compare all pairs at once up to this many, times the square of the columns / 16


@dataclass
class Dependencies:
    """All minimal dependencies lhs -> rhs of one table.

    lhs: (k, words) uint64, bit c of a row = column c; rhs: (k,) int32; sorted by rhs, then by size and value of lhs.
    Iterating gives (tuple of columns, column) in that order. A constant column A has the one dependency {} -> A. sets,
    use: the minimal difference sets of the table, and the right-hand sides each is minimal for. partial: the search
    was ended early: these dependencies are true and minimal, but there may be more; state: give it to a later search
    of the same table to go on (None where nothing can be saved). work: counts of the rounds, difference sets and closed
    sets it took, and the bytes this rank sent to others.
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
    partial: bool = False
    state: State | None = None
    work: dict = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rhs)

    def __iter__(self):
        """Local: (left columns as a tuple, right column), in order."""
        for start in range(0, len(self), 1 << 14):
            part = slice(start, start + (1 << 14))
            yield from zip(bits.members(self.lhs[part], self.columns), self.rhs[part].tolist())


def discover_fds(codes: list[np.ndarray], *, world=None, queue=None, max_lhs: int | None = None,
                 progress=None, deadline=None, state: State | None = None,
                 budget_bytes: float | None = None, room: Room | None = None) -> Dependencies:
    """Collective: all minimal functional dependencies of one table (Local when world and queue are None).

    codes: one array (rows,) of dictionary codes per column, identical on every rank; equal codes mean equal values.
    max_lhs: only left-hand sides with at most so many columns. progress: called with (round, open candidates,
    difference sets, function () -> State of what is known) before each round. deadline: seconds from now, or a function
    () -> bool asked on each rank: end early with what is certain by then (given on every rank or on none). state: what
    an earlier search of this table left, the same on every rank. budget_bytes: what this rank may use beside the codes
    (which may be mapped from files); a table that needs more is searched in parts. room: where long lists of candidates
    and dependencies lie. A table without rows has constant columns only. A result that is not partial is the same at
    any number of ranks and any budget.
    """
    stop, room = Stop(deadline, world, queue), room or Room()
    sent = world.bytes_sent if world is not None else 0
    table = open_table(codes, budget_bytes, world, queue, stop, limited=max_lhs is not None)
    enumerator, rights = Enumerator(max_lhs, stop, room=room), list(range(table.columns))
    constant = np.zeros((len(table.constant), table.words), np.uint64), np.array(table.constant, np.int32)
    (left, right), rounds = search(table, lambda: enumerator.run(table.sets, table.use, rights, world, queue), constant,
                                   progress, state)
    if stop.reached:
        left, right = Enumerator(max_lhs, brief=True, room=room).run(table.sets, table.use, rights)
        keep = certain(table, left, right)
        left, right = left[keep], right[keep]
    work = {"rounds": rounds, "evidence": table.evidence.count, "closed": len(table.closed),
            "bytes_sent": world.bytes_sent - sent if world is not None else 0}
    return Dependencies(left, right, table.columns, table.rows, table.sets, table.use, table.constant,
                        table.duplicates, max_lhs, stop.reached, table.state(), work)


def search(table: TableEvidence, enumerate_candidates, nothing: tuple, progress=None,
           state: State | None = None) -> tuple[tuple, int]:
    """Collective: rounds of candidates and walks until all candidates are certain or the search is to stop.

    enumerate_candidates: Collective, (left (k, words), right (k,) or None for keys) from the table's evidence; nothing:
    what it gives for a table of constant columns. Returns the last candidates and the number of rounds.
    """
    candidates, rounds = nothing, 0
    if not table.active:
        return candidates, rounds
    if state is not None:
        table.resume(state)
    if table.all_pairs <= (ALL_PAIRS / 64 if table.few else ALL_PAIRS * max(1.0, (len(table.active) / 16) ** 2)):
        if not (len(table.closed) and not table.closed[0].any()):
            table.compare_all()
    elif not table.sampled:
        table.seed()
        table.sample()
    while not table.stop.agreed():
        candidates = enumerate_candidates()
        if table.stop.agreed():
            break
        open_left, open_right = uncertain(table, *candidates, MOST_OPEN)
        if progress is not None:
            progress(rounds, len(open_left), len(table.sets), table.state)
        if not len(open_left):
            break
        rounds += 1
        table.settle_round(open_left, open_right)
    return candidates, rounds


def uncertain(table: TableEvidence, left: np.ndarray, right: np.ndarray | None,
              most: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Local: the column sets of candidates that are not certain yet, each with its open right-hand sides (k, words).

    right: their right-hand sides (k,), or None: all columns are, as of keys. most: about as many are enough."""
    if len(table.closed) and not table.closed[0].any():
        return left[:0], left[:0]
    lefts, todos, count = [left[:0]], [left[:0]], 0
    for begin in range(0, len(left), SLICE):
        part = slice(begin, begin + SLICE)
        open_left, todo = _uncertain(table, left[part], right if right is None else right[part])
        lefts.append(open_left)
        todos.append(todo)
        count += len(open_left)
        if most is not None and count >= most:
            break
    return group_or(np.concatenate(lefts), np.concatenate(todos))


def _uncertain(table: TableEvidence, left: np.ndarray, right: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    if len(table.closed):
        keep = ~hitting.covered(left, table.closed)
        left, right = left[keep], right if right is None else right[keep]
    if not len(left):
        return left, left
    values = np.zeros((len(left) + len(table.checked_left), 2, table.words), np.uint64)
    if right is None:
        values[: len(left), 0] = bits.mask_of(table.active, table.columns)
    else:
        values[np.arange(len(left)), 0, right >> 6] = np.uint64(1) << (right & 63).astype(np.uint64)
    values[len(left) :, 1] = table.checked_safe
    left, values = group_or(np.concatenate([left, table.checked_left]), values)
    todo = values[:, 0] & ~values[:, 1]
    keep = bits.nonempty(todo)
    return left[keep], todo[keep]


def certain(table: TableEvidence, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Local: which candidates are certain, bool (k,)."""
    doubtful = {one.tobytes(): todo for one, todo in zip(*uncertain(table, left, right))}
    result = np.ones(len(left), bool)
    if not doubtful:
        return result
    for i, (one, column) in enumerate(zip(left, right.tolist())):
        todo = doubtful.get(one.tobytes())
        result[i] = todo is None or not int(todo[column >> 6]) >> (column & 63) & 1
    return result
