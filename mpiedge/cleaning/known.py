"""What was learnt of a table's wrong cells, and what it says of the cells of a chunk."""

import itertools
from dataclasses import dataclass, field

import numpy as np

from mpiedge.cleaning import dependencies
from mpiedge.cleaning.claims import Claims
from mpiedge.cleaning.defaults import Default
from mpiedge.cleaning.leaks import Leak
from mpiedge.cleaning.marks import Marks
from mpiedge.cleaning.rowwise import Rowwise
from mpiedge.cleaning.sequences import CONFIDENCE as SEQUENCE_CONFIDENCE
from mpiedge.cleaning.sequences import Sequence
from mpiedge.cleaning.spelling import Repairs
from mpiedge.kernels.columns import Columns, Values


@dataclass
class Known:
    """What was learnt of a table.

    names: its columns; joined: further ones, the columns whose cells stand side by side for a rule that was given.
    values: per column the dictionary, whose inverse is `code_of`. repairs: per column. rules: rhs -> rules; excused:
    rhs -> (column, code) where exceptions are legitimate; given: (lhs, rhs) of the rules that were given. marks, leaks,
    sequences, defaults, claims, rowwise: what else was found. keys: columns whose cells are flagged at most.
    """

    names: list[str]
    joined: list[list[int]] = field(default_factory=list)
    values: list[Values] = field(default_factory=list)
    repairs: dict[int, Repairs] = field(default_factory=dict)
    rules: dict[int, list] = field(default_factory=dict)
    excused: dict[int, list] = field(default_factory=dict)
    given: set[tuple[int, int]] = field(default_factory=set)
    marks: Marks = field(default_factory=Marks)
    leaks: list[Leak] = field(default_factory=list)
    sequences: dict[int, Sequence] = field(default_factory=dict)
    defaults: list[Default] = field(default_factory=list)
    claims: Claims | None = None
    rowwise: Rowwise = field(default_factory=Rowwise)
    keys: set[int] = field(default_factory=set)
    _codes: dict[int, dict[str, int]] = field(default_factory=dict)

    @property
    def says_nothing(self) -> bool:
        """Whether no cell can change."""
        return not (self.rules or any(self.repairs.values()) or self.marks.columns or self.leaks
                    or self.sequences or self.defaults or self.claims or self.rowwise)

    def encode(self, place: int, cells: list[str]) -> np.ndarray:
        """Local: the codes of a column's cells, whose dictionary this becomes (0 = blank)."""
        return self.take(place, *Columns.of([cells]).coded(0))

    def take(self, place: int, values: Values, codes: np.ndarray) -> np.ndarray:
        """Local: these become the values of a column; returns their `codes`."""
        self.values[place] = values
        self._codes.pop(place, None)
        return codes

    def code_of(self, place: int) -> dict[str, int]:
        """Local: the code of each value of a column; made for those that are asked for."""
        if place not in self._codes:
            self._codes[place] = dict(zip(self.values[place].all(), itertools.count()))
        return self._codes[place]

    def forget_values(self) -> None:
        """Local: drops the dictionaries."""
        self.values, self._codes = [], {}

    def cells(self, codes: list[np.ndarray]) -> list[list[str]]:
        """Local: the cells of every column from their codes."""
        return [self.column(place, codes[place]) for place in range(len(self.names))]

    def column(self, place: int, codes: np.ndarray) -> list[str]:
        """Local: the cells of one column from their codes."""
        values = self.values[place].all()
        return [values[code] for code in codes.tolist()]

    def cost_by_letters(self):
        """Local: the cost of a task whose first number is a column: about the letters of its different values. The
        longest begin first, on the fastest ranks."""
        letters = [values.letters for values in self.values]
        return lambda task: letters[task[0]] + 1

    def to_toml(self) -> dict:
        """What plan.toml says of it: rules between columns, and values that stand for others ("" = flagged only)."""
        rules = [{"lhs": [self.names[rule.lhs]], "rhs": self.names[rhs], "confidence": round(rule.confidence, 4)}
                 for rhs, rules in sorted(self.rules.items()) for rule in rules
                 if rule.lhs < len(self.names) and (rule.lhs, rhs) not in self.given]
        rules += [{"lhs": [self.names[place] for place in (self.joined[lhs - len(self.names)] if lhs >= len(self.names)
                                                           else [lhs])], "rhs": self.names[rhs]}
                  for lhs, rhs in sorted(self.given)]
        repairs = [{"column": self.names[place], "before": before, "after": after or "", "rule": rule,
                    "confidence": confidence}
                   for place, found in sorted(self.repairs.items()) for before, (after, rule, confidence) in
                   found.items()]
        more = [{"column": self.names[place], "by": "mark", "sign": mark} for place, mark in
                sorted(self.marks.tails.items())]
        more += [{"column": self.names[place], "by": "doubled quote"} for place in sorted(self.marks.doubled)]
        more += [{"column": self.names[place], "by": "markup"} for place in sorted(self.marks.markup)]
        more += [{"column": self.names[place], "by": "usual form", "form": form} for place, form in
                 sorted(self.marks.templates.items())]
        more += self.rowwise.to_toml(self.names)
        more += [{"column": self.names[leak.of], "by": "run together", "with": self.names[leak.into]}
                 for leak in self.leaks]
        more += [{"column": self.names[place], "by": "sequence", "step": found.step}
                 for place, found in sorted(self.sequences.items())]
        more += [{"column": self.names[found.column], "by": "default", "value": found.value} for found in self.defaults]
        if self.claims:
            of, source = self.names[self.claims.entity], self.names[self.claims.source]
            more += [{"column": self.names[place], "by": "sources", "of": of, "source": source}
                     for place in sorted(self.claims.facts)]
        return ({"rule": rules} if rules else {}) | ({"repair": repairs} if repairs else {}) | (
            {"mend": more} if more else {})


class Changes:
    """The changes of one chunk, made in place: {(row, column): (rule, before, after, confidence)}.

    A cell that is only flagged has its old value as `after`; a cell changed twice keeps its first value as `before`.
    """

    def __init__(self, known: Known, columns: list[list[str]], min_confidence: float):
        self.known, self.columns, self.least = known, columns, min_confidence
        self.found: dict[tuple[int, int], tuple[str, str, str, float]] = {}

    def note(self, row: int, place: int, after: str | None, rule: str, confidence: float) -> None:
        """Local: changes a cell if that is sure enough, else flags it; None: flags it."""
        cell = self.columns[place][row]
        sure = after is not None and confidence >= self.least and place not in self.known.keys
        rule = rule if sure or rule.startswith("flag") else f"flag: {rule}"
        old = self.found.get((row, place))
        if not sure and old and not old[0].startswith("flag"):
            return
        self.found[row, place] = (rule, old[1] if old else cell, after if sure else cell, confidence)
        if sure:
            self.columns[place][row] = after

    def listed(self) -> list[tuple]:
        """Local: (row, column, rule, before, after, confidence), in order of rows."""
        return [(row, place, *change) for (row, place), change in sorted(self.found.items())
                if change[0].startswith("flag") or change[1] != change[2]]


def judge_chunk(known: Known, columns: list[list[str]], numbers: np.ndarray, min_confidence: float) -> list[tuple]:
    """Local: changes the columns in place; returns (row, column, rule, before, after, confidence), in order of rows.

    numbers: of the rows in the input.
    """
    changes = Changes(known, columns, min_confidence)
    for place in known.marks.columns:
        for row, cell in enumerate(columns[place]):
            found = known.marks.clean(place, cell)
            if found:
                changes.note(row, place, *found)
    for leak in known.leaks:
        for row, rest, end in leak.judge(columns[leak.of], columns[leak.into]):
            changes.note(row, leak.of, rest, "run together", leak.confidence)
            changes.note(row, leak.into, end, "run together", leak.confidence)
    for place, found in sorted(known.sequences.items()):
        for row, after in found.judge(columns[place], numbers):
            changes.note(row, place, after, "sequence", SEQUENCE_CONFIDENCE)
    for place, repairs in sorted(known.repairs.items()):
        for row, cell in enumerate(columns[place]):
            if cell in repairs and place not in known.sequences:
                changes.note(row, place, *repairs[cell])
    for row, place, *found in known.rowwise.judge_places(columns):
        changes.note(row, place, *found)
    for default in known.defaults:
        for row, after, sure in default.judge(columns):
            changes.note(row, default.column, after, "default value", sure)
    if known.claims:
        for row, place, after, sure in known.claims.judge(columns):
            changes.note(row, place, after, f"sources of {known.names[known.claims.entity]}", sure)
    if known.rules:
        _obey_rules(known, changes)
    for row, place, *found in known.rowwise.judge_numbers(columns, known.names):
        changes.note(row, place, *found)
    return changes.listed()


def _obey_rules(known: Known, changes: Changes) -> None:
    columns = changes.columns
    whole = columns + [["\x1f".join(row) for row in zip(*(columns[at] for at in places))] for places in known.joined]
    used = {rule.lhs for rules in known.rules.values() for rule in rules} | set(known.rules)
    used |= {column for pairs in known.excused.values() for column, _ in pairs}
    codes = {place: np.fromiter(map(known.code_of(place).get, whole[place], itertools.repeat(-1)), np.int64)
             for place in used}
    for rhs, rules in sorted(known.rules.items()):
        given = any((rule.lhs, rhs) in known.given for rule in rules)
        for row, code, confidence, lhs, weak in dependencies.judge(
                rules, codes, known.values[rhs].all(), given, "" in known.repairs.get(rhs, {})):
            if any(codes[column][row] == value for column, value in known.excused[rhs]):
                continue
            name = known.names[lhs] if lhs < len(known.names) else "+".join(
                known.names[at] for at in known.joined[lhs - len(known.names)])
            confidence = min(confidence, dependencies.DOUBTFUL) if weak else confidence
            changes.note(row, rhs, known.values[rhs][code], f"rule: {name} -> {known.names[rhs]}", confidence)
