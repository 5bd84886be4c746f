"""Many sources tell of the same things: what the better ones agree on is taken for true (Dong et al. 2009).

A table in which each row is what one source says of one entity (a flight and the site that lists it) holds every fact
many times. Where sources differ, each votes with a weight by how often it agrees with the outcome; weights
and outcomes are found in turn. Values that differ in their notation only are one claim. Only tables in which cells are
missing or notations differ are taken for such: where all is tidy, what differs may be as it is (prices of shops).
"""

import re
from collections import Counter
from dataclasses import dataclass
from functools import cache

import numpy as np

from mpiedge.cleaning.dependencies import mine
from mpiedge.cleaning.patterns import shape_of

LEAST_ENTITIES, LEAST_CLAIMS, LEAST_COVERED = 20, 5, 0.8
FEWEST_SOURCES, MOST_SOURCES, LEAST_ONCE = 3, 200, 0.95
LEAST_COLUMNS, LEAST_LIFT, FURTHER_LIFT, LEAST_ERROR = 2, 0.4, 0.2, 0.05
"""Two columns of facts show what is entity and what is source; in further ones they may agree less."""
LEAST_DIFFERENT = 0.5
"""So many of the entities have a usual value of their own: few values that all share are opinions, not facts."""
LEAST_UNTIDY = 0.02
"""So many cells of these columns are missing or in another notation than the same claim elsewhere."""
ROUNDS, LEAST_WEIGHT, MOST_WEIGHT, STRONG = 6, 0.05, 4.0, 4.0
NEAR = 0.8
"""A value with so much of the weight of the best one may be right as well."""
TRUST, SUREST = 0.5, 0.99
"""Sources copy from each other: so much of the evidence counts."""
TIME = re.compile(r"(?<!\d)(\d{1,2}):(\d\d)(?::\d\d)?(?!\d)\s*([ap])?", re.IGNORECASE)
NOTHING = re.compile(r"[\W_]+")


@dataclass
class Claims:
    """What sources say of entities: entity, source: columns; facts: per further column {entity: (value, confidence)},
    and near: the other values that may be right as well."""

    entity: int
    source: int
    facts: dict[int, dict[str, tuple[str, float]]]
    near: dict[int, dict[str, list[str]]]

    def to_message(self) -> dict:
        """Local: what travels between ranks."""
        return {"entity": self.entity, "source": self.source, "columns": list(self.facts),
                "facts": [[[entity, value, sure, self.near[column].get(entity, [])]
                           for entity, (value, sure) in facts.items()] for column, facts in self.facts.items()]}

    @classmethod
    def from_message(cls, message: dict) -> "Claims":
        """Local: the inverse of `to_message`."""
        facts, near = {}, {}
        for column, rows in zip(message["columns"], message["facts"]):
            facts[column] = {entity: (value, float(sure)) for entity, value, sure, _ in rows}
            near[column] = {entity: list(others) for entity, _, _, others in rows if others}
        return cls(message["entity"], message["source"], facts, near)

    def judge(self, columns: list[list[str]]) -> list[tuple[int, int, str, float]]:
        """Local: [(row, column, value, confidence)] of the cells that differ from what the sources agree on."""
        found = []
        for column, facts in sorted(self.facts.items()):
            near = self.near[column]
            for row, (entity, cell) in enumerate(zip(columns[self.entity], columns[column])):
                fact = facts.get(entity)
                if fact and cell != fact[0] and cell not in near.get(entity, ()):
                    found.append((row, column, *fact))
        return found


def key_of(value: str) -> str:
    """Local: what a value says, whatever its notation: its time of day, if it has just one, else its letters and
    digits."""
    times = TIME.findall(value)
    if len(times) != 1:
        return NOTHING.sub(" ", value).strip().casefold() or value
    hours, minutes, half = times[0]
    hours = int(hours) % 12 + 12 * (half.lower() == "p") if half else int(hours)
    return f"{hours}:{minutes}"


def find_claims(codes: list[np.ndarray], values: list[list[str]], open_: list[int], names: list[int]) -> Claims | None:
    """Local: the claims of the sources of a table, from codes of its rows (0 = blank); None without sources.

    open_: columns that may be changed; names: columns that may hold the names of sources.
    """
    best: tuple[int, int, list[int]] = (0, 0, [])
    keys = cache(lambda place: _keys(codes[place], values[place]))   # most tables have no sources
    for source in names:
        if not FEWEST_SOURCES <= len(np.unique(codes[source][codes[source] > 0])) <= MOST_SOURCES:
            continue
        for entity in range(len(values)):
            if entity != source and _told_once(codes[entity], codes[source]):
                facts = [place for place in open_ if place not in (entity, source)
                         and _is_disputed(codes[entity], codes[source], keys(place))]
                best = max(best, (entity, source, facts), key=lambda found: len(found[2]))
    entity, source, facts = best
    if len(facts) >= LEAST_COLUMNS:
        facts = [place for place in open_ if place not in (entity, source)
                 and _is_disputed(codes[entity], codes[source], keys(place), FURTHER_LIFT)]
    if len(facts) < LEAST_COLUMNS or not _are_untidy(codes, keys, entity, facts):
        return None
    told = [_Told(codes[entity], codes[source], keys(place)) for place in facts]
    weights, claims = _weights(told), Claims(entity, source, {}, {})
    for place, one, weight in zip(facts, told, weights):
        claims.facts[place], claims.near[place] = {}, {}
        for number, text, sure, others in _agreed(one, weight, codes[place], values[place]):
            claims.facts[place][values[entity][number]] = text, sure
            if others:
                claims.near[place][values[entity][number]] = others
    return claims


def _keys(codes: np.ndarray, values: list[str]) -> np.ndarray:
    """The codes of what cells say (0 = blank)."""
    known: dict[str, int] = {"": 0}
    return np.array([known.setdefault(key_of(value) if value else "", len(known)) for value in values])[codes]


def _told_once(entity: np.ndarray, source: np.ndarray) -> bool:
    """Whether most rows are of entities of which several sources tell, each of them once."""
    there = (entity > 0) & (source > 0)
    sizes = np.bincount(entity[there])
    often = sizes >= LEAST_CLAIMS
    if often.sum() < LEAST_ENTITIES or sizes[often].sum() < LEAST_COVERED * len(entity):
        return False
    if np.count_nonzero(sizes) * int(source.max()) < LEAST_ONCE * sizes.sum():
        return False  # more rows than pairs: not worth counting them
    _, times = np.unique(entity[there] * (source.max() + 1) + source[there], return_counts=True)
    return (times == 1).sum() >= LEAST_ONCE * times.sum()


def _is_disputed(entity: np.ndarray, source: np.ndarray, key: np.ndarray, least: float = LEAST_LIFT) -> bool:
    """Whether a column holds facts of the entities that sources tell differently."""
    rule, by_source = mine(0, 1, entity, key, 0, 0), mine(0, 1, source, key, 0, 0)
    if rule is None or rule.lift < least or rule.error < LEAST_ERROR:
        return False
    usual = rule.top[rule.top >= 0]
    return (by_source is None or by_source.lift < rule.lift) and len(np.unique(usual)) >= LEAST_DIFFERENT * len(usual)


def _are_untidy(codes: list[np.ndarray], keys, entity: int, facts: list[int]) -> bool:
    """Whether the columns have many blank cells, or many in another notation than the commonest of the same claim."""
    untidy = 0
    for place in facts:
        claim = codes[entity] * (keys(place).max() + 1) + keys(place)
        _, claim = np.unique(claim, return_inverse=True)
        texts, times = np.unique(claim * (codes[place].max() + 1) + codes[place], return_counts=True)
        usual = np.zeros(claim.max() + 1, np.int64)
        np.maximum.at(usual, texts // (codes[place].max() + 1), times)
        untidy += len(claim) - int(usual[np.unique(claim[keys(place) > 0])].sum())  # the blank ones are among the rest
    return untidy >= LEAST_UNTIDY * len(facts) * len(codes[entity])


class _Told:
    """The claims about one column: rows, and for each its source and its claim: a pair of entity and key."""

    def __init__(self, entity: np.ndarray, source: np.ndarray, key: np.ndarray):
        self.rows = np.flatnonzero((entity > 0) & (source > 0) & (key > 0))
        width = int(key.max(initial=0)) + 1
        pairs, self.claim = np.unique(entity[self.rows] * width + key[self.rows], return_inverse=True)
        self.entity, self.source, self.sources = pairs // width, source[self.rows], int(source.max()) + 1

    def ranked(self, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The claims by entity, the heaviest first; the weight of each claim."""
        heavy = np.bincount(self.claim, weights=weight[self.source], minlength=len(self.entity))
        return np.lexsort((np.arange(len(heavy)), -heavy, self.entity)), heavy


def _weights(told: list[_Told]) -> list[np.ndarray]:
    """Per column the weight of each source: the log odds of its agreeing with what all agree on, in that column and, as
    far as it says little there, in all."""
    weights = [np.ones(one.sources) for one in told]
    claimed = [np.bincount(one.source, minlength=one.sources) for one in told]
    for _ in range(ROUNDS):
        right = []
        for one, weight in zip(told, weights):
            order, _ = one.ranked(weight)
            wins = np.zeros(len(one.entity), bool)
            wins[order[np.r_[True, np.diff(one.entity[order]) > 0]]] = True
            right.append(np.bincount(one.source, weights=wins[one.claim], minlength=one.sources))
        overall = (sum(right) + 1) / (sum(claimed) + 2)
        shares = [(good + STRONG * overall) / (every + STRONG) for good, every in zip(right, claimed)]
        weights = [np.clip(np.log(share / (1 - share)), LEAST_WEIGHT, MOST_WEIGHT) for share in shares]
    return weights


def _agreed(told: _Told, weight: np.ndarray, codes: np.ndarray, values: list[str]):
    """Yields (code of the entity, value, confidence, other values that may be right) of every entity of a column.

    Of a claim in several notations that is taken which is the commonest in the column, then in the entity."""
    order, heavy = told.ranked(weight)
    times = np.bincount(told.claim, minlength=len(told.entity))
    shapes = Counter(shape_of(values[code]) for code in codes[told.rows].tolist())
    texts: list[Counter[str]] = [Counter() for _ in told.entity]
    for claim, code in zip(told.claim.tolist(), codes[told.rows].tolist()):
        texts[claim][values[code]] += 1
    for claims in np.split(order, np.flatnonzero(np.diff(told.entity[order])) + 1):
        first, *others = claims.tolist()
        rival = heavy[others[0]] if others else 0.0
        sure = 1 / (1 + np.exp(-TRUST * (heavy[first] - rival)))
        share = (times[first] / times[claims].sum() + heavy[first] / heavy[claims].sum()) / 2
        sure = min(sure, 1 - (1 - share) ** 2)  # those who tell a rumour agree with each other too
        value = max(texts[first], key=lambda text: (shapes[shape_of(text)], texts[first][text], text))
        near = [text for other in others if heavy[other] >= NEAR * heavy[first] for text in sorted(texts[other])]
        yield int(told.entity[first]), value, round(float(min(sure, SUREST)), 3), near
