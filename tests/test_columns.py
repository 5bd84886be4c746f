"""Columns of text and the forms of cells: the compiled kernels against plain Python."""

import csv
import io
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpiedge.cleaning import ragged, summaries
from mpiedge.cleaning.cells import form_of, read_number
from mpiedge.cleaning.ragged import read_rows
from mpiedge.cleaning.structure import find_structure
from mpiedge.cleaning.summaries import ColumnSummary
from mpiedge.kernels import columns as kernel
from mpiedge.kernels import forms
from mpiedge.kernels.columns import Columns, number_lines, stacked

pytestmark = pytest.mark.skipif(kernel._library is None, reason="the kernels are not compiled")

PIECES = ["1", "0", "12", "2001", "31", "-", "+", ".", ",", "/", " ", ":", "T", "e5", "Z", "AM", "am", "May", "decem",
          "a", "bcd", "N/A", "null", "\u00e9", "\u00a0", "\u2003", "\u212a", "\t", "\x1f", "08:30", "%", "\u4e2d",
          "000"]
CELLS = st.lists(st.sampled_from(PIECES), max_size=6).map("".join)
TEXTS = st.text(st.sampled_from('ab,"\r\n \u00e9'), max_size=5)


@settings(max_examples=80, deadline=None)
@given(st.lists(CELLS, min_size=1, max_size=8))
def test_forms_are_those_of_the_plain_rules(cells):
    """What the kernel says of a cell is what `form_of` says; the rest it calls odd."""
    found, _ = forms.cell_forms(Columns.of([cells]), 0, summaries._NULL_TEXT)
    for cell, number in zip(cells, found.tolist()):
        assert number == forms.ODD_FORM or forms.FORMS[number] == form_of(cell)


@settings(max_examples=80, deadline=None)
@given(st.lists(CELLS, min_size=1, max_size=12), st.booleans())
def test_summaries_are_those_without_kernels(cells, many):
    """A summary by the kernels equals the plain one, with and without counts of values."""
    def summary(library):
        with pytest.MonkeyPatch.context() as patch:
            for module in (kernel, forms):
                patch.setattr(module, "_library", library)
            found = ColumnSummary()
            found.values = None if many else found.values
            found.add(cells)
            message = found.to_message()
            return {**message, "sketch": found.sketch.tolist(), "counts": {
                name: dict(zip(*pair)) for name, pair in message["counts"].items()}}

    assert summary(kernel._library) == summary(None)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(TEXTS, min_size=2, max_size=2), min_size=1, max_size=6))
def test_columns_as_csv(rows):
    """The CSV of columns comes back as the same cells; without carriage returns it is what the csv module writes."""
    columns = Columns.of([list(cells) for cells in zip(*rows)])
    text = columns.to_csv().decode()
    assert list(csv.reader(io.StringIO(text, newline=""))) == rows
    assert text == kernel.csv_text(rows).decode()
    if "\r" not in text:
        plain = io.StringIO()
        csv.writer(plain, lineterminator="\n").writerows(rows)
        assert text == plain.getvalue()


@settings(max_examples=80, deadline=None)
@given(st.lists(st.text(st.sampled_from('ab1,,"\n\n\r \u00e9'), max_size=12), min_size=1, max_size=6))
def test_rows_are_those_read_one_by_one(lines):
    """Plain rows cut by the kernel, beside damaged ones, are the rows that reading one by one finds."""
    text = "".join(f"{line}\n" for line in ["x1,2", *lines, "x2,3", "x3,4"])
    structure = find_structure(b"name,count\n" + b"one,1\ntwo,2\nthree,3\n" * 3, "utf-8", whole=True)

    def rows(able):
        with pytest.MonkeyPatch.context() as patch:
            if not able:
                patch.setattr(ragged.PlainRecords, "able", False, raising=False)
                patch.setattr(ragged.PlainRecords, "__init__", _without_kernel(ragged.PlainRecords.__init__))
            found = read_rows(text, "", 2, structure)
            return found.cells, found.places.tolist(), found.repairs, found.rejects, found.total

    assert rows(True) == rows(False)


def _without_kernel(init):
    def changed(self, *arguments):
        init(self, *arguments)
        self.able = False
    return changed


@pytest.mark.parametrize("cells, kind", [
    (["1", "-2", "+33", "007"], "integer"), (["1.5", "", "-.25", "12", "3.0"], "decimal"),
    (["0.1", "123456789.123456", "99999999999999.9"], "decimal"), (["1", "x"], None), (["1e5"], None),
    (["1234567890123456789"], None), (["1,5"], None), (["."], None), (["1."], None), ([" 1"], None)])
def test_numbers(cells, kind):
    """Plain numbers are read as Python reads them; a cell of another kind sends the column back."""
    columns = Columns.of([cells])
    whole, decimals = forms.read_integers(columns, 0), forms.read_decimals(columns, 0)
    if kind == "integer":
        assert whole.tolist() == [int(cell) for cell in cells]
    else:
        assert whole is None
    if kind:
        wanted = [read_number(cell) if cell else np.nan for cell in cells]
        assert np.array_equal(decimals, np.array(wanted, np.float64), equal_nan=True)
    else:
        assert decimals is None


@pytest.mark.parametrize("cell, sound", [
    ("2024-02-29", True), ("2023-02-29", False), ("2000-12-31 7:05", True), ("2000-12-31T07:05:09.5Z", True),
    ("", True), ("2000-1-31", False), ("0000-01-01", False), ("2000-12-31x", False), ("31/12/2000", False)])
def test_iso_dates(cell, sound):
    """Days of the calendar in their usual form need no second look."""
    assert forms.are_iso_dates(Columns.of([["1999-01-01", cell]]), 0) == sound


def test_parts_of_columns():
    """Counts of different cells, chosen cells, other columns, bytes of one width and lines of numbers."""
    columns = Columns.of([["a", "", "a", "\u00e9"], ["1", "2", "3", "4"]])
    cells, times, hashes = columns.distinct(0)
    assert Counter(dict(zip(cells, times.tolist()))) == Counter(columns.cells(0))
    assert hashes.tolist() == forms.cell_hashes(columns, 0)[[0, 1, 3]].tolist()
    assert columns.some(0, np.array([3, 0])) == ["\u00e9", "a"]
    assert columns.replaced({0: ["x", "\x00y", "", "z"]}).cells(0) == ["x", "y", "", "z"]
    assert columns.fixed(0, 1) is None and columns.fixed(0, 8).tolist() == [b"a", b"", b"a", "\u00e9".encode()]
    assert number_lines(np.array([0, 12]), np.array([0, 7])) == b"0,0\n12,7\n"


def test_columns_of_several_parts():
    """Cells of all parts, one below the other, and their places among the different ones, of which "" is the first."""
    parts = [Columns.of([["b", ""], ["", ""]]), Columns.of([[], []]), Columns.of([["", "a"], ["x", "\u00e9"]])]
    columns = stacked(parts, 2)
    assert [columns.cells(place) for place in (0, 1)] == [["b", "", "", "a"], ["", "", "x", "\u00e9"]]
    for place, expected in ((0, (["", "b", "a"], [1, 0, 0, 2])), (1, (["", "x", "\u00e9"], [0, 0, 1, 2]))):
        values, codes = columns.coded(place)
        assert (list(values), codes.tolist()) == expected
    assert Columns.of([["b", "a"]]).coded(0)[1].tolist() == [1, 2]
    nothing = stacked([], 2)
    assert nothing.cells(1) == [] and list(nothing.coded(1)[0]) == [""] and not len(nothing.coded(1)[1])


@pytest.mark.parametrize("cells", [[f"\u00e9{row % 40}" for row in range(99)], ["", *map(str, range(30))], ["x"], [""]])
def test_values_are_those_of_a_list(cells):
    """The different cells of a column are the same whether few or all of them are looked at."""
    expected = ["", *(value for value in dict.fromkeys(cells) if value)]
    values = Columns.of([cells]).coded(0)[0]
    assert len(values) == len(expected) and values.letters == sum(len(value.encode()) for value in expected)
    for at in (0, -1, slice(3), slice(None, None, 7), slice(1, None)):
        assert Columns.of([cells]).coded(0)[0][at] == expected[at]
    assert values.all() == list(values) == expected and values[-1] == expected[-1] and values[:2] == expected[:2]


def test_quotes_do_not_decide_the_kind_of_a_row():
    """Quoted cells with doubled quotes and delimiters are cut as the csv module cuts them."""
    text = 'a,"b ""c"", d"\n"e",f\r\n\r\n,g\n"","h"\n'
    block = kernel.PlainRecords(text.encode(), ",", '"', 2, ["name", "x"])
    places, lines, stop = block.cut(0)
    found = kernel.gather(kernel.Cells(block.data, places))
    assert list(zip(found.cells(0), found.cells(1))) == [tuple(row) for row in csv.reader(io.StringIO(text)) if row]
    assert lines == 5 and stop == len(text)
