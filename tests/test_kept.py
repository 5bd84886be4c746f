"""A profile whose rank is killed: its next attempt goes on from the encoded tables and what the search had found."""

import random
import shutil
import sys

import pytest
from launching import PROJECT

from mpiedge.commands import profile as command
from mpiedge.profiling import findings, kept, sources

PROGRAM = PROJECT / "tests/programs/dying_profile.py"
FILES = ("fds.jsonl", "ranked.csv", "uccs.jsonl", "inds.jsonl", "columns.json", "summary.json", "manifest.json")


@pytest.fixture(scope="module")
def tables(tmp_path_factory, mpirun):
    """Two tables, and the files of an undisturbed profile of them."""
    folder, draw = tmp_path_factory.mktemp("tables"), random.Random(5)
    for name, rows in (("one", 3000), ("two", 40)):
        cells = [[str(draw.choice(["", "a b", "é", 7, 7.5, number % 40, number])) for _ in range(9)]
                 for number in range(rows)]
        text = "\n".join(",".join(row) for row in [[f"c{column}" for column in range(9)], *cells])
        (folder / f"{name}.csv").write_text(text + "\n")
    paths = [str(folder / "one.csv"), str(folder / "two.csv")]
    assert mpirun(0, "mpiedge-profile", *paths, "--run", folder / "run").returncode == 0
    return paths, contents(folder / "run")


def contents(run) -> dict:
    """The files of a profile."""
    return {name: (run / "profile" / name).read_bytes() for name in FILES}


@pytest.mark.parametrize(("ranks", "later", "access"), [(3, 1, "shared"), (2, 3, "served")])
def test_a_rank_is_killed(mpirun, tables, tmp_path, ranks, later, access):
    """Killed once the tables are kept, and again between two rounds, at other numbers of ranks: nothing is read again,
    and the files are those of an undisturbed profile."""
    paths, expected = tables
    for phase, count in (("kept", ranks), ("round", ranks), ("never", later)):
        done = mpirun(count, sys.executable, PROGRAM, phase, count - 1, *paths, "--run", tmp_path,
                      env={"MPIEDGE_ACCESS": access})
        assert (done.returncode == 0) == (phase == "never"), done.stderr
        assert ("resume  an earlier attempt" in done.stdout) == (phase != "kept")
    assert f"resume  the search goes on from {tmp_path}" in done.stdout
    assert contents(tmp_path) == expected
    assert not (tmp_path / ".unfinished").exists()


@pytest.mark.parametrize("change", ["nothing", "cut", "altered", "flag", "input"])
def test_what_counts(world, tables, tmp_path, monkeypatch, change):
    """Kept tables that were damaged, or are of other flags or another input, are read again, others are not."""
    paths, expected = tables
    copies = [shutil.copy(path, tmp_path) for path in paths]

    def run(*flags) -> None:
        command.run(command.build_parser().parse_args([*copies, *flags, "--run", str(tmp_path / "run")]), world)

    monkeypatch.setattr(kept, "WORTH_S", 0.0)
    with monkeypatch.context() as patched, pytest.raises(ZeroDivisionError):
        patched.setattr(findings, "discover", lambda *_: 1 // 0)
        run()
    records = next(tmp_path.glob("run/.unfinished/*/*.records"))
    content = bytearray(records.read_bytes())
    if change == "cut":
        records.write_bytes(content[:-1])
    elif change == "altered":
        content[len(content) // 2] ^= 1
        records.write_bytes(content)
    elif change == "input":
        shutil.copy(paths[0], tmp_path)
    read, read_tables = [], sources.read_tables
    monkeypatch.setattr(sources, "read_tables", lambda *arguments: read.append(1) or read_tables(*arguments))
    run(*["--top", "3"] if change == "flag" else [])
    assert bool(read) == (change != "nothing")
    assert contents(tmp_path / "run")["fds.jsonl"] == expected["fds.jsonl"]
