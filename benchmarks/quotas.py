"""The discovery on four ranks with 4 : 2 : 1 : 1 of the processor time, against the sum of their speeds.

The speed of a rank is what it reaches alone, on the whole table, under its quota, while the others do the same: four
processes on two cores share caches and memory, whether or not they work together.
"""

import contextlib
import functools
import os
import statistics
from pathlib import Path

from benchmarks import measure

SHARES = (0.8, 0.4, 0.2, 0.2)  # of one core each, so that the ranks fit two cores and the slowness is real
PERIOD_US = 100_000  # the default of the kernel
V1, V2 = Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")


class Groups:
    """Control groups, one for each rank, with shares of a core that may change while programs run."""

    def __init__(self, shares: tuple, period_us: int = PERIOD_US):
        self.first = (V1 / "cpu.shares").exists()
        self.base = (V1 if self.first else V2) / f"mpiedge-quota-{os.getpid()}-"
        self.period_us = period_us
        self.made = [Path(f"{self.base}{rank}") for rank in range(len(shares))]
        for rank, share in enumerate(shares):
            self.made[rank].mkdir()
            if self.first:
                (self.made[rank] / "cpu.cfs_period_us").write_text(str(period_us))
            self.change(rank, share)

    def __call__(self, rank="${OMPI_COMM_WORLD_RANK:-${PMI_RANK:-0}}") -> tuple:
        """The words before a program that give it the share of `rank`; under mpirun its own if none is named."""
        return "sh", "-c", f'echo $$ > "{self.base}{rank}/cgroup.procs" && exec "$@"', "sh"

    def change(self, rank: int, share: float) -> None:
        """From now on that rank gets `share` of a core."""
        quota = int(share * self.period_us)
        if self.first:
            (self.made[rank] / "cpu.cfs_quota_us").write_text(str(quota))
        else:
            (self.made[rank] / "cpu.max").write_text(f"{quota} {self.period_us}")

    def close(self) -> None:
        """Removes the groups that are empty."""
        for group in self.made:
            with contextlib.suppress(OSError):
                group.rmdir()


@contextlib.contextmanager
def groups(shares: tuple, period_us: int = PERIOD_US):
    """Control groups (Linux, as root) in which rank r gets shares[r] of a core, in every period; see `Groups`."""
    made = Groups(shares, period_us)
    try:
        yield made
    finally:
        made.close()


def alone(table: Path, shares: tuple) -> list[float]:
    """Wall seconds of discovery on one rank under each share, all at the same time."""
    with groups(shares) as before:
        found = measure.all_at_once([functools.partial(measure.mpiedge, "fd", table, ",", 1, before=before(rank))
                                     for rank in range(len(shares))])
    return [statistics.median(run["discovery_wall_s"] if run else float("inf") for run in runs) for runs in found]


def compare(table: Path, repeats: int) -> list[dict]:
    """Wall seconds of discovery under unequal and under equal shares, and the ideal: that of the speeds added up."""
    lines = []
    for name, shares in (("4 : 2 : 1 : 1", SHARES), ("equal, as fast", (sum(SHARES) / 4,) * 4)):
        ideals, runs = [], []
        for _ in range(repeats):
            ideals.append(1 / sum(1 / wall_s for wall_s in alone(table, shares)))
            with groups(shares) as before:
                runs.append(measure.mpiedge("fd", table, ",", len(shares), before=before()))
        runs = [run for run in runs if run]
        if not runs:
            continue
        line = {"table": name, "ranks": len(shares), "runs": len(runs), "speed": sum(shares), **{
            field: statistics.median(run[field] for run in runs)
            for field in ("discovery_wall_s", "discovery_cpu_s", "whole_wall_s", "idle_share", "stolen", "count")}}
        line["ideal_s"] = statistics.median(ideals)
        line["of_ideal"] = line["ideal_s"] / line["discovery_wall_s"]
        lines.append(line)
        print(f"{name:16} discovery {line['discovery_wall_s']:.3f} s, ideal {line['ideal_s']:.3f}: "
              f"{line['of_ideal']:.2f} of ideal, idle {100 * line['idle_share']:.0f} %, {line['stolen']:.0f} stolen",
              flush=True)  # fmt: skip
    return lines
