"""Which cells of a clean table clean has filled in: as labels they are guesses, by which nobody learns or is judged."""

import csv
from array import array
from pathlib import Path

import numpy as np

from mpiedge.report.read import bounded_fields

FILLED = "missing: "  # how rules of changes.csv that fill a blank begin
LONGEST_FIELD = 2**31 - 1  # clean writes whatever it has read


def filled_cells(run: Path, table: str, rows: int) -> dict[str, np.ndarray]:
    """Local: column -> the numbers of the rows of a clean table (int64, ascending) whose cell was blank before.

    rows: of the clean table. People may edit the files that tell it: nothing where they are gone or tell of other rows.
    """
    inputs: dict[str, array] = {}
    for row, column, *rest in _records(run / f"clean/{table}.changes.csv"):
        if rest and rest[0].startswith(FILLED):
            inputs.setdefault(column, array("q")).append(int(row))
    kept = _kept_rows(run, table, rows) if inputs else np.zeros(0, np.int64)
    return {column: np.flatnonzero(np.isin(kept, numbers)) for column, numbers in inputs.items()}


def _kept_rows(run: Path, table: str, rows: int) -> np.ndarray:
    """Local: the input rows that a clean table consists of, in its order: the first of each cluster, or all where
    duplicates were kept; none where neither are as many as its rows."""
    every, first = array("q"), array("q")
    for row, cluster, *_ in _records(run / f"clean/{table}.clusters.csv"):
        every.append(int(row))
        if row == cluster:
            first.append(int(row))
    return next((np.array(kept, np.int64) for kept in (first, every) if len(kept) == rows), np.zeros(0, np.int64))


def _records(path: Path):
    """Local: yields the records of one of clean's files of numbered rows."""
    if not path.is_file():
        return
    with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file, bounded_fields(LONGEST_FIELD):
        yield from (line for line in csv.reader(file) if len(line) > 1 and line[0].isdigit())
