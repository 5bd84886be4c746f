"""Control groups of emulated hosts, version 1 or 2: a share of the cores and a limit of memory for each."""

import contextlib
import os
import signal
from pathlib import Path

from mpiedge.errors import EnvironmentProblem

ROOT = Path("/sys/fs/cgroup")
PERIOD_US = 10_000  # short, as a slow host is slow all the time, not fast at the start of every tenth of a second
LEAST_QUOTA_US, LONGEST_PERIOD_US = 1_000, 1_000_000  # that Linux allows
SHARES, WEIGHT, MOST_WEIGHT = 1024, 100, 10_000  # of one core; what a group has where nothing is said


class Group:
    """The control group of one host; its folders exist from `create` to `remove`."""

    def __init__(self, name: str):
        self.version_2 = (ROOT / "cgroup.controllers").exists()
        self.folders = [ROOT / name] if self.version_2 else [ROOT / kind / name for kind in ("cpu", "memory")]

    def create(self, cores: float, memory_bytes: int) -> None:
        """Local: makes the group with its limits. Raises EnvironmentProblem where kernel or container forbid it."""
        try:
            if self.version_2:
                with contextlib.suppress(OSError):  # they may be on already
                    (ROOT / "cgroup.subtree_control").write_text("+cpu +memory")
            for folder in self.folders:
                folder.mkdir()
            self.set_cores(cores)
            limit = self.folders[-1] / ("memory.max" if self.version_2 else "memory.limit_in_bytes")
            limit.write_text(str(int(memory_bytes)))
        except OSError as error:
            self.remove()
            raise EnvironmentProblem(error.filename or ROOT, error.strerror or str(error),
                                     "Control groups for cpu and memory are needed; containers need --privileged"
                                     ) from error

    def set_cores(self, cores: float) -> None:
        """Local: how many cores the group may use together, as a share of time. Where more is wanted than there is,
        each group gets its part of it by its weight: a host with many cores has more ranks, too."""
        period = min(max(PERIOD_US, round(LEAST_QUOTA_US / cores)), LONGEST_PERIOD_US)
        quota = max(LEAST_QUOTA_US, int(cores * period))
        if self.version_2:
            (self.folders[0] / "cpu.weight").write_text(str(min(max(1, round(WEIGHT * cores)), MOST_WEIGHT)))
            (self.folders[0] / "cpu.max").write_text(f"{quota} {period}")
        else:
            (self.folders[0] / "cpu.shares").write_text(str(max(2, round(SHARES * cores))))
            (self.folders[0] / "cpu.cfs_period_us").write_text(str(period))
            (self.folders[0] / "cpu.cfs_quota_us").write_text(str(quota))

    def add(self, pid: int) -> None:
        """Local: puts a process into the group; what it starts from then on is in it too."""
        for folder in self.folders:
            (folder / "cgroup.procs").write_text(str(pid))

    def pids(self) -> list[int]:
        """Local: the processes in the group."""
        with contextlib.suppress(OSError):
            return [int(pid) for pid in (self.folders[0] / "cgroup.procs").read_text().split()]
        return []

    def signal(self, number: int) -> int:
        """Local: sends a signal to every process of the group until no new one appears; returns how many."""
        done: set[int] = set()
        while new := set(self.pids()) - done:
            for pid in new:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            done |= new
            if number == signal.SIGKILL:
                break
        return len(done)

    def wake(self) -> None:
        """Local: lets those go on that were stopped. To others SIGCONT may be news: so Open MPI announces an end."""
        for pid in self.pids():
            with contextlib.suppress(OSError):
                if _is_stopped(pid):
                    os.kill(pid, signal.SIGCONT)

    def remove(self) -> bool:
        """Local: removes the group; False when processes are still in it."""
        for folder in self.folders:
            with contextlib.suppress(OSError):
                folder.rmdir()
        return not any(folder.exists() for folder in self.folders)


def _is_stopped(pid: int) -> bool:
    """Local: whether a process was stopped, or will be once it gets a processor. Raises OSError when it is gone."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    facts = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    pending = int(facts["SigPnd"], 16) | int(facts["ShdPnd"], 16)
    return facts["State"].startswith("T") or bool(pending >> signal.SIGSTOP - 1 & 1)
