"""Which kind of values a column holds: counts that merge in any order, and one decision per column from them."""

import re
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from mpiedge.cleaning import units
from mpiedge.cleaning.cells import (
    DATES,
    FALSE_WORDS,
    NULL_WORDS,
    NUMBERS,
    NUMERIC_DATES,
    TRUE_WORDS,
    WORDS_ALSO_USED_AS_TEXT,
    form_of,
    read_date,
    read_number,
)
from mpiedge.cleaning.dates import NAMED, usual_style
from mpiedge.cleaning.nothing import words_for_nothing
from mpiedge.kernels.columns import Columns
from mpiedge.kernels.forms import COUNTS, DAY_FORMS, EMPTY_FORM, FORMS, ODD_FORM, cell_forms, cell_hashes

MOST_VALUES = 1000
"""Distinct values counted exactly; a column with more of them keeps no counts of values."""
MOST_COUNTED_BYTES = 4_000_000
"""Text of a column in one range, beyond which it holds cells too long to be counted and kept as values."""
SKETCH = 512
_NULL_TEXT = "".join(f"{word}\x00" for word in sorted(NULL_WORDS)).encode()
READABLE_NULLS = ("nan", "-nan")
"""Null words that every reader of numbers knows: they stay as they are."""
WORD = re.compile(r"(?<![^\W\d_])(?:(?<![0-9])[^\W\d_]{3,}(?![^\W\d_])(?![0-9])"
                  r"|(?=[^\W\d_]{3})[A-Za-z]*[^\W\d_A-Za-z])")
"""A word: letters that touch no digit, as those of codes do (0xbfa2, 3fdce), or letters that are not all ASCII: Chinese
addresses have digits among them."""
WIDEST_INTEGER = 18                 # digits that always fit int64
NUMBER_SHARE, DATE_SHARE = 0.98, 0.95
LEADING_ZERO_SHARE = 0.001
CODE_NAMES = frozenset((
    "zip", "zipcode", "postcode", "postal", "plz", "phone", "telephone", "tel", "fax", "mobile", "ssn", "isbn", "issn",
    "ean", "iban", "code", "barcode", "sku", "imei", "uuid", "guid"))
ID_NAMES = frozenset(("id", "ids", "key", "uid", "uuid", "guid", "identifier", "pk", "recid", "rowid", "index"))


def mix(values: np.ndarray) -> np.ndarray:
    """64 well-mixed bits per uint64 (the finaliser of splitmix64, Steele, Lea & Flood 2014)."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


class ColumnSummary:
    """What the cells of a column look like, counted so that summaries of parts merge in any order to the same whole.

    forms: notation -> cells; worded: cells with a word (WORD); nulls: null word as written -> cells;
    values: value -> cells, None beyond MOST_VALUES; the sketch holds the SKETCH smallest mixed hashes of the values
    (distinct values: Bar-Yossef et al. 2002).
    """

    def __init__(self):
        self.rows = self.empty = self.edge_blanks = self.longest = self.widest_integer = 0
        self.narrowest_integer = 99
        self.long_integers = self.characters = self.worded = 0
        self.forms: Counter[str] = Counter()
        self.nulls: Counter[str] = Counter()
        self.first_above_12: Counter[str] = Counter()
        self.second_above_12: Counter[str] = Counter()
        self.values: Counter[str] | None = Counter()
        self.sketch = np.empty(0, dtype=np.uint64)

    def add(self, cells) -> None:
        """Local: count the cells (a sequence of str) of one chunk."""
        if len(cells):
            self.add_column(Columns.of([cells]), 0)

    def add_column(self, columns: Columns, place: int) -> None:
        """Local: count the cells of one column of a chunk."""
        if not columns.rows:
            return
        self.rows += columns.rows
        if len(columns.part(place)) > MOST_COUNTED_BYTES:
            self.values = None
        if self.values is None:
            blank, hashes = self._add_forms(columns, place), cell_hashes(columns, place)
        else:
            cells, times, hashes = columns.distinct(place)
            blank = self._add_forms(Columns.of([cells]), 0, times)
            self._merge_values(dict(zip(cells, times.tolist())))
        self._merge_sketch(mix(hashes[~blank]))

    def _add_forms(self, columns: Columns, place: int, times: np.ndarray | None = None) -> np.ndarray:
        """Local: count the forms of cells (times: for how many each stands); returns which of them are blank."""
        forms, counts = cell_forms(columns, place, _NULL_TEXT, times)
        numbers = np.bincount(forms, times, minlength=len(FORMS)).astype(np.int64).tolist()
        self.empty += numbers[EMPTY_FORM]
        self.forms.update({form: number for form, number in zip(FORMS[EMPTY_FORM + 1:], numbers[EMPTY_FORM + 1:])
                           if number})
        self._add_counts(dict(zip(COUNTS, counts.tolist())))
        for form, first, second in zip(DAY_FORMS, counts[len(COUNTS):].tolist(), counts[-3:].tolist()):
            if self.forms[form]:
                self.first_above_12[form] += first
                self.second_above_12[form] += second
        blank, odd = forms == EMPTY_FORM, np.flatnonzero(forms == ODD_FORM)
        cells = columns.some(place, odd)
        blanks = self._add_odd(Counter(cells) if times is None else dict(zip(cells, times[odd].tolist())))
        if blanks:
            blank[odd] = [cell in blanks for cell in cells]
        return blank

    def _add_counts(self, counts: dict[str, int]) -> None:
        self.longest = max(self.longest, counts["longest"])
        self.widest_integer = max(self.widest_integer, counts["widest_integer"])
        self.narrowest_integer = min(self.narrowest_integer, counts["narrowest_integer"])
        for name in ("edge_blanks", "characters", "worded", "long_integers"):
            setattr(self, name, getattr(self, name) + counts[name])

    def _add_odd(self, counts: dict[str, int]) -> set[str]:
        """Local: count cells by the rules of `cleaning.cells`; returns those that are blank."""
        blanks = set()
        for cell, number in counts.items():
            stripped = cell.strip()
            if not stripped:
                self.empty += number
                blanks.add(cell)
                continue
            form = form_of(stripped)
            self.forms[form] += number
            self.characters += number * len(cell)
            self.longest = max(self.longest, len(cell))
            self.edge_blanks += number * (len(stripped) != len(cell))
            if form == "text":
                self.worded += number * bool(WORD.search(stripped))
            elif form != "leading_zero":
                self._add_form(form, stripped, number)
        return blanks

    def _add_form(self, form: str, cell: str, number: int) -> None:
        if form == "null":
            self.nulls[cell] += number
        elif form == "integer":
            self.widest_integer = max(self.widest_integer, len(cell))
            self.narrowest_integer = min(self.narrowest_integer, len(cell))
            if len(cell.lstrip("+-")) > 3:
                self.long_integers += number
        elif form in NUMERIC_DATES:
            first, second = re.split(r"\D", cell, maxsplit=2)[:2]
            self.first_above_12[form] += number * (int(first) > 12)
            self.second_above_12[form] += number * (int(second) > 12)

    def merge(self, other: "ColumnSummary") -> None:
        """Local: count the cells of another part of the column in."""
        for name in ("rows", "empty", "edge_blanks", "worded", "long_integers", "characters"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.longest = max(self.longest, other.longest)
        self.widest_integer = max(self.widest_integer, other.widest_integer)
        self.narrowest_integer = min(self.narrowest_integer, other.narrowest_integer)
        for name in ("forms", "nulls", "first_above_12", "second_above_12"):
            getattr(self, name).update(getattr(other, name))
        self._merge_values(other.values)
        self._merge_sketch(other.sketch)

    def _merge_values(self, counts: Counter | None) -> None:
        # Distinct values only grow, so a column ends without counts exactly if it has more than MOST_VALUES in all, or
        # too much text in one range, which is the same for any number of ranks.
        if self.values is None or counts is None:
            self.values = None
            return
        self.values.update(counts)
        if len(self.values) > MOST_VALUES:
            self.values = None

    def _merge_sketch(self, hashes: np.ndarray) -> None:
        if len(self.sketch) == SKETCH:
            hashes = hashes[hashes < self.sketch[-1]]
        self.sketch = np.union1d(self.sketch, hashes)[:SKETCH]

    @property
    def filled(self) -> int:
        """Cells with a value: neither blank nor a null word."""
        return self.rows - self.empty - self.forms["null"]

    @property
    def distinct(self) -> float:
        """Number of different filled cells: exact below SKETCH, else estimated within about 9 %."""
        if len(self.sketch) < SKETCH:
            return float(len(self.sketch))
        return (SKETCH - 1) / (float(self.sketch[-1]) / 2.0**64)

    def to_message(self) -> dict:
        """What travels to the other ranks."""
        plain = {name: value for name, value in vars(self).items() if not isinstance(value, (Counter, np.ndarray))}
        counts = {name: [list(value), list(value.values())] for name, value in vars(self).items()
                  if isinstance(value, Counter)}
        return {"plain": plain, "counts": counts, "sketch": self.sketch}

    @classmethod
    def from_message(cls, message: dict) -> "ColumnSummary":
        """The summary of a message."""
        summary = cls()
        vars(summary).update(message["plain"])
        for name, (keys, numbers) in message["counts"].items():
            setattr(summary, name, Counter(dict(zip(keys, numbers))))
        summary.sketch = np.asarray(message["sketch"], dtype=np.uint64)
        return summary


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


def words_of(name: str) -> list[str]:
    """The words of a column name: "SocSec_id" -> ["soc", "sec", "id"]."""
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", name)]


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
