"""What a host says of itself: versions, memory, processors, addresses, the folder; gathered by mpiedge-doctor."""

import contextlib
import fcntl
import ipaddress
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import psutil

from mpiedge.runtime import leftovers, resources

PACKAGES = ("mpiedge", "mpi4py", "numpy", "scipy", "h5py", "pandas", "torch")
BEFORE = ("torch", "launcher")
TORCH_TEST = "import torch; print(float((torch.ones(64, 64) @ torch.ones(64, 64)).sum()))"
TORCH_S, LAUNCHER_S = 240.0, 30.0
LOCAL_RANK = ("OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "PMI_LOCAL_RANK", "SLURM_LOCALID")
OF_A_JOB = ("OMPI_", "PMIX_", "PMI_", "PRTE_", "HYDRA_", "MPIEDGE_SUPERVISOR")
THROTTLED = "devices/platform/soc/soc:firmware/get_throttled"
PI_FAULTS = {0: "undervoltage", 1: "clock capped", 2: "throttled", 3: "too hot"}


def before_mpi() -> dict:
    """Local: what needs child processes, which must not be started once MPI runs; on one rank of each host.

    torch: "" when a child could import and use it, else why not; launcher: the first line of `mpirun --version`.
    """
    if any(os.environ.get(name, "0") != "0" for name in LOCAL_RANK):
        return {}
    return {"torch": _try_torch(), "launcher": _launcher()}


def _child(command: list[str], limit_s: float) -> subprocess.CompletedProcess:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(OF_A_JOB)}
    return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=limit_s, env=environment,
                          stdin=subprocess.DEVNULL, check=False)


def _try_torch() -> str:
    try:
        done = _child([sys.executable, "-c", TORCH_TEST], TORCH_S)
    except subprocess.TimeoutExpired:
        return f"not imported within {TORCH_S:.0f} s"
    if done.returncode < 0:
        with contextlib.suppress(ValueError):
            return f"crashed with {signal.Signals(-done.returncode).name}"
        return f"crashed with signal {-done.returncode}"
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["failed"])[-1][:200]


def _launcher() -> str:
    path = shutil.which("mpirun")
    if path is None:
        return ""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        done = _child([path, "--version"], LAUNCHER_S)
        words = (done.stdout or done.stderr).splitlines()
        version = next((found[1] for line in words[:8] if (found := re.search(r"(\d+\.\d+(\.\d+)?)", line))), "")
        return f"{'MPICH' if 'HYDRA' in done.stdout.upper() else 'Open MPI'} {version}".strip()
    return f"{path} does not answer"


def gather(folder: Path, files: Path = Path("/")) -> dict:
    """Local: the facts of this host as plain values. folder: where runs are to lie; files: the root of /sys."""
    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    return {
        "host": os.environ.get("MPIEDGE_HOST") or platform.node(),
        "machine": platform.machine(),
        "processor": _processor(files),
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        "cores": len(psutil.Process().cpu_affinity()),
        "load": os.getloadavg()[0],
        "memory_bytes": memory.total,
        "free_bytes": resources.available_bytes(),
        "swap_used_bytes": swap.used,
        "governor": _read(files / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "throttled": _throttled(files),
        "temperature": _temperature(files),
        "addresses": _addresses(),
        "folder": _folder(folder),
        "sessions": [str(path) for path in leftovers.sessions()],
    }


def _version(name: str) -> str:
    if name == "mpiedge":
        from mpiedge import __version__

        return __version__
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _processor(files: Path) -> str:
    model = _read(files / "proc/device-tree/model").strip("\0")
    found = re.search(r"^model name\s*:\s*(.+)$", _read(files / "proc/cpuinfo"), re.MULTILINE)
    return model or (found[1] if found else platform.machine())


def _throttled(files: Path) -> list[str]:
    """What holds the processor back now: of a Raspberry Pi's firmware."""
    with contextlib.suppress(ValueError):
        bits = int(_read(files / "sys" / THROTTLED) or "0", 16)
        return [name for bit, name in PI_FAULTS.items() if bits >> bit & 1]
    return []


def _temperature(files: Path) -> float | None:
    """The hottest zone in degrees Celsius."""
    values = [_read(path) for path in (files / "sys/class/thermal").glob("thermal_zone*/temp")]
    return max((int(value) / 1000 for value in values if re.fullmatch(r"-?\d+", value)), default=None)


def _addresses() -> list[dict]:
    """The IPv4 addresses of interfaces that are up, loopback left out; public: reachable from the Internet."""
    states, found = psutil.net_if_stats(), []
    for name, addresses in psutil.net_if_addrs().items():
        for address in addresses:
            if address.family.name == "AF_INET" and name in states and states[name].isup:
                with contextlib.suppress(ValueError):
                    interface = ipaddress.ip_interface(f"{address.address}/{address.netmask or 32}")
                    if not interface.ip.is_loopback:
                        found.append({"interface": name, "address": str(interface.ip),
                                      "network": str(interface.network), "public": interface.ip.is_global})
    return found


def _folder(folder: Path) -> dict:
    """Whether runs can be written into the folder (or the nearest above that exists), by whom, and with locks."""
    place = folder.absolute()
    while not place.is_dir() and place != place.parent:
        place = place.parent
    told = {"path": str(place), "writable": os.access(place, os.W_OK), "locks": True, "free_bytes": None,
            "open_to_all": False}
    with contextlib.suppress(OSError):
        mode = place.stat().st_mode
        told["open_to_all"] = bool(mode & 0o002) and not mode & 0o1000
        told["free_bytes"] = shutil.disk_usage(place).free
    if told["writable"]:
        probe = place / f".doctor-{platform.node()}-{os.getpid()}"
        try:
            with open(probe, "w") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            told["locks"] = False
        with contextlib.suppress(OSError):
            probe.unlink()
    return told


def speed(seconds: float = 1.0) -> float:
    """Local: pieces of fixed work a second: sorting and multiplying in numpy, counting in plain Python."""
    import numpy as np

    numbers = np.random.default_rng(0).random(20_000)
    square = numbers[:14_400].reshape(120, 120)
    pieces, start = 0, time.perf_counter()
    while (passed := time.perf_counter() - start) < seconds or not pieces:
        np.sort(numbers)
        square @ square
        sum(range(5000))
        pieces += 1
    return pieces / passed
