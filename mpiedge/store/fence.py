"""Changes to a run folder that ranks of a job which was given up can no longer make.

mpiedge-run makes a folder RUN/.jobs/JOB for every job, and removes it before the next one starts. A rank of the job
writes its files there and moves them to their places, and what it removes it moves there first. A move is one step of
the file system and fails once the folder is gone. So a rank that was stopped and wakes, at whatever instruction, can
neither commit nor replace nor remove anything of the job that has taken over. Ranks that no supervisor started write
beside the place, under a temporary name, and take no part in this: the lock on the run folder keeps them apart.

What is not kept out adds to files: rows of timings.csv, and records of tasks, which do not count (store/ledger.py).
"""

import contextlib
import os
import secrets
import shutil
import time
from pathlib import Path

from mpiedge.errors import EnvironmentProblem, Stopped
from mpiedge.runtime import launcher
from mpiedge.store.layout import JOBS

EXPEL_TRIES, EXPEL_PAUSE_S = 50, 0.1

_run: Path | None = None
_folder: Path | None = None


def admit(run: Path, job: str) -> None:
    """Local, by the supervisor: from here on ranks of this job may change the run folder."""
    (run / JOBS / job).mkdir(parents=True)


def expel(run: Path) -> None:
    """Local: from here on no rank of any job so far may change the run folder. Raises EnvironmentProblem."""
    for _ in range(EXPEL_TRIES):  # a rank may be writing
        shutil.rmtree(run / JOBS, ignore_errors=True)
        if not (run / JOBS).exists():
            return
        time.sleep(EXPEL_PAUSE_S)
    raise EnvironmentProblem(run / JOBS, "cannot be removed", "Remove it by hand and run the same line again")


def enter(run: Path, job: str | None) -> None:
    """Local, by a rank: its changes to this run folder are those of a job, None without a supervisor."""
    global _run, _folder
    _run, _folder = (run, run / JOBS / job) if job else (None, None)
    with contextlib.suppress(OSError):
        os.listdir(run / JOBS)  # NFS may remember a folder of an earlier job


def temporary_for(path: Path) -> Path:
    """Local: where a file is written before it is moved to `path`; both on one file system."""
    if _folder is not None and _run in path.parents:
        return _folder / f"{launcher.rank_hint()}.{path.name}.tmp"  # process numbers repeat on other hosts
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def require() -> None:
    """Local: raises Stopped when the job of this rank was given up. What is done next may come too late all the same:
    only moves cannot."""
    if _folder is not None and not _folder.is_dir():
        raise Stopped(_run, "another job has taken over this run folder, or it was removed",
                      "Leave it to that job, or run the same line again")


def discard(path: Path) -> None:
    """Local: removes a file, or a folder with all in it, of the run folder, if it is there. Raises Stopped, OSError."""
    if _folder is not None and _run in path.parents:
        moved = _folder / f"{secrets.token_hex(8)}.removed"
        try:
            os.rename(path, moved)
            path = moved
        except FileNotFoundError:
            require()
            return
        except OSError:  # another file system
            require()
    with contextlib.suppress(FileNotFoundError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
