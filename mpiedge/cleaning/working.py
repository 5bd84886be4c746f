"""The working tables: every kept row as text, its formats put right, in parts that later steps read one by one."""

import numpy as np

from mpiedge.cleaning import formats
from mpiedge.cleaning.changes import csv_lines
from mpiedge.cleaning.impute import PairCounts
from mpiedge.cleaning.reading import Source
from mpiedge.cleaning.summaries import mix
from mpiedge.cleaning.survey import Survey
from mpiedge.cleaning.tally import Tally
from mpiedge.cleaning.types import ColumnPlan
from mpiedge.kernels.columns import Columns, gather, stacked
from mpiedge.store.tables import Column


class WorkingTable:
    """A table whose chunks are kept as one string of bytes per column, cells divided by NUL (which no cell holds).

    Read like `store.tables.Table`; every column is text. title: the name of the table it works on. numbers: the
    numbers in the input of a chunk's rows. text_bytes: about how much text it holds. checksums: of the chunks; mended:
    chunks of which there is a second version that counts; the first stays, so that a later attempt finds all as it was.
    """

    def __init__(self, access, name: str, columns: list[str], chunk_rows: list[int], *, title: str = "", numbers=None,
                 text_bytes: int = 0, checksums: dict[int, str]):
        self.title, self.numbers, self.text_bytes = title, numbers, text_bytes
        self.name, self.columns = name, [Column(column, "text") for column in columns]
        self.chunk_rows, self.rows = chunk_rows, sum(chunk_rows)
        self.checksums, self.mended = checksums, set()
        self._access = access
        self._places = {column: place for place, column in enumerate(columns)}

    def columns_of(self, chunk: int) -> Columns:
        """Local: all cells of one chunk; belongs inside `queue.run`."""
        name = mended_name(self.name) if chunk in self.mended else self.name
        part = self._access.read_part(self._access.unfinished, name, chunk, checksum=self.checksums[chunk])
        return Columns(np.ascontiguousarray(part["text"]), part["ends"], self.chunk_rows[chunk])

    def read(self, chunk: int, columns: list[str] | None = None) -> dict[str, np.ndarray]:
        """Local: cells of one chunk as object arrays of str, "" = missing; belongs inside `queue.run`."""
        whole = self.columns_of(chunk)
        cells = {}
        for name in [column.name for column in self.columns] if columns is None else columns:
            cells[name] = np.empty(self.chunk_rows[chunk], dtype=object)
            cells[name][:] = whole.cells(self._places[name])
        return cells

    @staticmethod
    def column(part: dict[str, np.ndarray], place: int) -> list[str]:
        """The cells of one column of a part that is not empty."""
        start, stop = part["ends"][place:place + 2].tolist()
        return str(memoryview(np.ascontiguousarray(part["text"]))[start:stop], "utf-8", "surrogatepass").split("\x00")

    @staticmethod
    def arrays(columns: list[list[str]]) -> dict[str, np.ndarray]:
        """The part that holds these columns."""
        return WorkingTable.part_of(Columns.of(columns))

    @staticmethod
    def part_of(columns: Columns) -> dict[str, np.ndarray]:
        """The part that holds these columns."""
        return {"text": columns.text, "ends": columns.ends}


class UnwrittenTable:
    """A table between whose formats and whose last pass nothing happens: its formats are put right in the last pass."""

    def __init__(self, stage, source: Source, survey: Survey, plans: list[ColumnPlan]):
        self.title, self.chunk_rows, self.rows = source.name, survey.kept_rows.tolist(), survey.rows
        self.columns = [Column(name, "text") for name in source.structure.names]
        self._rest = stage.access, source, plans
        self._firsts = np.concatenate([[0], np.cumsum(survey.total_rows)])

    def put_right(self, chunk: int) -> tuple[Columns, Tally]:
        """Local, inside `queue.run`: the chunk, its formats put right, and the changes made by that."""
        access, source, plans = self._rest
        return exhausted(put_right(access, source, plans, chunk, int(self._firsts[chunk])))


def put_right(access, source: Source, plans: list[ColumnPlan], index: int, first: int):
    """Local, inside `queue.run`, a generator that yields after each column: reads a range and puts its formats right.

    first: number of its first row in the input. Writes the pieces of its changes and rejects; returns (Columns, Tally).
    """
    rows = source.rows(access, index)
    numbers = first + rows.places
    changes = [(int(numbers[row]), "", rule, text, "", confidence) for row, rule, text, confidence in rows.repairs]
    columns = gather(rows.to_cells())
    yield
    rewritten = {}
    for place, plan in enumerate(plans):
        if not plan.changes_nothing:
            cells, found = formats.apply(plan, columns.cells(place))
            changes += [(int(numbers[row]), plan.name, rule, before, after, confidence)
                        for row, rule, before, after, confidence in found]
            rewritten |= {place: cells} if found else {}
            yield
    tally = Tally()
    for row, column, rule, before, after, _ in changes:
        tally.add(row, column, rule, before, after)
    changes.sort(key=lambda change: change[0])
    access.write_piece(changes_file(source.name), 3 * index, csv_lines(changes))
    access.write_piece(rejects_file(source.name), index, csv_lines(rows.rejects))
    return columns.replaced(rewritten), tally


def exhausted(generator):
    """What a generator returns."""
    while True:
        try:
            next(generator)
        except StopIteration as end:
            return end.value


def sample_rows(stage, table: WorkingTable, share: float) -> tuple[Columns, np.ndarray]:
    """Collective: about this share of a table's rows, chosen by hashes of their places, and their numbers in the input.

    Messages: the rows and their numbers in the input, to every rank.
    """
    first = np.cumsum([0, *table.chunk_rows])
    limit = np.uint64(int(share * 2**32))

    def work(task):
        (chunk,) = task
        places = np.arange(first[chunk], first[chunk + 1], dtype=np.uint64)
        picked = np.flatnonzero(mix(places) >> np.uint64(32) <= limit)
        cells = table.read(chunk)
        return WorkingTable.arrays([cells[column.name][picked].tolist() for column in table.columns]) | {
            "rows": np.array([len(picked)]), "numbers": table.numbers(chunk)[picked]}

    done = stage.queue.gather(stage.queue.run([(chunk,) for chunk in range(len(table.chunk_rows))], work,
                                              name="rows learnt from"))
    parts = [part for _, part in sorted(done, key=lambda pair: pair[0])]
    return stacked([Columns(part["text"], part["ends"], int(part["rows"][0])) for part in parts],
                   len(table.columns)), np.concatenate([np.zeros(0, np.int64), *(part["numbers"] for part in parts)])


def changes_file(table: str) -> str:
    """Where the changes of a table are listed, in the run folder."""
    return f"clean/{table}.changes.csv"


def rejects_file(table: str) -> str:
    """Where the rejected rows of a table are listed, in the run folder."""
    return f"clean/{table}.rejects.csv"


def write_working(stage, sources: list[Source], surveys: list[Survey], plans: list[list[ColumnPlan]],
                  pairs: list[list[tuple[int, int]]]):
    """Collective: reads every range again, puts its formats right and writes it as a part of a working table.

    Returns (working tables, tallies of the changes, counts of the `pairs` that fills may be looked up by), one per
    table. The changes of chunk i are piece 3 i of the changes file; what is done to the chunk later are the next two.
    """
    tallies = [Tally() for _ in sources]
    counts = [PairCounts(found) for found in pairs]
    firsts = [np.concatenate([[0], np.cumsum(survey.total_rows)]) for survey in surveys]

    def work(task):
        table, index = task
        source, count = sources[table], PairCounts(pairs[table])
        columns, tally = yield from put_right(stage.access, source, plans[table], index, int(firsts[table][index]))
        count.add({place: columns.cells(place) for place in sorted(set().union(*pairs[table]))})
        yield
        part = stage.access.write_part(stage.access.unfinished, working_name(source.name), index,
                                       WorkingTable.part_of(columns), compress=False)
        return {"tally": tally.to_message(), "pairs": count.to_message(), "sha256": part["sha256"]}

    def take(task, message):
        tallies[task[0]].absorb(message["tally"])
        counts[task[0]].absorb(message["pairs"])
        return message["sha256"]

    tasks = [(table, index) for table, source in enumerate(sources) for index in range(len(source.ranges))]
    done = stage.queue.gather(stage.queue.run(tasks, work, name="formats put right", kept="formats", take=take))
    for tally, count in zip(tallies, counts):
        tally.merge(stage.world)
        count.merge(stage.world)
    tables = [WorkingTable(stage.access, working_name(source.name), source.structure.names,
                           survey.kept_rows.tolist(), title=source.name, numbers=_numbers(survey),
                           text_bytes=source.file.size,
                           checksums={task[1]: checksum for task, checksum in done if task[0] == table})
              for table, (source, survey) in enumerate(zip(sources, surveys))]
    return tables, tallies, counts


def _numbers(survey: Survey):
    """A function from a chunk to the numbers in the input of its rows."""
    first = np.concatenate([[0], np.cumsum(survey.kept_rows)])
    return lambda chunk: survey.number_of(np.arange(first[chunk], first[chunk + 1]))


def working_name(table: str) -> str:
    """The name of the working table of a table."""
    return f"{table}.working"


def mended_name(working: str) -> str:
    """The name under which the chunks of a working table lie that were mended."""
    return f"{working}.mended"
