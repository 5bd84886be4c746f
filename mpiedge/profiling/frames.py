"""Profiles of pandas data frames, in this process and without MPI: a frame in, small frames out."""

from dataclasses import dataclass

import numpy as np
import pandas

from mpiedge.errors import InputError
from mpiedge.kernels import bits
from mpiedge.profiling import approximate, fds, inds, nary, uccs
from mpiedge.profiling.encode import EncodedColumn, EncodedTable, Values, unsigned
from mpiedge.profiling.output import sorted_sets
from mpiedge.profiling.statistics import describe_columns
from mpiedge.profiling.texts import Texts


@dataclass(frozen=True)
class Profile:
    """What `profile` found: data frames as of `discover_fds`, `discover_uccs` and `discover_inds`, and `columns`: the
    statistics of every column, a row each."""

    fds: pandas.DataFrame
    uccs: pandas.DataFrame
    inds: pandas.DataFrame
    columns: pandas.DataFrame


class OneRank:
    """A job of one rank without MPI."""

    size, rank = 1, 0

    def sum(self, array):
        """Local: the sum over all ranks."""
        return array

    max = sum

    def allgather(self, message) -> list:
        """Local: the message of each rank."""
        return [message]

    gather = allgather

    def alltoall(self, messages: list) -> list:
        """Local: the messages for this rank."""
        return messages


def discover_fds(frame: pandas.DataFrame, *, error: float = 0.0, max_lhs: int | None = None,
                 null_unequal: bool = False, time_limit_s: float | None = None) -> pandas.DataFrame:
    """Local: all minimal functional dependencies of a data frame: lhs (tuple of columns), rhs, g3; small ones first.

    error: also those with g3 up to this share of the rows. max_lhs: at most so many columns on the left. Missing values
    (None, NaN, NaT, NA, "") equal each other unless null_unequal; numbers compare by value, all else by its text, and
    1 equals "1". time_limit_s: end early with what is certain; `.attrs["partial"]` of the result tells. Raises
    InputError.
    """
    return _fds(_encode(frame, "frame", null_unequal), error, max_lhs, time_limit_s)


def discover_uccs(frame: pandas.DataFrame, *, max_size: int | None = None, null_unequal: bool = False,
                  time_limit_s: float | None = None) -> pandas.DataFrame:
    """Local: all minimal unique column combinations (keys): columns (tuple); arguments as of `discover_fds`."""
    return _uccs(_encode(frame, "frame", null_unequal), max_size, time_limit_s)


def discover_inds(frames: pandas.DataFrame | dict[str, pandas.DataFrame], *, max_columns: int = 1,
                  coverage: float = 1.0) -> pandas.DataFrame:
    """Local: inclusion dependencies: lhs, rhs (tuples), coverage; of one frame, or of several given by name.

    The columns of several frames are named by pairs (frame, column). max_columns: also between lists of columns.
    coverage: also where only this share of the distinct values on the left occurs on the right. Missing values are left
    out. `.attrs["complete"]` is the number of columns up to which all are there.
    """
    single = not isinstance(frames, dict)
    tables = [_encode(frame, name, False) for name, frame in ({"frame": frames} if single else frames).items()]
    return _inds(tables, single, max_columns, coverage)


def profile(frame: pandas.DataFrame, *, error: float = 0.0, max_lhs: int | None = None) -> Profile:
    """Local: dependencies, keys, inclusions and statistics of a data frame; arguments as of `discover_fds`."""
    table = _encode(frame, "frame", False)
    described = describe_columns(OneRank(), [column.values for column in table.columns],
                                 [table.rows] * len(table.columns), table.kinds)
    columns = pandas.DataFrame(described, index=frame.columns.rename("column") if frame.columns.nlevels == 1 else
                               frame.columns)
    keys = _uccs(table, max_lhs, None)
    return Profile(_fds(table, error, max_lhs, None), keys, _inds([table], True, 1, 1.0), columns)


def _fds(table: EncodedTable, error, max_lhs, time_limit_s) -> pandas.DataFrame:
    if not 0 <= error < 1:
        raise InputError("error", f"cannot be {error}", "Give a share of the rows from 0 to below 1")
    _require_count("max_lhs", max_lhs)
    if approximate.most_removals(error, table.rows):
        found = approximate.discover_approximate(table.codes, error, max_lhs=max_lhs, deadline=time_limit_s)
        g3 = found.g3
    else:
        found = fds.discover_fds(table.codes, max_lhs=max_lhs, deadline=time_limit_s)
        g3 = np.zeros(len(found.rhs))
    order = sorted_sets(found.lhs, found.rhs)
    result = pandas.DataFrame({"lhs": _named(found.lhs[order], table), "rhs": _objects(
        [table.names[column] for column in found.rhs[order].tolist()]), "g3": g3[order]})
    result.attrs["partial"] = found.partial
    return result


def _uccs(table: EncodedTable, max_size, time_limit_s) -> pandas.DataFrame:
    _require_count("max_size", max_size)
    found = uccs.discover_uccs(table.codes, max_size=max_size, deadline=time_limit_s)
    result = pandas.DataFrame({"columns": _named(np.asarray(found)[sorted_sets(found)], table)})
    result.attrs["partial"] = found.partial
    return result


def _inds(tables: list[EncodedTable], single: bool, largest: int, coverage: float) -> pandas.DataFrame:
    _require_count("max_columns", largest, 1)
    if not 0 < coverage <= 1:
        raise InputError("coverage", f"cannot be {coverage}", "Give a share of the values above 0, at most 1")
    names = [name if single else (table.name, name) for table in tables for name in table.names]
    sides = [nary.Side(index, column.codes, column.values) for index, table in enumerate(tables)
             for column in table.columns]
    found = inds.discover_partial(OneRank(), [side.values for side in sides], coverage)
    unary = [(a, b) for a, b, share in found if share == 1]
    lists, complete = nary.discover_nary(OneRank(), None, sides, unary, largest) if largest > 1 else ([], 1)
    every = [(((a, b),), share) for a, b, share in found] + [(pairs, 1.0) for pairs in lists]
    result = pandas.DataFrame({
        "lhs": _objects([tuple(names[a] for a, _ in pairs) for pairs, _ in every]),
        "rhs": _objects([tuple(names[b] for _, b in pairs) for pairs, _ in every]),
        "coverage": np.array([share for _, share in every], float)})
    result.attrs["complete"] = complete
    return result


def _require_count(name: str, value: int | None, least: int = 0) -> None:
    """Local: raises InputError for what is no number of columns."""
    if value is not None and (not isinstance(value, int | np.integer) or value < least):
        raise InputError(name, f"cannot be {value!r}", f"Give a whole number of columns, at least {least}")


def _named(sets: np.ndarray, table: EncodedTable) -> np.ndarray:
    return _objects([tuple(table.names[column] for column in columns)
                     for columns in bits.members(sets, len(table.names))])


def _objects(items: list) -> np.ndarray:
    """Local: an array whose items are these, also when they are tuples."""
    array = np.empty(len(items), object)
    array[:] = items
    return array


def _encode(frame: pandas.DataFrame, name: str, null_unequal: bool) -> EncodedTable:
    """Local: a data frame as codes and distinct values. Raises InputError for what is no frame."""
    if not isinstance(frame, pandas.DataFrame):
        raise InputError(name, f"is a {type(frame).__name__}, not a pandas DataFrame", "Make one with pandas.DataFrame")
    columns = [_column(frame.iloc[:, place], null_unequal) for place in range(frame.shape[1])]
    kinds = [_kind(dtype) for dtype in frame.dtypes]
    return EncodedTable(name, list(frame.columns), kinds, len(frame), columns)


def _kind(dtype) -> str | None:
    """Local: the kind of a column; None: to be inferred from its texts."""
    for kind, test in (("boolean", pandas.api.types.is_bool_dtype), ("integer", pandas.api.types.is_integer_dtype),
                       ("decimal", pandas.api.types.is_float_dtype),
                       ("date", pandas.api.types.is_datetime64_any_dtype)):
        if test(dtype):
            return kind
    return None


def _column(series: pandas.Series, null_unequal: bool) -> EncodedColumn:
    """Local: values are told apart by their text; missing ones get the last code, or codes of their own after it."""
    try:
        places, values = pandas.factorize(series)
    except TypeError:  # lists, dicts and the like cannot be hashed
        places, values = pandas.factorize(series.map(str, na_action="ignore"))
    known: dict[bytes, int] = {}
    numbers = [known.setdefault(text, len(known)) if (text := _text(value)) else -1 for value in values.tolist()]
    codes, texts = np.array([*numbers, -1], np.int64)[places], list(known)
    empty = np.flatnonzero(codes < 0)
    missing = len(texts) if len(empty) else None
    codes[empty] = len(texts) + (np.arange(len(empty)) if null_unequal else 0)
    counts = np.bincount(codes, minlength=len(texts))[: len(texts)]
    if len(empty):
        texts, counts = [*texts, b""], np.append(counts, len(empty))
    distinct = int(codes.max()) + 1 if len(codes) else 0
    return EncodedColumn(codes.astype(unsigned(distinct - 1)), distinct, missing,
                         Values(Texts.of(texts), np.arange(len(texts)), counts))


def _text(value) -> bytes:
    """Local: the text of a value; whole numbers without a fraction, so that 3 and 3.0 are equal."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2.0**63:
        value = int(value)
    if isinstance(value, pandas.Timestamp):
        value = value.date().isoformat() if value == value.normalize() and value.tz is None else value.isoformat()
    return str(value).encode("utf-8", "surrogatepass")
