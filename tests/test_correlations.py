"""Correlations against pandas and scipy."""

import numpy as np
import pandas
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats.contingency import association

from mpiedge.profiling import correlations, frames


def correlate(world, frame, **options) -> dict:
    """The figures of pairs of columns by their names."""
    table = frames._encode(frame, "t", options.get("null_unequal", False))
    return {(table.names[pair["left"]], table.names[pair["right"]]): pair
            for pair in correlations.correlate(world, None, table)}


numbers = st.one_of(st.none(), st.integers(-3, 3), st.floats(-100, 100).map(lambda value: round(value, 2)))


@given(st.lists(st.tuples(numbers, numbers), min_size=2, max_size=30), st.booleans())
@settings(max_examples=30, deadline=None)
def test_numbers_correlate_as_in_pandas(world, rows, unequal):
    """Pearson and Spearman over the rows with both numbers, ties by their mean rank; None where nothing varies."""
    frame = pandas.DataFrame(rows, columns=["a", "b"], dtype=float)
    found = correlate(world, frame, null_unequal=unequal).get(("a", "b"))
    if found is None:
        assert min(frame.nunique()) < 2
        return
    both = frame.dropna()
    assert found["rows"] == len(both) and found["cramers_v"] is None
    for name in ("pearson", "spearman"):
        expected = frame["a"].corr(frame["b"], method=name) if len(both) > 1 and min(both.nunique()) > 1 else None
        assert found[name] == (None if expected is None else pytest.approx(expected, abs=2e-6))


@given(st.lists(st.tuples(st.sampled_from(["", "x", "y", "z"]), st.sampled_from(["", "1", "u", "v"])), min_size=1,
                max_size=40), st.booleans())
@settings(max_examples=30, deadline=None)
def test_categories_are_associated_as_in_scipy(world, rows, unequal):
    """Cramer's V over the rows with both cells; None where a column does not vary there."""
    frame = pandas.DataFrame([*rows, ("", "w")], columns=["a", "b"])
    found = correlate(world, frame, null_unequal=unequal).get(("a", "b"))
    both = frame[(frame["a"] != "") & (frame["b"] != "")]
    if found is None:
        assert frame["a"][frame["a"] != ""].nunique() < 2 or frame["b"][frame["b"] != ""].nunique() < 2
    elif min(both.nunique()) < 2:
        assert found["cramers_v"] is None
    else:
        counts = pandas.crosstab(both["a"], both["b"]).to_numpy()
        assert found["cramers_v"] == pytest.approx(association(counts, method="cramer"), abs=2e-6)
        assert found["rows"] == len(both) and found["pearson"] is None


def test_what_cannot_be_compared_is_left_out(world, monkeypatch):
    """Keys of text, constants and empty columns; and columns beyond the limit."""
    frame = pandas.DataFrame({"key": [f"k{n}" for n in range(200)], "one": [None, *[1] * 199], "none": None,
                              "x": np.arange(200.0), "c": list("ab") * 100})
    assert set(correlate(world, frame)) == set()
    frame["y"] = -frame["x"]
    assert correlate(world, frame)[("x", "y")]["pearson"] == -1
    monkeypatch.setattr(correlations, "MOST_COLUMNS", 1)
    assert correlate(world, frame) == {}
