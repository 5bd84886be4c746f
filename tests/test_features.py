"""Features from typed columns, and what is found out about tables of nodes and edges."""

import csv
import io
import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpiedge.errors import InputError, UsageError
from mpiedge.graph import cells, tables
from mpiedge.graph.build import TEST, TRAIN
from mpiedge.graph.features import (
    CHUNK_TOKENS,
    INTERVALS,
    MOST_POINTS,
    Block,
    Encoder,
    Survey,
    as_number,
    as_text,
    capped,
    digests,
    edges_of,
    plan_encoder,
    survey,
    tokens,
)
from mpiedge.graph.sparse import stack
from mpiedge.runtime.wire import pack, unpack
from mpiedge.training import predict
from mpiedge.training.encoding import expected_entries


def texts(*values):
    """An object array of text cells."""
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


KINDS = {"code": "text", "title": "text", "city": "text", "year": "integer", "weight": "decimal", "day": "date",
         "open": "boolean", "tag_1": "text", "tag_2": "text", "constant": "text"}  # fmt: skip


def rows(count=60):
    """A table with one column of every sort."""
    random = np.random.default_rng(0)
    word = ["graph", "wave", "cell", "star", "code", "Proof"]
    titles = [" ".join(random.choice(word, 3)) + f" of {random.integers(0, 40)}" for _ in range(count)]
    return {
        "code": texts(*(f"X{number:05d}" for number in range(count))),
        "title": texts(*titles),
        "city": texts(*random.choice(["Lima", "Oslo", ""], count)),
        "year": random.integers(1950, 2020, count),
        "weight": np.where(random.random(count) < 0.2, np.nan, random.random(count)),
        "day": texts(*(f"20{number % 30:02d}-01-02" for number in range(count))),
        "open": texts(*random.choice(["true", "false"], count)),
        "tag_1": texts(*random.choice(["red", "blue", ""], count)),
        "tag_2": texts(*random.choice(["blue", "green"], count)),
        "constant": texts(*["same"] * count),
    }


def encoder_of(table, kinds=KINDS):
    """The encoder of a whole table."""
    return plan_encoder(kinds, survey(kinds, table))


def test_each_sort_of_column_becomes_its_features():
    """Words, values and numbers as told; ids, constants and unique codes left out; numbered columns share a block."""
    blocks = {"+".join(block.columns): block for block in encoder_of(rows()).blocks}
    kinds = {name: block.kind for name, block in blocks.items()}
    assert kinds == {"title": "words", "city": "values", "year": "number", "weight": "number", "day": "number",
                     "open": "values", "tag_1+tag_2": "values"}  # fmt: skip
    assert sorted(blocks["tag_1+tag_2"].vocabulary) == ["blue", "green", "red"]
    assert "proof" in blocks["title"].vocabulary


def test_encoding_by_hand():
    """Numbers fill their intervals, words weigh 1 on average, values count 1; unknown words no entry; length 1."""
    table = rows()
    encoder = encoder_of(table)
    encoded = encoder.encode(table)
    assert encoded.columns == encoder.columns and encoded.rows == 60
    ends = np.cumsum([block.width for block in encoder.blocks])
    scaled = {block.columns[0]: encoded.dense()[:, end - block.width : end] for block, end in zip(encoder.blocks, ends)}
    np.testing.assert_allclose(np.linalg.norm(encoded.dense(), axis=1), 1, rtol=1e-5)
    of = {name: part / scaled["open"].sum(axis=1, keepdims=True) for name, part in scaled.items()}
    together = np.hstack([of["title"], of["tag_1"]])
    np.testing.assert_allclose((together**2).sum(axis=1), (together > 0).sum(axis=1), rtol=1e-5)
    np.testing.assert_allclose(of["city"].sum(axis=1), table["city"] != "", rtol=1e-5)
    missing = np.isnan(table["weight"])
    middle = np.repeat([1 / np.sqrt(INTERVALS), 0], INTERVALS // 2)
    np.testing.assert_allclose(of["weight"][missing], np.tile(middle, (missing.sum(), 1)), rtol=1e-5)
    edges = next(block.edges for block in encoder.blocks if block.columns == ["weight"])
    filled = table["weight"][~missing]
    assert (edges[0], edges[-1]) == (filled.min(), filled.max())
    again = np.interp(of["weight"][~missing].sum(axis=1) * np.sqrt(INTERVALS), range(len(edges)), edges)
    np.testing.assert_allclose(again, filled, rtol=1e-5)
    inside = np.histogram(filled, edges)[0]
    assert inside.max() <= 2 * len(filled) / INTERVALS
    strange = {name: column[:1].copy() for name, column in table.items()}
    for name in ("title", "city", "day", "tag_1", "tag_2"):
        strange[name][0] = "never seen"
    strange["open"][0] = ""
    used = set(np.flatnonzero(encoder.encode(strange).dense()[0]).tolist())
    numbers = {place for block, end in zip(encoder.blocks, ends) if block.kind == "number"
               for place in range(end - block.width, end)}  # fmt: skip
    assert used <= numbers and used


def test_intervals_of_many_numbers():
    """Of numbers in many chunks every interval holds about as many; numbers that repeat make fewer intervals."""
    random = np.random.default_rng(3)
    numbers, merged = random.lognormal(0, 3, 200_000), Survey()
    for start in range(0, len(numbers), 2_000):
        merged.merge(survey({"x": "decimal"}, {"x": numbers[start : start + 2_000]}))
    edges = edges_of(merged.spread["x"])
    assert len(merged.spread["x"]) <= MOST_POINTS and len(edges) == INTERVALS + 1
    assert (edges[0], edges[-1]) == (numbers.min(), numbers.max())
    np.testing.assert_allclose(np.histogram(numbers, edges)[0], len(numbers) / INTERVALS, rtol=0.03)
    mostly = np.where(np.arange(1000) < 900, 0.0, np.arange(1000))
    assert 2 <= len(edges_of(survey({"x": "decimal"}, {"x": mostly}).spread["x"])) < INTERVALS


def test_intervals_of_extreme_numbers():
    """The largest and smallest numbers, infinite and missing ones make finite features."""
    table = {"x": np.array([-1.7e308, 1.7e308, 5e-324, 0.0, np.nan, np.inf, -np.inf, 1.0]), "y": np.arange(8) / 8}
    encoded = encoder_of(table, {"x": "decimal", "y": "decimal"}).encode(table).dense()
    assert np.isfinite(encoded).all() and encoded[4].any()
    assert [int((encoded[row, :3] > 0).sum()) for row in (0, 7, 1)] == [0, 2, 3]


def test_a_model_of_another_version():
    """Features described in another way are refused in one line, not taken for others."""
    encoder = json.dumps({"kinds": {"x": "decimal"}, "blocks": [{"kind": "number", "columns": ["x"], "mean": 0.5}]})
    with pytest.raises(InputError, match="this version does not know"):
        predict.load("model.h5", {"encoder": texts(encoder), "classes": texts("a", "b")}, "{}")


def test_chunks_do_not_change_the_features():
    """Surveyed and encoded in chunks of any length, the table gives the same encoder and the same rows."""
    table = rows()
    whole = encoder_of(table)
    merged = Survey()
    for start in range(0, 60, 13):
        chunk = {name: column[start : start + 13] for name, column in table.items()}
        merged.merge(Survey.from_message(unpack(pack(survey(KINDS, chunk).to_message()))))
    again = plan_encoder(KINDS, merged)
    assert again.kinds == whole.kinds
    for one, other in zip(again.blocks, whole.blocks):
        assert (one.kind, one.columns, one.vocabulary, one.weights) == (
            other.kind, other.columns, other.vocabulary, other.weights)  # fmt: skip
        assert one.edges == pytest.approx(other.edges)
    parts = [whole.encode({name: column[start : start + 13] for name, column in table.items()})
             for start in range(0, 60, 13)]  # fmt: skip
    np.testing.assert_array_equal(stack(parts, whole.columns).dense(), whole.encode(table).dense())
    restored = Encoder.from_message(json.loads(json.dumps(whole.to_message())))
    np.testing.assert_array_equal(restored.encode(table).dense(), whole.encode(table).dense())


@given(st.lists(st.tuples(st.text(max_size=12), st.floats(allow_nan=True, allow_infinity=True, width=32),
                          st.integers(-(2**40), 2**40)), min_size=1, max_size=40))  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_any_cells_can_be_encoded(cell_rows):
    """Arbitrary text, infinite and missing numbers: finite features of the planned width."""
    table = {"a": texts(*(row[0] for row in cell_rows)), "b": np.array([row[1] for row in cell_rows]),
             "c": np.array([row[2] for row in cell_rows])}  # fmt: skip
    kinds = {"a": "text", "b": "decimal", "c": "integer"}
    encoder = encoder_of(table, kinds)
    if encoder.columns:
        encoded = encoder.encode(table)
        assert np.isfinite(encoded.data).all() and encoded.sound() and encoded.columns == encoder.columns


@given(st.lists(st.tuples(*[st.sampled_from(["", "a b", "b  B c", "c-a", "d", "A"])] * 2), min_size=1, max_size=30))
@settings(max_examples=60, deadline=None)
def test_cells_that_repeat_count_as_often_as_they_are_there(cell_rows):
    """Each cell by itself gives the counts of words, the features of every row, and as many of them as expected."""
    one, two = zip(*cell_rows)
    kinds, table = {"t_1": "text", "t_2": "text"}, {"t_1": texts(*one), "t_2": texts(*two)}
    found = survey(kinds, table)
    for name, column in (("t_1", one), ("t_2", two)):
        assert found.word_counts[name] == Counter(word for cell in column for word in set(tokens(cell)))
    names = sorted({word for cell in one + two for word in tokens(cell)})
    if not names:
        return
    encoder = Encoder(kinds, [Block("words", ["t_1", "t_2"], vocabulary=names[:3], weights=[1.0] * len(names[:3]))])
    shown = [[name in tokens(first) + tokens(second) for name in names[:3]] for first, second in cell_rows]
    np.testing.assert_array_equal(encoder.encode(table).dense() > 0, shown)
    alone = Encoder(kinds, [Block("words", ["t_1"], vocabulary=names[:3], weights=[1.0] * len(names[:3]))])
    assert expected_entries(alone, found) == alone.encode(table).data.size
    assert expected_entries(encoder, found) >= encoder.encode(table).data.size


@given(st.lists(st.sampled_from([np.nan, 0.0, 0.0, -1.5, 2.0, 7.25, 1e9]) | st.floats(-9, 9, width=16), min_size=1))
@settings(max_examples=60, deadline=None)
def test_entries_of_numbers_are_foreseen(numbers):
    """A number has those intervals that begin below it, a missing one half of them, also where numbers repeat."""
    kinds, table = {"n": "decimal"}, {"n": np.array(numbers)}
    found = survey(kinds, table)
    encoder = Encoder(kinds, [Block("number", ["n"], edges=edges_of(found.spread["n"]))])
    assert expected_entries(encoder, found) == encoder.encode(table).data.size


@given(st.dictionaries(st.text("abcé", max_size=3), st.integers(1, 4)), st.integers(1, 12))
def test_the_most_frequent_are_kept(counts, limit):
    """Of equal ones the first by name, however they came."""
    expected = dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:limit])
    assert capped(Counter(counts), limit) == expected


def test_cells_as_text_and_number():
    """Whole numbers print without a point, dates become days, nonsense becomes missing."""
    assert as_text(np.array([1.0, np.nan, 2.5, np.inf])) == ["1", "", "2.5", ""]
    assert as_text(np.array([3, -4])) == ["3", "-4"] and as_text(texts("a", "")) == ["a", ""]
    np.testing.assert_array_equal(as_number("date", texts("1970-01-03", "no", "")), [2, np.nan, np.nan])
    np.testing.assert_array_equal(as_number("integer", texts("7", "x", "")), [7, np.nan, np.nan])


def test_label_is_guessed():
    """A usual name wins over other columns of few values, then one that clean has filled in, then the last; without any
    candidate a usage error says so."""
    table = {"id": texts(*map(str, range(40))), "area": texts(*(["a", "b"] * 15 + [""] * 10)),
             "city": texts(*["x", "y"] * 20)}  # fmt: skip
    kinds = dict.fromkeys(table, "text")
    found = survey(kinds, table)
    assert tables.guess_label({"papers": (kinds, found, {})}) == ("papers", "area")
    columns = {"one": texts(*["a", "b", "c"] * 14), "two": texts(*["x", "y"] * 21), "end": texts(*["u", "v", "w"] * 14)}
    others = dict.fromkeys(columns, "text"), survey(dict.fromkeys(columns, "text"), columns)
    assert tables.guess_label({"plain": (*others, {})}) == ("plain", "end")
    assert tables.guess_label({"plain": (*others, {"one": np.arange(3)})}) == ("plain", "one")
    assert tables.key_columns(kinds, found) == ["id"]
    titles = {"title": texts(*(f"on topic {number}" for number in range(40)))}
    assert tables.key_columns({"title": "text"}, survey({"title": "text"}, titles)) == []
    with pytest.raises(UsageError, match="no column looks like a label"):
        tables.guess_label({"papers": ({"id": "text"}, found, {})})


def test_edge_table_is_found_by_inclusions():
    """The table with two columns included in the key of the nodes; its own inclusions do not mislead."""
    pairs = [("cites.citing", "papers.id"), ("cites.cited", "papers.id"), ("cites.cited", "cites.citing"),
             ("log.paper", "papers.id")]  # fmt: skip
    found = [{"lhs": [left], "rhs": [right]} for left, right in pairs]
    columns = {"cites": ["citing", "cited"], "log": ["paper"], "papers": ["id", "area"]}
    assert tables.edge_table(found, columns, "papers", ["id"]) == ("cites", "citing", "cited", "id")
    assert tables.edge_table(found[1:], columns, "papers", ["id"]) is None


def test_determined_columns():
    """Of columns that tell each other the first stays; what goes is told by one that stays; others are left alone."""
    told = [{"lhs": [left], "rhs": right} for left, right in ("ab", "ba", "ac", "bc", "xd", "cd", "ad", "bd")]
    assert tables.determined(told, list("abcde")) == {"b": "a", "c": "a", "d": "a"}
    assert tables.determined(told, list("dcb")) == {"d": "b", "c": "b"}
    assert tables.determined([], list("ab")) == {}


def test_edges_are_matched_and_the_graph_assembled():
    """Edges name rows by the key that fits, unknown ends drop out, a split column gives the roles."""
    keys = {name: digests(cells) for name, cells in (("code", ["9", "8", "7"]), ("id", ["a", "b", "c"]))}
    key, pairs = tables.match_edges((digests(["a", "c", "zz", ""]), digests(["b", "a", "a", "a"])), keys)
    assert key == "id" and pairs.tolist() == [[0, 1], [2, 0]]
    encoded, ids = encoder_of(rows(3)).encode(rows(3)), np.array(["a", "b", "c"], dtype=object)
    labels = [(["", "x"], np.array([1, 0])), (["y"], np.array([0]))]
    roles = [(["TEST", "train"], np.array([1, 0])), ([""], np.array([0]))]
    graph = tables.assemble(ids, encoded, labels, pairs, roles, "column:part")
    assert graph.labels.tolist() == [0, -1, 1] and graph.edges.tolist() == [[0, 1], [0, 2]]
    assert graph.splits["column:part"].tolist() == [TRAIN, TEST, 0]


def test_the_survey_of_a_chunk_is_small():
    """Of very many values the frequent ones are kept; that all rows differ is known of all of them."""
    cells = [str(number) for number in range(CHUNK_TOKENS + 10)]
    found = survey({"id": "text", "twice": "text"}, {"id": texts(*cells), "twice": texts(*cells[:-1], cells[-2])})
    assert len(found.value_counts["id"]) == len(found.value_counts["twice"]) == CHUNK_TOKENS
    assert found.value_counts["twice"][cells[-2]] == 2 and tables.key_columns({"id": "", "twice": ""}, found) == ["id"]


def test_csv_cells_and_kinds():
    """Delimiter, blank lines, byte order mark; kinds only where every filled cell agrees."""
    header, columns = cells.read_csv("t.csv", "\ufeffa;b\n1;x\n\n 2 ;\n".encode())
    assert header == ["a", "b"] and columns["a"].tolist() == ["1", "2"] and columns["b"].tolist() == ["x", ""]
    kinds = [cells.infer_kind(texts(*column)) for column in
             (["1", ""], ["1", "2.5"], ["007"], ["2020-01-31"], ["true", "False"], ["x"], [""], ["1e5"])]  # fmt: skip
    assert kinds == ["integer", "decimal", "text", "date", "boolean", "text", "text", "decimal"]
    chunks = cells.in_chunks({"a": np.zeros(cells.CHUNK_ROWS + 1)})
    assert [len(chunk["a"]) for chunk in chunks] == [cells.CHUNK_ROWS, 1]


@pytest.mark.parametrize("data", [b"", b"\n\n", b"a,a\n1,2\n", b"a,\n1,2\n", b"a,b\n1\n", b"\xff\xfe\x00"])
def test_bad_csv_is_one_line(data):
    """Empty, headerless, ragged and wrongly encoded CSVs raise InputError with a remedy."""
    with pytest.raises(InputError):
        cells.read_csv("t.csv", data)


@given(st.lists(st.lists(st.sampled_from(["x", "\u00e9\u2028", 'a "b', "1,2", "line\nend", "\r", ""]), min_size=2,
                         max_size=2)), st.integers(1, 9), st.integers(1, 5))  # fmt: skip
@settings(deadline=None)
def test_rows_in_pieces(records, size, cells_at_once):
    """A CSV file that comes in pieces of any size gives, chunk by chunk, what it gives as a whole."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows([["a", "b"], *([f"{one}.", two] for one, two in records)])
    data = b"\xef\xbb\xbf" + text.getvalue().encode()
    whole = cells.read_csv("t.csv", data)[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cells, "CHUNK_CELLS", cells_at_once)
        chunks = list(cells.read_rows("t.csv", [data[at : at + size] for at in range(0, len(data), size)]))
    assert all(len(chunk["a"]) <= max(1, cells_at_once // 2) for chunk in chunks)
    assert all(np.concatenate([chunk[name] for chunk in chunks]).tolist() == whole[name].tolist() for name in "ab")
    assert len(whole["a"]) == len(records)
