"""Signs of life of a rank to the supervisor of its job, and the fence that keeps a lost rank from committing.

Messages are JSON datagrams, the same in shared and served mode, as no rank needs to see the run folder for them:

    rank -> supervisor   beat: job, rank, host, pid, phase, steps, waiting, unheard_s, memory_kills (of the host when
                         the rank started), lost (ranks that were cut out); the last one has an exit code
    supervisor -> rank   answer: job, and go on or end

Fencing. A rank is lost when the supervisor says so, or when it has heard no answer for `lease_s`, twice the time after
which the supervisor itself gives up a silent rank. A lost rank ends itself. It may act in between (it was stopped and
wakes): what it can no longer change then, and why, stands in store/fence.py. A stage that begins reads the name of the
running job from the run folder (`check_fence`): that tells whether rank 0 sees the folder of its supervisor at all.
"""

import contextlib
import json
import os
import socket
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from mpiedge.errors import EnvironmentProblem, Stopped
from mpiedge.runtime import launcher
from mpiedge.runtime.kills import memory_kills

VARIABLE = "MPIEDGE_SUPERVISOR"
JOB_FILE = "supervisor.json"
END_CODE = Stopped.exit_code
WAITING_FILES = ("world.py", "mail.py")  # a main thread inside a function of these waits for other ranks
WAITING_CALLS = ("_wait_for_work", "_clean_up", "finished")
LONGEST_INTERVAL_S = 2.0
REGROUP = "regroup"
"""The phase of a rank that has noticed that another one died, and waits for those that are left."""
STOPPED_S = 1.0
"""A thread that comes so much too late was stopped, or had no share of the processor."""


@dataclass(frozen=True)
class Link:
    """How a rank reaches its supervisor: name of the job, addresses, port, seconds of silence that count as lost."""

    job: str
    addresses: tuple[str, ...]
    port: int
    timeout_s: float

    def to_text(self) -> str:
        """The value of the environment variable."""
        return "@".join((self.job, str(self.port), f"{self.timeout_s:g}", ",".join(self.addresses)))

    @classmethod
    def from_text(cls, text: str) -> "Link":
        """The inverse of `to_text`; ValueError for anything else."""
        job, port, timeout_s, addresses = text.split("@")
        return cls(job, tuple(addresses.split(",")), int(port), float(timeout_s))

    @property
    def interval_s(self) -> float:
        """Seconds between two beats."""
        return min(LONGEST_INTERVAL_S, self.timeout_s / 5)

    @property
    def lease_s(self) -> float:
        """Seconds without an answer after which a rank ends itself."""
        return 2 * self.timeout_s


class Heart:
    """The thread that beats; one per process, none without a supervisor."""

    def __init__(self, link: Link):
        self.link = link
        self.stage = None
        self.lost: list[int] = []  # the ranks that this one goes on without
        self.regroups = False
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(link.interval_s)
        self._heard = time.monotonic()
        self._woke = 0.0  # when this thread last came too late: what it was not awake to hear tells nothing
        self._memory_kills = memory_kills()
        self._main = threading.main_thread().ident
        self._over = False
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()

    def _beat(self) -> None:
        while not self._over:
            due = time.monotonic() + self.link.interval_s
            self._send(self._state())
            self._listen(due)
            now = time.monotonic()
            if now - due > STOPPED_S:
                self._woke = now
            # The whole box may have stood still: who is alive is asked twice more before this rank gives up.
            heard = max(self._heard, self._woke + 2 * self.link.interval_s - self.link.lease_s)
            if now - heard > self.link.lease_s and not self._over:
                os._exit(END_CODE)  # cut off, or the supervisor is gone: others may be doing this work

    def _listen(self, until: float) -> None:
        while (left := until - time.monotonic()) > 0 and not self._over:
            self._socket.settimeout(left)
            try:
                answer = json.loads(self._socket.recv(1024))
            except (OSError, ValueError):
                time.sleep(max(0.0, min(0.1, until - time.monotonic())))  # a refused port answers at once
                continue
            if not isinstance(answer, dict) or answer.get("job") != self.link.job:
                continue
            if not answer.get("go"):
                os._exit(END_CODE)
            self._heard = time.monotonic()

    def _send(self, message: dict) -> None:
        data = json.dumps({"job": self.link.job, "rank": launcher.rank_hint(), "size": launcher.size_hint(),
                           "host": os.environ.get("MPIEDGE_HOST") or socket.gethostname(), "pid": os.getpid(),
                           **message}).encode()
        for address in self.link.addresses:
            with contextlib.suppress(OSError):
                self._socket.sendto(data, (address, self.link.port))

    def _state(self) -> dict:
        unheard_s = time.monotonic() - max(self._heard, self._woke)
        state = {"phase": "start", "steps": 0, "waiting": self._waits(), "unheard_s": round(unheard_s, 1),
                 "memory_kills": self._memory_kills, "lost": self.lost}
        stage = self.stage
        if stage is not None:
            open_phases = list(stage.timings._open)
            phases = list(stage.timings.phases.values())
            state["phase"] = open_phases[-1].name if open_phases else stage.name
            state["steps"] = sum(phase.calls or 0 for phase in phases) + stage.queue.finished
        return state | {"phase": REGROUP} if self.regroups else state

    def _waits(self) -> bool:
        """Whether the main thread is inside a call that waits for other ranks."""
        frame = sys._current_frames().get(self._main)
        while frame is not None:
            code = frame.f_code
            if code.co_name in WAITING_CALLS or code.co_filename.rsplit("/", 1)[-1] in WAITING_FILES:
                return True
            frame = frame.f_back
        return False

    def regroup(self) -> None:
        """Local: tells at once that this rank waits for others that are left, to go on without one that died."""
        self.regroups = True
        self._send(self._state())

    def went_on(self, lost: list[int]) -> None:
        """Local: tells at once that this rank begins its stage again without these."""
        self.stage, self.lost, self.regroups = None, lost, False
        self._send(self._state())

    def farewell(self, code: int, line: str) -> None:
        """Local: the last word of this rank: exit code and the line of its error; said twice, as datagrams get lost."""
        self._over = True
        for _ in range(2):
            self._send({"exit": code, "line": line[:800]})


_heart: Heart | None = None


def start() -> None:
    """Local: begins to beat if a supervisor launched this process; before MPI, so that its start is watched too."""
    global _heart
    text = os.environ.get(VARIABLE)
    if text and _heart is None:
        with contextlib.suppress(ValueError, OSError):
            _heart = Heart(Link.from_text(text))


def follow(stage) -> None:
    """Local: from now on the beats tell phase and progress of this stage."""
    if _heart is not None:
        _heart.stage = stage


def regroup() -> None:
    """Local: tells the supervisor that this rank has noticed that another one died."""
    if _heart is not None:
        _heart.regroup()


def went_on(lost: list[int]) -> None:
    """Local: tells the supervisor which ranks have died and were cut out."""
    if _heart is not None:
        _heart.went_on(lost)


def farewell(code: int, line: str = "") -> None:
    """Local: tells the supervisor that this rank ends of its own accord."""
    global _heart
    if _heart is not None:
        _heart.farewell(code, line)
        _heart = None


def job() -> str | None:
    """Local: the name of this job, None without a supervisor."""
    return _heart.link.job if _heart is not None else None


def attempt() -> str | None:
    """Local: the name of what this job does until a rank dies, and from then on; None without a supervisor."""
    lost = len(_heart.lost) if _heart is not None else 0
    return f"{job()}.{lost}" if lost else job()


def check_fence(run: Path) -> None:
    """Local, where the run folder is seen: raises when this job is not, or no longer, the one at work in the folder."""
    if _heart is None:
        return
    try:
        current = json.loads((run / JOB_FILE).read_bytes()).get("job")
    except FileNotFoundError:
        raise EnvironmentProblem(run, "rank 0 does not see the run folder of mpiedge-run",
                                 "Start mpiedge-run on a host of the hostfile, or share the folder") from None
    except (OSError, ValueError) as error:
        raise EnvironmentProblem(run / JOB_FILE, f"cannot be read ({error})", "Start mpiedge-run again") from error
    if current != _heart.link.job:
        raise Stopped(run, "another job has taken over this run folder", "Leave it to that one")
