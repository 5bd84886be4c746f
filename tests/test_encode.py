"""Cells, dictionaries and codes: compiled versions equal the plain ones, codes are those of first occurrence."""

import csv
import io

import numpy as np
import pandas
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mpiedge.kernels import dictionary
from mpiedge.profiling.encode import canonical_number, encode_arrays, encode_cells, merge_blocks, tell_missing_apart
from mpiedge.profiling.sources import sniff_delimiter, unique_names
from mpiedge.profiling.texts import Texts

compiled = pytest.mark.skipif(dictionary._library is None, reason="the kernels are not compiled")
cells = st.text(alphabet='ab"\n\r,; é', max_size=5)
tables = st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(cells, min_size=width, max_size=width), max_size=8))


def as_csv(rows: list[list[str]], **options) -> bytes:
    """Rows as the csv module writes them."""
    text = io.StringIO(newline="")
    csv.writer(text, **options).writerows(rows)
    return text.getvalue().encode()


def as_rows(data, start, length) -> list[list[str]]:
    """Cells as lists of text."""
    texts = Texts(data, length.reshape(-1), start.reshape(-1)).tolist()
    return np.array([text.decode() for text in texts], object).reshape(start.shape).tolist()


@compiled
@given(tables, st.sampled_from([",", ";"]), st.sampled_from(["\n", "\r\n", "\r"]), st.booleans())
@settings(max_examples=200, deadline=None)
def test_cells_survive_a_round_trip(rows, delimiter, ending, quoted):
    """What the csv module writes is read back cell by cell, by the compiled and by the plain version."""
    quoting = csv.QUOTE_MINIMAL if ending == "\r\n" and not quoted else csv.QUOTE_ALL  # it may leave line ends bare
    text = as_csv(rows, delimiter=delimiter, lineterminator=ending, quoting=quoting)
    width = len(rows[0]) if rows else 3
    for read in (dictionary._csv_cells_native, dictionary.csv_cells_plain):
        assert as_rows(*read(text, delimiter, width, '"')) == rows


@compiled
@given(st.text(alphabet='ab",\n\r', max_size=30).map(str.encode), st.integers(1, 3))
@example(b'""a,"', 1)
@settings(max_examples=300, deadline=None)
def test_compiled_cells_equal_plain_cells_on_any_text(text, width):
    """Stray quotes, blank lines and ragged records end alike in both versions: same cells or the same bad record."""
    outcomes = []
    for read in (dictionary._csv_cells_native, dictionary.csv_cells_plain):
        try:
            outcomes.append(as_rows(*read(text, ",", width, '"')))
        except dictionary.RaggedRecord as error:
            outcomes.append((error.offset, error.cells))
    assert outcomes[0] == outcomes[1]


@compiled
@given(st.lists(st.binary(max_size=20), max_size=60))
@settings(deadline=None)
def test_compiled_group_equals_plain_group(strings):
    """Numbers, first occurrences and hashes are the same, so hosts with and without a compiler can work together."""
    texts = Texts.of(strings)
    native = dictionary._group_native(texts.data, texts.start, texts.length)
    plain = dictionary.group_plain(texts.data, texts.start, texts.length)
    for one, other in zip(native, plain):
        assert np.array_equal(one, other)
    assert [strings[place] for place in plain[1]] == list(dict.fromkeys(strings))


def test_plain_kernels_serve_alone(monkeypatch):
    """Without the compiled library the same calls give the same answers."""
    text = as_csv([["a", "b"], ["x,y", "z"], ["a", ""]])
    expected = [block.tolist() for block in encode_cells(0, *dictionary.csv_cells(text, ",", 2)).codes]
    monkeypatch.setattr(dictionary, "_library", None)
    assert [block.tolist() for block in encode_cells(0, *dictionary.csv_cells(text, ",", 2)).codes] == expected
    assert Texts.of([b"a", b"bc", b""]).take(np.array([1, 0])).tolist() == [b"bc", b"a"]


def encode(world, blocks: list[list[list[str]]], width: int, null=None, null_unequal=False):
    """The encoded table of blocks of rows."""
    encoded = [encode_cells(order, *dictionary.csv_cells(as_csv(rows, quoting=csv.QUOTE_ALL), ",", width), null)
               for order, rows in enumerate(blocks)]
    return merge_blocks(world, encoded, width, null_unequal)


@given(st.lists(st.lists(st.lists(st.sampled_from(["a", "", "é"]), min_size=2, max_size=2), max_size=5), max_size=5))
@settings(deadline=None)
def test_codes_are_in_the_order_of_first_occurrence(world, blocks):
    """Codes, distinct values and counts equal those of pandas.factorize on the whole column."""
    rows, columns = encode(world, blocks, 2)
    together = [row for block in blocks for row in block]
    assert rows == len(together)
    for index, column in enumerate(columns):
        values = np.array([row[index] for row in together], object)
        codes, distinct = pandas.factorize(values)
        assert column.codes.tolist() == codes.tolist()
        assert column.distinct == len(distinct)
        assert [distinct[code].encode() for code in column.values.codes] == column.values.texts.tolist()
        assert column.values.counts.tolist() == np.bincount(codes)[column.values.codes].tolist()
        assert column.codes.dtype == np.uint8


def test_a_null_token_is_the_missing_cell(world):
    """The token and the empty cell become one value, the missing one."""
    _, (column, other) = encode(world, [[["?", "?x"], ["", "x"]], [["a", "??"], ["?", "?"]]], 2, null=b"?")
    assert column.codes.tolist() == [0, 0, 1, 0]
    assert column.values.texts.tolist() == [b"", b"a"] and column.missing == 0
    assert other.distinct == 4 and other.missing == 3


def test_missing_cells_can_be_told_apart(world):
    """With null_unequal each missing cell has a code of its own and the dictionary still counts them as one."""
    _, (column,) = encode(world, [[["a"], [""]], [[""], ["a"], [""]]], 1, null_unequal=True)
    assert column.codes.tolist() == [0, 1, 2, 0, 3] and column.distinct == 4
    assert column.values.counts.tolist() == [2, 3]
    codes, distinct = tell_missing_apart(np.array([0] * 300, np.uint8), 1, 0)
    assert distinct == 300 and codes.dtype == np.uint16 and len(set(codes.tolist())) == 300


def test_codes_widen_with_the_number_of_values(world):
    """More than 256 values need two bytes; fewer never take them."""
    _, (narrow, wide) = encode(world, [[[str(row % 256), str(row)] for row in range(300)]], 2)
    assert narrow.codes.dtype == np.uint8 and wide.codes.dtype == np.uint16


def test_a_table_without_rows_has_no_codes(world):
    """No block at all still gives every column, empty."""
    rows, columns = merge_blocks(world, [], 3)
    assert rows == 0 and [column.distinct for column in columns] == [0, 0, 0]


def test_typed_columns_become_canonical_text(world):
    """Numbers equal their shortest text, NaN is missing, text stays as it is."""
    text = np.array(["3", "", "é"], object)
    block = encode_arrays(0, [text, np.array([3, -1, 3]), np.array([3.0, np.nan, 0.5])])
    _, columns = merge_blocks(world, [block], 3)
    assert [column.values.texts.tolist() for column in columns] == [[b"3", b"", "é".encode()], [b"-1", b"3"],
                                                                  [b"0.5", b"3", b""]]
    assert canonical_number(1e300) == b"1e+300" and canonical_number(-0.0) == b"0" and canonical_number(2.5) == b"2.5"


@pytest.mark.parametrize(("head", "delimiter"), [
    (b"a;b\n1,5;2\n", ";"), (b"a,b\n1;2,2\n", ","), (b"a|b|c\nx y|2|3\n", "|"), (b"a\tb\n1\t2\n", "\t"),
    (b"a\nb\n", ","), (b'"a;b;c",d\n"e;f",g\n', ","), (b"\xef\xbb\xbfa;b\n1;2\n", ";")])
def test_the_delimiter_is_found(head, delimiter):
    """The delimiter that cuts the first records alike, quotes respected."""
    assert sniff_delimiter(head) == delimiter


def test_column_names_are_made_unique():
    """Blank names are numbered, repeated ones told apart without taking a name that is there."""
    assert unique_names(["a", "", "a", "a_2", " "]) == ["a", "column_2", "a_3", "a_2", "column_5"]
