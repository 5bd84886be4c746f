"""Default values: one value stands where others were lost, and tells itself by breaking what the column else decides.

A form that is sent without a zip code may get one all the same, always the same one. Where a column decides others
nearly everywhere, but not in the rows of its by far commonest value, that value is a default.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

TIMES, MOST_ROWS, LEAST_VALUES = 10, 0.3, 50
LEAST_LIFT, LEAST_BROKEN, MOST_HELD = 0.95, 2, 0.5
LEAST_SUPPORT = 50
LEAST_SURE, MOST_BY, MOST_ANSWERS = 0.5, 4, 50
CONFIDENCE = 0.9


@dataclass
class Default:
    """A default value of a column, and what the columns that it should decide say that the cell was.

    answers: [(some of these columns, {their values: (right value, confidence)})].
    """

    column: int
    value: str
    answers: list[tuple[tuple[int, ...], dict[str, tuple[str, float]]]]

    def judge(self, columns: list[list[str]]) -> list[tuple[int, str | None, float]]:
        """Local: [(row, right value or None, confidence)] of the cells that hold the default."""
        rows = [row for row, cell in enumerate(columns[self.column]) if cell == self.value]
        found = []
        for row in rows:
            told = [table[key] for by, table in self.answers for key in [_key(columns, by, row)] if key in table]
            right, sure = max(told, key=lambda answer: (answer[1], answer[0]), default=(None, CONFIDENCE))
            if right != self.value:
                found.append((row, right, sure))
        return found


def find_defaults(codes: list[np.ndarray], values: list[Sequence], open_: list[int]) -> list[Default]:
    """Local: the default values of the open columns, from codes of the sampled rows (0 = blank)."""
    found = []
    for column in open_:
        counts = np.bincount(codes[column], minlength=2)
        counts[0] = 0
        first, second = (int(place) for place in np.argsort(-counts, kind="stable")[:2])
        if (np.count_nonzero(counts) < LEAST_VALUES or counts[first] < TIMES * counts[second]
                or not values[column][first].strip("0.,+-%")   # zero is what it says
                or counts[first] > MOST_ROWS * len(codes[column])):
            continue
        inside = codes[column] == first
        others = np.where(inside, 0, codes[column])
        broken = []
        for other in open_:
            if other != column and _decides(others, codes[other]):
                there = np.bincount(codes[other][inside])[1:]
                if there.sum() and there.max() < MOST_HELD * there.sum():
                    broken.append(other)
        if len(broken) >= LEAST_BROKEN:
            texts = {place: list(values[place]) for place in [column, *broken]}
            columns = {place: [text[code] for code in codes[place].tolist()] for place, text in texts.items()}
            value, few = values[column][first], broken[:MOST_BY]
            groups = dict.fromkeys([tuple(broken), *combinations(few, 2), *combinations(few, 1)])
            found.append(Default(column, value, [(by, _answers(columns, column, by, value)) for by in groups]))
    return found


def _decides(left: np.ndarray, right: np.ndarray) -> bool:
    """Whether rows with the same left code have the same right one nearly everywhere, and not by chance."""
    filled = (left > 0) & (right > 0)
    width = int(right.max(initial=0)) + 1
    pairs, numbers = np.unique(left[filled].astype(np.int64) * width + right[filled], return_counts=True)
    if not len(pairs):
        return False
    first = np.flatnonzero(np.r_[True, np.diff(pairs // width) > 0])
    size, most = np.add.reduceat(numbers, first), np.maximum.reduceat(numbers, first)
    others = int((size - 1).sum())
    if others < LEAST_SUPPORT:
        return False
    held, usual = float((most - 1).sum() / others), float(np.bincount(right[filled]).max() / filled.sum())
    return usual < 1 and (held - usual) / (1 - usual) >= LEAST_LIFT


def _answers(columns, column: int, by: tuple[int, ...], default: str) -> dict[str, tuple[str, float]]:
    """What the columns that should be decided say of the deciding one, as sure as it is of cells that are masked."""
    groups: dict[str, Counter] = {}
    for row, cell in enumerate(columns[column]):
        if cell and cell != default:
            groups.setdefault(_key(columns, by, row), Counter())[cell] += 1
    tried, right = Counter(), Counter()
    for group in groups.values():
        for value, number in group.items() if len(group) < MOST_ANSWERS else ():
            answer, how = _usual(group - Counter({value: 1}))
            if answer:
                tried[how] += number
                right[how] += number * (answer == value)
    answers = {}
    for key, group in groups.items():
        answer, how = _usual(group)
        sure = right[how] / (tried[how] + 2)
        if sure >= LEAST_SURE:
            answers[key] = (answer, round(sure, 3))
    return answers


def _usual(group: Counter) -> tuple[str, tuple[int, int]]:
    """The commonest value of a group, and how much speaks for it: rows (at most 5), tenths of them that have it."""
    if not group:
        return "", (0, 0)
    value, number = min(group.items(), key=lambda item: (-item[1], item[0]))
    rows = group.total()
    return value, (min(rows, 5), 10 * number // rows)


def _key(columns, by: tuple[int, ...], row: int) -> str:
    return "\x1f".join(columns[place][row] for place in by)
