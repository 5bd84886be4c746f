"""The search for duplicates as a whole: odd tables, figures on real ones, and what it says about itself."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from tables import MemoryStage, MemoryTable, pair_f1, people, read_csv

from mpiedge.cleaning import attempt
from mpiedge.cleaning.duplicates import Duplicates, estimate_bytes, find_duplicates
from mpiedge.runtime.world import World


@pytest.fixture(scope="module")
def stage():
    return MemoryStage(World())


def search(stage, names, rows, **options) -> Duplicates:
    found = find_duplicates(stage, MemoryTable(names, rows), **options)
    assert len(found.cluster_id) == len(rows) and found.cluster_id.dtype == np.int64
    assert (found.cluster_id <= np.arange(len(rows))).all()
    assert (found.cluster_id[found.cluster_id] == found.cluster_id).all()
    json.dumps(found.summary)
    assert (found.row_a < found.row_b).all() and (np.diff(found.row_a) >= 0).all()
    return found


@pytest.mark.parametrize("rows, clusters", [
    ([], []),
    ([["x", "y"]], [0]),
    ([["x", "y"], ["a", "b"]], [0, 1]),
    ([["", ""], ["", ""], ["x", ""]], [0, 0, 2]),
    ([["", ""]] * 3, [0, 0, 0]),
    ([["same", "cell"]] * 5, [0] * 5),
    ([["!!", "??"], ["--", "??"]], [0, 1]),
    ([["c", "1"], ["c", "1"], ["c", "2"]], [0, 0, 2]),
])
def test_small_and_empty_tables(stage, rows, clusters):
    """No rows, one row, equal rows, constant and missing columns, cells without a letter: right and without a word."""
    assert search(stage, ["one", "two"], rows).cluster_id.tolist() == clusters


def test_no_column_but_the_id(stage):
    """A table of nothing but its id has no duplicates."""
    assert search(stage, ["id"], [["1"], ["1"]], id_column="id").cluster_id.tolist() == [0, 1]


def test_numbers_without_text(stage):
    """A table of numbers only: equal rows are found, different ones are not drawn together."""
    draw = np.random.default_rng(0)
    rows = [[str(value) for value in row] for row in draw.integers(0, 10**6, (300, 4))]
    found = search(stage, ["a", "b", "c", "d"], [*rows, rows[7]])
    assert found.cluster_id[300] == 7
    assert len(set(found.cluster_id.tolist())) >= 299


STATES = """Alabama, Alaska, Arizona, Arkansas, California, Colorado, Connecticut, Delaware, Florida, Georgia,
Hawaii, Idaho, Illinois, Indiana, Iowa, Kansas, Kentucky, Louisiana, Maine, Maryland, Massachusetts, Michigan,
Minnesota, Mississippi, Missouri, Montana, Nebraska, Nevada, New Hampshire, New Jersey, New Mexico, New York,
North Carolina, North Dakota, Ohio, Oklahoma, Oregon, Pennsylvania, Rhode Island, South Carolina, South Dakota,
Tennessee, Texas, Utah, Vermont, Virginia, Washington, West Virginia, Wisconsin, Wyoming"""


def test_different_things_of_a_small_table_stay(stage):
    """Names that have nothing in common are different things, though there is a region that they share."""
    draw = np.random.default_rng(1)
    rows = [[" ".join(state.split()), ["South", "West", "North Central", "Northeast"][draw.integers(4)],
             str(draw.integers(500_000, 20_000_000))] for state in STATES.split(",")]
    assert len(set(search(stage, ["state", "region", "people"], rows).cluster_id.tolist())) == len(rows) == 50


def test_damaged_copies_are_found(stage):
    """People with one damaged cell each come together, and nobody else."""
    names, rows, entity = people(300, 1)
    found = search(stage, names, rows)
    assert pair_f1(found.cluster_id.tolist(), entity) > 0.99
    assert ((found.probability >= 0.1) & (found.probability <= 1)).all()


@pytest.mark.parametrize("sure, cut, questions", [(1, 5.0, 1), (2, 2.0, 0)])
def test_links_that_are_mostly_unsure_are_not_believed(sure, cut, questions):
    """Where fewer than half of the links lie far above the cut, it rises; those it leaves are asked about."""
    run = attempt.Attempt.__new__(attempt.Attempt)
    run.candidates = SimpleNamespace(a=np.arange(0, 8, 2), b=np.arange(1, 8, 2))
    run.weight = np.array([9.0] * sure + [3.0] * (4 - sure), np.float32)
    run.cut, run.cut_is_moved, run.label = 2.0, False, np.arange(8) // 2

    def cluster():
        run.label = np.where(np.repeat(run.weight > run.cut, 2), np.arange(8) // 2, 10 + np.arange(8))

    run.cluster = cluster
    asked = run.keep_sure()
    assert round(run.cut) == cut and len(asked) == questions
    assert [len(pairs) for _, pairs, _ in asked] == [4 - sure] * questions


def test_reasons_add_up_to_the_weight(stage):
    """What the columns and the whole record add is, but for one constant, the log odds of each listed pair."""
    names, rows, _ = people(300, 2)
    found = search(stage, names[:3], [row[:3] for row in rows])
    assert found.reason_names == [*found.summary["columns"], "whole record"]
    known = ~np.isnan(found.reasons[:, 0]) & (found.probability < 1 - 1e-9)
    assert np.isnan(found.reasons).all(axis=1).sum() == found.summary["equal_rows"] and known.sum() > 3
    odds = np.log(found.probability[known] / (1 - found.probability[known]))
    assert np.ptp(odds - found.reasons[known].sum(axis=1, dtype=np.float64)) < 1e-3


def test_id_is_never_looked_at(stage):
    """Ids that are all the same or all different change nothing."""
    names, rows, _ = people(150, 1)
    results = [search(stage, ["id", *names], [[f(place), *row] for place, row in enumerate(rows)], id_column="id")
               for f in (str, lambda place: "x")]
    assert (results[0].cluster_id == results[1].cluster_id).all()


def test_running_number_is_left_out(stage):
    """A column that differs by record is named and does not hide the duplicates."""
    names, rows, entity = people(300, 1)
    draw = np.random.default_rng(5)
    numbered = [[f"{draw.integers(10**7, 10**8)}", *row] for row in rows]
    found = search(stage, ["visit", *names], numbered)
    assert pair_f1(found.cluster_id.tolist(), entity) > 0.95
    assert found.summary["columns_that_differ_by_record"] in ([], ["visit"])


def test_people_of_one_town_are_no_duplicates(stage):
    """Different people with a town, a state and a rate in common stay apart, though nothing else is alike in them."""
    draw = np.random.default_rng(3)
    word = lambda: "".join(draw.choice(list("bdfgklmnprst") if k % 2 else list("aeiou")) for k in range(7))  # noqa: E731
    towns = [[word(), word()[:2], f"{number:05}", str(number % 7)] for number in range(150)]
    rows = [[word(), word(), f"{draw.integers(10**6, 10**7)}", *towns[draw.integers(150)]] for _ in range(600)]
    names = ["first", "family", "phone", "town", "state", "zip", "rate"]
    found = search(stage, names, [*rows, rows[5]])
    assert len(set(found.cluster_id.tolist())) == 600 and found.cluster_id[600] == 5


@pytest.mark.parametrize("table, columns, twice", [("tax", (), 0), ("hospital", ("index",), 0),
                                                   ("beers", ("index", "id"), 1)])
def test_clean_tables_keep_their_rows(stage, shared_data, table, columns, twice):
    """Of a clean table no rows are merged because they share a town or a brewery, or are a beer of another year; one
    beer is listed twice, under two names of its brewery (Hess and Mike Hess)."""
    names, rows = read_csv(shared_data / f"clean/repair/{table}/clean.csv", columns)
    found = search(stage, names, rows[:3000])
    assert found.summary["clusters"] >= len(rows[:3000]) - found.summary["equal_rows"] - twice


def test_copied_column_is_counted_once(stage):
    """A name stored three times does not outvote the rest."""
    names, rows, entity = people(300, 1)
    found = search(stage, [*names, "name_2", "name_3"], [[*row, row[1], row[1]] for row in rows])
    assert found.summary["discount"]["family"] < 0.6
    assert pair_f1(found.cluster_id.tolist(), entity) > 0.95


def test_one_text_column(stage):
    """One column of several words is enough to find damaged copies."""
    _, rows, entity = people(300, 1)
    found = search(stage, ["text"], [[" ".join(row)] for row in rows])
    assert found.summary["one_column"]
    assert pair_f1(found.cluster_id.tolist(), entity) > 0.8


def test_sources_are_linked_one_to_one(stage):
    """Between two sources a record has one partner at most, also when a source holds a record twice."""
    names, rows, entity = people(200, 1)
    seen, sourced = set(), []
    for row, number in zip(rows, entity):
        sourced.append([*row, "b" if number in seen else "a"])
        seen.add(number)
    sourced.append(sourced[0])
    found = search(stage, [*names, "source"], sourced, source_column="source")
    for members in np.split(np.argsort(found.cluster_id, kind="stable"),
                            np.flatnonzero(np.diff(np.sort(found.cluster_id))) + 1):
        assert len({sourced[row][-1] for row in members}) == len(members)
    assert pair_f1(found.cluster_id[:400].tolist(), entity) > 0.98


def test_one_source_only(stage):
    """With a single source there is nothing to link."""
    names, rows, _ = people(20, 1)
    found = search(stage, [*names, "source"], [[*row, "a"] for row in rows], source_column="source")
    assert len(set(found.cluster_id.tolist())) == 40


def test_exhaustive_search_finds_them_too(stage):
    """With every gram in use the result on an easy table is the same."""
    names, rows, entity = people(150, 1)
    assert pair_f1(search(stage, names, rows, exhaustive=True).cluster_id.tolist(), entity) > 0.99


def test_memory_changes_nothing(stage):
    """A budget too small for the index in one piece gives the same clusters and probabilities."""
    names, rows, _ = people(200, 2)
    large = search(stage, names, rows)
    small = search(MemoryStage(stage.world, budget_bytes=1), names, rows)
    assert (large.cluster_id == small.cluster_id).all() and (large.probability == small.probability).all()
    assert large.summary == small.summary


def test_estimate_grows_with_the_table():
    """The memory estimate grows with rows and columns and stays in a sane range."""
    assert estimate_bytes(200_000, 15, 230, 300 << 20, 2) < 300 << 20
    assert estimate_bytes(1000, 5, 50, 300 << 20, 2) < estimate_bytes(100_000, 5, 50, 300 << 20, 2)
    assert estimate_bytes(0, 0, 0, 0, 1) >= 0


@pytest.mark.parametrize("name, source, least", [
    ("febrl3", None, 0.999), ("fake_1000", None, 0.945), ("restaurant", None, 0.90), ("cora", None, 0.88),
    ("febrl4", "source", 0.999), ("abt_buy", "source", 0.89),
])
def test_real_tables(stage, shared_data, name, source, least):
    """Pair F1 on real tables without any configuration."""
    names, rows = read_csv(shared_data / "clean/dedup" / f"{name}.csv", () if source else ("source",))
    _, truth = read_csv(shared_data / "clean/dedup" / f"{name}_truth.csv")
    entity = dict(truth)
    found = find_duplicates(stage, MemoryTable(names, rows, 8192), id_column="rec_id", source_column=source)
    assert pair_f1(found.cluster_id.tolist(), [entity[row[0]] for row in rows]) >= least
