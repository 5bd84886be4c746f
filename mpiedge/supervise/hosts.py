"""The hosts a job may use: hostfiles in Open MPI's and in MPICH's form, and what a Slurm allocation names."""

import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path

from mpiedge.errors import InputError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")
LINE = re.compile(r"(\S+?)(?::(\d+))?((?:\s+\S+\s*=\s*\S+)*)")
SLOTS = re.compile(r"\bslots\s*=\s*(\d+)")
ODD_SLOTS = re.compile(r"(?<!\S)slots\s*=\s*(?!\d+(\s|$))")
LOCAL = ("localhost", "127.0.0.1")


@dataclass(frozen=True)
class Host:
    """A host and the number of ranks it takes."""

    name: str
    slots: int

    @property
    def is_here(self) -> bool:
        """Whether this process runs on it."""
        return self.name in LOCAL or self.name.split(".")[0] == socket.gethostname().split(".")[0]


def read_hostfile(path: str) -> list[Host]:
    """Local: the hosts of a file in their order, slots of repeated names added up. Raises InputError.

    Lines are `name slots=4`, `name:4` or `name`; a `#` begins a comment. A name becomes a word of a command line on
    other hosts, so it may hold letters, digits, dots, dashes and underscores only, and no dash in front.
    """
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        cause = getattr(error, "strerror", None) or "is no text"
        raise InputError(path, cause, "Name a hostfile, such as hostfiles/local.txt") from error
    slots: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        line = line.split("#")[0].strip()
        if not line:
            continue
        match = LINE.fullmatch(line)
        if not match or not NAME.fullmatch(match[1]) or ODD_SLOTS.search(match[3]):
            raise InputError(path, f"line {number} is no host: {line[:60]!r}", "Write `name slots=4` or `name:4`")
        given = match[2] or (SLOTS.search(match[3]) or [None, None])[1]
        slots[match[1]] = slots.get(match[1], 0) + (int(given) if given else 1)
    hosts = [Host(name, count) for name, count in slots.items() if count]
    if not hosts:
        raise InputError(path, "names no host", "Write a line such as `localhost slots=2`")
    return hosts


def own_host_first(hosts: list[Host]) -> list[Host]:
    """Local: the same hosts, this one in front: rank 0 then sees the run folder even if no other host does."""
    return sorted(hosts, key=lambda host: not host.is_here)


def hostfile_text(hosts: list[Host], mpich: bool) -> str:
    """Local: the text of a hostfile in Open MPI's or MPICH's form."""
    return "".join(f"{host.name}:{host.slots}\n" if mpich else f"{host.name} slots={host.slots}\n" for host in hosts)


def slurm_hosts(environment=os.environ) -> list[Host]:
    """Local: the hosts of the Slurm allocation this process is in; an empty list outside of one. Raises InputError."""
    nodes = environment.get("SLURM_JOB_NODELIST") or environment.get("SLURM_NODELIST")
    if not nodes:
        return []
    names = expand_nodes(nodes)
    tasks = environment.get("SLURM_TASKS_PER_NODE") or environment.get("SLURM_JOB_CPUS_PER_NODE") or "1"
    counts: list[int] = []
    for count, _, times in re.findall(r"(\d+)(\(x(\d+)\))?", tasks):
        counts += [int(count)] * int(times or 1)
    counts += counts[-1:] * (len(names) - len(counts))
    return [Host(name, count) for name, count in zip(names, counts)]


def expand_nodes(text: str) -> list[str]:
    """Local: the names of Slurm's short form: "n[01-03,7],gpu1" -> n01 n02 n03 n7 gpu1. Raises InputError."""
    names = []
    for prefix, ranges, suffix in re.findall(r"([^,\[\]]+)(?:\[([\d,-]+)\])?([^,\[\]]*)", text):
        for part in ranges.split(",") if ranges else [""]:
            first, _, last = part.partition("-")
            numbers = range(int(first), int(last or first) + 1) if part else [None]
            names += [prefix + ("" if number is None else str(number).zfill(len(first))) + suffix for number in numbers]
    if not names or not all(NAME.fullmatch(name) for name in names):
        raise InputError("SLURM_JOB_NODELIST", f"cannot be read: {text[:60]!r}", "Name the hosts with --hostfile")
    return names
