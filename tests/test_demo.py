"""The demo data: its truth is true, it is reproducible, and its size costs no memory."""

import csv
import json
import subprocess
import sys
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpiedge.demo import entities as facts
from mpiedge.demo.dirt import misspell
from mpiedge.demo.draw import Draw
from mpiedge.demo.generate import PAPER_COLUMNS, paper_ids, write_demo
from mpiedge.demo.layout import Layout
from mpiedge.errors import EnvironmentProblem, UsageError


def read(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A demo of 3,000 rows: (folder, papers without the damaged lines, cites)."""
    folder = tmp_path_factory.mktemp("demo")
    write_demo(folder, 3000, seed=1)
    return folder, read(folder / "papers.csv")[:3000], read(folder / "cites.csv")


@pytest.fixture(scope="module")
def clean(demo):
    """The papers with every damaged cell put right from truth/cells.csv and truth/labels.csv."""
    folder, papers, _ = demo
    right = {row["id"]: dict(row) for row in papers}
    for cell in read(folder / "truth/cells.csv"):
        assert right[cell["id"]][cell["column"]] == cell["dirty"]
        right[cell["id"]][cell["column"]] = cell["clean"]
    for label in read(folder / "truth/labels.csv"):
        assert right[label["id"]]["area"] in ("", label["area"])
        right[label["id"]]["area"] = label["area"]
    return list(right.values())


def test_truth_makes_duplicates_equal(demo, clean):
    """Put right, all records of one entity are the same except for their ids; raw, duplicates differ."""
    folder, papers, _ = demo
    groups, raw = defaultdict(list), defaultdict(list)
    for truth, row, dirty in zip(read(folder / "truth/entities.csv"), clean, papers):
        assert truth["id"] == row["id"] == dirty["id"]
        groups[truth["entity_id"]].append(tuple(row.values())[1:])
        raw[truth["entity_id"]].append((dirty["title"], dirty["authors"]))
    assert all(len(set(rows)) == 1 for rows in groups.values())
    assert all(first != other for first, *others in raw.values() for other in others)
    sizes = Counter(len(rows) for rows in groups.values())
    assert sizes == {1: 2700 - 240, 2: 180, 3: 60}
    assert len({rows[0] for rows in groups.values()}) == len(groups)


def test_planted_dependencies_hold(demo, clean):
    """Every planted functional and inclusion dependency holds in the data put right."""
    folder, _, cites = demo
    for fd in json.loads((folder / "truth/fds.json").read_text()):
        seen = {}
        for row in clean:
            assert seen.setdefault(row[fd["lhs"][0]], row[fd["rhs"]]) == row[fd["rhs"]]
        assert len(set(seen.values())) > 5
    ids = {row["id"] for row in clean}
    assert {row["citing"] for row in cites} | {row["cited"] for row in cites} <= ids
    assert len(ids) == len(clean) == 3000


def test_citations_stay_within_the_area(demo):
    """Between 75 and 85 % of the citations join papers of one area; duplicates are cited too, nobody cites itself."""
    folder, _, cites = demo
    area = {row["id"]: row["area"] for row in read(folder / "truth/labels.csv")}
    entity = {row["id"]: row["entity_id"] for row in read(folder / "truth/entities.csv")}
    same = np.mean([area[row["citing"]] == area[row["cited"]] for row in cites])
    assert 0.75 < same < 0.85
    assert all(entity[row["citing"]] != entity[row["cited"]] for row in cites)
    cited_ids_of = defaultdict(set)
    for row in cites:
        cited_ids_of[entity[row["cited"]]].add(row["cited"])
    assert any(len(ids) > 1 for ids in cited_ids_of.values())


def test_dirt_is_there(demo):
    """Null words, missing cells, decimal years, three date formats, zip codes with a zero in front, half the labels."""
    folder, papers, _ = demo
    assert tuple(papers[0]) == PAPER_COLUMNS
    cells = Counter(cell["column"] for cell in read(folder / "truth/cells.csv"))
    assert all(cells[column] > 30 for column in ("title", "authors", "publisher", "year", "published", "city"))
    assert {"", "N/A", "?", "null", "-"} <= {row["publisher"] for row in papers}
    assert any(row["zip"].startswith("0") for row in papers) and all(len(row["zip"]) == 5 for row in papers)
    assert 0.4 < np.mean([row["area"] == "" for row in papers]) < 0.6
    assert {sum(c in row["published"] for row in papers) > 100 for c in "-/,"} == {True}


def test_damaged_lines_are_listed(demo):
    """truth/rejects.csv names the last two lines of papers.csv."""
    folder, _, _ = demo
    lines = (folder / "papers.csv").read_text(encoding="utf-8").split("\n")
    rejects = read(folder / "truth/rejects.csv")
    assert [lines[int(row["line"]) - 1] for row in rejects] == [row["text"] for row in rejects] == lines[-3:-1]


@pytest.mark.parametrize("rows", [1, 2, 49, 50, 120])
def test_any_size(tmp_path, rows):
    """A table of any size from one row up is written, and its truth has as many rows."""
    summary = write_demo(tmp_path, rows, seed=5)
    assert len(read(tmp_path / "truth/entities.csv")) == rows == summary["entities"] + summary["duplicates"]


def test_chunks_do_not_show(tmp_path, monkeypatch):
    """The bytes do not depend on how many rows are written at a time."""
    write_demo(tmp_path / "a", 700)
    monkeypatch.setattr("mpiedge.demo.generate.CHUNK_ROWS", 97)
    write_demo(tmp_path / "b", 700)
    for file in ("papers.csv", "cites.csv", "truth/cells.csv", "truth/entities.csv", "truth/labels.csv"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_second_run_writes_nothing(tmp_path):
    """Data that is there is kept; another seed writes it anew; no temporary file stays."""
    write_demo(tmp_path, 100)
    before = (tmp_path / "papers.csv").stat().st_mtime_ns
    write_demo(tmp_path, 100)
    assert (tmp_path / "papers.csv").stat().st_mtime_ns == before
    first = (tmp_path / "papers.csv").read_bytes()
    write_demo(tmp_path, 100, seed=1)
    assert (tmp_path / "papers.csv").read_bytes() != first
    assert not list(tmp_path.rglob("*.tmp"))


def test_refusals(tmp_path):
    """No rows, a negative seed and a folder that is a file are named errors."""
    with pytest.raises(UsageError):
        write_demo(tmp_path, 0)
    with pytest.raises(UsageError):
        write_demo(tmp_path, 10, seed=-1)
    (tmp_path / "file").write_text("x")
    with pytest.raises(EnvironmentProblem):
        write_demo(tmp_path / "file", 10)


def test_memory_does_not_grow_with_rows(tmp_path):
    """60,000 rows (7 chunks) need less than 10 MB more than 9,000 rows."""
    peaks = []
    for rows in (9000, 60_000):
        code = (
            "import resource; from mpiedge.demo.generate import write_demo; "
            f"write_demo({str(tmp_path / str(rows))!r}, {rows}); "
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        )
        peaks.append(int(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout))
    assert peaks[1] - peaks[0] < 10_000  # kilobytes


@given(rows=st.integers(1, 5000), seed=st.integers(0, 2**40))
def test_layout_is_a_bijection(rows, seed):
    """Rows and records map onto each other one to one, for any size and seed."""
    layout = Layout(rows, Draw(seed))
    row = np.arange(rows)
    entity, copy = layout.records(row)
    assert (layout.row_of_record(entity, copy) == row).all()
    assert (np.sort(entity[copy == 0]) == np.arange(layout.entities)).all()
    assert len(set(zip(entity.tolist(), copy.tolist()))) == rows


@given(text=st.text("abcdefgh ", min_size=3, max_size=30), seed=st.integers(0, 2**32))
def test_misspell_is_one_edit(text, seed):
    """A typo keeps the first letter and changes the length by at most one."""
    import random

    wrong = misspell(text, random.Random(seed))
    assert wrong[0] == text[0] and abs(len(wrong) - len(text)) <= 1


def test_links_are_independent_of_the_others():
    """The citations of an entity are the same whether it is drawn alone or among others."""
    everyone = facts.Entities(Draw(3))
    cited, exists = everyone.links(np.arange(500), 500)
    alone, alone_exists = everyone.links(np.array([123]), 500)
    assert (cited[123] == alone[0]).all() and (exists[123] == alone_exists[0]).all()
    assert paper_ids(np.array([0, 41])) == ["P0000001", "P0000042"]
