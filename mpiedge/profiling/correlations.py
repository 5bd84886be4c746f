"""How columns go together: Pearson and Spearman between numbers, Cramer's V between columns of few values.

A pair of columns is one task on the queue, computed from the codes of all rows on one rank: no figure depends on the
number of ranks.
"""

import math
from itertools import combinations

import numpy as np

from mpiedge.profiling.encode import EncodedTable
from mpiedge.profiling.evidence import share
from mpiedge.profiling.numbers import read_column

MOST_COLUMNS = 64
"""Columns of a table that are compared: the first that can be."""

MOST_CATEGORIES = 100
"""Distinct values of a column up to which it is compared by Cramer's V."""

ROW_NS = 30.0
FIGURES = 6


def correlate(world, queue, table: EncodedTable) -> list[dict]:
    """Collective: {"left", "right" (column numbers), "rows", "pearson", "spearman", "cramers_v"} of all pairs of
    columns that can be compared, sorted; what does not apply is None.

    Two numeric columns (by their kind, or by all their texts) get Pearson and Spearman, other pairs of at most 100
    distinct values each Cramer's V (without correction of bias). Only rows with both cells count. Messages: the numbers
    of the distinct values of numeric columns (all-gather); the results (all-gather).
    """
    numbers = _numbers(world, table)
    # Codes from here on are of missing cells that are told apart.
    known = world.sum(np.array([len(one.values.codes) for one in table.columns], np.int64)).tolist()
    values = [many - (one.missing is not None) for many, one in zip(known, table.columns)]
    few = [column for column, many in enumerate(values) if 2 <= many <= MOST_CATEGORIES]
    able = sorted({*(column for column in numbers if values[column] > 1), *few})[:MOST_COLUMNS]
    pairs = [(left, right) for left, right in combinations(able, 2)
             if (left in numbers and right in numbers) or (left in few and right in few)]

    def work(task):
        both = np.ones(table.rows, bool)
        for column in task:
            one = table.columns[column]
            if one.missing is not None:
                both &= (one.codes != one.missing) & (one.codes < known[column])
        codes = [table.columns[column].codes[both] for column in task]
        if task[0] in numbers and task[1] in numbers:
            return _numeric(codes, [numbers[column] for column in task])
        return _categorical(codes)

    results, shared = share(world, queue, pairs, work, lambda task: table.rows * ROW_NS, name="correlations",
                            even=True)
    return [{"left": left, "right": right, **dict(message)}
            for (left, right), message in sorted(queue.gather(results) if shared else results)]


def estimate_bytes(rows: int, distinct: list[float]) -> float:
    """Local: what it takes: the numbers of all columns' values, one column sorted, and two columns row by row."""
    return 28.0 * sum(distinct) + 48.0 * max(distinct, default=0.0) + 72.0 * rows


def _numbers(world, table: EncodedTable) -> dict[int, np.ndarray]:
    """Collective: the number of each code, of the columns whose distinct values are all numbers (NaN: missing)."""
    own = {}
    for column, (kind, encoded) in enumerate(zip(table.kinds, table.columns)):
        parsed = None
        if kind in (None, "integer", "decimal"):
            parsed = read_column(encoded.values.texts)
        chosen = np.flatnonzero(encoded.values.texts.length > 0)
        own[str(column)] = None if parsed is None else {"codes": encoded.values.codes[chosen], "numbers": parsed}
    found = {}
    messages = world.allgather(own)
    for column, encoded in enumerate(table.columns):
        parts = [message[str(column)] for message in messages]
        if any(part is None for part in parts) or not sum(len(part["codes"]) for part in parts):
            continue
        found[column] = np.full(encoded.distinct, np.nan)
        for part in parts:
            found[column][part["codes"]] = part["numbers"]
    return found


def _numeric(codes: list[np.ndarray], numbers: list[np.ndarray]) -> dict:
    """Local: both coefficients of one pair of numeric columns."""
    values = [number[code] for code, number in zip(codes, numbers)]
    ranks = [_ranks(code, number) for code, number in zip(codes, numbers)]
    return {"rows": len(codes[0]), "pearson": _coefficient(*values), "spearman": _coefficient(*ranks),
            "cramers_v": None}


def _ranks(codes: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Local: the rank of each row by its number, counted from 1; equal ones share the mean of theirs."""
    counts = np.bincount(codes, minlength=len(numbers))
    order = np.argsort(numbers, kind="stable")
    sorted_, times = numbers[order], counts[order]
    _, first, group = np.unique(sorted_, return_index=True, return_inverse=True)
    size = np.add.reduceat(times, first) if len(first) else times
    mean = np.cumsum(size) - (size - 1) / 2
    ranks = np.empty(len(numbers))
    ranks[order] = mean[group]
    return ranks[codes]


@np.errstate(over="ignore", invalid="ignore")
def _coefficient(left: np.ndarray, right: np.ndarray) -> float | None:
    """Local: Pearson's coefficient; None where a column does not vary."""
    if len(left) < 2:
        return None
    left, right = left - left.mean(), right - right.mean()
    product = math.sqrt(float((left * left).sum())) * math.sqrt(float((right * right).sum()))
    if not product or not math.isfinite(product):
        return None
    return _rounded(max(-1.0, min(1.0, float((left * right).sum()) / product)))


def _categorical(codes: list[np.ndarray]) -> dict:
    """Local: Cramer's V of one pair of columns of few values."""
    rows, height, width = len(codes[0]), *(int(code.max(initial=0)) + 1 for code in codes)
    times = np.bincount(codes[0].astype(np.int64) * width + codes[1], minlength=height * width)
    return {"rows": rows, "pearson": None, "spearman": None, "cramers_v": _cramers_v(times.reshape(height, width))}


def _cramers_v(table: np.ndarray) -> float | None:
    """Local: from the counts of pairs of values; None where a column does not vary."""
    table = table[table.any(axis=1)][:, table.any(axis=0)].astype(float)
    if min(table.shape) < 2:
        return None
    total = table.sum()
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / total
    chi_square = float(((table - expected) ** 2 / expected).sum())
    return _rounded(min(1.0, math.sqrt(chi_square / total / (min(table.shape) - 1))))


def _rounded(value: float) -> float:
    return float(f"{value:.{FIGURES}g}") + 0.0
