"""What a rank may use of its host: memory (of the machine, its control group, its neighbours) and cores."""

import contextlib
import ctypes
import os
import re
import resource
from pathlib import Path

import psutil

from mpiedge.errors import UsageError
from mpiedge.runtime import launcher

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}
SIZE = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(?:([KMGT]I?)?B?|(%))\s*", re.IGNORECASE)
LAUNCHERS = {"prted", "prterun", "prte", "mpirun", "mpiexec", "orted", "orterun", "hydra_pmi_proxy", "slurmstepd"}
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
GROUP_FILES_1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
GROUP_FILES_2 = ("memory.max", "memory.current", "inactive_file")
MEMORY_SHARE = "MPIEDGE_MEMORY"
"""Set by mpiedge-run after a rank was ended for want of memory: the share of its budget that a rank plans with."""
M_MMAP_THRESHOLD = -3  # of mallopt
DEFAULT_SHARE = 0.7  # of the memory that is free, without --memory
LARGEST_BUDGET = 1 << 62
UNLIMITED = 1 << 60  # control groups write "no limit" as a number close to 2^63


def parse_size(text: str, whole: int | None = None) -> int:
    """Local: bytes meant by "300MB" (10^6), "1.5G", "512MiB" (2^20), a plain number, or "50%" of `whole`.

    whole: bytes that a percentage refers to; the memory available to one rank when not given. Raises UsageError.
    """
    match = SIZE.fullmatch(text)
    if not match:
        raise UsageError(f"--memory {text}", "this is no size", "Write for example 300MB, 1.5G or 50%")
    number = float(match[1])
    if match[3]:
        if whole is None:
            whole = available_bytes()
        size = int(number / 100 * whole)
    else:
        size = int(number * UNITS[(match[2] or "").upper()])
    if size <= 0:
        raise UsageError(f"--memory {text}", "no memory at all", "Write for example 300MB, 1.5G or 50%")
    return size


def format_size(size: float) -> str:
    """Local: a size for people: 512 B, 8.2 MB, 180 MB, 1.5 GB (powers of ten, as `parse_size` reads them)."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(size) < 1000:
            return f"{size:.1f} {unit}" if abs(size) < 10 and unit != "B" else f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def available_bytes(node_size: int = 1, files: Path = Path("/")) -> int:
    """Local: memory one rank may still take, in bytes.

    The host's available memory, or what is left below the limits of this process's control groups (version 1 and 2,
    parents included) when that is less, divided by the `node_size` ranks that share the host. `files` is the root under
    which /proc and /sys are found.
    """
    free = psutil.virtual_memory().available
    for left in _group_memory_left(files):
        free = min(free, left)
    return max(0, free) // max(1, node_size)


def _group_memory_left(files: Path):
    """Local: for each control group of this process with a memory limit: limit minus use (page cache not counted)."""
    try:
        lines = (files / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        number, controllers, inside = line.split(":", 2)
        if "memory" in controllers.split(","):
            root, (limit_name, use_name, cache) = files / "sys/fs/cgroup/memory", GROUP_FILES_1
        elif number == "0":
            root, (limit_name, use_name, cache) = files / "sys/fs/cgroup", GROUP_FILES_2
        else:
            continue
        group = root / inside.lstrip("/")
        while True:
            limit, use = _number(group / limit_name), _number(group / use_name)
            if limit is not None and limit < UNLIMITED:
                yield limit - max(0, (use or 0) - _statistic(group / "memory.stat", cache))
            if group == root:
                break
            group = group.parent


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # no such file, or "max"
        return None


def _statistic(path: Path, name: str) -> int:
    try:
        for line in path.read_text().splitlines():
            key, _, value = line.partition(" ")
            if key == name:
                return int(value)
    except (OSError, ValueError):
        pass
    return 0


def budget_bytes(asked: str | None, node_size: int) -> int:
    """Local: what one of `node_size` ranks of this host may hold: `asked` (--memory), else its part of what is free."""
    free = available_bytes(node_size) + current_rss_bytes()
    own = parse_size(asked, free) if asked else DEFAULT_SHARE * free
    return min(int(own * float(os.environ.get(MEMORY_SHARE, 1))), LARGEST_BUDGET)


def swapped_bytes(files: Path = Path("/")) -> int:
    """Local: what this host has moved to and from swap since it started, in bytes; 0 where it does not say."""
    names = ("pswpin", "pswpout")
    with contextlib.suppress(OSError, ValueError):
        counts = dict(line.split() for line in (files / "proc/vmstat").read_text().splitlines())
        return sum(int(counts[name]) for name in names if name in counts) * resource.getpagesize()
    return 0


def current_rss_bytes(sharing: int = 1) -> int:
    """Local: resident memory of this process now, in bytes; `sharing` ranks each count their part of shared memory.

    Mapped files count whole: they are programs mostly, and the kernel drops pages of other ones when it has to.
    """
    rss = psutil.Process().memory_info().rss
    shared = 0
    if sharing > 1:
        with contextlib.suppress(OSError):
            found = re.search(r"RssShmem:\s+(\d+) kB", Path("/proc/self/status").read_text())
            shared = int(found[1]) * 1024 if found else 0
    return rss - shared + shared // sharing


def return_freed() -> None:
    """Local: gives the memory that was freed, and that the allocator keeps, back to the system (glibc only)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def map_large_blocks() -> None:
    """Local: from now on freed blocks of a megabyte and more go back to the system at once (glibc only).

    Its allocator would otherwise keep blocks of up to 32 MB for reuse once it has seen some that were freed.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 1 << 20)


def open_many_files() -> None:
    """Local: from now on as many files may be open as the system allows: each mapped one counts as open."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def peak_rss_bytes() -> int:
    """Local: the largest resident memory this program has had, in bytes.

    VmHWM where Linux gives it: ru_maxrss also remembers the process that started this one (it survives exec), so a
    program started by a large shell or test would be blamed for its parent.
    """
    try:
        status = Path("/proc/self/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024
    except (OSError, TypeError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def widen_affinity() -> int:
    """Local: undo the launcher's binding of this rank to one core; returns the number of cores the rank may now use.

    Open MPI binds each rank of a small job to a core, so that a rank with `slots=1` would use a quarter of a four-core
    board. The launcher's own daemon is not bound, its mask is what the user or the batch system allowed: take that one.
    Threads are then scheduled by the kernel over all of it. MPIEDGE_AFFINITY=keep leaves the binding alone.
    """
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    if launcher.launched() and os.environ.get("MPIEDGE_AFFINITY") != "keep":
        try:
            for parent in psutil.Process().parents():
                if parent.name() in LAUNCHERS:
                    os.sched_setaffinity(0, os.sched_getaffinity(parent.pid))
                    break
        except (OSError, psutil.Error):
            pass  # an unusual sandbox: keep what we have
    return len(os.sched_getaffinity(0))


def share_cores(node_size: int, threads: int | None = None) -> int:
    """Local: threads for this rank: `threads` (--threads), else OMP_NUM_THREADS, else its even share of the cores.

    Widens the affinity and sets the variables that numeric libraries read, so call it before they are loaded.
    """
    cores = widen_affinity()
    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    if threads is None and asked.isdigit() and int(asked) > 0:
        threads = int(asked)
    if threads is None:
        threads = max(1, cores // max(1, node_size))
    for name in THREAD_VARIABLES:
        os.environ[name] = str(threads)
    return threads
