"""Links that are wrong all in the same way: twins (a household, works of one author) against columns that just vary.

A column that agrees in the links no better than by chance is suspect. If some links agree in all suspect columns
anyway, links are of two kinds, the same record and its twins, and the columns tell them apart; if hardly any does, the
column differs by record (a running number, a date of visit) and is better left out.

Names may be alike and yet never the same: branches of a school are called by its name and their towns. So a column of
names is suspect as well if in most links it has other words on either side, which no slip or abbreviation explains,
unless there are as many columns of names in which the links agree.

Where most links are equal in no column at all, they are neighbours (people of one family name, whose addresses hold it
too), and those that are equal somewhere tell what one record looks like when it comes twice.

One record entered twice agrees with itself more often than two records do by chance, in any column. Links that agree in
some column less often than that are parts of a whole (the pools of a club, the lines of an invoice), unless none agrees
at all, as where every record comes from two sources.
"""

from dataclasses import dataclass

import numpy as np
from rapidfuzz.distance import JaroWinkler

from mpiedge.cleaning.matching import LEVELS, MISSING_LEVEL, OWN_SHARE, generic_shape, logistic, tally
from mpiedge.cleaning.similarity import MISSING

CHANCE_EQUAL, LEAST_FILLED, LIMIT = 0.1, 0.2, 0.6
NEAR_NUMBER = 3  # the level of numbers that are nearer to each other than 97 % of random pairs
LEAST_EQUAL, LEAST_EXCESS = 3, 5.0
TWIN_CUT = 0.0
NEVER = -1000.0
LIKE_WORD = 0.85  # Jaro-Winkler: such words are one, written twice
SAMPLE = 400  # links whose names are looked at, evenly spaced
LEAST_AGREEING = 2  # columns that tell things apart and are alike in most links, when others are left out
CONTRARY, LEAST_CONTRARY = -4.0, 0.1  # standard deviations from chance; share of the links that agree all the same
NEAR_NAME = 3  # the level of names that are nearer to each other than 90 % of random pairs


@dataclass
class TwinCheck:
    """columns: the suspect ones; equal: links that agree in them; links: all; agreeing: how many other columns that
    tell things apart are alike in most links; ratio: (columns, LEVELS) ln(M/T) and log_odds of the twin class when
    there is one, else None; certain: whether another name in a suspect column is that of a twin, whatever the rest."""

    columns: list[int]
    equal: int
    links: int
    agreeing: int = 0
    ratio: np.ndarray | None = None
    log_odds: float = 0.0
    certain: bool = True

    def evidence(self, levels: np.ndarray) -> np.ndarray:
        """Local: weight of "the same record" against "its twin" for uint8 levels (columns, pairs)."""
        total = np.full(levels.shape[1], self.log_odds)
        for column, row in enumerate(levels):
            total += self.ratio[column][np.minimum(row, MISSING_LEVEL)]
        return total

    def tell_by_names(self, columns: list[int], tops: np.ndarray) -> None:
        """Local: suspect columns of words tell twins for certain: names no nearer to each other than those of nine in
        ten random pairs are two names, whatever the rest."""
        for column in columns if self.certain else ():
            self.ratio[column, :min(NEAR_NAME, tops[column])] = NEVER


def check_twins(links: np.ndarray, chance: np.ndarray, tops: np.ndarray, numbers: list[bool],
                names: dict[int, float] | None = None) -> TwinCheck | None:
    """Local: looks at the levels (columns, n) of the links against those of random pairs; None: nothing suspect.

    names: the share of links in which each column of names has other words (`renamed`), None where none has; numbers:
    which columns hold whole numbers. Of other cells only the lowest level shows nothing but chance; two whole
    numbers may be near and yet different (the next house), so that all levels below the slips do.
    """
    names, suspects, equal_rate, alike, called, contrary = names or {}, [], {}, [], [], []
    few: list[int] = []
    for column, top in enumerate(tops):
        by_chance, here = chance[column][chance[column] != MISSING], links[column][links[column] != MISSING]
        if not len(by_chance) or not links.shape[1] or len(here) < LEAST_FILLED * links.shape[1]:
            continue
        equal_rate[column] = float(np.mean(by_chance == top))
        if _less_than_chance(float(np.mean(here == top)), equal_rate[column], len(here)):
            contrary.append(column)
        levels = range(min(NEAR_NUMBER, top - 1) + 1) if numbers[column] else [0]
        if equal_rate[column] <= CHANCE_EQUAL and any(
                np.mean(here <= level) > LIMIT * np.mean(by_chance <= level) > 0 for level in levels):
            suspects.append(column)
        elif equal_rate[column] > CHANCE_EQUAL and np.mean(here == 0) > LIMIT * np.mean(by_chance == 0) > 0:
            few.append(column)
        elif equal_rate[column] <= CHANCE_EQUAL:
            if 2 * len(here) >= links.shape[1] and 2 * np.count_nonzero(here > min(NEAR_NUMBER, top - 1)) >= len(here):
                alike.append(column)
            if column in names:
                called.append(column)
    if contrary:
        return TwinCheck(contrary, 0, links.shape[1])
    somewhere = (links == np.asarray(tops)[:, None]).any(axis=0)
    if (~somewhere).sum() > LIMIT * len(somewhere):
        by_chance = 1 - float(np.prod([1 - rate for rate in equal_rate.values()]))
        check = TwinCheck([], int(somewhere.sum()), links.shape[1])
        if check.equal >= max(LEAST_EQUAL, LEAST_EXCESS * by_chance * check.links):
            _fit(check, links, tops, somewhere)
            return check
    others = [column for column in called if names[column] > LIMIT
              and np.mean(links[column][links[column] != MISSING] == tops[column]) <= CHANCE_EQUAL]
    if 2 * len(others) > len(called):
        suspects = sorted(suspects + others)
    if not suspects:
        return _told_by_few_values(links, chance, tops, few)
    agree = _agree(links, tops, suspects)
    expected = links.shape[1] * float(np.prod([equal_rate[column] for column in suspects]))
    check = TwinCheck(suspects, int(agree.sum()), links.shape[1], len(set(alike) - set(suspects)))
    if check.equal >= LEAST_EQUAL and check.equal >= LEAST_EXCESS * expected:
        _fit(check, links, tops, agree)
    return check


def _agree(levels: np.ndarray, tops: np.ndarray, columns: list[int]) -> np.ndarray:
    """Which pairs are equal in these columns wherever they are filled, and in one at least."""
    filled = levels[columns] != MISSING
    return ((levels[columns] == np.asarray(tops)[columns, None]) | ~filled).all(axis=0) & filled.any(axis=0)


def _told_by_few_values(links, chance, tops, columns: list[int]) -> TwinCheck | None:
    """The class of twins that several columns of few values tell together (strength, form and size of a medicine), if
    links agree in all of them far more often than random pairs do; else None, as such columns may just vary."""
    if len(columns) < 2:
        return None
    agree, by_chance = _agree(links, tops, columns), float(_agree(chance, tops, columns).mean())
    check = TwinCheck(columns, int(agree.sum()), links.shape[1], certain=False)
    if by_chance > CHANCE_EQUAL or check.equal < max(LEAST_EQUAL, LEAST_EXCESS * by_chance * check.links):
        return None
    _fit(check, links, tops, agree)
    return check


def _less_than_chance(share: float, chance: float, links: int) -> bool:
    """Whether links agree in a column less often than random pairs do, by more than chance explains."""
    spread = np.sqrt(chance * (1 - chance) / links)
    return share >= LEAST_CONTRARY and share - chance < CONTRARY * spread


def renamed(one: list[str], other: list[str]) -> float:
    """Local: in which share of pairs of texts either side has a word that is like none of the other's."""
    return sum(map(_other_words, one, other)) / max(len(one), 1)


def _other_words(one: str, other: str) -> bool:
    mine, theirs = set(one.split(" ")), set(other.split(" "))
    mine, theirs = mine - theirs, theirs - mine
    return any(not any(_like(word, their) for their in theirs) for word in mine) and any(
        not any(_like(word, their) for word in mine) for their in theirs)


def _like(word: str, other: str) -> bool:
    return (word.startswith(other) or other.startswith(word)
            or JaroWinkler.normalized_similarity(word, other) >= LIKE_WORD)


def _fit(check: TwinCheck, links: np.ndarray, tops: np.ndarray, agree: np.ndarray) -> None:
    """Ten rounds of EM inside the links: M the levels of one record with itself, T those of twins; at first these are
    the links that do not agree in the suspect columns."""
    shape = generic_shape(np.asarray(tops))
    exists = shape > 0

    def shares(counts):
        counts = np.where(exists, counts, 0.0)
        return counts / counts.sum(axis=1, keepdims=True)

    twin, match, share = shares(tally(links, 1.0 - agree) + 0.5), shape, min(agree.mean(), 0.5)
    for _ in range(10):
        check.ratio = np.zeros((len(tops), LEVELS))
        check.ratio[exists] = np.log(match[exists] / twin[exists])
        check.ratio[:, 0] = check.ratio[:, 1]
        check.log_odds = float(np.log(share / (1 - share)))
        same = logistic(check.evidence(links))
        share = float(np.clip(same.mean(), 1 / links.shape[1], 0.5))
        twin = shares(tally(links, 1 - same) + 0.5)
        match = (1 - OWN_SHARE) * shape + OWN_SHARE * shares(tally(links, same) + 0.5)
