"""Missing cells: looked up where a column decides, else predicted, else the usual value, else left blank."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from mpiedge.cleaning import formats
from mpiedge.cleaning.survey import Survey
from mpiedge.cleaning.types import CODE_NAMES, ID_NAMES, ColumnPlan, words_of

MOST_MISSING = 0.4
"""A column with more blanks is left alone: labels and remarks are given for a part of the rows on purpose."""
LEAST_SURE = 0.5
"""Words that would be wrong more often than right are not filled in."""
MOST_DISTINCT = 0.5
LEAST_CONFIDENCE = 0.95
LEAST_LIFT = 0.85
LEAST_SUPPORT = 20
MOST_DETERMINANTS = 2
LARGEST_LOOKUP = 50_000
CODE_DIGITS = 6
TOGETHER, SURPRISE = 0.9, 7.0
"""Share of the blanks that another column shares, and minus the logarithm of the odds that chance does that."""
NEARLY_UNIQUE = 0.9
"""Share of different values from which on numbers have no usual one."""


@dataclass
class Fill:
    """How the blanks of one column are filled.

    lookups: [(determinant column, {its value: (value, confidence)})], the most trusted first. value: the usual one, ""
    where none is filled in; rule: "mode" or "median". predict: whether the other columns may tell; model: a
    `predict.Model` where they do, which then goes before the usual value. least: values less sure than this are not
    filled in.
    """

    column: int
    lookups: list[tuple[int, dict[str, tuple[str, float]]]] = field(default_factory=list)
    value: str = ""
    rule: str = ""
    confidence: float = 0.0
    predict: bool = True
    model: object = None
    least: float = 0.0


def canonical_sample(plans: list[ColumnPlan], survey: Survey) -> list[list[str]]:
    """The sampled rows column by column, formats applied."""
    columns = list(zip(*(cells for _, cells in survey.sample))) or [()] * len(plans)
    return [formats.apply(plan, list(cells))[0] for plan, cells in zip(plans, columns)]


def targets(plans: list[ColumnPlan], rows: int) -> list[int]:
    """Columns whose blanks may be filled: some are missing but not too many, and the column names no row or thing."""
    return [index for index, plan in enumerate(plans)
            if 0 < plan.missing <= MOST_MISSING * rows and not plan.key and not ID_NAMES & set(words_of(plan.name))]


def blank_together(plans: list[ColumnPlan], sample: list[list[str]], target: int) -> bool:
    """Whether a column is blank (nearly) only where another one is: that is how the things are, not what was lost."""
    blank = np.array([not cell for cell in sample[target]], dtype=bool)
    number = int(blank.sum())
    for other, cells in enumerate(sample):
        if other == target or not plans[other].missing or not number:
            continue
        missing = np.array([not cell for cell in cells], dtype=bool)
        together, share = int((blank & missing).sum()), float(missing.mean())
        if together >= TOGETHER * number and share < 1 and together * np.log(1 / share) > SURPRISE:
            return True
    return False


def find_determinants(plans: list[ColumnPlan], sample: list[list[str]], rows: int) -> list[tuple[int, int]]:
    """Pairs (determinant, column to fill) that hold in the sample of rows, at most MOST_DETERMINANTS per column."""
    pairs = []
    for target in targets(plans, rows):
        values = sample[target]
        usual = Counter(filter(None, values)).most_common(1)
        top = usual[0][1] / sum(map(bool, values)) if usual else 1.0
        found = []
        for determinant, plan in enumerate(plans):
            if determinant == target or plan.key or plan.distinct > min(0.5 * rows, LARGEST_LOOKUP):
                continue
            confidence, support = agreement(sample[determinant], values)
            lift = (confidence - top) / (1 - top) if top < 1 else 0.0
            if support >= LEAST_SUPPORT and confidence >= LEAST_CONFIDENCE and lift >= LEAST_LIFT:
                found.append((-confidence, plan.distinct, determinant))
        pairs += [(determinant, target) for _, _, determinant in sorted(found)[:MOST_DETERMINANTS]]
    return pairs


def agreement(determinant: list[str], values: list[str]) -> tuple[float, int]:
    """(how often a second row with the same determinant has the group's usual value, rows in groups of two or more)."""
    groups: dict[str, Counter] = {}
    for key, value in zip(determinant, values):
        if key and value:
            groups.setdefault(key, Counter())[value] += 1
    sizes = [(max(group.values()), sum(group.values())) for group in groups.values()]
    support = sum(size for _, size in sizes if size > 1)
    others = sum(size - 1 for _, size in sizes)
    return (sum(most - 1 for most, _ in sizes) / others if others else 0.0), support


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
    fills = []
    for target in targets(plans, survey.rows):
        if blank_together(plans, sample, target):
            continue
        fill = Fill(target, [(determinant, counts.lookup(pair))
                             for pair, (determinant, column) in enumerate(counts.pairs) if column == target])
        _add_usual_value(fill, plans[target], survey, sample[target])
        fills.append(fill)
    return fills


def has_middle(plan: ColumnPlan, summary) -> bool:
    """Whether the numbers of a column measure something: no dates and numbers of documents, not nearly all different.
    """
    if plan.kind == "integer" and summary.narrowest_integer == summary.widest_integer >= CODE_DIGITS:
        return False   # 19461224 or 6532949
    return plan.distinct <= NEARLY_UNIQUE * summary.filled


def _add_usual_value(fill: Fill, plan: ColumnPlan, survey: Survey, sample: list[str]) -> None:
    summary = survey.columns[fill.column]
    if plan.kind in ("integer", "decimal"):
        if not has_middle(plan, summary):
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
