"""Minimal unique column combinations (keys) from the evidence that the discovery of dependencies left."""

import numpy as np

from mpiedge.kernels import bits
from mpiedge.kernels.hitting import minimal_hitting_sets
from mpiedge.profiling.fds import Dependencies


def discover_uccs(dependencies: Dependencies) -> list[tuple[int, ...]]:
    """Local: all minimal column sets without two equal rows, sorted by size, then columns; [] when rows are duplicates.

    They are the minimal hitting sets of the difference sets, and the evidence needs no further pairs: let X hit all of
    it. For each other column A, X hits all difference sets that hold A, so X holds a minimal hitting set for A, and those
    are true dependencies: X -> A. So rows that agree on X are equal, and there are no equal rows. The other way round,
    a unique X hits the difference set of every pair. Up to one row, the empty set is unique. With `max_lhs` the sets
    with at most so many columns are found.
    """
    if dependencies.rows <= 1:
        return [()]
    if dependencies.duplicates:
        return []
    edges = dependencies.sets[(dependencies.use == dependencies.sets).all(axis=1)]
    search = minimal_hitting_sets(edges, dependencies.max_lhs)
    while True:
        try:
            next(search)
        except StopIteration as end:
            found = end.value
            break
    rows, column = np.nonzero(bits.unpack(found, dependencies.columns))
    edges = np.searchsorted(rows, np.arange(len(found) + 1)).tolist()
    column = column.tolist()
    return sorted((tuple(column[a:b]) for a, b in zip(edges[:-1], edges[1:])), key=lambda one: (len(one), one))
