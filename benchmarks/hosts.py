"""The discovery on emulated slow hosts that share no memory, against one such host.

The hosts are processes of one computer and share its caches and memory, as real ones do not. So one host is measured
twice: with the others at rest, and while they all do the same, each for itself.
"""

import functools
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
    lines: list[dict] = []
    with tempfile.TemporaryDirectory() as folder:
        profile = Path(folder, "slow.toml")
        profile.write_text(PROFILE)
        hostfiles = {hosts: Path(folder, f"{len(hosts)}-{hosts[0]}.txt")
                     for hosts in (*((number,) for number in range(1, HOSTS + 1)), tuple(range(1, HOSTS + 1)))}
        for hosts, file in hostfiles.items():
            file.write_text("".join(f"slow-{number} slots=1\n" for number in hosts))
        *single, together = hostfiles.values()

        def run(hostfile: Path, count: int) -> dict | None:
            launch = ("mpirun", "-n", count, "-hostfile", hostfile)
            words = ("mpiedge-emulate", hostfile, "--profile", profile, "--", *launch)
            return measure.mpiedge("fd", table, ",", 1, before=words)

        at_once = measure.all_at_once([functools.partial(run, hostfile, 1) for hostfile in single])
        report(lines, f"each of {HOSTS} hosts for itself", 1, [one for runs in at_once for one in runs])
        for count in (1, 2, HOSTS):
            report(lines, f"{count} of {HOSTS} hosts", count, [run(together, count) for _ in range(repeats)])
    return lines


def report(lines: list[dict], name: str, count: int, runs: list[dict | None]) -> None:
    """Print and append what `count` hosts took; the first two lines are what one host takes."""
    runs = [run for run in runs if run]
    if not runs:
        return
    line = {"table": name, "ranks": count, "runs": len(runs), "speed": count * SPEED, **{
        field: statistics.median(run[field] for run in runs)
        for field in ("discovery_wall_s", "discovery_cpu_s", "whole_wall_s", "idle_share", "stolen", "count",
                      "sent_bytes")}}  # fmt: skip
    lines.append(line)
    faster = [one["discovery_wall_s"] / line["discovery_wall_s"] for one in lines[:2]]
    line["of_ideal"] = faster[0] / count
    print(f"{name} at {SPEED} of a core: discovery {line['discovery_wall_s']:.3f} s, {faster[0]:.2f}x of one of "
          f"{HOSTS} at work, {faster[-1]:.2f}x of one alone, CPU {line['discovery_cpu_s']:.3f} s, idle "
          f"{100 * line['idle_share']:.0f} %, {line['stolen']:.0f} stolen, {line['sent_bytes']:.0f} bytes",
          flush=True)  # fmt: skip
