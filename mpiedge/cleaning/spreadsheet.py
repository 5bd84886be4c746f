"""What spreadsheets make of cells: ranges that became days (5-9, May 9), long numbers that lost their last digits."""

import re

import numpy as np

from mpiedge.cleaning.cells import MONTHS, form_of
from mpiedge.cleaning.spelling import Repairs

LEAST_RANGES, LEAST_LONG = 0.3, 0.9
"""Share of the filled cells that are ascending ranges or long numbers."""
LONG = 8
"""Digits from which on a number may be shown as 1.2E+11."""
SURE = 0.9
_RANGE = re.compile(r"(\d{1,4})-(\d{1,4})")
_SHORT = "|".join(name for name in MONTHS if len(name) == 3)
_DAY = re.compile(rf"(\d{{1,2}})-({_SHORT})|({_SHORT})-(\d{{2}})", re.IGNORECASE)


def spoilt_by_spreadsheet(values: list[str], counts: np.ndarray) -> Repairs:
    """Local: values that are days among ranges or rounded among long numbers, given how often each value occurs."""
    number = {value: count for value, count in zip(values, counts.tolist()) if value}
    ranges = long = spoilt = 0
    days, rounded = [], []
    for value, count in number.items():
        if _is_range(value):
            ranges += count
        elif form_of(value) == "exponent":
            rounded.append(value)
        elif value.isdecimal():
            long += count * (len(value) >= LONG)
        elif _DAY.fullmatch(value):
            days.append(value)
            spoilt += count
    total = sum(number.values())
    found: Repairs = {}
    if days and ranges >= max(spoilt, LEAST_RANGES * total):
        found = {value: _as_range(value) for value in days}
    if rounded and long >= LEAST_LONG * total:
        found |= {value: (None, "flag: digits lost", 0.75) for value in rounded}
    return found


def _is_range(value: str) -> bool:
    found = _RANGE.fullmatch(value)
    return bool(found) and int(found[1]) < int(found[2])


def _as_range(value: str) -> tuple[str | None, str, float]:
    """9-May was 5-9 and Jun-70 was 6-70; what May-09 was cannot be told."""
    day, month, other, year = _DAY.fullmatch(value).groups()
    right = f"{MONTHS[(month or other).lower()]}-{day or year}"
    sure = _is_range(right) and (day is not None or int(year) > 31)
    return (right, "range became a day", SURE) if sure else (None, "flag: range became a day", 0.7)
