"""Who is alive: the beats of all ranks of one job, and the judgement on those that fail to come."""

import json
import socket
import time
from dataclasses import dataclass, field

import psutil

from mpiedge.runtime.heartbeat import REGROUP, Link

MOST_ADDRESSES = 8
STALL_TIMEOUTS = 30
PATIENCE_TIMEOUTS = 10
"""A rank that is silent but seen running may be busy in one long call; so many timeouts are granted to it."""
SLOWEST_START_S = 30.0


@dataclass
class RankState:
    """The last that was heard of a rank."""

    rank: int
    host: str
    heard_s: float
    pid: int = 0
    phase: str = "start"
    steps: int = 0
    waiting: bool = False
    unheard_s: float = 0.0
    exit: int | None = None
    line: str = ""
    seen_alive: str = ""
    memory_kills: int | None = None


@dataclass
class Fault:
    """What went wrong: with a host or one of its ranks (None: the host as a whole, or unknown).

    memory: the kernel of the host has ended a process for want of memory meanwhile.
    """

    host: str | None
    rank: int | None
    cause: str
    host_lost: bool = False
    unstarted: bool = False
    memory: bool = False

    def __str__(self) -> str:
        who = [f"rank {self.rank}"] if self.rank is not None else []
        who += [f"host {self.host}"] if self.host else []
        return f"{' on '.join(who) or 'the job'}: {self.cause}"


class Listener:
    """The datagram socket to which all ranks beat; one for all jobs of a supervisor."""

    def __init__(self, only_here: bool):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1" if only_here else "", 0))
        self.socket.setblocking(False)
        self.addresses = ("127.0.0.1",) if only_here else own_addresses()
        self.port = self.socket.getsockname()[1]

    def link(self, job: str, timeout_s: float) -> Link:
        """Local: what the ranks of a job are told."""
        return Link(job, self.addresses, self.port, timeout_s)

    def take(self, job: str, table: "Table") -> None:
        """Local: reads and answers all beats that have come; ranks of other jobs are told to end."""
        while True:
            try:
                data, address = self.socket.recvfrom(4096)
            except BlockingIOError:
                return
            except OSError:
                continue
            try:
                beat = json.loads(data)
                mine = beat["job"] == job and table.note(beat)
                answer = {"job": beat["job"], "go": bool(mine)}
                self.socket.sendto(json.dumps(answer).encode(), address)
            except (ValueError, KeyError, TypeError, OSError):
                continue


@dataclass
class Table:
    """What is known of the ranks of a job. placement: the host where the launcher should have put each rank; lost:
    those that died and that the others go on without; woke_s: when the supervisor listened again after it had not for
    a while.
    """

    placement: list[str]
    timeout_s: float
    started_s: float = field(default_factory=time.monotonic)
    ranks: dict[int, RankState] = field(default_factory=dict)
    progress_s: float = field(default_factory=time.monotonic)
    lost: set[int] = field(default_factory=set)
    woke_s: float = 0.0

    def note(self, beat: dict) -> bool:
        """Local: takes a beat; False when it is none of this job's ranks."""
        rank = int(beat["rank"])
        if not 0 <= rank < len(self.placement):
            return False
        now = time.monotonic()
        state = self.ranks.setdefault(rank, RankState(rank, str(beat["host"])[:255], now))
        state.heard_s, state.pid, state.seen_alive = now, int(beat["pid"]), ""
        if "exit" in beat:
            state.exit, state.line = int(beat["exit"]), str(beat.get("line", ""))
            return True
        if int(beat["steps"]) != state.steps or not beat["waiting"]:
            self.progress_s = now
        state.phase, state.steps = str(beat["phase"])[:40], int(beat["steps"])
        state.waiting, state.unheard_s = bool(beat["waiting"]), float(beat["unheard_s"])
        self.lost.update(int(other) for other in beat.get("lost", []))
        if state.memory_kills is None and beat.get("memory_kills") is not None:
            state.memory_kills = int(beat["memory_kills"])
        return True

    def excuse(self, deaf_s: float, now: float) -> None:
        """Local: the supervisor has not listened for so long (a suspended box, no share of the processor): what it did
        not hear meanwhile is no fault of the ranks, nor that they had no answer."""
        self.woke_s = now
        self.started_s += deaf_s
        self.progress_s += deaf_s
        for state in self.ranks.values():
            state.heard_s += deaf_s

    def host_of(self, rank: int) -> str:
        """Local: the name in the hostfile of the host of a rank."""
        return self.placement[rank]

    def suspects(self, now: float) -> list[Fault]:
        """Local: faults that silence tells of; those of ranks that have beaten are to be verified first."""
        faults = []
        start_limit_s = max(SLOWEST_START_S, 3 * self.timeout_s)
        for rank in range(len(self.placement)):
            state = self.ranks.get(rank)
            if rank in self.lost:
                continue
            if state is None:
                if now - self.started_s > start_limit_s:
                    faults.append(Fault(self.host_of(rank), rank, f"has not started within {start_limit_s:.0f} s",
                                        unstarted=True))
            elif state.exit is None and now - state.heard_s > self.timeout_s * (PATIENCE_TIMEOUTS if state.seen_alive
                                                                                else 1):
                faults.append(Fault(self.host_of(rank), rank, f"silent for {now - state.heard_s:.0f} s "
                                                              f"(last seen in phase {state.phase})"))
            elif state.exit is None and state.unheard_s > self.timeout_s and now - self.woke_s > self.timeout_s / 2:
                faults.append(Fault(self.host_of(rank), rank, f"has not heard this host for {state.unheard_s:.0f} s",
                                    host_lost=True))
        if not faults and now - self.progress_s > STALL_TIMEOUTS * self.timeout_s:
            phases = sorted({state.phase for state in self.ranks.values()})
            faults.append(Fault(None, None, f"no rank has got anything done for {now - self.progress_s:.0f} s "
                                            f"(phases {', '.join(phases) or 'none'})"))
        return faults

    def regrouping(self, gone: list[int]) -> tuple[list[RankState], list[RankState]]:
        """Local: of the ranks that are left when some are gone, those that have noticed that, and the others."""
        left = [state for rank, state in self.ranks.items()
                if state.exit is None and rank not in self.lost and rank not in gone]
        noticed = [state for state in left if state.phase == REGROUP]
        return noticed, [state for state in left if state.phase != REGROUP]

    def unstarted_hosts(self) -> list[str]:
        """Local: the hosts of ranks that have not beaten yet."""
        return sorted({self.host_of(rank) for rank in self._expected() if rank not in self.ranks})

    def ended(self) -> bool:
        """Local: whether a rank has said that it failed, or all that they are done."""
        states = [self.ranks[rank].exit if rank in self.ranks else None for rank in self._expected()]
        return any(states) or all(state == 0 for state in states)

    def _expected(self) -> list[int]:
        return [rank for rank in range(len(self.placement)) if rank not in self.lost]

    def own_error(self) -> RankState | None:
        """Local: the lowest rank that failed by an error of its own, not by the loss of another rank."""
        failed = [state for _, state in sorted(self.ranks.items()) if state.exit and "MPI_ERR" not in state.line]
        return next((state for state in failed if state.line), failed[0] if failed else None)


def causes(faults: list[Fault], silent: list[Fault]) -> tuple[list[Fault], list[Fault]]:
    """Local: the faults that count, and those that may have come of them. silent: of each host that does not answer.

    Ranks of healthy hosts wait for the ranks of a lost host, or end with them. So once a host is lost, lost hosts alone
    are to blame; what has another cause comes again.
    """
    lost = {fault.host for fault in (*faults, *silent) if fault.host and fault.host_lost}
    named = {fault.host for fault in faults}
    for fault in faults:
        fault.host_lost = fault.host in lost
    faults = [*faults, *(fault for fault in silent if fault.host not in named)]
    if not lost:
        return faults, []
    return [fault for fault in faults if fault.host_lost], [fault for fault in faults if not fault.host_lost]


def own_addresses() -> tuple[str, ...]:
    """Local: the IPv4 addresses of this host at which ranks may reach it, the loopback last."""
    stats = psutil.net_if_stats()
    found = [address.address for name, addresses in sorted(psutil.net_if_addrs().items())
             if name in stats and stats[name].isup
             for address in addresses if address.family == socket.AF_INET and not address.address.startswith("127.")]
    return (*found[: MOST_ADDRESSES - 1], "127.0.0.1")
