"""Long tables under real memory limits, one control group per rank, against the same tables without a limit."""

import contextlib
import os
from pathlib import Path

from benchmarks import measure

V1, V2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
FLAG_SHARE = 0.94  # of the limit is given as --memory: the group also counts what the kernel keeps for the rank
LIMITS = {"lineitem": ((60_000, 96), (600_000, None), (6_000_000, 600), (6_000_000, 400), (20_000_000, 600)),
          "planted": ((1_000_000, 256),)}
"""(rows, megabytes for each of two ranks; None: no limit, for the growth)."""

UNLIMITED_ROWS = 6_000_000
"""Longer tables are not read once more without a limit."""


@contextlib.contextmanager
def groups(limit_mb: int, ranks: int):
    """The words to put before a program under mpirun so that every rank has `limit_mb` (Linux, as root)."""
    first = (V1 / "memory.limit_in_bytes").exists()
    base = (V1 if first else V2) / f"mpiedge-limit-{os.getpid()}-"
    made = [Path(f"{base}{rank}") for rank in range(ranks)]
    try:
        for group in made:
            group.mkdir()
            for name in ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes") if first else ("memory.max",):
                with contextlib.suppress(FileNotFoundError):
                    (group / name).write_text(str(limit_mb * 1_000_000))
        script = f'echo $$ > "{base}${{OMPI_COMM_WORLD_RANK:-${{PMI_RANK:-0}}}}/cgroup.procs" && exec "$@"'
        yield ("sh", "-c", script, "sh")
    finally:
        for group in made:
            with contextlib.suppress(OSError):
                group.rmdir()


def compare(make_table, most_rows: int, limit_s: float) -> list[dict]:
    """A line for every table and limit; make_table(kind, rows): the path of a generated table, which is removed."""
    lines = []
    for kind, cases in LIMITS.items():
        for rows in dict.fromkeys(rows for rows, _ in cases if rows <= most_rows):
            table = make_table(kind, rows)
            if rows <= UNLIMITED_ROWS:
                lines.append(_run(kind, rows, table, 1, None, limit_s))
            for limit_mb in [limit_mb for count, limit_mb in cases if count == rows and limit_mb]:
                with groups(limit_mb, 2) as before:
                    lines.append(_run(kind, rows, table, 2, limit_mb, limit_s, before))
            table.unlink()
    for line in lines:
        free = next((one for one in lines if one["limit_mb"] is None and
                     (one["table"], one["rows"]) == (line["table"], line["rows"])), None)
        line["same"] = "" if free is None or None in (free["hash"], line["hash"]) else free["hash"] == line["hash"]
    return lines


def _run(kind: str, rows: int, table: Path, ranks: int, limit_mb: int | None, limit_s: float, before=()) -> dict:
    flags = ["--memory", f"{int(limit_mb * FLAG_SHARE)}MB"] if limit_mb else []
    done = measure.mpiedge("fd", table, ",", ranks, *flags, before=before, limit_s=limit_s)
    line = {"table": kind, "rows": rows, "program": f"mpiedge-{ranks}", "runs": int(done is not None),
            "limit_mb": limit_mb, **dict.fromkeys(("whole_cpu_s", "whole_wall_s", "read_cpu_s", "discovery_cpu_s",
                                                   "discovery_wall_s", "count", "hash"))}  # fmt: skip
    if done:
        line |= {name: done[name] for name in line if name in done} | {"max_mb": max(done["peaks_mb"])}
        print(f"{kind:9} {rows:11,} rows, {ranks} ranks, {limit_mb or 'no'} MB each: {done['whole_cpu_s']:.1f} CPU s, "
              f"{done['whole_wall_s']:.1f} s wall, {done['discovery_cpu_s']:.1f} of the CPU s to discover; "
              f"peak {line['max_mb']:.0f} MB, {done['count']} {done['hash']}", flush=True)  # fmt: skip
    else:
        print(f"{kind:9} {rows:11,} rows, {ranks} ranks, {limit_mb or 'no'} MB each: not done", flush=True)
    return {"max_mb": None, **line}
