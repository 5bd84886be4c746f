"""Statistics of columns against pandas and numpy."""

import math
import re
import tracemalloc
from fractions import Fraction

import numpy as np
import pandas
import pytest
from encoding import encode_arrays
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mpiedge.kernels import forms, frequent
from mpiedge.kernels import patterns as kernel
from mpiedge.profiling.encode import Values
from mpiedge.profiling.numbers import Buckets, Moments, edges_between, read_numbers, to_keys, to_values
from mpiedge.profiling.patterns import patterns_of
from mpiedge.profiling.statistics import describe_columns
from mpiedge.profiling.texts import Texts, frequent_message, frequent_of, most_frequent


def describe(world, values, kind=None) -> dict:
    """The description of one column."""
    array = values if isinstance(values, np.ndarray) else np.array(values, object)
    rows, (column,) = encode_arrays(world, {0: [array]}, 1)
    return describe_columns(world, [column.values], [rows], [kind])[0]


@given(st.lists(st.floats(-1e6, 1e6).map(lambda value: round(value, 3)), min_size=1, max_size=50))
@settings(deadline=None)
def test_numbers_are_described_as_pandas_does(world, values):
    """Minimum, maximum, mean, standard deviation and quantiles are those of pandas; the histogram that of numpy."""
    series = pandas.Series(values)
    found = describe(world, series.to_numpy(np.float64), "decimal")
    assert (found["min"], found["max"]) == (series.min(), series.max())
    assert found["mean"] == pytest.approx(series.mean(), abs=1e-6)
    assert (found["std"] or 0) == pytest.approx(series.std() if len(series) > 1 else 0, abs=1e-5)
    for name, value in found["quantiles"].items():
        assert value == pytest.approx(series.quantile(float(name)), abs=1e-6)
    assert sum(found["histogram"]["counts"]) == len(series)
    if series.nunique() > 1:
        edges = edges_between(series.min(), series.max())
        assert found["histogram"]["edges"] == pytest.approx(edges.tolist())
        assert np.histogram(series, bins=edges)[0].tolist() == found["histogram"]["counts"]


@given(st.lists(st.sampled_from(["", "a", "bb", "ccc", "é", "B 1"]), min_size=1, max_size=40))
@settings(deadline=None)
def test_text_is_counted_exactly(world, values):
    """Missing cells, distinct values, lengths, top values with ties by text, and entropy."""
    found = describe(world, values)
    present = [value for value in values if value]
    counts = pandas.Series(present, dtype=object).value_counts()
    assert found["rows"] == len(values) and found["nulls"] == len(values) - len(present)
    assert found["distinct"] == len(counts)
    expected = sorted(counts.items(), key=lambda item: (-item[1], item[0].encode()))
    assert [(entry["value"], entry["count"]) for entry in found["top"]] == expected
    shares = counts.to_numpy() / max(len(present), 1)
    assert found["entropy_bits"] == pytest.approx(-(shares * np.log2(shares)).sum(), abs=1e-9)
    if present:
        sizes = [len(value) for value in present]
        assert found["length"] == {"min": min(sizes), "max": max(sizes), "mean": pytest.approx(np.mean(sizes))}
        assert sum(entry["count"] for entry in found["patterns"]) == len(present)


@pytest.mark.parametrize(("values", "kind"), [
    (["1", "-2", "+3", "0"], "integer"), (["1.5", "2", "1e3"], "decimal"), (["007", "1"], "text"), (["1", "?"], "text"),
    (["1", "nan"], "text"), (["1e999", "1"], "text"), (["-", "."], "text"), (["2014-05-01", "1999-12-31"], "date"),
    (["2014-05-01T10:00:00Z", "1999-12-31T10:00:00Z"], "date"), (["true", "False"], "boolean"),
    (["true", "maybe"], "text"), (["", ""], "text"), (["1", ""], "integer"), (["1" * 50], "text")])
def test_types_are_inferred(world, values, kind):
    """Numbers without needless zeros, ISO dates, true and false; everything else is text."""
    assert describe(world, values)["type"] == kind


def test_declared_types_win(world):
    """A column the clean stage calls text keeps its type though it looks like numbers."""
    found = describe(world, ["1", "2"], "text")
    assert found["type"] == "text" and "mean" not in found and found["patterns"] == [{"pattern": "9", "count": 2}]


def test_whole_numbers_print_as_such(world):
    """The minimum of integers has no fraction, that of decimals has."""
    assert repr(describe(world, ["3", "12"])["min"]) == "3"
    assert repr(describe(world, ["3", "1.5"])["max"]) == "3.0"


def test_figures_have_all_digits(world):
    """Times in microseconds and their halves are not rounded."""
    found = describe(world, ["1609459200123457", "1609459200123459"])
    assert found["mean"] == 1609459200123458 and found["quantiles"]["0.25"] == 1609459200123457.5
    assert found["histogram"]["edges"][:11:10] == [1609459200123457, 1609459200123458]


def test_numbers_beyond_the_range_of_sums(world):
    """Sums that overflow are unknown, not an error."""
    found = describe(world, ["1e308", "1.5e308", "-1.7e308", "1.7e308"])
    assert found["type"] == "decimal" and found["max"] == 1.7e308 and found["std"] is None


def test_key_columns_are_marked(world):
    """unique: as many values as rows, none missing."""
    assert describe(world, ["a", "b"])["unique"] and not describe(world, ["a", ""])["unique"]


def test_patterns_show_the_shape():
    """Letters by case, runs once; digits one by one; long patterns cut."""
    texts = Texts.of([b"2014-05-01", b"Smith, J.", b"ab12", "Äpfel".encode(), b"x1" * 50, b"a\nb"])
    assert patterns_of(texts).tolist() == [b"9999-99-99", b"Aa, A.", b"a99", b"a", b"a9" * 20, b"a a"]


@given(st.lists(st.text("aB9x é\n.", max_size=60), max_size=20))
def test_compiled_patterns_equal_the_plain_ones(strings):
    """Patterns and lengths in characters, of empty and of long strings as well; the plain pattern is its definition."""
    texts = Texts.of([one.encode() for one in strings])
    counts, lengths = np.arange(1, len(strings) + 1), list(map(len, strings))
    shaped = [re.sub("a+", "a", re.sub("A+", "A", one.encode().translate(bytes(kernel.CLASSES)).decode("latin-1")))
              for one in strings]
    for native in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            if not native:
                patch.setattr(kernel, "_library", None)
            assert patterns_of(texts).tolist() == [one[:40].encode("latin-1") for one in shaped]
            if strings:
                assert kernel.characters(texts.data, texts.length, counts) == (
                    min(lengths), max(lengths), int(np.dot(lengths, counts)))


@given(st.lists(st.tuples(st.binary(max_size=3), st.integers(1, 3)), max_size=30), st.integers(1, 6))
def test_the_most_frequent_strings(strings, many):
    """The largest counts, of equal ones the first strings as bytes, however often these are there, in both versions."""
    texts, counts = Texts.of([text for text, _ in strings]), np.array([count for _, count in strings], np.int64)
    expected = sorted((-count, text) for text, count in strings)[:many]
    for library in (frequent._library, None):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(frequent, "_library", library)
            assert most_frequent(texts, counts, many) == expected
    assert frequent_of(frequent_message([expected, [], expected])) == [expected, [], expected]


@given(st.lists(st.from_regex(r"[+-]?0?[0-9]{0,18}\.?[0-9]{0,4}(e[0-9])?", fullmatch=True).filter(bool), max_size=8))
def test_compiled_numbers_equal_the_plain_ones(strings):
    """Numbers, and whether all are whole, are the same with and without the kernel, or none."""
    texts = Texts.of([one.encode() for one in strings])
    found = read_numbers(texts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forms, "_library", None)
        plain = read_numbers(texts)
    assert (found is None) == (plain is None)
    assert found is None or (found[0].tolist(), found[1]) == (plain[0].tolist(), plain[1])


def test_more_strings_than_a_slice(world, monkeypatch):
    """Working slice by slice changes nothing."""
    values = [f"v{number % 50}x{number}" for number in range(500)]
    whole = describe(world, values)
    monkeypatch.setattr("mpiedge.profiling.statistics.SLICE", 7)
    assert describe(world, values) == whole


def test_long_strings_take_little_more_than_themselves(world):
    """Cells of thousands of characters are looked at a few at a time: temporary arrays stay below a small bound."""
    texts = Texts.of([(f"{number} " * 1500).encode()[:6000] for number in range(1000, 3000)])
    column = Values(texts, np.arange(len(texts)), np.ones(len(texts), np.int64))
    tracemalloc.start()
    found, = describe_columns(world, [column], [len(texts)], ["text"])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found["length"] == {"min": 6000, "max": 6000, "mean": 6000.0}
    assert peak < 50e6


@pytest.mark.parametrize("most", [1, 3, 100])
def test_slices_cover_all_strings_once(most):
    """Slices are consecutive, hold at most so many strings, and little text unless one string is long."""
    texts = Texts.of([b"x" * (number * 7 % 90) for number in range(40)] + [b"y" * 5000, b"", b"z"])
    slices = list(texts.slices(most))
    assert [begin for begin, _ in slices] == [0, *(end for _, end in slices[:-1])] and slices[-1][1] == len(texts)
    for begin, end in slices:
        assert 0 < end - begin <= most
        assert end == begin + 1 or texts.length[begin:end].sum() <= 16 * most


FLOATS = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(st.tuples(FLOATS, st.integers(1, 1 << 30)), min_size=1, max_size=30), st.integers(0, 30))
@example([(-0.0, 1), (0.0, 1)], 1)
@settings(deadline=None)
def test_sums_are_exact_in_any_order(pairs, cut):
    """Mean and deviation are those of exact fractions, rounded once, however the numbers were split before merging."""
    parts = [Moments(), Moments()]
    for part, some in zip(parts, (pairs[:cut], pairs[cut:])):
        part.add(np.array([value for value, _ in some]), np.array([count for _, count in some], np.int64))
    found = Moments()
    for part in parts[::-1]:
        found.merge(part.to_message())
    assert "-0.0" not in (str(found.low), str(found.high))  # which zero it is would depend on the order
    total = sum(count for _, count in pairs)
    mean = sum(Fraction(value) * count for value, count in pairs) / total
    assert found.count == total and found.mean == float(mean)
    assert (found.low, found.high) == (min(value for value, _ in pairs), max(value for value, _ in pairs))
    if max(abs(found.low), abs(found.high)) < 1e150:
        variance = sum((Fraction(value) - mean) ** 2 * count for value, count in pairs) / max(total - 1, 1)
        assert (found.std or 0.0) == pytest.approx(math.sqrt(float(variance)), rel=1e-12, abs=1e-150)


@given(st.lists(FLOATS, max_size=60), st.permutations(range(4)), st.sampled_from([2, 5, 16]))
@settings(deadline=None)
def test_buckets_do_not_depend_on_the_order(values, order, most):
    """Merged in any order, buckets are those of the finest width at which at most so many are occupied."""
    values = np.array(values)
    parts = []
    for part in range(4):
        parts.append(Buckets(most))
        for value in values[part::4]:
            parts[-1].add(to_keys([value]), np.ones(1, np.int64))
    found = Buckets(most)
    for part in order:
        found.merge(parts[part].shift, parts[part].keys, parts[part].counts)
    keys = [int(key) for key in to_keys(values)]
    shift = next(shift for shift in range(65) if len({key >> shift for key in keys}) <= most)
    expected = sorted({key >> shift: [one >> shift for one in keys].count(key >> shift) for key in keys}.items())
    assert (found.shift, list(zip(found.keys.tolist(), found.counts.tolist()))) == (shift, expected)
    assert to_values(to_keys(values)).tolist() == values.tolist()
    assert (np.diff(to_values(np.sort(to_keys(values)))) >= 0).all()


@given(st.lists(st.floats(-1e9, 1e9) | st.integers(-50, 50).map(float), min_size=3, max_size=80))
@settings(deadline=None)
def test_quantiles_are_exact_with_few_buckets(world, values):
    """Where the numbers do not fit the buckets, counting again within some of them gives the same description."""
    values = np.array(values)
    whole = describe(world, values, "decimal")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mpiedge.profiling.quantiles.MOST_BUCKETS", 20)
        patch.setattr("mpiedge.profiling.quantiles.SLICE", 7)
        assert describe(world, values, "decimal") == whole
