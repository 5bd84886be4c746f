"""The discovery on emulated slow hosts that share no memory, against one such host."""

import statistics
import tempfile
from pathlib import Path

from benchmarks import measure

HOSTS = 4
SPEED = 0.4
"""Of one core of this computer, each: four of them fit two cores."""

PROFILE = f"""\
[default]
cores = 1
speed = {SPEED}
memory = "1500MB"
link = "1Gbit"
"""


def compare(table: Path, repeats: int) -> list[dict]:
    """Wall seconds of discovery on one host and on all, and how many times faster all are (Linux, as root)."""
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        hostfile, profile = Path(folder, "slow.txt"), Path(folder, "slow.toml")
        hostfile.write_text("".join(f"slow-{number} slots=1\n" for number in range(1, HOSTS + 1)))
        profile.write_text(PROFILE)
        for count in (1, 2, HOSTS):
            launch = ("mpirun", "-n", count, "-hostfile", hostfile)
            words = ("mpiedge-emulate", hostfile, "--profile", profile, "--", *launch)
            runs = [measure.mpiedge("fd", table, ",", 1, before=words) for _ in range(repeats)]
            runs = [run for run in runs if run]
            if not runs:
                continue
            line = {"table": f"{count} of {HOSTS} hosts", "ranks": count, "runs": len(runs), "speed": count * SPEED, **{
                field: statistics.median(run[field] for run in runs)
                for field in ("discovery_wall_s", "discovery_cpu_s", "whole_wall_s", "idle_share", "stolen", "count",
                              "sent_bytes")}}  # fmt: skip
            lines.append(line)
            faster = lines[0]["discovery_wall_s"] / line["discovery_wall_s"]
            line["of_ideal"] = faster * lines[0]["ranks"] / count
            print(f"{count} of {HOSTS} hosts at {SPEED} of a core: discovery {line['discovery_wall_s']:.3f} s, "
                  f"{faster:.2f}x of one, CPU {line['discovery_cpu_s']:.3f} s, idle {100 * line['idle_share']:.0f} %, "
                  f"{line['stolen']:.0f} stolen, {line['sent_bytes']:.0f} bytes", flush=True)  # fmt: skip
    return lines
