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
        say(f"cluster {cluster.token} is up, the command runs on {cluster.console}")
        code = _serve(cluster, cluster.run(command, cluster.environment()))
        say(f"the command ended with exit code {code}")
    return code


def _interrupt(number: int, _frame) -> None:
    raise KeyboardInterrupt


def _serve(cluster, session) -> int:
    """Local: carries out orders until the command on the console has ended; signals are passed on to it."""
    control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    control.bind(str(cluster.folder / CONTROL))
    control.listen(8)
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


def send_order(words: list[str]) -> str:
    """Local: gives an order to the cluster that has its host, the newest of several; returns what was done.

    Raises EnvironmentProblem when none runs, UsageError when it refuses.
    """
    alive = [(folder, state) for folder, state in clusters.clusters().items() if clusters.is_alive(state)]
    fitting = [entry for entry in alive if len(words) < 2 or words[1] in entry[1]["hosts"]] or alive
    if not fitting:
        raise EnvironmentProblem("mpiedge-emulate", "no emulated cluster runs here",
                                 "Start one: mpiedge-emulate HOSTFILE -- COMMAND")
    folder, _ = max(fitting, key=lambda entry: entry[1]["created"])
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
