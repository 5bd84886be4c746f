"""The tests in tests/parallel pass under mpirun with two to four ranks; one rank alone runs them as any other test."""

import re
import sys
from pathlib import Path

import pytest

PARALLEL = Path(__file__).parent / "parallel"


@pytest.mark.parametrize("ranks", [2, 3, 4])
def test_parallel_tests_pass(mpirun, ranks, tmp_path):
    """All files of tests/parallel, run by so many ranks together, pass, and there were some."""
    done = mpirun(
        ranks, sys.executable, "-m", "pytest", PARALLEL, "-x", "--color=no", "-p", "no:cacheprovider", "-o",
        "faulthandler_timeout=60", f"--basetemp={tmp_path}/rank", "-rs", cwd=PARALLEL.parent.parent, timeout_s=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed and int(passed[1]) > 0, done.stdout + done.stderr
