"""Missing cells: looked up where a column decides, else predicted, else the usual value, else left blank."""

from bisect import bisect
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from mpiedge.cleaning import formats
from mpiedge.cleaning.cells import FRACTIONS
from mpiedge.cleaning.names import CODE_NAMES, ID_NAMES, words_of
from mpiedge.cleaning.survey import Survey
from mpiedge.cleaning.types import ColumnPlan

MOST_MISSING = 0.4
"""A column with more blanks is left alone: labels and remarks are given for a part of the rows on purpose."""
LEAST_SURE = 0.5
"""Words that would be wrong more often than right are not filled in."""
MOST_DISTINCT = 0.5
LEAST_CONFIDENCE = 0.95
LEAST_LIFT = 0.85
LEAST_SUPPORT = 20
MOST_DETERMINANTS = 2
MOST_PAIRS, NEAR_PAIRS = 20_000, 1_000_000
"""Pairs of columns compared by their cells, and by their blanks: in wide tables, each with those near it."""
LARGEST_LOOKUP = 50_000
CODE_DIGITS = 6
SAME_DIGITS, ROUNDED = 0.8, 0.2
"""Shares of cells of as many digits, at least, and that end in 0, at most, in numbers of things."""
TOGETHER, SURPRISE = 0.9, 7.0
"""Share of the blanks that another column shares, and minus the logarithm of the odds that chance does that."""
NEARLY_UNIQUE = 0.9
"""Share of different values from which on whole numbers name things."""


@dataclass
class Fill:
    """How the blanks of one column are filled.

    lookups: [(determinant column, {its value: (value, confidence)})], the most trusted first. value: the usual one, ""
    where none is filled in; rule: "mode" or "median". predict: whether the other columns may tell; model: a
    `predict.Model` where they do, which then goes before the usual value. least: values less sure than this are not
    filled in. helper: they stay blank, what is predicted of them only serves the predictions of other columns.
    """

    column: int
    lookups: list[tuple[int, dict[str, tuple[str, float]]]] = field(default_factory=list)
    value: str = ""
    rule: str = ""
    confidence: float = 0.0
    predict: bool = True
    model: object = None
    least: float = 0.0
    helper: bool = False


def canonical_sample(plans: list[ColumnPlan], survey: Survey) -> list[list[str]]:
    """The sampled rows column by column, formats applied."""
    columns = list(zip(*(cells for _, cells in survey.sample))) or [()] * len(plans)
    return [formats.apply(plan, list(cells))[0] for plan, cells in zip(plans, columns)]


def targets(plans: list[ColumnPlan], rows: int) -> list[int]:
    """Columns whose blanks may be filled: some are missing but not too many, and the column names no row or thing."""
    return [index for index, plan in enumerate(plans)
            if 0 < plan.missing <= MOST_MISSING * rows and not plan.key and not ID_NAMES & set(words_of(plan.name))]


def reach(pairs: int, targets: int) -> int:
    """Columns to either side that are compared with each of so many, so that there are about so many pairs."""
    return max(1, pairs // max(1, 2 * targets))


def blank_together(blank: np.ndarray, target: int) -> bool:
    """Whether a column is blank (nearly) only where another one is: that is how the things are, not what was lost.

    blank: bool (columns, rows of the sample).
    """
    number = int(blank[target].sum())
    if not number:
        return False
    together = (blank & blank[target]).sum(axis=1)
    share = np.maximum(blank.mean(axis=1), 1e-9)
    shared = (together >= TOGETHER * number) & (share < 1) & (together * -np.log(share) > SURPRISE)
    shared[target] = False
    return bool(shared.any())


def find_determinants(plans: list[ColumnPlan], sample: list[list[str]], rows: int) -> list[tuple[int, int]]:
    """Pairs (determinant, column to fill) that hold in the sample of rows, at most MOST_DETERMINANTS per column."""
    wanted, pairs = targets(plans, rows), []
    near = reach(MOST_PAIRS, len(wanted))
    if not wanted or len(sample[0]) < LEAST_SUPPORT:
        return []
    able = [index for index, plan in enumerate(plans)
            if not plan.key and plan.distinct <= min(0.5 * rows, LARGEST_LOOKUP)]
    codes = {index: numbered(sample[index]) for index in {*able, *wanted}}
    for target in wanted:
        counts = np.bincount(codes[target], minlength=2)[1:]
        top = counts.max() / max(1, counts.sum())
        found = []
        for determinant in able[max(0, bisect(able, target) - near):bisect(able, target) + near]:
            if determinant == target or top == 1:
                continue
            confidence, support = agreement(codes[determinant], codes[target])
            lift = (confidence - top) / (1 - top)
            if support >= LEAST_SUPPORT and confidence >= LEAST_CONFIDENCE and lift >= LEAST_LIFT:
                found.append((-confidence, plans[determinant].distinct, determinant))
        pairs += [(determinant, target) for _, _, determinant in sorted(found)[:MOST_DETERMINANTS]]
    return pairs


def numbered(cells: list[str]) -> np.ndarray:
    """The cells as numbers, int64: 0 is blank, equal cells have equal numbers."""
    numbers = {"": 0}
    return np.array([numbers.setdefault(cell, len(numbers)) for cell in cells], np.int64)


def agreement(determinant: np.ndarray, values: np.ndarray) -> tuple[float, int]:
    """(how often a second row with the same determinant has the group's usual value, rows in groups of two or more).

    determinant, values: as of `numbered`.
    """
    known = (determinant > 0) & (values > 0)
    most = int(values.max(initial=0)) + 1
    pair, count = np.unique(determinant[known] * most + values[known], return_counts=True)
    if not len(pair):
        return 0.0, 0
    group = pair // most
    first = np.append(0, np.flatnonzero(group[1:] != group[:-1]) + 1)
    sizes, usual = np.add.reduceat(count, first), np.maximum.reduceat(count, first)
    others = int((sizes - 1).sum())
    return (float((usual - 1).sum() / others) if others else 0.0), int(sizes[sizes > 1].sum())


class PairCounts:
    """How often each value stands beside each determinant value, for the pairs found; merges in any order."""

    def __init__(self, pairs: list[tuple[int, int]]):
        self.pairs = pairs
        self.counts: list[Counter] = [Counter() for _ in pairs]

    def add(self, columns: list[list[str]]) -> None:
        """Local: count the rows of a chunk, given column by column."""
        for (determinant, target), counts in zip(self.pairs, self.counts):
            counts.update((key, value) for key, value in zip(columns[determinant], columns[target]) if key and value)

    def merge(self, world) -> None:
        """Collective: afterwards every rank has the counts of all. Messages: this rank's counts to every rank."""
        message = self.to_message()
        self.counts = [Counter() for _ in self.pairs]
        for other in world.allgather(message):
            self.absorb(other)

    def to_message(self) -> list:
        """All there is, for `absorb`."""
        return [[[key, value, number] for (key, value), number in counts.items()] for counts in self.counts]

    def absorb(self, message: list) -> None:
        """Local: counts in what another one says."""
        for counts, entries in zip(self.counts, message):
            for key, value, number in entries:
                counts[key, value] += number

    def lookup(self, pair: int) -> dict[str, tuple[str, float]]:
        """Determinant value -> (value, confidence) where at least two rows and nine in ten agree."""
        groups: dict[str, list[tuple[int, str]]] = {}
        for (key, value), number in self.counts[pair].items():
            groups.setdefault(key, []).append((-number, value))
        table = {}
        for key, entries in groups.items():
            most, value = min(entries)
            share = most / sum(number for number, _ in entries)
            if most <= -2 and share >= 0.9:
                table[key] = (value, round(share * (1 - 1 / (1 - 2 * most)), 3))
        return table


def plan_fills(plans: list[ColumnPlan], survey: Survey, sample: list[list[str]], counts: PairCounts) -> list[Fill]:
    """One Fill per column with blanks that may be filled."""
    fills, wanted = [], targets(plans, survey.rows)
    blank = np.array([[not cell for cell in cells] for cells in sample], bool).reshape(len(sample), -1)
    near = reach(NEAR_PAIRS, len(wanted))
    for target in wanted:
        start = max(0, target - near)
        if blank_together(blank[start:target + near + 1], target - start):
            continue
        fill = Fill(target, [(determinant, counts.lookup(pair))
                             for pair, (determinant, column) in enumerate(counts.pairs) if column == target])
        fill.predict = plans[target].kind not in ("integer", "decimal") or not _are_numbers_of_things(sample[target])
        _add_usual_value(fill, plans[target], survey, sample[target])
        fills.append(fill)
    return fills


def has_middle(plan: ColumnPlan, summary) -> bool:
    """Whether the numbers of a column measure something, as fractions do: no dates and numbers of documents, no whole
    numbers that are nearly all different."""
    if plan.kind == "decimal" and any(summary.forms[form] for form in FRACTIONS):
        return True
    if summary.narrowest_integer == summary.widest_integer >= CODE_DIGITS:
        return False   # 19461224 or 6532949
    return plan.distinct <= NEARLY_UNIQUE * summary.filled


def _are_numbers_of_things(sample: list[str]) -> bool:
    """Whether nearly all cells are long numbers of as many digits, mostly different, and no rounder than by chance.

    So are numbers of cards and accounts of which some are misspelt, but hardly prices and populations."""
    cells = [cell for cell in sample if cell]
    lengths = Counter(len(cell) for cell in cells if cell.isdecimal())
    if not lengths or len(set(cells)) < MOST_DISTINCT * len(cells):
        return False
    (digits, usual), = lengths.most_common(1)
    rounded = sum(cell.endswith("0") for cell in cells)
    return digits > CODE_DIGITS and usual >= SAME_DIGITS * len(cells) and rounded <= ROUNDED * len(cells)


def _add_usual_value(fill: Fill, plan: ColumnPlan, survey: Survey, sample: list[str]) -> None:
    summary = survey.columns[fill.column]
    if plan.kind in ("integer", "decimal"):
        if not fill.predict or not has_middle(plan, summary):
            return
        read = dict(zip(sample, formats.canonical(plan, sample)))
        numbers = sorted((cell for cell in sample if read[cell]), key=lambda cell: (float(read[cell]), cell))
        if numbers:
            fill.value, fill.rule = numbers[(len(numbers) - 1) // 2], "median"
            fill.confidence = round(numbers.count(fill.value) / len(numbers), 3)
        return
    values = summary.values
    if values is None or plan.kind == "date" or CODE_NAMES & set(words_of(plan.name)):
        return
    counts: Counter[str] = Counter()
    for cell, number in values.items():
        rewritten = formats.rewrite(plan, cell)
        counts[rewritten[0] if rewritten else cell] += number
    del counts[""]
    total = sum(counts.values())
    if len(counts) > MOST_DISTINCT * total:
        return   # names, mostly different: none of them is usual
    value = min(counts, key=lambda cell: (-counts[cell], cell), default="")
    if value and counts[value] >= max(2, LEAST_SURE * total):
        fill.value, fill.rule, fill.confidence = value, "mode", round(counts[value] / total, 3)


def apply(fills: list[Fill], columns: list[list[str]], names: list[str]) -> list[tuple[int, int, str, str, float]]:
    """Fills blanks in place; returns (row, column, rule, value, confidence), "" for a blank that is only flagged.

    Only what was there before decides.
    """
    before = list(columns)
    changes = []
    for fill in fills:
        cells = list(columns[fill.column])
        blanks = [row for row, cell in enumerate(cells) if not cell.strip()]
        guesses = dict(zip(blanks, fill.model.predict(before, blanks))) if fill.model and blanks else {}
        for row in blanks:
            value, rule, confidence = fill.value, f"missing: {fill.rule}", fill.confidence
            for determinant, table in fill.lookups:
                if before[determinant][row] in table:
                    value, confidence = table[before[determinant][row]]
                    rule = f"missing: {names[determinant]} -> {names[fill.column]}"
                    break
            else:
                if guesses:
                    value, rule, confidence = guesses[row], "missing: predicted", fill.model.confidence
            if value and confidence < fill.least:
                changes.append((row, fill.column, f"flag: {rule}", "", confidence))
            elif value:
                cells[row] = value
                changes.append((row, fill.column, rule, value, confidence))
        columns[fill.column] = cells
    return changes
