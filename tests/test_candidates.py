"""Gram vectors, their cosines and the search of neighbours, against plain versions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import MemoryStage, MemoryTable, OneRank, people

from mpiedge.cleaning.candidates import _merge_groups, find_candidates
from mpiedge.cleaning.exact import first_equal_rows
from mpiedge.cleaning.recall import estimate_recall
from mpiedge.cleaning.records import normalise, read_records, row_digests
from mpiedge.kernels import cosine
from mpiedge.kernels.cosine import GRAMS, UNIT, VALUE_PAIRS, WHOLE_VALUES, WORD_PAIRS, Index, Texts, weigh_grams
from mpiedge.kernels.coverage import Words, coverage, coverage_plain
from mpiedge.kernels.jaro_winkler import jaro_winkler, jaro_winkler_plain
from mpiedge.kernels.shortened import APART, LEFT_OUT, SHORTENED, shortened, shortened_plain
from mpiedge.runtime.world import World

words = st.text("abcß中 .x", min_size=1, max_size=12).map(lambda text: " ".join(text.split())).filter(bool)


@pytest.fixture(scope="module")
def stage():
    return MemoryStage(World())


def texts_of(values):
    encoded = [value.encode("utf-8", "surrogatepass") for value in values]
    return Texts(np.frombuffer(b"".join(encoded), np.uint8),
                 np.concatenate([[0], np.cumsum([len(value) for value in encoded])]).astype(np.int64))


def plain(monkeypatch):
    monkeypatch.setattr(cosine, "_library", None)


@settings(max_examples=40, deadline=None)
@given(st.lists(words, min_size=2, max_size=12), st.integers(1, 7), st.randoms(use_true_random=False),
       st.sampled_from([GRAMS, GRAMS | WORD_PAIRS | WHOLE_VALUES | VALUE_PAIRS]), st.sampled_from([0, 5, 40]))
def test_kernel_is_the_plain_version(values, width, random, features, budget):
    """Counts, vectors, cosines and found neighbours of the compiled kernel are those of plain Python, bit by bit."""
    if cosine._library is None:
        pytest.skip("the kernels are not compiled")
    texts = texts_of(values)
    documents = np.array([[random.randrange(-1, len(values)) for _ in range(width)] for _ in range(20)], np.int32)
    a, b = np.triu_indices(20, 1)
    answers = []
    with pytest.MonkeyPatch.context() as patch:
        for compiled in (True, False):
            if not compiled:
                plain(patch)
            frequency = np.zeros(1 << 10, np.int32)
            cosine.count(texts, documents, 4, 10, features, frequency)
            grams = weigh_grams(frequency, 20, 4, 10, features, 2)
            rows = cosine.vectors(texts, documents, grams, budget)
            entries = [sorted(zip(rows[1][start:stop].tolist(), rows[2][start:stop].tolist()))
                       for start, stop in zip(rows[0], rows[0][1:])]
            blocks = [cosine.vectors(texts, documents[start:start + 8], grams, budget) for start in (0, 8, 16)]
            index = Index(grams.in_use, 8, 0, 20, len(rows[1]))
            for number, block in enumerate(blocks):
                index.fill(number, block, int(rows[0][8 * number]))
            found = index.search(rows, np.arange(20), 2, 5, UNIT // 10)
            cosines = cosine.pairs(texts, documents[a], documents[b], grams)
            whole, dense = cosine.vectors(texts, documents, grams), np.zeros(grams.in_use, np.uint16)
            assert cosine.dots(whole, a, b, dense).tolist() == cosines.tolist()
            assert not dense.any()
            assert cosine.pairs_among(texts, documents, a, b, grams).tolist() == cosines.tolist()
            answers.append((frequency.tolist(), entries, cosines.tolist(), [part.tolist() for part in found]))
    assert answers[0] == answers[1]


def test_search_is_the_full_matrix(stage):
    """The neighbours found are those of the matrix of all cosines, under the rule "at least 15, else half the best"."""
    names, rows, _ = people(150, 1)
    records, _, _ = read_records(stage, MemoryTable(names, rows), names, None)
    candidates = find_candidates(stage, records, np.arange(records.rows))
    a, b = np.triu_indices(records.rows, 1)
    likeness = np.zeros((records.rows, records.rows), np.int64)
    likeness[a, b] = cosine.pairs(records.texts, records.codes[a], records.codes[b], candidates.grams)
    likeness += likeness.T
    expected = set()
    for row, scores in enumerate(likeness):
        order = np.lexsort((np.arange(len(scores)), -scores))
        order = [other for other in order if scores[other] > UNIT // 10][:250]
        kept = [other for place, other in enumerate(order) if place < 15 or 2 * scores[other] >= scores[order[0]]]
        expected |= {(min(row, other), max(row, other)) for other in kept}
    assert set(zip(candidates.a.tolist(), candidates.b.tolist())) == expected
    assert (candidates.cosine == likeness[candidates.a, candidates.b]).all()


@pytest.mark.parametrize("least, most, lone", [(1, np.inf, False), (2, 3.5, True), (2, 2.0, False)])
def test_grams_are_numbered(least, most, lone):
    """The kernel numbers grams as numpy does, those of one document included."""
    frequency = np.random.default_rng(1).poisson(1.5, 4096).astype(np.int32)
    for found, plain in zip(cosine.number_grams(frequency, least, most, lone),
                            cosine.number_grams_plain(frequency, least, most, lone)):
        assert found.dtype == plain.dtype and found.tolist() == plain.tolist()


def test_groups_of_the_index_change_nothing(stage):
    """Searching the index piece by piece and merging gives the neighbours of one search."""
    names, rows, _ = people(60, 1)
    records, _, _ = read_records(stage, MemoryTable(names, rows), names, None)
    frequency = np.zeros(1 << 16, np.int32)
    cosine.count(records.texts, records.codes, 4, 16, GRAMS, frequency)
    grams = weigh_grams(frequency, records.rows, 4, 16, GRAMS, 2)
    vectors = cosine.vectors(records.texts, records.codes, grams)
    parts = []
    for first, last in ((0, 120), (0, 50), (50, 100), (100, 120)):
        block = cosine.vectors(records.texts, records.codes[first:last], grams)
        index = Index(grams.in_use, 128, first, last - first, len(block[1]))
        index.fill(0, block, 0)
        parts.append(dict(zip(("counts", "neighbours", "scores"), index.search(vectors, np.arange(120), 3, 9, 1000))))
    merged = _merge_groups(parts[1:], 3, 9)
    assert all((merged[key] == parts[0][key]).all() for key in parts[0])


def test_large_tables_keep_their_duplicates(stage, monkeypatch):
    """When only the rarest features are searched, every damaged copy is still a candidate of its original."""
    monkeypatch.setattr("mpiedge.cleaning.candidates.POSTINGS", 0)
    monkeypatch.setattr("mpiedge.cleaning.candidates.BUDGET", 300)
    names, rows, entity = people(400, 1)
    records, _, _ = read_records(stage, MemoryTable(names, rows), names, None)
    candidates = find_candidates(stage, records, np.arange(records.rows))
    entity = np.array(entity)
    assert candidates.summary["bounded"] != "no"
    assert (entity[candidates.a] == entity[candidates.b]).sum() >= 0.99 * 400


def test_recall_is_the_share_of_all_matches(stage):
    """In a small table, where every record is looked at, the share is that of the true pairs among the candidates."""
    names, rows, entity = people(150, 1)
    records, _, _ = read_records(stage, MemoryTable(names, rows), names, None)
    everyone, entity = np.arange(records.rows), np.array(entity)
    candidates = find_candidates(stage, records, everyone)
    lost = np.flatnonzero(entity[candidates.a] == entity[candidates.b])[::3]
    candidates.a, candidates.b = np.delete(candidates.a, lost), np.delete(candidates.b, lost)

    def scorer(a, b):
        yield
        return np.where(entity[a] == entity[b], 1.0, -1.0)

    assert estimate_recall(stage, records, everyone, candidates, scorer, 0.0) == {
        "records": 300, "matches": 150, "share": 0.6667}


def test_candidates_between_sources_only(stage):
    """With sources no candidate pair has both records in one of them."""
    names, rows, _ = people(80, 1)
    records, _, _ = read_records(stage, MemoryTable(names, rows), names, None)
    sources = (np.arange(records.rows) % 2).astype(np.uint8)
    candidates = find_candidates(stage, records, np.arange(records.rows), sources)
    assert len(candidates.a) and (sources[candidates.a] != sources[candidates.b]).all()


@given(st.text(max_size=30))
def test_normalised_text_is_stable(text):
    """Normalising twice changes nothing, and no blank stands first, last or twice."""
    once = normalise(text)
    assert normalise(once) == once or once != once.lower()
    assert once == once.strip() and "  " not in once


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["", "x", "x\x1f"])), max_size=40))
def test_equal_rows_meet(rows):
    """Rows with the same cells get the first of them as their cluster, other rows stay alone."""
    columns = [np.array([row[column] for row in rows], object) for column in range(2)]
    first = first_equal_rows(OneRank(), [(0, row_digests(columns, len(rows)))], len(rows))
    assert first.tolist() == [rows.index(row) for row in rows]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000))
def test_coverage_is_the_plain_version(seed):
    """The compiled coverage of words is the plain one, bit by bit, and full between records of the same words."""
    draw = np.random.default_rng(seed)
    sets = [np.unique(draw.integers(0, 12, draw.integers(0, 6))) for _ in range(8)]
    partners = [np.unique([word, *draw.integers(0, 12, draw.integers(0, 3))]) for word in range(12)]
    strength = np.concatenate([np.where(others == word, 1.0, 0.9) for word, others in enumerate(partners)])
    words = Words(np.cumsum([0, *map(len, sets)]), np.concatenate(sets).astype(np.int32), draw.random(12) + 0.1,
                  np.cumsum([0, *map(len, partners)]), np.concatenate(partners).astype(np.int32),
                  strength.astype(np.float32))
    a, b = (side.astype(np.int32) for side in np.indices((8, 8)).reshape(2, -1))
    covered = coverage(words, a, b)
    assert (covered == coverage_plain(words, a, b)).all()
    assert (covered[a == b] == [1.0 if len(one) else 0.0 for one in sets]).all()


@pytest.mark.parametrize("one, other, kind", [
    ("j smith", "john smith", SHORTENED), ("и.", "иванович", SHORTENED), ("kirchstr. 4", "kirchstraße 4", SHORTENED),
    ("j smith", "john s", APART), ("12 road", "120 road", APART), ("smith", "john smith", LEFT_OUT),
    ("003 tight corner", "tight corner", LEFT_OUT), ("a b", "a long b", APART), ("smith john", "john smith", APART),
    ("", "john", APART), (".", "john", APART), ("corner tight", "a tight corner", APART), ("ш", "щи", APART),
])
def test_shortened_and_left_out(one, other, kind):
    """Initials, cut words and words left out are seen from either side; numbers and other orders are not taken so."""
    texts = texts_of([one, other])
    a, b = np.array([0, 1]), np.array([1, 0])
    assert shortened(texts, a, b).tolist() == shortened_plain(texts, a, b).tolist() == [kind, kind]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.sampled_from(["", "a", "ab", "ab.", ".", "é", "éa", "abcd", "abcde", "1", "12"]),
                         max_size=4), min_size=2, max_size=12))
def test_shortened_as_the_plain_version(values):
    """The kernel agrees with the plain version on any words."""
    texts = texts_of([" ".join(value) for value in values])
    a, b = np.triu_indices(len(values), 1)
    assert (shortened(texts, a, b) == shortened_plain(texts, a, b)).all()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("abcé中\ud800 .", max_size=9) | st.text("abc", min_size=55, max_size=75), min_size=2,
                max_size=12))
def test_jaro_winkler_has_the_bits_of_rapidfuzz(values):
    """The kernel agrees with rapidfuzz on texts of any length and script."""
    texts = texts_of(values)
    a, b = (place.ravel() for place in np.indices((len(values), len(values))))
    assert jaro_winkler(texts, a, b).tolist() == jaro_winkler_plain(texts, a, b).tolist()


def test_shortened_reads_nothing_behind_the_text():
    """A word that is all of the last value is compared with nothing behind it, here half a character."""
    texts = Texts(np.frombuffer(b"ab.ab\xa9", np.uint8)[:5], np.array([0, 3, 5]))
    assert shortened(texts, np.array([0]), np.array([1])).tolist() == [SHORTENED]


def test_a_thing_with_many_records_is_found(stage):
    """A person with a fifth of the records, each with another number: what these have in common is in more than a tenth
    of the records, and yet they are candidates of each other."""
    names, rows, _ = people(1600, 0)
    rows += [[*rows[0][:-1], f"{number:07}"] for number in range(400)]
    records, _, _ = read_records(stage, MemoryTable(names, rows), names, None)
    found = find_candidates(stage, records, np.arange(len(rows)))
    same = (found.a >= 1600) & (found.cosine > UNIT // 2)
    assert len(np.unique(np.append(found.a[same], found.b[same]))) == 400
