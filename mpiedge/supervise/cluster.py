"""A cluster of unequal hosts on one Linux box: namespaces, a bridge, control groups, link rates; and its faults.

Each host is one process in network, host name, mount, process and IPC namespaces of its own, with a virtual cable to a
bridge. Everything hangs on that process: when it is killed, the kernel ends all processes of the host and takes its
network interface away. It is killed when the emulator dies, however that dies; what can remain then (bridge, control
groups, the folder in /run) is removed by the next start or by `clean`.
"""

import contextlib
import ctypes
import json
import os
import re
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from mpiedge.errors import EnvironmentProblem, UsageError
from mpiedge.runtime.heartbeat import VARIABLE
from mpiedge.supervise import emulated_host
from mpiedge.supervise.births import birth
from mpiedge.supervise.groups import Group
from mpiedge.supervise.profiles import Machine, Scale

STATE = Path("/run/mpiedge-emulate")
GROUP = "mpiedge-emulate"
HEAD = "head"
SCRIPT = Path(emulated_host.__file__).resolve()
PYTHON = [sys.executable, "-I", "-S", str(SCRIPT)]
TOOLS = ("ip", "tc", "unshare", "nsenter", "mount")
LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG = 1
START_WAIT_S = 20.0
LEAST_BURST_BYTES = 16_000
NOBODY = "02:00:00:00:00:fe"


@dataclass
class EmulatedHost:
    """A host of the cluster; machine None: the console, without limits. speed: share left by `slow`."""

    name: str
    number: int
    machine: Machine | None
    group: Group | None
    process: subprocess.Popen | None = None
    speed: float = 1.0
    state: str = field(default="up")


class Cluster:
    """The hosts of one emulation as a context manager.

    name: of the set of hosts, in timings.csv; machines: by hostfile; private: folders that each host but the one of the
    command has of its own. The command runs on a console named `head`, or on the first host when there are private
    folders.
    """

    def __init__(self, name: str, machines: list[Machine], scale: Scale, private: list[str], say):
        self.name, self.scale, self.private, self.say = name, scale, private, say
        self.token = secrets.token_hex(3)
        self.folder = STATE / self.token
        self.bridge = bridge_name(self.token)
        self.subnet = f"10.{64 + secrets.randbelow(64)}.{secrets.randbelow(256)}"
        self.hosts = {machine.name: EmulatedHost(machine.name, number, machine,
                                                 Group(f"{GROUP}-{self.token}-{number}"))
                      for number, machine in enumerate(machines, 1)}
        self.console = machines[0].name if private else HEAD
        if not private:
            self.hosts[HEAD] = EmulatedHost(HEAD, 250, None, None)
        self.rates = True

    # ---- up and down -------------------------------------------------------------------------------------------------

    def __enter__(self) -> "Cluster":
        try:
            self.folder.mkdir(parents=True)
            self._save()
            lines = ["127.0.0.1 localhost", *(f"{self._address(host)} {host.name}" for host in self.hosts.values())]
            (self.folder / "hosts").write_text("\n".join(lines) + "\n")
            agent = self.folder / "agent"
            words = shlex.join([*PYTHON, "agent", str(self.folder)])
            agent.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
            agent.chmod(0o755)
            (self.folder / "environment.json").write_text(json.dumps(self.environment()))
            _run("ip", "link", "add", self.bridge, "type", "bridge")
            _run("ip", "link", "set", self.bridge, "up")
            for host in self.hosts.values():
                self._start(host)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_) -> None:
        for host in self.hosts.values():
            self._end(host)
        take_down(self._state(), self.folder)

    def environment(self) -> dict[str, str]:
        """Local: what a login on an emulated host finds, and what makes launchers use the emulated ssh."""
        agent = str(self.folder / "agent")
        kept = {name: value for name, value in os.environ.items() if name != VARIABLE}
        return {**kept, "PRTE_MCA_plm_ssh_agent": agent, "PRTE_MCA_plm": "ssh", "OMPI_MCA_plm_rsh_agent": agent,
                "HYDRA_LAUNCHER": "ssh", "HYDRA_LAUNCHER_EXEC": agent, "MPIEDGE_CLUSTER": self.name}

    def run(self, words: list[str], environment: dict[str, str], streams=(0, 1, 2)) -> emulated_host.Session:
        """Local: starts a command on the console, by default with this process's standard streams."""
        words = ["/usr/bin/env", *words]
        return emulated_host.Session(str(self.folder), self.console, words, os.getcwd(), environment, streams)

    def _start(self, host: EmulatedHost) -> None:
        """Local: makes a host: its process, its cable, its limits; it answers when this returns."""
        (self.folder / f"{host.name}.socket").unlink(missing_ok=True)
        parent = os.getpid()
        command = ["unshare", "--net", "--uts", "--mount", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc",
                   *PYTHON, "serve", str(self.folder), host.name, *(self.private if host.name != self.console else [])]
        if host.group:
            host.group.create(self._cores(host), int(host.machine.memory_bytes * self.scale.memory))
            self._save()
        host.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=lambda: _die_with(parent, host))
        end = time.monotonic() + START_WAIT_S
        while not (self.folder / f"{host.name}.socket").exists():
            if host.process.poll() is not None or time.monotonic() > end:
                raise EnvironmentProblem(host.name, "the emulated host could not be started (see above)",
                                         "Namespaces are needed: root on Linux; containers need --privileged")
            time.sleep(0.01)
        self._plug(host)
        host.state, host.speed = "up", 1.0
        self._set_link(host, True)

    def _plug(self, host: EmulatedHost) -> None:
        """Local: the cable between the host's eth0 and the bridge, with the rate of its link at both ends."""
        inside, pid = self.inside(host), psutil.Process(host.process.pid).children()[0].pid
        cable = self._cable(host)
        with contextlib.suppress(EnvironmentProblem):
            _run("ip", "link", "del", cable)  # of an earlier life of this host
        _run("ip", "link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", str(pid))
        _run("ip", "link", "set", cable, "master", self.bridge, "up")
        _run(*inside, "ip", "address", "add", f"{self._address(host)}/24", "dev", "eth0")
        _run(*inside, "ip", "link", "set", "eth0", "up")
        _run(*inside, "ip", "link", "set", "lo", "up")
        if host.machine and self.rates:
            rate = max(1, int(host.machine.link_bits * self.scale.time))
            burst = max(LEAST_BURST_BYTES, rate // 8 // 100)
            shape = ["tc", "qdisc", "add", "dev", "", "root", "tbf", "rate", f"{rate}bit", "burst", str(burst),
                     "latency", "100ms"]
            try:
                for before, device in (([], cable), (inside, "eth0")):
                    shape[4] = device
                    _run(*before, *shape)
            except EnvironmentProblem as problem:
                self.rates = False
                self.say(f"link rates are not emulated here ({problem.cause})")

    def _end(self, host: EmulatedHost) -> None:
        if host.process is not None:
            host.process.kill()
            if host.group:
                host.group.signal(signal.SIGKILL)
            host.process.wait()
            host.process = None

    # ---- faults ------------------------------------------------------------------------------------------------------

    def order(self, words: list[str]) -> str:
        """Local: carries out `kill HOST`, `cut HOST [in|out]`, `freeze HOST`, `slow HOST 4x`, `mend HOST` or `list`."""
        verb, *rest = words
        if verb == "list":
            return "; ".join(f"{host.name} {host.state}" for host in self.hosts.values())
        host = self.hosts.get(rest[0]) if rest else None
        if host is None:
            raise UsageError(" ".join(words), "names no host of this cluster", f"It has {', '.join(self.hosts)}")
        if verb == "slow":
            if host.group is None:
                raise UsageError(host.name, "is the console and has no limits", "Name another host")
            host.speed = 1 / parse_factor(rest[1] if len(rest) > 1 else "")
            host.group.set_cores(self._cores(host))
            host.state = f"at {host.speed:.2f} of its speed"
        elif verb == "mend":
            self._mend(host)
        elif verb == "cut" and rest[1:] in (["in"], ["out"]):
            self._cut_one_way(host, rest[1])
            host.state = f"cut off ({rest[1]})"
        elif verb in ("kill", "cut", "freeze"):
            getattr(self, f"_{verb}")(host)
            host.state = {"kill": "dead", "cut": "cut off", "freeze": "frozen"}[verb]
        else:
            raise UsageError(verb, "is no order", "There are kill, cut, freeze, slow, mend and list")
        self.say(f"{host.name} is {host.state}")
        return f"{host.name} is {host.state}"

    def _kill(self, host: EmulatedHost) -> None:
        """As a power cut: the other hosts hear nothing of it."""
        self._cut(host)
        self._end(host)

    def _cut(self, host: EmulatedHost) -> None:
        self._set_link(host, False)

    def _cut_one_way(self, host: EmulatedHost, way: str) -> None:
        """Local: nothing reaches the host any more (in), or nothing it sends arrives (out): it goes to nobody."""
        (self.folder / f"{host.name}.link").write_text("down")
        for other in self.hosts.values():
            sender, receiver = (host, other) if way == "out" else (other, host)
            if other is not host and sender.process is not None:
                _run(*self.inside(sender), "ip", "neigh", "replace", self._address(receiver), "lladdr", NOBODY, "dev",
                     "eth0", "nud", "permanent")

    def _freeze(self, host: EmulatedHost) -> None:
        if host.group is None:
            raise UsageError(host.name, "is the console", "Name another host")
        host.group.signal(signal.SIGSTOP)

    def _mend(self, host: EmulatedHost) -> None:
        """Local: back as it was at the start; a dead host is started again, empty."""
        if host.process is None:
            if host.group:
                _wait_until(host.group.remove, 5.0)
            self._start(host)
            return
        if host.group:
            host.group.wake()
            host.speed = 1.0
            host.group.set_cores(self._cores(host))
        for one in self.hosts.values():
            if "cut off (" in host.state and one.process is not None:
                _run(*self.inside(one), "ip", "neigh", "flush", "dev", "eth0", "nud", "permanent")
        self._set_link(host, True)
        host.state = "up"

    def _set_link(self, host: EmulatedHost, up: bool) -> None:
        _run("ip", "link", "set", self._cable(host), "up" if up else "down")
        (self.folder / f"{host.name}.link").write_text("up" if up else "down")

    # ---- helpers -----------------------------------------------------------------------------------------------------

    def inside(self, host: EmulatedHost) -> list[str]:
        """Local: the words before a command that runs in the network of a host."""
        return ["nsenter", f"--net=/proc/{psutil.Process(host.process.pid).children()[0].pid}/ns/net"]

    def _cores(self, host: EmulatedHost) -> float:
        return host.machine.cores * host.machine.speed * self.scale.time * host.speed

    def _address(self, host: EmulatedHost) -> str:
        return f"{self.subnet}.{host.number}"

    def _cable(self, host: EmulatedHost) -> str:
        return f"{self.bridge}h{host.number}"

    def _state(self) -> dict:
        return {"pid": os.getpid(), "birth": birth(os.getpid()), "bridge": self.bridge,
                "hosts": list(self.hosts),
                "groups": [group.folders[0].name for group in (host.group for host in self.hosts.values()) if group]}

    def _save(self) -> None:
        """Local: in one step, so that who sweeps never finds a half of it."""
        written = self.folder / "state.json.new"
        written.write_text(json.dumps(self._state()))
        written.replace(self.folder / "state.json")


def bridge_name(token: str) -> str:
    """Local: of the bridge of a cluster."""
    return f"mpe{token}"


def parse_factor(text: str) -> float:
    """Local: 4.0 of "4x" or "4". Raises UsageError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)x?", text)
    if not match or float(match[1]) < 1:
        raise UsageError(f"slow {text}".strip(), "by how much?", "Write for example: mpiedge-emulate slow pi4-2 4x")
    return float(match[1])


def check_box() -> None:
    """Local: raises EnvironmentProblem in one line when this box cannot emulate."""
    if sys.platform != "linux" or os.geteuid() != 0:
        raise EnvironmentProblem("mpiedge-emulate", "namespaces and control groups need root on Linux",
                                 "Run it as root: sudo -E env PATH=$PATH mpiedge-emulate ...")
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        raise EnvironmentProblem(", ".join(missing), "not found", "Install iproute2 and util-linux")


def clusters() -> dict[Path, dict]:
    """Local: folder -> state of every emulation that was started here and not taken down.

    A folder without a state, whose emulator was killed as it began or whose disk was full, counts as dead once it is
    old; its name tells what is to be removed.
    """
    found = {}
    for folder in sorted(STATE.glob("*")):
        with contextlib.suppress(OSError):
            try:
                found[folder] = json.loads((folder / "state.json").read_text())
            except (FileNotFoundError, ValueError):
                if time.time() - folder.stat().st_mtime > START_WAIT_S:
                    groups = Group(f"{GROUP}-{folder.name}-*").folders[0]
                    found[folder] = {"pid": 0, "hosts": [], "bridge": bridge_name(folder.name),
                                     "groups": [path.name for path in groups.parent.glob(groups.name)]}
    return found


def is_alive(state: dict) -> bool:
    """Local: whether the emulator of a state still runs."""
    return birth(state["pid"]) == state.get("birth") != ""


def sweep() -> int:
    """Local: removes what emulators that were killed have left behind; returns how many there were."""
    dead = [(folder, state) for folder, state in clusters().items() if not is_alive(state)]
    for folder, state in dead:
        take_down(state, folder)
    return len(dead)


def take_down(state: dict, folder: Path) -> None:
    """Local: ends the processes of an emulation and removes its bridge, its control groups and its folder."""
    groups = [Group(name) for name in state["groups"]]
    for group in groups:
        group.signal(signal.SIGKILL)
    with contextlib.suppress(EnvironmentProblem):
        _run("ip", "link", "del", state["bridge"])
    for group in groups:
        _wait_until(group.remove, 5.0)
    for link in Path("/sys/class/net").glob(f"{state['bridge']}h*"):
        with contextlib.suppress(EnvironmentProblem):
            _run("ip", "link", "del", link.name)
    shutil.rmtree(folder, ignore_errors=True)


def _wait_until(true, longest_s: float) -> None:
    end = time.monotonic() + longest_s
    while not true() and time.monotonic() < end:
        time.sleep(0.05)


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        cause = " ".join(done.stderr.split())[:200]
        raise EnvironmentProblem(" ".join(words[:4]), cause or f"exit code {done.returncode}",
                                 "Root and a kernel with bridges and virtual cables are needed")


def _die_with(parent: int, host: EmulatedHost) -> None:
    """In the child, before it becomes a host: dies with the emulator, lives within the host's limits."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    if host.group:
        host.group.add(os.getpid())
