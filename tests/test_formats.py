"""One notation per column, and nothing changed that is uniform."""

import csv

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpiedge.cleaning import formats
from mpiedge.cleaning.summaries import ColumnSummary
from mpiedge.cleaning.types import decide


def cleaned(cells, name="value"):
    summary = ColumnSummary()
    summary.add(cells)
    plan = decide(name, summary)
    new, changes = formats.apply(plan, cells)
    assert [position for position, *_ in changes] == [place for place, cell in enumerate(cells) if cell != new[place]]
    return plan, new


@pytest.mark.parametrize("usual, odd, after", [
    (["2001-02-03"] * 5, "Jul 3, 2016", "2016-07-03"), (["2001-02-03"] * 5, "13/02/2003", "2003-02-13"),
    (["13/02/2003"] * 5, "2001-02-03", "03/02/2001"), (["13/02/2003"] * 20, "3/25/2003", "25/3/2003"),
    (["12", "13", "14"], "15.0", "15"),
    (["1.5", "2.5"], "3,5", "3.5"), (["1,5", "2,5"], "3.5", "3,5"), (["1234", "22345"], "1,234", "1234"),
    (["10", "20", "30"], "N/A", ""), (["Yes", "No"] * 5, "yes", "Yes"),
    (["Springfield"] * 6, "SPRINGFIELD", "Springfield"), (["New York", "Ulm"] * 20, " Ulm", "Ulm")])
def test_minority_follows_the_usual_notation(usual, odd, after):
    """One cell in another notation is rewritten, the usual ones stay."""
    _, new = cleaned([*usual, odd])
    assert new == [*usual, after]


@pytest.mark.parametrize("cells", [
    ["12.0", "13.0", "1.5"], ["13/02/2003", "01/05/2004"], ["1,234", "22,345", "5"], ["a b", "c"], ["NA", "US", "DE"],
    ["0.10", "0.20"], ["007", "12"], ["t", "f", "t"], ["03/04/2005", "2001-01-01"], ["", "x", ""], ["nan", "1.5"],
    ["Apple", "apple", "Pear"]])
def test_uniform_or_unclear_columns_stay(cells):
    """What is uniform, may be a value, or could mean two things is left as it is."""
    assert cleaned(cells)[1] == cells


def test_null_words_in_text_need_blanks_beside_them():
    """In a text column a null word becomes blank only where blank is as common."""
    assert cleaned(["x", "y", "", "", "N/A"])[1] == ["x", "y", "", "", ""]
    assert cleaned(["x", "y", "none", "", ""])[1] == ["x", "y", "none", "", ""]


def test_store_form():
    """In the store dates are ISO 8601, numbers plain, booleans true and false, and what is unreadable is missing."""
    plan, new = cleaned(["13/02/2003", "01/05/2004", ""])
    assert formats.canonical(plan, new) == ["2003-02-13", "2004-05-01", ""]
    plan, new = cleaned(["1,5", "2,25"])
    assert formats.canonical(plan, new) == ["1.5", "2.25"]
    plan, new = cleaned(["Y", "N", ""])
    assert formats.canonical(plan, new) == ["true", "false", ""]
    assert formats.canonical(plan, ["yes", "nothing", "Trial", "FALSE"]) == ["true", "", "", "false"]
    plan, new = cleaned(["1", "2"] * 60 + ["x"])
    assert plan.kind == "integer" and new[-1] == "x" and formats.canonical(plan, new)[-1] == "" and plan.unreadable == 1


@settings(deadline=None, max_examples=150)
@given(st.lists(st.sampled_from(["1", "2.0", "3.5", "4,5", "1,234", "1.234", "NA", "", " 7", "x", "2001-01-31",
                                 "31/1/2001", "1/2/2001", "yes", "No", "YES"]), min_size=1, max_size=40))
def test_formats_are_stable(cells):
    """Cleaning what is clean changes nothing more, and every cell of the kind can be read by the store."""
    plan, once = cleaned(cells)
    assert formats.apply(plan, once)[0] == once
    unread = sum(bool(cell.strip()) and not stored for cell, stored in zip(once, formats.canonical(plan, once)))
    assert plan.kind in ("text", "boolean") or unread <= plan.unreadable


def test_real_clean_tables_stay(shared_data):
    """Of ten clean tables fewer than one cell in ten thousand changes."""
    names = ["fd/iris", "fd/chess", "fd/balance-scale", "fd/lineitem_536", "fd/plista_1k", "clean/dedup/restaurant",
             "clean/repair/hospital/clean", "clean/repair/beers/clean", "clean/repair/tax/clean",
             "clean/impute/adult/complete"]
    cells = changed = 0
    for name in names:
        with open(shared_data / f"{name}.csv", encoding="utf-8", newline="") as file:
            delimiter = "|" if "lineitem" in name else ","
            rows = [row for row in csv.reader(file, delimiter=delimiter) if row]
        for column in zip(*rows[1:]):
            new = cleaned(list(column), rows[0][0])[1]
            cells += len(new)
            changed += sum(old != now for old, now in zip(column, new))
    assert cells > 400_000 and changed < 1e-4 * cells
