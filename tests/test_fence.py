"""The fence around a run folder: a job that was given up changes nothing, at whatever instruction its ranks wake."""

import importlib
import signal
import subprocess
import sys

import pytest

from mpiedge.errors import Stopped
from mpiedge.store import fence
from mpiedge.store.parts import GrowingFile, write_atomic


@pytest.fixture
def run(tmp_path):
    """A run folder with a file `good` and a folder `clean`, in which this process is a rank of the job `old`."""
    (tmp_path / "clean").mkdir()
    (tmp_path / "clean/part").write_text("new")
    (tmp_path / "good").write_text("new")
    fence.admit(tmp_path, "old")
    fence.enter(tmp_path, "old")
    yield tmp_path
    fence.enter(tmp_path, None)


def take_over(run) -> None:
    """What the supervisor does before it launches another job."""
    fence.expel(run)
    fence.admit(run, "new")


def test_the_job_at_work_writes_and_removes(run):
    """Nothing of it stays in the folder of the job; what is not there is removed in silence."""
    write_atomic(run / "good", b"newer")
    growing = GrowingFile(run / "deep/grown")
    growing.add(b"a")
    growing.finish()
    for _ in range(2):
        fence.discard(run / "clean")
        fence.discard(run / "deep/grown")
    assert (run / "good").read_text() == "newer"
    assert sorted(path.name for path in run.iterdir()) == [".jobs", "deep", "good"]
    assert not list((run / ".jobs/old").iterdir())


def test_ranks_of_different_hosts_are_not_in_each_others_way(run, monkeypatch):
    """Two ranks with one process number write files of one name in different folders at the same time."""
    monkeypatch.setenv("OMPI_COMM_WORLD_RANK", "0")
    one = fence.temporary_for(run / "papers/000000")
    monkeypatch.setenv("OMPI_COMM_WORLD_RANK", "1")
    assert fence.temporary_for(run / "cites/000000") != one


@pytest.mark.parametrize(("step", "act"), [
    ("builtins.open", lambda run: write_atomic(run / "good", b"old")),
    ("os.replace", lambda run: write_atomic(run / "good", b"old")),
    ("os.rename", lambda run: fence.discard(run / "clean")),
    ("os.rename", lambda run: fence.discard(run / "good")),
])
def test_a_rank_wakes_before_any_step(run, monkeypatch, step, act):
    """The job is given up just before a file is made, moved to its place, or moved away: all stays as it was."""
    module, name = (importlib.import_module(step.partition(".")[0]), step.partition(".")[2])
    real = getattr(module, name)

    def late(*arguments, **named):
        monkeypatch.undo()
        take_over(run)
        return real(*arguments, **named)

    monkeypatch.setattr(module, name, late)
    with pytest.raises(Stopped, match="another job has taken over"):
        act(run)
    assert (run / "good").read_text() == "new" and (run / "clean/part").read_text() == "new"


WRITER = """
import itertools, pathlib, sys
from mpiedge.errors import Stopped
from mpiedge.store import fence
from mpiedge.store.parts import write_atomic
run = pathlib.Path(sys.argv[1])
fence.enter(run, "old")
try:
    for number in itertools.count():
        write_atomic(run / "good", b"old %d" % number, durable=False)
        number or print(flush=True)
except Stopped:
    sys.exit(75)
"""


def test_a_process_that_was_stopped_anywhere(run):
    """A process that writes without end is stopped somewhere, and given up; when it wakes it changes nothing and ends.
    """
    for _ in range(5):
        process = subprocess.Popen([sys.executable, "-c", WRITER, run], stdout=subprocess.PIPE)
        process.stdout.readline()
        process.send_signal(signal.SIGSTOP)
        take_over(run)
        (run / "good").write_text("new")
        process.send_signal(signal.SIGCONT)
        assert process.wait(20) == 75
        assert (run / "good").read_text() == "new"
        fence.expel(run)
        fence.admit(run, "old")
