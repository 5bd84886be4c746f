"""Time and memory of cleaning against the rows, each rank in a control group of its own (Linux, as root)."""

import csv
import shutil
from pathlib import Path

from benchmarks import limits, measure
from mpiedge.demo.score import duplicate_scores

LIMIT_MB = 300
TABLES = {
    "plain": "structure,types,formats",
    "demo": "structure,types,formats,rules,typos,impute",
    "duplicates": "structure,types,formats,duplicates",
}
"""Table and the steps taken. plain: lineitem, where no cell changes."""


def compare(scratch: Path, rows: list[int], kinds: list[str], ranks: int, limit_s: float) -> None:
    """Print a line for each table and number of rows; the growth is that of CPU seconds per row since the line before.
    Where duplicates are merged, F1 is that over pairs of records.
    """
    for kind in kinds:
        before = None
        for count in rows:
            table = _make(kind, count, scratch)
            found = _run(table, TABLES[kind], ranks, scratch / "run", limit_s)
            if found is None:
                print(f"{kind:18} {count:10,} rows: not done", flush=True)
                continue
            per_row = found["cpu_s"] / count
            growth = f"x {per_row / before:.2f} a row" if before else ""
            if "duplicates" in TABLES[kind]:
                growth += f" F1 {duplicate_scores(scratch / 'run', scratch / 'demo')['f1']:.4f}"
            before = per_row
            print(f"{kind:18} {count:10,} rows {table.stat().st_size / 1e6:8.1f} MB: {found['cpu_s']:8.1f} CPU s, "
                  f"{found['wall_s']:8.1f} s wall, {table.stat().st_size / 1e6 / found['cpu_s']:6.1f} MB per CPU s, "
                  f"peak {found['peak_mb']:.0f} MB of {LIMIT_MB} a rank   {growth}", flush=True)
            table.unlink()


def _make(kind: str, rows: int, scratch: Path) -> Path:
    if kind == "plain":
        table = scratch / "plain.csv"
        measure.run([measure.PROGRAMS / "python", measure.PROJECT / "benchmarks/tables.py", "lineitem", "--rows", rows,
                     table])
        return table
    measure.run([measure.PROGRAMS / "mpiedge-demo", "--rows", rows, "--out", scratch / "demo", "-q"], 3600)
    return scratch / "demo/papers.csv"


def _run(table: Path, steps: str, ranks: int, run: Path, limit_s: float) -> dict | None:
    shutil.rmtree(run, ignore_errors=True)
    with limits.groups(LIMIT_MB, ranks) as words:
        found = measure.run(["mpirun", "-n", ranks, *words, "mpiedge-clean", table, "--run", run, "-q",
                             "--steps", steps, "--memory", f"{LIMIT_MB}MB"], limit_s)
    if found is None:
        return None
    with open(run / "timings.csv", newline="") as file:
        peaks = [float(row["peak_rss_mb"]) for row in csv.DictReader(file) if row["peak_rss_mb"]]
    return {**found, "peak_mb": max(peaks)}
