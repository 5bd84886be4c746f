"""Where the time went: one row per stage, rank, phase and kind, as written to timings.csv."""

import contextlib
import csv
import io
import itertools
import os
import platform
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from mpiedge.runtime import rapl, resources
from mpiedge.runtime.trace import Trace

COLUMNS = (
    "run_id", "cluster", "stage", "rank", "host", "machine", "phase", "kind", "calls", "start_s", "wall_s", "cpu_s",
    "items", "bytes_sent", "bytes_recv", "tasks_done", "tasks_stolen", "steal_requests", "peak_rss_mb", "energy_j",
    "energy_method", "status",
)  # fmt: skip
ASK_S = 10.0
"""Between two looks at the energy counters, which start anew after some minutes."""

PEAK_S = 1.0
"""Between two looks at the peak memory in short phases that come again and again: one look takes .2 ms."""

KINDS = ("compute", "communicate", "wait", "io", "idle")


@dataclass
class Phase:
    """Sums of all calls of one phase and kind on this rank; None means unknown and is written as an empty cell.

    wall_s and cpu_s (all threads) leave out the phases nested inside and the waiting, which have rows of their own, so
    that the wall times of a rank's rows add up to the time inside phases.
    """

    name: str
    kind: str
    start_s: float
    calls: int | None = 0
    wall_s: float = 0.0
    cpu_s: float | None = 0.0
    items: int | None = None
    bytes_sent: int | None = 0
    bytes_recv: int | None = 0
    tasks_done: int | None = None
    tasks_stolen: int | None = None
    steal_requests: int | None = None
    peak_rss_mb: float | None = None
    status: str = "ok"

    def add(self, **counts: int) -> None:
        """Local: adds to items, tasks_done, tasks_stolen or steal_requests (unknown until first added to)."""
        for name, count in counts.items():
            setattr(self, name, (getattr(self, name) or 0) + count)


@dataclass
class Timings:
    """The phases of one stage on this rank.

    world: anything with rank, host, bytes_sent, bytes_recv, wait_s and carried. The time a phase spent in `World.wait`
    becomes a row of the same phase with kind "wait", and what else its messages took one of kind "communicate". The
    processor time of waiting is not told apart: in calls that carry messages it is part of the latter, elsewhere it
    stays with the phase.

    Where the host's energy counters can be read, its first rank shares out what they counted by the times of its rows.
    """

    world: object
    stage: str
    run_id: str = ""
    cluster: str = ""
    phases: dict[tuple[str, str], Phase] = field(default_factory=dict)
    trace: Trace | None = None

    def __post_init__(self):
        self._origin = time.perf_counter()
        self._open: list[Phase] = []
        self._last = self._reading()
        self.cluster = self.cluster or cluster_name()
        alone = getattr(self.world, "node_rank", None) == 0 and not self.cluster.startswith("emulated")
        self._counters = rapl.Counters() if alone else None
        self._asked_s = self._peak_s = self._origin

    @contextlib.contextmanager
    def phase(self, name: str, kind: str = "compute"):
        """Local: times the block as one call of phase `name`; yields the `Phase`, whose `add` counts items."""
        if kind not in KINDS:
            raise ValueError(f"kind {kind} is none of {', '.join(KINDS)}")
        self._charge()
        started = self._last[0]
        phase = self._phase(name, kind)
        phase.calls += 1
        self._open.append(phase)
        try:
            yield phase
        except BaseException:
            phase.status = "failed"
            raise
        finally:
            self._charge()
            if self.trace is not None:
                self.trace.add(name, kind, started, self._last[0])
            if phase.peak_rss_mb is None or self._last[0] - self._peak_s > PEAK_S:
                self._peak_s = self._last[0]
                phase.peak_rss_mb = resources.peak_rss_bytes() / 1e6
            self._open.remove(phase)

    def idle(self):
        """Local: a block in which this rank has nothing to do, as kind "idle" of the phase it is in."""
        return self.phase(self._open[-1].name if self._open else "idle", "idle")

    def add(self, **counts: int) -> None:
        """Local: adds counts to the phase that is open, if any (see `Phase.add`)."""
        if self._open:
            self._open[-1].add(**counts)

    def local_rows(self) -> list[dict]:
        """Local: this rank's rows in the order the phases began, with the columns of timings.csv."""
        self._charge()
        fixed = {
            "run_id": self.run_id, "cluster": self.cluster, "stage": self.stage,
            "rank": self.world.rank, "host": self.world.host, "machine": platform.machine(),
        }  # fmt: skip
        rows = []
        for phase in sorted(self.phases.values(), key=lambda phase: phase.start_s):
            row = dict.fromkeys(COLUMNS) | fixed | {"phase": phase.name}
            row |= {name: value for name, value in vars(phase).items() if name in row}
            rows.append(row)
        joules, wall_s = self._counters and self._counters.joules(), sum(row["wall_s"] for row in rows)
        for row in rows if joules is not None and wall_s > 0 else []:
            row |= {"energy_j": joules * row["wall_s"] / wall_s, "energy_method": rapl.METHOD}
        return rows

    def rows(self) -> list[dict]:
        """Collective: the rows of all ranks on rank 0, sorted by rank; an empty list elsewhere."""
        gathered = self.world.gather(self.local_rows())
        return [row for rows in gathered or [] for row in rows]

    def _phase(self, name: str, kind: str) -> Phase:
        if (name, kind) not in self.phases:
            self.phases[name, kind] = Phase(name, kind, start_s=time.perf_counter() - self._origin)
        return self.phases[name, kind]

    def _reading(self) -> tuple:
        world = self.world
        return (time.perf_counter(), time.process_time(), world.bytes_sent, world.bytes_recv, world.wait_s,
                world.carried.wall_s, world.carried.cpu_s)

    def _charge(self) -> None:
        """Local: what was used since the last call goes to the innermost open phase."""
        now = self._reading()
        wall_s, cpu_s, sent, received, wait_s, carry_s, carry_cpu_s = (new - old for new, old in zip(now, self._last))
        self._last = now
        if self._counters and now[0] - self._asked_s > ASK_S:
            self._asked_s = now[0]
            self._counters.joules()
        if not self._open:
            return
        phase = self._open[-1]
        if phase.kind not in ("wait", "idle") and wait_s > 0:
            waiting = self._phase(phase.name, "wait")
            waiting.calls = waiting.cpu_s = waiting.bytes_sent = waiting.bytes_recv = None
            waiting.wall_s += wait_s
            wall_s -= wait_s
        if phase.kind not in ("communicate", "wait", "idle") and carry_s > 0:
            carrying = self._phase(phase.name, "communicate")
            if not carrying.calls:
                carrying.calls = carrying.bytes_sent = carrying.bytes_recv = None
            carrying.wall_s += carry_s
            carrying.cpu_s += carry_cpu_s
            wall_s, cpu_s = wall_s - carry_s, cpu_s - carry_cpu_s
        phase.wall_s += wall_s
        phase.cpu_s += cpu_s
        phase.bytes_sent += sent
        phase.bytes_recv += received


def to_csv(rows: list[dict], header: bool = True) -> str:
    """Local: rows as the text of timings.csv; without `header`, as lines to append to an earlier stage's."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    if header:
        writer.writeheader()
    for row in rows:
        writer.writerow({name: _cell(name, row.get(name)) for name in COLUMNS})
    return text.getvalue()


def _cell(name: str, value) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.1f}" if name == "peak_rss_mb" else f"{value:.6f}"
    return str(value)


def cluster_name() -> str:
    """Local: the name of the set of hosts: MPIEDGE_CLUSTER, else the stem of mpirun's hostfile, else this host."""
    name = os.environ.get("MPIEDGE_CLUSTER")
    return name or _hostfile_stem() or platform.node()


def _hostfile_stem() -> str:
    """Local: the hostfile in the command line of the mpirun that is an ancestor of this process, if one is."""
    try:
        for parent in psutil.Process().parents():
            if parent.name() in resources.LAUNCHERS:
                words = parent.cmdline()
                for flag, value in itertools.pairwise(words):
                    if flag in ("-hostfile", "--hostfile", "-machinefile", "--machinefile", "-f"):
                        return Path(value).stem
    except (OSError, psutil.Error):
        pass
    return ""
