"""What measuring costs: the phases a run has entered, times the processor time of entering one, against its own.

    python benchmarks/measuring.py results/quickstart [--trace]

A line for each stage: calls on all ranks, microseconds of CPU a call (the median of REPEATS), per cent of the CPU time.
"""

import argparse
import statistics
import time
from pathlib import Path
from types import SimpleNamespace

from mpiedge.report.read import read_run
from mpiedge.runtime.carrying import Carried
from mpiedge.runtime.telemetry import Timings
from mpiedge.runtime.trace import Trace

REPEATS, CALLS = 7, 20_000


def call_us(traced: bool) -> float:
    """CPU time of one call of a phase inside another one."""
    found = []
    for _ in range(REPEATS):
        world = SimpleNamespace(rank=0, host="here", bytes_sent=0, bytes_recv=0, wait_s=0.0, carried=Carried(),
                                node_rank=0)
        timings = Timings(world, "train", trace=Trace() if traced else None)
        with timings.phase("stage"):
            start = time.process_time()
            for _ in range(CALLS):
                world.wait_s += 1e-9  # so that the rows of waiting and of messages are charged too
                world.carried.wall_s += 1e-9
                with timings.phase("step"):
                    pass
            found.append((time.process_time() - start) / CALLS * 1e6)
    return statistics.median(found)


def main() -> None:
    """Reads the run, measures, prints."""
    page = argparse.ArgumentParser(description=__doc__)
    page.add_argument("run", type=Path)
    page.add_argument("--trace", action="store_true")
    args = page.parse_args()
    cost_us = call_us(args.trace)
    for stage, rows in read_run(args.run).rows.items():
        calls, cpu_s = (sum(row[name] or 0 for row in rows) for name in ("calls", "cpu_s"))
        print(f"{stage:8} {calls:8,} calls of {cost_us:.1f} us: {100 * calls * cost_us / 1e6 / cpu_s:.2f} % of "
              f"{cpu_s:.2f} s")


if __name__ == "__main__":
    main()
