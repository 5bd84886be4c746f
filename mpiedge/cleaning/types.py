"""Which kind of values a column holds, and how they are written: one decision per column from its summary."""

import re
from collections import Counter
from dataclasses import dataclass, field

from mpiedge.cleaning import units
from mpiedge.cleaning.cells import (
    DATES,
    FALSE_WORDS,
    NUMBERS,
    NUMERIC_DATES,
    TRUE_WORDS,
    WORDS_ALSO_USED_AS_TEXT,
    form_of,
    read_date,
    read_number,
)
from mpiedge.cleaning.dates import NAMED, usual_style
from mpiedge.cleaning.names import CODE_NAMES, ID_NAMES, words_of
from mpiedge.cleaning.nothing import words_for_nothing
from mpiedge.cleaning.summaries import ColumnSummary

READABLE_NULLS = ("nan", "-nan")
"""Null words that every reader of numbers knows: they stay as they are."""
WIDEST_INTEGER = 18                 # digits that always fit int64
NUMBER_SHARE, DATE_SHARE = 0.98, 0.95
LEADING_ZERO_SHARE = 0.001


@dataclass
class ColumnPlan:
    """How the cells of a column are read and written; what `plan.toml` shows of it.

    kind: as in the store. mark: decimal mark; one_mark: decimals behind the other mark are rewritten; ungroup:
    thousands are written without signs; drop_zeros: 5.0 is written 5. day_first: None where no day/month dates occur.
    date_style: the form dates are brought to ("" = left). null_words: cells that mean nothing. spellings: variant ->
    usual spelling. unit: what stands around numbers (#) instead of one of the `units` ("#" = nothing; None: numbers
    without units); shorten: 5.0 is 5 without its unit. trim: blanks at the edges are dropped. missing: blank cells once
    null words are blank. unreadable: cells not of this kind.
    """

    name: str
    kind: str = "text"
    key: bool = False
    mark: str = "."
    ungroup: bool = False
    drop_zeros: bool = False
    one_mark: bool = False
    day_first: bool | None = None
    date_style: str = ""
    null_words: list[str] = field(default_factory=list)
    spellings: dict[str, str] = field(default_factory=dict)
    trim: bool = False
    unit: str | None = None
    units: list[str] = field(default_factory=list)
    shorten: bool = False
    missing: int = 0
    unreadable: int = 0
    distinct: int = 0

    @property
    def changes_nothing(self) -> bool:
        """Whether every cell stays as it is."""
        return not (self.ungroup or self.drop_zeros or self.one_mark or self.date_style or self.null_words
                    or self.spellings or self.trim or self.unit is not None)

    def to_toml(self) -> dict:
        """The settings that differ from the plainest column."""
        plain = vars(ColumnPlan(self.name))
        return {"name": self.name, "kind": self.kind,
                **{name: value for name, value in vars(self).items() if value != plain[name] and name != "kind"}}


def is_key(name: str, summary: ColumnSummary) -> bool:
    """Whether a column names its rows: (nearly) no value twice, none missing, and called id, key or the like."""
    whole = summary.rows > 0 and summary.filled >= 0.999 * summary.rows
    return whole and bool(ID_NAMES & set(words_of(name))) and summary.distinct >= 0.9 * summary.rows


def decide(name: str, summary: ColumnSummary, key: bool = False, formats: bool = True,
           sampled: list[str] | None = None) -> ColumnPlan:
    """The plan of a column from the counts of all its cells. A key never changes; `formats` False: no cell does.

    sampled: cells of a fair sample, which serve where a column has too many values to be counted.
    """
    plan = ColumnPlan(name, key=key, missing=summary.empty, distinct=round(summary.distinct))
    forms, filled = summary.forms, summary.filled
    numbers = sum(forms[form] for form in NUMBERS)
    dates = sum(forms[form] for form in DATES)
    values = summary.values if summary.values is not None else Counter(sampled)
    code = filled and _is_code(name, summary)
    if formats and not key and not code and numbers < filled:
        _decide_unit(plan, values)
    if not filled:
        pass
    elif numbers >= (units.USUAL if plan.unit == "#" else NUMBER_SHARE) * filled and not code:
        _decide_number(plan, forms, summary)
    elif dates >= DATE_SHARE * filled:
        _decide_date(plan, summary, values)
    elif 2 * forms["short_year"] >= filled and forms["short_year"] + dates >= DATE_SHARE * filled and dates:
        _decide_short_year(plan, summary, values)
    elif summary.values is not None:
        words = {value.strip().lower() for value in summary.values} - {""} - {word.lower() for word in summary.nulls}
        if words <= TRUE_WORDS | FALSE_WORDS and words & TRUE_WORDS and words & FALSE_WORDS:
            plan.kind = "boolean"
    if plan.kind in ("integer", "decimal", "date"):
        plan.unreadable = filled - (dates if plan.kind == "date" else numbers)
    if key or not formats:
        plan.ungroup = plan.drop_zeros = plan.one_mark = False
        plan.date_style = ""
        plan.unreadable += summary.forms["null"]
        return plan
    plan.null_words = _null_words(plan, summary, values)
    plan.missing = missing(summary, plan.null_words)
    plan.unreadable += sum(number for word, number in summary.nulls.items() if word.lower() in READABLE_NULLS)
    plan.trim = 0 < summary.edge_blanks <= 0.2 * (summary.rows - summary.empty) and (
        plan.kind != "text" or _edges_divide(values))
    if plan.kind in ("text", "boolean") and summary.values is not None and plan.unit is None:
        plan.spellings = _spellings(plan, summary.values)
    return plan


def _edges_divide(values: Counter) -> bool:
    """Whether blanks at the edges make another value of the same: most values with them also stand without them.

    Behind prose and names that stand once they do no harm, and the table may have been published so.
    """
    edged = [(value, number) for value, number in values.items() if value != value.strip() != ""]
    told = sum(number for value, number in edged if value.strip() in values)
    return 2 * told > sum(number for _, number in edged)


def _decide_unit(plan: ColumnPlan, values: Counter) -> None:
    filled = sum(number for value, number in values.items() if form_of(value) not in ("empty", "null"))
    found = units.decide(values, filled)
    if found:
        plan.unit, plan.units, plan.shorten = found


def _is_code(name: str, summary: ColumnSummary) -> bool:
    zeros = summary.forms["leading_zero"]
    called_code = bool(CODE_NAMES & set(words_of(name))) and summary.forms["integer"] + zeros >= 0.9 * summary.filled
    return called_code or zeros > LEADING_ZERO_SHARE * summary.filled or summary.widest_integer > WIDEST_INTEGER


def _decide_number(plan: ColumnPlan, forms: Counter, summary: ColumnSummary) -> None:
    point = forms["point"] + forms["grouped_comma"] + forms["point_zero"]
    comma = forms["comma"] + forms["grouped_point"]
    if forms["comma_three"] and forms["point_three"] and not point and not comma:
        return   # 1,234 and 1.234: one of them is a thousand, nothing tells which
    plan.mark = "," if comma > point else "."
    grouped = forms["grouped_comma"] + forms["grouped_point"] + forms["grouped_blank"]
    grouped += forms["comma_three"] if plan.mark == "." else forms["point_three"]
    decimals = sum(forms[form] for form in NUMBERS) - forms["integer"] - grouped
    plan.ungroup = 0 < grouped < summary.long_integers
    plan.drop_zeros = 0 < forms["point_zero"] < forms["integer"] and decimals == forms["point_zero"]
    plan.kind = "decimal" if decimals and not plan.drop_zeros else "integer"
    if forms["grouped_comma"] or forms["grouped_point"] or forms["grouped_blank"]:
        plan.kind = "decimal" if plan.kind == "decimal" or _has_decimals_behind_groups(summary) else "integer"
    plan.one_mark = bool(forms["comma"] and forms["point"] + forms["point_three"] + forms["point_zero"])


def _has_decimals_behind_groups(summary: ColumnSummary) -> bool:
    if summary.values is None:
        return True
    return any(re.search(r"[ ,.]\d{3}[.,]\d+$", value) and re.search(r"[.,]\d{1,2}$|[.,]\d{4,}$", value)
               for value in summary.values)


def _decide_date(plan: ColumnPlan, summary: ColumnSummary, values: Counter) -> None:
    families = Counter({form: summary.forms[form] for form in DATES if summary.forms[form]})
    numeric = sum(families[form] for form in NUMERIC_DATES)
    if numeric:
        first, second = sum(summary.first_above_12.values()), sum(summary.second_above_12.values())
        if max(first, second) < 20 * min(first, second) or not first + second:
            return   # both orders occur, or nothing tells them apart
        plan.day_first = first > second
    plan.kind = "date"
    usual = min(families, key=lambda form: (-families[form], form))
    if len(families) > 1 or (numeric and min(first, second)):   # some days with their month first, or the reverse
        plan.date_style = usual if usual.startswith(("ymd", "dmy")) else "ymd_dash"
        if usual in NAMED and 2 * families[usual] >= families.total():
            plan.date_style = usual_style(values, usual, bool(plan.day_first)) or "ymd_dash"


def _decide_short_year(plan: ColumnPlan, summary: ColumnSummary, values: Counter) -> None:
    """Days with years of two digits stay text, as nothing tells the century; other notations become such days."""
    days = [re.split(r"\D", value.strip()) for value in values if form_of(value) == "short_year"]
    first, second = (sum(int(day[place]) > 12 for day in days) for place in (0, 1))
    if not any(summary.forms[form] for form in NUMERIC_DATES) and max(first, second) >= 20 * max(1, min(first, second)):
        plan.day_first = first > second
        plan.date_style = usual_style(values, "short_year", plan.day_first)


def missing(summary: ColumnSummary, null_words: list[str]) -> int:
    """Blank cells of a column once its null words are blank. Of those not counted each counts once."""
    return summary.empty + sum(summary.nulls[word] or (1 if summary.values is None else summary.values[word])
                               for word in null_words)


def _null_words(plan: ColumnPlan, summary: ColumnSummary, values: Counter) -> list[str]:
    if plan.kind in ("integer", "decimal", "date"):
        words = {word for word in summary.nulls if word.lower() not in READABLE_NULLS}
        named = ID_NAMES & set(words_of(plan.name))
        return sorted(words | set([] if named else words_for_nothing(values, lambda cell: _measure(plan, cell))))
    return sorted(word for word, number in summary.nulls.items()
                  if word.lower() not in WORDS_ALSO_USED_AS_TEXT and number <= summary.empty)


def share_null_words(plans: list[ColumnPlan], summaries: list[ColumnSummary]) -> None:
    """Local: what is written for nothing among the numbers and days of a table stands for nothing among its words, too.

    Not where it looks like most of them: NA among codes of countries is Namibia.
    """
    shared = {word for plan in plans if plan.kind in ("integer", "decimal", "date") for word in plan.null_words
              if word.lower() not in WORDS_ALSO_USED_AS_TEXT and form_of(word) == "null"}
    for plan, summary in zip(plans, summaries):
        words = shared & set(summary.nulls) - set(plan.null_words)
        if plan.kind not in ("text", "boolean") or plan.key or not words or summary.values is None:
            continue
        shapes: Counter[str] = Counter()
        for value, number in summary.values.items():
            shapes[_shape(value)] += number
        alike = {word for word in words if 2 * (shapes[_shape(word)] - summary.nulls[word]) >= summary.filled}
        plan.null_words = sorted({*plan.null_words, *words - alike})
        plan.missing = missing(summary, plan.null_words)


def _shape(word: str) -> str:
    return re.sub("[a-z]", "a", re.sub("[A-Z]", "A", word.strip()))


def _measure(plan: ColumnPlan, cell: str) -> float | None:
    if plan.kind == "date":
        found = read_date(cell, bool(plan.day_first))
        return found[0].toordinal() if found else None
    return read_number(cell, plan.mark)


def _spellings(plan: ColumnPlan, values: Counter) -> dict[str, str]:
    """Variants in case or blanks of a far commoner spelling: five times for case, as often for blanks."""
    groups: dict[str, list[str]] = {}
    for value in values:
        text = " ".join(value.split())
        if len(text) > 2 or plan.kind == "boolean":
            meaning = _truth(text) if plan.kind == "boolean" else text.casefold()
            groups.setdefault(meaning, []).append(value)
    spellings = {}
    for variants in groups.values():
        if len(variants) < 2 or not variants[0].strip():
            continue
        usual = min(variants, key=lambda value: (-values[value], value))
        for value in variants:
            same_letters = "".join(value.split()) == "".join(usual.split())
            times = 1 if same_letters else 5
            if value != usual and value == value.strip() and values[usual] >= times * values[value]:
                spellings[value] = usual
    return dict(sorted(spellings.items()))


def _truth(text: str) -> str:
    return "true" if text.lower() in TRUE_WORDS else "false" if text.lower() in FALSE_WORDS else text
