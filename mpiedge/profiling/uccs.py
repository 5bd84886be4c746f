"""Minimal unique column combinations (keys): from the evidence of dependencies, or searched for directly."""

import numpy as np

from mpiedge.kernels import bits
from mpiedge.profiling.anytime import State, Stop
from mpiedge.profiling.buckets import open_table
from mpiedge.profiling.evidence import TableEvidence
from mpiedge.profiling.fds import Dependencies, search, uncertain
from mpiedge.profiling.hitting import enumerate_one
from mpiedge.profiling.room import Room


class Keys(np.ndarray):
    """Minimal unique column sets, (k, words) uint64, sorted by size and value.

    partial: the search was ended early: these sets are unique and minimal, but there may be more; state: give it to a
    later search of the same table to go on.
    """

    partial: bool = False
    state: State | None = None


def discover_uccs(source: Dependencies | list[np.ndarray], *, world=None, queue=None, max_size: int | None = None,
                  progress=None, deadline=None, state: State | None = None,
                  budget_bytes: float | None = None, room: Room | None = None) -> Keys:
    """Collective: all minimal column sets without two equal rows, (k, words) uint64, sorted by size and value.

    source: the dependencies of the table (nothing is compared again; those of a search ended early give no keys), or
    its codes as for `discover_fds`, whose other arguments these are. max_size: only sets with at most so many columns;
    a `max_lhs` of the dependencies limits them too. There are none when rows are duplicates; up to one row, the empty
    set is unique.

    From dependencies: keys are the minimal hitting sets of the difference sets, and the evidence needs no further
    pairs: let X hit all of it. For each other column A, X hits all difference sets that hold A, so X holds a minimal
    hitting set for A, and those are true dependencies: X -> A. So rows that agree on X are equal, and there are no
    equal rows. The other way round, a unique X hits the difference set of every pair.

    From codes: rounds as in fds.py, with the minimal hitting sets of all difference sets as candidates. X is certain
    when it holds a closed set S: rows that agree on X agree on S, so their difference set, which X misses, or one
    inside it, would be in evidence; but X hits all of it, so there are no such rows.
    """
    if isinstance(source, Dependencies):
        if source.duplicates or source.partial:
            return result(np.empty((0, source.sets.shape[1]), np.uint64), source.partial, source.state)
        sizes = [size for size in (max_size, source.max_lhs) if size is not None]
        keys = enumerate_one(minimal_edges(source), min(sizes, default=None), world, queue, room=room)
        return result(keys, False, source.state)
    stop = Stop(deadline, world, queue)
    table = open_table(source, budget_bytes, world, queue, stop, True, max_size is not None)
    if table.duplicates:
        return result(np.empty((0, table.words), np.uint64), stop.reached, table.state())
    nothing = np.zeros((1, table.words), np.uint64), None
    (left, _), _ = search(table, lambda: (enumerate_one(minimal_edges(table), max_size, world, queue, stop,
                                                     room=room), None),
                          nothing, progress, state)
    if stop.reached:
        left = enumerate_one(minimal_edges(table), max_size, brief=True, room=room)
        doubtful = {one.tobytes() for one in uncertain(table, left, None)[0]}
        left = left[[one.tobytes() not in doubtful for one in left]]
    return result(left, stop.reached, table.state())


def minimal_edges(source: Dependencies | TableEvidence) -> np.ndarray:
    """Local: the difference sets that hold no other one: those minimal for all their columns."""
    return source.sets[~bits.nonempty(source.use ^ source.sets)]


def result(sets: np.ndarray, partial: bool, state: State | None) -> Keys:
    """Local: keys, in order already, with what is known about the search."""
    keys = sets.view(Keys)
    keys.partial, keys.state = partial, state
    return keys
