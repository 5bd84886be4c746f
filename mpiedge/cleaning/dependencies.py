"""Approximate dependencies between columns as repair rules: A -> B holds nearly everywhere, so the rest is suspect.

Rules are mined on the dirty table itself. A cell changes only where its group is sure, the old value has no support
from other rules, two rules agree (or one is nearly exact, or the old value is a misspelling), and no third column
explains the exceptions.
"""

import re
from dataclasses import dataclass

import numpy as np

from mpiedge.cleaning.spelling import is_slip

LEAST_GROUP, LEAST_GROUPS = 3, 10
LEAST_LIFT, WITHIN_BEST, EXACT_LIFT = 0.85, 0.15, 0.95
OWN_SHARE, SUPPORT_TIMES = 0.05, 1.5
EXPLAINED, LEAST_EXPLAINED_ROWS = 0.7, 3
MOST_CHANGED = 0.5
FEW, LARGE, CORROBORATED, DOUBTFUL = 5, 50, 3, 0.7
SINGLE_SHARE, LEAST_SINGLE, LEAST_TELLING = 0.9, 10, 4
MOST_LISTED = 100
_LIST = re.compile("[;,|/]")
MOST_RULES = 12
"""Rules for one column, the best ones."""


@dataclass
class Rule:
    """lhs -> rhs on codes: for each lhs code the commonest rhs code, its count, the group's size; counts of all pairs.

    keys: sorted int64 lhs * width + rhs; numbers: how often each occurs. lift: how much better than guessing the
    commonest value, by leaving one row out. error: median share of a group that differs from its commonest value.
    singular: exceptions stand alone in their groups, as slips do; what has changed in truth is another value twice.
    """

    lhs: int
    rhs: int
    width: int
    top: np.ndarray
    top_count: np.ndarray
    size: np.ndarray
    keys: np.ndarray
    numbers: np.ndarray
    confidence: float
    lift: float
    error: float
    singular: bool

    @property
    def groups(self) -> int:
        """Number of groups that say anything."""
        return int((self.size >= LEAST_GROUP).sum())

    def told(self) -> np.ndarray:
        """Local: the rhs codes that the groups of a rule say."""
        return np.unique(self.top[self.size >= LEAST_GROUP])

    def own_count(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Local: how often each pair of codes occurs together."""
        key = left.astype(np.int64) * self.width + right
        place = np.minimum(np.searchsorted(self.keys, key), len(self.keys) - 1)
        return np.where(self.keys[place] == key, self.numbers[place], 0)


def mine(lhs: int, rhs: int, left: np.ndarray, right: np.ndarray, blank_left: int, blank_right: int) -> Rule | None:
    """Local: the rule lhs -> rhs from two columns of codes; None when its groups say nothing."""
    filled = (left != blank_left) & (right != blank_right)
    width, height = int(right.max(initial=0)) + 1, int(left.max(initial=0)) + 1
    keys, numbers = np.unique(left[filled].astype(np.int64) * width + right[filled], return_counts=True)
    if not len(keys):
        return None
    group, value = keys // width, keys % width
    size = np.bincount(group, weights=numbers, minlength=height).astype(np.int64)
    order = np.lexsort((value, -numbers, group))
    first = order[np.r_[True, group[order][1:] != group[order][:-1]]]
    top, top_count = np.full(height, -1, np.int64), np.zeros(height, np.int64)
    top[group[first]], top_count[group[first]] = value[first], numbers[first]
    told = size >= LEAST_GROUP
    rows = int(size[told].sum())
    if rows < max(20, 0.2 * len(left)):
        return None
    confidence = float(top_count[told & (top_count > 1)].sum()) / rows
    shares = np.bincount(value, weights=numbers)
    usual = float(shares.max() / shares.sum())
    lift = (confidence - usual) / (1 - usual) if usual < 1 else 0.0
    error = float(np.median(1 - top_count[told] / size[told]))
    odd = numbers[(size[group] >= LEAST_TELLING) & (value != top[group])]
    singular = len(odd) >= LEAST_SINGLE and bool((odd == 1).sum() >= SINGLE_SHARE * len(odd))
    return Rule(lhs, rhs, width, top, top_count, size, keys, numbers, confidence, lift, error, singular)


def best_rules(rules: list[Rule]) -> list[Rule]:
    """Local: of the rules for one column those near the best, at most MOST_RULES."""
    rules = sorted((rule for rule in rules if rule.lift >= LEAST_LIFT), key=lambda rule: (-rule.lift, rule.lhs))
    return [rule for rule in rules if rule.lift >= rules[0].lift - WITHIN_BEST][:MOST_RULES]


def judge(rules: list[Rule], codes: dict[int, np.ndarray], values: list[str], given: bool = False,
          blanks: bool = False):
    """Local: [(row, new code, confidence, lhs, weak)] of the cells of one column that its rules vote down.

    weak: the cell may be right and that of the rule's left wrong: its value is told elsewhere, and by few groups, as of
    two classes that nearly always agree.

    codes: column -> codes of the rows, -1 for values never seen; values: the dictionary of the column judged.
    given: the rules are those of a person; blanks: blank cells are wrong, not only missing.
    """
    if not rules:
        return []
    old = codes[rules[0].rhs]
    verdicts = []
    for rule in rules:
        left = codes[rule.lhs]
        known = (left >= 0) & (left < len(rule.top)) & (
            old >= (0 if blanks else 1))
        at = np.where(known, left, 0)
        own = np.where(known, rule.own_count(at, np.maximum(old, 0)), 0)
        size, top_count = rule.size[at], rule.top_count[at]
        told = known & (size >= LEAST_GROUP) & (rule.top[at] >= 0)
        loses = told & (rule.top[at] != old) & (top_count >= 2 * np.maximum(own, 1)) & (
            own - 1 <= max(OWN_SHARE, 1.5 * rule.error) * size)
        verdicts.append((told & (rule.top[at] == old), loses, rule.top[at], top_count, size))
    suspects = np.flatnonzero(np.any([loses for _, loses, *_ in verdicts], axis=0))
    found, alone = [], {}
    for row in suspects.tolist():
        votes: dict[int, list[int]] = {}
        support = support_lift = 0.0
        for number, (agrees, loses, top, count, _) in enumerate(verdicts):
            if loses[row]:
                votes.setdefault(int(top[row]), []).append(number)
            elif agrees[row]:
                support += rules[number].lift * np.log(count[row])
                support_lift = max(support_lift, rules[number].lift)
        weight = {value: sum(rules[number].lift * np.log(verdicts[number][3][row]) for number in numbers)
                  for value, numbers in votes.items()}
        best = min(weight, key=lambda value: (-weight[value], value))
        if weight[best] <= SUPPORT_TIMES * support or _is_zero(values[best]) or not values[best]:
            continue
        numbers = votes[best]
        near = is_slip(values[old[row]], values[best])
        sure = max(rules[number].lift for number in numbers)
        if sure <= support_lift and not near and not given:
            continue   # the best rule of all agrees with what stands there
        if len(numbers) < 2 and sure < EXACT_LIFT and not near and not given:
            continue
        doubt = min(_doubt(rules[number], verdicts[number][3][row], verdicts[number][4][row]) for number in numbers)
        doubt = max(0.01, doubt * (0.5 if len(numbers) > 1 else 1.0) * (0.5 if near else 1.0))
        chief = max(numbers, key=lambda number: (rules[number].lift, -rules[number].lhs))
        contested = support and len(numbers) < 2   # one rule against another: either cell on the left may be wrong
        if not near and not given and (contested or _tells_more(values[old[row]], values[best])):
            doubt = max(doubt, 1 - DOUBTFUL)
        if not near and not given and len(numbers) < CORROBORATED:
            alone[row, best] = max(verdicts[number][3][row] for number in numbers)
        weak = not near and not given and max(rules[number].groups for number in numbers) < LEAST_GROUPS and any(
            np.isin(old[row], rules[number].told()) for number in numbers)
        found.append((row, best, round(float(1 - doubt), 3), rules[chief].lhs, weak))
    if len(alone) >= FEW or not alone:
        return found
    # Few cells that break a rule may be as they are: only where many rows speak against each it is changed.
    return [(row, best, sure if alone.get((row, best), LARGE) >= LARGE else round(min(sure, DOUBTFUL), 3), *rest)
            for row, best, sure, *rest in found]


def _doubt(rule: Rule, count: int, size: int) -> float:
    """How little `count` equal cells of a group say of another one."""
    return 1 - rule.confidence * (1 - 0.5 / count if rule.singular else (count - 0.5) / size)


def excused(rows: list[int], codes: dict[int, np.ndarray], rhs: int) -> list[tuple[int, int]]:
    """Local: (column, code) in whose rows exceptions are the usual thing: there they are legitimate."""
    found = []
    if len(rows) < LEAST_EXPLAINED_ROWS:
        return found
    for column, of_rows in codes.items():
        if column == rhs:
            continue
        total = np.bincount(of_rows[of_rows >= 0])
        picked = of_rows[rows]
        here = np.bincount(picked[picked >= 0], minlength=len(total))
        found += [(column, int(code)) for code in np.flatnonzero(
            (total >= LEAST_EXPLAINED_ROWS) & (here >= EXPLAINED * total))]
    return found


def _tells_more(old: str, new: str) -> bool:
    """Whether a value is a list of several, and another one of them: `Spain; France` and `Spain`."""
    return new in (part.strip() for part in _LIST.split(old)[:MOST_LISTED])


def _is_zero(value: str) -> bool:
    return bool(value) and not value.strip("0.,+-%")
