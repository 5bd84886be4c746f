"""Reads a small CSV as typed columns, for node and edge tables that did not pass through cleaning."""

import csv
import io
import re

import numpy as np

from mpiedge.errors import InputError

CHUNK_ROWS = 8192
INTEGER = re.compile(r"[+-]?(0|[1-9]\d{0,17})")
DECIMAL = re.compile(r"[+-]?((0|[1-9]\d*)(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?)?")
BOOLEAN = re.compile(r"true|false|True|False|TRUE|FALSE")


def read_csv(subject: str, data: bytes) -> tuple[list[str], dict[str, np.ndarray]]:
    """Header and columns of text cells (object arrays of str, stripped). Raises InputError.

    data: UTF-8, any of the delimiters , ; tab | that the header line shows most often.
    """
    try:
        text = data.decode("utf-8-sig")
        first = text.split("\n", 1)[0]
        delimiter = max(",;\t|", key=first.count)
        records = [record for record in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if record]
    except UnicodeDecodeError:
        raise InputError(subject, "the text is not UTF-8", "mpiedge-clean repairs such files") from None
    except csv.Error as error:
        raise InputError(subject, f"the CSV cannot be read ({error})", "mpiedge-clean repairs such files") from None
    if not records:
        raise InputError(subject, "the file is empty", "Give a CSV with a header line")
    header = [name.strip() for name in records[0]]
    if len(set(header)) < len(header) or "" in header:
        raise InputError(subject, "a column name is missing or occurs twice", "mpiedge-clean repairs such files")
    for number, record in enumerate(records[1:], start=1):
        if len(record) != len(header):
            cells = "1 cell" if len(record) == 1 else f"{len(record)} cells"
            cause = f"record {number} has {cells} where the header has {len(header)}"
            raise InputError(subject, cause, "mpiedge-clean repairs such files")
    columns = {}
    for number, name in enumerate(header):
        columns[name] = np.empty(len(records) - 1, dtype=object)
        columns[name][:] = [record[number].strip() for record in records[1:]]
    return header, columns


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
