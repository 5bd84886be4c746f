"""The functions for pandas data frames."""

import subprocess
import sys

import numpy as np
import pandas
import pytest
from dependencies import dependencies_by_definition, keys_by_definition, random_table
from hypothesis import given, settings
from hypothesis import strategies as st

from mpiedge import profiling
from mpiedge.errors import InputError

PAPERS = pandas.DataFrame({
    "id": [1, 2, 3, 4, 5], "zip": ["a", "a", "b", "b", None], "city": ["X", "X", "Y", "Y", ""],
    "year": [1.0, 2, 2, 1, 7],
    "day": pandas.to_datetime(["2020-01-01", "2020-01-02", "2020-01-01", None, "2021-01-01"])})


@given(seed=st.integers(0, 2**32), rows=st.integers(0, 30), columns=st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_dependencies_and_keys_of_a_frame(seed, rows, columns):
    """As by definition, with g3 0, for values that are numbers, floats and text; names of columns as they are."""
    table = random_table(seed, rows, columns)
    kinds = [int, float, str]
    frame = pandas.DataFrame({number: values.astype(kinds[number % 3]) for number, values in enumerate(table)})
    found = profiling.discover_fds(frame)
    assert set(zip(found["lhs"], found["rhs"])) == dependencies_by_definition(table, rows)
    assert not found["g3"].any() and found.attrs["partial"] is False
    assert set(profiling.discover_uccs(frame)["columns"]) == keys_by_definition(table, rows, 99)


def test_missing_values_and_errors():
    """None, NaN, NaT and "" are missing and equal, or unequal on demand; an error gives more dependencies."""
    exact = set(zip(*(profiling.discover_fds(PAPERS)[side] for side in ("lhs", "rhs"))))
    assert (("zip",), "city") in exact and (("city",), "zip") in exact
    blanks = pandas.DataFrame({"a": [None, np.nan, "", "x"], "b": [1, 2, 3, 4]})
    found = profiling.discover_fds(blanks, null_unequal=True)
    assert (("a",), "b") in set(zip(found["lhs"], found["rhs"]))
    found = profiling.discover_fds(blanks, error=0.5)
    assert {(lhs, rhs): g3 for lhs, rhs, g3 in found.itertuples(index=False)} == {((), "a"): 0.25, (("a",), "b"): 0.5}
    assert profiling.discover_fds(PAPERS, time_limit_s=0.0).attrs["partial"] is True
    with pytest.raises(InputError, match="not a pandas DataFrame"):
        profiling.discover_fds([[1, 2]])
    with pytest.raises(InputError, match="not a pandas DataFrame"):
        profiling.discover_inds([[1, 2]])
    levels = pandas.MultiIndex.from_tuples([("a", 1), ("a", 2)])
    assert profiling.profile(pandas.DataFrame([[1, 2]], columns=levels)).columns.index.equals(levels)
    for name, call in (("error", lambda: profiling.discover_fds(PAPERS, error=1)),
                       ("max_lhs", lambda: profiling.discover_fds(PAPERS, max_lhs=1.5)),
                       ("max_size", lambda: profiling.discover_uccs(PAPERS, max_size=-1)),
                       ("max_columns", lambda: profiling.discover_inds(PAPERS, max_columns=0)),
                       ("coverage", lambda: profiling.discover_inds(PAPERS, coverage=2.0))):
        with pytest.raises(InputError, match=name):
            call()


def test_inclusions_of_frames():
    """Between frames by value, with a share, and between lists of columns."""
    frames = {"papers": pandas.DataFrame({"id": [1, 2, 3], "v": ["a", "b", "c"]}),
              "cites": pandas.DataFrame({"from": [1.0, 2.0, np.nan], "w": ["a", "b", "z"]})}
    found = profiling.discover_inds(frames, coverage=0.6)
    shares = {(lhs, rhs): share for lhs, rhs, share in found.itertuples(index=False)}
    assert shares[(("cites", "from"),), (("papers", "id"),)] == 1
    assert shares[(("cites", "w"),), (("papers", "v"),)] == pytest.approx(2 / 3)
    copy = profiling.discover_inds({"one": frames["papers"], "two": frames["papers"][:2]}, max_columns=2)
    pair = ((("two", "id"), ("two", "v")), (("one", "id"), ("one", "v")))
    assert pair in set(zip(copy["lhs"], copy["rhs"])) and copy.attrs["complete"] == 2
    assert profiling.discover_inds(frames["papers"]).empty


def test_statistics_of_a_frame():
    """Kinds from the types, counts and figures as pandas has them; one call for everything."""
    found = profiling.profile(PAPERS)
    columns = found.columns
    assert columns["type"].tolist() == ["integer", "text", "text", "decimal", "date"]
    assert columns["nulls"].tolist() == [0, 1, 1, 0, 1] and columns.loc["day", "distinct"] == 3
    assert columns.loc["year", "mean"] == PAPERS["year"].mean() and columns.loc["id", "max"] == 5
    assert ("id",) in set(found.uccs["columns"]) and (("zip",), "city") in set(zip(found.fds["lhs"], found.fds["rhs"]))
    lists = pandas.DataFrame({"a": [[1], [1], None, np.nan, pandas.NA], "b": [{"x": 1}, {"x": 1}, {}, {}, {}]})
    assert profiling.profile(lists).columns[["nulls", "distinct"]].to_numpy().tolist() == [[3, 1], [0, 2]]
    assert profiling.profile(pandas.DataFrame()).fds.empty


def test_pandas_is_imported_only_for_frames():
    """The package and the program run without pandas."""
    code = ("import sys, mpiedge.profiling, mpiedge.profiling.report, mpiedge.profiling.findings; "
            "assert 'pandas' not in sys.modules; assert 'discover_fds' in dir(mpiedge.profiling)")
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError):
        profiling.discover_nothing  # noqa: B018
