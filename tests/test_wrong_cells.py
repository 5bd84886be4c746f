"""Wrong cells beyond spelling: sequences, cells run together, marks, default values; sound columns stay."""

import random
from collections import Counter

import numpy as np
import pytest

from mpiedge.cleaning.defaults import find_defaults
from mpiedge.cleaning.leaks import find_leaks
from mpiedge.cleaning.lookalikes import lookalikes
from mpiedge.cleaning.marks import judge_columns, look_at_column
from mpiedge.cleaning.patterns import broken_patterns
from mpiedge.cleaning.sequences import find_sequence
from mpiedge.cleaning.spreadsheet import spoilt_by_spreadsheet


def judged(cells, day_first=None):
    found = find_sequence(cells, np.arange(len(cells)), day_first)
    return found.judge(cells, np.arange(len(cells))) if found else None


def test_sequence_of_numbers_and_days():
    """Copied, misspelt and blank cells of a sequence get the value of their line, before a gap and after it."""
    cells = [f"{row + 7 * (row > 60)}.0" for row in range(100)]
    wrong = {5: "3.0", 20: "1x.0", 21: "", 80: "4.0"}
    found = judged([wrong.get(row, cell) for row, cell in enumerate(cells)])
    assert found == [(row, cells[row]) for row in wrong]
    days = [f"2018-{1 + row // 28:02d}-{1 + row % 28:02d}" for row in range(0, 28)] + [
        f"2018-02-{row:02d}" for row in range(1, 20)]
    assert judged(["2018-01-09" if row == 15 else day for row, day in enumerate(days)], False)[0] == (15, "2018-01-16")


def test_what_does_not_count_is_no_sequence():
    """Random numbers, sorted numbers with steps of all sizes and hours of days with repeats have nothing wrong."""
    dice = random.Random(1)
    assert judged([str(dice.randrange(50)) for _ in range(200)]) is None
    assert not judged([str(number) for number in sorted(dice.randrange(10_000) for _ in range(200))])
    assert not judged([str(row % 24) for row in range(200)])


def test_what_may_be_right_in_a_sequence_stays():
    """A year told early, rows that changed places and another count in between stay; a copied cell does not."""
    cells = [str(row) for row in range(200)]
    cells[20], cells[40:43] = "21", ["42", "40", "41"]
    cells[100:106] = [str(500 + row) for row in range(6)]
    assert not judged(cells)
    cells[150] = "17"
    assert judged(cells) == [(150, "150")]


def test_cells_run_together():
    """A state behind the town, where its own column is blank, goes there; towns that end so by accident stay."""
    dice = random.Random(2)
    rows = [(dice.choice(["Ulm", "Bonn", "Bad Tölz"]), dice.choice(["BW", "NW", "BY"])) for _ in range(200)]
    towns, states = (list(column) for column in zip(*rows))
    for row in range(8):
        towns[row], states[row] = f"{towns[row]} {states[row]}", ""
    (leak,) = find_leaks([towns, states], [0, 1])
    assert leak.judge(towns, states) == [(row, *rows[row]) for row in range(8)]
    assert not find_leaks([[town for town, _ in rows], states], [0, 1])


def test_marks_and_doubled_quotes():
    """A mark behind cells of two columns goes, significance stars of one column of numbers stay; O''Neil is O'Neil."""
    names = [f"name{row % 9}" for row in range(100)]
    towns = [f"town{row % 7}" for row in range(100)]
    stars = [f"{row}.5{'***' if row % 9 == 0 else ''}" for row in range(100)]
    names[3], names[4], towns[5], towns[6], names[50] = "name3***", "name4***", "town5***", "***", "O''Neil"
    columns = [sorted(set(column)) for column in (names, towns)]
    counts = [np.array([column.count(value) for value in values]) for column, values in zip((names, towns), columns)]
    marks = judge_columns({place: look_at_column(*column) for place, column in enumerate(zip(columns, counts))})
    assert marks.clean(0, "name3***")[0] == "name3" and marks.clean(0, "O''Neil")[0] == "O'Neil"
    assert marks.clean(1, "***")[1].startswith("flag") and marks.clean(1, "town1") is None
    assert not judge_columns({0: look_at_column(sorted(stars), np.ones(100, int))}).tails


def test_numbers_keep_their_signs():
    """A code whose digits changed places with its sign is put right, a decimal among whole numbers only flagged."""
    codes = [f"{number}-{7 * number % 9000 + 1000}" for number in range(100, 200)] + ["1501-050"]
    assert broken_patterns(codes, np.ones(101, int))["1501-050"][0] == "150-1050"
    heights = [str(number) for number in range(40, 90)] + ["6,8", "5.75"]
    found = broken_patterns(heights, np.array([6] * 50 + [1, 1]))
    assert {value: right for value, (right, _, _) in found.items()} == {"6,8": None, "5.75": None}


def test_characters_that_look_like_others():
    """Letters of another alphabet and letters for digits are put right; a litre and what has no such look stay."""
    towns = ["London", "Roma", "L\u043end\u043en", "5 k\u03a9", "\u041c\u043e\u0441\u043a\u0432\u0430", "\u03b2-test"]
    found = lookalikes(towns, np.array([40, 60, 1, 1, 1, 1]))
    assert {value: right for value, (right, _, _) in found.items()} == {"L\u043end\u043en": "London"}
    russian = ["\u041c\u043e\u0441\u043a\u0432\u0430", "M\u043e\u0441\u043a\u0432\u0430"]
    assert lookalikes(russian, np.array([90, 1]))[russian[1]][0] == russian[0]
    numbers = [str(number) for number in range(100, 300)]
    found = lookalikes([*numbers, "2O5", "l07", "25l", "O12", "25A", "X1"], np.ones(206, int))
    assert {value: right for value, (right, _, _) in found.items()} == {"2O5": "205", "l07": "107", "25l": None}
    codes = [f"A{number}B" for number in range(10, 99)]
    assert lookalikes([*codes, "A1OB", "O12B"], np.ones(91, int))["A1OB"][0] == "A10B"


@pytest.mark.parametrize(("usual", "rare"), [
    ([f"{number}{letter}" for number in range(10, 40) for letter in "ABCD"], ["100", "110"]),       # houses, seats
    ([f"{name}{digit}" for name in ("TNF", "BCL", "ITI") for digit in range(1, 10)] * 5, ["IL10"]),  # genes
    ([f"{name}{number}" for name in ("BA", "NO", "LO") for number in range(100, 140)], ["N0123"]),   # flights
    ([f"{letter}{number}" for letter in "ABEHK" for number in range(100, 130)], ["BO12", "BX12", "BK77"]),
    (["C2H6", "C3H8", "C4H9"] * 30, ["COH6"]),
    (["\u041c\u043e\u0441\u043a\u0432\u0430", "\u041e\u043c\u0441\u043a"] * 90,
     ["SMS\u043a\u0430", "MCK\u043e\u0432", "I\u0422", "XXI\u0432\u0435\u043a"])])
def test_what_only_seems_to_look_alike(usual, rare):
    """Numbers among numbers with letters, codes of a shape of their own and Latin names with an ending stay."""
    counts = Counter([*usual, *rare])
    assert not lookalikes(list(counts), np.array(list(counts.values())))


def test_what_a_spreadsheet_spoils():
    """Days among ranges become ranges again where that is clear, rounded numbers are flagged; days among days stay."""
    ages = ["0-4", "9-May", "14-Oct", "15-19", "20-24", "25-34", "May-09", "Jun-70", "4-Jan"]
    found = spoilt_by_spreadsheet(ages, np.array([30, 30, 30, 30, 30, 30, 1, 1, 1]))
    assert {value: right for value, (right, _, _) in found.items()} == {
        "9-May": "5-9", "14-Oct": "10-14", "May-09": None, "Jun-70": "6-70", "4-Jan": "1-4"}
    codes = [str(70000000000 + number) for number in range(90)]
    assert spoilt_by_spreadsheet([*codes, "7.00E+10"], np.ones(91, int))["7.00E+10"][0] is None
    for ranges in (1, 12):
        assert not spoilt_by_spreadsheet(["9-May", "14-Oct", "5-9"], np.array([9, 9, ranges]))


def test_default_value():
    """A zip code that stands in rows of all towns is a default; what the town says of it is the answer."""
    dice = random.Random(3)
    towns = [dice.randrange(150) for _ in range(1500)]
    columns = [[name.format(number) for number in numbers] for name, numbers in (
        ("1{:04}", towns), ("town{}", towns), ("s{}", [town % 12 for town in towns]))]
    truth = list(columns[0])
    for row in range(0, 1500, 7):
        columns[0][row] = "99999"
    codes, values = [], []
    for column in columns:
        inverse = {"": 0}
        codes.append(np.array([inverse.setdefault(cell, len(inverse)) for cell in column]))
        values.append(list(inverse))
    (found,) = find_defaults(codes, values, [0, 1, 2])
    told = found.judge(columns)
    assert len(told) == 215 and all(right == truth[row] and sure > 0.9 for row, right, sure in told)
