"""Rules between two columns: which pairs are tried, one task for each column that may follow from others."""

import re
from collections.abc import Sequence

import numpy as np

from mpiedge.cleaning import dependencies
from mpiedge.cleaning.cells import form_of
from mpiedge.cleaning.known import Known

MOST_PAIRS = 10_000
"""Pairs of columns between which rules are looked for: in a wider table chance finds more rules than there are, so only
those that are given are tried."""
MOST_LEFT, MOST_RIGHT = 0.5, 0.9
"""Different values of a column that decides others and of one that is decided, over the rows."""
CLASS_SHARE, FEW_CLASSES = 0.01, 5
"""A column of fewer values that are not rare is one of classes."""
DAY = re.compile(r"\d{4}[-/.]\d\d?[-/.]\d\d?(?!\d)|\d\d?[-/.]\d\d?[-/.]\d{2,4}(?!\d)")


def learn_rules(stage, known: Known, codes: list[np.ndarray], counts: list[np.ndarray], plans, open_: list[int],
                planned: list[dict] | None) -> None:
    """Collective: the rules between columns, from codes of the sampled rows.

    counts: how often each value of a column occurs. planned: the rules of a plan, None without one.
    """
    search = _Search(known, codes, counts, plans, open_, planned)
    done = stage.queue.gather(stage.queue.run([(rhs,) for rhs in search.right], search.judge, learn=False,
                                              name="rules mined", kept="rules"))
    for (rhs,), result in sorted(done, key=lambda pair: pair[0]):
        if result is not None:
            known.rules[rhs] = sorted(search.rules(rhs, result["lhs"]), key=lambda rule: (-rule.lift, rule.lhs))
            known.excused[rhs] = [tuple(pair) for pair in result["excused"]]


class _Search:
    """Which columns may decide which, and what the sampled rows say of that.

    left, right: the columns that may stand there. measured: columns of numbers and days; fractions: of decimals;
    classes: those of few values. chosen: the (lhs, rhs) of a plan, None without one.
    """

    def __init__(self, known: Known, codes, counts, plans, open_: list[int], planned: list[dict] | None):
        self.known, self.codes, self.rows = known, codes, len(codes[0])
        self.chosen = None if planned is None else {(*rule["lhs"], rule["rhs"]) for rule in planned}
        self.fractions = {place for place, plan in enumerate(plans) if plan.kind == "decimal"}
        self.measured = {place for place, plan in enumerate(plans) if plan.kind in ("decimal", "integer", "date")
                         or _is_dated(known.values[place])}
        distinct = [int(np.count_nonzero(number)) for number in counts]
        self.left = [place for place in range(len(codes)) if 1 < distinct[place] <= MOST_LEFT * self.rows]
        self.right = [place for place in open_ if 1 < distinct[place] <= MOST_RIGHT * self.rows]
        self.classes = {place for place in self.right
                        if np.count_nonzero(counts[place] >= CLASS_SHARE * self.rows) < FEW_CLASSES}
        if len(self.left) * len(self.right) > MOST_PAIRS:
            self.right = sorted({rhs for _, rhs in known.given} & set(self.right))
            self.left = sorted({lhs for lhs, _ in known.given} & set(self.left))

    def judge(self, task: tuple[int]) -> dict | None:
        """Local: the left-hand sides of the rules for a column, and where their exceptions are legitimate; None where
        no cell breaks them, or too many do."""
        (rhs,) = task
        given = [lhs for lhs, target in sorted(self.known.given) if target == rhs]
        rules = self.rules(rhs, given) if given else dependencies.best_rules(
            [rule for rule in self.rules(rhs, self.left) if rule.lhs < len(self.known.names)])
        every = dict(enumerate(self.codes))
        found = dependencies.judge(rules, every, self.known.values[rhs].all(), bool(given),
                                   "" in self.known.repairs.get(rhs, {}))
        if not found or len(found) > dependencies.MOST_CHANGED * self.rows:
            return None
        return {"lhs": [rule.lhs for rule in rules],
                "excused": dependencies.excused([row for row, *_ in found], every, rhs)}

    def rules(self, rhs: int, wanted: list[int]) -> list[dependencies.Rule]:
        """Local: the rules for a column that begin with some others and may be looked for."""
        found = [dependencies.mine(lhs, rhs, self.codes[lhs], self.codes[rhs], 0, 0) for lhs in self.left
                 if lhs in wanted and self._may_decide(lhs, rhs)]
        return [rule for rule in found if rule is not None]

    def _may_decide(self, lhs: int, rhs: int) -> bool:
        """Numbers and dates determine each other by accident, and so does a number one of few classes: no such rules,
        nor any by what is measured to fractions, but those that are given."""
        names, known = self.known.names, self.known
        if lhs == rhs or (lhs >= len(names) and rhs in known.joined[lhs - len(names)]):
            return False
        if (lhs, rhs) in known.given:
            return True
        if lhs in self.fractions or (lhs in self.measured and (rhs in self.measured or rhs in self.classes)):
            return False
        return self.chosen is None or (lhs < len(names) and (names[lhs], names[rhs]) in self.chosen)


def _is_dated(values: Sequence) -> bool:
    """Whether most values are times of day or begin with a day, whatever follows."""
    some = [value for value in values[:1000] if value]
    return sum(bool(DAY.match(value) or form_of(value) == "time") for value in some) > 0.8 * len(some)
