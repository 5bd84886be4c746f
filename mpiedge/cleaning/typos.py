"""Wrong values seen from their column alone: noise on a constant, rare spellings of common values, broken patterns."""

import re
from collections import Counter

import numpy as np
from rapidfuzz import process
from rapidfuzz.distance import OSA, Levenshtein

MOST_VALUES = 8000
"""Distinct values of a column in which rare spellings are looked for."""
CONSTANT_SHARE, SECOND_SHARE, LEAST_SCATTER = 0.70, 0.03, 4.0
FEW_SHARE, FEW_COVER, RARE_SHARE, FEW_NEAR = 0.04, 0.65, 0.03, 0.4
LEAST_FREQUENT, TIMES, TIMES_FAR, LEAST_HIT = 3, 4, 8, 0.06
SHAPE_SHARE, SHAPE_COVER, DIGIT_SHARE = 0.05, 0.7, 0.8
SEVEN_LETTERS = 7
MOST_ALIKE = 5
"""Values that differ from common ones by the same pair of letters: from here on they are other things, not typos."""
WILDCARD_KINDS = 5
_NUMBER = re.compile(r"[+-]?\d*[.,]?\d+(?:[eE][+-]?\d+)?")
_WORDLESS = re.compile(r"[\W_]+")

Repairs = dict[str, tuple[str | None, str, float]]
"""Wrong value -> (right value, rule, confidence); None: the value is only flagged."""


def find_repairs(values: list[str], counts: np.ndarray, is_text: bool) -> Repairs:
    """Local: the wrong values of a column, from its distinct values and how often each occurs ("" = blank)."""
    found = constant_with_noise(values, counts)
    if is_text and 1 < len(values) <= MOST_VALUES:
        for step in (few_valued, rare_spellings, broken_patterns):
            found = {**step(values, counts), **found}
    return {value: repair for value, repair in found.items() if value and repair[0] != value}


def constant_with_noise(values, counts) -> Repairs:
    """A column of one value, with many different ones scattered over it."""
    total, top = int(counts.sum()), int(np.argmax(counts)) if len(counts) else 0
    if not total or len(values) < 3 or not values[top] or counts[top] < max(10, CONSTANT_SHARE * total):
        return {}
    others = np.delete(counts, top).astype(float)
    scattered = others.sum() ** 2 / (others**2).sum()
    number = _number(values[top])
    if others.max() > SECOND_SHARE * total or number == 0 or scattered < max(LEAST_SCATTER, 0.15 * others.sum()):
        return {}
    confidence = round(float(counts[top] / total), 3)
    return {value: (values[top], "constant with noise", max(confidence, 0.9))
            for value in values if value and value != values[top] and (
                (number is not None and _number(value) is not None) or _WORDLESS.fullmatch(value)
                or OSA.distance(value, values[top], score_cutoff=2) <= 2)}


def few_valued(values, counts) -> Repairs:
    """A column of few values, and rare ones that are nearly one of them."""
    total = int(sum(number for value, number in zip(values, counts) if value))
    usual = [value for value, number in zip(values, counts) if value and number >= max(3, FEW_SHARE * total)]
    covered = sum(number for value, number in zip(values, counts) if value in set(usual))
    rare = [value for value, number in zip(values, counts) if value and number <= RARE_SHARE * total]
    if not usual or not rare or covered < FEW_COVER * total:
        return {}
    found, near, usual_edits = {}, 0, _edits_between(usual)
    for value in rare:
        allowed = 2 if len(value) >= SEVEN_LETTERS else 1
        distances = sorted((OSA.distance(value, other, score_cutoff=allowed), other) for other in usual)
        if (distances[0][0] > allowed or _digits(value) != _digits(distances[0][1])
                or usual_edits & _edit_kinds(value, distances[0][1])):
            continue
        near += 1
        tie = len(distances) > 1 and distances[1][0] == distances[0][0]
        if len(distances[0][1]) > 2 or len(value) > 3:
            found[value] = (None, "flag: near two values", 0.5) if tie else (distances[0][1], "typo", 0.93)
    return found if near >= FEW_NEAR * len(rare) else {}


def rare_spellings(values, counts) -> Repairs:
    """Rare values one or two edits from a far commoner one, unless such pairs are usual in the column."""
    number_of = dict(zip(values, counts.tolist()))
    frequent = [value for value in values if value and number_of[value] >= LEAST_FREQUENT and len(value) > 3]
    rare = [value for value in values if value and len(value) > 3
            and number_of[value] * TIMES <= max(number_of.values())]
    if not frequent or not rare or len(frequent) * len(rare) > 30_000_000:
        return {}
    usual_edits = _edits_between(frequent)
    found, pairs = {}, Counter()
    for start in range(0, len(rare), 500):
        tile = process.cdist(rare[start:start + 500], frequent, scorer=OSA.distance, score_cutoff=2, dtype=np.uint8)
        for place, row in enumerate(tile):
            value = rare[start + place]
            candidates = [(int(row[at]), -number_of[frequent[at]], frequent[at]) for at in np.flatnonzero(row <= 2)
                          if frequent[at] != value]
            best = min((one for one in candidates if -one[1] >= number_of[value] * (
                TIMES if one[0] == 1 else TIMES_FAR)), default=None)
            if best is None or (best[0] == 2 and len(value) < SEVEN_LETTERS):
                continue
            edits = _edit_kinds(value, best[2])
            if _digits(value) != _digits(best[2]) or edits & usual_edits:
                continue
            pairs.update(edits)
            tie = sum(one[0] == best[0] and -one[1] * 2 >= -best[1] for one in candidates) > 1
            found[value] = (None, "flag: near two values", 0.5) if tie else (
                best[2], "typo", 0.95 if best[0] == 1 else 0.9)
    swaps = Counter(pair for value, (right, _, _) in found.items() if right for pair in _letter_pairs(value, right))
    usual_swaps = {pair for pair, number in swaps.items() if number >= MOST_ALIKE and number > 0.3 * len(found)}
    found = {value: repair for value, repair in found.items()
             if not repair[0] or not usual_swaps & _letter_pairs(value, repair[0])}
    rare_alone = sum(number_of[value] < LEAST_FREQUENT for value in rare)
    return found if len(found) >= LEAST_HIT * max(1, rare_alone) else {}


def _edits_between(frequent: list[str]) -> set:
    """Kinds of single edits by which frequent values differ: there such an edit tells two things apart."""
    kinds = set()
    some = frequent[:1500]
    for start in range(0, len(some), 500):
        tile = process.cdist(some[start:start + 500], some, scorer=OSA.distance, score_cutoff=1, dtype=np.uint8)
        for left, right in zip(*np.nonzero(tile == 1)):
            kinds |= _edit_kinds(some[start + left], some[right])
    return kinds


def _edit_kinds(left: str, right: str) -> set:
    """What the edits between two values are: operation and class of the characters."""
    kinds = set()
    for edit in Levenshtein.editops(left, right):
        one = left[edit.src_pos] if edit.src_pos < len(left) and edit.tag != "insert" else ""
        other = right[edit.dest_pos] if edit.dest_pos < len(right) and edit.tag != "delete" else ""
        kinds.add((edit.tag if edit.tag == "replace" else "insert", *sorted((_class(one), _class(other)))))
    return kinds


def _letter_pairs(value: str, right: str) -> set:
    """The letters that stand for others, as pairs."""
    return {tuple(sorted((value[edit.src_pos], right[edit.dest_pos]))) for edit in Levenshtein.editops(value, right)
            if edit.tag == "replace"}


def _class(sign: str) -> str:
    return "" if not sign else "9" if sign.isdigit() else "a" if sign.isalpha() else sign


def broken_patterns(values, counts) -> Repairs:
    """Cells of digits and signs in a shape of their own, a deletion or a swap away from a usual shape."""
    shapes: Counter[str] = Counter()
    total = digits = 0
    for value, number in zip(values, counts.tolist()):
        if value:
            total += number
            digits += number * any(map(str.isdigit, value))
            shapes[_shape(value)] += number
    usual = {shape for shape, number in shapes.items() if number >= SHAPE_SHARE * total}
    if not total or digits < DIGIT_SHARE * total or sum(shapes[shape] for shape in usual) < SHAPE_COVER * total:
        return {}
    found: Repairs = {}
    for value, number in zip(values, counts.tolist()):
        shape = _shape(value)
        if not value or shape in usual or shapes[shape] > 0.01 * total or number > 2:
            continue
        if min(Levenshtein.distance(shape, other, score_cutoff=2) for other in usual) > 2:
            continue
        ways = {value[:at] + value[at + 1:] for at, sign in enumerate(value) if not sign.isdigit()}
        ways |= {value[:at] + value[at + 1] + value[at] + value[at + 2:] for at in range(len(value) - 1)}
        fitting = {way for way in ways if _shape(way) in usual}
        found[value] = (fitting.pop(), "pattern", 0.9) if len(fitting) == 1 else (None, "flag: pattern", 0.6)
    return found if len(found) <= 0.2 * len(values) else {}


def _shape(value: str) -> str:
    return re.sub(r"[^\W\d_]", "a", re.sub(r"\d", "9", value))


def noise_character(repairs: list[Repairs]) -> str:
    """The character that stands for five different ones or more in at least half of the repairs, "" if none does."""
    stands_for: dict[str, set] = {}
    used: Counter[str] = Counter()
    total = 0
    for found in repairs:
        for value, (right, _, _) in found.items():
            edits = Levenshtein.editops(value, right) if right else []
            if right and all(edit.tag == "replace" for edit in edits):
                total += 1
                for sign in {value[edit.src_pos] for edit in edits}:
                    used[sign] += 1
                for edit in edits:
                    stands_for.setdefault(value[edit.src_pos], set()).add(right[edit.dest_pos])
    for sign, number in used.most_common(1):
        if len(stands_for[sign]) >= WILDCARD_KINDS and 2 * number >= total >= 10:
            return sign
    return ""


def with_wildcard(values, counts, sign: str, known: Repairs) -> Repairs:
    """Values that hold the noise character, matched with it as a wildcard: the only match repairs, several are flagged.
    """
    number_of = dict(zip(values, counts.tolist()))
    sound = {value for value in values if value and sign not in value}
    by_length: dict[int, list[str]] = {}
    for value in sound:
        by_length.setdefault(len(value), []).append(value)
    found: Repairs = {}
    for value in values:
        if sign not in value or (value in known and known[value][0] is not None) or number_of[value] > 2:
            continue
        pattern = re.compile(re.escape(value).replace(re.escape(sign), "."), re.DOTALL)
        matches = [other for other in by_length.get(len(value), ()) if pattern.fullmatch(other)]
        if len(matches) == 1:
            found[value] = (matches[0], "noise character", 0.95)
        elif matches or any(sign_.isdigit() for sign_ in value):
            found[value] = (None, "flag: noise character", 0.6)
    return found


def _digits(value: str) -> str:
    return "".join(filter(str.isdigit, value))


def _number(value: str) -> float | None:
    return float(value.replace(",", ".")) if _NUMBER.fullmatch(value) else None
