"""Cells, dictionaries and codes: compiled versions equal the plain ones, codes are those of first occurrence."""

import csv
import io
import itertools

import numpy as np
import pandas
import pytest
from encoding import encode_arrays
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mpiedge.kernels import cells, dictionary
from mpiedge.profiling import expected
from mpiedge.profiling.encode import merge
from mpiedge.profiling.local import LocalTable, canonical_number
from mpiedge.profiling.plan import limited
from mpiedge.profiling.sources import sniff_delimiter, unique_names
from mpiedge.profiling.texts import Texts

compiled = pytest.mark.skipif(dictionary._library is None, reason="the kernels are not compiled")
cell = st.text(alphabet='ab"\n\r,; é', max_size=5)
tables = st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(cell, min_size=width, max_size=width), max_size=8))


def as_csv(rows: list[list[str]], **options) -> bytes:
    """Rows as the csv module writes them."""
    text = io.StringIO(newline="")
    csv.writer(text, **options).writerows(rows)
    return text.getvalue().encode()


def as_rows(found: cells.Cells) -> list[list[str]]:
    """Cells as lists of text."""
    columns = [[text.decode() for text in found.texts(column)] for column in range(found.places.shape[1])]
    return [list(row) for row in zip(*columns)]


@compiled
@given(tables, st.sampled_from([",", ";"]), st.sampled_from(["\n", "\r\n", "\r"]), st.booleans())
@settings(max_examples=200, deadline=None)
def test_cells_survive_a_round_trip(rows, delimiter, ending, quoted):
    """What the csv module writes is read back cell by cell, by the compiled and by the plain version."""
    quoting = csv.QUOTE_MINIMAL if ending == "\r\n" and not quoted else csv.QUOTE_ALL  # it may leave line ends bare
    text = as_csv(rows, delimiter=delimiter, lineterminator=ending, quoting=quoting)
    width = len(rows[0]) if rows else 3
    for read in (cells.csv_cells_native, cells.csv_cells_plain):
        assert as_rows(read(text, delimiter, width)) == rows
    for records in (len(rows), max(len(rows) - 1, 0)):
        assert as_rows(cells.csv_cells_native(text, delimiter, width, records=records)) == rows


@compiled
@given(st.text(alphabet='ab",\n\r', max_size=30).map(str.encode), st.integers(0, 70), st.integers(1, 3))
@example(b'""a,"', 0, 1)
@settings(max_examples=300, deadline=None)
def test_compiled_cells_equal_plain_cells_on_any_text(text, before, width):
    """Stray quotes, blank lines and ragged records end alike in both versions: same cells or the same bad record."""
    outcomes = []
    for read in (cells.csv_cells_native, cells.csv_cells_plain):
        try:
            outcomes.append(as_rows(read(b"x" * before + text, ",", width)))
        except cells.RaggedRecord as error:
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


@compiled
@given(st.lists(st.lists(st.binary(max_size=20), max_size=60), max_size=4))
@settings(deadline=None)
def test_compiled_dictionary_equals_the_plain_one(lists):
    """Strings get the numbers of their first occurrence over all calls, in both versions, and come back in order."""
    texts = [Texts.of(strings) for strings in lists]
    for known in (dictionary.Dictionary(), dictionary.PlainDictionary()):
        every = [known.add(one.data, one.length) for one in texts]
        together = list(itertools.chain(*lists))
        distinct = list(dict.fromkeys(together))
        assert [number for ids, _ in every for number in ids.tolist()] == [distinct.index(one) for one in together]
        assert [empty for _, empty in every] == [strings.count(b"") for strings in lists]
        data, length = known.strings()
        assert Texts(data, length).tolist() == distinct and known.text_bytes == len(data)
        assert dictionary.hashes(data, length).tolist() == [dictionary.hash_plain(one) for one in distinct]


@compiled
@given(st.lists(st.lists(st.binary(max_size=20), max_size=30), max_size=4), st.integers(1, 5))
@settings(deadline=None)
def test_strings_that_are_not_compared_and_their_owners(lists, ranks):
    """Each string gets a number of its own and comes back; each goes to one owner, by its hash, in both versions."""
    parts, every = [Texts.of(strings) for strings in lists], list(itertools.chain(*lists))
    for strings, texts in zip(lists, parts):
        for known in (dictionary.Dictionary(compared=False), dictionary.PlainDictionary(compared=False)):
            ids, empty = known.add(texts.data, texts.length)
            assert ids.tolist() == list(range(len(strings))) and empty == strings.count(b"")
            assert Texts(*known.strings()).tolist() == strings and len(known) == len(strings)
    slices = dictionary.part_owners(np.arange(1.0, ranks + 1))
    owners = [slices[(dictionary.hash_plain(one) & 0xFFFFF) % len(slices)] for one in every]
    expected = [[index for index, owner in enumerate(owners) if owner == rank] for rank in range(ranks)]
    part_of = np.repeat(np.arange(len(lists)), [len(strings) for strings in lists])
    for library in (dictionary._library, None):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(dictionary, "_library", library)
            dealt = dictionary.deal([(texts.data, texts.length) for texts in parts], slices, ranks)
        numbers = list(itertools.chain(*expected))
        assert dealt.numbers.tolist() == numbers
        assert Texts(dealt.text, dealt.length).tolist() == [every[number] for number in numbers]
        for rank, own in enumerate(expected):
            for part in range(len(lists)):
                there = [every[number] for number in own if part_of[number] == part]
                assert (dealt.counts[rank, part], dealt.sizes[rank, part]) == (len(there), sum(map(len, there)))


@compiled
@given(st.lists(st.lists(st.lists(st.binary(max_size=9), max_size=20), min_size=3, max_size=3), min_size=1, max_size=3))
@settings(deadline=None)
def test_strings_of_columns_from_several_ranks(ranks):
    """Each column numbers what came from every rank, and says which one is the empty string, in both versions."""
    texts = [Texts.of(list(itertools.chain(*columns))) for columns in ranks]
    counts = np.array([[len(strings) for strings in columns] for columns in ranks])
    distinct = [list(dict.fromkeys(itertools.chain(*strings))) for strings in zip(*ranks)]
    for library, kind in ((dictionary._library, dictionary.Dictionary), (None, dictionary.PlainDictionary)):
        known = [kind() for _ in range(3)]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(dictionary, "_library", library)
            data, lengths = zip(*((one.data, one.length) for one in texts))
            ids, empty = dictionary.add_columns(known, data, lengths, counts)
        assert ids.tolist() == [distinct[column].index(text) for columns in ranks
                                for column, strings in enumerate(columns) for text in strings]
        assert empty == [strings.index(b"") if b"" in strings else -1 for strings in distinct]
        assert [Texts(*one.strings()).tolist() for one in known] == distinct


@compiled
@given(st.lists(st.integers(0, 300), max_size=50), st.sampled_from([np.uint16, np.uint32]))
@settings(deadline=None)
def test_codes_are_numbered_anew(values, kind):
    """Compiled and plain: new codes by first occurrence, where old ones went, and how often each occurs."""
    expected, distinct = pandas.factorize(np.array(values, kind))
    for native in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            if not native:
                patch.setattr(dictionary, "_library", None)
            codes, numbers = np.array(values, kind), np.zeros(301, np.uint32)
            assert dictionary.renumber(codes, numbers) == len(distinct)
            assert codes.tolist() == expected.tolist() and numbers[distinct].tolist() == list(range(len(distinct)))
            every, times = np.array([*values, *distinct], kind), np.ones(301, np.uint32)
            dictionary.count(every, times)
            assert times.tolist() == [1 + every.tolist().count(value) for value in range(301)]
            few, met = np.array(values, kind) % 3, len(set(one % 3 for one in values))  # all are met before the end
            again = few.copy()
            assert dictionary.renumber(again, np.zeros(met or 1, np.uint32) if set(few.tolist()) == set(range(met))
                                       else np.zeros(3, np.uint32)) == met
            assert again.tolist() == pandas.factorize(few)[0].tolist()
            into = np.empty(len(values), np.uint16)
            dictionary.spread(np.arange(301, dtype=np.uint32)[::-1].copy(), np.array(values, kind), into)
            assert into.tolist() == [300 - value for value in values]


def test_plain_kernels_serve_alone(world, monkeypatch):
    """Without the compiled library the same calls give the same answers."""
    rows = [["a", "b"], ["x,y", "z"], ["a", ""]]
    expected = [column.codes.tolist() for column in encode(world, [rows], 2)[1]]
    monkeypatch.setattr(dictionary, "_library", None)
    monkeypatch.setattr(cells, "_library", None)
    assert [column.codes.tolist() for column in encode(world, [rows], 2)[1]] == expected
    assert Texts.of([b"a", b"bc", b""]).take(np.array([1, 0])).tolist() == [b"bc", b"a"]


def encode(world, blocks: list[list[list[str]]], width: int, null=None, null_unequal=False, allowance_bytes=None):
    """The encoded table of blocks of rows."""
    local = LocalTable(width, allowance_bytes)
    for order, rows in enumerate(blocks):
        local.add_cells(order, cells.csv_cells(as_csv(rows, quoting=csv.QUOTE_ALL), ",", width), null)
    return merge(world, local, null_unequal)


@given(st.lists(st.lists(st.lists(st.sampled_from(["a", "", "é"]), min_size=2, max_size=2), max_size=5), max_size=5),
       st.sampled_from([None, 1]))
@settings(deadline=None)
def test_codes_are_in_the_order_of_first_occurrence(world, blocks, allowance_bytes):
    """Codes, distinct values and counts equal those of pandas.factorize on the whole column, whether the dictionaries
    stay in memory or go to scratch after every block."""
    rows, columns = encode(world, blocks, 2, allowance_bytes=allowance_bytes)
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
    _, (column,) = encode(world, [[[""]] * 300], 1, null_unequal=True)
    assert column.distinct == 300 and column.codes.dtype == np.uint16 and column.codes.tolist() == list(range(300))


def test_codes_widen_with_the_number_of_values(world):
    """More than 256 values need two bytes; fewer never take them."""
    _, (narrow, wide) = encode(world, [[[str(row % 256), str(row)] for row in range(300)]], 2)
    assert narrow.codes.dtype == np.uint8 and wide.codes.dtype == np.uint16


def test_a_table_without_rows_has_no_codes(world):
    """No block at all still gives every column, empty."""
    rows, columns = merge(world, LocalTable(3))
    assert rows == 0 and [column.distinct for column in columns] == [0, 0, 0]


def test_typed_columns_become_canonical_text(world):
    """Numbers equal their shortest text, NaN is missing, text stays as it is."""
    text = np.array(["3", "", "é"], object)
    _, columns = encode_arrays(world, {0: [text, np.array([3, -1, 3]), np.array([3.0, np.nan, 0.5])]}, 3)
    found = [dict(zip(column.values.codes.tolist(), column.values.texts.tolist())) for column in columns]
    assert [[found[column][code] for code in columns[column].codes.tolist()] for column in range(3)] == [
        [b"3", b"", "é".encode()], [b"3", b"-1", b"3"], [b"3", b"", b"0.5"]]
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


@pytest.mark.parametrize("distinct", [3, 20_000, 1_000_000])
def test_distinct_values_are_expected_from_a_sample(distinct):
    """From 8 blocks of 2,000 of a million rows: never too few values, and at most 1.7 times too many."""
    random = np.random.default_rng(1)
    drawn = [np.unique(random.integers(0, distinct, 2000)) for _ in range(8)]
    if distinct == 1_000_000:
        drawn = [np.arange(2000) + 2000 * block for block in range(8)]
    count, text = expected._estimate([one.astype(np.uint64) for one in drawn], [np.full(len(one), 5) for one in drawn],
                                 16_000, 1_000_000)
    assert distinct <= count <= max(1.7 * distinct, 3) and text == 5 * count


@pytest.mark.parametrize(("speeds", "most", "shares"), [
    ((1, 1, 1, 1), 2.0, (1, 1, 1, 1)), ((4, 2, 1, 1), 2.0, (2, 1, 0.5, 0.5)), ((10, 1, 1, 0), 2.0, (2, 1, 1, 0)),
    ((4, 2, 1, 1), 1.0, (1, 1, 1, 1)), ((1, 0, 0, 0), 2.0, (2, 2, 2, 2)),
])  # fmt: skip
def test_fast_ranks_own_more(speeds, most, shares):
    """Parts of the hashes are owned in proportion to the speeds, but by none more than its share of the memory."""
    speeds = np.array(speeds, float)
    owners = dictionary.part_owners(limited(speeds / speeds.sum(), most / len(speeds)))
    assert np.bincount(owners, minlength=4) / dictionary.PARTS == pytest.approx(np.array(shares) * 4 / sum(shares))
