"""mpiedge-run on this host: ranks and the supervisor are killed, and the result is that of an undisturbed run."""

import csv
import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from graphs import npz_bytes, random_graph
from launching import launch_environment

from mpiedge.supervise import launch

ROWS = "600"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, mpirun):
    """Demo tables, and the checksums of the files of an undisturbed clean."""
    folder = tmp_path_factory.mktemp("undisturbed")
    assert mpirun(0, "mpiedge-demo", "--rows", ROWS, "--out", folder / "demo").returncode == 0
    tables = [str(folder / "demo/papers.csv"), str(folder / "demo/cites.csv")]
    assert mpirun(0, "mpiedge-clean", *tables, "--run", folder / "run").returncode == 0
    return tables, checksums(folder / "run")


def checksums(run: Path) -> dict:
    """Checksum of each file of clean."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (run / "clean").iterdir()}


def supervise(run: Path, *chain: str, ranks: int = 2) -> subprocess.Popen:
    """Starts mpiedge-run with some ranks on this host."""
    command = [sys.executable, "-m", "mpiedge.commands.run", "-n", str(ranks), "--timeout", "2", "--run", str(run),
               *chain]
    return subprocess.Popen(command, env=launch_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True, start_new_session=True)


def ranks_of(run: Path, wanted: int) -> list[psutil.Process]:
    """The processes of the ranks at work in a run folder, once `wanted` are there."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        found = []
        for process in psutil.process_iter(["cmdline"]):
            words = process.info["cmdline"] or []
            if words[-2:] == ["--run", str(run)] and Path(words[0]).name.startswith("python"):
                found.append(process)
        if len(found) >= wanted:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{len(found)} ranks instead of {wanted}")


def test_a_rank_that_stops(undisturbed, tmp_path):
    """The stage is launched again with one rank less and goes on from the finished tasks, with the files of an
    undisturbed run; nothing stays behind."""
    tables, expected = undisturbed
    run = tmp_path / "run"
    process = supervise(run, "clean", *tables)
    ranks = ranks_of(run, 2)
    while not list(run.glob(".unfinished/*/*.records")):  # some task is finished
        time.sleep(0.01)
    ranks[1].send_signal(signal.SIGSTOP)
    out, err = process.communicate(timeout=90)
    assert process.returncode == 0, err
    assert "attempt 2: 1 ranks on localhost" in out and "resume" in out
    assert checksums(run) == expected
    with open(run / "decisions.csv", newline="") as file:
        assert "launching again with 1 of its 2 ranks" in [row["did"] for row in csv.DictReader(file)]
    assert ranks_of(run, 0) == [] and not (run / ".jobs").exists()


@pytest.mark.skipif(not launch.find_launcher().outlives, reason="mpirun ends a job that loses a rank")
def test_ranks_that_are_killed(undisturbed, tmp_path):
    """Two of three ranks, one after the other: the others go on where they are, without being launched again."""
    tables, expected = undisturbed
    run = tmp_path / "run"
    process = supervise(run, "clean", *tables, ranks=3)
    for left, attempt in ((3, "*"), (2, "*.1")):
        while not list(run.glob(f".unfinished/*/{attempt}-*.records")):  # some task is begun
            time.sleep(0.01)
        ranks_of(run, left)[0].kill()
    out, err = process.communicate(timeout=90)
    assert process.returncode == 0, err
    assert "attempt 2" not in out and out.count("resume") == 2 and "2 faults survived" in out
    assert checksums(run) == expected
    with open(run / "decisions.csv", newline="") as file:
        assert [row["did"] for row in csv.DictReader(file)].count("the others go on without it") == 2


@pytest.mark.skipif(not launch.find_launcher().outlives, reason="mpirun ends a job that loses a rank")
def test_ranks_that_are_killed_while_they_train(tmp_path, mpirun):
    """Rank 0, then one of the two others: those that are left go on from memory, without being launched again and
    without a checkpoint on disk, and the curve is that of one rank that nothing disturbs."""
    (tmp_path / "graph.npz").write_bytes(npz_bytes(random_graph(5, nodes=2000, edges=6000)))
    words = ["--graph", str(tmp_path / "graph.npz"), "--split", "60/20/20", "--epochs", "500", "--patience", "500",
             "--dtype", "float64"]
    assert mpirun(0, "mpiedge-train", *words, "--run", tmp_path / "alone").returncode == 0
    run = tmp_path / "run"
    process = supervise(run, "train", *words, ranks=3)
    out, left = "", 3
    for line in process.stdout:
        out += line
        if line.startswith("epoch") and left > 1:
            ranks = sorted(ranks_of(run, left), key=lambda rank: rank.pid)
            ranks[0 if left == 3 else 1].kill()
            left -= 1
    err = process.communicate(timeout=90)[1]
    assert process.returncode == 0, err
    assert "attempt 2" not in out and out.count("(from memory)") == out.count("recover rank") == 2
    with open(run / "decisions.csv", newline="") as file:
        told = [row for row in csv.DictReader(file) if row["brought"].startswith("training stood still for")]
    assert len(told) == 2 and told[0]["rank"] == "0"
    curves = [np.genfromtxt(folder / "metrics.csv", delimiter=",", skip_header=1)[:, :5]
              for folder in (run, tmp_path / "alone")]
    np.testing.assert_allclose(*curves, rtol=0, atol=1.1e-6)  # of six digits


def test_the_supervisor_is_killed(undisturbed, tmp_path):
    """The same line again ends what is left and goes on; once more it finds all complete. Ctrl-C leaves nothing."""
    tables, expected = undisturbed
    run = tmp_path / "run"
    process = supervise(run, "clean", *tables)
    ranks_of(run, 2)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    again = supervise(run, "clean", *tables)
    time.sleep(0.5)
    ranks_of(run, 2)
    again.send_signal(signal.SIGINT)
    err = again.communicate(timeout=30)[1]
    assert again.returncode == 75 and err.strip().endswith("Run the same line again to go on")
    assert ranks_of(run, 0) == []
    for line in ("attempt 1: 2 ranks", "is complete"):
        done = supervise(run, "clean", *tables)
        out, err = done.communicate(timeout=90)
        assert done.returncode == 0, err
        assert line in out
    assert checksums(run) == expected


def test_mpirun_is_killed(undisturbed, tmp_path):
    """Its ranks, which cannot end themselves, are ended before the stage is launched again."""
    tables, expected = undisturbed
    run = tmp_path / "run"
    process = supervise(run, "clean", *tables)
    ranks = ranks_of(run, 2)
    for rank in ranks:
        rank.send_signal(signal.SIGSTOP)
    psutil.Process(process.pid).children()[0].kill()
    out, err = process.communicate(timeout=90)
    assert process.returncode == 0 and "attempt 2" in out, err
    assert not any(rank.is_running() for rank in ranks) and checksums(run) == expected


@pytest.mark.parametrize(("words", "code", "cause", "remedy"), [
    (["clean", "no-such.csv"], 3, "no such file", "Mend it and run the same line again"),
    (["profile", "{table}", "--time-limit", "0"], 75, "ended early", "Run the same line again to go on")])
def test_an_error_of_its_own_is_final(undisturbed, tmp_path, words, code, cause, remedy):
    """Bad input, or a limit of time, is not tried again: its exit code, its line and one of the supervisor."""
    process = supervise(tmp_path / "run", *(word.format(table=undisturbed[0][1]) for word in words))
    err = process.communicate(timeout=60)[1]
    assert process.returncode == code
    assert len(err.strip().splitlines()) == 2 and cause in err and err.strip().endswith(remedy)
