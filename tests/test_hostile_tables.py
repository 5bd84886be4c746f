"""mpiedge-clean on tables that are made to break it: a clear result or a clear error, in bounded memory."""

import csv
import gzip
from pathlib import Path

import pytest

from mpiedge.cleaning import lines, reading
from mpiedge.commands import clean
from mpiedge.runtime import resources
from mpiedge.store import access
from mpiedge.store.ranges import Dialect

ROWS = [f"{row},name {row % 50},{row % 7}" for row in range(3000)]


def cleaned(path: Path, *flags: str) -> tuple[list, list, list]:
    """(rows, changes, rejects) of a table without their headers."""
    csv.field_size_limit(2**31 - 1)
    run = path.parent / f"run-{path.name}"
    assert clean.main([str(path), "--run", str(run), "--keep-duplicates", "-q", *flags]) == 0
    found = []
    for kind in ("", ".changes", ".rejects"):
        with open(run / f"clean/{path.name.split('.')[0]}{kind}.csv", encoding="utf-8", newline="") as file:
            found.append(list(csv.reader(file))[1:])
    return tuple(found)


def refused(path: Path, capfd, *flags: str) -> tuple[int, str]:
    """(exit code, the one line that says why)."""
    with pytest.raises(SystemExit) as end:
        clean.main([str(path), "--run", str(path.parent / "run"), "-q", *flags])
    said = capfd.readouterr().err.strip()
    assert "Traceback" not in said and len(said.splitlines()) == 1
    return end.value.code, said


def test_gzip_bomb(tmp_path, capfd, monkeypatch):
    """Unpacking stops at the limit; nothing of it stays."""
    monkeypatch.setattr(access, "ALWAYS_UNPACKED", 1 << 20)
    path = tmp_path / "bomb.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * 5_000_000))
    code, said = refused(path, capfd)
    assert code == 3 and "unpacks to more than 200 times its size" in said
    assert not list(tmp_path.rglob("*.unpacked"))


def test_a_line_larger_than_memory(tmp_path, capfd):
    """A line that the plan cannot hold ends before the work."""
    path = tmp_path / "line.csv"
    path.write_bytes(b"id,name\n1,Ann\n2," + b"x" * 20_000_000 + b"\n3,Bob\n")
    code, said = refused(path, capfd, "--memory", "200MB")
    assert code == 4 and "memory" in said, said


def test_a_long_line_within_the_plan(tmp_path):
    """A cell of 10 MB takes ten times its size, not forty times."""
    path = tmp_path / "line.csv"
    path.write_bytes(b"id,name\n1,Ann\n2," + b"x" * 10_000_000 + b"\n3,Bob\n")
    held_mb = resources.current_rss_bytes() // 1_000_000  # by what other tests have loaded, too
    rows, _, _ = cleaned(path, "--memory", f"{held_mb + 250}MB")
    assert rows[1] == ["2", "x" * 10_000_000] and len(rows) == 3


def test_more_columns_than_can_be_cleaned(tmp_path, capfd, monkeypatch):
    """Too many columns are refused as soon as the structure is known."""
    monkeypatch.setattr(reading, "MOST_COLUMNS", 150)
    path = tmp_path / "wide.csv"
    path.write_text("\n".join(",".join(f"{name}{place}" for place in range(200)) for name in "c123"))
    assert refused(path, capfd)[0] == 3 and len(cleaned(narrow(tmp_path))[0]) == 3


def narrow(folder: Path) -> Path:
    """A table of as many columns as are allowed."""
    path = folder / "narrow.csv"
    path.write_text("\n".join(",".join(f"{name}{place}" for place in range(150)) for name in "c123"))
    return path


def test_a_cell_of_quotes(tmp_path):
    """A damaged row too long to be repaired is rejected as it stands, the others stay."""
    (tmp_path / "quotes.csv").write_text("\n".join(["id,name,size", *ROWS[:100], '"' * 300_000, *ROWS[100:200], ""]))
    rows, _, rejects = cleaned(tmp_path / "quotes.csv")
    assert [",".join(row) for row in rows] == ROWS[:200]
    assert [(line, text) for line, _, text in rejects] == [("102", '"' * 300_000)]


def test_a_line_of_quotes_in_the_middle(tmp_path):
    """An odd number of quotes, more than are looked at together, swallows none of the rows that follow."""
    (tmp_path / "odd.csv").write_text("\n".join(["id,name,size", *ROWS[:1500], '"' * 300_001, *ROWS[1500:], ""]))
    rows, _, rejects = cleaned(tmp_path / "odd.csv", "--steps", "structure")
    assert [",".join(row) for row in rows] == ROWS
    assert [(line, text) for line, _, text in rejects] == [("1502", '"' * 300_001)]


@pytest.mark.parametrize("place", [0, 1500])
@pytest.mark.parametrize("end", ["", '"b'])
def test_a_line_of_delimiters(tmp_path, place, end):
    """A line of far too many cells is rejected as it stands, wherever it is."""
    line = "a" + "," * 300_000 + end
    (tmp_path / "commas.csv").write_text("\n".join(["id,name,size", *ROWS[:place], line, *ROWS[place:], ""]))
    rows, _, rejects = cleaned(tmp_path / "commas.csv", "--steps", "structure")
    assert [",".join(row) for row in rows] == ROWS
    assert rejects == [[str(place + 2), "more than 200006 cells instead of 3", line]]


def test_cells_of_a_long_line_are_not_all_made():
    """No more cells of a line are made than show that it is no row."""
    assert lines.has_too_many("," * 1_000_000, Dialect(), 3)
    assert not lines.has_too_many('"' + "," * 1_000_000 + '",b', Dialect(), 2)
    assert len(lines.tokens_by_role("," * 1_000 + '"', ",", '"', 10)[0]) == 11


def test_a_long_cell_of_many_lines(tmp_path):
    """A quoted cell with thousands of lines, delimiters and doubled quotes is one cell."""
    cell = 'some "text", with commas\n' * 20_000
    with open(tmp_path / "cell.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["id", "text", "size"], [1, "one", 3], [2, cell, 4],
                                    *([row, "more", row % 7] for row in range(3, 300))])
    rows, _, rejects = cleaned(tmp_path / "cell.csv", "--steps", "structure")
    assert rows[1] == ["2", cell, "4"] and len(rows) == 299 and not rejects


def test_a_quote_that_never_ends(tmp_path):
    """A quote nobody closes swallows no row."""
    (tmp_path / "open.csv").write_text("\n".join(["id,name,size", '0,"name 0,0', *ROWS[1:], ""]))
    rows, _, rejects = cleaned(tmp_path / "open.csv", "--steps", "structure")
    assert [",".join(row) for row in rows[1:]] == ROWS[1:] and not rejects
    assert rows[0][0] == "0" and rows[0][2] == "0" and rows[0][1].strip('"') == "name 0"


def test_many_columns(tmp_path):
    """Five rows of 1,000 columns come back within the memory that was planned."""
    lines = [",".join(f"c{place}" for place in range(1000))]
    lines += [",".join(str(place * row % 97) for place in range(1000)) for row in range(1, 6)]
    (tmp_path / "wide.csv").write_text("\n".join([*lines, ""]))
    rows, changes, _ = cleaned(tmp_path / "wide.csv", "--memory", "1GB")
    assert [",".join(row) for row in rows] == lines[1:] and not changes


def test_cells_that_programs_might_obey(tmp_path):
    """Formulas, control characters and marks of direction are cells like others: they come back as they were."""
    cells = ['=HYPERLINK("http://x",1)', "+cmd|calc!A1", "@SUM(1)", "a\x1b[2Jb", "a\x01b", "\u202egpj.exe", "a\x7fb"]
    with open(tmp_path / "cells.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["id", "text"], *([row, cells[row % len(cells)]] for row in range(700))])
    rows, changes, rejects = cleaned(tmp_path / "cells.csv")
    assert [row[1] for row in rows] == [cells[row % len(cells)] for row in range(700)]
    assert not changes and not rejects


def test_columns_of_nothing(tmp_path):
    """Columns that hold no value at all stay blank, and a table of nothing but blanks says so."""
    (tmp_path / "blank.csv").write_text("a,b,c\n" + "".join(f"{row},,NULL\n" for row in range(300)))
    rows, changes, _ = cleaned(tmp_path / "blank.csv")
    assert len(rows) == 300 and all(not row[1] for row in rows) and not any(change[1] == "b" for change in changes)
    (tmp_path / "nothing.csv").write_text("a,b,c\n" + ",,\n" * 300)
    rows, _, rejects = cleaned(tmp_path / "nothing.csv")
    assert not rows and len(rejects) == 300
