"""Known damage to clean cells: typos, abbreviations, mixed formats, null words and missing cells."""

import random
from datetime import date

import numpy as np

from .draw import Draw
from .words import NULL_WORDS

MISSING = {"publisher": 0.04, "city": 0.04, "country": 0.02, "keyword_4": 0.08, "keyword_5": 0.15}
UNLABELLED = 0.5
DECIMAL_YEARS = 0.06
DATE_FORMATS = (0.70, 0.85)  # ISO 8601 up to the first bound, day/month/year up to the second, month name above
TYPO_IN_FIRST_RECORD = 0.02
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def spoil(columns: dict[str, list[str]], entity: np.ndarray, copy: np.ndarray, draw: Draw) -> None:
    """Local: damages the cells of the records (entity, copy) in place.

    Typos reach only titles and authors, so that the planted dependencies hold once formats and missing cells are put
    right. A duplicate (copy > 0) always differs from its first record in the title or the authors.
    """
    record = entity * 4 + copy
    for column, share in MISSING.items():
        words = draw.below(f"null word {column}", record, len(NULL_WORDS))
        for i in np.flatnonzero(draw.uniform(f"missing {column}", record) < share).tolist():
            columns[column][i] = NULL_WORDS[words[i]]
    for i in np.flatnonzero(draw.uniform("label", entity) < UNLABELLED).tolist():
        columns["area"][i] = ""
    for i in np.flatnonzero(draw.uniform("year format", record) < DECIMAL_YEARS).tolist():
        columns["year"][i] += ".0"
    form = np.searchsorted(DATE_FORMATS, draw.uniform("date format", record), side="right")
    for i in np.flatnonzero(form).tolist():
        day = date.fromisoformat(columns["published"][i])
        columns["published"][i] = (
            f"{day:%d/%m/%Y}" if form[i] == 1 else f"{MONTHS[day.month - 1]} {day.day}, {day.year}"
        )
    typo = (copy > 0) | (draw.uniform("first record typo", record) < TYPO_IN_FIRST_RECORD)
    seeds = draw.bits("typo", record)
    for i in np.flatnonzero(typo).tolist():
        dice = random.Random(int(seeds[i]))
        if copy[i]:
            columns["title"][i], columns["authors"][i] = _retype(columns["title"][i], columns["authors"][i], dice)
        else:
            columns["title"][i] = misspell(columns["title"][i], dice)


def misspell(text: str, dice: random.Random) -> str:
    """One typo after the first letter: a letter left out, put in, replaced, or swapped with the next one."""
    place = 1 + int(dice.random() * (len(text) - 2))
    letter = LETTERS[int(dice.random() * 26)]
    kind = int(dice.random() * 4)
    if kind == 0:
        return text[:place] + text[place + 1 :]
    if kind == 1:
        return text[:place] + letter + text[place:]
    if kind == 2:
        return text[:place] + letter + text[place + 1 :]
    return text[:place] + text[place + 1 : place + 2] + text[place] + text[place + 2 :]


def _retype(title: str, authors: str, dice: random.Random) -> tuple[str, str]:
    """Title and authors as another person would have typed them, never both as they were."""
    old = title, authors
    while (title, authors) == old:
        for _ in range(int(dice.random() * 3)):
            title = misspell(title, dice)
        if dice.random() < 0.1:
            title = title.lower()
        if dice.random() < 0.5:
            authors = "; ".join(name[0] + ". " + name.split(" ", 1)[1] for name in authors.split("; "))
        if dice.random() < 0.25:
            authors = misspell(authors, dice)
        if dice.random() < 0.1 and "; " in authors:
            authors = authors.rsplit("; ", 1)[0]
    return title, authors
