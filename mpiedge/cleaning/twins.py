"""Links that are wrong all in the same way: twins (a household, works of one author) against columns that just vary.

A column that agrees in the links no better than by chance is suspect. If some links agree in all suspect columns
anyway, links are of two kinds, the same record and its twins, and the columns tell them apart; if hardly any does, the
column differs by record (a running number, a date of visit) and is better left out.
"""

from dataclasses import dataclass

import numpy as np

from mpiedge.cleaning.matching import LEVELS, MISSING_LEVEL, generic_shape, logistic, tally
from mpiedge.cleaning.similarity import MISSING

CHANCE_EQUAL, LEAST_FILLED, LIMIT = 0.1, 0.2, 0.6
LEAST_EQUAL, LEAST_EXCESS = 3, 5.0
TWIN_CUT = 2.0
NEVER = -1000.0


@dataclass
class TwinCheck:
    """columns: the suspect ones; equal: links that agree in them; links: all; ratio: (columns, LEVELS) ln(M/T) and
    log_odds of the twin class when there is one, else None."""

    columns: list[int]
    equal: int
    links: int
    ratio: np.ndarray | None = None
    log_odds: float = 0.0

    def evidence(self, levels: np.ndarray) -> np.ndarray:
        """Local: weight of "the same record" against "its twin" for uint8 levels (columns, pairs)."""
        total = np.full(levels.shape[1], self.log_odds)
        for column, row in enumerate(levels):
            total += self.ratio[column][np.minimum(row, MISSING_LEVEL)]
        return total

    def tell_by_names(self, columns: list[int], tops: np.ndarray) -> None:
        """Local: suspect columns of words tell twins for certain: one record has the same name in both rows, or one as
        near to it as the nearest of random pairs (the level below equality). Otherwise it is a twin, whatever the rest.
        """
        for column in columns:
            self.ratio[column, :tops[column] - 1] = NEVER


def check_twins(links: np.ndarray, chance: np.ndarray, tops: np.ndarray) -> TwinCheck | None:
    """Local: looks at the levels (columns, n) of the links against those of random pairs; None: nothing suspect."""
    suspects, equal_rate = [], {}
    for column, top in enumerate(tops):
        by_chance, here = chance[column][chance[column] != MISSING], links[column][links[column] != MISSING]
        if not len(by_chance) or not links.shape[1] or len(here) < LEAST_FILLED * links.shape[1]:
            continue
        equal_rate[column] = float(np.mean(by_chance == top))
        half = float(np.mean(by_chance == 0))
        if equal_rate[column] <= CHANCE_EQUAL and half > 0 and np.mean(here == 0) / half > LIMIT:
            suspects.append(column)
    if not suspects:
        return None
    filled = links[suspects] != MISSING
    agree = ((links[suspects] == np.asarray(tops)[suspects, None]) | ~filled).all(axis=0) & filled.any(axis=0)
    expected = links.shape[1] * float(np.prod([equal_rate[column] for column in suspects]))
    check = TwinCheck(suspects, int(agree.sum()), links.shape[1])
    if check.equal >= LEAST_EQUAL and check.equal >= LEAST_EXCESS * expected:
        _fit(check, links, tops)
    return check


def _fit(check: TwinCheck, links: np.ndarray, tops: np.ndarray) -> None:
    """Ten rounds of EM inside the links: M the levels of one record with itself, T those of twins."""
    shape = generic_shape(np.asarray(tops))
    exists = shape > 0

    def shares(counts):
        counts = np.where(exists, counts, 0.0)
        return counts / counts.sum(axis=1, keepdims=True)

    everyone = np.ones(links.shape[1])
    twin, match, share = shares(tally(links, everyone) + 0.5), shape, 0.05
    for _ in range(10):
        check.ratio = np.zeros((len(tops), LEVELS))
        check.ratio[exists] = np.log(match[exists] / twin[exists])
        check.ratio[:, 0] = check.ratio[:, 1]
        check.log_odds = float(np.log(share / (1 - share)))
        same = logistic(check.evidence(links))
        share = float(np.clip(same.mean(), 1 / links.shape[1], 0.5))
        twin = shares(tally(links, 1 - same) + 0.5)
        match = 0.5 * shape + 0.5 * shares(tally(links, same) + 0.5)
