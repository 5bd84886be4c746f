"""What the cells of a column look like, and the numbers they mean, at memory speed.

The kernel judges the plain notations; `cleaning.cells` has the rules for all, and the kernel calls what it cannot judge
ODD. Without compiled kernels every cell is odd.
"""

import ctypes

import numpy as np

from mpiedge.kernels import native
from mpiedge.kernels.columns import ODD, Columns
from mpiedge.kernels.dictionary import hash_plain

ODD_FORM, EMPTY_FORM = 0, 1
FORMS = ("odd", "empty", "text", "leading_zero", "integer", "point_zero", "point_three", "point", "comma_three",
         "comma", "ymd_dash", "ymd_slash", "ymd_dot", "dmy_dash", "dmy_slash", "dmy_dot")
COUNTS = ("edge_blanks", "longest", "characters", "worded", "widest_integer", "narrowest_integer", "long_integers")
DAY_FORMS = FORMS[-3:]


def _declare(library):
    size, pointer = ctypes.c_int64, ctypes.c_void_p
    library.mpiedge_cell_forms.restype = None
    library.mpiedge_cell_forms.argtypes = [pointer, pointer, size, pointer, ctypes.c_char_p, size, pointer, pointer]
    for name in ("integers", "decimals"):
        function = getattr(library, f"mpiedge_read_{name}")
        function.restype, function.argtypes = size, [pointer, pointer, size, pointer]
    library.mpiedge_text_decimals.restype = size
    library.mpiedge_text_decimals.argtypes = [pointer, pointer, size, pointer]
    library.mpiedge_hash_cells.restype = None
    library.mpiedge_hash_cells.argtypes = [pointer, pointer, size, pointer]
    library.mpiedge_are_iso_dates.restype = size
    library.mpiedge_are_iso_dates.argtypes = [pointer, pointer, size]
    return library


_library = _declare(native.library) if native.library is not None else None


def cell_forms(columns: Columns, place: int, nulls: bytes, times: np.ndarray | None = None):
    """Local: (form number of each cell as uint8, int64 counts).

    The counts: COUNTS, then how often the first and the second number of each of DAY_FORMS is above 12. Odd and empty
    cells are in none. nulls: words, a NUL behind each. times: int64, for how many cells each stands.
    """
    forms, counts = np.zeros(columns.rows, np.uint8), np.zeros(len(COUNTS) + 6, np.int64)
    if _library is None:
        counts[COUNTS.index("narrowest_integer")] = 99
    else:
        text, starts = columns.part(place), columns.starts(place)
        _library.mpiedge_cell_forms(text.ctypes.data, starts.ctypes.data, columns.rows,
                                    None if times is None else times.ctypes.data, nulls, len(nulls),
                                    forms.ctypes.data, counts.ctypes.data)
    return forms, counts


def cell_hashes(columns: Columns, place: int) -> np.ndarray:
    """Local: a hash of each cell (uint64), the same on every host."""
    if _library is None:
        return np.array([hash_plain(cell.encode("utf-8", ODD)) for cell in columns.cells(place)], np.uint64)
    hashes, text, starts = np.empty(columns.rows, np.uint64), columns.part(place), columns.starts(place)
    _library.mpiedge_hash_cells(text.ctypes.data, starts.ctypes.data, columns.rows, hashes.ctypes.data)
    return hashes


def read_integers(columns: Columns, place: int) -> np.ndarray | None:
    """Local: the column as int64; None if a cell is no whole number of at most 18 digits."""
    return _read("integers", columns, place, np.int64)


def read_decimals(columns: Columns, place: int) -> np.ndarray | None:
    """Local: the column as float64, NaN where it is empty; None if a cell is no number of at most 15 digits."""
    return _read("decimals", columns, place, np.float64)


def _read(kind: str, columns: Columns, place: int, dtype) -> np.ndarray | None:
    if _library is None:
        return None
    text, starts, values = columns.part(place), columns.starts(place), np.empty(columns.rows, dtype)
    done = getattr(_library, f"mpiedge_read_{kind}")(text.ctypes.data, starts.ctypes.data, columns.rows,
                                                     values.ctypes.data)
    return values if done else None


def text_decimals(data: np.ndarray, length: np.ndarray) -> tuple[np.ndarray, bool] | None:
    """Local: strings, which lie one after another, as float64, and whether all are whole numbers; None if one is no
    number of at most 15 digits, with perhaps a sign and a point, or has needless leading zeros."""
    if _library is None:
        return None
    data, length = np.ascontiguousarray(data, np.uint8), np.ascontiguousarray(length, np.int32)
    values = np.empty(len(length), np.float64)
    found = _library.mpiedge_text_decimals(data.ctypes.data, length.ctypes.data, len(length), values.ctypes.data)
    return (values, found == 1) if found else None


def are_iso_dates(columns: Columns, place: int) -> bool:
    """Local: whether every cell is empty or a day as YYYY-MM-DD, perhaps with a time; False says nothing."""
    if _library is None:
        return False
    text, starts = columns.part(place), columns.starts(place)
    return bool(_library.mpiedge_are_iso_dates(text.ctypes.data, starts.ctypes.data, columns.rows))
