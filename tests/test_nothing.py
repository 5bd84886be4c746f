"""Values that stand for nothing, shortened ones, addresses and braces."""

from collections import Counter

import numpy as np

from mpiedge.cleaning.abbreviations import abbreviated
from mpiedge.cleaning.addresses import broken_addresses
from mpiedge.cleaning.cells import read_date
from mpiedge.cleaning.nothing import words_for_nothing
from mpiedge.cleaning.summaries import ColumnSummary
from mpiedge.cleaning.types import decide
from mpiedge.cleaning.wrapped import wrapped


def counted(cells: list[str]) -> tuple[list[str], np.ndarray]:
    """The distinct values and how often each occurs."""
    counts = Counter(cells)
    return list(counts), np.array(list(counts.values()))


def test_numbers_below_all_others_stand_for_nothing():
    """Repeated nines far below the rest do; what is near to others, seldom, above them, or an id does not."""
    degrees = [f"{20 + place % 37 / 10:.1f}" for place in range(300)]
    summary = ColumnSummary()
    summary.add([*degrees, *["-999"] * 9, *["-99.9"] * 6, *["9999"] * 8, *["-999.0"] * 3])
    plan = decide("degrees", summary)
    assert plan.null_words == ["-99.9", "-999"] and plan.missing == 15
    assert decide("station id", summary).null_words == []
    few = Counter({**{str(-place): 20 for place in range(15)}, "-999": 9})  # numbers of errors
    assert words_for_nothing(few, float) == []
    near = Counter([*(str(place) for place in range(-300, 0)), *["-99"] * 9])
    assert words_for_nothing(near, float) == []


def test_days_at_the_ends_of_calendars_stand_for_nothing():
    """1900-01-01 far before all birthdays does, but not among days of that time, or of years alone."""
    def read(cell: str) -> float | None:
        found = read_date(cell, None)
        return found[0].toordinal() if found else None

    born = Counter([*(f"19{50 + place % 40}-03-1{place % 9}" for place in range(200)), *["1900-01-01"] * 7])
    assert words_for_nothing(born, read) == ["1900-01-01"]
    assert words_for_nothing(born + Counter({"9999-12-31": 20}), read) == ["1900-01-01"]  # what has no end
    assert words_for_nothing(born + Counter({"1900-01-01": 90}), read) == []
    assert words_for_nothing(born + Counter({"1902-05-01": 1, "1899-05-01": 1}), read) == []
    built = Counter([*(f"19{50 + place % 40}-01-01" for place in range(200)), *["1900-01-01"] * 7])
    assert words_for_nothing(built, read) == []  # years that are written as days


def test_shortened_values():
    """A point behind the beginning of one usual value; not where two are usual, or points are."""
    usual = ["American"] * 40 + ["Italian"] * 30 + ["Indian"] * 20 + ["Indonesian"] * 20
    found = abbreviated(*counted([*usual, "Amer.", "Ital.", "Ita.", "Ind.", "Am.", "Americna"]))
    assert {value: repair[0] for value, repair in found.items()} == {"Amer.": "American", "Ital.": "Italian"}
    assert not abbreviated(*counted([*usual, *["Inc."] * 30, "Amer."]))


def test_addresses():
    """Of a column of addresses those with a word for @ are mended, what is none flagged; of other columns none."""
    right = [f"a{place}@example.org" for place in range(100)]
    odd = ['"Ann Lee"@x.de', "root@localhost", "a@[10.0.0.1]", "Ann <ann@x.de>", "a@x.de; b@x.de", "mailto:a@x.de"]
    right += [*odd, "a" + 100_000 * " " + "@"]   # what is longer than any address is none, and takes no time
    found = broken_addresses(*counted([*right, "bob at example.com", "eve [AT] x.de", "nobody", ""]))
    assert found["bob at example.com"][0] == "bob@example.com" and found["eve [AT] x.de"][0] == "eve@x.de"
    assert found["nobody"][0] is None and len(found) == 3
    assert not broken_addresses(*counted([*right, *(f"at work {place}" for place in range(20))]))


def test_braces():
    """What stands in braces where few cells have some."""
    names = [f"name {place}" for place in range(90)]
    found = wrapped(*counted([*names, '{"Smith, J."}', "{name 7}", "{x}", '{"a","b"}', "{}"]))
    assert {value: repair[0] for value, repair in found.items()} == {'{"Smith, J."}': "Smith, J.", "{name 7}": "name 7"}
    assert not wrapped(*counted([*names, *(f"{{{place}}}" for place in range(20))]))
