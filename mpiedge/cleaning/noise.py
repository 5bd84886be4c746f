"""Noise on values: many different ones scattered over a constant, a character that stands for others."""

import re
from collections import Counter

import numpy as np
from rapidfuzz.distance import OSA, Levenshtein

from mpiedge.cleaning.spelling import Repairs

CONSTANT_SHARE, SECOND_SHARE, LEAST_SCATTER = 0.70, 0.03, 4.0
LEAST_ABOVE = 0.05
"""Share of the scattered numbers above the constant, below which it is a limit that numbers do not exceed."""
FAR, FAR_SHARE = 4.0, 0.1
"""Times the constant, beyond which a number is no noise on it; share of such ones, from which on none is."""
WILDCARD_KINDS = 5
TIMES = 4
_NUMBER = re.compile(r"[+-]?\d*[.,]?\d+(?:[eE][+-]?\d+)?")
WORDLESS = re.compile(r"[\W_]+")


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
    found: Repairs = {value: (values[top], "constant with noise", max(confidence, 0.9))
                      for value in values if value and value != values[top] and (
                          (number is not None and _number(value) is not None) or WORDLESS.fullmatch(value)
                          or OSA.distance(value, values[top], score_cutoff=2) <= 2)}
    numbers = [(other, times) for value, times in zip(values, counts.tolist())
               if value in found and number is not None and (other := _number(value)) is not None]
    if _is_most(number, numbers):
        return {}
    far = sum(times for other, times in numbers if abs(other - number) > (FAR - 1) * abs(number))
    if far > FAR_SHARE * sum(times for _, times in numbers):   # that is no noise, but may be wrong
        return {value: (None, "flag: constant with noise", 0.75) for value in found}
    return found


def _is_most(number: float | None, others: list[tuple[float, int]]) -> bool:
    """Whether (nearly) no other number is larger: most have reached a limit, as in a study of 52 weeks."""
    above = sum(times for other, times in others if other > number)
    return bool(others) and above < LEAST_ABOVE * sum(times for _, times in others)


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
        if sign not in value or (value in known and known[value][0] is not None and known[value][2] >= 0.9
                                 and sign not in known[value][0]):
            continue
        pattern = re.compile(re.escape(value).replace(re.escape(sign), "."), re.DOTALL)
        matches = [other for other in by_length.get(len(value), ()) if pattern.fullmatch(other)]
        matches = [other for other in matches if number_of[other] >= TIMES * number_of[value] or number_of[value] <= 2]
        if len(matches) == 1:
            found[value] = (matches[0], "noise character", 0.95)
        elif matches or any(sign_.isdigit() for sign_ in value):
            found[value] = (None, "flag: noise character", 0.6)
    return found


def _number(value: str) -> float | None:
    return float(value.replace(",", ".")) if _NUMBER.fullmatch(value) else None
