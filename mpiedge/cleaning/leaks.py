"""Cells run together: a value that belongs into the next column stands at the end of another one, and its own is blank.
"""

from dataclasses import dataclass

import numpy as np

LEAST_BLANK, LEAST_SHARE, MOST_ELSEWHERE = 5, 0.5, 0.02
MOST_VALUES = 1000
MOST_PAIRS = 10_000
"""Pairs of columns tried; in wider tables only neighbours."""


@dataclass
class Leak:
    """Cells of column `of` that end with a value of column `into`, which is blank there. domain: its values."""

    of: int
    into: int
    domain: frozenset[str]
    confidence: float

    def to_message(self) -> list:
        """Local: what travels between ranks."""
        return [self.of, self.into, sorted(self.domain), self.confidence]

    @classmethod
    def from_message(cls, message: list) -> "Leak":
        """Local: the inverse of `to_message`."""
        of, into, domain, confidence = message
        return cls(of, into, frozenset(domain), confidence)

    def judge(self, cells: list[str], blanks: list[str]) -> list[tuple[int, str, str]]:
        """Local: [(row, what stays, what goes into the other column)]."""
        found = []
        for row, (cell, other) in enumerate(zip(cells, blanks)):
            if not other:
                rest, end = split(cell)
                if rest and end in self.domain:
                    found.append((row, rest, end))
        return found


def split(cell: str) -> tuple[str, str]:
    """A cell without its last word, and that word."""
    rest, _, end = cell.rpartition(" ")
    return rest.rstrip(" ,;"), end


def find_leaks(columns, text: list[int]) -> list[Leak]:
    """Local: the leaks between columns; text: those that may be one side of it, columns: the sampled cells of these."""
    blank = {place: np.array([not cell for cell in columns[place]], bool) for place in text}
    ends = {place: np.array([split(cell)[1] if " " in cell else "" for cell in columns[place]], object)
            for place in text if any(" " in cell for cell in columns[place])}
    short = [place for place in text if LEAST_BLANK <= blank[place].sum() < len(blank[place])]
    found = []
    for into in short:
        rows, number = len(blank[into]), int(blank[into].sum())
        domain = frozenset(columns[into]) - {""}
        if not 1 < len(domain) <= min(MOST_VALUES, 0.5 * (rows - number)):
            continue
        for of in ends if len(short) * len(ends) <= MOST_PAIRS else sorted({into - 1, into + 1} & set(ends)):
            if of == into:
                continue
            there = sum(end in domain for end in ends[of][blank[into]])
            if there < max(LEAST_BLANK, LEAST_SHARE * number):
                continue
            elsewhere = sum(end in domain for end in ends[of][~blank[into]])
            if elsewhere <= MOST_ELSEWHERE * (rows - number):
                doubt = elsewhere / (rows - number) * number / there + 0.02
                found.append(Leak(of, into, domain, round(1 - doubt, 3)))
    return found
