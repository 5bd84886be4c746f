"""Reads a small CSV as typed columns, for node and edge tables that did not pass through cleaning."""

import codecs
import csv
import io
import itertools
import re
from collections.abc import Iterable, Iterator

import numpy as np

from mpiedge.errors import InputError

CHUNK_ROWS = 8192
CHUNK_CELLS = 1 << 18  # of new rows, which are predicted so many cells at a time
INTEGER = re.compile(r"[+-]?(0|[1-9]\d{0,17})")
DECIMAL = re.compile(r"[+-]?((0|[1-9]\d*)(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?)?")
BOOLEAN = re.compile(r"true|false|True|False|TRUE|FALSE")


def read_csv(subject: str, data: bytes) -> tuple[list[str], dict[str, np.ndarray]]:
    """Header and columns of text cells (object arrays of str, stripped). Raises InputError.

    data: UTF-8, any of the delimiters , ; tab | that the header line shows most often.
    """
    header, *records = _records(subject, [data])
    return header, _columns(header, records)


def read_rows(subject: str, pieces: Iterable[bytes]) -> Iterator[dict[str, np.ndarray]]:
    """Local: as `read_csv`, of a file that comes in pieces, CHUNK_CELLS cells at a time; at least one chunk, and none
    without rows but that of a table that has none."""
    records = _records(subject, pieces)
    header = next(records)
    most = max(1, min(CHUNK_ROWS, CHUNK_CELLS // len(header)))
    chunk = list(itertools.islice(records, most))
    yield _columns(header, chunk)
    while chunk := list(itertools.islice(records, most)):
        yield _columns(header, chunk)


def _records(subject: str, pieces: Iterable[bytes]) -> Iterator[list[str]]:
    """The header, then the records, cells stripped, blank lines left out. Raises InputError."""
    lines, header, number = _lines(pieces), None, 0
    try:
        first = next(lines, "")
        delimiter = max(",;\t|", key=first.count)
        for record in csv.reader(itertools.chain([first], lines), delimiter=delimiter):
            cells = [cell.strip() for cell in record]
            if header is None and cells:
                header = cells
                if len(set(header)) < len(header) or "" in header:
                    raise InputError(subject, "a column name is missing or occurs twice",
                                     "mpiedge-clean repairs such files")
            elif cells:
                number += 1
                if len(cells) != len(header):
                    found = "1 cell" if len(cells) == 1 else f"{len(cells)} cells"
                    cause = f"record {number} has {found} where the header has {len(header)}"
                    raise InputError(subject, cause, "mpiedge-clean repairs such files")
            if cells:
                yield cells
    except UnicodeDecodeError:
        raise InputError(subject, "the text is not UTF-8", "mpiedge-clean repairs such files") from None
    except csv.Error as error:
        raise InputError(subject, f"the CSV cannot be read ({error})", "mpiedge-clean repairs such files") from None
    if header is None:
        raise InputError(subject, "the file is empty", "Give a CSV with a header line")


def _lines(pieces: Iterable[bytes]) -> Iterator[str]:
    """The lines of a file with their ends; the last one of a piece, which may go on, comes with the next."""
    rest = ""
    for text in codecs.iterdecode(pieces, "utf-8-sig"):
        lines = list(io.StringIO(rest + text, newline=""))
        rest = lines.pop() if lines else ""
        yield from lines
    if rest:
        yield rest


def _columns(header: list[str], records: list[list[str]]) -> dict[str, np.ndarray]:
    columns = {}
    for number, name in enumerate(header):
        columns[name] = np.empty(len(records), dtype=object)
        columns[name][:] = [record[number] for record in records]
    return columns


def infer_kind(cells: np.ndarray) -> str:
    """The kind that all filled cells of a column have: integer, decimal, date, boolean, else text."""
    filled = [cell for cell in cells.tolist() if cell]
    for kind, form in (("integer", INTEGER), ("decimal", DECIMAL), ("date", DATE), ("boolean", BOOLEAN)):
        if filled and all(form.fullmatch(cell) for cell in filled):
            return kind
    return "text"


def in_chunks(columns: dict[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    """The columns cut into chunks of rows."""
    rows = len(next(iter(columns.values())))
    return [{name: cells[start : start + CHUNK_ROWS] for name, cells in columns.items()}
            for start in range(0, rows, CHUNK_ROWS)]
