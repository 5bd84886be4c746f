"""Which ranks take part in a stage."""

import csv
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from launching import PROJECT

from mpiedge.runtime import team


@pytest.mark.parametrize(("speeds", "work", "ranks"), [
    ((1, 1, 1, 1), 1, [0, 1, 2, 3]),
    ((1, 1, 1, 0.5), 1, [0, 1, 2, 3]),  # half as fast is of use, whatever is still to come
    ((1, 1, 1, 0.1), 10, [0, 1, 2]),
    ((1, 1, 1, 0.1), 1e4, [0, 1, 2, 3]),  # so much work that every rank is of use
    ((0.1, 1, 1, 1), 10, [0, 1, 2, 3]),  # rank 0 takes part, and then all may
    ((1, 0.2, 0.2, 1), 10, [0, 3]),
    ((1, 0.3, 0.1, 0.3), 10, [0, 1, 3]),  # the others have more than a quarter of all the speed
])  # fmt: skip
def test_who_is_of_use(speeds, work, ranks):
    """The slowest sit out where they take the others more time than they save."""
    assert team.of_use(np.array(speeds, float), work, 1.0) == ranks


def test_all_take_part_where_memory_is_scarce(monkeypatch):
    """With four times the input in the budget of each rank the slow one sits out, with less it does not."""
    told = [{"start": start, "host": "oak", "budget": 4000} for start in ((0.1, 0.0), (0.1, 0.0), (0.1, 0.9))]
    assert [known["rank"] for known in team._resting(told, None, lambda args: 1000, 1000)] == [2]
    assert team._resting(told, None, lambda args: 1001, 1000) == []
    assert team._resting(told, SimpleNamespace(tables=["nowhere.csv"]), team_bytes, 1000) == []


def team_bytes(args):
    """What rank 0 asks for tables that are not there."""
    raise FileNotFoundError(args.tables[0])


def test_a_slow_rank_sits_out(mpirun, tmp_path):
    """The files are those of the ranks alone, its name is told, and an error ends the job in one line."""
    table = tmp_path / "t.csv"
    table.write_text("a,b\n" + "".join(f"{row},{row % 7}\n" for row in range(500)))
    words = [sys.executable, PROJECT / "tests/programs/slow_profile.py", "2"]
    run = tmp_path / "run"
    done = mpirun(3, *words, table, "--run", run, env={"MPIEDGE_REST": "1"})
    assert done.returncode == 0 and "2 ranks on 1 host" in done.stdout, done.stderr
    assert "resting rank 2 on " in done.stdout and "10.0 times slower" in done.stdout
    assert '"lhs": ["a"], "rhs": "b"' in (run / "profile/fds.jsonl").read_text()
    with open(run / "decisions.csv", newline="") as file:
        assert [(row["rank"], row["did"]) for row in csv.DictReader(file)] == [("2", "sits out")]
    with open(run / "timings.csv", newline="") as file:
        assert {row["rank"] for row in csv.DictReader(file)} == {"0", "1"}
    table.write_text("a,b\n1,2\n3\n")
    done = mpirun(3, *words, table, "--run", run, env={"MPIEDGE_REST": "1"})
    assert done.returncode == 3 and len(done.stderr.strip().splitlines()) == 1 and "t.csv" in done.stderr
