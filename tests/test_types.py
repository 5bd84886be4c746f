"""Kinds of columns, decided from summaries that merge."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpiedge.cleaning.cells import form_of, read_date, read_number
from mpiedge.cleaning.names import words_of
from mpiedge.cleaning.summaries import MOST_VALUES, ColumnSummary
from mpiedge.cleaning.types import decide, is_key, share_null_words


def summary(cells) -> ColumnSummary:
    found = ColumnSummary()
    found.add(list(cells))
    return found


def kind(cells, name="value") -> str:
    return decide(name, summary(cells)).kind


@pytest.mark.parametrize("cells, expected", [
    (["1", "22", "-3", ""], "integer"), (["1.5", "2", "3.25"], "decimal"), (["1,5", "2", "13,25"], "decimal"),
    (["1,234,567", "12,000"], "integer"), (["2001-02-03", "1999-12-31"], "date"),
    (["31/01/2001", "13/02/2002"], "date"), (["Jul 3, 2016", "August 14, 2017"], "date"),
    (["yes", "no", "No"], "boolean"), (["T", "F"], "boolean"),
    (["00123", "04567", "12345"], "text"), (["1", "two", "3"], "text"), (["03/04/2005", "05/06/2007"], "text"),
    (["M", "F"], "text"), (["", ""], "text"), (["12345678901234567890", "1"], "text"),
    (["5", "N/A", "7", "?"], "integer"), (["1,234", "1.234"], "text")])
def test_kinds(cells, expected):
    """Small columns of each kind; what could mean two things stays text."""
    assert kind(cells) == expected


def test_words_for_nothing_are_those_of_the_table():
    """What stands for nothing among numbers does so among words; not where most words look like it, or no number
    column has it."""
    columns = [["1", "NA", "3"], ["male", "NA", "female"], ["DE", "NA", "FR"], ["a", "?", "c"], ["none", "x", "y"]]
    found = [summary(column * 30) for column in columns]
    plans = [decide("value", one) for one in found]
    share_null_words(plans, found)
    assert [(plan.null_words, plan.missing) for plan in plans] == [(["NA"], 30), (["NA"], 30), *[([], 0)] * 3]


def test_codes_stay_text():
    """A column called zip or phone is a code, whatever its digits; so are identifiers of 20 digits."""
    assert kind(["12345", "1234", "99999"], "zip_code") == kind(["5551234"], "Phone") == "text"
    assert kind(["12345", "1234"], "amount") == "integer"


def test_blanks_at_edges_go_where_they_divide_a_value():
    """`Ulm ` is Ulm; names and prose that stand once stay, and so do units that the number asks for."""
    assert decide("town", summary(["Ulm", "Bonn"] * 20 + ["Ulm ", " Bonn"])).trim
    assert not decide("name", summary([f"name {row}" for row in range(40)] + ["Ann ", " "])).trim
    assert decide("count", summary(["1", "2"] * 20 + [" 3"])).trim
    assert decide("stay", summary(["1 day", "2 days", "3 days"] * 20)).unit is None
    assert decide("size", summary(["12 oz.", "16 oz", "12 oz"] * 20)).unit == "# oz"


def test_keys():
    """A key has a name that says so and no value twice."""
    unique = summary(str(number) for number in range(5000))
    assert is_key("paper_id", unique) and is_key("PaperID", unique) and not is_key("amount", unique)
    assert not is_key("id", summary(["1", "1", "2"] * 100)) and words_of("SocSec_id") == ["soc", "sec", "id"]


@settings(deadline=None, max_examples=80)
@given(st.lists(st.sampled_from(["", "NA", "1", "2.5", "3,5", "1/2/2003", "13/2/2003", " x", "yes", "007"])
                | st.text(max_size=6), max_size=60), st.integers(0, 60))
def test_summaries_merge_to_the_same_whole(cells, cut):
    """Two halves merged in either order, also over the wire, equal the summary of the whole."""
    whole = summary(cells)
    first, second = summary(cells[:cut]), summary(cells[cut:])
    other = summary(cells[cut:])
    first.merge(ColumnSummary.from_message(second.to_message()))
    other.merge(summary(cells[:cut]))
    for name, value in vars(whole).items():
        for merged in (first, other):
            found = getattr(merged, name)
            assert (found == value) if name != "sketch" else (found.tolist() == value.tolist()), name


def test_many_values_are_estimated():
    """Above the limit values are no longer counted, whatever the order, and distinct values are estimated."""
    found = summary(str(number) for number in range(600))
    found.merge(summary(str(number) for number in range(500, 1500)))
    assert found.values is None and MOST_VALUES < 1500 and 1200 < found.distinct < 1800


@pytest.mark.parametrize("cell, mark, number", [("1,234.5", ".", 1234.5), ("1.234,5", ",", 1234.5), ("12,5", ".", 12.5),
                                                ("1 234", ".", 1234), ("1e3", ".", 1000), ("x", ".", None)])
def test_numbers(cell, mark, number):
    """Cells are read as the numbers they mean."""
    assert read_number(cell, mark) == number


def test_dates():
    """Dates of the calendar are read, others are not; an unclear order needs to be known."""
    assert read_date("03/04/2005", True)[0].isoformat() == "2005-04-03"
    assert read_date("03/04/2005", False)[0].isoformat() == "2005-03-04"
    assert read_date("03/04/2005", None) is None and read_date("31/02/2005", True) is None
    assert read_date("3-Jul-2016 10:30", None)[0].isoformat() == "2016-07-03"
    assert form_of("2016-07-03T10:30:00Z") == "ymd_dash" and form_of("May") == "text"
