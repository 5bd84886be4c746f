"""An error on any rank ends the whole job soon, with one line and the documented exit code."""

import sys
import time
from pathlib import Path

import pytest

FAILING = str(Path(__file__).parent / "programs/failing.py")


@pytest.mark.parametrize(("what", "rank", "code", "line"), [
    ("input", 1, 3, "failing: papers.csv: line 7 has 3 cells instead of 4. Run mpiedge-clean (rank 1 on"),
    ("input", 0, 3, "failing: papers.csv: line 7 has 3 cells instead of 4. Run mpiedge-clean (rank 0 on"),
    ("input", -1, 3, "failing: papers.csv: line 7 has 3 cells instead of 4. Run mpiedge-clean (rank 0 on"),
    ("memory", 2, 4, "failing: out of memory."),
    ("defect", 2, 1, "failing: internal error: ValueError: a defect (failing.py:"),
    ("queue", 1, 1, "failing: internal error: ValueError: a defect"),
    ("root", -2, 4, "failing: plan: too much. Use less"),
])
def test_one_failing_rank_ends_the_job(mpirun, what, rank, code, line):
    """Three ranks, one (or all) failing: mpirun returns the error's code within 5 s and stderr is that one line."""
    start = time.monotonic()
    done = mpirun(3, sys.executable, FAILING, what, "--", str(rank))
    wall_s = time.monotonic() - start
    assert done.returncode == code
    assert done.stderr.strip().startswith(line)
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert wall_s < 8, "5 s, and the start of three interpreters"


def test_wrong_usage_is_said_once(mpirun):
    """Three ranks parse the same wrong line: one usage message, exit code 2."""
    done = mpirun(3, sys.executable, FAILING, "--no-such-flag", "x", "1")
    assert done.returncode == 2
    assert done.stderr.count("unrecognized arguments") == 1


def test_an_exit_code_of_ones_own(mpirun):
    """sys.exit inside a rank ends the others too, with its code and without a word."""
    done = mpirun(2, sys.executable, FAILING, "exit", "1")
    assert (done.returncode, done.stderr.strip()) == (3, "")
