"""Which ranks take part in a stage."""

import csv
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from launching import PROJECT

from mpiedge.commands import train
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


def test_ranks_of_a_host_are_alike_unless_one_is_slow_beyond_doubt():
    """Those that are within a factor of two have the speed of their mean."""
    found = team.of_hosts(np.array([1.0, 0.4, 0.7, 1.0, 0.2]), ["oak", "elm", "elm", "fir", "fir"])
    np.testing.assert_allclose(found, [1.0, 0.55, 0.55, 1.0, 0.2])


def test_all_take_part_where_memory_is_scarce(monkeypatch):
    """With four times the input in the budget of each rank the slow one sits out, with less it does not."""
    told = [{"start": start, "host": "oak", "budget": 4000} for start in ((0.1, 0.0), (0.1, 0.0), (0.1, 0.9))]
    assert [known["rank"] for known in team._resting(told, None, unknown, lambda args: 1000, 1000)] == [2]
    assert team._resting(told, None, unknown, lambda args: 1001, 1000) == []
    assert team._resting(told, SimpleNamespace(tables=["nowhere.csv"]), unknown, team_bytes, 1000) == []


@pytest.mark.parametrize(("size", "sits_out"), [(1000, True), (2000, True), (2001, False)])
def test_ranks_that_hold_parts_only_need_less(size, sits_out):
    """Of four alike ranks and a slow one, each of the four is to have room for half of four times the input."""
    told = [{"start": (0.1, 0.9 * (rank == 4)), "host": "oak", "budget": 4000} for rank in range(5)]
    found = team._resting(told, None, unknown, lambda args: size, 1000, divided=train.DIVIDED)
    assert [known["rank"] for known in found] == [4] * sits_out
    assert (team._resting(told, None, unknown, lambda args: size, 1000) != []) == (size == 1000)


def test_who_may_sit_out_of_training(tmp_path, monkeypatch):
    """Nobody on one host, whose ranks wait for no link, nor where a flag counts the ranks; a graph has the size of its
    files."""
    monkeypatch.delenv(team.RESTING, raising=False)
    world = SimpleNamespace(size=4, nodes=1)
    assert team.assemble(world, None, unknown, None, train.ALIKE_BYTES, train.ROOM, train.HOSTS) is world
    (tmp_path / "edges.csv").write_text("a,b\n1,2\n")
    (tmp_path / "target.csv").write_text("id,y\n1,x\n")
    args = dict.fromkeys(("data", "nodes", "edges", "partition", "run")) | {"graph": str(tmp_path), "shares": "auto"}
    assert train.input_bytes(SimpleNamespace(**args)) == 8 + 9
    assert train.input_bytes(SimpleNamespace(**args | {"graph": str(tmp_path / "edges.csv")})) == 8
    assert train.input_bytes(SimpleNamespace(**args | {"shares": [1.0, 2.0]})) == 0
    assert train.input_bytes(SimpleNamespace(**args | {"partition": "owners.txt"})) == 0


@pytest.mark.parametrize(("last", "known", "ranks"), [
    ((0.1, 0.06), 1.0, []),  # it started a little slower
    ((0.1, 0.2), 1.0, [2]),  # much slower: it is slower now
    ((0.1, 0.1), 0.3, [2]),  # faster than its host usually is
])  # fmt: skip
def test_what_the_doctor_found_counts(last, known, ranks):
    """A start is short: it tells of a host that has been measured only where it took twice as long or half."""
    told = [{"start": start, "host": host, "budget": 4000} for host, start in
            zip(("oak", "elm", "ash"), ((0.1, 0.0), (0.1, 0.0), last))]
    found = team._resting(told, None, lambda args, hosts: [1.0, 1.0, known], lambda args: 1000, 1000)
    assert [rest["rank"] for rest in found] == ranks


def unknown(args, hosts):
    """What is known of hosts that no doctor has seen."""
    return None


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
