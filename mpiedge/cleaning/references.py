"""Columns that name the rows of another table: found by inclusion, and moved to the survivor when rows are merged."""

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from mpiedge.cleaning.names import ID_NAMES, words_of
from mpiedge.cleaning.summaries import ColumnSummary
from mpiedge.cleaning.types import ColumnPlan
from mpiedge.kernels.columns import Columns

LEAST_INCLUDED = 0.98
LINK_NAMES = frozenset(("ref", "reference", "citing", "cited", "source", "target", "from", "to", "src",
                                   "dst", "parent", "child", "head", "tail"))


@dataclass(frozen=True)
class Reference:
    """Column `column` of table `table` holds values of the key of table `target` (tables by their places)."""

    table: int
    column: int
    target: int


def find_references(stage, tables, plans, summaries) -> list[Reference]:
    """Collective: the columns that are included in another table's key. Messages: 8 bytes per key to every rank.

    plans, summaries: a list of `ColumnPlan` and of `ColumnSummary` for each table.
    """
    references = []
    for target, columns in enumerate(plans):
        for key, plan in enumerate(columns):
            if not plan.key:
                continue
            candidates = [(table, column) for table, others in enumerate(plans) if table != target
                          for column, other in enumerate(others)
                          if _may_refer(other, summaries[table][column], len(others), plan, summaries[target][key],
                                        tables[target].name.removesuffix(".working"))]
            if candidates:
                included = count_included(stage, tables, (target, plan.name),
                                          [(table, plans[table][column].name) for table, column in candidates])
                references += [Reference(*place, target) for place, share in zip(candidates, included)
                               if share >= LEAST_INCLUDED]
    return references


def _may_refer(plan: ColumnPlan, summary: ColumnSummary, width: int, key: ColumnPlan, of_key: ColumnSummary,
               target: str) -> bool:
    """Whether a column looks like a key's values; numbers need a name that says so: small ones fit anywhere."""
    if not summary.filled or summary.longest > of_key.longest or not of_key.filled:
        return False
    if summary.distinct > 1.2 * of_key.distinct or plan.kind not in (key.kind, "text"):
        return False
    if summary.forms.most_common(1)[0][0] != of_key.forms.most_common(1)[0][0]:
        return False
    if len(summary.sketch) and not _sketches_fit(summary.sketch, of_key.sketch):
        return False
    return key.kind == "text" or _called_after(plan, width, key.name, target)


def _called_after(plan: ColumnPlan, width: int, key: str, target: str) -> bool:
    """Whether a column's name says that it refers to table `target`: paper_id to papers, citing in a table of two."""
    words = set(words_of(plan.name)) - ID_NAMES
    of_target = any(word[:4] == other[:4] for word in words for other in words_of(target) if len(word) > 2)
    of_key = plan.name.lower() == key.lower() and bool(words)
    return of_target or (not plan.key and (of_key or (width == 2 and bool(words & LINK_NAMES))))


def _sketches_fit(part: np.ndarray, whole: np.ndarray) -> bool:
    """Smallest hashes of two sets: those of a subset below the largest one kept of the whole are all in the whole's."""
    below = part[part <= whole[-1]]
    return not len(below) or np.isin(below, whole).mean() >= 0.9


def count_included(stage, tables, key: tuple[int, str], columns: list[tuple[int, str]]) -> list[float]:
    """Collective: the share of filled cells of each column that occur in the key column."""
    target, name = key

    def collect(task):
        return {"hash": hashes(tables[target].read(task[0], [name])[name])}

    found = stage.queue.gather(stage.queue.run([(chunk,) for chunk in range(len(tables[target].chunk_rows))], collect,
                                               name="keys collected"))
    whole = np.unique(np.concatenate([np.empty(0, dtype=np.uint64), *(np.asarray(item["hash"]) for _, item in found)]))

    def compare(task):
        place, chunk = task
        table, column = columns[place]
        cells = [cell for cell in tables[table].read(chunk, [column])[column].tolist() if cell]
        places = np.searchsorted(whole, mine := hashes(cells))
        inside = (whole[np.minimum(places, len(whole) - 1)] == mine) if len(whole) else np.zeros(len(mine), dtype=bool)
        return {"counts": np.array([inside.sum(), len(cells)])}

    tasks = [(place, chunk) for place, (table, _) in enumerate(columns)
             for chunk in range(len(tables[table].chunk_rows))]
    totals = np.zeros((len(columns), 2))
    for (place, _), item in stage.queue.gather(stage.queue.run(tasks, compare, name="references compared")):
        totals[place] += item["counts"]
    return [float(inside / total) if total else 0.0 for inside, total in totals]


def hashes(cells) -> np.ndarray:
    """64-bit hashes of text cells."""
    digests = b"".join(blake2b(cell.encode("utf-8", "surrogatepass"), digest_size=8).digest() for cell in cells)
    return np.frombuffer(digests, dtype="<u8")


def survivors_of_keys(stage, table, column: str, cluster: np.ndarray) -> dict[str, str]:
    """Collective: key of each merged row -> key of the row it was merged into.

    cluster: int64 per row, the row that survives. Messages: the keys of all rows that took part in a merge, to every
    rank.
    """
    merged = cluster != np.arange(len(cluster))
    involved = merged.copy()
    involved[cluster[merged]] = True
    first = np.concatenate([[0], np.cumsum(table.chunk_rows)])

    def collect(task):
        rows = np.flatnonzero(involved[first[task[0]]:first[task[0] + 1]])
        cells = table.read(task[0], [column])[column]
        return {"rows": rows + first[task[0]], "keys": cells[rows].tolist()}

    tasks = [(chunk,) for chunk in range(len(table.chunk_rows)) if involved[first[chunk]:first[chunk + 1]].any()]
    keys: dict[int, str] = {}
    for _, item in stage.queue.gather(stage.queue.run(tasks, collect, name="keys of merged rows")):
        keys.update(zip(np.asarray(item["rows"]).tolist(), item["keys"]))
    return {keys[row]: keys[int(cluster[row])] for row in np.flatnonzero(merged).tolist() if keys[row]}


class Redirected:
    """A table whose references follow the survivors, as it is read; `before` reads it as it was."""

    def __init__(self, table, renamed: dict[str, dict[str, str]]):
        self.before, self.renamed = table, renamed
        self.name, self.columns, self.rows, self.chunk_rows = table.name, table.columns, table.rows, table.chunk_rows

    def columns_of(self, chunk: int) -> Columns:
        """Local: one chunk, as `WorkingTable.columns_of`."""
        columns, names = self.before.columns_of(chunk), [column.name for column in self.columns]
        return columns.replaced({names.index(name): [survivors.get(cell, cell)
                                                     for cell in columns.cells(names.index(name))]
                                 for name, survivors in self.renamed.items()})

    def read(self, chunk: int, columns: list[str] | None = None) -> dict[str, np.ndarray]:
        """Local: one chunk, as `Table.read`."""
        cells = self.before.read(chunk, columns)
        for name, survivors in self.renamed.items():
            if name in cells:
                new = np.empty(len(cells[name]), dtype=object)
                new[:] = [survivors.get(cell, cell) for cell in cells[name].tolist()]
                cells[name] = new
        return cells
