"""The discovery on four ranks with 4 : 2 : 1 : 1 of the processor time, against the sum of their speeds."""

import contextlib
import os
import statistics
from pathlib import Path

from benchmarks import measure

SHARES = (0.8, 0.4, 0.2, 0.2)  # of one core each, so that the ranks fit two cores and the slowness is real
PERIOD_US = 50_000
V1, V2 = Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")


@contextlib.contextmanager
def groups(shares: tuple):
    """The words to put before a program under mpirun so that rank r gets shares[r] of a core (Linux, as root)."""
    first = (V1 / "cpu.shares").exists()
    base = (V1 if first else V2) / f"mpiedge-quota-{os.getpid()}-"
    made = [Path(f"{base}{rank}") for rank in range(len(shares))]
    try:
        for group, share in zip(made, shares):
            group.mkdir()
            if first:
                (group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
                (group / "cpu.cfs_quota_us").write_text(str(int(share * PERIOD_US)))
            else:
                (group / "cpu.max").write_text(f"{int(share * PERIOD_US)} {PERIOD_US}")
        script = f'echo $$ > "{base}${{OMPI_COMM_WORLD_RANK:-${{PMI_RANK:-0}}}}/cgroup.procs" && exec "$@"'
        yield ("sh", "-c", script, "sh")
    finally:
        for group in made:
            with contextlib.suppress(OSError):
                group.rmdir()


def compare(table: Path, repeats: int) -> list[dict]:
    """Wall seconds of discovery alone at each share and together; throughput over that of the shares added up.

    The ideal is what the work of one rank at a full core would take at the sum of all shares.
    """
    lines = []
    for name, shares in (("one core", (1.0,)), ("4 : 2 : 1 : 1", SHARES), ("equal, as fast", (sum(SHARES) / 4,) * 4)):
        with groups(shares) as before:
            runs = [measure.mpiedge("fd", table, ",", len(shares), before=before) for _ in range(repeats)]
        runs = [run for run in runs if run]
        if not runs:
            continue
        line = {"table": name, "ranks": len(shares), "runs": len(runs), "speed": sum(shares), **{
            field: statistics.median(run[field] for run in runs)
            for field in ("discovery_wall_s", "discovery_cpu_s", "whole_wall_s", "idle_share", "stolen", "count")}}
        lines.append(line)
        ideal_s = lines[0]["discovery_wall_s"] * lines[0]["speed"] / sum(shares)
        line["of_ideal"] = ideal_s / line["discovery_wall_s"]
        print(f"{name:16} speed {sum(shares):.1f}  discovery {line['discovery_wall_s']:.3f} s, ideal {ideal_s:.3f}: "
              f"{line['of_ideal']:.2f} of ideal, idle {100 * line['idle_share']:.0f} %, {line['stolen']:.0f} stolen",
              flush=True)  # fmt: skip
    return lines
