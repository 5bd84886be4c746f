"""One row per thing in every table: similar rows, equal references, and which row each one becomes."""

from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np

from mpiedge.cleaning.answers import Answers
from mpiedge.cleaning.coincidence import equal_by_chance, say_nothing
from mpiedge.cleaning.duplicates import find_duplicates
from mpiedge.cleaning.exact import first_equal_rows
from mpiedge.cleaning.references import Redirected, Reference, survivors_of_keys
from mpiedge.cleaning.summaries import ColumnSummary
from mpiedge.cleaning.survivors import Merged, merge_clusters
from mpiedge.cleaning.types import ColumnPlan

LEAST_TOLD = 0.35
"""Share of the rows in which a column that tells things apart is filled, and of its cells that are different."""
SHORTEST_TOLD = 4
"""Characters of such a cell on average: shorter ones are codes."""
LONG_NUMBER, MOSTLY = 7, 0.5
"""Digits of numbers of things, and the share of rows that have one, whole, of their own."""
MOST_ALIKE = 0.05
"""Share of random pairs of rows that may agree in each of two columns which tell things apart together only."""
LEAST_ROWS = 50
"""A smaller table does not show what likeness means in it: there rows equal in all but the key are duplicates."""
LONGEST_COMPARED = 20_000
"""Characters. A column with a longer cell holds documents, which are not compared."""


@dataclass
class Resolution:
    """What becomes of the rows of a table.

    table: as the rest of the work reads it (references redirected). cluster: int64 per row, the first row of its
    cluster. row_a, row_b, probability: the pairs scored. merged: cells that surviving rows take over.
    how: "similar", "equal" or "none"; summary: what the search tells.
    reasons and reason_names: as in `Duplicates`.
    """

    table: object
    cluster: np.ndarray
    row_a: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    row_b: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    probability: np.ndarray = field(default_factory=lambda: np.empty(0))
    merged: Merged = field(default_factory=Merged)
    renamed: dict[str, dict[str, str]] = field(default_factory=dict)
    how: str = "none"
    summary: dict = field(default_factory=dict)
    questions: list[tuple[str, np.ndarray, np.ndarray]] = field(default_factory=list)
    reasons: np.ndarray | None = None
    reason_names: list[str] = field(default_factory=list)

    @property
    def duplicates(self) -> int:
        """Rows that are not the first of their cluster."""
        return int(np.count_nonzero(self.cluster != np.arange(len(self.cluster))))


def tell_things_apart(plans: list[ColumnPlan], summaries: list[ColumnSummary]) -> bool:
    """Whether the columns could tell two things apart: one of words, mostly filled and different from row to row, or
    two in which rows seldom agree (given and family names), or one beside two of numbers of things (of cards and
    telephones)."""
    words = [summary for plan, summary in zip(plans, summaries)
             if plan.kind == "text" and not plan.key and summary.worded >= 0.5 * summary.filled
             and summary.characters >= SHORTEST_TOLD * summary.filled and summary.longest <= LONGEST_COMPARED
             and summary.filled >= LEAST_TOLD * summary.rows and summary.filled > 0]
    return (any(summary.distinct >= LEAST_TOLD * summary.filled for summary in words)
            or sum(_alike(summary) <= MOST_ALIKE for summary in words) >= 2
            or (len(words) > 0 and sum(map(_are_numbers_of_things, summaries)) >= 2))


def _are_numbers_of_things(summary: ColumnSummary) -> bool:
    """Whether a column is of long whole numbers, mostly filled and different from row to row."""
    whole = summary.forms["integer"] + summary.forms["leading_zero"]
    return (0 < MOSTLY * summary.rows <= summary.filled and whole >= MOSTLY * summary.filled
            and summary.characters >= LONG_NUMBER * summary.filled and summary.distinct >= MOSTLY * summary.filled)


def _alike(summary: ColumnSummary) -> float:
    """Share of random pairs of filled cells that are equal; a column of very many values counts as 0."""
    if summary.values is None:
        return 0.0
    counts = np.array([count for value, count in summary.values.items() if value.strip()], np.float64)
    return float((counts**2).sum() / max(counts.sum(), 1.0) ** 2)


def _agreeing(summary: ColumnSummary) -> float:
    """Share of random pairs of rows with equal cells, blank ones too; a column of very many values counts as 0."""
    if summary.values is None:
        return 0.0
    counts = np.array([*summary.values.values(), summary.rows - sum(summary.values.values())], np.float64)
    return float((counts**2).sum() / max(summary.rows, 1) ** 2)


def resolve(stage, tables, plans, summaries, references: list[Reference], *, source_column: str | None,
            exhaustive: bool, merge: bool, answers: list[Answers | None]) -> list[Resolution]:
    """Collective: finds the duplicates of every table; tables that refer to others come after them.

    answers: for each table what is known of pairs of its rows.

    With `merge`, references to merged rows follow the survivor before the table's own duplicates are looked for.
    Without a column that tells things apart (measurements, references, a few categories) likeness says nothing: two
    different things look the same. There only rows that are equal in every cell, the key too, are duplicates, and not
    even those where rows are equal by chance (coincidence.py).
    """
    found: dict[int, Resolution] = {}
    renamed_keys: dict[int, dict[str, str]] = {}
    waiting = list(range(len(tables)))
    while waiting:
        ready = [number for number in waiting
                 if all(ref.target in found for ref in references if ref.table == number)]
        number = (ready or waiting)[0]   # references in a circle: the first table first
        waiting.remove(number)
        mine = [ref for ref in references if ref.table == number]
        renamed = {plans[number][ref.column].name: renamed_keys[ref.target]
                   for ref in mine if renamed_keys.get(ref.target)}
        table = Redirected(tables[number], renamed) if renamed else tables[number]
        pure = len(mine) > 1 and len(mine) == len(plans[number])
        if pure or not tell_things_apart(plans[number], summaries[number]):
            alike = None if pure else [_agreeing(summary) for summary in summaries[number]]
            found[number] = _equal_rows(stage, table, table, alike)
        elif table.rows < LEAST_ROWS:
            keys = [plan.name for plan in plans[number] if plan.key]
            found[number] = _equal_rows(stage, table, WithoutColumns(table, keys))
        else:
            documents = [plan.name for plan, summary in zip(plans[number], summaries[number])
                         if summary.longest > LONGEST_COMPARED]
            found[number] = _similar_rows(stage, WithoutColumns(table, documents), plans[number], source_column,
                                          exhaustive, merge, answers[number])
            found[number].table = table
        found[number].renamed = renamed
        key = next((plan.name for plan in plans[number] if plan.key), None)
        if merge and key and found[number].duplicates and any(ref.target == number for ref in references):
            renamed_keys[number] = survivors_of_keys(stage, table, key, found[number].cluster)
    return [found[number] for number in range(len(tables))]


def _similar_rows(stage, table, plans, source_column, exhaustive, merge, answers) -> Resolution:
    keys = [plan.name for plan in plans if plan.key]
    names = [column.name for column in table.columns]
    source = source_column if source_column in names else None
    view = WithoutColumns(table, keys[1:])
    duplicates = find_duplicates(stage, view, id_column=keys[0] if keys else None, source_column=source,
                                 exhaustive=exhaustive, answers=answers)
    result = Resolution(table, duplicates.cluster_id, duplicates.row_a, duplicates.row_b, duplicates.probability,
                        how="similar", summary=duplicates.summary, questions=duplicates.questions,
                        reasons=duplicates.reasons, reason_names=duplicates.reason_names)
    if merge and result.duplicates:
        result.merged = merge_clusters(stage, table, duplicates.cluster_id, [*keys, *([source] if source else [])])
    return result


def _equal_rows(stage, table, view, alike: list[float] | None = None) -> Resolution:
    """Collective: rows whose every cell is the same in `view`, which shows some columns of the table.

    alike: per column the share of pairs of rows that agree in it, where rows may be equal by chance; rows that say
    nothing stay there. Messages: as `first_equal_rows`, and the rows that say nothing."""
    first = np.concatenate([[0], np.cumsum(table.chunk_rows)])

    def work(task):
        cells = view.read(task[0])
        lines = ["\x1f".join(row) for row in zip(*(cells[column.name].tolist() for column in view.columns))]
        digests = b"".join(blake2b(line.encode("utf-8", "surrogatepass"), digest_size=16).digest() for line in lines)
        nothing = say_nothing([cells[column.name] for column in view.columns]) if alike is not None else []
        return np.frombuffer(digests, dtype=np.uint8).reshape(-1, 16), first[task[0]] + np.flatnonzero(nothing)

    done = stage.queue.run([(chunk,) for chunk in range(len(table.chunk_rows))], work, name="equal rows")
    cluster = first_equal_rows(stage.world, [(int(first[task[0]]), digests) for task, (digests, _) in done], table.rows)
    nothing = np.concatenate([np.zeros(0, np.int64), *(rows for _, (_, rows) in done)])
    for message in stage.world.allgather({"row": nothing}):
        cluster[message["row"]] = message["row"]
    later = np.flatnonzero(cluster != np.arange(table.rows))
    if alike is not None and equal_by_chance(stage, view, alike, cluster):
        return Resolution(table, np.arange(table.rows), summary={"equal_by_chance": len(later)})
    return Resolution(table, cluster, cluster[later], later, np.ones(len(later)), how="equal")


class WithoutColumns:
    """A table of which some columns are not shown."""

    def __init__(self, table, hidden: list[str]):
        self.table, self.name, self.rows, self.chunk_rows = table, table.name, table.rows, table.chunk_rows
        self.columns = [column for column in table.columns if column.name not in hidden]

    def read(self, chunk: int, columns: list[str] | None = None) -> dict[str, np.ndarray]:
        """Local: one chunk, as `Table.read`."""
        return self.table.read(chunk, [column.name for column in self.columns] if columns is None else columns)
