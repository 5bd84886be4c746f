"""Whole commands on small tables, start to exit: what a user waits for who has a table of some hundred rows."""

import json
import statistics
import tempfile
from pathlib import Path

from benchmarks import measure

MOST_ROWS = 5_000
MOST_FDS = 10_000
PROMISE_S = 1.5
FLAGS = {"default": (), "fd": ("--fd",)}


def compare(data: Path, repeats: int) -> list[dict]:
    """Median wall and CPU seconds of mpiedge-profile at one rank on the small tables of `data`."""
    lines = []
    for name, about in json.loads((data / "expected.json").read_text()).items():
        if about["rows"] > MOST_ROWS or about["fds"] > MOST_FDS:
            continue
        for what, flags in FLAGS.items():
            runs = [_once(data / name, about, flags) for _ in range(repeats)]
            runs = [run for run in runs if run]
            if not runs:
                continue
            line = {"table": name.split(".csv")[0], "rows": about["rows"], "columns": about["columns"], "flags": what,
                    "runs": len(runs), **{f"whole_{clock}": statistics.median(run[clock] for run in runs)
                                          for clock in ("wall_s", "cpu_s")}}  # fmt: skip
            lines.append(line)
            print(f"{line['table']:26} {what:8} {line['whole_wall_s']:.2f} s wall, {line['whole_cpu_s']:.2f} s CPU "
                  f"({'within' if line['whole_wall_s'] < PROMISE_S else 'ABOVE'} {PROMISE_S} s)", flush=True)
    return lines


def _once(table: Path, about: dict, flags: tuple) -> dict | None:
    with tempfile.TemporaryDirectory() as folder:
        return measure.run(["mpiedge-profile", table, "--delimiter", about["delimiter"], *flags, "-q", "--run", folder,
                            *([] if about["header"] else ["--no-header"])])  # fmt: skip
