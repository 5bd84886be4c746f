"""What a single cell looks like: number, date, null word or text, in which notation; and how it is read."""

import re
from datetime import date
from functools import lru_cache

NULL_WORDS = frozenset((
    "na", "n/a", "n.a.", "#n/a", "#na", "null", "(null)", "nil", "nan", "-nan", "none", "-", "--", "---", "?", "??",
    ".", "..", r"\n", "<na>", "unknown", "missing", "not available", "undefined", "#null!", "#value!"))
WORDS_ALSO_USED_AS_TEXT = frozenset(("none", "unknown", "missing", "undefined", "nil", "nan", "-nan", ".", ".."))
"""Null words only where numbers or dates stand: elsewhere they may be values."""
TRUE_WORDS, FALSE_WORDS = frozenset(("true", "yes", "y", "t")), frozenset(("false", "no", "n", "f"))

MONTHS = {name: number for number, names in enumerate(
    ("jan january", "feb february", "mar march", "apr april", "may", "jun june", "jul july", "aug august",
     "sep sept september", "oct october", "nov november", "dec december"), 1) for name in names.split()}
_MONTH = "(?:" + "|".join(sorted(MONTHS, key=len, reverse=True)) + r")\.?"
_TIME = r"(?:[ T]\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?: ?[AaPp][Mm])?(?:Z|[+-]\d{2}:?\d{2})?)?"
SEPARATORS = {"dash": "-", "slash": "/", "dot": "."}

_FORMS = {
    "leading_zero": r"[+-]?0\d+",
    "integer": r"[+-]?\d+",
    "point_zero": r"[+-]?\d+\.0+",
    "point_three": r"[+-]?[1-9]\d{0,2}\.\d{3}",       # 1.234 may mean a thousand
    "point": r"[+-]?\d*\.\d+",
    "comma_three": r"[+-]?[1-9]\d{0,2},\d{3}",
    "comma": r"[+-]?\d*,\d+",
    "grouped_comma": r"[+-]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?",
    "grouped_point": r"[+-]?[1-9]\d{0,2}(?:\.\d{3})+(?:,\d+)?",
    "grouped_blank": r"[+-]?[1-9]\d{0,2}(?:[ \u00a0\u202f]\d{3})+(?:[.,]\d+)?",
    "exponent": r"[+-]?\d*[.,]?\d+[eE][+-]?\d+",
    **{f"ymd_{name}": rf"\d{{4}}[{sign}]\d{{1,2}}[{sign}]\d{{1,2}}{_TIME}" for name, sign in SEPARATORS.items()},
    **{f"dmy_{name}": rf"\d{{1,2}}[{sign}]\d{{1,2}}[{sign}]\d{{4}}{_TIME}" for name, sign in SEPARATORS.items()},
    "short_year": r"\d{1,2}([-/.])\d{1,2}\1\d{2}",
    "month_first": rf"{_MONTH} \d{{1,2}},? \d{{4}}{_TIME}",
    "month_second": rf"\d{{1,2}}[ -]{_MONTH},?[ -]\d{{4}}{_TIME}",
    "time": r"\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?: ?[AaPp][Mm])?",
}
_PATTERN = re.compile("|".join(f"(?P<{name}>{form})" for name, form in _FORMS.items()).replace(r"\1", r"(?P=sign)")
                      .replace("([-/.])", "(?P<sign>[-/.])"), re.IGNORECASE | re.ASCII)
NUMBERS = tuple(name for name in _FORMS if name.split("_")[0] in ("integer", "point", "comma", "grouped", "exponent"))
FRACTIONS = ("point", "point_three", "comma", "comma_three", "exponent")
"""Numbers that may be no whole ones, if three digits behind a mark are none of a thousand."""
DATES = tuple(name for name in _FORMS if name.startswith(("ymd", "dmy", "month")))
NUMERIC_DATES = tuple(name for name in DATES if name.startswith("dmy"))
HARD = frozenset((*NUMBERS, *DATES, "leading_zero", "short_year", "time"))
_STARTS_HARD = frozenset("0123456789+-.,")
_STARTS_MONTH = frozenset(name[:3] for name in MONTHS)


def form_of(cell: str) -> str:
    """The form of a cell: "empty", "null", "text", or a notation of a number, date or time (the names of `HARD`)."""
    cell = cell.strip()
    if not cell:
        return "empty"
    if len(cell) <= 13 and cell.lower() in NULL_WORDS:
        return "null"
    if cell.isdecimal() and cell.isascii():
        return "leading_zero" if cell[0] == "0" and len(cell) > 1 else "integer"
    if (cell[0] not in _STARTS_HARD and cell[:3].lower() not in _STARTS_MONTH) or len(cell) > 40:
        return "text"
    match = _PATTERN.fullmatch(cell)
    return "text" if match is None else match.lastgroup if match.lastgroup != "sign" else "short_year"


def read_number(cell: str, mark: str = ".") -> float | None:
    """The number a cell means where `mark` divides off the decimals; None when it is none or could mean two."""
    cell = cell.strip()
    form = form_of(cell)
    if form not in NUMBERS and form != "leading_zero":
        return None
    if form == "comma" or (form == "comma_three" and mark == ","):
        cell = cell.replace(",", ".")
    elif form in ("grouped_comma", "comma_three"):
        cell = cell.replace(",", "")
    elif form == "grouped_point" or (form == "point_three" and mark == ","):
        cell = cell.replace(".", "").replace(",", ".")
    elif form == "grouped_blank":
        cell = re.sub(r"[ \u00a0\u202f]", "", cell).replace(",", ".")
    elif form == "exponent":
        cell = cell.replace(",", ".")
    number = float(cell)
    return number if abs(number) < 1e300 else None


@lru_cache(maxsize=16384)
def read_date(cell: str, day_first: bool | None) -> tuple[date, str] | None:
    """The day a cell means, and the time of day behind it as written; None when it is no day of the calendar.

    day_first: how 03/04/2005 is read; None: not at all.
    """
    cell = cell.strip()
    form = form_of(cell)
    if form not in DATES:
        return None
    parts = re.match(r"([^\W_]+)\.?[ /.-]+(\w+)[.,]?[ /.,-]+(\d+)", cell)
    first, second, third, rest = *parts.groups(), cell[parts.end():]
    if form.startswith("ymd"):
        year, month, day = first, second, third
    elif form == "month_first":
        year, month, day = third, MONTHS[first.lower()], second
    elif form == "month_second":
        year, month, day = third, MONTHS[second.lower()], first
    elif int(first) > 12 or (day_first and int(second) <= 12):
        year, month, day = third, second, first
    elif int(second) > 12 or day_first is False:
        year, month, day = third, first, second
    else:
        return None
    try:
        return date(int(year), int(month), int(day)), rest
    except ValueError:
        return None
