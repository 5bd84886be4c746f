"""Signs that do not belong to a value: marks left behind cells of several columns, doubled quotes, markup, other signs
between the digits of a code.

A mark such as `***` tells itself by standing behind values that elsewhere in the column stand without it, in more
columns than one, and nowhere often.
"""

import re
from collections import Counter
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


def find_marks(values: list[list[str]], counts: list[np.ndarray], columns: list[int]) -> Marks:
    """Local: the marks of a table from the distinct values of its columns and how often each occurs."""
    marks = Marks()
    seen: dict[str, Counter] = {}
    known: Counter[str] = Counter()
    filled = {}
    for column in columns:
        there = set(values[column])
        doubled = marked = letters = total = 0
        for value, number in zip(values[column], counts[column].tolist()):
            total += number * bool(value)
            match = _MARK.search(value)
            if match:
                seen.setdefault(match[0], Counter())[column] += number
                known[match[0]] += number * (match.start() == 0 or value[:match.start()].rstrip() in there)
            doubled += number * bool(_DOUBLED.search(value))
            letters += number * len(value)
            marked += number * (plain_text(value) != value)
        filled[column] = total
        if 0 < doubled <= MOST_DOUBLED * total and total >= LEAST_CELLS:
            marks.doubled.add(column)
        if 0 < marked <= MOST_MARKUP * total and total >= LEAST_CELLS and letters <= MOST_LETTERS * total:
            marks.markup.add(column)
        template = templates.find_template(values[column], counts[column])
        if template:
            marks.templates[column] = template
    for mark, places in sorted(seen.items()):
        rare = {column: number for column, number in places.items() if number <= MOST_OFTEN * filled[column]}
        if (len(rare) >= 2 and sum(rare.values()) >= LEAST_SEEN and len(rare) == len(places)
                and known[mark] >= LEAST_KNOWN * places.total()):
            marks.tails.update(dict.fromkeys(rare, mark))
    return marks
