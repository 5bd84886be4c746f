"""What killed jobs of Open MPI have left behind: shared memory, which nobody else gives back before the next restart,
and session folders, `ompi.PID`: a later mpirun that gets the number of the killed one refuses to start."""

import contextlib
import os
import shutil
import tempfile
import time
from pathlib import Path

from mpiedge.runtime.resources import LAUNCHERS

SEGMENTS = "sm_segment.*"
SESSIONS, SESSIONS_ALONE = "ompi.[0-9]*", "ompi.*.{user}/jf.*/*"
OLD_S, SETTLED_S = 3600.0, 60.0
"""A job maps its segments and reads its session folder when it starts: one that runs for long needs no care."""


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


def sessions(folder: Path | None = None, old_s: float = SETTLED_S) -> list[Path]:
    """Local: the session folders of this user, older than `old_s` seconds, whose launcher has ended.

    The launchers of other process namespaces seem to have ended, too: no harm comes to them once they have started.
    """
    return [path for path in sorted(_temporary(folder).glob(SESSIONS))
            if path.name[5:].isdigit() and _is_old(path, old_s) and not _launches(int(path.name[5:]))]


def sweep_sessions(folder: Path | None = None, old_s: float = SETTLED_S) -> int:
    """Local: removes the session folders of launchers that have ended, and the empty ones that programs started without
    a launcher leave each time; returns how many."""
    left = sessions(folder, old_s)
    for path in left:
        shutil.rmtree(path, ignore_errors=True)
    removed = sum(not path.exists() for path in left)
    for path in _temporary(folder).glob(SESSIONS_ALONE.format(user=os.getuid())):
        if _is_old(path, old_s):
            with contextlib.suppress(OSError):  # that of a program at work is not empty
                path.rmdir()
                removed += 1
    return removed


def remove_session(pid: int) -> None:
    """Local: removes the session folder of a launcher that has ended, which does that itself unless it was killed."""
    shutil.rmtree(_temporary(None) / f"ompi.{pid}", ignore_errors=True)


def _temporary(folder: Path | None) -> Path:
    return folder or Path(tempfile.gettempdir())


def _launches(pid: int) -> bool:
    """Whether a launcher has this number, or a process that tells nothing of itself."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip() in LAUNCHERS
    except FileNotFoundError:
        return False
    except OSError:
        return True


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
