"""The first look at every row: what each column holds, how many rows there are, and a fair sample of them."""

from dataclasses import dataclass, field, replace

import numpy as np

from mpiedge.cleaning.fits import MOST_AT_ONCE, fit_open, write_open
from mpiedge.cleaning.reading import Source
from mpiedge.cleaning.summaries import ColumnSummary, mix
from mpiedge.kernels.cells import Cells
from mpiedge.kernels.columns import ODD, gather

SAMPLE_ROWS = 2048
WIDEST_SAMPLED_CELL = 200
COLUMNS_PER_SLICE = 4
KEYS = np.iinfo(np.int64).max
ZERO = np.zeros(1, dtype=np.int64)


@dataclass
class Survey:
    """What is known of a table after one pass over it.

    kept_rows, total_rows: int64 per range, total with the rejected ones. rejected: numbers of the rejected rows, as the
    number of kept rows before each (sorted int64). sample: [(key, cells)], the rows with the smallest keys, a key
    being a hash of the row's place: the same sample for any number of ranks.
    """

    columns: list[ColumnSummary]
    kept_rows: np.ndarray
    total_rows: np.ndarray
    rejects: int = 0
    repairs: int = 0
    rejected: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    sample: list[tuple[int, list[str]]] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """Rows kept."""
        return int(self.kept_rows.sum())

    def number_of(self, kept: np.ndarray) -> np.ndarray:
        """Numbers in the input of kept rows, both counted from 0."""
        return kept + np.searchsorted(self.rejected, kept, side="right")

    def merge(self, other: "Survey") -> None:
        for mine, theirs in zip(self.columns, other.columns):
            mine.merge(theirs)
        self.kept_rows += other.kept_rows
        self.total_rows += other.total_rows
        self.rejects += other.rejects
        self.repairs += other.repairs
        if other.sample:
            self.sample = sorted(self.sample + other.sample)[:SAMPLE_ROWS]   # keys differ

    def to_message(self) -> dict:
        return {"columns": [column.to_message() for column in self.columns], "kept_rows": self.kept_rows,
                "total_rows": self.total_rows, "rejects": self.rejects, "repairs": self.repairs,
                "keys": np.array([key for key, _ in self.sample], dtype=np.int64),
                "sample": [cells for _, cells in self.sample]}

    @classmethod
    def from_message(cls, message: dict) -> "Survey":
        return cls([ColumnSummary.from_message(column) for column in message["columns"]],
                   np.array(message["kept_rows"], dtype=np.int64), np.array(message["total_rows"], dtype=np.int64),
                   message["rejects"], message["repairs"],
                   sample=list(zip(np.asarray(message["keys"]).tolist(), message["sample"])))


def survey(stage, sources: list[Source]) -> list[Survey]:
    """Collective: reads every range once, in tasks (table, range), those with many damaged rows again when these are
    repaired. Messages: as of `_merged`."""
    mine = [_empty(source) for source in sources]

    def work(task):
        table, index = task
        source, found = sources[table], Survey([ColumnSummary() for _ in sources[table].structure.names], ZERO, ZERO)
        for summary, whole in zip(found.columns, mine[table].columns):
            if whole.values is None:
                summary.values = None   # counts of values would be dropped
            summary.sketch = whole.sketch   # merged again it changes nothing; larger hashes are left out at once
        rows = source.rows(stage.access, index, None if index in source.fitted else MOST_AT_ONCE)
        if rows.fits.open:
            return {"open": write_open(stage.access, source.name, index, rows.fits)}
        cells = rows.to_cells()
        columns = gather(cells)
        yield
        for number, summary in enumerate(found.columns):
            summary.add_column(columns, number)
            if number % COLUMNS_PER_SLICE == COLUMNS_PER_SLICE - 1:
                yield
        found.rejects, found.repairs = len(rows.rejects), len(rows.repairs)
        found.sample = _sample(mine[table].sample, index, cells, sum(item.records for item in source.ranges))
        return {"survey": found.to_message(), "rows": [rows.kept, rows.total],
                "rejected": np.array(rows.rejected, np.int64) - np.arange(len(rows.rejected))}

    def take(task, message):
        table, index = task
        if "open" in message:
            return message
        mine[table].merge(Survey.from_message(message["survey"]))
        mine[table].kept_rows[index], mine[table].total_rows[index] = message["rows"]
        return {"rejected": message["rejected"]}

    tasks = [(table, index) for table, source in enumerate(sources) for index in range(len(source.ranges))]
    done = stage.queue.run(tasks, work, name="rows surveyed", kept="survey", take=take)
    left = sorted(((task, lines["open"]) for task, lines in stage.queue.gather(
        [pair for pair in done if "open" in pair[1]])), key=lambda pair: pair[0])
    if left:
        fit_open(stage, sources, left)
        done += stage.queue.run([task for task, _ in left], work, name="repaired rows surveyed", kept="repaired",
                                take=take)
    rejected = stage.queue.gather([(task, result) for task, result in done if len(result.get("rejected", ()))])
    result = _merged(stage.world, mine)
    for table, whole in enumerate(result):
        before = np.concatenate([[0], np.cumsum(whole.kept_rows)])
        parts = [np.asarray(found["rejected"]) + before[task[1]] for task, found in rejected if task[0] == table]
        whole.rejected = np.concatenate([np.empty(0, dtype=np.int64), *parts]).astype(np.int64)
    return result


def _merged(world, mine: list[Survey]) -> list[Survey]:
    """Collective: what all ranks have found, table by table. Messages: each rank's summaries of a column to one rank,
    which tells every rank the whole; each rank's rows of the sample to every rank."""
    places = [(table, column) for table, found in enumerate(mine) for column in range(len(found.columns))]
    sent = [[mine[table].columns[column].to_message() for table, column in places[rank::world.size]]
            for rank in range(world.size)]
    own = [ColumnSummary() for _ in places[world.rank::world.size]]
    for message in world.alltoall(sent):
        for whole, part in zip(own, message):
            whole.merge(ColumnSummary.from_message(part))
    result = [Survey([], np.zeros_like(found.kept_rows), np.zeros_like(found.total_rows)) for found in mine]
    columns, told = {}, world.allgather({"columns": [summary.to_message() for summary in own],
                                         "rest": [replace(found, columns=[]).to_message() for found in mine]})
    for rank, message in enumerate(told):
        columns |= zip(places[rank::world.size], map(ColumnSummary.from_message, message["columns"]))
        for whole, part in zip(result, message["rest"]):
            whole.merge(Survey.from_message(part))
    for table, column in places:
        result[table].columns.append(columns[table, column])
    return result


def _empty(source: Source) -> Survey:
    ranges = len(source.ranges)
    return Survey([ColumnSummary() for _ in source.structure.names], np.zeros(ranges, dtype=np.int64),
                  np.zeros(ranges, dtype=np.int64))


def _sample(known: list, index: int, cells: Cells, records: int) -> list[tuple[int, list[str]]]:
    """The rows of a range that may be among the smallest keys of all, given some that are known.

    Keys beyond twice the share of `records` that is wanted are not: they would be only if half of all were rejected.
    """
    rows = len(cells.places)
    keys = (mix(np.arange(rows, dtype=np.uint64) + np.uint64(index << 32)) >> np.uint64(1)).astype(np.int64)
    limit = known[-1][0] if len(known) == SAMPLE_ROWS else int(min(1.0, 2 * SAMPLE_ROWS / max(1, records)) * KEYS)
    text = cells.data.data
    return sorted((int(keys[row]), [str(text[start:start + size], "utf-8", ODD)[:WIDEST_SAMPLED_CELL]
                                    for start, size in cells.places[row].tolist()])
                  for row in np.flatnonzero(keys < limit).tolist())[:SAMPLE_ROWS]
