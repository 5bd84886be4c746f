"""Numbers with something around them: `12.0 oz.`, `$4.50`, `8/10`, `1 hr. 35 min.`; one notation for a column.

What stands around a number is its affix, written with # for the number: `# oz`, `$#`. The affix of most cells is
usual, or none is; another one is rewritten where it means the same, or the factor between both is known.
"""

import re
from collections import Counter

import numpy as np

LEAST_SHARE, LEAST_NUMBERS, RARE, COVER, USUAL, LEAST_SEEN = 0.9, 20, 0.005, 0.95, 0.5, 3
MOST_APART = 4.0
"""Of medians of numbers with different affixes that mean the same."""
HOURS = "#h#m"
_PARTS = re.compile(r"([$\u20ac\u00a3\u00a5]?)( ?)([+-]?(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:[.,]\d+)?))"
                    r"( *)(%|[A-Za-z\u00b0\u00b5][A-Za-z. \u00b0\u00b2\u00b3-]*|/ ?\d{1,4}|[$\u20ac\u00a3\u00a5]|)")
_HOURS = re.compile(r"(\d{1,3}) *(?:h|hrs?|hours?)\.? *(?:(\d{1,2}) *(?:m|mins?|minutes?)\.?)?", re.IGNORECASE)
_SAME = {"mg": "mg milligram milligrams", "g": "g gr gram grams", "kg": "kg kgs kilo kilos kilogram kilograms",
         "mm": "mm millimeter millimeters", "cm": "cm centimeter centimeters", "m": "m meter meters metre metres",
         "km": "km kms kilometer kilometers kilometre kilometres", "ml": "ml", "cl": "cl", "l": "l liter liters litre",
         "s": "s sec secs second seconds", "min": "min mins minute minutes", "h": "h hr hrs hour hours"}
_NAMES = {name: unit for unit, names in _SAME.items() for name in names.split()}
_SIZES = {"mg": ("mass", 1), "g": ("mass", 1000), "kg": ("mass", 1_000_000), "mm": ("length", 1), "cm": ("length", 10),
          "m": ("length", 1000), "km": ("length", 1_000_000), "ml": ("volume", 1), "cl": ("volume", 10),
          "l": ("volume", 1000), "s": ("time", 1), "min": ("time", 60), "h": ("time", 3600)}
_LETTERS = frozenset("gmlhsCFVW")
"""Units of one letter; other letters behind a number are part of a code."""
_CODE = re.compile(r"\d+ ?[A-Za-z]")


def parse(cell: str) -> tuple[str, str] | None:
    """Local: (number, affix) of a cell; None for other text, codes and numbers with leading zeros."""
    match = _PARTS.fullmatch(cell)
    if not match:
        return ("", HOURS) if _HOURS.fullmatch(cell) else None
    sign, gap, number, blanks, tail = match.groups()
    plain = number.lstrip("+-")
    if (len(plain) > 1 and plain[0] == "0" and plain[1].isdigit()) or (gap and not sign) or (
            len(tail) == 1 and tail.isalpha() and tail not in _LETTERS):
        return None
    return number, f"{sign}{gap}#{' ' if blanks and tail else ''}{tail.rstrip()}"


def decide(values: Counter, filled: int) -> tuple[str, list[str], bool] | None:
    """Local: (usual affix, affixes that are rewritten in it, whether 5.0 becomes 5 by that) of a column.

    values: counts of its cells. The usual affix is "#", nothing but the number, where none has half of the cells. None
    for a column of others.
    """
    affixes: Counter[str] = Counter()
    numbers: dict[str, list[float]] = {}
    for value, number in values.items():
        found = parse(value.strip())
        if found:
            affixes[found[1]] += number
            numbers.setdefault(found[1], []).append(_minutes(value.strip()) if found[1] == HOURS else _float(found[0]))
    total = affixes.total()
    often = [affix for affix in affixes if affixes[affix] >= max(LEAST_SEEN, RARE * total)]
    if (len(often) < 2 or total < max(LEAST_NUMBERS, LEAST_SHARE * filled)
            or sum(affixes[affix] for affix in often) < COVER * total):
        return None
    if _told_by_number(often, affixes, numbers) or _letters_of_codes(values, affixes):
        return None
    usual, number = max(((affix, affixes[affix]) for affix in affixes if affix != HOURS),
                        key=lambda item: (item[1], item[0]))
    if number < USUAL * total:
        usual = "#"
    named = [affix for affix in often if _name(affix) and affix != HOURS]
    if usual == "#" and any(_factor(one, other) != 1 for one in named for other in named):
        return None   # where none is usual, all must mean the same
    middle = float(np.median(numbers[usual])) if usual in numbers else None
    wrong = []
    for affix in sorted(affixes):
        factor = _factor(affix, usual)
        if affix == usual or factor is None:
            continue
        mine = float(np.median(numbers[affix])) * factor
        if middle is not None and affix in often and not middle / MOST_APART <= mine <= middle * MOST_APART:
            return None   # other numbers: they do not mean the same
        wrong.append(affix)
    told = [affix for affix in often if affix != usual]
    shorten = not any(number.is_integer() and "." in value for value in values for found in [parse(value.strip())]
                      if found and found[1] == "#" for number in [_float(found[0])])
    return (usual, wrong, shorten) if told and set(told) <= set(wrong) else None


def rewrite(cell: str, usual: str, wrong: list[str], shorten: bool) -> str | None:
    """Local: a cell with the usual affix; None where it has it, or one that is not rewritten."""
    found = parse(cell)
    if not found or found[1] not in wrong:
        return None
    number, affix = found
    if affix == HOURS:
        number = f"{_minutes(cell):.12g}"
    else:
        factor = _factor(affix, usual)
        if factor != 1:
            number = f"{_float(number) * factor:.12g}"
        elif usual == "#" and affix[-1] != "#" and shorten:
            number = f"{_float(number):.12g}" if "," not in number else number
    return usual.replace("#", number)


def _factor(affix: str, usual: str) -> float | None:
    """By what numbers with an affix are multiplied to be those of the usual one; None: they do not mean the same."""
    if affix == HOURS:
        return 1.0 if _name(usual) in ("min", "") else None
    if {affix, usual} == {"#%", "#"}:
        return 1.0
    mine, other = _name(affix), _name(usual)
    if mine in _SIZES and other in _SIZES:
        return _SIZES[mine][1] / _SIZES[other][1] if _SIZES[mine][0] == _SIZES[other][0] else None
    if mine == other or not mine or not other:
        return 1.0
    return 1.0 if mine[0] == other[0] and mine[0].isalpha() and mine not in _SIZES and other not in _SIZES else None


def _name(affix: str) -> str:
    """The unit of an affix: `# Grams` and `#g` are g."""
    name = re.sub(r"[\s.#]", "", affix)
    return _NAMES.get(name.lower() if len(name) > 1 else name, name.lower())


def _told_by_number(often: list[str], affixes: Counter, numbers: dict[str, list[float]]) -> bool:
    """Whether the number tells the unit: 1 day, 2 days. Each number is frequent, and of one unit alone."""
    names = {_name(affix) for affix in often}
    if len(names) < len(often) or not all(map(str.isalpha, names - {""})) or HOURS in often or _sized(often):
        return False
    alone = all(set(numbers[one]).isdisjoint(numbers[other]) for one in often for other in often if one < other)
    return alone and sum(affixes[affix] for affix in often) >= LEAST_SEEN * sum(len(numbers[affix]) for affix in often)


def _letters_of_codes(values: Counter, affixes: Counter) -> bool:
    """Whether the letters behind numbers are no units more often than such: houses 12A, 12B and 12C."""
    codes = sum(number for value, number in values.items()
                if _CODE.fullmatch(value.strip()) and parse(value.strip()) is None)
    return codes > sum(number for affix, number in affixes.items() if affix.strip("# ") in _LETTERS)


def _sized(affixes: list[str]) -> bool:
    """Whether the units of affixes differ by known factors."""
    return len({_name(affix) for affix in affixes} & set(_SIZES)) > 1


def _float(number: str) -> float:
    plain = number.replace(",", "") if re.search(r",\d{3}(?!\d)", number) else number.replace(",", ".")
    return float(plain)


def _minutes(cell: str) -> float:
    hours, minutes = _HOURS.fullmatch(cell).groups()
    return 60 * int(hours) + int(minutes or 0)
