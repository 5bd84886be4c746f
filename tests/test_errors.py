"""An error on any rank ends the whole job soon, with one line and the documented exit code."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from launching import launch_environment

from mpiedge import cli

FAILING = str(Path(__file__).parent / "programs/failing.py")
SOON_S = 5.0


@pytest.mark.parametrize(("what", "rank", "code", "line"), [
    ("input", 1, 3, "failing: papers.csv: line 7 has 3 cells instead of 4. Run mpiedge-clean (rank 1 on"),
    ("input", 0, 3, "failing: papers.csv: line 7 has 3 cells instead of 4. Run mpiedge-clean (rank 0 on"),
    ("input", -1, 3, "failing: papers.csv: line 7 has 3 cells instead of 4. Run mpiedge-clean (rank 0 on"),
    ("memory", 2, 4, "failing: out of memory."),
    ("defect", 2, 1, "failing: internal error: ValueError: a defect (failing.py:"),
    ("queue", 1, 1, "failing: internal error: ValueError: a defect"),
    ("root", -2, 4, "failing: plan: too much. Use less"),
    ("root-defect", 0, 1, "failing: internal error: ValueError: a defect (failing.py:"),
    ("served", 0, 1, "failing: internal error: ValueError: a defect (failing.py:"),
    ("import", 1, 3, "failing: import of psutil halted; None in sys.modules. Install mpiedge"),
])
def test_one_failing_rank_ends_the_job(mpirun, what, rank, code, line):
    """Three ranks, one (or all) failing: mpirun returns the error's code soon and stderr is that one line."""
    done, wall_s = timed(mpirun, what, rank)
    assert done.returncode == code
    assert done.stderr.strip().startswith(line)
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    if wall_s > SOON_S:  # a busy host? there a job without a failure is slow too
        harmless, usual_s = timed(mpirun, "nothing", -2)
        assert harmless.returncode == 0
        assert wall_s < SOON_S + 2 * usual_s


def timed(mpirun, what: str, rank: int):
    """Three ranks of the failing program, and the seconds they took."""
    start = time.monotonic()
    done = mpirun(3, sys.executable, FAILING, what, "--", str(rank))
    return done, time.monotonic() - start


def test_wrong_usage_is_said_once(mpirun):
    """Three ranks parse the same wrong line: one usage message, exit code 2."""
    done = mpirun(3, sys.executable, FAILING, "--no-such-flag", "x", "1")
    assert done.returncode == 2
    assert done.stderr.count("unrecognized arguments") == 1


def test_an_exit_code_of_ones_own(mpirun):
    """sys.exit inside a rank ends the others too, with its code and without a word."""
    done = mpirun(2, sys.executable, FAILING, "exit", "1")
    assert (done.returncode, done.stderr.strip()) == (3, "")


@pytest.mark.parametrize(("flag", "value"), [
    ("--memory", "0"), ("--memory", "-1"), ("--memory", "1e9G"), ("--memory", "abc"), ("--threads", "0"),
    ("--seed", "-1"), ("--seed", str(2**63)), ("--progress", "nan"), ("--progress", "-1"),
])
def test_nonsense_in_a_common_flag_is_wrong_usage(capsys, flag, value):
    """Values that mean nothing are refused with exit code 2 and the flag's name before MPI starts."""
    page = cli.parser("program", "Does nothing.", examples="program")
    with pytest.raises(SystemExit) as end:
        cli.main(page, lambda args, world: pytest.fail("it ran"), [flag, value])
    assert end.value.code == 2
    assert flag in capsys.readouterr().err.splitlines()[-1]


def test_work_goes_on_when_nobody_reads(tmp_path):
    """With its output cut off (`| head -1`), a program still finishes its work, with exit code 0 and no complaint."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "mpiedge.commands.demo", "--rows", "50", "--out", str(tmp_path / "demo")]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, env=launch_environment(), text=True)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "demo/papers.csv").exists()


def test_closed_streams_are_as_good_as_unread_ones(tmp_path):
    """Started with stdin, stdout and stderr closed, a program works, and nothing it prints lands in its files."""
    call = [sys.executable, "-m", "mpiedge.commands.demo", "--rows", "50", "--out", str(tmp_path / "demo")]
    done = subprocess.run(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *call], env=launch_environment())
    assert done.returncode == 0
    assert all("mpiedge" not in path.read_text() for path in (tmp_path / "demo").glob("*.csv"))


def test_clean_and_profile_load_no_heavy_packages(tmp_path):
    """torch and pandas, directly or through another package, are never loaded by clean and profile."""
    (tmp_path / "t.csv").write_text("id,city,zip\n" + "".join(f"{row},Town {row % 7},{row % 7}\n" for row in range(60)))
    code = ("import sys; from mpiedge.commands import clean, profile; run = ['--run', 'run', '-q']\n"
            "clean.main(['t.csv', *run]); profile.main(run)\n"
            "print([name for name in ('torch', 'pandas', 'sklearn', 'matplotlib') if name in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=launch_environment(), capture_output=True,
                          text=True)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "[]", "")
    left = {path.name for path in (tmp_path / "run").iterdir()}
    assert left == {"run.json", "timings.csv", "store.h5", "clean", "profile"}


def test_a_host_without_an_mpi_library(mpirun):
    """An MPI library that cannot be loaded is bad environment (exit 3) with its remedy, not an internal error."""
    done = mpirun(0, "mpiedge-profile", "x.csv", env={"MPI4PY_LIBMPI": "/no/such/libmpi.so"})
    assert done.returncode == 3
    assert done.stderr.startswith("mpiedge-profile: cannot load MPI library")
    assert "internal" not in done.stderr and len(done.stderr.strip().splitlines()) == 1
