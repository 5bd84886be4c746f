"""Misspelt words inside longer values, found among all words of the column; and blanks that slipped by a letter."""

import re
from collections import Counter
from itertools import pairwise

import numpy as np

from mpiedge.cleaning.spelling import Repairs, misspelt

LEAST_LETTERS, LEAST_OFTEN, TIMES = 5, 3, 5
LEAST_HIT, FEW = 0.2, 3
"""Share of the rare words that is misspelt; of fewer misspelt words each must make a value that is known."""
MOST_WORDS = 8000
_WORD = re.compile(r"[^\W\d_]+")


def misspelt_words(values: list[str], counts: np.ndarray) -> Repairs:
    """Local: values with a misspelt word, put right word by word."""
    often: Counter[str] = Counter()
    several = 0
    for value, number in zip(values, counts.tolist()):
        words = _WORD.findall(value)
        several += number * (len(words) > 1)
        for word in set(words):
            often[word] += number
    if several < 0.2 * counts.sum() or len(often) > MOST_WORDS:
        return {}
    words = sorted(word for word in often if len(word) >= LEAST_LETTERS)
    wrong = {word: found for word, found in misspelt(words, np.array([often[word] for word in words])).items()
             if found[0] and often[found[0]] >= TIMES * often[word]}
    rare = sum(often[word] < LEAST_OFTEN for word in words)
    if len(wrong) < LEAST_HIT * rare:
        wrong = {}
    found: Repairs = {}
    known = set(values)
    for value, number in zip(values, counts.tolist()):
        met = [wrong[word] for word in _WORD.findall(value) if word in wrong]
        new = _WORD.sub(lambda word: wrong[word[0]][0] if word[0] in wrong else word[0], value) if met else value
        sure = min((confidence for *_, confidence in met), default=1.0)
        if len(wrong) < FEW and new not in known:
            new = value
        if new == value:
            new, sure = _blank_moved(value, often), 0.95
        if new != value and number <= LEAST_OFTEN:
            found[value] = (new, "typo in a word", sure)
    return found


def _blank_moved(value: str, often: Counter) -> str:
    """The value with one blank a letter further left or right, where that makes two unknown words known ones."""
    for left, right in pairwise(_WORD.finditer(value)):
        if value[left.end():right.start()] != " " or max(often[left[0]], often[right[0]]) >= LEAST_OFTEN:
            continue
        joined = left[0] + right[0]
        for cut in (len(left[0]) - 1, len(left[0]) + 1):
            if 0 < cut < len(joined) and min(often[joined[:cut]], often[joined[cut:]]) >= LEAST_OFTEN:
                return f"{value[:left.start()]}{joined[:cut]} {joined[cut:]}{value[right.end():]}"
    return value
