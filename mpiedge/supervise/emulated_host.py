"""The first process of an emulated host: starts what the launch agent asks for, as sshd does on a real one.

A script of its own, standard library only, run in fresh namespaces as process 1 of its host:
    emulated_host.py serve FOLDER NAME HIDDEN...  answers at FOLDER/NAME.socket until it is killed
    emulated_host.py agent FOLDER NAME WORDS...   runs the words in a shell of that host, as `ssh NAME WORDS...` would

Messages over the socket: the client sends a JSON object and its three standard streams, later perhaps signals; the host
sends the exit code. Killed, process 1 takes every process of its host along, as a power cut does.
"""

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time

UNREACHABLE_WAIT_S = 60.0
POLL_S = 0.1


def serve(folder: str, name: str, hidden: list[str]) -> None:
    """The host's main loop: accepts commands, reaps every process that ends, its own or adopted.

    hidden: folders that this host has of its own, empty at first.
    """
    socket.sethostname(name)
    mounts = [(f"{folder}/hosts", "/etc/hosts")]
    for number, place in enumerate(hidden):
        own = f"{folder}/{name}.private{number}"
        os.makedirs(own, exist_ok=True)
        mounts.append((own, place))
    temporary = f"{folder}/{name}.tmp"  # launchers keep files there by host and pid, and pids repeat in a namespace
    shutil.rmtree(temporary, ignore_errors=True)  # of an earlier life of this host
    os.makedirs(temporary)
    for source, target in mounts:
        subprocess.run(["mount", "--bind", source, target], check=True)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listen(server, f"{folder}/{name}.socket")
    running: dict[int, socket.socket] = {}
    while True:
        ready, _, _ = select.select([server, *running.values()], [], [], POLL_S)
        for connection in ready:
            if connection is server:
                client = server.accept()[0]
                with contextlib.suppress(OSError, ValueError):
                    running[_start(client, temporary)] = client
            else:
                _pass_signal(connection, running)
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            client = running.pop(pid, None)
            if client is not None:
                with contextlib.suppress(OSError):
                    client.sendall(str(os.waitstatus_to_exitcode(status)).encode())
                client.close()


def listen(server: socket.socket, path: str) -> None:
    """Lets a socket listen at a path that appears only when clients can connect."""
    server.bind(f"{path}.new")
    server.listen(64)
    os.rename(f"{path}.new", path)


def _start(client: socket.socket, temporary: str) -> int:
    data, streams, _, _ = socket.recv_fds(client, 1 << 20, 3)
    request = json.loads(data)
    pid = os.fork()
    if pid:
        for stream in streams:
            os.close(stream)
        return pid
    try:
        os.setsid()
        for target, stream in enumerate(streams):
            os.dup2(stream, target)
        os.closerange(3, 256)
        os.chdir(request["folder"])
        environment = {**request["environment"], "TMPDIR": temporary}
        os.execve(request["words"][0], request["words"], environment)
    finally:
        os._exit(127)


def _pass_signal(connection: socket.socket, running: dict) -> None:
    """A client sends the number of a signal for its command, or has gone: the command goes on then."""
    pid = next(pid for pid, other in running.items() if other is connection)
    with contextlib.suppress(OSError, ValueError):
        data = connection.recv(64)
        if data:
            os.kill(pid, int(data))
            return
    del running[pid]
    connection.close()


class Session:
    """A command on an emulated host, seen from outside."""

    def __init__(self, folder: str, name: str, words: list[str], where: str, environment: dict, streams=(0, 1, 2)):
        """streams: descriptors for its input, output and errors. OSError when the host does not answer."""
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(f"{folder}/{name}.socket")
        request = {"words": words, "folder": where, "environment": environment}
        socket.send_fds(self.socket, [json.dumps(request).encode()], streams)

    def signal(self, number: int) -> None:
        """Passes a signal to the command."""
        with contextlib.suppress(OSError):
            self.socket.sendall(str(number).encode())

    def exit_code(self) -> int:
        """Waits for the end of the command; 255, as of ssh, when the host died meanwhile."""
        with contextlib.suppress(OSError):
            data = self.socket.recv(16)
            if data:
                code = int(data)
                return code if code >= 0 else 128 - code
        return 255


def agent(folder: str, name: str, words: list[str]) -> int:
    """What stands in for ssh: exit code of the command, 255 where the host cannot be reached."""
    up = False
    try:
        up = link_is_up(folder, name)
        with open(f"{folder}/environment.json") as file:
            environment = json.load(file)
        if up:
            shell = ["/bin/sh", "-c", " ".join(words)]
            session = Session(folder, name, shell, environment.get("HOME", "/"), environment)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, lambda got, _: session.signal(got))
            code = session.exit_code()
            if code != 255 or link_is_up(folder, name):
                return code
        time.sleep(UNREACHABLE_WAIT_S)  # packets vanish: nobody says no
    except OSError:
        pass
    cause = "Connection refused" if up else "No route to host"
    print(f"emulated ssh: connect to host {name}: {cause}", file=sys.stderr)
    return 255


def link_is_up(folder: str, name: str) -> bool:
    """Whether packets reach the host; OSError for an unknown name."""
    with open(f"{folder}/{name}.link") as file:
        return file.read().strip() == "up"


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2], sys.argv[3], sys.argv[4:])
    else:
        sys.exit(agent(sys.argv[2], sys.argv[3], sys.argv[4:]))
