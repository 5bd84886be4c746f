"""mpiedge-profile as a program: exact on real tables, the same files at any number of ranks, clear about bad input."""

import csv
import gzip
import json
from itertools import combinations

import pytest

FILES = ("fds.jsonl", "uccs.jsonl", "inds.jsonl", "columns.json", "summary.json")


@pytest.fixture
def profile(mpirun, tmp_path):
    """profile(ranks, *arguments) -> (completed process, folder of results)."""
    def run(ranks, *arguments, env=None, run="run"):
        done = mpirun(ranks, "mpiedge-profile", *arguments, "--run", tmp_path / run, env=env)
        return done, tmp_path / run / "profile"
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


SMALL = [["a", "1", "x", "", "0"], ["a", "1", "y", "", "0"], ["b", "2", "x", "q", "0"], ["c", "1", "z", "", "0"]]


def small_csv(path, rows=SMALL, names="pqrst"):
    """The small table as a CSV file."""
    return write(path, "\n".join(",".join(row) for row in [list(names), *rows]) + "\n")


def test_small_table_equals_brute_force(profile, tmp_path):
    """Dependencies, keys, statistics and inclusions of a small table, in the promised order and form."""
    done, folder = profile(0, small_csv(tmp_path / "small.csv"))
    assert done.returncode == 0, done.stderr
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
    assert "next    mpiedge-train" in done.stdout and "4 rows x 5 columns" in done.stdout


def test_files_are_the_same_at_any_number_of_ranks(profile, tmp_path):
    """Byte for byte at 1, 2, 3 and 4 ranks, and when only rank 0 sees the files."""
    rows = [[f"k{n}", str(n % 97), f"text {n * n % 1009}", "" if n % 5 else "z", str(n / 8)] for n in range(9000)]
    one = small_csv(tmp_path / "one.csv", rows)
    keys = b"".join(b"k%d,%d\n" % (n, n % 7) for n in range(500))
    two = write(tmp_path / "two.csv.gz", gzip.compress(b"key,n\n" + keys))
    results = {}
    for ranks, access in [(1, "shared"), (2, "shared"), (3, "shared"), (4, "shared"), (1, "served"), (3, "served")]:
        done, folder = profile(ranks, one, two, env={"MPIEDGE_ACCESS": access}, run=f"{access}{ranks}")
        assert done.returncode == 0, done.stderr
        results[access, ranks] = [(folder / name).read_bytes() for name in (*FILES, "manifest.json")]
    assert all(result == results["shared", 1] for result in results.values())
    assert {"lhs": ["two.key"], "rhs": ["one.p"]} in lines(folder / "inds.jsonl")


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_real_tables_have_the_published_counts(profile, shared_data, ranks):
    """Dependencies and keys of every table of the benchmark, as other profilers count them."""
    expected = json.loads((shared_data / "fd/expected.json").read_text())
    for header in (True, False):
        tables = {name: table for name, table in expected.items() if table["header"] == header}
        flags = [] if header else ["--no-header"]
        done, folder = profile(ranks, *[shared_data / "fd" / name for name in tables], "--fd", "--ucc", "-q", *flags)
        assert done.returncode == 0, done.stderr
        found = json.loads((folder / "summary.json").read_text())["tables"]
        for name, table in tables.items():
            assert found[name.split(".csv")[0]] == {figure: table[figure] for figure in (
                "rows", "columns", "fds", "fds_empty_lhs", "uccs")}, name
        assert (folder / "fds.jsonl").read_bytes().count(b"\n") == sum(table["fds"] for table in tables.values())


def test_given_delimiters_win(profile, shared_data):
    """A delimiter that is named gives what finding it out gives."""
    done, folder = profile(2, shared_data / "fd/bridges.csv", "--fd", "--no-header", "--delimiter", ",")
    assert done.returncode == 0 and len(lines(folder / "fds.jsonl")) == 142


@pytest.mark.parametrize(("text", "message"), [
    ("a,b\n1,2\n3\n", "line 3: the record has 1 cells where the first has 2"),
    ('a,b\n1,"x\n\ny"\n3,4,5\n', "line 5: the record has 3 cells where the first has 2"),
    ('a,b\n1,2\n3,"4\n', "line 3: a quote is never closed"),
    ("", "the file is empty"),
    ("\n\n", "blank lines only"),
    (b"a,b\n\xe9,1\n", "the text is not UTF-8"),
    ("a,b\n1,2\n".encode("utf-16"), "the text is not UTF-8"),
])
def test_bad_input_is_one_line_and_exit_code_3(profile, tmp_path, text, message):
    """Ragged, unclosed, empty and wrongly encoded files: the line where it is known, the remedy, no traceback."""
    done, _ = profile(0, write(tmp_path / "bad.csv", text))
    assert done.returncode == 3 and message in done.stderr and "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_bad_record_far_into_the_file(profile, tmp_path):
    """The line is right in any block, whichever rank meets it, and the first of several is named."""
    text = "a,b\n" + "1,2\n" * 200000 + "1\n" + "1,2\n" * 100000 + "1\n"
    done, _ = profile(3, write(tmp_path / "far.csv", text))
    assert done.returncode == 3 and "line 200002:" in done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_missing_files_folders_and_runs(profile, tmp_path):
    """What is not there is named; a run without clean tables says which command makes them."""
    assert "no such file" in profile(2, tmp_path / "nowhere.csv")[0].stderr
    assert "is a folder" in profile(0, tmp_path)[0].stderr
    done, _ = profile(2, run="empty")
    assert done.returncode == 3 and "mpiedge-clean" in done.stderr


@pytest.mark.parametrize(("arguments", "message"), [
    (["--delimiter", ";;"], "--delimiter"), (["--max-lhs", "-1"], "--max-lhs"), (["--verify", "p q"], "--verify"),
    (["--verify", "p -> q", "--fd"], "--verify"),
    (["--verify", "p -> nothing"], "no table has all columns")])
def test_arguments_that_make_no_sense(profile, tmp_path, arguments, message):
    """Usage errors are one line with exit code 2."""
    done, _ = profile(0, small_csv(tmp_path / "small.csv"), *arguments)
    assert done.returncode == 2 and message in done.stderr.splitlines()[-1]


def test_two_tables_of_one_name(profile, tmp_path):
    """Two files whose tables would have one name are refused."""
    done, _ = profile(0, small_csv(tmp_path / "t.csv"), write(tmp_path / "t.csv.gz", gzip.compress(b"a\n1\n")))
    assert done.returncode == 3 and "table name" in done.stderr


@pytest.mark.parametrize("ranks", [0, 4])
def test_header_only_and_one_row(profile, tmp_path, ranks):
    """Without rows or with one every column is constant and the empty set is a key; more ranks than rows are fine."""
    for rows, name in ((SMALL[:0], "none"), (SMALL[:1], "single")):
        done, folder = profile(ranks, small_csv(tmp_path / f"{name}.csv", rows), run=name)
        assert done.returncode == 0, done.stderr
        assert [(fd["table"], fd["lhs"], fd["rhs"]) for fd in lines(folder / "fds.jsonl")] == [
            (name, [], column) for column in "pqrst"]
        assert lines(folder / "uccs.jsonl") == [{"table": name, "columns": []}]
        assert [column["rows"] for column in json.loads((folder / "columns.json").read_text())[name]] == [len(rows)] * 5


def test_more_ranks_than_rows(profile, tmp_path):
    """Four ranks and three rows give what one rank gives."""
    table = small_csv(tmp_path / "tiny.csv", SMALL[:3])
    folders = [profile(ranks, table, run=f"ranks{ranks}")[1] for ranks in (0, 4)]
    assert (folders[0] / "fds.jsonl").read_bytes() == (folders[1] / "fds.jsonl").read_bytes()


def test_null_semantics(profile, tmp_path):
    """A token counts as missing; with --null-unequal missing cells differ, so a column of them is a key."""
    rows = [["?", "1"], ["?", "2"], ["", "3"]]
    table = small_csv(tmp_path / "t.csv", rows, "ab")
    keys = {}
    for flags in ([], ["--null", "?"], ["--null-unequal"], ["--null", "?", "--null-unequal"]):
        done, folder = profile(0, table, *flags, run="-".join(flags).replace("?", "token") or "plain")
        assert done.returncode == 0, done.stderr
        columns = json.loads((folder / "columns.json").read_text())["t"]
        keys[" ".join(flags)] = ([key["columns"] for key in lines(folder / "uccs.jsonl")], columns[0]["nulls"])
    assert keys == {"": ([["b"]], 1), "--null ?": ([["b"]], 3), "--null-unequal": ([["b"]], 1),
                    "--null ? --null-unequal": ([["a"], ["b"]], 3)}


def test_dialects_and_names(profile, tmp_path):
    """Byte order mark, semicolons, CRLF, quoted newlines, repeated and blank names, no header."""
    text = '\ufeffa;a;\r\n"x\r\ny";1;2\r\n"x\r\ny";1;3\r\n'
    done, folder = profile(0, write(tmp_path / "odd.csv", text))
    assert done.returncode == 0 and "a -> a_2" in done.stderr
    columns = json.loads((folder / "columns.json").read_text())["odd"]
    assert [column["name"] for column in columns] == ["a", "a_2", "column_3"]
    assert [fd["rhs"] for fd in lines(folder / "fds.jsonl")] == ["a", "a_2"]
    done, folder = profile(0, write(tmp_path / "raw.csv", "1\t2\n3\t2\n"), "--no-header", "--delimiter", "tab", "--fd")
    assert [fd["rhs"] for fd in lines(folder / "fds.jsonl")] == ["column_2"] and not (folder / "columns.json").exists()


def test_verify_lists_the_violating_rows(profile, tmp_path):
    """g3 and the rows of every group with several right-hand sides, in a folder of its own: profile/ stays as it is."""
    table = small_csv(tmp_path / "small.csv")
    profile(0, table, "--fd")
    done, folder = profile(2, table, "--verify", "q -> r")
    assert done.returncode == 0, done.stderr
    assert (folder / "fds.jsonl").exists() and (folder / "manifest.json").exists()
    folder = folder.parent / "verify"
    assert list(csv.reader((folder / "violations.csv").open())) == [
        ["table", "row", "lhs", "rhs"],
        ["small", "0", '["1"]', "x"], ["small", "1", '["1"]', "y"], ["small", "3", '["1"]', "z"]]
    assert json.loads((folder / "summary.json").read_text())["verified"] == [
        {"table": "small", "lhs": ["q"], "rhs": "r", "holds": False, "g3": 0.5, "violating_rows": 3}]
    assert "holds" in profile(0, table, "--verify", "-> t")[0].stdout


def test_max_lhs_keeps_the_small_ones(profile, tmp_path):
    """--max-lhs N gives exactly the minimal dependencies with at most N columns on the left."""
    table = small_csv(tmp_path / "small.csv", [[str(n * k % 7) for k in (1, 3, 5, 9, 11)] for n in range(20)])
    everything = lines(profile(0, table, "--fd")[1] / "fds.jsonl")
    for most in (0, 1, 2):
        done, folder = profile(0, table, "--fd", "--max-lhs", str(most))
        assert lines(folder / "fds.jsonl") == [fd for fd in everything if len(fd["lhs"]) <= most], done.stderr


def test_phases_are_timed(profile, tmp_path):
    """timings.csv names the five phases."""
    _, folder = profile(2, small_csv(tmp_path / "small.csv"))
    with open(folder.parent / "timings.csv") as file:
        phases = {row["phase"] for row in csv.DictReader(file) if row["stage"] == "profile"}
    assert {"read", "encode", "discover", "statistics", "write"} <= phases
