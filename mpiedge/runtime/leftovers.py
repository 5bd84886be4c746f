"""Shared memory that killed jobs of Open MPI have left behind: else nobody gives it back before the next restart."""

import contextlib
import os
import time
from pathlib import Path

SEGMENTS = "sm_segment.*"
OLD_S = 3600.0


def sweep(folder: Path = Path("/dev/shm"), old_s: float = OLD_S) -> int:
    """Local: removes the segments of this user that are older than `old_s` seconds and that no process maps; returns
    how many. A job maps its segments when it starts, so one that runs for long keeps them."""
    found = [path for path in folder.glob(SEGMENTS) if _is_old(path, old_s)]
    mapped = _mapped(str(folder)) if found else set()
    removed = 0
    for path in found:
        if str(path) not in mapped:
            with contextlib.suppress(OSError):  # another job sweeps, too
                path.unlink()
                removed += 1
    return removed


def _is_old(path: Path, old_s: float) -> bool:
    try:
        facts = path.lstat()
    except OSError:
        return False
    return facts.st_uid == os.getuid() and time.time() - facts.st_mtime > old_s


def _mapped(folder: str) -> set[str]:
    """The files of a folder that processes map, as far as they may be asked; those of one user may."""
    found = set()
    for maps in Path("/proc").glob("[0-9]*/maps"):
        with contextlib.suppress(OSError):
            lines = maps.read_text(errors="replace").splitlines()
            found.update(line[line.index(folder):] for line in lines if folder in line)
    return found
