"""One emulation from start to end: makes the cluster, runs the command on it, takes orders meanwhile."""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil

from mpiedge.errors import EnvironmentProblem, MpiedgeError, UsageError
from mpiedge.supervise import cluster as clusters
from mpiedge.supervise.hosts import read_hostfile
from mpiedge.supervise.profiles import describe, fit, read_profile

CONTROL = "control.socket"


def emulate(hostfile: str, profile: str, private: list[str], command: list[str], quiet: bool) -> int:
    """Local: the exit code of the command. Raises InputError, EnvironmentProblem."""
    def say(text: str) -> None:
        if not quiet:
            print(f"emulated: {text}", file=sys.stderr, flush=True)

    swept = clusters.sweep()
    if swept:
        say(f"{swept} clusters that were left behind are removed")
    machines = read_profile(profile, read_hostfile(hostfile))
    private = [os.path.abspath(folder) for folder in private]
    for folder in private:
        if not Path(folder).is_dir():
            raise UsageError(f"--private {folder}", "is no folder", "Make it first")
    scale = fit(machines, len(os.sched_getaffinity(0)), psutil.virtual_memory().available)
    say(f"{len(machines)} hosts of profile {profile}: {scale.tell()}")
    for machine in machines:
        say(describe(machine, scale))
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    with clusters.Cluster(f"emulated-{Path(profile).stem}", machines, scale, private, say) as cluster:
        with _taking_orders(cluster) as control:
            say(f"cluster {cluster.token} is up, the command runs on {cluster.console}")
            code = _serve(cluster, control, cluster.run(command, cluster.environment()))
        say(f"the command ended with exit code {code}")
    return code


def _interrupt(number: int, _frame) -> None:
    raise KeyboardInterrupt


@contextlib.contextmanager
def _taking_orders(cluster):
    """Local: the socket of orders; it can be seen only while it is answered."""
    path = cluster.folder / CONTROL
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control:
        clusters.emulated_host.listen(control, str(path))
        try:
            yield control
        finally:
            path.unlink(missing_ok=True)


def _serve(cluster, control: socket.socket, session) -> int:
    """Local: carries out orders until the command on the console has ended; signals are passed on to it."""
    while True:
        try:
            ready, _, _ = select.select([control, session.socket], [], [])
            if session.socket in ready:
                return session.exit_code()
            _answer(cluster, control.accept()[0])
        except KeyboardInterrupt:
            session.signal(signal.SIGTERM)


def _answer(cluster, client: socket.socket) -> None:
    client.settimeout(5)
    with client, contextlib.suppress(OSError):
        try:
            answer = {"done": cluster.order(json.loads(client.recv(4096)))}
        except (MpiedgeError, ValueError, subprocess.SubprocessError) as error:
            answer = {"error": str(error)}
        client.sendall(json.dumps(answer).encode())


def send_order(words: list[str], token: str | None = None) -> str:
    """Local: gives an order to a cluster; returns what was done.

    token: of that cluster; None: the only one here, or the only one that has the host of the order. Raises
    EnvironmentProblem when there is none, UsageError when several may be meant or the cluster refuses.
    """
    alive = {folder.name: state["hosts"] for folder, state in clusters.clusters().items()
             if clusters.is_alive(state) and (folder / CONTROL).exists() and token in (None, folder.name)}
    fitting = [name for name, hosts in alive.items() if len(words) < 2 or words[1] in hosts] or list(alive)
    if not fitting:
        raise EnvironmentProblem("mpiedge-emulate", f"no emulated cluster {token or ''} runs here".replace("  ", " "),
                                 "Start one: mpiedge-emulate HOSTFILE -- COMMAND")
    if len(fitting) > 1:
        raise UsageError(" ".join(words), f"for which of the emulated clusters {', '.join(fitting)}?",
                         f"Name it: mpiedge-emulate --cluster {fitting[0]} {' '.join(words)}")
    folder = clusters.STATE / fitting[0]
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control:
        try:
            control.connect(str(folder / CONTROL))
            control.sendall(json.dumps(words).encode())
            answer = json.loads(control.recv(65536))
        except (OSError, ValueError) as error:
            raise EnvironmentProblem(folder, f"the emulator does not answer ({error})",
                                     "Is it still at work?") from error
    if "error" in answer:
        raise UsageError(" ".join(words), answer["error"])
    return answer["done"]
