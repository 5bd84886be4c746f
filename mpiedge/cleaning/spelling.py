"""Misspelt values of a column: rare ones an edit away from a far commoner one, where chance does not explain that.

How sure a repair is follows from counts. The values that occur often are right and show how often two right values of
this column are an edit of this kind apart, as states and sizes are; so many of the rare ones are right as well. Only
where far more rare values lie near a common one than that, they are misspelt.
"""

import re
from collections import Counter, defaultdict

import numpy as np
from rapidfuzz import process
from rapidfuzz.distance import OSA, Levenshtein

TIMES, TIMES_FAR, TIMES_LONG = 4, 8, 2
LEAST_FREQUENT, LEAST_FREQUENT_LONG = 3, 2
LONG, SHORT, FAR_FROM = 10, 3, 7
"""Letters of a value from which on a smaller majority is enough, below which all is doubtful, and from which on two
edits count."""
MOST_ALIKE_SHORT = 0.6
FAR_COMMONER = 50
MOST_OF_ONE_EDIT = 5
"""Values with the very same edit, from which on it is no slip."""
NUMBER = r"[+-]?[\d.,]+"
STRENGTH = 3.0
LEAST_SURE, LEAST_SURE_TIE = 0.65, 0.85
DOUBT = {"swap": 0.06, "indel": 0.1, "replace": 0.2, "two": 0.3}
FOREIGN_DOUBT, SHORT_DOUBT = 0.06, 0.3
LEAST_HIT, LEAST_HIT_SHORT = 0.06, 0.4
MOST_FREQUENT = 1500
KNOWN_WORD = 20
"""A word is no misspelling of another one that is not more than so many times as frequent."""
_WORD = re.compile(r"\w+")
MOST_PAIRS = 30_000_000
TILE = 500

Repairs = dict[str, tuple[str | None, str, float]]
"""Wrong value -> (right value, rule, confidence); None: the value is only flagged."""


def misspelt(values: list[str], counts: np.ndarray) -> Repairs:
    """Local: the misspelt values among the distinct values of a column ("" = blank), given how often each occurs."""
    number = dict(zip(values, counts.tolist()))
    frequent = sorted((value for value in values if value and number[value] >= (
        LEAST_FREQUENT_LONG if len(value) >= LONG else LEAST_FREQUENT)), key=lambda value: (-number[value], value))
    most = max((number[value] for value in frequent), default=0)
    rare = [value for value in values if value and number[value] * TIMES_LONG <= most]
    if not frequent or not rare or len(frequent) * len(rare) > MOST_PAIRS:
        return {}
    near = _of_other_words(_near(rare, frequent, number), number)
    pairs = _without_systems(_scattered(_slips(near, frequent), number))
    right = [value for value in frequent if value not in pairs][:MOST_FREQUENT]
    alphabet = set("".join(right))
    usual = _kinds_between(right, alphabet)
    known = set(right)
    alone = [value for value in rare if value not in known]
    sound = sum(value not in pairs for value in alone)
    seen = Counter(_kind(value, found[0][1], alphabet) for value, found in pairs.items())
    repairs: Repairs = {}
    for value, found in pairs.items():
        distance, best = found[0]
        if best in pairs and OSA.distance(value, pairs[best][0][1]) <= 2:
            best = pairs[best][0][1]   # both are misspellings of it
        kind = _kind(value, best, alphabet)
        if kind[0] == "digits":
            continue   # other numbers
        share = min(1.0, (usual[kind] + (0.25 if len(right) > 1 else 0)) / max(1, len(right)))
        expected = share * max(sound / (1.001 - share) if share < 0.9 else 0, share * len(alone))
        doubt = _doubt(kind, len(best))
        sure = 1 - (doubt * STRENGTH + expected) / (seen[kind] + STRENGTH)
        if sure < LEAST_SURE:
            continue
        tie = any(other[0] == distance and number[other[1]] * 2 >= number[best] for other in found[1:]
                  if other[1] != best)
        if tie and sure < LEAST_SURE_TIE:
            continue
        repairs[value] = (None, "flag: near two values", 0.7) if tie else (best, "typo", round(min(0.98, sure), 3))
    short = {value for value in repairs if len(pairs[value][0][1]) <= SHORT}
    few = [value for value in alone if number[value] < LEAST_FREQUENT or value in pairs]
    if len(short) < LEAST_HIT_SHORT * sum(len(value) <= SHORT + 2 for value in few):
        repairs = {value: repair for value, repair in repairs.items() if value not in short}
    return repairs if len(repairs) >= LEAST_HIT * len(few) else {}


def _near(rare: list[str], frequent: list[str], number: dict[str, int]) -> dict[str, list[tuple[int, str]]]:
    """Rare value -> (distance, common value), the nearest and commonest first."""
    often, size = (np.array(list(map(of, frequent))) for of in (number.get, len))
    once = np.where(size >= LONG, TIMES_LONG, TIMES)
    found = defaultdict(list)
    for start in range(0, len(rare), TILE):
        some = rare[start:start + TILE]
        tile = process.cdist(some, frequent, scorer=OSA.distance, score_cutoff=2, dtype=np.uint8)
        rows, places = np.nonzero((tile <= 2) & (tile > 0))
        distance = tile[rows, places]
        mine, mine_size = (np.array(list(map(of, some)))[rows] for of in (number.get, len))
        close = (often[places] >= mine * np.where(distance == 2, TIMES_FAR, once[places])) & (
            (distance == 1) | (np.minimum(mine_size, size[places]) >= FAR_FROM))
        for row, place, edits in zip(rows[close].tolist(), places[close].tolist(), distance[close].tolist()):
            found[some[row]].append((edits, frequent[place]))
    return {value: sorted(near, key=lambda pair: (pair[0], -number[pair[1]], pair[1])) for value, near in found.items()}


def _slips(pairs, frequent: list[str]):
    """Pairs without those that tell two right values apart."""
    alphabet = set("".join(value for value in frequent if value not in pairs))
    slips = {value: [pair for pair in found if not _tells_apart(value, pair[1], _kind(value, pair[1], alphabet))]
             for value, found in pairs.items()}
    return {value: found for value, found in slips.items() if found}


def _of_other_words(pairs, number: dict[str, int]):
    """Pairs without those that differ by a word that other values have as well: `William Hall`, `William Hill`."""
    often: Counter[str] = Counter()
    for value, times in number.items():
        if " " in value:
            for word in set(_WORD.findall(value)):
                often[word] += times
    found = {}
    for value, near in pairs.items():
        kept = []
        for distance, other in near:
            start, _, _ = _edit(value, other)
            mine, right = _word_at(value, start), _word_at(other, start)
            alone = often[mine] - number[value]
            if " " not in value or alone < LEAST_FREQUENT or alone * KNOWN_WORD < often[right]:
                kept.append((distance, other))
        if kept:
            found[value] = kept
    return found


def _scattered(pairs, number):
    """Pairs without the values that are too frequent to be one slip of many."""
    slips = defaultdict(int)
    for value, found in pairs.items():
        slips[found[0][1]] += number[value]
    return {value: found for value, found in pairs.items()
            if number[value] <= max(2, slips[found[0][1]] * _most_alike(len(found[0][1])),
                                     number[found[0][1]] / FAR_COMMONER if len(found[0][1]) > SHORT else 0)}


def _most_alike(letters: int) -> float:
    """Share of the slips of a value that one of them may have: the longer a word, the more there are."""
    return MOST_ALIKE_SHORT if letters <= SHORT else 1.2 / (letters - 1)


def _without_systems(pairs):
    """Pairs without those whose edit, letter for letter, is that of many others: `ak_1` and `al_1`."""
    edits = {value: _edit(value, found[0][1])[1:] for value, found in pairs.items()}
    of_right = defaultdict(set)
    for value, edit in edits.items():
        of_right[edit].add(pairs[value][0][1])
    return {value: found for value, found in pairs.items()
            if len(of_right[edits[value]]) < max(MOST_OF_ONE_EDIT, 0.1 * len(pairs))}


def _kinds_between(right: list[str], alphabet: set[str]) -> Counter:
    """Kind of edit -> how many of these values have another one that far away; but for edits of digits.

    So values are compared with those of the same digits only: of a column of numbered things with none at all.
    """
    kinds: Counter = Counter()
    alike = defaultdict(list)
    for value in right:
        alike["".join(filter(str.isdigit, value))].append(value)
    for group in alike.values():
        for start in range(0, len(group) if len(group) > 1 else 0, TILE):
            tile = process.cdist(group[start:start + TILE], group, scorer=OSA.distance, score_cutoff=2, dtype=np.uint8)
            for one, row in zip(group[start:start + TILE], tile):
                near = [(int(row[at]), group[at]) for at in np.flatnonzero((row <= 2) & (row > 0)).tolist()]
                kinds.update({_kind(one, other, alphabet) for distance, other in near
                              if distance == 1 or min(len(one), len(other)) >= FAR_FROM})
    return kinds


def _kind(value: str, right: str, alphabet: set[str]) -> tuple:
    """What lies between two values: operation, classes of the characters, whether the word is short."""
    start, mine, other = _edit(value, right)
    if any(map(str.isdigit, mine + other)):
        return ("digits",)
    short = len(_word_at(right, start)) <= SHORT
    if len(mine) == len(other) == 2 and mine == other[::-1]:
        return ("swap", short)
    if len(mine) > 1 or len(other) > 1:
        edits = sorted({(edit.tag == "replace") for edit in Levenshtein.editops(value, right)})
        return ("two", tuple(edits), short)
    if mine.lower() == other.lower():
        return ("case", short)
    if mine and mine not in alphabet and not (short and (other or not mine.isalpha())):
        return ("indel" if not other else "replace", "foreign", short)
    classes = tuple(sorted(_class(sign) for sign in (mine, other) if sign))
    return ("indel" if not mine or not other else "replace", classes, short)


def _tells_apart(value: str, right: str, kind: tuple) -> bool:
    """Whether right values differ by such an edit: a letter or sign more, less or another in a word of few letters.

    Grades and the short words that name one of several (`Ward A`, `Ward B`, `A+`, `World War II`) are no prose: nothing
    in them says which letter is wrong. Letters that changed places do, and letters that the column has nowhere else.
    """
    start, mine, other = _edit(value, right)
    alone = len(right) <= SHORT
    if kind[0] == "swap" or not (alone or (len(_word_at(right, start)) < SHORT and kind[0] != "two")):
        return False
    if kind[0] != "indel":
        return True
    letter = (mine + other).isalpha()
    return letter != alone and not (letter and kind[1] == "foreign")


def is_slip(value: str, right: str) -> bool:
    """Whether a value can be a misspelling of another one: two edits at most that make no other number of a number."""
    if OSA.distance(value, right, score_cutoff=2) > 2 or len(right) <= 2:
        return False
    _, mine, other = _edit(value, right)
    changed = any(map(str.isdigit, mine)), any(map(str.isdigit, other))
    return not all(changed) and not (any(changed) and re.fullmatch(NUMBER, value) and re.fullmatch(NUMBER, right))


def _edit(value: str, right: str) -> tuple[int, str, str]:
    """Where two values begin to differ, and what stands there in each."""
    start = 0
    while start < min(len(value), len(right)) and value[start] == right[start]:
        start += 1
    stop = 0
    while stop < min(len(value), len(right)) - start and value[-1 - stop] == right[-1 - stop]:
        stop += 1
    mine, other = value[start:len(value) - stop], right[start:len(right) - stop]
    return start, mine, other


def _word_at(text: str, place: int) -> str:
    start = stop = min(place, len(text) - 1)
    while start > 0 and text[start - 1].isalnum():
        start -= 1
    while stop < len(text) and text[stop].isalnum():
        stop += 1
    return text[start:stop]


def _class(sign: str) -> str:
    return "a" if sign.isalpha() else sign


def _doubt(kind: tuple, letters: int) -> float:
    """How often a repair of this kind is wrong when nothing else is known."""
    if letters <= SHORT:
        return SHORT_DOUBT
    doubt = FOREIGN_DOUBT if "foreign" in kind else DOUBT.get(kind[0], 0.3)
    return doubt * (0.5 if letters >= LONG else 1.0 if letters > 5 else 1.5)
