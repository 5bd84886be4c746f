"""Which dependencies a person wants to see first: few columns, no key on the left, much repeated on the right."""

import numpy as np

from mpiedge.profiling.output import columns_of
from mpiedge.profiling.validate import group_rows

WIDEST = 3
MOST_SETS = 300
"""Left-hand sides that are looked at, the smallest first."""


def most_interesting(lhs: np.ndarray, rhs: np.ndarray, codes: list[np.ndarray], many: int) -> list[dict]:
    """Local: up to `many` dependencies as {"lhs", "rhs", "redundancy"}; lhs, rhs in the order of `output.sorted_sets`.

    redundancy: share of the cells of the right-hand side that the dependency alone tells. It is weighed by how unlike the
    cells of that column are, and divided by the columns on the left.
    """
    rows = len(codes[0]) if codes else 0
    head = lhs[: 20 * MOST_SETS]
    groups: dict[tuple, int] = {}
    scored = []
    for columns, right in zip(columns_of(head), rhs[: len(head)].tolist()):
        chosen = tuple(columns)
        if not 0 < len(chosen) <= WIDEST or (chosen not in groups and len(groups) >= MOST_SETS):
            continue
        if chosen not in groups:
            groups[chosen] = group_rows([codes[column] for column in chosen], rows)[1]
        redundancy = 1 - groups[chosen] / rows
        commonest = int(np.bincount(codes[right]).max()) / rows
        score = redundancy * (1 - commonest) / len(chosen)
        if redundancy > 0:
            scored.append((-score, len(scored), {"lhs": list(chosen), "rhs": right, "redundancy": redundancy}))
    return [entry for _, _, entry in sorted(scored, key=lambda item: item[:2])[:many]]
