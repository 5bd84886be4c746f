"""One notation per column: the minority of cells in another notation is rewritten, all else stays as it is."""

import re
from datetime import date

import numpy as np

from mpiedge.cleaning import dates, units
from mpiedge.cleaning.cells import (
    DATES,
    FALSE_WORDS,
    NUMBERS,
    NUMERIC_DATES,
    SEPARATORS,
    TRUE_WORDS,
    form_of,
    read_date,
    read_number,
)
from mpiedge.cleaning.types import ColumnPlan
from mpiedge.kernels import forms
from mpiedge.kernels.columns import Columns
from mpiedge.store.layout import WIDEST_FIXED_TEXT
from mpiedge.store.tables import Column, to_arrays

SURE, LIKELY = 0.99, 0.9


def apply(plan: ColumnPlan, cells: list[str]) -> tuple[list[str], list[tuple[int, str, str, str, float]]]:
    """The cells in the column's notation, and the changes: (position, rule, before, after, confidence), by position."""
    if plan.changes_nothing:
        return cells, []
    memory = {cell: rewrite(plan, cell) for cell in set(cells)}
    changed = {cell: found for cell, found in memory.items() if found is not None}
    if not changed:
        return cells, []
    changes = [(position, changed[cell][1], cell, changed[cell][0], changed[cell][2])
               for position, cell in enumerate(cells) if cell in changed]
    return [changed[cell][0] if cell in changed else cell for cell in cells], changes


def rewrite(plan: ColumnPlan, cell: str) -> tuple[str, str, float] | None:
    """(new cell, rule, confidence) of a cell that must change, None for the others."""
    text = cell.strip()
    if not text:
        return ("", "blanks", SURE) if cell and plan.trim else None
    if text in plan.null_words:
        return "", "null word", SURE if plan.kind != "text" else LIKELY
    if text in plan.spellings:
        return plan.spellings[text], "spelling", LIKELY
    if plan.unit is not None:
        new = units.rewrite(text, plan.unit, plan.units, plan.shorten)
        if new is not None:
            return (_number(plan, new) if plan.kind in ("integer", "decimal") else new), "unit", LIKELY
    if plan.kind in ("integer", "decimal"):
        new = _number(plan, text)
        if new != text:
            return new, "number format", SURE
    elif plan.date_style:
        new = _date(plan, text)
        if new != text:
            return new, "date format", LIKELY if form_of(text) == plan.date_style else SURE
    return (text, "blanks", SURE) if plan.trim and text != cell else None


def _number(plan: ColumnPlan, text: str) -> str:
    form = form_of(text)
    if form == "point_zero" and plan.drop_zeros:
        return text.split(".")[0]
    other = "," if plan.mark == "." else "."
    decimal_forms = {"comma": ",", "point": ".", "point_zero": ".", "point_three": "."}
    if plan.one_mark and decimal_forms.get(form) == other and (form != "point_three"):
        return text.replace(other, plan.mark)
    thousands = {"grouped_comma": ",", "grouped_point": ".", "grouped_blank": None,
                 "comma_three": "," if plan.mark == "." else "", "point_three": "." if plan.mark == "," else ""}
    if plan.ungroup and thousands.get(form, "") != "":
        sign = thousands[form]
        return re.sub(r"[ \u00a0\u202f]", "", text) if sign is None else text.replace(sign, "")
    return text


def _date(plan: ColumnPlan, text: str) -> str:
    form = form_of(text)
    if form == plan.date_style and form in NUMERIC_DATES:
        return _in_order(text, plan.day_first)
    if form == plan.date_style or (form in dates.NAMED and form == dates.form_of_style(plan.date_style)):
        return text
    found = read_date(text, plan.day_first)
    if found is None:
        return text
    day, rest = found
    if "_" not in plan.date_style:
        return text if rest else dates.write(day, plan.date_style)
    order, name = plan.date_style.split("_")
    sign = SEPARATORS[name]
    if order == "ymd":
        return f"{day.year:04d}{sign}{day.month:02d}{sign}{day.day:02d}{rest}"
    first, second = (day.day, day.month) if plan.day_first else (day.month, day.day)
    return f"{first:02d}{sign}{second:02d}{sign}{day.year:04d}{rest}"


def _in_order(text: str, day_first: bool) -> str:
    """A day whose month would be above 12 with its first two numbers exchanged."""
    first, sign, second, rest = re.match(r"(\d+)(\D)(\d+)(.*)", text).groups()
    day, month = (first, second) if day_first else (second, first)
    return f"{second}{sign}{first}{rest}" if int(month) > 12 >= int(day) else text


def typed_array(plan: ColumnPlan, column: Column, columns: Columns, place: int) -> np.ndarray:
    """Local: a column as the store wants it (see `store.tables.to_arrays`), text as bytes of one width."""
    if plan.kind == "text" or (plan.kind == "date" and forms.are_iso_dates(columns, place)):
        found = columns.fixed(place, WIDEST_FIXED_TEXT)
    elif plan.kind == "integer" and not column.extra.get("missing"):
        found = forms.read_integers(columns, place)
    else:
        plain = plan.kind in ("integer", "decimal") and plan.mark == "."
        found = forms.read_decimals(columns, place) if plain else None
    if found is not None:
        return found
    cells = np.empty(columns.rows, dtype=object)
    cells[:] = canonical(plan, columns.cells(place))
    return to_arrays([column], {column.name: cells})[column.name]


def canonical(plan: ColumnPlan, cells: list[str]) -> list[str]:
    """The cells as the store wants them: ISO 8601 dates, plain numbers, true/false, "" for what cannot be read."""
    if plan.kind == "text":
        return cells
    memory = {cell: _canonical(plan, cell.strip()) for cell in set(cells)}
    return [memory[cell] for cell in cells]


def _is_iso_date(text: str) -> bool:
    """Whether a cell is YYYY-MM-DD of a day of the calendar: most are, and this is much cheaper than to read any."""
    if len(text) != 10 or text[4] != "-" or text[7] != "-":
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _canonical(plan: ColumnPlan, text: str) -> str:
    if not text:
        return ""
    if plan.kind == "date":
        if _is_iso_date(text):
            return text
        found = read_date(text, plan.day_first) if form_of(text) in DATES else None
        return found[0].isoformat() + found[1] if found else ""
    if plan.kind == "boolean":
        word = text.lower()
        return "true" if word in TRUE_WORDS else "false" if word in FALSE_WORDS else ""
    form = form_of(text)
    if form not in NUMBERS and form != "leading_zero":
        return ""
    if form in ("integer", "leading_zero"):
        return text
    number = read_number(text, plan.mark)
    if number is None:
        return ""
    return str(int(number)) if plan.kind == "integer" and number == int(number) else repr(number)
