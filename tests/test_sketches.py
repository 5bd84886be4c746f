"""Estimated statistics: within their stated errors of the exact ones, and the same in whatever order rows are read."""

import json

import numpy as np
import pytest
from encoding import encode_arrays
from hypothesis import given, settings
from hypothesis import strategies as st

from mpiedge.profiling import common_patterns
from mpiedge.profiling.local import LocalTable
from mpiedge.profiling.sketches import STANDARD_ERROR, ColumnSketch, HyperLogLog, RowSample, merged, mixed
from mpiedge.profiling.statistics import describe_columns, describe_sketch
from mpiedge.profiling.texts import Texts

BLOCK = 500


@pytest.mark.parametrize("distinct", [0, 1, 100, 20_000, 150_000, 1_000_000])
def test_distinct_values_are_counted_within_the_error(distinct):
    """From none to many times the registers, over several seeds: no bias, and the stated standard error."""
    errors = []
    for seed in range(8):
        counter = HyperLogLog()
        counter.add(mixed(np.arange(distinct, dtype=np.uint64) + (np.uint64(seed) << np.uint64(40))))
        errors.append((counter.estimate() - distinct) / max(distinct, 1))
    assert abs(np.mean(errors)) < 4 * STANDARD_ERROR / np.sqrt(8)
    assert np.sqrt(np.mean(np.square(errors))) < 2 * STANDARD_ERROR


def sketches(values: list[str], order: list[int], parts: int) -> list[ColumnSketch]:
    """Sketches of `parts` ranks, which read the blocks of a column in some order."""
    tables = [LocalTable(1, sketched={0: True}) for _ in range(parts)]
    for place, block in enumerate(order):
        tables[place % parts].add_arrays(block, [np.array(values[block * BLOCK : (block + 1) * BLOCK], object)])
    return [table.take_sketches()[0] for table in tables]


def united(parts: list[ColumnSketch]) -> ColumnSketch:
    """Several sketches, merged."""
    for other in parts[1:]:
        parts[0].merge(other.to_message())
    return parts[0]


def column(kind: str, rows: int) -> list[str]:
    """Cells of a made-up column."""
    draw = np.random.default_rng(3)
    if kind == "numbers":
        return [f"{value:.4f}" for value in draw.normal(1.7e9, 1e6, rows)]
    if kind == "dates":
        return [f"20{year:02}-01-{day:02}" for year, day in draw.integers(10, 29, (rows, 2))]
    if kind == "late text":
        return [*map(str, range(rows - 1)), "x"]
    rare = [f"id {value:x}" if value % 3 else "" for value in draw.integers(0, 1 << 40, rows)]
    return ["often" if value < 0.2 else text for value, text in zip(draw.random(rows), rare)]


@pytest.mark.parametrize("kind", ["numbers", "dates", "late text", "mostly different"])
def test_a_sketch_depends_on_the_rows_alone(monkeypatch, kind):
    """Blocks read in any order by one rank or several give the same description, byte for byte."""
    monkeypatch.setattr("mpiedge.profiling.sketches.MOST_BUCKETS", 300)
    values = column(kind, 12 * BLOCK - 7)
    whole = describe_sketch(united(sketches(values, list(range(12)), 1)), len(values), None)
    for seed in range(4):
        order = np.random.default_rng(seed).permutation(12).tolist()
        found = describe_sketch(united(sketches(values, order, 1 + seed)), len(values), None)
        assert json.dumps(found) == json.dumps(whole)


@pytest.mark.parametrize("kind", ["numbers", "dates", "late text", "mostly different"])
def test_estimates_are_within_their_errors(world, monkeypatch, kind):
    """Exact figures are those of the exact description; the others differ by no more than their errors allow."""
    monkeypatch.setattr("mpiedge.profiling.sketches.MOST_BUCKETS", 300)
    values = column(kind, 40 * BLOCK)
    rows, (encoded,) = encode_arrays(world, {0: [np.array(values, object)]}, 1)
    exact, = describe_columns(world, [encoded.values], [rows], [None])
    found = describe_sketch(united(sketches(values, list(range(40)), 2)), rows, None)
    errors = found["errors"]
    assert exact["error"] == 0 and "errors" not in exact
    assert found["error"] == errors["distinct"] == pytest.approx(STANDARD_ERROR)
    for name in {"type", "rows", "nulls", "min", "max", "mean", "std", "length"} & {*exact}:
        assert found[name] == exact[name]
    assert found["distinct"] == pytest.approx(exact["distinct"], rel=4 * STANDARD_ERROR)
    assert found["unique"] in (None, exact["unique"]) and found["entropy_bits"] is None
    for name, value in exact.get("quantiles", {}).items():
        assert found["quantiles"][name] == pytest.approx(value, rel=errors["quantiles"])
    if "histogram" in exact:
        assert found["histogram"]["edges"] == exact["histogram"]["edges"]
        differences = np.abs(np.subtract(found["histogram"]["counts"], exact["histogram"]["counts"]))
        assert differences.max() <= errors["histogram"] and sum(found["histogram"]["counts"]) == rows
    for name, key in (("top", "value"), ("patterns", "pattern")):
        counts = {entry[key]: entry["count"] for entry in exact.get(name, [])}
        for entry in found.get(name, []):
            assert entry["count"] == pytest.approx(counts.get(entry[key], entry["count"]), abs=4 * errors[name])
    if kind == "mostly different":
        assert found["top"][0]["value"] == "often" and not found["unique"]


@given(st.integers(1, 30), st.permutations(range(5)))
@settings(deadline=None)
def test_sampled_rows_are_those_of_the_smallest_hashes(most, order):
    """However blocks come, the rows in the sample are the same: those whose hashed places are the smallest."""
    sample, every = RowSample(most), []
    for block in order:
        texts = Texts.of([f"{block} {row}".encode() for row in range(20)])
        sample.add(block, texts, np.arange(20)[::-1])
        hashes = mixed(np.arange(20, dtype=np.uint64) + (np.uint64(block) << np.uint64(32))).tolist()
        every += zip(hashes, texts.tolist()[::-1])
    assert list(zip(sample.hashes.tolist(), sample.texts.tolist())) == sorted(every)[:most]


@pytest.mark.parametrize("most", [10, 1000])
def test_many_patterns_are_counted_in_a_sample(world, monkeypatch, most):
    """Where patterns must not take much memory, few are counted exactly, and many in a sample of the rows."""
    monkeypatch.setattr(common_patterns, "MOST_PATTERNS", most)
    monkeypatch.setattr(common_patterns, "SAMPLED_ROWS", 2000)
    values = [f"{'a' * (number % 2)}9{'-' * (number % 40)}{number}" if number % 4 else "only" for number in range(9000)]
    rows, (encoded,) = encode_arrays(world, {0: [np.array(values, object)]}, 1)
    exact, = describe_columns(world, [encoded.values], [rows], [None])
    found, = describe_columns(world, [encoded.values], [rows], [None], sampled={0: encoded.codes})
    if most == 1000:
        assert found == exact
        return
    patterns = found.pop("patterns")
    error, expected = found.pop("errors")["patterns"], {one["pattern"]: one["count"] for one in exact.pop("patterns")}
    assert found == exact and patterns[0]["pattern"] == "a" and 0 < error < 120
    assert patterns[0]["count"] == pytest.approx(expected["a"], abs=4 * error)


def test_sketches_of_ranks_merge(world):
    """`merged` brings the sketches of all ranks together on rank 0."""
    found = merged(world, sketches(["a", "b", "a"], [0], 1)[0])
    assert describe_sketch(found, 3, None)["distinct"] == 2
