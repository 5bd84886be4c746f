"""hosts.json beside the run folders: how fast mpiedge-doctor found each host; the first shares of a run follow it."""

import contextlib
import json
import math
from pathlib import Path

from mpiedge.store.run import write_json

NAME = "hosts.json"


def path(run: Path) -> Path:
    """Local: where the profile of the hosts of a run lies: in the folder of all runs."""
    return run.absolute().parent / NAME


def read(run: Path) -> dict[str, dict]:
    """Local: host -> what is known of it; empty without a profile that can be read."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        found = json.loads(path(run).read_bytes())
        if isinstance(found, dict):
            return {host: entry for host, entry in found.items() if isinstance(entry, dict)}
    return {}


def update(run: Path, entries: dict[str, dict]) -> Path:
    """Local: adds what was measured now, in the place of what was known of these hosts; returns the file's path."""
    write_json(path(run), dict(sorted({**read(run), **entries}.items())))
    return path(run)


def speeds(run: Path, hosts: list[str]) -> list[float] | None:
    """Local: the relative speed of each rank by its host, mean 1; None unless all hosts are known."""
    known = read(run)
    found = [known.get(host, {}).get("speed") for host in hosts]
    if not all(type(speed) in (int, float) and 0 < speed < math.inf for speed in found):
        return None
    mean = math.fsum(found) / len(found)
    return [speed / mean for speed in found]
