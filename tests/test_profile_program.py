"""mpiedge-profile as a program: exact on real tables, the same files at any number of ranks, clear about bad input."""

import csv
import gzip
import hashlib
import io
import json
import os
import signal
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpiedge.commands import profile as command
from mpiedge.errors import InputError, MemoryPlanError, Stopped, UsageError
from mpiedge.profiling import correlations, findings, interest, nary, nodes, sources
from mpiedge.profiling.findings import Rounds

FILES = ("fds.jsonl", "ranked.csv", "uccs.jsonl", "inds.jsonl", "columns.json", "summary.json")


@pytest.fixture
def program(mpirun, tmp_path):
    """program(ranks, *arguments) -> (completed process, folder of results)."""
    def run(ranks, *arguments, env=None, run="run"):
        done = mpirun(ranks, "mpiedge-profile", *arguments, "--run", tmp_path / run, env=env)
        return done, tmp_path / run / "profile"
    return run


@pytest.fixture
def profile(world, tmp_path):
    """profile(*arguments) -> folder of results; the program inside this process, errors raised."""
    def run(*arguments, run="run"):
        words = [str(argument) for argument in arguments]
        command.run(command.build_parser().parse_args([*words, "--run", str(tmp_path / run)]), world)
        return tmp_path / run / "profile"
    return run


def write(path, text, encoding="utf-8"):
    """A file with that text (or those bytes); its path."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    return path


def lines(path) -> list:
    """A file of JSON lines."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def minimal_dependencies(rows: list[list[str]], width: int) -> list[tuple]:
    """All minimal dependencies of a small table by trying every set of columns."""
    found = []
    for rhs in range(width):
        minimal = []
        for size in range(width):
            for lhs in combinations([column for column in range(width) if column != rhs], size):
                if any(set(smaller) <= set(lhs) for smaller in minimal):
                    continue
                groups: dict = {}
                if all(groups.setdefault(tuple(row[c] for c in lhs), row[rhs]) == row[rhs] for row in rows):
                    minimal.append(lhs)
        found += [(len(lhs), lhs, rhs) for lhs in minimal]
    return sorted(found)


def minimal_keys(rows: list[list[str]], width: int) -> list[tuple]:
    """All minimal column sets without equal rows."""
    found: list[tuple] = []
    for columns in (columns for size in range(width + 1) for columns in combinations(range(width), size)):
        unique = len({tuple(row[column] for column in columns) for row in rows}) == len(rows)
        if unique and not any(set(key) <= set(columns) for key in found):
            found.append(columns)
    return found


SMALL = [["a", "1", "x", "", "0"], ["a", "1", "y", "", "0"], ["b", "2", "x", "q", "0"], ["c", "1", "z", "", "0"]]


def small_csv(path, rows=SMALL, names="pqrst"):
    """The small table as a CSV file."""
    return write(path, "\n".join(",".join(row) for row in [list(names), *rows]) + "\n")


def test_small_table_equals_brute_force(profile, tmp_path, capsys):
    """Dependencies, keys, statistics and inclusions of a small table, in the promised order and form."""
    folder = profile(small_csv(tmp_path / "small.csv"))
    found = [(len(fd["lhs"]), tuple("pqrst".index(name) for name in fd["lhs"]), "pqrst".index(fd["rhs"]))
             for fd in lines(folder / "fds.jsonl")]
    assert found == minimal_dependencies(SMALL, 5)
    assert lines(folder / "fds.jsonl")[0] == {"table": "small", "lhs": [], "rhs": "t", "g3": 0.0}
    keys = [{"table": "small", "columns": columns} for columns in (["p", "r"], ["q", "r"], ["r", "s"])]
    assert lines(folder / "uccs.jsonl") == keys
    assert lines(folder / "inds.jsonl") == []
    columns = json.loads((folder / "columns.json").read_text())["small"]
    assert [(column["name"], column["type"], column["nulls"], column["distinct"]) for column in columns] == [
        ("p", "text", 0, 3), ("q", "integer", 0, 2), ("r", "text", 0, 3), ("s", "text", 3, 1), ("t", "integer", 0, 1)]
    summary = json.loads((folder / "summary.json").read_text())
    assert summary == {"tables": {"small": {"rows": 4, "columns": 5, "fds": len(found), "fds_empty_lhs": 1, "uccs": 3}},
                       "inds": 0}
    out = capsys.readouterr().out
    assert "next    mpiedge-clean" in out and "4 rows x 5 columns" in out


cells = st.sampled_from(["", "a", "b", '"', "x,y", "1\n"])


@given(rows=st.integers(1, 4).flatmap(lambda width: st.lists(
    st.lists(cells, min_size=width, max_size=width), min_size=1, max_size=7)), unequal=st.booleans())
@settings(max_examples=30, deadline=None)
def test_random_tables_equal_brute_force(world, tmp_path_factory, rows, unequal):
    """From CSV text to lines of JSON, with quotes, newlines, missing cells (equal or not) and duplicate rows."""
    folder = tmp_path_factory.mktemp("random")
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows(["pqrs"[: len(rows[0])], *rows])
    flags = ["--delimiter", ",", "--fd", "--ucc", "-q", "--run", str(folder), *["--null-unequal"] * unequal]
    command.run(command.build_parser().parse_args([str(write(folder / "t.csv", text.getvalue())), *flags]), world)
    if unequal:
        rows = [[cell or f"missing {number}" for cell in row] for number, row in enumerate(rows)]
    found = [(len(fd["lhs"]), tuple("pqrs".index(name) for name in fd["lhs"]), "pqrs".index(fd["rhs"]))
             for fd in lines(folder / "profile/fds.jsonl")]
    assert found == minimal_dependencies(rows, len(rows[0]))
    keys = [tuple("pqrs".index(name) for name in key["columns"]) for key in lines(folder / "profile/uccs.jsonl")]
    assert keys == minimal_keys(rows, len(rows[0]))


def test_files_are_the_same_at_any_number_of_ranks(program, tmp_path):
    """Byte for byte at 1, 2, 3 and 4 ranks, and when only rank 0 sees the files."""
    rows = [[f"k{n}", str(n % 97), f"text {n * n % 1009}", "" if n % 5 else "z", str(n / 8)] for n in range(9000)]
    one = small_csv(tmp_path / "one.csv", rows)
    keys = b"".join(b"k%d,%d\n" % (n, n % 7) for n in range(500))
    two = write(tmp_path / "two.csv.gz", gzip.compress(b"key,n\n" + keys))
    results = {}
    for ranks, access in [(0, "shared"), (2, "shared"), (3, "shared"), (4, "shared"), (1, "served"), (3, "served")]:
        done, folder = program(ranks, one, two, env={"MPIEDGE_ACCESS": access}, run=f"{access}{ranks}")
        assert done.returncode == 0, done.stderr
        results[access, ranks] = [(folder / name).read_bytes() for name in (*FILES, "manifest.json")]
    assert all(result == results["shared", 0] for result in results.values())
    assert {"lhs": ["two.key"], "rhs": ["one.p"]} in lines(folder / "inds.jsonl")


def test_what_is_asked_for_on_top_is_the_same_at_any_number_of_ranks(program, tmp_path):
    """Approximate dependencies, partial and longer inclusions, the ranking and Metanome's form, byte for byte."""
    rows = [[f"k{n % 50}", str(n % 50 // 7), str(n % 50 % 7 if n % 40 else 9), "z"[n % 5 :]] for n in range(300)]
    one = small_csv(tmp_path / "one.csv", rows, "pqrs")
    two = small_csv(tmp_path / "two.csv", [[f"k{n}", str(n // 7)] for n in range(50)], "kv")
    flags = ["--fd", "--ind", "--error", "0.05", "--max-ind", "2", "--ind-coverage", "0.5", "--top", "0", "--format",
             "metanome"]
    results = {}
    for ranks, access in [(0, "shared"), (3, "served")]:
        done, folder = program(ranks, one, two, *flags, env={"MPIEDGE_ACCESS": access}, run=f"{access}{ranks}")
        assert done.returncode == 0, done.stderr
        names = ("fds.jsonl", "ranked.csv", "inds.jsonl", "fds.txt", "inds.txt", "summary.json", "manifest.json")
        results[ranks] = [(folder / name).read_bytes() for name in names]
    assert results[0] == results[3]
    found = {(tuple(fd["lhs"]), fd["rhs"]): fd["g3"] for fd in lines(folder / "fds.jsonl") if fd["table"] == "one"}
    assert found[("p",), "q"] == 0 and found[("p",), "r"] == 8 / 300
    inds = {(tuple(ind["lhs"]), tuple(ind["rhs"])): ind.get("coverage", 1) for ind in lines(folder / "inds.jsonl")}
    assert inds[("one.p", "one.q"), ("two.k", "two.v")] == 1 and inds[("one.r",), ("two.v",)] == 7 / 8
    best = list(csv.DictReader((folder / "ranked.csv").open()))
    assert [row["rank"] for row in best if row["table"] == "two"] == ["1"]
    assert best[0]["lhs"] == '["p"]' and best[0]["redundant_rows"] == "250" and len(best) == len(lines(
        folder / "fds.jsonl"))
    assert "1[=5" in (folder / "inds.txt").read_text() and "1->2" in (folder / "fds.txt").read_text()


@pytest.fixture(scope="module")
def first_lines() -> dict:
    """Files of the first rank count, for those after it."""
    return {}


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_real_tables_have_the_published_counts(program, shared_data, first_lines, ranks):
    """Dependencies and keys of every table of the benchmark, as other profilers count them, with the same lines."""
    expected = json.loads((shared_data / "fd/expected.json").read_text())
    for header in (True, False):
        tables = {name: table for name, table in expected.items() if table["header"] == header}
        flags = [] if header else ["--no-header"]
        done, folder = program(ranks, *[shared_data / "fd" / name for name in tables], "--fd", "--ucc", "-q", *flags)
        assert done.returncode == 0, done.stderr
        found = json.loads((folder / "summary.json").read_text())["tables"]
        for name, table in tables.items():
            assert found[name.split(".csv")[0]] == {figure: table[figure] for figure in (
                "rows", "columns", "fds", "fds_empty_lhs", "uccs")}, name
        text = (folder / "fds.jsonl").read_bytes()
        assert text.count(b"\n") == sum(table["fds"] for table in tables.values())
        assert hashlib.sha256(text).digest() == first_lines.setdefault(header, hashlib.sha256(text).digest())


@pytest.mark.parametrize(("text", "message"), [
    ("a,b\n1,2\n3\n", "line 3: the record has 1 cells where the first has 2"),
    ('a,b\n1,"x\n\ny"\n3,4,5\n', "line 5: the record has 3 cells where the first has 2"),
    ('a,b\n1,2\n3,"4\n', "line 3: a quote is never closed"),
    ("", "the file is empty"),
    ("\n\n", "blank lines only"),
    (b"a,b\n\xe9,1\n", "the text is not UTF-8"),
    (b"a,b\n" + b"1,2\n" * 100000 + b"\xe9,1\n", "line 100002: the text is not UTF-8"),
    ("a,b\n1,2\n".encode("utf-16"), "the text is not UTF-8"),
    ("a,b\n1,2\n".encode("utf-16-le"), "the text holds NUL bytes, as UTF-16 does"),
    (b"a,b\n" + b"1,2\n" * 100000 + b"\0,1\n", "line 100002: the text holds NUL bytes"),
])
def test_bad_input_is_named(profile, tmp_path, text, message):
    """Ragged, unclosed, empty and wrongly encoded files: the line where it is known, exit code 3."""
    with pytest.raises(InputError, match=message) as caught:
        profile(write(tmp_path / "bad.csv", text))
    assert caught.value.exit_code == 3 and caught.value.everywhere


def test_a_bad_record_far_into_the_file(program, tmp_path):
    """One line and exit code 3 under mpirun; the first of several bad records is named, whichever rank meets it."""
    text = "a,b\n" + "1,2\n" * 200000 + "1\n" + "1,2\n" * 100000 + "1\n"
    done, _ = program(3, write(tmp_path / "far.csv", text))
    assert done.returncode == 3 and "line 200002: the record has 1 cells" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1 and "mpiedge-clean" in done.stderr


def test_missing_files_folders_and_runs(program, profile, tmp_path):
    """What is not there is named; a run without clean tables says which command makes them."""
    done, _ = program(2, tmp_path / "nowhere.csv")
    assert done.returncode == 3 and "no such file" in done.stderr and len(done.stderr.strip().splitlines()) == 1
    with pytest.raises(InputError, match="is a folder"):
        profile(tmp_path)
    with pytest.raises(InputError, match="mpiedge-clean"):
        profile(run="empty")


@pytest.mark.parametrize(("arguments", "message"), [
    (["--delimiter", ";;"], "--delimiter"), (["--max-lhs", "-1"], "--max-lhs"), (["--verify", "p q"], "--verify"),
    (["--verify", ""], "cannot read"), (["--verify", "p -> q", "--fd"], "--verify"),
    (["--verify", "p -> nothing"], "no table has all columns"),
    (["--error", "1"], "--error"), (["--error", "nan"], "--error"), (["--max-ind", "0"], "--max-ind"),
    (["--ind-coverage", "0"], "--ind-coverage"), (["--top", "-1"], "--top"), (["--time-limit", "5 d"], "--time-limit")])
def test_arguments_that_make_no_sense(profile, tmp_path, arguments, message):
    """Usage errors name the flag and have exit code 2."""
    with pytest.raises(UsageError, match=message) as caught:
        profile(small_csv(tmp_path / "small.csv"), *arguments)
    assert caught.value.exit_code == 2


def test_many_blank_lines_above_the_header(profile, tmp_path):
    """A header below 200,000 blank lines is found, in time that grows with their number only."""
    folder = profile(write(tmp_path / "late.csv", b"\n\r\n" * 100_000 + b"a,b\n1,2\n"), "--stats")
    assert [column["name"] for column in json.loads((folder / "columns.json").read_text())["late"]] == ["a", "b"]


def test_a_file_that_changes_while_it_is_read(profile, tmp_path, monkeypatch):
    """Rows that are added between the look at a file and its reading end the work: it may have read two files."""
    path, real = small_csv(tmp_path / "small.csv"), sources.CsvTable.read

    def read(table, access, block):
        with open(path, "a") as file:
            file.write("1,2\n")
        return real(table, access, block)

    monkeypatch.setattr(sources.CsvTable, "read", read)
    with pytest.raises(InputError, match="changed while it was read"):
        profile(path)


def test_two_tables_of_one_name(profile, tmp_path):
    """Two files whose tables would have one name are refused."""
    with pytest.raises(InputError, match="table name"):
        profile(small_csv(tmp_path / "t.csv"), write(tmp_path / "t.csv.gz", gzip.compress(b"a\n1\n")))


def test_header_only_and_one_row(profile, tmp_path):
    """Without rows or with one every column is constant and the empty set is a key."""
    for rows, name in ((SMALL[:0], "none"), (SMALL[:1], "single")):
        folder = profile(small_csv(tmp_path / f"{name}.csv", rows))
        assert [(fd["table"], fd["lhs"], fd["rhs"]) for fd in lines(folder / "fds.jsonl")] == [
            (name, [], column) for column in "pqrst"]
        assert lines(folder / "uccs.jsonl") == [{"table": name, "columns": []}]
        columns = json.loads((folder / "columns.json").read_text())[name]
        assert [column["rows"] for column in columns] == [len(rows)] * 5


def test_more_ranks_than_rows(program, profile, tmp_path):
    """Four ranks give what one gives: three rows, one row, none."""
    tables = [small_csv(tmp_path / f"t{rows}.csv", SMALL[:rows]) for rows in (3, 1, 0)]
    done, folder = program(4, *tables, run="four")
    assert done.returncode == 0, done.stderr
    one = profile(*tables)
    assert all((folder / name).read_bytes() == (one / name).read_bytes() for name in FILES)


def test_null_semantics(profile, tmp_path):
    """A token counts as missing; with --null-unequal missing cells differ, so a column of them is a key."""
    rows = [["?", "1"], ["?", "2"], ["", "3"]]
    table = small_csv(tmp_path / "t.csv", rows, "ab")
    keys = {}
    for flags in ([], ["--null", "?"], ["--null-unequal"], ["--null", "?", "--null-unequal"]):
        folder = profile(table, *flags)
        columns = json.loads((folder / "columns.json").read_text())["t"]
        keys[" ".join(flags)] = ([key["columns"] for key in lines(folder / "uccs.jsonl")], columns[0]["nulls"])
    assert keys == {"": ([["b"]], 1), "--null ?": ([["b"]], 3), "--null-unequal": ([["b"]], 1),
                    "--null ? --null-unequal": ([["a"], ["b"]], 3)}


def test_dialects_and_names(profile, tmp_path, capsys):
    """Byte order mark, semicolons, CRLF, quoted newlines, repeated and blank names, no header."""
    folder = profile(write(tmp_path / "odd.csv", '\ufeffa;a;\r\n"x\r\ny";1;2\r\n"x\r\ny";1;3\r\n'))
    assert "a -> a_2" in capsys.readouterr().err
    columns = json.loads((folder / "columns.json").read_text())["odd"]
    assert [column["name"] for column in columns] == ["a", "a_2", "column_3"]
    assert [fd["rhs"] for fd in lines(folder / "fds.jsonl")] == ["a", "a_2"]
    profile(write(tmp_path / "raw.csv", "1\t2\n3\t2\n"), "--no-header", "--delimiter", "tab", "--fd")
    assert [fd["rhs"] for fd in lines(folder / "fds.jsonl")] == ["column_2"]
    assert not (folder / "columns.json").exists()  # of the run before


def test_verify_lists_the_violating_rows(profile, tmp_path, capsys):
    """g3 and the rows of every group with several right-hand sides, in a folder of its own: profile/ stays as it is."""
    table = small_csv(tmp_path / "small.csv")
    folder = profile(table, "--fd")
    profile(table, "--verify", "q -> r")
    assert (folder / "fds.jsonl").exists() and (folder / "manifest.json").exists()
    folder = folder.parent / "verify"
    assert list(csv.reader((folder / "violations.csv").open())) == [
        ["table", "row", "lhs", "rhs"],
        ["small", "0", '["1"]', "x"], ["small", "1", '["1"]', "y"], ["small", "3", '["1"]', "z"]]
    assert json.loads((folder / "summary.json").read_text())["verified"] == [
        {"table": "small", "lhs": ["q"], "rhs": "r", "holds": False, "g3": 0.5, "violating_rows": 3}]
    profile(table, "--verify", "-> t")
    said = capsys.readouterr().out
    assert "small: -> t: holds" in said and "mpiedge-verify" not in said


def test_names_of_every_kind(profile, tmp_path, capsys):
    """Names with dots, commas, quotes, arrows, line ends and blanks: in every file, on the screen, in --verify."""
    names = ["a.b", "c,d", 'e"f', "g\nh", "i -> j", " k "]
    rows = [[str(n % 2), str(n % 3), str(n % 6 // 2), str(n), "z", str(n // 5)] for n in range(30)]
    text = io.StringIO(newline="")
    csv.writer(text).writerows([names, *rows])
    table = write(tmp_path / "names.csv", text.getvalue())
    flags = ["--top", "0", "--error", "0.1", "--max-ind", "2", "--correlations", "--format", "metanome"]
    folder = profile(table, *flags)
    assert {name for fd in lines(folder / "fds.jsonl") for name in (*fd["lhs"], fd["rhs"])} == set(names)
    ranked = list(csv.DictReader((folder / "ranked.csv").open(newline="")))
    assert {row["rhs"] for row in ranked} <= set(names) and '["g\\nh"]' in {row["lhs"] for row in ranked}
    assert len((folder / "fds.txt").read_text().splitlines()) == 10 + len(ranked)
    assert '"e\\"f"' in capsys.readouterr().out
    profile(table, "--verify", '"c,d", a.b -> "e""f"', run="verified")
    profile(table, "--verify", '"g\nh" -> k', run="verified")
    assert capsys.readouterr().out.count("holds") == 2


@pytest.mark.parametrize("rows", [[], [["x", "y"]], [["x", "y"]] * 9, [["", ""]] * 9, [["x", ""], ["y", ""]]])
def test_tables_of_almost_nothing(profile, tmp_path, rows):
    """No rows, one row, constants, nothing but missing cells: everything asked for, and what must hold."""
    flags = ["--top", "0", "--error", "0.2", "--max-ind", "2", "--ind-coverage", "0.5", "--correlations"]
    folder = profile(small_csv(tmp_path / "t.csv", rows, "ab"), *flags)
    found = {(tuple(fd["lhs"]), fd["rhs"], fd["g3"]) for fd in lines(folder / "fds.jsonl")}
    assert found == ({((), "a", 0), ((), "b", 0)} if len({*map(tuple, rows)}) < 2 else {((), "b", 0)})
    assert (folder / "correlations.csv").read_text().count("\n") == 1 and not lines(folder / "inds.jsonl")


def test_max_lhs_keeps_the_small_ones(profile, tmp_path):
    """--max-lhs N gives exactly the minimal dependencies with at most N columns on the left."""
    table = small_csv(tmp_path / "small.csv", [[str(n * k % 7) for k in (1, 3, 5, 9, 11)] for n in range(20)])
    everything = lines(profile(table, "--fd") / "fds.jsonl")
    for most in (0, 1, 2):
        found = lines(profile(table, "--fd", "--max-lhs", most) / "fds.jsonl")
        assert found == [fd for fd in everything if len(fd["lhs"]) <= most]


@pytest.mark.parametrize("flags", [["--fd", "--ucc"], ["--fd", "--error", "0.1"], ["--ucc"], ["--ind", "--fd"]])
def test_an_interrupted_search_goes_on(profile, tmp_path, capsys, flags):
    """A time limit ends with exit code 75, true dependencies and a mark; the same line again gives the full result."""
    table = small_csv(tmp_path / "t.csv", [[str(n * k % (7 + k)) for k in (1, 3, 5, 9, 11)] for n in range(20)])
    full = profile(table, *flags, run="full")
    with pytest.raises(Stopped, match="Run the same line again") as caught:
        profile(table, *flags, "--time-limit", "0s", run="early")
    folder = tmp_path / "early/profile"
    assert caught.value.exit_code == 75 and not (folder / "manifest.json").exists()
    assert json.loads((folder / "summary.json").read_text())["partial"] is True and "partial" in capsys.readouterr().out
    for name in {"fds.jsonl", "uccs.jsonl"} & {path.name for path in folder.iterdir()}:
        assert set((folder / name).read_text().splitlines()) <= set((full / name).read_text().splitlines())
    profile(table, *flags, run="early")
    assert "goes on from" in capsys.readouterr().out and not (tmp_path / "early/profile-search.npz").exists()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        path.name: path.read_bytes() for path in full.iterdir()}


def test_a_search_of_another_table_is_not_gone_on_with(profile, tmp_path, capsys):
    """What was saved counts for the very same cells only; a damaged file is named and left aside."""
    rows = [[str(n * k % 7) for k in (1, 3, 5)] for n in range(20)]
    table = small_csv(tmp_path / "t.csv", rows, "pqr")
    with pytest.raises(Stopped):
        profile(table, "--fd", "--time-limit", "0")
    kept = (tmp_path / "run/profile-search.npz").read_bytes()
    small_csv(tmp_path / "t.csv", [*rows[:-1], rows[0]], "pqr")
    profile(table, "--fd")
    assert "goes on" not in capsys.readouterr().out
    (tmp_path / "run/profile-search.npz").write_bytes(kept[:99])
    profile(table, "--fd")
    assert "cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize("place", [(Rounds, "tell"), (findings, "in_order")])
def test_a_signal_ends_the_search(profile, tmp_path, monkeypatch, place):
    """Ctrl-C while the search is at work, or just done; the same line goes on; signals do what they did before."""
    before = signal.getsignal(signal.SIGINT)
    table = small_csv(tmp_path / "t.csv", [[str(n * k % 7) for k in (1, 3, 5, 9, 11)] for n in range(20)])
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        function = getattr(*place)
        patch.setattr(*place, lambda *given: (os.kill(os.getpid(), signal.SIGINT), function(*given))[1])
        profile(table, "--fd")
    assert (tmp_path / "run/profile-search.npz").exists()
    assert len(lines(profile(table, "--fd") / "fds.jsonl")) > 0
    assert signal.getsignal(signal.SIGINT) is before


def test_what_would_not_fit_is_said_before(profile, tmp_path):
    """A budget below what a few blocks take ends the program before it reads, with the plan."""
    with pytest.raises(MemoryPlanError, match="encoding") as caught:
        profile(small_csv(tmp_path / "small.csv"), "--memory", "1MB")
    assert caught.value.exit_code == 4


def test_phases_are_timed(profile, tmp_path):
    """timings.csv names the five phases."""
    folder = profile(small_csv(tmp_path / "small.csv"))
    with open(folder.parent / "timings.csv") as file:
        phases = {row["phase"] for row in csv.DictReader(file) if row["stage"] == "profile"}
    assert {"read", "encode", "discover", "statistics", "write"} <= phases


@pytest.fixture
def clean_run(world, tmp_path):
    """A run whose clean stage has two typed tables in several chunks."""
    from mpiedge.stage import Stage
    from mpiedge.store.tables import Column, to_arrays

    args = command.build_parser().parse_args(["--run", str(tmp_path / "run"), "-q"])
    papers = [Column("id", "integer"), Column("year", "integer", {"missing": True}), Column("score", "decimal"),
              Column("venue"), Column("day", "date")]
    with Stage(world, args, "clean") as stage:
        tables = {}
        rows = [[str(n), "" if n % 9 == 0 else str(1990 + n % 20), str(n / 4), f"v{n % 5}", f"2020-01-{n % 28 + 1:02d}"]
                for n in range(100)]
        cites = [[str(n % 100), f"{n % 37}.0"] for n in range(70)]
        links = [Column("from"), Column("to", "decimal")]
        for name, columns, data in (("papers", papers, rows), ("cites", links, cites)):
            parts = []
            for chunk in (data[:40], data[40:]):
                cells = {column.name: np.array(values, object) for column, values in zip(columns, zip(*chunk))}
                parts.append(stage.access.write_part("clean", name, len(parts), to_arrays(columns, cells)))
            tables[name] = {"columns": columns, "parts": parts}
        stage.commit(tables=tables)
    return tmp_path / "run"


def test_clean_tables_of_a_run(profile, clean_run):
    """Numbers compare by value across tables and types, declared kinds are kept, missing numbers are counted."""
    folder = profile()
    inds = [(ind["lhs"][0], ind["rhs"][0]) for ind in lines(folder / "inds.jsonl")]
    assert ("cites.from", "papers.id") in inds and ("cites.to", "papers.id") in inds
    columns = {column["name"]: column for column in json.loads((folder / "columns.json").read_text())["papers"]}
    assert [columns[name]["type"] for name in ("id", "year", "score", "venue", "day")] == [
        "integer", "integer", "decimal", "text", "date"]
    assert columns["year"]["nulls"] == 12 and columns["year"]["max"] == 2009 and columns["id"]["unique"]
    fds = [(fd["table"], fd["lhs"], fd["rhs"]) for fd in lines(folder / "fds.jsonl")]
    assert ("papers", ["id"], "venue") in fds and ("papers", ["score"], "id") in fds
    assert [fd[0] for fd in fds] == sorted(fd[0] for fd in fds)


def test_clean_tables_are_the_same_at_any_number_of_ranks(program, profile, clean_run):
    """From the store too, shared and served."""
    folder = profile()
    expected = [(folder / name).read_bytes() for name in FILES]
    for ranks, access in ((2, "shared"), (3, "served")):
        done, folder = program(ranks, env={"MPIEDGE_ACCESS": access})
        assert done.returncode == 0, done.stderr
        assert [(folder / name).read_bytes() for name in FILES] == expected


def test_an_altered_run_is_refused(profile, clean_run):
    """A part cut short is named with the command that mends it."""
    part = next((clean_run / "clean").glob("part-papers-*"))
    part.write_bytes(part.read_bytes()[:-7])
    with pytest.raises(InputError, match="mpiedge-clean"):
        profile()


@pytest.mark.parametrize(("module", "flags"), [
    (nodes, ["--fd", "--error", "0.1"]), (interest, ["--fd", "--top", "3"]), (nary, ["--ind", "--max-ind", "2"]),
    (correlations, ["--correlations"])])
def test_what_options_take_is_planned(profile, tmp_path, monkeypatch, module, flags):
    """What works in memory only is refused before its search when that is too little."""
    monkeypatch.setattr(module, "estimate_bytes", lambda *_: 1e15)
    with pytest.raises(MemoryPlanError, match="discovery 1000000000"):
        profile(small_csv(tmp_path / "small.csv"), *flags)


@pytest.mark.parametrize(("ranks", "name"), [(0, "SIGTERM"), (0, "SIGINT"), (2, "SIGUSR1")])
def test_a_signal_while_reading_ends_in_one_line(tmp_path, mpirun, ranks, name):
    """Before anything is found: exit code 75, one line that says what to do, and no result."""
    (tmp_path / "table.csv").write_text("a,b\n" + "".join(f"{row},{row % 7}\n" for row in range(500)))
    program = Path(__file__).parent / "programs/told_profile.py"
    done = mpirun(ranks, sys.executable, program, name, tmp_path / "table.csv", "--run", tmp_path / "run")
    assert done.returncode == 75
    said = [line for line in done.stderr.splitlines() if line.startswith("mpiedge-profile: ")]
    assert len(said) == 1 and "told to end" in said[0] and "Traceback" not in done.stderr
    assert not (tmp_path / "run/profile").exists()
