"""Rows that agree on chosen columns and are too many for a part: recognised, and dealt with as they stream by.

A group of rows that agree on all of a left-hand side may be larger than a part. It is star-checked in pieces: its first
row against all others. What else shares its bin is collected and walked over as a part.
"""

import numpy as np

from mpiedge.profiling.evidence import TableEvidence
from mpiedge.profiling.parts import Grouping, Part


def walk_heavy(grouping: Grouping, table: TableEvidence, same, rest):
    """Local: a generator over the rows in bins of too many rows, which hold a group that agrees on all columns of the
    grouping.

    table: with `most`, the rows of a part, and `stop`. same(part): called with rows that agree, the first row of their
    group first; rest(part): a generator that deals with all others. Whenever too many rows were collected, the largest
    group among them is taken out, and its rows are recognised from then on; so each group goes one of both ways as a
    whole.
    """
    columns = grouping.columns
    for heavy in grouping.heavy.tolist():
        first_rows: list[dict] = []
        waiting = {column: array[:0] for column, array in table.codes.items()}
        for start, stop, bins in grouping.slices():
            chosen = np.flatnonzero(bins == heavy)
            found = {column: array[start:stop][chosen] for column, array in table.codes.items()}
            for first in first_rows:
                agree = agreeing(found, first, columns)
                if agree.any():
                    same(Part(table, {column: np.concatenate([first[column], array[agree]])
                                      for column, array in found.items()}))
                    found = {column: array[~agree] for column, array in found.items()}
            waiting = {column: np.concatenate([array, found[column]]) for column, array in waiting.items()}
            while len(waiting[columns[0]]) > table.most:
                first_rows.append(most_frequent(waiting, columns, table.cardinality))
                agree = agreeing(waiting, first_rows[-1], columns)
                same(Part(table, {column: array[agree] for column, array in waiting.items()}))
                waiting = {column: array[~agree] for column, array in waiting.items()}
            yield None
            if table.stop.tell():
                return
        if len(waiting[columns[0]]) > 1:
            yield from rest(Part(table, waiting))


def agreeing(rows: dict, first: dict, columns: tuple[int, ...]) -> np.ndarray:
    """Local: which rows agree with the one row `first` on `columns`, bool."""
    agree = np.ones(len(rows[columns[0]]), bool)
    for column in columns:
        agree &= rows[column] == first[column]
    return agree


def most_frequent(rows: dict, columns: tuple[int, ...], cardinality: dict) -> dict:
    """Local: the first row of the largest group that agrees on `columns`."""
    group = np.zeros(len(rows[columns[0]]), np.int64)
    for column in columns:
        group = np.unique(group * cardinality[column] + rows[column], return_inverse=True)[1]
    at = int(np.flatnonzero(group == np.bincount(group).argmax())[0])
    return {column: array[at : at + 1].copy() for column, array in rows.items()}
