"""The memory budget holds under a real limit, and the plan printed before the work tells what it will take."""

import csv
import json
import random
import re
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from limits import memory_limit

ROWS, BUDGET_MB = "200000", 300


def peak_mb(run: Path) -> float:
    """The largest peak memory of any rank in a run."""
    with open(run / "timings.csv", newline="") as file:
        return max(float(row["peak_rss_mb"]) for row in csv.DictReader(file) if row["peak_rss_mb"])


@pytest.fixture(scope="module")
def large_demo(tmp_path_factory, mpirun):
    """Demo data of 200,000 rows, about 50 MB."""
    folder = tmp_path_factory.mktemp("large")
    assert mpirun(0, "mpiedge-demo", "--rows", ROWS, "--out", folder).returncode == 0
    return folder


def test_cleaning_200_000_rows_in_300_megabytes(large_demo, tmp_path, mpirun):
    """Two ranks, each in a control group of 300 MB, finish; the plan is within 25 % of the peak measured then."""
    with memory_limit(BUDGET_MB * 1_000_000, 2) as limited:
        done = mpirun(2, *limited, "mpiedge-clean", large_demo / "papers.csv", "--run", tmp_path / "run",
                      "--memory", f"{BUDGET_MB}MB", timeout_s=600)
    assert done.returncode == 0, done.stderr
    planned_mb = float(re.search(rf"memory +(\d+) MB of {BUDGET_MB} MB", done.stdout)[1])
    # The group is the limit. The peak may lie a little above it: pages of shared libraries count in every rank's own
    # figure, but are charged to whichever group touched them first.
    measured_mb = peak_mb(tmp_path / "run")
    assert 0.75 <= planned_mb / measured_mb <= 1.25, f"planned {planned_mb} MB, measured {measured_mb} MB"


@pytest.mark.parametrize("program, table", [("mpiedge-clean", "papers.csv"), ("mpiedge-profile", "cites.csv")])
def test_what_does_not_fit_is_refused_before_the_work(large_demo, tmp_path, mpirun, program, table):
    """With 50 MB the plan does not fit: exit code 4 and one line that says how much is needed."""
    done = mpirun(2, program, large_demo / table, "--run", tmp_path / "run", "--memory", "50MB")
    assert done.returncode == 4
    assert re.fullmatch(rf"{program}: memory: the work would need \d+ MB of 50 MB per rank .*", done.stderr.strip())
    assert not (tmp_path / "run/clean/manifest.json").exists()


def test_what_only_a_look_tells_is_planned_too(tmp_path, mpirun):
    """Columns of nothing but different values: refused after the first look, with the need that is enough: with it two
    ranks finish in control groups of that size."""
    dice = random.Random(4)
    rows = [f"{dice.getrandbits(40):010x},w{dice.getrandbits(36):09x},{dice.getrandbits(32):08x}\n"
            for _ in range(100_000)]
    (tmp_path / "codes.csv").write_text("code,word,place\n" + "".join(rows))
    command = ("mpiedge-clean", tmp_path / "codes.csv", "--run", tmp_path / "run", "--steps",
               "structure,types,formats,rules,typos", "--memory")
    refused = mpirun(2, *command, "130MB")
    assert refused.returncode == 4 and "judged by the size of the input" in refused.stdout
    needed_mb = int(re.search(r"the work would need (\d+) MB of 130 MB per rank", refused.stderr)[1])
    budget_mb = needed_mb * 103 // 100   # the programs themselves take a little more or less each time
    with memory_limit(budget_mb * 1_000_000, 2) as limited:
        done = mpirun(2, *limited, *command, f"{budget_mb}MB")
    assert done.returncode == 0, done.stderr
    assert peak_mb(tmp_path / "run") <= budget_mb


def test_profiling_below_a_real_limit_gives_the_same(tmp_path, mpirun):
    """Two ranks in control groups of 120 MB spill strings and values and find what one rank finds in plenty."""
    table = tmp_path / "lines.csv"
    generator = Path(__file__).parent.parent / "benchmarks/tables.py"
    assert mpirun(0, sys.executable, generator, "lineitem", "--rows", "160000", table).returncode == 0
    for ranks, memory in ((0, "2GB"), (2, "120MB")):
        with memory_limit(120_000_000, 2) if ranks else nullcontext([]) as limited:
            done = mpirun(ranks, *limited, "mpiedge-profile", table, "--run", tmp_path / memory, "--memory", memory,
                          "-v")
        assert done.returncode == 0, done.stderr
        assert ("scratch" in done.stdout) == (ranks > 0)
    for name in ("fds.jsonl", "uccs.jsonl", "inds.jsonl", "columns.json"):
        plenty, little = (tmp_path / memory / "profile" / name for memory in ("2GB", "120MB"))
        assert plenty.read_bytes() == little.read_bytes()


def test_a_wall_of_dependencies_below_a_real_limit(tmp_path, mpirun):
    """More than 250,000 dependencies of a small table, in lists that memory has no room for: two ranks in control
    groups of 80 MB write the same files as one rank with plenty, and the files of the lists leave nothing behind."""
    table = tmp_path / "wide.csv"
    cells = np.random.default_rng(0).integers(0, 4, (150, 21))
    lines = [[f"c{column}" for column in range(21)], *cells.tolist()]
    table.write_text("".join(",".join(map(str, line)) + "\n" for line in lines))
    for ranks, memory in ((0, "2GB"), (2, "76MB")):
        with memory_limit(80_000_000, 2) if ranks else nullcontext([]) as limited:
            done = mpirun(ranks, *limited, "mpiedge-profile", table, "--fd", "--ucc", "--run", tmp_path / memory,
                          "--memory", memory, "--scratch", tmp_path / "scratch")
        assert done.returncode == 0, done.stderr
    plenty, little = (tmp_path / memory / "profile" for memory in ("2GB", "76MB"))
    for name in ("fds.jsonl", "uccs.jsonl", "ranked.csv", "summary.json"):
        assert (plenty / name).read_bytes() == (little / name).read_bytes()
    assert (plenty / "fds.jsonl").read_bytes().count(b"\n") > 250_000
    assert not [path for path in (tmp_path / "scratch").rglob("*") if path.is_file()]


def test_statistics_that_do_not_fit_are_estimated(tmp_path, mpirun):
    """In 100 MB columns of 60,000 different values are described by sketches: the same bytes at 1 and 3 ranks, and
    within the stated error of the exact ones, which are written where there is room."""
    table = tmp_path / "keys.csv"
    draw = np.random.default_rng(1)
    with open(table, "w") as file:
        file.write("key,price,kind\n")
        file.writelines(f"key {number * 7919 % 1000003},{price:.3f},{number % 7}\n"
                        for number, price in enumerate(draw.exponential(100, 60000)))
    columns = []
    for ranks, memory in ((0, "2GB"), (0, "100MB"), (3, "100MB")):
        run = tmp_path / f"run{ranks}{memory}"
        done = mpirun(ranks, "mpiedge-profile", table, "--stats", "--run", run, "--memory", memory)
        assert done.returncode == 0, done.stderr
        assert ("keys.key, keys.price" in done.stdout) == (memory == "100MB")
        columns.append((run / "profile/columns.json").read_bytes())
    assert columns[1] == columns[2]
    exact, estimated = (json.loads(text)["keys"] for text in columns[:2])
    assert estimated[2] == exact[2] and exact[0]["error"] == 0
    for one, other in zip(estimated[:2], exact):
        assert one["distinct"] == pytest.approx(other["distinct"], rel=4 * one["error"])
        assert (one["length"], one.get("mean")) == (other["length"], other.get("mean"))


def test_a_program_that_has_no_room_for_torch_is_refused(tmp_path, mpirun):
    """In a control group of 100 MB the import of torch would be the end of the program: exit code 4 in one line."""
    (tmp_path / "n.csv").write_text("id,kind,label\na,x,1\nb,y,2\nc,x,1\nd,y,2\n")
    with memory_limit(100_000_000, 1) as limited:
        done = mpirun(0, *limited, "mpiedge-train", "--nodes", tmp_path / "n.csv", "--model", "mlp", "--run",
                      tmp_path / "run")
    assert done.returncode == 4
    assert re.fullmatch(r"mpiedge-train: memory: torch alone takes 118 MB, and a rank has \d+ MB left\. .*",
                        done.stderr.strip())
