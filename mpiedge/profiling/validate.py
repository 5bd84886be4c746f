"""Checks one given dependency by grouping the rows: does it hold, which rows break it, how far is it from it (g3)."""

import csv
from dataclasses import dataclass

import numpy as np

from mpiedge.errors import UsageError
from mpiedge.profiling.encode import Values


@dataclass(frozen=True)
class Verdict:
    """violating: rows (ascending) whose group of equal left-hand sides has several right-hand sides; group: the number
    of each one's group; g3: smallest share of rows to remove so that it holds (Kivinen & Mannila 1995)."""

    violating: np.ndarray
    group: np.ndarray
    g3: float

    @property
    def holds(self) -> bool:
        return len(self.violating) == 0


def parse_dependency(text: str) -> tuple[list[str], str]:
    """Left-hand and right-hand columns of "a,b -> c"; "-> c" has none on the left.

    Names with commas, arrows or quotes stand in double quotes, quotes in them doubled. Raises UsageError.
    """
    outside = [place for place in range(len(text)) if text.startswith("->", place) and text[:place].count('"') % 2 == 0]
    lhs, arrow, rhs = (text[: outside[-1]], "->", text[outside[-1] + 2 :]) if outside else ("", "", "")
    names = next(csv.reader([lhs.strip()], skipinitialspace=True), [])
    right = next(csv.reader([rhs.strip()], skipinitialspace=True), [])
    if not arrow or len(right) != 1 or any(not name.strip() for name in names):
        raise UsageError("--verify", f"cannot read {text!r}", 'Write it as "a,b -> c"')
    return [name.strip() for name in names], right[0].strip()


def group_rows(codes: list[np.ndarray], rows: int) -> tuple[np.ndarray, int]:
    """Local: equal combinations of codes numbered alike, 0..groups-1, and the number of groups."""
    groups, count = np.zeros(rows, np.int64), min(rows, 1)
    for column in codes:
        combined = groups * (int(column.max(initial=0)) + 1) + column
        distinct, groups = np.unique(combined, return_inverse=True)
        count = len(distinct)
    return groups, count


def verify(lhs: list[np.ndarray], rhs: np.ndarray) -> Verdict:
    """Local: checks lhs -> rhs on encoded columns."""
    rows = len(rhs)
    if rows == 0:
        return Verdict(np.zeros(0, np.int64), np.zeros(0, np.int64), 0.0)
    groups, count = group_rows(lhs, rows)
    pairs, per_pair = np.unique(groups * (int(rhs.max()) + 1) + rhs, return_counts=True)
    group_of_pair = pairs // (int(rhs.max()) + 1)
    kept = np.zeros(count, np.int64)
    np.maximum.at(kept, group_of_pair, per_pair)
    broken = np.bincount(group_of_pair, minlength=count) > 1
    violating = np.flatnonzero(broken[groups])
    return Verdict(violating, groups[violating], float((rows - int(kept.sum())) / rows))


def texts_of(world, values: Values, codes: np.ndarray) -> dict[int, str]:
    """Collective: the text of each code of a column, on every rank; missing cells are empty."""
    chosen = np.flatnonzero(np.isin(values.codes, codes))
    messages = world.allgather({"codes": values.codes[chosen], "texts": values.texts.take(chosen).tolist()})
    known = {code: text.decode("utf-8", "replace") for message in messages
             for code, text in zip(message["codes"].tolist(), message["texts"])}
    return {code: known.get(code, "") for code in codes.tolist()}
