"""How days are written with months by name or years of two digits: `11 October 1994`, `Oct 11, 1994`, `1/5/94`.

A style is such a day with its parts named: D or DD, M or MM, mon or month in their capitals, YY or YYYY.
"""

import re
from collections import Counter
from datetime import date

from mpiedge.cleaning.cells import form_of

_NAMES = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
          "december")
_PARTS = re.compile(r"[A-Za-z]+|\d+")
NAMED = ("month_first", "month_second", "short_year")


def usual_style(values: Counter, form: str, day_first: bool) -> str:
    """Local: the commonest style of the cells of a form (see `NAMED`), "" without any."""
    styles: Counter[str] = Counter()
    wide: dict[str, list[bool]] = {}
    for value, number in values.items():
        text = value.strip()
        if form_of(text) == form:
            style = style_of(text, form, day_first)
            plain = style.replace("DD", "D").replace("MM", "M")
            styles[plain] += number * ("may" not in text.lower())   # it is as long as its abbreviation
            for place, part in enumerate(("DD", "MM")):   # 12 is two digits in any style; a 5 written so is one in D
                wide.setdefault(plain, [True, True])[place] &= part in style
    usual = min(styles, key=lambda style: (-styles[style], style), default="")
    for part, padded in zip("DM", wide.get(usual, ())):
        usual = re.sub(rf"\b{part}\b", part * 2, usual) if padded else usual
    return usual


def form_of_style(style: str) -> str:
    """Local: the form of the days that are written in a style."""
    named = re.search("mon", style, re.IGNORECASE)
    return "short_year" if not named else "month_first" if named.start() == 0 else "month_second"


def style_of(text: str, form: str, day_first: bool) -> str:
    """Local: the style of a day."""
    month_first = form == "month_first" or (form == "short_year" and not day_first)
    seen = iter("MDY" if month_first else "DMY")

    def name(match):
        word, part = match[0], next(seen, "")
        if part == "M" and word.isalpha():
            return _cased("month" if word.lower() in _NAMES and len(word) > 3 else "mon", word)
        return part * (4 if part == "Y" and len(word) == 4 else min(2, len(word)))
    return _PARTS.sub(name, text, count=3)


def write(day: date, style: str) -> str:
    """Local: a day in a style."""
    def part(match):
        word = match[0]
        if word.lower() in ("mon", "month"):
            name = _NAMES[day.month - 1]
            return _cased(name[:3] if word.lower() == "mon" else name, word)
        number = {"D": day.day, "M": day.month, "Y": day.year if len(word) > 2 else day.year % 100}[word[0]]
        return f"{number:0{len(word)}d}"
    return re.sub(r"[A-Za-z]+", part, style)


def _cased(word: str, like: str) -> str:
    return word.upper() if like.isupper() else word.capitalize() if like[0].isupper() else word
