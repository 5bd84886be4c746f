"""What emulated hosts are like: cores, speed, memory and link from a small TOML profile, scaled to this box."""

from dataclasses import dataclass
from pathlib import Path

from mpiedge.errors import InputError, UsageError
from mpiedge.runtime.resources import format_size, parse_size
from mpiedge.supervise.hosts import Host

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

HOSTFILES = Path(__file__).parent.parent.parent / "hostfiles"
SHARE_OF_CORES, SHARE_OF_MEMORY = 0.95, 0.7
BITS = {"kbit": 1e3, "Mbit": 1e6, "Gbit": 1e9}


@dataclass(frozen=True)
class Machine:
    """One host to emulate. speed: of one core, relative to a core of this box; link_bits: per second."""

    name: str
    cores: float
    speed: float
    memory_bytes: int
    link_bits: float


@dataclass(frozen=True)
class Scale:
    """By how much the emulated hosts are smaller than what they stand for: shares of time and of memory."""

    time: float
    memory: float

    def tell(self) -> str:
        """Local: the scale for people."""
        slower = "as fast as the real ones" if self.time == 1 else f"cores and links run at 1/{1 / self.time:.1f}"
        less = "all memory" if self.memory == 1 else f"memory at 1/{1 / self.memory:.1f}"
        return f"{slower}, {less}"


def read_profile(name: str, hosts: list[Host]) -> list[Machine]:
    """Local: the machines of a profile (`pi` for hostfiles/pi.toml, or a path), one for each host. Raises InputError.

    [default] says what all hosts are like: cores, speed, memory, link; [hosts.NAME] what is different there.
    """
    path = Path(name) if name.endswith(".toml") else HOSTFILES / f"{name}.toml"
    try:
        profile = tomllib.loads(path.read_text("utf-8"))
        default, special = profile["default"], profile.get("hosts", {})
        return [_machine(host.name, {**default, **special.get(host.name, {})}) for host in hosts]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, UsageError) as error:
        cause = f"cannot be used as a profile ({' '.join(str(error).split())})"
        raise InputError(path, cause, "Name pi, commodity, server or a file like hostfiles/pi.toml") from error


def _machine(name: str, entry: dict) -> Machine:
    number, unit = entry["link"][:-4], entry["link"][-4:]
    machine = Machine(name, float(entry["cores"]), float(entry["speed"]), parse_size(entry["memory"]),
                      float(number) * BITS[unit])
    if min(machine.cores, machine.speed, machine.link_bits) <= 0:
        raise ValueError(f"{name} has no cores, speed or link")
    return machine


def fit(machines: list[Machine], box_cores: float, box_memory_bytes: int) -> Scale:
    """Local: the largest scale at which all machines fit into the box together."""
    cores = sum(machine.cores * machine.speed for machine in machines)
    memory = sum(machine.memory_bytes for machine in machines)
    return Scale(min(1.0, SHARE_OF_CORES * box_cores / cores), min(1.0, SHARE_OF_MEMORY * box_memory_bytes / memory))


def describe(machine: Machine, scale: Scale) -> str:
    """Local: a machine for people: what it stands for, and what it gets of this box."""
    return (f"{machine.name}: {machine.cores:g} cores at {machine.speed:g}, {format_size(machine.memory_bytes)}, "
            f"{machine.link_bits / 1e6:g} Mbit/s -> {machine.cores * machine.speed * scale.time:.2f} cores, "
            f"{format_size(machine.memory_bytes * scale.memory)}, {machine.link_bits * scale.time / 1e6:.3g} Mbit/s")
