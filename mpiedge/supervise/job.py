"""One mpirun under watch: started in a process group of its own, ended with all it left behind."""

import contextlib
import ctypes
import os
import re
import selectors
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

import psutil

from mpiedge.errors import Stopped
from mpiedge.runtime.kills import memory_kills
from mpiedge.runtime.leftovers import remove_session
from mpiedge.supervise.births import birth
from mpiedge.supervise.launch import ask, process_state
from mpiedge.supervise.watch import Fault, Listener, Table

POLL_S = 0.2
GONE_S = 1.0
"""For the others to notice that the process of a rank is gone."""
AGREE_S, COMPUTES_S = 4.0, 20.0
"""For those that have noticed it to go on, and for a rank that computes meanwhile to notice it."""
TERM_GRACE_S = 2.0
LOST_GRACE_S = 0.7
"""For mpirun to end the ranks that it reaches, where it would wait in vain for those of a host that is lost."""
LEAST_END_GRACE_S = 4.0
SAVE_GRACE_S = 10.0
LONGEST_PROBE_S = 3.0
DEAF_S = 1.0
"""A supervisor that has not listened for so long was stopped itself, or had no share of the processor."""
KEPT_BYTES, KEPT_WORDS = 200_000, 400
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)

# What launchers say when a rank or a daemon dies. Their exit codes alone are not to be trusted.
SIGNAL_OPEN_MPI = re.compile(r"rank\s+(\d+)\s+with\s+PID\s+\d+\s+on\s+node\s+(\S+)\s+exited\s+on\s+signal\s+(\d+)")
LOST_OPEN_MPI = re.compile(r"[Rr]emote\s+daemon:\s+\S+\s+on\s+node\s+(\S+)")
NOISE = b"NBC_Progress: an error"  # a collective call that failed as a rank died
FRAME = re.compile(rb"[-=]{60,}\s*")
SIGNAL_MPICH = re.compile(r"PID\s+(\d+)\s+RUNNING\s+AT\s+(\S+)\s*\n=\s+EXIT CODE:\s+(\d+)")  # on stdout


@dataclass
class Outcome:
    """How a job ended. code: that of mpirun, None when it was killed; error: (exit code, line) of a rank's own;
    went_on: whether ranks had gone on without some that died."""

    code: int | None
    faults: list[Fault]
    error: tuple[int, str] | None
    last_words: str
    went_on: bool = False


class Job:
    """An mpirun, its ranks' beats, and its end."""

    def __init__(self, command: list[str], environment: dict, name: str, listener: Listener, table: Table, note, *,
                 silent_hosts, notices_on_stdout: bool = False):
        """Local: starts it.

        note(fault, what was done): writes down what was seen; silent_hosts(names, meanwhile): faults of those
        hosts that do not answer.
        """
        self.name, self.listener, self.table, self.note = name, listener, table, note
        self.in_place = "--with-ft" in command
        self.said = b""
        self.told: set[int] = set()  # the ranks of which it is known that the others go on without them
        self.gone_s: dict[int, float] = {}  # since when the process of a rank is gone
        self.computed_s = 0.0  # when a rank that is left was last seen to compute, and so to have noticed nothing
        self.listened_s = time.monotonic()
        self.silent_hosts = silent_hosts
        self.next_check_s = time.monotonic() + table.timeout_s
        parent = os.getpid()
        self.process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                        stdout=subprocess.PIPE if notices_on_stdout else None,
                                        start_new_session=True, preexec_fn=lambda: _die_with(parent))
        self.streams = [_Stream(self.process.stderr, sys.stderr)]
        if notices_on_stdout:
            self.streams.append(_Stream(self.process.stdout, sys.stdout))
        self.selector = selectors.DefaultSelector()
        for source in (listener.socket, *(stream.source for stream in self.streams)):
            self.selector.register(source, selectors.EVENT_READ)

    def watch(self) -> Outcome:
        """Local: returns when the job has ended or had to be ended; nothing of it is left on this host then."""
        faults: list[Fault] = []
        ended_s = None
        try:
            while self.process.poll() is None and not faults:
                self.selector.select(POLL_S)
                self._hear()
                faults = (self._look_for_late_hosts() or self._look_for_lost()
                          or self._verify(self.table.suspects(time.monotonic())))
                if self.table.ended():
                    ended_s = ended_s or time.monotonic()
                    grace_s = GONE_S if self.table.lost else max(LEAST_END_GRACE_S, self.table.timeout_s)
                    if time.monotonic() - ended_s > grace_s:
                        break  # mpirun may wait for a host that was cut off meanwhile, or for a rank that was lost
        except Stopped:
            self._ask_to_end()
            raise
        finally:
            code = self.process.poll()
            self.end(LOST_GRACE_S if any(fault.host_lost for fault in faults) else TERM_GRACE_S)
        self._hear()
        said = self.said.decode("utf-8", "replace")
        if not faults and code is not None:
            pids = {state.pid: rank for rank, state in self.table.ranks.items()}
            faults = read_notices(said, self.table.placement, pids)
        self._look_for_memory(faults)
        own = None if faults else self.table.own_error()
        error = (own.exit, f"{own.line}") if own else None
        words = " ".join(said.replace("-", " ").split())[-KEPT_WORDS:]
        return Outcome(code, faults, error, words, bool(self.table.lost))

    def _ask_to_end(self) -> None:
        """Local: SIGUSR1, which launchers pass on: profile writes what it has found, train a checkpoint; others end."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGUSR1)
        end_s = time.monotonic() + SAVE_GRACE_S
        while self.process.poll() is None and time.monotonic() < end_s:
            self.selector.select(POLL_S)
            self._hear()

    def _hear(self) -> None:
        now = time.monotonic()
        if now - self.listened_s > DEAF_S:
            self.table.excuse(now - self.listened_s, now)
        self.listened_s = now
        for stream in self.streams:
            self.said = (self.said + stream.read())[-KEPT_BYTES:]
            if stream.over and stream.source in self.selector.get_map():
                self.selector.unregister(stream.source)
        self.listener.take(self.name, self.table)

    def _look_for_late_hosts(self) -> list[Fault]:
        """Local: a host that dies while the job starts is never heard; the launcher and all ranks wait for it."""
        if time.monotonic() < self.next_check_s or not (late := self.table.unstarted_hosts()):
            return []
        faults = self.silent_hosts(late, self._hear)
        self.next_check_s = time.monotonic() + self.table.timeout_s
        return faults

    def _verify(self, suspects: list[Fault]) -> list[Fault]:
        """Local: silence alone may be a rank deep in one long call: its host is asked what became of the process."""
        wait_s = max(1.0, min(LONGEST_PROBE_S, self.table.timeout_s / 2))
        verified = []
        hosts: dict[str, str] = {}
        for fault in suspects:
            state = self.table.ranks.get(fault.rank)
            if state is None or fault.host_lost or state.seen_alive:
                verified.append(fault)
                continue
            if hosts.get(fault.host) != "?":
                hosts[fault.host] = process_state(fault.host, state.pid, wait_s, self._hear)
            letter = hosts[fault.host]
            self._hear()
            if time.monotonic() - state.heard_s < self.table.timeout_s:
                continue  # it has spoken meanwhile
            if letter == "?":
                fault.host_lost = True
                fault.cause += "; the host does not answer"
            elif letter in ("", "Z", "X"):
                fault.cause += "; the process is gone"
            elif letter in ("T", "t"):
                fault.cause += "; the process is stopped"
            else:
                state.seen_alive = letter
                self.note(fault, f"its process is alive (state {letter}), waiting longer", aloud=False)
                continue
            verified.append(fault)
        return verified

    def _look_for_lost(self) -> list[Fault]:
        """Local: notes the ranks of this host that died and that the others go on without. Faults: of those that died
        for want of memory, as less of it has to be planned then, and of those that the others do not go on without.
        """
        if not self.in_place:
            return []
        for rank in sorted(self.table.lost - self.told):
            fault = Fault(self.table.host_of(rank), rank, "its process has ended")
            self._look_for_memory([fault])
            if fault.memory:
                return [fault]
            self.told.add(rank)
            self.note(fault, "the others go on without it")
        now = time.monotonic()
        gone = [rank for rank, state in self.table.ranks.items() if state.exit is None and rank not in self.table.lost
                and not os.path.exists(f"/proc/{state.pid}")]
        unheard = sorted(set(range(len(self.table.placement))) - self.table.lost - self.table.ranks.keys())
        if unheard and self.table.ranks:  # mpirun has started all when one is heard; which of them is gone nobody knows
            missing = len(self.table.placement) - len(self.table.lost) - len(gone) - len(_family(self.process.pid))
            gone += unheard[: max(0, missing)]
        self.gone_s = {rank: self.gone_s.get(rank, now) for rank in gone}
        since_s = min(self.gone_s.values(), default=now)
        noticed, late = self.table.regrouping(gone)
        waits = any(state.waiting and state.heard_s > since_s for state in late)  # so it should have noticed
        if noticed and late and not waits and now - since_s < COMPUTES_S:
            self.computed_s = now
        limit_s = AGREE_S if noticed and not waits else GONE_S
        return [Fault(self.table.host_of(rank), rank, "its process is gone") for rank in gone
                if now - max(self.gone_s[rank], self.computed_s) > limit_s]

    def _look_for_memory(self, faults: list[Fault]) -> None:
        """Local: whether ranks that are gone were ended for want of memory: their hosts count such ends."""
        gone = [fault for fault in faults if fault.rank is not None and not fault.host_lost]
        for host in {fault.host for fault in gone if fault.host}:
            before = [state.memory_kills for rank, state in self.table.ranks.items()
                      if self.table.host_of(rank) == host and state.memory_kills is not None]
            code, text = ask({host: ["cat", "/proc/vmstat"]}, LONGEST_PROBE_S, self._hear)[host] if before else (1, "")
            now = memory_kills(text) if code == 0 else None
            for fault in gone:
                if fault.host == host and now is not None and now > min(before):
                    fault.memory = True
                    fault.cause += "; the host was out of memory"

    def end(self, grace_s: float = TERM_GRACE_S) -> None:
        """Local: ends mpirun and every process of it on this host; mpirun's daemons end those of other hosts.

        Ranks on hosts that cannot be reached end themselves when nothing answers their beats (runtime/heartbeat.py).
        """
        victims = [*_family(self.process.pid), *_orphans(self.process.pid)]
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(grace_s)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        for victim in victims:
            with contextlib.suppress(psutil.Error):
                victim.kill()
        self.process.wait()
        remove_session(self.process.pid)


class _Stream:
    """What comes out of mpirun, handed on without the framed notices, which the supervisor words."""

    def __init__(self, source, target):
        self.source, self.target = source, target
        self.over = self.framed = False
        self.partial = b""
        os.set_blocking(source.fileno(), False)

    def read(self) -> bytes:
        """Local: all that is there."""
        whole = b""
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self.source.fileno(), 65536):
                whole += data
            self.over = True
        *lines, self.partial = (self.partial + whole).split(b"\n")
        for line in lines:
            if FRAME.fullmatch(line):
                self.framed = not self.framed
            elif not self.framed and not line.startswith(NOISE):
                self.target.write(line.decode("utf-8", "replace") + "\n")
        self.target.flush()
        return whole


def read_notices(said: str, placement: list[str], pids: dict[int, int]) -> list[Fault]:
    """Local: the faults that the launcher's own notices name. pids: the rank of each process known by its beats."""
    faults = [Fault(_as_listed(host, placement), int(rank), f"killed by signal {number}")
              for rank, host, number in SIGNAL_OPEN_MPI.findall(said)]
    faults += [Fault(_as_listed(host, placement), None, "mpirun has lost the host", host_lost=True)
               for host in LOST_OPEN_MPI.findall(said)]
    faults += [Fault(_as_listed(host, placement), pids.get(int(pid)), f"killed by signal {number}")
               for pid, host, number in SIGNAL_MPICH.findall(said) if 0 < int(number) < 65]
    return faults


def _as_listed(name: str, placement: list[str]) -> str | None:
    """The hostfile's name of a host that names itself `name`."""
    short = name.split(".")[0]
    for listed in placement:
        if listed.split(".")[0] == short:
            return listed
    return placement[0] if len(set(placement)) == 1 else None


def end_left_over(pid: int, born: str) -> bool:
    """Local: ends what is left here of the mpirun of a supervisor that died, or of its ranks; True when there was
    something. born: its `birth`: another process may have its number by now."""
    victims = []
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        if not born or birth(pid) != born:
            return False
        victims = [process, *_family(pid)]
        process.terminate()
        psutil.wait_procs(victims, TERM_GRACE_S)
    victims += _orphans(pid)
    for victim in victims:
        with contextlib.suppress(psutil.Error):
            victim.kill()
    remove_session(pid)
    return bool(victims)


def _family(pid: int) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).children(recursive=True)
    return []


def _orphans(session: int) -> list[psutil.Process]:
    """Ranks on this host whose mpirun, the leader of their session, has died before them."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if os.getsid(process.pid) == session and process.ppid() != session and any(
                    word.startswith("mpiedge.commands.") for word in process.cmdline()):
                found.append(process)
    return found


def _die_with(parent: int) -> None:
    """In the child: mpirun gets SIGTERM when the supervisor dies, however it dies."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(1)
