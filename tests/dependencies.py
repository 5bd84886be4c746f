"""Small tables of every awkward kind, their dependencies and keys by definition, and thresholds to try every way."""

import csv
import gzip
import itertools

import numpy as np

from mpiedge.profiling import evidence, fds, rounds, whole

SETTINGS = {
    "as shipped": {},
    "rounds": {"ALL_PAIRS": -1},
    "never exhaust": {"ALL_PAIRS": -1, "BETA": -1e9},
    "never expand or defer": {"ALL_PAIRS": -1, "BETA": 0.05, "EXPAND_NS": 1e18, "TASK_PAIRS": 1 << 40},
    "always expand and defer": {"ALL_PAIRS": -1, "BETA": 0.3, "EXPAND_NS": 0.0, "TASK_PAIRS": 1,
                                "TASK_SCANS": 0},
    "always compact": {"ALL_PAIRS": -1, "BETA": 0.3, "EXPAND_NS": 0.0, "TASK_PAIRS": 1, "TASK_SCANS": 0,
                       "COMPACT": 1},
    "expand, never exhaust": {"ALL_PAIRS": -1, "BETA": -1e9, "EXPAND_NS": 0.0},
    "walk in parts": {"ALL_PAIRS": -1, "BETA": 0.05, "PART_NS": 1e-3, "PART_ROWS": 1, "SLICE_NS": 0.0,
                      "SPLIT_NS": 0.0},
    "exhaust in parts": {"ALL_PAIRS": -1, "BETA": 0.05, "PART_NS": 1e-3, "PART_ROWS": 1, "TASK_PAIRS": 1,
                         "TASK_SCANS": 0, "SLICE_NS": 0.0, "SPLIT_NS": 0.0},
}


def tune(patch, setting):
    """Set the thresholds of the discovery so that small tables take the ways of large ones."""
    for name, value in SETTINGS[setting].items():
        places = [place for place in (fds, rounds, whole, evidence) if hasattr(place, name)]
        assert places, name
        for place in places:
            patch.setattr(place, name, value)


def random_table(seed, rows, columns):
    """Codes with few or many values, constants, keys, copies, near copies, derived columns, skew and repeated rows."""
    rng = np.random.default_rng(seed)
    table = []
    for _ in range(columns):
        kind = rng.choice(["few", "some", "many", "skew", "constant", "key", "copy", "near", "derived"])
        values = rng.integers(0, {"few": 2, "some": 6}.get(kind, max(rows, 1)), rows)
        if kind == "constant":
            values[:] = 0
        elif kind == "key":
            values = rng.permutation(rows)
        elif kind == "skew":
            values = np.minimum(rng.geometric(0.5, rows), 8)
        elif table and kind in ("copy", "near", "derived"):
            values = table[int(rng.integers(len(table)))].copy()
            if kind == "copy":
                values = values.max(initial=0) - values
            elif kind == "near" and rows:
                values[int(rng.integers(rows))] = rows
            elif kind == "derived":
                values = (values + 3 * table[int(rng.integers(len(table)))]) % 5
        table.append(values.astype(np.int64))
    if rows and rng.random() < 0.3:
        again = rng.integers(0, rows, rows)
        table = [values[again] for values in table]
    return table


def groups(table, columns, rows):
    """Rows by their values in some columns."""
    result = {}
    for row in range(rows):
        result.setdefault(tuple(int(table[column][row]) for column in columns), []).append(row)
    return result.values()


def dependencies_by_definition(table, rows, largest=99):
    """All minimal (lhs, rhs); a constant column is determined by the empty set and stands in no left-hand side."""
    constant = {c for c, values in enumerate(table) if len(set(values.tolist())) <= 1}
    found = {((), column) for column in constant}
    active = [column for column in range(len(table)) if column not in constant]
    for rhs in active:
        minimal = []
        for size in range(1, min(len(active), largest + 1)):
            for lhs in itertools.combinations([column for column in active if column != rhs], size):
                if any(set(smaller) <= set(lhs) for smaller in minimal):
                    continue
                if all(len({int(table[rhs][row]) for row in group}) == 1 for group in groups(table, lhs, rows)):
                    minimal.append(lhs)
        found |= {(lhs, rhs) for lhs in minimal}
    return found


def keys_by_definition(table, rows, largest=99):
    """All minimal column sets without two equal rows."""
    minimal = []
    for size in range(min(len(table), largest) + 1):
        for chosen in itertools.combinations(range(len(table)), size):
            if not any(set(smaller) <= set(chosen) for smaller in minimal) and len(groups(table, chosen, rows)) == rows:
                minimal.append(chosen)
    if rows == 0:
        return {()}
    return set(minimal)


def read_codes(path, delimiter, header):
    """Columns of a CSV file as dictionary codes; cells compare as exact text."""
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", newline="", encoding="utf-8") as file:
        rows = [row for row in csv.reader(file, delimiter=delimiter) if row][1 if header else 0 :]
    columns = []
    for column in zip(*rows):
        seen: dict = {}
        columns.append(np.array([seen.setdefault(cell, len(seen)) for cell in column], np.int32))
    return columns
