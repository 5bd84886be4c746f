"""What an unfinished stage leaves for its next attempt: what counts of it, and what does not."""

import argparse
import os

import numpy as np
import pytest

from mpiedge.errors import PoisonTask
from mpiedge.runtime.mail import Mail
from mpiedge.runtime.once import once
from mpiedge.runtime.queue import Queue
from mpiedge.store.access import Access
from mpiedge.store.ledger import Ledger

TASKS = [(number,) for number in range(6)]


class Attempt:
    """A queue with a ledger; `computed` lists the tasks that were computed here."""

    def __init__(self, world, run, inputs=(), **flags):
        mail = Mail(world)
        self.access, self.queue, self.computed = Access(world, mail, run), Queue(world, mail), []
        args = argparse.Namespace(**{"seed": 0, "memory": None, **flags})
        self.queue.ledger = Ledger(world, self.access, "clean", args, [str(path) for path in inputs])

    def work(self, task):
        """Writes a piece and returns a message."""
        self.computed.append(task)
        self.access.write_piece("out.csv", task[0], b"row %d\n" % task[0])
        return {"square": np.array([task[0] ** 2])}

    def run(self, tasks=TASKS, work=None):
        """The results, in order of the tasks."""
        done = self.queue.gather(self.queue.run(tasks, work or self.work, kept="squares"))
        return [int(message["square"][0]) for _, message in done]


def test_finished_tasks_are_not_computed_again(world, tmp_path):
    """The next attempt has all results and computes the rest; other memory changes nothing, a second run with the same
    key is another call."""
    Attempt(world, tmp_path).run(TASKS[:4])
    later = Attempt(world, tmp_path, memory="1G")
    assert later.run() == [0, 1, 4, 9, 16, 25] and later.computed == TASKS[4:]
    assert later.run() == [0, 1, 4, 9, 16, 25] and later.computed == TASKS[4:] + TASKS


def test_what_all_compute_together_is_kept_too(world, tmp_path):
    """The next attempt has it, another call of the name is computed by itself, and without a ledger all are."""
    def fit(value):
        return lambda: calls.append(value) or {"weights": np.array([value, 2.5]), "cut": 0.1}

    calls: list[float] = []
    for _ in range(2):
        queue = Attempt(world, tmp_path).queue
        for value in (1.5, 1 / 3):
            found = once(queue, "fit", fit(value))
            assert found["weights"].tolist() == [value, 2.5] and found["cut"] == 0.1
    assert calls == [1.5, 1 / 3]
    queue.ledger = None
    once(queue, "fit", fit(7.0))
    assert calls == [1.5, 1 / 3, 7.0]


def test_other_inputs_or_flags_begin_anew(world, tmp_path):
    """After a change of the input, even within its size and time, or of a flag that shapes the result nothing counts,
    and what the attempt had written into the folder of the stage is gone."""
    file = tmp_path / "in.csv"
    file.write_text("a\n1\n")
    about = os.stat(file)
    run = tmp_path / "run"
    run.mkdir()
    for change in ({}, {"seed": 1}, {"seed": 1, "inputs": "altered"}):
        if change.pop("inputs", None):
            file.write_text("a\n2\n")
            os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns))
        attempt = Attempt(world, run, [file], **change)
        attempt.run()
        assert attempt.computed == TASKS and not (run / "clean").exists()
        (run / "clean").mkdir()
        assert len(list((run / ".unfinished").iterdir())) == 2


@pytest.mark.parametrize("damage", ["cut", "altered", "piece altered", "piece lost", "index"])
def test_what_is_damaged_is_computed_again(world, tmp_path, damage):
    """A record that is cut or altered, or whose file is gone or altered, does not count; the others do."""
    attempt = Attempt(world, tmp_path)
    attempt.run()
    piece = tmp_path / attempt.access.unfinished / "out.csv/000005"
    records = next((tmp_path / attempt.access.unfinished).glob("*.records"))
    if damage == "cut":
        records.write_bytes(records.read_bytes()[:-1])
    elif damage == "altered":
        records.write_bytes(records.read_bytes()[:-1] + b"\xff")
    elif damage == "piece altered":
        piece.write_bytes(b"row 6\n")
    elif damage == "piece lost":
        piece.unlink()
    else:
        (tmp_path / ".unfinished/index.json").write_text("{")
    later = Attempt(world, tmp_path)
    assert later.run() == [0, 1, 4, 9, 16, 25]
    assert later.computed == (TASKS if damage == "index" else TASKS[5:])
    assert piece.read_bytes() == b"row 5\n"


def test_nothing_of_a_fenced_attempt_counts(world, tmp_path):
    """A rank that wakes after the next attempt has begun may write on: no later attempt believes its records, old file
    or new."""
    fenced = Attempt(world, tmp_path)
    fenced.run(TASKS[:2])
    Attempt(world, tmp_path).run(TASKS[2:3])
    fenced.queue.ledger._calls.clear()
    fenced.run(TASKS[3:5], lambda task: {"square": np.array([-1])})
    fenced.queue.ledger._calls.clear()
    fenced.queue.ledger._own = fenced.queue.ledger._own.replace("-0.records", "-1.records")
    fenced.run(TASKS[5:], lambda task: {"square": np.array([-1])})
    last = Attempt(world, tmp_path)
    assert last.run() == [0, 1, 4, 9, 16, 25] and last.computed == TASKS[3:]


def test_a_poison_task_is_set_aside(world, tmp_path, monkeypatch):
    """A task in which the rank dies is tried once more after all others, and set aside after three times: all others
    are done then, and the error names it. Another attempt tries it anew."""
    class Crash(BaseException):
        pass

    def dying(attempt):
        def work(task):
            if task == (2,):
                raise Crash
            return attempt.work(task)
        return work

    monkeypatch.setattr(Ledger, "release", lambda *_: None)  # a process that dies says nothing
    done = []
    for _ in range(3):
        attempt = Attempt(world, tmp_path)
        with pytest.raises(Crash):
            attempt.run(work=dying(attempt))
        done.append(attempt.computed)
    assert done == [TASKS[:2], TASKS[3:], []]
    for error in (PoisonTask, Crash):
        attempt = Attempt(world, tmp_path)
        with pytest.raises(error) as caught:
            attempt.run(work=dying(attempt))
        assert error is Crash or "tasks, task 2: its rank died in it 3 times" in str(caught.value)
    last = Attempt(world, tmp_path)
    assert last.run() == [0, 1, 4, 9, 16, 25] and last.computed == [(2,)]


def test_an_error_that_is_told_is_no_crash(world, tmp_path):
    """A task that ends with an exception is not set aside, however often."""
    for _ in range(4):
        attempt = Attempt(world, tmp_path)
        with pytest.raises(ZeroDivisionError):
            attempt.run(work=lambda task: 1 // 0)
    assert attempt.run() == [0, 1, 4, 9, 16, 25]
