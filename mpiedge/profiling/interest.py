"""Which dependencies a person wants to see first: few columns, no key on the left, much repeated on the right."""

import numpy as np

from mpiedge.kernels import dictionary
from mpiedge.profiling.output import columns_of

WIDEST = 3
LEAST_REDUNDANCY = 0.1
MOST_SETS = 200
"""Left-hand sides that are looked at, the smallest first."""

SAMPLE_ROWS = 4096
"""Rows, evenly spread, that the order is found from; the figures of the chosen ones come from all rows."""


def most_interesting(lhs: np.ndarray, rhs: np.ndarray, codes: list[np.ndarray], many: int) -> list[dict]:
    """Local: up to `many` dependencies as {"lhs", "rhs", "redundant"}; lhs, rhs in the order of `output.sorted_sets`.

    redundant: cells of the right-hand side that the dependency alone tells. Their share (in a sample) is weighed by how
    unlike the cells of that column are, and divided by the columns on the left.
    """
    rows = len(codes[0]) if codes else 0
    if rows < 2:
        return []
    sample = [column[:: -(-rows // SAMPLE_ROWS)] for column in codes]
    size = len(sample[0])
    variety = [1 - np.bincount(column).max() / size for column in sample]
    head = lhs[: 20 * MOST_SETS]
    shares: dict[tuple, float] = {}
    scored = []
    for columns, right in zip(columns_of(head), rhs[: len(head)].tolist()):
        chosen = tuple(columns)
        if not 0 < len(chosen) <= WIDEST or (chosen not in shares and len(shares) >= MOST_SETS):
            continue
        if chosen not in shares:
            shares[chosen] = 1 - count_groups([sample[column] for column in chosen]) / size
        if shares[chosen] > 0:
            scored.append((-shares[chosen] * variety[right] / len(chosen), len(scored), list(chosen), right))
    found = []
    for _, _, chosen, right in sorted(scored)[: 2 * many]:
        redundant = rows - count_groups([codes[column] for column in chosen])
        if redundant >= LEAST_REDUNDANCY * rows and len(found) < many:
            found.append({"lhs": chosen, "rhs": right, "redundant": redundant})
    return found


def count_groups(codes: list[np.ndarray]) -> int:
    """Local: how many combinations of codes occur."""
    groups = codes[0]
    for column in codes[1:]:
        groups = _group(groups.astype(np.int64) * (int(column.max()) + 1) + column)
    return int(np.count_nonzero(np.bincount(groups)))


def _group(numbers: np.ndarray) -> np.ndarray:
    """Local: equal numbers numbered alike; hashing beats sorting by far."""
    start = np.arange(0, numbers.nbytes, numbers.itemsize, dtype=np.int64)
    return dictionary.group(numbers.view(np.uint8), start, np.full(len(numbers), numbers.itemsize, np.int32))[0]
