"""The memory budget holds under a real limit, and the plan printed before the work tells what it will take."""

import csv
import re

import pytest
from limits import memory_limit

BUDGET = 300_000_000


@pytest.fixture(scope="module")
def large_demo(tmp_path_factory, mpirun):
    """Demo data of 200,000 rows, about 45 MB."""
    folder = tmp_path_factory.mktemp("large")
    assert mpirun(0, "mpiedge-demo", "--rows", "200000", "--out", folder).returncode == 0
    return folder


def test_cleaning_200_000_rows_in_300_megabytes(large_demo, tmp_path, mpirun):
    """Two ranks, each in a control group of 300 MB, finish; the plan is within 25 % of the peak measured then."""
    with memory_limit(BUDGET, 2) as limited:
        done = mpirun(2, *limited, "mpiedge-clean", large_demo / "papers.csv", "--run", tmp_path / "run",
                      "--memory", "300MB", timeout_s=600)
    assert done.returncode == 0, done.stderr
    with open(tmp_path / "run/timings.csv", newline="") as file:
        peak_mb = max(float(row["peak_rss_mb"]) for row in csv.DictReader(file) if row["peak_rss_mb"])
    planned_mb = float(re.search(r"memory +(\d+) MB of 300 MB", done.stdout)[1])
    assert peak_mb <= 300
    assert 0.75 <= planned_mb / peak_mb <= 1.25, f"planned {planned_mb} MB, measured {peak_mb} MB"


@pytest.mark.parametrize("program, table", [("mpiedge-clean", "papers.csv"), ("mpiedge-profile", "cites.csv")])
def test_what_does_not_fit_is_refused_before_the_work(large_demo, tmp_path, mpirun, program, table):
    """With 50 MB the plan does not fit: exit code 4 and one line that says how much is needed."""
    done = mpirun(2, program, large_demo / table, "--run", tmp_path / "run", "--memory", "50MB")
    assert done.returncode == 4
    assert re.fullmatch(rf"{program}: memory: the work would need \d+ MB of 50 MB per rank .*", done.stderr.strip())
    assert not (tmp_path / "run/clean/manifest.json").exists()
