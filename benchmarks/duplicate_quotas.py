"""The search for duplicates on four ranks with 4 : 2 : 1 : 1 of the processor time, against the sum of their speeds.

    python benchmarks/duplicate_quotas.py [--rows N] [--repeats K]

As `quotas.py` does it for discovery: the speed of a rank is what it reaches alone on the whole table under its quota
while the others do the same. Beside it the static split, where nothing is stolen. Times are those of the search: the
start of the program, reading and writing are left out (Linux, as root).
"""

import argparse
import csv
import os
import statistics
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks import measure, quotas

SEARCH = ("read records", "equal rows", "candidates", "compare", "fit", "cluster", "recall")


def main():
    """Print a line for each repeat and the medians."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rows", type=int, default=20_000, help="records of the demo table")
    options.add_argument("--repeats", type=int, default=3)
    arguments = options.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        measure.run([measure.PROGRAMS / "mpiedge-demo", "--rows", arguments.rows, "--out", scratch, "-q"])
        table = Path(scratch) / "papers.csv"
        ratios = {"stealing": [], "static": []}
        for _ in range(arguments.repeats):
            ideal_s = 1 / sum(1 / wall_s for wall_s in alone(table))
            line = [f"ideal {ideal_s:.1f} s"]
            for name, found in ratios.items():
                with quotas.groups(quotas.SHARES) as before:
                    wall_s, by_phase = search(table, len(quotas.SHARES), before(), name == "static")
                found.append(ideal_s / wall_s)
                line.append(f"{name} {wall_s:.1f} s, {ideal_s / wall_s:.2f} of ideal ("
                            + ", ".join(f"{phase} {by_phase[phase]:.1f}" for phase in SEARCH) + ")")
            print("; ".join(line), flush=True)
        print("medians: " + ", ".join(f"{name} {statistics.median(found):.2f} of ideal"
                                      for name, found in ratios.items()))


def alone(table: Path) -> list[float]:
    """Wall seconds of the search on one rank under each share, all at the same time; who is done begins again."""
    found: list[list[float]] = [[] for _ in quotas.SHARES]

    def run(rank: int, before: tuple):
        while not all(found):
            found[rank].append(search(table, 1, before)[0])

    with quotas.groups(quotas.SHARES) as before:
        threads = [threading.Thread(target=run, args=(rank, before(rank))) for rank in range(len(quotas.SHARES))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return [statistics.median(walls) for walls in found]


def search(table: Path, ranks: int, before: tuple, static: bool = False) -> tuple[float, Counter]:
    """Wall seconds of the search on the rank that took longest, and those of its phases."""
    with tempfile.TemporaryDirectory() as run:
        setting = ("env", f"MPIEDGE_STEAL={int(not static)}")
        launch = ["mpirun", "--bind-to", "none", "--oversubscribe", "-n", ranks] if ranks > 1 else []
        done = measure.run([*launch, *before, *setting, "mpiedge-clean", table, "--run", run, "-q",
                            "--keep-duplicates", "--steps", "structure,types,duplicates"], 3600)
        if done is None:
            sys.exit(1)
        by_rank: dict[str, Counter] = {}
        with open(os.path.join(run, "timings.csv"), newline="") as file:
            for row in csv.DictReader(file):
                if row["phase"] in SEARCH:
                    by_rank.setdefault(row["rank"], Counter())[row["phase"]] += float(row["wall_s"] or 0)
    longest = max(by_rank.values(), key=lambda phases: phases.total())
    return longest.total(), longest


if __name__ == "__main__":
    main()
