"""A table as chunks: what a stage reads from the one before, and what it hands to pandas."""

from dataclasses import dataclass, field

import numpy as np

from mpiedge.store.layout import TEXT_KINDS, dataset_name


@dataclass(frozen=True)
class Column:
    """A column: its name and kind (text, integer, decimal, date or boolean), and what else its stage knows of it."""

    name: str
    kind: str = "text"
    extra: dict = field(default_factory=dict)

    def to_json(self) -> dict:
        return {"name": self.name, "kind": self.kind, **self.extra}

    @classmethod
    def from_json(cls, entry: dict) -> "Column":
        extra = {key: value for key, value in entry.items() if key not in ("name", "kind")}
        return cls(entry["name"], entry["kind"], extra)


class Table:
    """Columns and rows in chunks, read one chunk at a time.

    `chunk_rows[i]` is the number of rows of chunk i. Reading is Local and belongs inside `queue.run` (see `Access`).
    """

    def __init__(self, access, stage: str, name: str, columns: list[Column], parts: list[dict]):
        self.name, self.columns, self.parts = name, columns, parts
        self.chunk_rows = [part["rows"] for part in parts]
        self.rows = sum(self.chunk_rows)
        self._access, self._stage = access, stage

    def column(self, name: str) -> Column:
        """The column of that name; KeyError when there is none."""
        return next(column for column in self.columns if column.name == name)

    def read(self, chunk: int, columns: list[str] | None = None) -> dict[str, np.ndarray]:
        """Local: one chunk. Text, dates and booleans as object arrays of str ("" = missing), integers as int64
        (float64 with NaN where cells are missing), decimals as float64."""
        names = [column.name for column in self.columns] if columns is None else columns
        return self._access.read_part(self._stage, self.name, chunk, names, checksum=self.parts[chunk]["sha256"])


def to_arrays(columns: list[Column], cells: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Canonical text cells as the arrays of the store: int64 (float64 with NaN if a cell is missing), float64, text.

    cells: object arrays of str, "" = missing. A column's `extra["missing"]` (a cell is missing somewhere in the whole
    table) makes the dtype the same in every chunk.
    """
    arrays = {}
    for column in columns:
        values = cells[column.name]
        if column.kind in TEXT_KINDS:
            arrays[column.name] = values
        elif column.kind == "integer" and not column.extra.get("missing"):
            arrays[column.name] = np.array([int(value) for value in values], dtype=np.int64)
        else:
            arrays[column.name] = np.array([float(value) if value else np.nan for value in values], dtype=np.float64)
    return arrays


def to_frame(file, stage: str, table: str):
    """A `pandas.DataFrame` of a table in an open joint file (`h5py.File("store.h5")`)."""
    import pandas

    group = file[f"{stage}/{dataset_name(table)}"]
    data = {}
    for entry in group.attrs.get("columns", list(group)):
        values = group[dataset_name(entry)]
        data[entry] = values.asstr()[:] if values.dtype.kind in "SO" else values[:]
    return pandas.DataFrame(data)


def from_frame(frame) -> tuple[list[Column], dict[str, np.ndarray]]:
    """Columns and arrays (as `Table.read` gives them) of a `pandas.DataFrame`; missing values become "" or NaN."""
    columns, arrays = [], {}
    for name in frame.columns:
        values = frame[name]
        letter = getattr(values.dtype, "kind", "O")
        kind = {"i": "integer", "u": "integer", "f": "decimal", "b": "boolean"}.get(letter, "text")
        if kind in ("integer", "decimal"):
            arrays[str(name)] = values.to_numpy()
        else:
            missing = values.isna().to_numpy()
            text = values.astype(str).str.lower() if kind == "boolean" else values.astype(str)
            cells = text.to_numpy(dtype=object, copy=True)
            cells[missing] = ""
            arrays[str(name)] = cells
        columns.append(Column(str(name), kind))
    return columns, arrays
