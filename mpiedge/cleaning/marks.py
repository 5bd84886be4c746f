"""Signs that do not belong to a value: marks left behind cells of several columns, doubled quotes, markup, other signs
between the digits of a code.

A mark such as `***` tells itself by standing behind values that elsewhere in the column stand without it, in more
columns than one, and nowhere often.
"""

import re
from dataclasses import dataclass, field

import numpy as np

from mpiedge.cleaning import templates
from mpiedge.cleaning.markup import plain_text

LEAST_SEEN, LEAST_KNOWN, MOST_OFTEN = 4, 0.3, 0.15
MOST_DOUBLED, MOST_MARKUP, MOST_LETTERS = 0.02, 0.1, 80
"""Shares of a column's cells; letters of its usual cell, beyond which it is prose, which may be marked up on purpose.
"""
LEAST_CELLS = 50
MARK_CONFIDENCE, QUOTE_CONFIDENCE, MARKUP_CONFIDENCE = 0.96, 0.95, 0.95
_MARK = re.compile(r"(?=[^\w\s]*[*#~^|@])[*#~^|@<>=+_\\-]{2,}$")
_LAST, _TWO = frozenset("*#~^|@<>=+_\\-\n"), ("''", "``", "\u2019\u2019")
"""Without which there is no mark and no doubled quote: quicker to look for."""
_DOUBLED = re.compile(r"(?<=[^\W\d_])(''+|``+|\u2019\u2019+)(?=[^\W\d_])")


@dataclass
class Marks:
    """tails: column -> the mark that is dropped at the end of its cells; doubled: columns whose quotes are undoubled.
    markup: columns from whose cells markup is taken; templates: column -> the usual shape of its codes.

    A cell that is nothing but the mark stays as it is, and is flagged.
    """

    tails: dict[int, str] = field(default_factory=dict)
    doubled: set[int] = field(default_factory=set)
    markup: set[int] = field(default_factory=set)
    templates: dict[int, str] = field(default_factory=dict)

    @property
    def columns(self) -> list[int]:
        """The columns that are looked at."""
        return sorted({*self.tails, *self.doubled, *self.markup, *self.templates})

    def clean(self, column: int, value: str) -> tuple[str, str, float] | None:
        """Local: (value without its marks, rule, confidence), None for a cell without any."""
        mark = self.tails.get(column)
        if mark and value.endswith(mark):
            rest = value[:-len(mark)].rstrip()
            return (rest, "stray mark", MARK_CONFIDENCE) if rest else (value, "flag: stray mark", 0.9)
        if column in self.doubled:
            plain = _DOUBLED.sub(lambda match: match[1][0], value)
            if plain != value:
                return plain, "doubled quote", QUOTE_CONFIDENCE
        if column in self.markup:
            plain = plain_text(value)
            if plain != value:
                return (plain, "markup", MARKUP_CONFIDENCE) if plain else (value, "flag: markup", 0.9)
        if column in self.templates:
            usual = templates.rewrite(value, self.templates[column])
            if usual is not None:
                return usual, "usual form", templates.CONFIDENCE
        return None


def look_at_column(values: list[str], counts: np.ndarray) -> dict:
    """Local: what a column tells of marks, from its distinct values and how often each occurs, as a message.

    marks: of each mark behind its cells how often it stands there, and how often behind a value that is known without
    it; filled: cells that are not empty; doubled, markup: whether the column has some; template: its usual shape, ""
    without one.
    """
    there = set(values)
    marks: dict[str, list[int]] = {}
    doubled = marked = letters = filled = 0
    for value, number in zip(values, counts.tolist()):
        filled += number * bool(value)
        match = _MARK.search(value) if value[-1:] in _LAST else None
        if match:
            seen = marks.setdefault(match[0], [0, 0])
            seen[0] += number
            seen[1] += number * (match.start() == 0 or value[:match.start()].rstrip() in there)
        doubled += number * (any(two in value for two in _TWO) and bool(_DOUBLED.search(value)))
        letters += number * len(value)
        marked += number * (plain_text(value) != value)
    enough = filled >= LEAST_CELLS
    return {"marks": marks, "filled": filled, "doubled": enough and 0 < doubled <= MOST_DOUBLED * filled,
            "markup": enough and 0 < marked <= MOST_MARKUP * filled and letters <= MOST_LETTERS * filled,
            "template": templates.find_template(values, counts)}


def judge_columns(told: dict[int, dict]) -> Marks:
    """Local: the marks of a table from what its columns tell, by column in order."""
    found = Marks(doubled={column for column, one in told.items() if one["doubled"]},
                  markup={column for column, one in told.items() if one["markup"]},
                  templates={column: one["template"] for column, one in told.items() if one["template"]})
    for mark in sorted({mark for one in told.values() for mark in one["marks"]}):
        places = {column: one["marks"][mark] for column, one in told.items() if mark in one["marks"]}
        rare = [column for column, (number, _) in places.items() if number <= MOST_OFTEN * told[column]["filled"]]
        everywhere, known = (sum(pair[at] for pair in places.values()) for at in (0, 1))
        if 2 <= len(rare) == len(places) and everywhere >= LEAST_SEEN and known >= LEAST_KNOWN * everywhere:
            found.tails.update(dict.fromkeys(rare, mark))
    return found
