"""Dependencies that hold after a small share of the rows is removed, each with its exact g3 (Kivinen & Mannila 1995).

g3(X -> A) is the smallest share of rows to remove so that X -> A holds. More columns on the left never need more
removals, so per right-hand side the sets X above the limit are closed downwards, and the largest of them tell all: X is
within the limit if and only if it lies in none of them, so if it hits the complement of each. The answer is the minimal
hitting sets of these complements, as with exact dependencies, where difference sets are the complements. The search
goes in rounds (the "dualize and advance" of Gunopulos, Khardon, Mannila & Toivonen 1997): enumerate the minimal hitting
sets of the complements known so far, count the removals of each, and grow each that is above the limit, column by
column, to a largest such set: a new complement. A round without any ends the search.

Why the result is exact. Complements are of sets found above the limit, so every set within the limit hits all of them.
At the end every minimal hitting set was counted to be within the limit; its proper subsets miss a complement, so they
lie in a set above the limit and are above it themselves: it is minimal. A minimal set within the limit hits all
complements, so it contains a minimal hitting set, which is within the limit: it is that one. The search ends: a
candidate hits all complements known, so what grows from it is new. A candidate that was counted within the limit in any
round is minimal, by the same argument: a search that is ended early gives those.
"""

from dataclasses import dataclass, field

import numpy as np

from mpiedge.kernels import bits
from mpiedge.kernels.removals import Removals
from mpiedge.profiling.anytime import Stop
from mpiedge.profiling.evidence import LEAST_NS, group_or, share
from mpiedge.profiling.hitting import Enumerator
from mpiedge.profiling.nodes import SLICE, Nodes

ROW_NS = 12.0
GROW_NS = 2.0
"""Of a row, for each column that a candidate may grow by; at first nearly all grow."""

FEWEST, MOST = 4, 64
"""Candidates of one task."""

TASKS = 64

@dataclass
class ApproximateDependencies:
    """All minimal lhs -> rhs within the limit: lhs (k, words) uint64, rhs (k,) int32, removed (k,) int64 of `rows`;
    sorted by rhs, then by size and value of lhs. partial: the search was ended early, and there may be more; state:
    arrays to go on with later. work: counts of rounds and of largest sets above the limit."""

    lhs: np.ndarray
    rhs: np.ndarray
    removed: np.ndarray
    rows: int
    partial: bool = False
    state: dict[str, np.ndarray] = field(default_factory=dict)
    work: dict = field(default_factory=dict)

    @property
    def g3(self) -> np.ndarray:
        """Local: the share of rows to remove, float64 (k,)."""
        return self.removed / max(self.rows, 1)


def most_removals(error: float, rows: int) -> int:
    """Local: the most rows that may go: the largest number whose share, as a float, is at most `error`."""
    most = min(int(error * rows) + 1, rows)
    while most and most / rows > error:
        most -= 1
    return most


def discover_approximate(codes: list[np.ndarray], error: float, *, world=None, queue=None, max_lhs: int | None = None,
                         progress=None, deadline=None, state: dict | None = None) -> ApproximateDependencies:
    """Collective: all minimal dependencies with g3 <= error (Local when world and queue are None).

    codes: one array (rows,) of dictionary codes per column, identical on every rank. max_lhs: only left-hand sides with
    at most so many columns. progress: called with (round, open candidates, largest sets above the limit, function () ->
    arrays of what is known) before each round. deadline: seconds from now, or a function () -> bool asked on each rank:
    end early (given on every rank or on none). state: what an earlier search of this table with the same limit left,
    the same on every rank. A constant column has the one dependency {} -> A and is on no left-hand side; one that is
    constant but for the share `error` has that one too, and may be on the left. A result that is not partial is the
    same at any number of ranks.
    """
    stop = Stop(deadline, world, queue)
    search = _Search(codes, error, max_lhs, stop, world)
    if state:
        search.resume(state)
    rounds, ended = 0, stop.agreed()
    while not ended:
        left, right = search.candidates(world, queue)
        if search.enumerator.shared and stop.agreed():
            break
        open_ = search.unknown(left, right)
        if progress is not None:
            progress(rounds, len(open_), len(search.sets), search.state)
        if not len(open_):
            return search.result(left, right, rounds, False)
        rounds += 1
        ended = search.advance(left[open_], right[open_], world, queue)
    left, right, _ = search.counted()
    keep = bits.sizes(left) <= (max_lhs if max_lhs is not None else search.columns)
    return search.result(left[keep], right[keep], rounds, True)


class _Search:
    """What is known of one table, the same on every rank between rounds.

    sets, use: complements of largest sets above the limit, and the right-hand sides (as bits) each belongs to; removed:
    counted removals by (left, right) as bytes.
    """

    def __init__(self, codes: list[np.ndarray], error: float, max_lhs: int | None, stop: Stop, world):
        """Collective: see `Nodes`."""
        self.nodes, self.stop = Nodes(codes, world=world), stop
        self.rows, self.columns, self.words = self.nodes.rows, len(codes), bits.words_for(len(codes))
        self.limit = most_removals(error, self.rows)
        self.constant, self.rights = self.nodes.constant, sorted(self.nodes.by_rank)
        self.enumerator = Enumerator(max_lhs, stop)
        # The least selective columns are tried first: they leave most removals to go on with.
        self.removals = Removals(self.nodes.codes, self.nodes.cardinality, self.nodes.by_rank[::-1], self.words)
        self.everything = bits.mask_of(self.rights, self.columns)
        self.sets = self.use = np.empty((0, self.words), np.uint64)
        self.removed: dict[bytes, int] = {}
        self.within = {column: np.empty((0, self.words), np.uint64) for column in self.rights}

    def candidates(self, world, queue):
        """Collective: the minimal hitting sets of all right-hand sides that can have any."""
        if not self.rights:
            return np.empty((0, self.words), np.uint64), np.empty(0, np.int32)
        return self.enumerator.run(self.sets, self.use, self.rights, world, queue)

    def unknown(self, left, right) -> np.ndarray:
        """Local: the candidates whose removals were not counted, ordered so that neighbours share columns."""
        parts = [np.zeros(0, np.int64)]
        for begin in range(0, len(left), SLICE):
            keys = _keys(left[begin : begin + SLICE], right[begin : begin + SLICE])
            unknown = [begin + index for index, key in enumerate(keys) if key not in self.removed]
            parts.append(np.array(unknown, np.int64))
        open_ = np.concatenate(parts)
        return open_[self.nodes.in_order(left[open_])]

    def advance(self, left, right, world, queue) -> bool:
        """Collective: one round: counts the removals of candidates and grows those above the limit. Returns whether
        the search is to stop."""
        if len(self.sets):
            size, row_ns = min(max(len(left) // TASKS, FEWEST), MOST), ROW_NS
        else:
            size, row_ns = 1, ROW_NS + GROW_NS * len(self.rights)
        tasks = [(begin, min(begin + size, len(left)), 0) for begin in range(0, len(left), size)]

        def work(task):
            return self._task(left, right, *task)

        def cost_ns(task):
            return (task[1] - task[0]) * self.rows * row_ns

        # Too little work to share is done by every rank alike, which must not end it on its own.
        self._may_stop = world is None or world.size == 1 or sum(map(cost_ns, tasks)) >= LEAST_NS
        results, shared = share(world, queue, tasks, work, cost_ns, name="approximate")
        found = _joined([message for _, message in results])
        if shared:
            messages = world.allgather({**found, "stop": self.stop()})
            found = _joined(messages)
        removed = np.full(len(left), -1, np.int64)
        removed[found["within"]] = found["removed"]
        self._learn(left, right, removed, found["grown"].reshape(-1, self.words), found["owner"])
        return any(message["stop"] for message in messages) if shared else self.stop.agreed()

    def resume(self, state: dict[str, np.ndarray]) -> None:
        """Local: take over what an earlier search left."""
        left, right = state["left"].astype(np.uint64), state["right"].astype(np.int32)
        self._learn(left, right, state["removed"], *self._each(state["sets"], state["use"]))

    def state(self) -> dict[str, np.ndarray]:
        """Local: what is known, to go on with later."""
        left, right, removed = self.counted()
        return {"sets": self.sets, "use": self.use, "left": left, "right": right, "removed": removed}

    def _each(self, sets, use) -> tuple[np.ndarray, np.ndarray]:
        """Local: largest sets above the limit, one by one, with their right-hand sides."""
        which, owner = np.nonzero(bits.unpack(use.astype(np.uint64), self.columns))
        return self.everything & ~sets.astype(np.uint64)[which], owner

    def counted(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Local: all candidates within the limit so far: left, right, removals, in the order of the result."""
        rows = np.frombuffer(b"".join(self.removed), np.uint64).reshape(-1, self.words + 1)
        left, right = rows[:, :-1], rows[:, -1].astype(np.int32)
        removed = np.array(list(self.removed.values()), np.int64)
        order = np.lexsort((*left.T, bits.sizes(left), right))
        return left[order], right[order], removed[order]

    def _learn(self, left, right, removed, grown, owner) -> None:
        """Local: what a round found, the same on every rank."""
        fine = np.flatnonzero(removed >= 0)
        for key, count in zip(_keys(left[fine], right[fine]), removed[fine].tolist()):
            self.removed[key] = count
        for column in np.unique(right[fine]).tolist():
            self.within[column] = np.concatenate([self.within[column], left[fine[right[fine] == column]]])
        use = np.zeros_like(grown)
        use[np.arange(len(grown)), owner >> 6] = np.uint64(1) << (owner & 63).astype(np.uint64)
        missing = self.everything & ~grown
        self.sets, self.use = group_or(np.concatenate([self.sets, missing]), np.concatenate([self.use, use]))
        hopeless = set(owner[bits.sizes(missing) == 1].tolist())  # all other columns together are above the limit
        self.rights = [column for column in self.rights if column not in hopeless]

    def _task(self, left, right, begin: int, end: int, handed_on: int):
        """Local: a generator; of candidates [begin, end) those within the limit with their removals, and what grew from
        those above it. Where another rank waits for work, half of those not begun are left to a task of their own, and
        the last to grow, which takes longest, to one that keeps it (handed_on)."""
        within, removed, grown, owner = [], [], [], []
        nodes, place = self.nodes.walk(left[begin:end]), begin
        while place < end and not (self._may_stop and self.stop.tell()):
            mask, column, node = left[place].copy(), int(right[place]), next(nodes)
            candidate, place = place, place + 1
            if any(own == column and not (mask & ~one).any() for one, own in zip(grown, owner)):
                continue
            count = self.removals.count(node, column, self.limit)
            asked, end = yield from _leave_half(place, end, handed_on)
            if count <= self.limit:
                within.append(candidate)
                removed.append(count)
            elif asked and not handed_on:
                yield [(candidate, place, 1)]
            else:
                for _ in self.removals.extend(node, mask, column, self.limit, self.within[column]):
                    _, end = yield from _leave_half(place, end, handed_on)
                grown.append(mask)
                owner.append(column)
        return {"within": np.array(within, np.int64), "removed": np.array(removed, np.int64),
                "grown": np.array(grown, np.uint64).reshape(-1), "owner": np.array(owner, np.int64)}

    def result(self, left, right, rounds: int, partial: bool) -> ApproximateDependencies:
        """Local: candidates, all of them within the limit, and the constant columns."""
        removed = np.array([self.removed[key] for key in _keys(left, right)], np.int64)
        at = np.searchsorted(right, self.constant)
        return ApproximateDependencies(np.insert(left, at, 0, axis=0), np.insert(right, at, self.constant),
                                       np.insert(removed, at, 0), self.rows,
                                       partial, self.state(),
                                       {"rounds": rounds, "above": len(self.sets)})


def _leave_half(place: int, end: int, handed_on: int):
    """Local: a generator, a step of `_Search._task`: leaves halves of the candidates [place, end) to ranks that wait;
    returns whether one is left that waits, and the new end."""
    asked = yield None
    while asked and (half := (place + end) // 2) < end:
        asked, end = (yield [(half, end, handed_on)]), half
    return asked, end


def _joined(messages: list[dict]) -> dict:
    """Local: what was found in several tasks or by several ranks, as one message."""
    nothing = {"within": np.int64, "removed": np.int64, "grown": np.uint64, "owner": np.int64}
    return {name: np.concatenate([np.zeros(0, kind), *(message[name] for message in messages)])
            for name, kind in nothing.items()}


def _keys(left: np.ndarray, right: np.ndarray) -> list[bytes]:
    """Local: each candidate as bytes."""
    rows = np.column_stack([left, right.astype(np.uint64)])
    data, width = rows.tobytes(), rows.shape[1] * 8
    return [data[begin : begin + width] for begin in range(0, len(data), width)]
