"""Cleaning of pandas data frames."""

import pandas
import pytest

from mpiedge import cleaning
from mpiedge.errors import InputError, MpiedgeError


def test_a_frame_is_cleaned():
    """Types, null words and rejected rows; the index tells which rows are left, changes tell what was done."""
    rows = [[f"P{row:03d}", "N/A" if row == 3 else str(row % 7), f"2001-02-{1 + row % 28:02d}", "x, \"y\"\n"]
            for row in range(40)]
    frame = pandas.DataFrame(rows, columns=["id", "count", "day", "note"], index=range(100, 140))
    frame.loc[139] = None
    found = cleaning.clean(frame, steps="structure,types,formats")
    assert found.frame.index.tolist() == list(range(100, 139)) and list(found.frame.columns) == list(frame.columns)
    assert found.frame["count"].dtype == "Int64" and found.frame["count"].isna().tolist().index(True) == 3
    assert str(found.frame["day"].iloc[2])[:10] == "2001-02-03" and found.frame["note"].iloc[0] == "x, \"y\"\n"
    assert found.changes.values.tolist() == [[3, "count", "null word", "N/A", "", 0.99]]
    assert found.rejects["reason"].tolist() == ["no cell is filled"] and "[tables.frame]" in found.plan
    assert found.summary["tables"]["frame"]["rows_rejected"] == 1 and len(found.clusters) == 39


def test_truth_comes_back_as_truth():
    """Columns of yes and no, written in any way, are booleans; blanks of them are missing."""
    frame = pandas.DataFrame({"paid": [True, False, True] * 20, "sent": ["yes", "no", None] * 20, "n": range(60)})
    found = cleaning.clean(frame, steps="structure,types").frame
    assert found["paid"].dtype == found["sent"].dtype == "boolean"
    assert found["paid"].tolist() == frame["paid"].tolist() and found["sent"][:3].tolist() == [True, False, pandas.NA]


def test_columns_may_be_called_as_cells_are():
    """Names that look like numbers or like cells below them, and names that are numbers, are names."""
    frame = pandas.DataFrame({"land": list("abcd") * 20, "2019": range(80), 7: [7, 8] * 40})
    found = cleaning.clean(frame, keep_duplicates=True)
    assert list(found.frame.columns) == ["land", "2019", 7] and len(found.frame) == 80
    again = cleaning.clean(frame, plan=found.plan)
    assert len(again.frame) == 80 and again.plan == found.plan


def test_what_is_refused():
    """Frames that are no tables, and options the program does not know, are named errors."""
    for frame in (pandas.DataFrame(), pandas.DataFrame({"a": []}), pandas.DataFrame([[1, 2]], columns=["a", "a"])):
        with pytest.raises(InputError):
            cleaning.clean(frame)
    with pytest.raises(MpiedgeError, match="no step wash"):
        cleaning.clean(pandas.DataFrame({"a": [1]}), steps="wash")
    with pytest.raises(MpiedgeError, match="is no plan"):
        cleaning.clean(pandas.DataFrame({"a": [1]}), plan="steps = [")
