"""Changes taken back: what chosen rules changed in a clean table gets the value it had before, in a copy of it."""

import csv
import os

from mpiedge.cleaning.changes import csv_lines
from mpiedge.errors import InputError

LONGEST_FIELD = 2**31 - 1


def undo(folder: str, rules: list[str]) -> dict[str, int]:
    """Local: writes TABLE.undone.csv beside each TABLE.csv of a folder `clean`; returns table -> cells put back.

    rules: as in changes.csv, or what stands before their colon ("missing" for "missing: mode"). Where another rule
    changed the cell later, its value stays. Merged and repaired rows are not parted again. Raises InputError.
    """
    csv.field_size_limit(LONGEST_FIELD)
    tables = sorted(name.removesuffix(".changes.csv") for name in os.listdir(folder) if name.endswith(".changes.csv")
                    ) if os.path.isdir(folder) else []
    if not tables:
        raise InputError(folder, "holds no clean tables", "Name a run that mpiedge-clean completed by --run")
    wanted = {table: _befores(os.path.join(folder, f"{table}.changes.csv"), set(rules)) for table in tables}
    if not any(wanted.values()):
        raise InputError(folder, f"no cell owes its value to {', '.join(rules)}",
                         "See the column rule of the files *.changes.csv")
    return {table: _rewrite(folder, table, wanted[table]) for table in tables}


def _befores(path: str, rules: set[str]) -> dict[tuple[str, str], str]:
    """(row, column) -> the value to put back. A cell's changes stand in the order in which they were made."""
    chosen = {(row, column) for row, column, rule, *_ in _records(path) if column and _is_meant(rule, rules)}
    found: dict[tuple[str, str], str] = {}
    for row, column, rule, before, after, _ in _records(path):
        if (row, column) not in chosen or before == after:
            continue
        if not _is_meant(rule, rules):
            found.pop((row, column), None)
        else:
            found.setdefault((row, column), before)   # of several in a row, what was there before the first
    return found


def _is_meant(rule: str, rules: set[str]) -> bool:
    return rule in rules or rule.split(":")[0] in rules


def _records(path: str):
    with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
        reader = csv.reader(file)
        next(reader, None)
        yield from reader


def _rewrite(folder: str, table: str, befores: dict[tuple[str, str], str]) -> int:
    """The rows of a clean table are those of the input that were kept: all, or the first of each cluster."""
    clean = os.path.join(folder, f"{table}.csv")
    clusters = os.path.join(folder, f"{table}.clusters.csv")
    every = sum(1 for _ in _records(clusters)) == sum(1 for _ in _records(clean))
    rows = (row for row, cluster in _records(clusters) if every or row == cluster)
    with open(clean, newline="", encoding="utf-8", errors="surrogateescape") as file:
        names = next(csv.reader(file), [])
    put_back = 0
    with open(os.path.join(folder, f"{table}.undone.csv"), "wb") as out:
        out.write(csv_lines([names]))
        for row, cells in zip(rows, _records(clean)):
            old = [befores.get((row, name), cell) for name, cell in zip(names, cells)]
            put_back += sum((row, name) in befores for name in names)
            out.write(csv_lines([old]))
    return put_back
