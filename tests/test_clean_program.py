"""mpiedge-clean as a person runs it: odd files, flags, errors."""

import csv
import gzip
import json
import os
import re
import sys
from pathlib import Path

import pytest

from mpiedge.commands import clean
from mpiedge.demo.generate import write_demo

ODD_FILES = {
    "header_only": b"id,name,age\n",
    "one_row": b"id,name,age\n1,Ann,30\n",
    "one_column": b"name\nAnn\nBob, Jr.\n\nEva\n",
    "western": "name,city\nJosé,Málaga\nZoë,Köln\n".encode("cp1252"),
    "mixed": "name,city\nJosé,Málaga\nLéa,Rome\n".encode() + "Zoë,Köln\n".encode("cp1252"),
    "wide_characters": 'name,city\nJosé,"Málaga, x"\n'.encode("utf-16"),
    "nul": b"id,name\n1,A\x00nn\n2,Bob\n",
    "line_ends": b'id,name\r\n1,Ann\r\n2,"B\r\nob"\n3,Eva\r4,Lea\r\n',
    "unclosed": b"id,size,age\n" + b"".join(b"%d,%d,%d\n" % (i, i * i, i + 7) for i in range(30)) + b'30,"7,3\n'
                + b"".join(b"%d,%d,%d\n" % (i, i * i, i + 7) for i in range(31, 60)),
    "large_cell": b'id,text\n1,"' + b"x" * 10_000_000 + b'"\n2,short\n',
    "repeated_names": b"a,a,,b\n1,2,3,x\n4,5,6,y\n",
    "all_missing": b"a,b\n1,\n2,\n3,\n",
    "empty_rows": b"id,name,city\n,,\n1,Ann,Rome\n  , ,\n,,\n2,Bob,Oslo\n",
    "names": b"id,name,age\n" + b"".join(b"%d,%s,%d\n" % (i, name, 20 + i) for i, name in enumerate(
        [b"Ann", b"Bob", b"Cid", b"", b"Dan", b"Eve", b"Ann"])),
    "packed": gzip.compress(b"id,name\n1,Ann\n2,Bob\n"),
    "european": b"id;born;height\n1;13.02.1990;1,75\n2;01.05.1985;1,81\n",
}


def rows_of(run: Path, table: str, kind: str = "") -> list[list[str]]:
    csv.field_size_limit(2**31 - 1)
    with open(run / "clean" / f"{table}{kind}.csv", encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


@pytest.fixture(scope="module")
def odd(mpirun, tmp_path_factory) -> Path:
    """The run in which all odd files were cleaned together."""
    folder = tmp_path_factory.mktemp("odd")
    for name, data in ODD_FILES.items():
        (folder / f"{name}.csv").write_bytes(data)
    done = mpirun(0, "mpiedge-clean", *[folder / f"{name}.csv" for name in ODD_FILES], "--run", folder / "run")
    assert done.returncode == 0, done.stderr
    return folder / "run"


@pytest.mark.parametrize("table, expected", [
    ("header_only", [["id", "name", "age"]]),
    ("one_row", [["id", "name", "age"], ["1", "Ann", "30"]]),
    ("one_column", [["name"], ["Ann"], ["Bob, Jr."], ["Eva"]]),
    ("western", [["name", "city"], ["José", "Málaga"], ["Zoë", "Köln"]]),
    ("mixed", [["name", "city"], ["José", "Málaga"], ["Léa", "Rome"], ["Zoë", "Köln"]]),
    ("wide_characters", [["name", "city"], ["José", "Málaga, x"]]),
    ("nul", [["id", "name"], ["1", "Ann"], ["2", "Bob"]]),
    ("line_ends", [["id", "name"], ["1", "Ann"], ["2", "B\r\nob"], ["3", "Eva"], ["4", "Lea"]]),
    ("repeated_names", [["a", "a_2", "column_3", "b"], ["1", "2", "3", "x"], ["4", "5", "6", "y"]]),
    ("all_missing", [["a", "b"], ["1", ""], ["2", ""], ["3", ""]]),
    ("packed", [["id", "name"], ["1", "Ann"], ["2", "Bob"]]),
    ("european", [["id", "born", "height"], ["1", "13.02.1990", "1,75"], ["2", "01.05.1985", "1,81"]])])
def test_odd_files(odd, table, expected):
    """Each odd file becomes the table a person would read in it."""
    assert rows_of(odd, table) == expected and len(rows_of(odd, table, ".rejects")) == 1


def test_rows_without_a_cell_are_rejected_and_counted(odd):
    """A row of blanks is rejected, not filled; the rows after it keep their number, also below the header."""
    assert rows_of(odd, "empty_rows")[1:] == [["1", "Ann", "Rome"], ["2", "Bob", "Oslo"]]
    assert [row[0] for row in rows_of(odd, "empty_rows", ".rejects")[1:]] == ["2", "4", "5"]
    assert rows_of(odd, "empty_rows", ".clusters")[1:] == [["1", "1"], ["4", "4"]]


def test_a_missing_name_stays_missing(odd):
    """A column of mostly different words has no usual value, though one of them stands there twice."""
    assert [row[1] for row in rows_of(odd, "names")[1:]] == ["Ann", "Bob", "Cid", "", "Dan", "Eve", "Ann"]


def test_damaged_quote_and_large_cell(odd):
    """A quote nobody closes costs no row but its own cell's beauty; a cell of 10 MB passes whole."""
    assert [row[0] for row in rows_of(odd, "unclosed")[1:]] == [str(number) for number in range(60)]
    assert [len(row[1]) for row in rows_of(odd, "large_cell")] == [4, 10_000_000, 5]


def test_rows_add_up(odd):
    """For every table, rows in = rows out + merged + rejected; the store holds the rows of the CSV."""
    import h5py

    summary = json.loads((odd / "clean/summary.json").read_text())["tables"]
    assert set(summary) == set(ODD_FILES)
    with h5py.File(odd / "store.h5") as store:
        for name, table in summary.items():
            assert table["rows_in"] == table["rows_out"] + table["rows_merged"] + table["rows_rejected"]
            assert len(rows_of(odd, name)) == table["rows_out"] + 1
            assert all(len(values) == table["rows_out"] for values in store[f"clean/{name}"].values())
        assert store["clean/european/born"].asstr()[:].tolist() == ["1990-02-13", "1985-05-01"]
        assert store["clean/european/height"][:].tolist() == [1.75, 1.81]


@pytest.mark.parametrize("make, cause", [
    (lambda path: None, "no such file"), (lambda path: path.write_bytes(b""), "the file is empty"),
    (lambda path: path.mkdir(), "is a folder"), (os.mkfifo, "is a pipe"),
    (lambda path: path.write_bytes(b"\n \n"), "no text"),
    (lambda path: path.write_bytes(bytes(range(1, 32)) * 99), "no text file"),
    (lambda path: path.write_bytes(gzip.compress(bytes(range(256)) * 99)[:-40]), "cannot be unpacked")])
def test_files_that_cannot_be_cleaned(tmp_path, capfd, make, cause):
    """A file that is no table ends the program with one line that names it, and exit code 3."""
    path = tmp_path / "people.csv"
    make(path)
    with pytest.raises(SystemExit) as end:
        clean.main([str(path), "--run", str(tmp_path / "run")])
    error = capfd.readouterr().err
    assert end.value.code == 3 and cause in error and "people.csv" in error and error.count("\n") == 1


@pytest.mark.parametrize("flags, cause", [(["--id", "nummer"], "no table has this column"),
                                          (["--steps", "polish"], "no step polish"),
                                          (["--min-confidence", "nan"], "no number from 0 to 1")])
def test_wrong_flags(tmp_path, capfd, flags, cause):
    """A column or a step that does not exist, or what is no confidence, is a usage error."""
    path = tmp_path / "people.csv"
    path.write_bytes(ODD_FILES["one_row"])
    with pytest.raises(SystemExit) as end:
        clean.main([str(path), "--run", str(tmp_path / "run"), *flags])
    assert end.value.code == 2 and cause in capfd.readouterr().err


def test_memory_that_does_not_suffice(tmp_path, capfd):
    """A plan above the budget ends with exit code 4 before any work."""
    path = tmp_path / "people.csv"
    path.write_bytes(ODD_FILES["one_row"])
    with pytest.raises(SystemExit) as end:
        clean.main([str(path), "--run", str(tmp_path / "run"), "--memory", "20MB"])
    assert end.value.code == 4 and "--memory" in capfd.readouterr().err


def test_more_ranks_than_rows(mpirun, tmp_path):
    """Three ranks clean a table of one row."""
    (tmp_path / "people.csv").write_bytes(ODD_FILES["one_row"])
    done = mpirun(3, "mpiedge-clean", tmp_path / "people.csv", "--run", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert rows_of(tmp_path / "run", "people") == [["id", "name", "age"], ["1", "Ann", "30"]]


@pytest.fixture(scope="module")
def papers(tmp_path_factory) -> Path:
    """A small demo data set and, in `run`, what cleaning makes of it."""
    folder = tmp_path_factory.mktemp("papers")
    write_demo(folder, 800, 2)
    assert clean.main([str(folder / "papers.csv"), str(folder / "cites.csv"), "--run", str(folder / "run"), "-q"]) == 0
    return folder


def truth_of(papers: Path, name: str) -> list[dict]:
    with open(papers / f"truth/{name}.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_formats_and_missing_cells_of_the_demo_are_right(papers):
    """Dates, years, null words and looked-up cells are as the truth says; labels and ids are as they were."""
    clean_rows = rows_of(papers / "run", "papers")
    table = {row[0]: dict(zip(clean_rows[0], row)) for row in clean_rows[1:]}
    checked = wrong = blank = 0
    for cell in truth_of(papers, "cells"):
        if cell["id"] in table and cell["column"] in ("year", "published", "publisher", "city", "country"):
            checked += 1
            found = table[cell["id"]][cell["column"]]
            blank += not found
            wrong += found not in ("", cell["clean"])
    assert checked > 300 and wrong <= 0.01 * checked and blank <= 0.05 * checked
    with open(papers / "papers.csv", encoding="utf-8", newline="") as file:
        before = {row[0]: row for row in csv.reader(file) if len(row) == 16}
    assert all(row["area"] in (before[key][10], *{b[10] for b in before.values()}) for key, row in table.items())
    assert sum(not row["area"] for row in table.values()) > 0.3 * len(table)


def test_every_changed_cell_is_listed(papers):
    """Undoing the listed changes gives the rows of the input back."""
    with open(papers / "papers.csv", encoding="utf-8", newline="") as file:
        before = [row for row in csv.reader(file) if len(row) == 16]
    names, rows = before[0], before[1:]
    after = rows_of(papers / "run", "papers")[1:]
    clusters = rows_of(papers / "run", "papers", ".clusters")[1:]
    survivors = [int(row) for row, cluster in clusters if row == cluster]
    undone = {row: list(cells) for row, cells in zip(survivors, after)}
    for row, column, _, old, new, _ in reversed(rows_of(papers / "run", "papers", ".changes")[1:]):
        if int(row) in undone:
            assert undone[int(row)][names.index(column)] == new
            undone[int(row)][names.index(column)] = old
    assert len(survivors) == len(after) and all(undone[row] == rows[row] for row in survivors)


def test_duplicates_of_the_demo(papers):
    """Nearly all duplicates of the truth are found, nearly nothing else."""
    entity = {row["id"]: row["entity_id"] for row in truth_of(papers, "entities")}
    ids = [f"P{number:07d}" for number in range(1, 801)]
    found = {(ids[int(a)], ids[int(b)]) for a, b in rows_of(papers / "run", "papers", ".clusters")[1:] if a != b}
    right = sum(entity[a] == entity[b] for a, b in found)
    wanted = len(ids) - len(set(entity[name] for name in ids))
    assert right >= 0.95 * len(found) and right >= 0.9 * wanted


def test_keep_duplicates_and_fewer_steps(papers, tmp_path, capfd):
    """All rows stay with --keep-duplicates; steps that are left out change nothing; a dry run writes nothing."""
    tables = [str(papers / "papers.csv"), str(papers / "cites.csv")]
    assert clean.main([*tables, "--run", str(tmp_path / "kept"), "--keep-duplicates", "-q"]) == 0
    assert len(rows_of(tmp_path / "kept", "papers")) == 801
    assert rows_of(tmp_path / "kept", "cites")[1:] == list(csv.reader(open(papers / "cites.csv")))[1:]  # noqa: SIM115
    assert clean.main([tables[0], "--run", str(tmp_path / "few"), "--steps", "structure"]) == 0
    assert "next    mpiedge-profile" in capfd.readouterr().out
    assert len(rows_of(tmp_path / "few", "papers", ".changes")) == 1
    assert clean.main([tables[0], "--run", str(tmp_path / "dry"), "--dry-run"]) == 0
    printed = capfd.readouterr().out
    assert re.search(r"^time +would take about [\d.]+ \w+ \(look .*, write .*\), at [\d,]+ rows a s", printed, re.M)
    assert re.search(r"published +date +dates to ymd_dash", printed) and not (tmp_path / "dry/clean").exists()


def test_formats_in_the_last_pass(tmp_path):
    """Where no later step reads the rows, their formats are put right in the last pass: the same files."""
    rows = [f'{row},{"1/2/2003" if row % 3 else "2003-02-25"},{"N/A" if row % 5 else row / 4}' for row in range(40)]
    rows[7] = "7,2003-02-25"
    (tmp_path / "t.csv").write_text("\n".join(["id,born,size", *rows, "surplus, a b c,,,,5", ""]), encoding="utf-8")
    files = []
    for name, steps in (("short", "structure,types,formats"), ("long", "structure,types,formats,rules")):
        assert clean.main([str(tmp_path / "t.csv"), "--run", str(tmp_path / name), "--steps", steps, "-q"]) == 0
        files.append([rows_of(tmp_path / name, "t", kind) for kind in ("", ".changes", ".rejects", ".clusters")])
    assert files[0] == files[1] and all(len(table) > 1 for table in files[0])


def test_plan_is_toml(papers):
    """plan.toml says what was decided: dialect, kinds, null words, fills."""
    if sys.version_info < (3, 11):
        import tomli as tomllib
    else:
        import tomllib
    plan = tomllib.loads((papers / "run/clean/plan.toml").read_text(encoding="utf-8"))["tables"]["papers"]
    kinds = {column["name"]: column["kind"] for column in plan["columns"]}
    assert kinds["published"] == "date" and kinds["year"] == "integer" and kinds["zip"] == "text"
    assert plan["delimiter"] == ","
    fill = next(fill for fill in plan["fill"] if fill["column"] == "publisher")
    assert fill["look_up_by"] == ["venue"] and fill["else"] == "leave blank"


def test_reviews_follow_their_shops(tmp_path):
    """A table with words of its own refers by numbers: the reference follows the merged row, other numbers stay."""
    words = ("oak", "elm", "ash", "fir", "yew", "bay", "fig", "ivy", "nut", "rye")
    shops = [(number, f"The {word} house", f"{17 * number} {word} lane") for number, word in enumerate(words, 1)]
    shops.append((11, *shops[0][1:]))
    reviews = [(number, f"{word} was {words[number % 7]} today", 1 + number % 5)
               for number, word in enumerate((*words, "dew"), 1)]
    for table, head, rows in (("shops", "id,name,street", shops), ("reviews", "shop_id,words,stars", reviews)):
        (tmp_path / f"{table}.csv").write_text("\n".join([head, *(",".join(map(str, row)) for row in rows)]) + "\n")
    tables = [str(tmp_path / "reviews.csv"), str(tmp_path / "shops.csv")]
    assert clean.main([*tables, "--run", str(tmp_path / "run"), "-q", "--id", "id"]) == 0
    assert [row[0] for row in rows_of(tmp_path / "run", "shops")[1:]] == [str(number) for number in range(1, 11)]
    found = rows_of(tmp_path / "run", "reviews")[1:]
    assert [row[0] for row in found] == [*map(str, range(1, 11)), "1"]
    assert [row[2] for row in found] == [str(row[2]) for row in reviews]
