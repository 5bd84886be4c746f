"""Minimal unique column combinations (keys) from the evidence that the discovery of dependencies left."""

import numpy as np

from mpiedge.kernels import bits
from mpiedge.profiling.fds import Dependencies, discover_fds
from mpiedge.profiling.hitting import enumerate_one


def discover_uccs(source: Dependencies | list[np.ndarray], *, world=None, queue=None,
                  max_size: int | None = None) -> np.ndarray:
    """Collective: all minimal column sets without two equal rows, (k, words) uint64, sorted by size and value.

    source: the dependencies of the table (nothing is compared again), or its codes as for `discover_fds`. max_size:
    only sets with at most so many columns; a `max_lhs` of the dependencies limits them too. There are none when rows
    are duplicates; up to one row, the empty set is unique.

    They are the minimal hitting sets of the difference sets, and the evidence needs no further pairs: let X hit all of
    it. For each other column A, X hits all difference sets that hold A, so X holds a minimal hitting set for A, and
    those are true dependencies: X -> A. So rows that agree on X are equal, and there are no equal rows. The other way
    round, a unique X hits the difference set of every pair.
    """
    if not isinstance(source, Dependencies):
        source = discover_fds(source, world=world, queue=queue, max_lhs=max_size)
    if source.duplicates:
        return np.empty((0, source.sets.shape[1]), np.uint64)
    edges = source.sets[~bits.nonempty(source.use ^ source.sets)]
    sizes = [size for size in (max_size, source.max_lhs) if size is not None]
    return bits.unique(enumerate_one(edges, min(sizes, default=None), world, queue))
