"""An excerpt of the storm of faults on an emulated cluster; by hand: python benchmarks/chaos.py --storm 1200."""

import sys

import pytest
from conftest import run_group
from launching import PROJECT, launch_environment

from mpiedge.errors import EnvironmentProblem
from mpiedge.supervise import cluster


def test_chains_go_on_in_a_storm():
    """A fault every 8 s on four emulated hosts: all chains of clean, profile and train end as undisturbed ones do.

    Hosts are killed, cut off, frozen or slowed, ranks killed, as a seed draws them; how fast it goes is not judged.
    """
    try:
        cluster.check_box()
    except EnvironmentProblem as error:
        pytest.skip(str(error))
    words = [sys.executable, str(PROJECT / "benchmarks" / "chaos.py"), "--rows", "300", "--storm", "80", "--every", "8"]
    done = run_group(words, timeout_s=600, env=launch_environment())
    if done.returncode == EnvironmentProblem.exit_code:
        pytest.skip(f"no emulated cluster here: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0 and ", 0 wrong," in done.stdout, done.stdout + done.stderr
