"""Where the rows come from, in blocks any rank can encode alone: a CSV file as it is, or a clean table of the run."""

import codecs
import csv
import hashlib
import itertools
from dataclasses import dataclass, field

import numpy as np

from mpiedge.errors import InputError
from mpiedge.kernels import cells
from mpiedge.profiling.local import LocalTable
from mpiedge.store.access import InputFile
from mpiedge.store.layout import table_name
from mpiedge.store.ranges import BLOCK_BYTES, Dialect, RecordRange, read_head, read_header, record_ranges
from mpiedge.store.run import TEXT_SIZE
from mpiedge.store.tables import Table

DELIMITERS = ",;\t|"
HEAD_BYTES = 1 << 16
MOST_BLOCK_BYTES = 1 << 20
MANY_BLOCKS = 256  # enough to share between ranks; fewer and larger ones cost less
CLEAN = "mpiedge-clean repairs such files"
NUL = "the text holds NUL bytes"


@dataclass(frozen=True)
class CsvTable:
    """A CSV file: cells compare as exact strings. kinds: all unknown."""

    path: str
    name: str
    columns: list[str]
    file: InputFile
    dialect: Dialect
    ranges: list[RecordRange] = field(repr=False)

    @property
    def kinds(self) -> list[None]:
        return [None] * len(self.columns)

    @property
    def blocks(self) -> int:
        return len(self.ranges)

    def read(self, access, block: int) -> bytes:
        """Local: the text of a block."""
        return access.read_bytes(self.file, *self.ranges[block][:2])

    def require_unchanged(self, access) -> None:
        """Collective: raises InputError when the file was written to since it was opened."""
        access.require_unchanged(self.file)

    @property
    def rows(self) -> int:
        return sum(part.records for part in self.ranges)

    @property
    def block_bytes(self) -> int:
        """The size of the largest block."""
        return max((part.stop - part.start for part in self.ranges), default=0)

    @property
    def text_bytes(self) -> int:
        return self.file.size

    @property
    def inputs(self) -> dict:
        """What the manifest says of the input."""
        return {"bytes": self.file.size}

    def encode(self, text: bytes, block: int, order: int, null: bytes | None, local: LocalTable) -> int:
        """Local: adds a block to what this rank has read; its rows.

        Raises InputError with the line for bytes that are no plain text in UTF-8 and ragged records.
        """
        try:
            text.decode()
        except UnicodeDecodeError as error:
            raise self._problem(text, block, error.start, "the text is not UTF-8") from None
        if (place := text.find(0)) >= 0:
            raise self._problem(text, block, place, NUL)
        try:
            found = cells.csv_cells(text, self.dialect.delimiter, len(self.columns),
                                    records=self.ranges[block].records)
        except cells.RaggedRecord as error:
            cause = f"the record has {error.cells} cells where the first has {len(self.columns)}"
            if error.cells < 0:
                cause = "a quote is never closed"
            raise self._problem(text, block, error.offset, cause) from None
        local.add_cells(order, found, null)
        return len(found.places)

    def _problem(self, text: bytes, block: int, offset: int, cause: str) -> InputError:
        before = text[:offset]
        line = self.ranges[block].first_line + before.count(b"\n") + before.count(b"\r") - before.count(b"\r\n")
        return InputError(self.path, f"line {line}: {cause}", CLEAN)


@dataclass(frozen=True)
class StoreTable:
    """A table of a complete stage, with the kinds of its columns."""

    table: Table

    @property
    def name(self) -> str:
        return self.table.name

    @property
    def columns(self) -> list[str]:
        return [column.name for column in self.table.columns]

    @property
    def kinds(self) -> list[str]:
        return [column.kind for column in self.table.columns]

    @property
    def blocks(self) -> int:
        return len(self.table.chunk_rows)

    def read(self, access, block: int) -> list[np.ndarray]:
        """Local: the columns of a block."""
        arrays = self.table.read(block)
        return [arrays[name] for name in self.columns]

    def require_unchanged(self, access) -> None:
        """Collective: nothing to do: parts never change, and their checksums were compared."""

    @property
    def rows(self) -> int:
        return self.table.rows

    @property
    def block_bytes(self) -> int:
        """About the size of a block."""
        return self.text_bytes // max(1, self.blocks)

    @property
    def text_bytes(self) -> int:
        """About the size of the table as text."""
        return TEXT_SIZE * sum(part["bytes"] for part in self.table.parts)

    @property
    def inputs(self) -> dict:
        """What the manifest says of the input."""
        sums = "".join(part["sha256"] for part in self.table.parts)
        return {"rows": self.table.rows, "sha256": hashlib.sha256(sums.encode()).hexdigest()}

    def encode(self, arrays: list[np.ndarray], block: int, order: int, null: bytes | None, local: LocalTable) -> int:
        """Local: adds a block to what this rank has read; its rows."""
        local.add_arrays(order, arrays, null)
        return self.table.chunk_rows[block]


def open_csvs(stage, paths: list[str], delimiter: str | None, header: bool) -> list[CsvTable]:
    """Collective: opens CSV files as tables, sorted by name. Raises InputError, also when two would have one name."""
    tables = sorted((open_csv(stage, path, delimiter, header) for path in paths), key=lambda table: table.name)
    for one, other in itertools.pairwise(tables):
        if one.name == other.name:
            raise everywhere(InputError(other.path, f"would have the table name of {one.path}", "Rename one of them"))
    return tables


def open_clean(stage) -> list[StoreTable]:
    """Collective: the tables of the run's clean stage, sorted by name."""
    return [StoreTable(table) for table in stage.open_tables("clean").values()]


def open_csv(stage, path: str, delimiter: str | None, header: bool) -> CsvTable:
    """Collective: finds delimiter, column names and blocks of a CSV file. Raises InputError on every rank."""
    file = stage.access.input(path)
    head = read_head(stage, file, HEAD_BYTES)
    _check_encoding(path, head)
    dialect = Dialect(delimiter=delimiter or sniff_delimiter(head, cut=len(head) < file.size), header=header)
    first, _ = read_header(stage, file, dialect)
    if not first:
        raise everywhere(InputError(path, "the file holds blank lines only", "Give a CSV with a header line and rows"))
    columns = unique_names(first) if header else [f"column_{number}" for number in range(1, len(first) + 1)]
    renamed = [f"{old} -> {new}" for old, new in zip(first, columns) if old != new] if header else []
    if renamed:
        stage.warn(f"{path}: empty or repeated column names were changed: {', '.join(renamed[:5])}")
    block_bytes = min(MOST_BLOCK_BYTES, max(BLOCK_BYTES, file.size // MANY_BLOCKS))
    ranges = record_ranges(stage, file, dialect, block_bytes)
    return CsvTable(path, table_name(path), columns, file, dialect, ranges)


def _check_encoding(path: str, head: bytes) -> None:
    cause = f"{NUL}, as UTF-16 does" if 0 in head else ""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        cause = "the text is not UTF-8"
    if cause:
        raise everywhere(InputError(path, cause, CLEAN))


def everywhere(error: InputError) -> InputError:
    """The error, marked as known to every rank."""
    error.everywhere = True
    return error


def sniff_delimiter(head: bytes, cut: bool = False) -> str:
    """Local: the delimiter (comma, semicolon, tab or bar) that cuts the first records into most cells, as many in each.

    cut: the last line of `head` may be incomplete. When none fits, the one that most records agree on; a comma for one
    column.
    """
    lines = head.decode("utf-8", "replace").removeprefix("\ufeff").splitlines(keepends=True)
    lines = lines[:-1] if cut and len(lines) > 1 else lines
    best, chosen = (0.0, 1), ","
    for delimiter in DELIMITERS:
        widths = [len(record) for record in csv.reader(lines, delimiter=delimiter) if record]
        widths = widths[:-1] if cut and len(widths) > 1 else widths
        if not widths or widths[0] == 1:
            continue
        agreement = widths.count(widths[0]) / len(widths)
        if (agreement, widths[0]) > best:
            best, chosen = (agreement, widths[0]), delimiter
    return chosen


def unique_names(cells: list[str]) -> list[str]:
    """Local: column names out of a header: as they are, but blank ones numbered and repeated ones told apart.

    >>> unique_names(["a", "", "a"])
    ['a', 'column_2', 'a_2']
    """
    names: list[str] = []
    given = set(cells)
    for number, cell in enumerate(cells, start=1):
        name = base = cell if cell.strip() else f"column_{number}"
        repeat = 2
        while name in names or (name != cell and name in given):
            name, repeat = f"{base}_{repeat}", repeat + 1
        names.append(name)
    return names


def read_tables(stage, tables: list, null: bytes | None, new_local, interruption) -> list[LocalTable]:
    """Collective: reads every block of every table on the queue; what this rank has read of each.

    new_local(table, width): an empty LocalTable. Raises on every rank the InputError of the first bad record, or
    Stopped when one got a signal to end.
    """
    tasks = [(table, block) for table, source in enumerate(tables) for block in range(source.blocks)]
    order = {task: index for index, task in enumerate(tasks)}
    locals_ = [new_local(index, len(source.columns)) for index, source in enumerate(tables)]
    with stage.phase("encode"):
        encode_tasks(stage, tables, tasks, null, lambda task: (order[task], locals_[task[0]]),
                     lambda: interruption.signalled)
        interruption.end_before_search(stage)
    return locals_


def encode_tasks(stage, tables: list, tasks: list[tuple], null: bytes | None, place, stopped=bool) -> list[tuple]:
    """Collective: encodes blocks (table, block) on the queue; this rank's (task, rows).

    place(task): the number of the block and the LocalTable it goes to. stopped(): whether the rest is to be left out.
    Raises as `read_tables`.
    """
    problems: list = []

    def work(task):
        source = tables[task[0]]
        if stopped():
            return 0
        try:
            with stage.phase("read", "io"):
                data = source.read(stage.access, task[1])
            rows = source.encode(data, task[1], *place(task)[:1], null, place(task)[1])
            stage.timings.add(items=rows)
            return rows
        except InputError as error:
            problems.append([*task, error.subject, error.cause, error.remedy])
            return 0

    done = stage.queue.run(tasks, work, name="encode")
    for source in tables:
        source.require_unchanged(stage.access)
    found = sorted(problem for message in stage.world.allgather(problems) for problem in message)
    if found:
        raise everywhere(InputError(*found[0][2:]))
    return done
