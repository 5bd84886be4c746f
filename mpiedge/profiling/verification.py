"""One dependency checked on every table that has its columns, and the rows that violate it as CSV."""

import csv
import io
import json

import numpy as np

from mpiedge.errors import UsageError
from mpiedge.profiling.encode import EncodedTable
from mpiedge.profiling.validate import Verdict, parse_dependency, texts_of, verify


def verdicts(tables: list[EncodedTable], dependency: str) -> list[tuple[EncodedTable, list[int], int, Verdict]]:
    """Local: (table, left columns, right column, verdict) of every table that has them; UsageError when none has."""
    lhs, rhs = parse_dependency(dependency)
    checked = []
    for table in tables:
        place = {**{name.strip(): index for index, name in enumerate(table.names)},
                 **{name: index for index, name in enumerate(table.names)}}
        if {*lhs, rhs} <= set(place):
            left, right = [place[name] for name in lhs], place[rhs]
            checked.append((table, left, right, verify([table.codes[column] for column in left], table.codes[right])))
    if not checked:
        known = ", ".join(name for table in tables for name in table.names)
        error = UsageError("--verify", f"no table has all columns of {dependency!r}", f"There are: {known[:300]}")
        error.everywhere = True
        raise error
    return checked


def violations(world, checked: list) -> str:
    """Collective: the violating rows as CSV: table, row (0-based), left-hand side as a JSON list, right-hand side."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["table", "row", "lhs", "rhs"])
    for table, lhs, rhs, verdict in checked:
        cells = []
        for column in [*lhs, rhs]:
            codes = table.codes[column][verdict.violating]
            names = texts_of(world, table.columns[column].values, np.unique(codes))
            cells.append([names[code] for code in codes.tolist()])
        order = np.argsort(verdict.group, kind="stable")
        rows = verdict.violating.tolist()
        for index in order.tolist():
            left = json.dumps([column[index] for column in cells[:-1]], ensure_ascii=False)
            writer.writerow([table.name, rows[index], left, cells[-1][index]])
    return text.getvalue()


def summary(checked: list) -> list[dict]:
    """Local: the verdicts as they stand in summary.json."""
    return [{"table": table.name, "lhs": [table.names[column] for column in lhs], "rhs": table.names[rhs],
             "holds": verdict.holds, "g3": verdict.g3, "violating_rows": len(verdict.violating)}
            for table, lhs, rhs, verdict in checked]
