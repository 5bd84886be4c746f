"""Units, dates with names of months, codes and markup: the minority follows the usual notation."""

from collections import Counter
from datetime import date

import numpy as np
import pytest

from mpiedge.cleaning import dates, templates, units
from mpiedge.cleaning.cells import form_of
from mpiedge.cleaning.markup import plain_text


@pytest.mark.parametrize("cells, odd, after", [
    (["500 g", "20 g", "90 g"], "70g", "70 g"), (["500 g", "20 g"], "0.5 kg", "500 g"),
    (["95 min", "120 min"], "1 hr. 35 min.", "95 min"), (["4.50", "3.25"], "$4.75", "4.75"),
    (["7.0", "8.5"], "8.0/10", "8.0"), (["12 oz.", "8.4 oz"], "12.0 ounce", "12")])
def test_units(cells, odd, after):
    """Grams, hours and minutes, prices and marks as most of them are written."""
    usual, wrong, shorten = units.decide(Counter({cell: 20 for cell in cells} | {odd: 4}), 20 * len(cells) + 4)
    assert units.rewrite(odd, usual, wrong, shorten) == after
    assert all(units.rewrite(cell, usual, wrong, shorten) is None for cell in cells if "oz" not in cell)


@pytest.mark.parametrize("cells", [
    {"1 day": 9, "2 days": 9, "3 days": 9}, {"12a": 9, "13b": 9, "14": 40}, {"100 m": 20, "3 kg": 20},
    {"10 Main St": 30, "12": 9}, {"5": 30, "9000 km": 5}, {"1987 Jan": 9, "1987 Feb": 9, "1988 Mar": 9},
    {"1/86": 9, "2/86": 9, "2/87": 9}, {"40": 290, "38A": 9, "39B": 9, "40C": 9}])
def test_other_units_stay(cells):
    """Days the number asks for, house numbers, lengths beside masses, months, numbers of another size."""
    assert units.decide(Counter(cells), sum(cells.values())) is None


@pytest.mark.parametrize("usual, after", [
    (["11 October 1994", "3 June 2001"], "9 March 2004"), (["Oct 11, 1994", "May 03, 2001"], "Mar 09, 2004"),
    (["11-OCT-1994"], "09-MAR-2004"), (["1/15/94", "12/3/99"], "3/9/04")])
def test_days_with_names(usual, after):
    """A day is written as the usual ones are: order, signs, length of the month's name, zeros."""
    assert dates.write(date(2004, 3, 9), dates.usual_style(Counter(usual), form_of(usual[0]), False)) == after


def test_codes_divided_in_another_way():
    """A telephone number in brackets is one; other digits, other groups and days are not rewritten."""
    usual = [f"310-555-{number:04d}" for number in range(50)]
    shape = templates.find_template(usual, np.ones(50, int))
    assert shape == "999-999-9999"
    same = ("(310) 555-1234", "310.555.1234", "3105551234")
    assert {templates.rewrite(cell, shape) for cell in same} == {"310-555-1234"}
    other = (usual[0], "31-0555-1234", "555-1234", "call 3105551234")
    assert {templates.rewrite(cell, shape) for cell in other} == {None}
    assert not templates.find_template([f"2001-02-{day:02d}" for day in range(1, 29)], np.ones(28, int))


def test_markup():
    """Tags, entities and UTF-8 read as Latin-1 go; what only looks like it stays."""
    assert [plain_text(cell) for cell in ("<b>Red</b> tea", "salt &amp; oil", "two<br>lines", "MÃ¼nchen")] == [
        "Red tea", "salt & oil", "two lines", "München"]
    assert all(plain_text(cell) == cell for cell in ("a < b > c", "R&D; lab", "São Paulo", "x <y@z.org>", "Ã"))
