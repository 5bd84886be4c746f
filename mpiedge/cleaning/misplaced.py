"""Cells in the wrong column: two that changed places, or one that slipped into a column beside its own.

A value that is usual in one column and foreign to another one tells itself where it stands in the other. It is put
right where the cells of a row are foreign both ways, or its own column is blank there; alone it is flagged.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from rapidfuzz import process
from rapidfuzz.distance import OSA

from mpiedge.cleaning.cells import NULL_WORDS

MOST_SHARE, LEAST_USUAL, FOREIGN_TIMES = 0.05, 5, 4
MOST_BOTH, LEAST_ALONE = 0.1, 3
MOST_VALUES, MOST_COMPARED = 5000, 1_000_000
MOST_PAIRS = 2000
"""Pairs of columns tried; in wider tables only neighbours."""
SWAPPED, MOVED, ALONE = 0.95, 0.9, 0.7


@dataclass
class Misplaced:
    """Two columns and the values of each that are foreign to the other one. alone: whether a foreign cell tells that
    stands in `one`, in `other`, and its counterpart is none."""

    one: int
    other: int
    of_one: frozenset[str]
    of_other: frozenset[str]
    alone: tuple[bool, bool]

    def judge(self, columns: list[list[str]]) -> list[tuple[int, int, str | None, float, str]]:
        """Local: [(row, column, what it is, confidence, how)] of the cells in the wrong column."""
        found = []
        for row, (cell, beside) in enumerate(zip(columns[self.one], columns[self.other])):
            strange, lost = cell in self.of_other, beside in self.of_one
            if strange and lost:
                found += [(row, self.one, beside, SWAPPED, "swapped"), (row, self.other, cell, SWAPPED, "swapped")]
            elif strange or lost:
                own, place, home, value = ((beside, self.one, self.other, cell) if strange else
                                           (cell, self.other, self.one, beside))
                if not self.alone[lost]:
                    continue
                if not own:
                    found += [(row, home, value, MOVED, "moved"), (row, place, None, MOVED, "flag: moved")]
                else:
                    found.append((row, place, None, ALONE, "flag: value of another column"))
        return found


def find_misplaced(cells: list[list[str]], columns: list[int]) -> list[Misplaced]:
    """Local: pairs of the columns (their sampled cells) between which cells were misplaced."""
    counts = {place: Counter(cells[place]) for place in columns}
    for counted in counts.values():
        counted.pop("", None)
    rows = len(cells[0]) if cells else 0
    usual = {place: frozenset(value for value, number in counted.items() if number >= LEAST_USUAL)
             for place, counted in counts.items() if len(counted) <= MOST_VALUES}
    usual = {place: values for place, values in usual.items()
             if len(values) > 1 and sum(counts[place][value] for value in values) >= 0.5 * rows}
    pairs = [(one, other) for one in usual for other in usual if one < other]
    if len(pairs) > MOST_PAIRS:
        pairs = [(one, other) for one, other in pairs if other == one + 1]
    found = []
    for one, other in pairs:
        of_one, of_other = _foreign(counts, usual, one, other), _foreign(counts, usual, other, one)
        if not of_one or not of_other:
            continue
        strange = [Counter(cell for cell in cells[place] if cell in foreign)
                   for place, foreign in ((one, of_other), (other, of_one))]
        if 0 < max(of.total() for of in strange) <= MOST_SHARE * rows:
            found.append(Misplaced(one, other, of_one, of_other, tuple(
                of.total() >= LEAST_ALONE and len(of) > 1 for of in strange)))
    return found


def _foreign(counts, usual, home: int, away: int) -> frozenset[str]:
    """The usual values of a column that stand in the other one rarely, if hardly any others stand there."""
    own, theirs = ({value for value in usual[place] if counts[place][value] * FOREIGN_TIMES > counts[beside][value]}
                   for place, beside in ((home, away), (away, home)))
    foreign = frozenset(value for value in own if counts[away][value] * FOREIGN_TIMES <= counts[home][value]
                        and value.lower() not in NULL_WORDS)
    both = sum(counts[away][value] for value in own - foreign)
    foreign -= _near(foreign, theirs)   # may be misspelt
    return foreign if both <= MOST_BOTH * sum(counts[away][value] for value in foreign) else frozenset()


def _near(values: frozenset[str], others: set[str]) -> frozenset[str]:
    """Those of the values that are two edits or less away from another one of the others."""
    mine, theirs = sorted(values), sorted(others)
    if not mine or not theirs or len(mine) * len(theirs) > MOST_COMPARED:
        return frozenset()
    near = process.cdist(mine, theirs, scorer=OSA.distance, score_cutoff=2, dtype=np.uint8) <= 2
    return frozenset(value for value, is_near in zip(mine, near.any(axis=1).tolist()) if is_near)
