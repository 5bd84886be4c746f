"""Reads cells of new rows as clean read those of the table that a model was trained on."""

import numpy as np

from mpiedge.cleaning import formats
from mpiedge.cleaning.replay import FACTS
from mpiedge.cleaning.types import ColumnPlan
from mpiedge.kernels.columns import Columns
from mpiedge.store.tables import Column


def notation(plan: ColumnPlan) -> dict:
    """Local: what `reread` has to know of a column, as JSON."""
    return {name: value for name, value in plan.to_toml().items() if name not in {*FACTS, "name", "key"}}


def reread(notation: dict, cells: np.ndarray) -> tuple[np.ndarray, int]:
    """Local: cells (object array of str) as the store has those of the column, numbers as float64; and how many were
    not understood. Raises TypeError for a notation of another version."""
    plan = ColumnPlan("", **notation)
    written = formats.apply(plan, [cell.replace("\0", "") for cell in cells.tolist()])[0]
    if plan.kind in ("integer", "decimal"):
        found = formats.typed_array(plan, Column("", plan.kind, {"missing": True}), Columns.of([written]), 0)
        return found, int(np.isnan(found).sum()) - written.count("")
    found = np.empty(len(cells), object)
    found[:] = formats.canonical(plan, written)
    return found, found.tolist().count("") - written.count("")
