"""Clean and profile on four ranks of which one has 1/2, 1/4 and 1/10 of the processor time of the others.

As root: python benchmarks/slow_rank.py FOLDER [--repeats 3]

FOLDER, of mpiedge-demo, has papers.csv and cites.csv.

The ideal is the time of four equal ranks times their speeds added up, over those of the unequal ones.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)  # here is a queue.py, which would hide the library's

from benchmarks.quotas import groups  # noqa: E402
from mpiedge.report.figures import stage_figures  # noqa: E402
from mpiedge.report.read import read_run  # noqa: E402

SHARE, SLOWER = 0.4, (1, 2, 4, 10)
STAGES = ("clean", "profile")


def measure(tables: list[Path], shares: tuple, repeats: int) -> dict[str, float]:
    """Median seconds of each stage on ranks with these shares of a core, without the start of the programs."""
    found = {stage: [] for stage in STAGES}
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as run, groups(shares) as before:
            for words in (["mpiedge-clean", *map(str, tables)], ["mpiedge-profile"]):
                subprocess.run(["mpirun", "-n", str(len(shares)), *before(), *words, "--run", run, "-q"], check=True)
            rows = read_run(Path(run)).rows
            for stage in STAGES:
                found[stage].append(stage_figures(stage, rows[stage]).elapsed_s)
    return {stage: statistics.median(seconds) for stage, seconds in found.items()}


def main() -> None:
    page = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    page.add_argument("folder", type=Path)
    page.add_argument("--repeats", type=int, default=3)
    args = page.parse_args()
    equal = None
    for slower in SLOWER:
        shares = (SHARE, SHARE, SHARE, SHARE / slower)
        found = measure([args.folder / "papers.csv", args.folder / "cites.csv"], shares, args.repeats)
        equal = equal or found
        for stage, seconds in found.items():
            ideal = equal[stage] * 4 * SHARE / sum(shares)
            print(f"{stage:8} one rank {slower:2}x slower: {seconds:.2f} s, ideal {ideal:.2f}, "
                  f"{seconds / ideal:.2f} times it", flush=True)


if __name__ == "__main__":
    main()
