"""What every stage opens: the run folder, the memory plan, the queue, the timings; its manifest is committed last."""

import contextlib
import hashlib
import os
import platform
import shlex
import sys
from datetime import datetime
from pathlib import Path

import h5py
import numpy as np

from mpiedge import __version__
from mpiedge.errors import MemoryPlanError, MpiedgeError, StoreError
from mpiedge.runtime import heartbeat, leftovers, resources
from mpiedge.runtime.launcher import mpi_library
from mpiedge.runtime.mail import Mail
from mpiedge.runtime.progress import progress
from mpiedge.runtime.queue import Queue
from mpiedge.runtime.root import on_root
from mpiedge.runtime.telemetry import Timings, to_csv
from mpiedge.runtime.trace import Trace, join
from mpiedge.store import decisions, fence, host_profile
from mpiedge.store.access import Access
from mpiedge.store.joint import forget_joint, write_joint
from mpiedge.store.layout import MANIFEST, TIMINGS, TRACE
from mpiedge.store.ledger import Ledger, left_by
from mpiedge.store.parts import write_atomic
from mpiedge.store.run import (
    choose_run,
    create_run,
    drop_temporaries,
    lock_run,
    read_manifest,
    record_start,
    require_kept,
    rerun,
    write_json,
)
from mpiedge.store.tables import Column, Table

MEGABYTE = 1e6
SWAPPED = 50e6
"""Bytes moved to and from swap while a stage ran that are worth a word."""



class Stage:
    """One stage of a run, as a context manager; every method marked Collective is called by all ranks together.

    Attributes: world, queue, access, run (Path), args, seed, own_budget_bytes (of this rank),
    budget_bytes (the smallest of all ranks'), timings.
    """

    def __init__(self, world, args, name: str, *, needs: str | None = None, program: str | None = None):
        """Collective: opens the run folder: `args.run`, `$MPIEDGE_RUN` or the newest with a complete stage `needs`.

        program: its name without mpiedge-, where it is not that of the stage."""
        self.world, self.args, self.name, self.seed = world, args, name, args.seed
        self.program = f"mpiedge-{program or name}"
        chosen = on_root(world, lambda: [str(part) for part in choose_run(args.run, needs)])
        self.run, self.how_chosen = Path(chosen[0]), chosen[1]
        on_root(world, lambda: create_run(self.run))
        fence.enter(self.run, heartbeat.job())
        if world.node_rank == 0:
            leftovers.sweep()
            leftovers.sweep_sessions()
        world.committed = False
        world.barrier()  # the clocks of all ranks start together
        self.timings = Timings(world, run_id=self.run.absolute().resolve().name, stage=name,
                               trace=Trace() if args.trace else None)
        self.mail = Mail(world)
        self.queue = Queue(world, self.mail, self.timings, None if args.quiet else self._task_progress)
        self.access = Access(world, self.mail, self.run, args.scratch)
        heartbeat.follow(self)
        self.own_budget_bytes = resources.budget_bytes(args.memory, world.node_size)
        self.budget_bytes = int(world.min(np.array([self.own_budget_bytes], np.int64))[0])
        self.planned_bytes = None
        self.doing = ""  # what the tasks of the queue are for, where a progress line is shown
        self._read: dict[str, str] = {}  # stage -> checksum of its manifest, on rank 0
        self._lock = None
        self._swapped_bytes = resources.swapped_bytes()

    def __enter__(self) -> "Stage":
        told = self.world.allgather({"host": self.world.host, "start": self.world.start})
        hosts, starts = [rank["host"] for rank in told], [rank["start"] for rank in told]
        names = list(dict.fromkeys(hosts))
        library = mpi_library()
        self.say(f"{self.program} {__version__} | {_count(self.world.size, 'rank')} on "
                 f"{_count(len(names), 'host')} ({platform.machine()}) | {library}")
        for known in self.world.resting:
            self.say(f"resting rank {known['rank']} on {known['host']}: {1 / known['speed']:.1f} times slower than the "
                     "fastest, it would hold up the others")
        started = datetime.now().astimezone().isoformat(timespec="milliseconds")
        about = {"argv": shlex.join(sys.argv), "started": started, "config": dict(sorted(vars(self.args).items())),
                 "hosts": hosts, "access": self.access.mode, "budget_bytes": self.budget_bytes, "seed": self.seed,
                 "mpiedge": __version__, "python": platform.python_version(), "numpy": np.__version__,
                 "h5py": h5py.__version__, "mpi": library}
        on_root(self.world, lambda: self._begin(about))
        self.queue.expect(starts, on_root(self.world, lambda: host_profile.speeds(self.run, hosts)))
        return self

    def __exit__(self, kind, error, trace) -> None:
        if kind is None:
            self._tell_swapping()
            rows = self.timings.rows()
            events = self.timings.trace.gather(self.world, self.name) if self.timings.trace else []
            on_root(self.world, lambda: self._end(rows, events))
        elif self.access.sees_run:  # the others may hang or be dead: each failing rank notes what it knows itself
            with contextlib.suppress(OSError):
                self._append_timings(self.timings.local_rows())
            with contextlib.suppress(MpiedgeError, OSError):
                if self.world.is_root:
                    self.access.drop_scratch()
                    if not left_by(self.run, self.name):
                        self.access.drop_unfinished()
        if self._lock:
            self._lock.close()

    def _begin(self, about: dict) -> None:
        """Local, on rank 0: from here on the run folder is this stage's alone, without what a killed one left in it."""
        heartbeat.check_fence(self.run)
        self._lock = lock_run(self.run)
        if heartbeat.job() is None:
            fence.expel(self.run)
        self.access.drop_scratch()
        if not left_by(self.run, self.name):
            self.access.drop_unfinished()
        drop_temporaries(self.run, self.name)
        if self._lock.tell() == 0:
            self._lock.write(to_csv([]))
            self._lock.flush()
        for known in self.world.resting:
            decisions.append(self.run, stage=self.name, host=known["host"], rank=known["rank"],
                             saw=f"{1 / known['speed']:.1f} times slower than the fastest", did="sits out")
        record_start(self.run, self.name, {**about, "git_commit": _git_commit(), "job": heartbeat.job()})

    def _end(self, rows: list[dict], events: list[dict]) -> None:
        """Local, on rank 0."""
        self.access.drop_scratch()
        self.access.drop_unfinished()
        self._append_timings(rows)
        if events:
            path = self.run / TRACE
            earlier = path.read_text("utf-8") if path.exists() else ""
            write_atomic(path, join(earlier, events).encode())

    def _tell_swapping(self) -> None:
        """Collective: a row of decisions.csv for each host that swapped meanwhile, whoever on it made it do so."""
        moved = resources.swapped_bytes() - self._swapped_bytes if self.world.node_rank == 0 else 0
        told = self.world.gather([{"host": self.world.host, "bytes": moved}]) or []
        for host in (host for hosts in told for host in hosts if host["bytes"] > SWAPPED):
            decisions.append(self.run, stage=self.name, host=host["host"],
                             saw=f"swapped {resources.format_size(host['bytes'])} in and out", did="nothing")

    def go_on(self, inputs: list[str | None]) -> None:
        """Collective, after `foresee` or `plan`: from here on finished tasks are kept, and those of an earlier attempt
        count; the stage is incomplete until its new manifest is committed.

        inputs: the user's files that shape the result, None for one that was not given. With other inputs or flags than
        in the earlier attempt, and without one, the stage's folder is emptied.
        """
        self._forget_old_result()
        self.queue.ledger = Ledger(self.world, self.access, self.name, self.args, [path for path in inputs if path])
        if self.queue.ledger.resumed:
            self.say("resume  an earlier attempt was not finished: what it has done is not done again")

    # -- what people read ----------------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """Rank 0 prints a line unless -q."""
        if self.world.is_root and not self.args.quiet:
            print(text, flush=True)

    def detail(self, text: str) -> None:
        """Rank 0 prints a line with -v."""
        if self.args.verbose:
            self.say(text)

    def warn(self, text: str) -> None:
        """Rank 0 prints a warning to stderr unless -q."""
        if self.world.is_root and not self.args.quiet:
            print(f"{self.program}: warning: {text}", file=sys.stderr, flush=True)

    def progress(self, total: float, unit: str):
        """A progress bar as a context manager; only rank 0 on a terminal shows it."""
        return progress(self.world, total, unit, 0 if self.args.quiet else self.args.progress)

    def _task_progress(self, total: int, name: str):
        return progress(self.world, total, "tasks", self.args.progress, label=self.doing or name)

    def phase(self, name: str, kind: str = "compute"):
        """A context manager that times a phase; kind is compute, communicate, wait, io or idle."""
        return self.timings.phase(name, kind)

    # -- memory --------------------------------------------------------------------------------------------------

    def plan(self, **bytes_by_item: float) -> None:
        """Collective: prints what each rank will hold on top of the programs themselves, before the work starts.

        From here on the stage is incomplete until its new manifest is committed. Raises as `require`.
        """
        self.say(f"memory  {self.require(**bytes_by_item)}")
        self._forget_old_result()

    def foresee(self, **bytes_by_item: float) -> None:
        """Collective: prints a first plan from the sizes of the inputs alone, before anything is read of them.

        A stage that learns more from reading calls `plan` afterwards. Raises as `require`.
        """
        self.say(f"memory  about {self.require(**bytes_by_item)}, judged by the size of the input")

    def _tightest(self, **bytes_by_item: float) -> tuple[float, dict[str, float]]:
        """Collective: budget and bytes by item, the programs among them, of the rank with the least to spare."""
        items = {"programs": float(resources.current_rss_bytes(self.world.node_size)), **bytes_by_item}
        sizes = np.array([self.own_budget_bytes, *items.values()], np.float64)
        gathered = [message["bytes"] for message in self.world.allgather({"bytes": sizes})]
        budget, *worst = max(gathered, key=lambda row: row[1:].sum() - row[0])
        return budget, dict(zip(items, worst))

    def fits(self, **bytes_by_item: float) -> bool:
        """Collective: whether no rank would hold more than its budget."""
        budget, worst = self._tightest(**bytes_by_item)
        return sum(worst.values()) <= budget

    def require(self, **bytes_by_item: float) -> str:
        """Collective: the memory plan of the rank with the least to spare, as text; MemoryPlanError on every rank when
        what a rank would hold exceeds its budget."""
        budget, worst = self._tightest(**bytes_by_item)
        self.planned_bytes = float(sum(worst.values()))
        parts = ", ".join(f"{name} {size / MEGABYTE:.0f}" for name, size in worst.items())
        line = f"{self.planned_bytes / MEGABYTE:.0f} MB of {budget / MEGABYTE:.0f} MB per rank ({parts})"
        if self.planned_bytes > budget:
            error = MemoryPlanError("memory", f"the work would need {line}",
                                    "Give more with --memory, or use more hosts or fewer ranks per host")
            error.everywhere = True
            raise error
        return line

    def heed_budget(self) -> None:
        """Local: raises MemoryPlanError when this rank holds more than its budget; for needs that show on the way."""
        held = resources.current_rss_bytes(self.world.node_size)
        if held > self.own_budget_bytes:
            of = f"{held / MEGABYTE:.0f} MB of {self.own_budget_bytes / MEGABYTE:.0f} MB per rank"
            raise MemoryPlanError("memory", f"{of} are taken before all is read",
                                  "Give more with --memory, or use more hosts")

    def peak_bytes(self) -> int:
        """Collective: the largest peak memory of any rank so far."""
        return int(self.world.max(np.array([resources.peak_rss_bytes()], dtype=np.int64))[0])

    # -- the stage before ----------------------------------------------------------------------------------------

    def manifest(self, stage: str) -> dict:
        """Collective: the manifest of a complete stage; its parts and other HDF5 files are checked by checksum.

        Files that people may edit (CSV, JSON) are not. Raises StoreError, also when a stage this one has read already
        was run again since.
        """
        manifest = on_root(self.world, lambda: self._consistent(stage))
        parts = [(f"{stage}/{part['file']}", part["sha256"])
                 for _, table in sorted(manifest["tables"].items()) for part in table["parts"]]
        parts += [(name, file["sha256"]) for name, file in manifest.get("files", {}).items() if name.endswith(".h5")]
        share = parts[self.world.rank::self.world.size] if self.access.mode == "shared" else parts * self.world.is_root
        broken = [name for name, checksum in share if _checksum(self.run / name) != checksum]
        every = sorted(name for message in self.world.allgather({"broken": broken}) for name in message["broken"])
        if every:
            error = StoreError(self.run / every[0], "the file is missing or was altered after it was written",
                               rerun(stage, self.run))
            error.everywhere = True
            raise error
        return manifest

    def _consistent(self, stage: str) -> dict:
        """Local, on rank 0."""
        manifest = read_manifest(self.run, stage)
        self._read[stage] = _checksum(self.run / stage / MANIFEST)
        for before, checksum in manifest.get("built_on", {}).items():
            if self._read.get(before, checksum) != checksum:
                raise StoreError(self.run, f"{before} was run again after {stage}",
                                 rerun(stage, self.run))
        return manifest

    def tables(self, stage: str) -> list[str]:
        """Collective: names of the tables a complete stage committed, sorted."""
        return sorted(self.manifest(stage)["tables"])

    def open_tables(self, stage: str) -> dict[str, Table]:
        """Collective: all tables of a complete stage by name."""
        def columns(table: dict) -> list[Column]:
            return [Column.from_json(entry) for entry in table["columns"]]

        return {name: self.working_table(name, columns(table), table["parts"], stage)
                for name, table in sorted(self.manifest(stage)["tables"].items())}

    def table(self, stage: str, name: str) -> Table:
        """Collective: one table of a complete stage."""
        tables = self.open_tables(stage)
        if name not in tables:
            error = StoreError(self.run, f"stage {stage} has no table {name}", f"It has: {', '.join(tables)}")
            error.everywhere = True
            raise error
        return tables[name]

    def working_table(self, name: str, columns: list[Column], parts: list[dict], stage: str | None = None) -> Table:
        """Local: a table over parts this stage wrote itself and has not committed."""
        return Table(self.access, stage or self.name, name, columns, parts)

    # -- the end -------------------------------------------------------------------------------------------------

    def commit(self, *, tables: dict | None = None, files: list[str] = (), summary: dict | None = None,
               inputs: dict | None = None, config: dict | None = None) -> None:
        """Collective: writes the joint file and `summary.json`, then the manifest, last: now the stage is complete.

        tables: name -> {"columns": [Column...], "parts": [entries of write_part, in chunk order]}, same on every rank.
        files: paths in the run folder that people open. config: what shaped the result (no ranks, no host's paths).
        """
        tables = tables or {}

        def write() -> None:
            self.require_run()
            if tables:
                write_joint(self.run, self.name, tables)
            listed = list(files)
            if summary is not None:
                write_json(self.run / self.name / "summary.json", summary)
                listed.append(f"{self.name}/summary.json")
            write_json(self.run / self.name / MANIFEST, {
                "stage": self.name, "mpiedge": __version__, "config": config or {}, "inputs": inputs or {},
                "built_on": dict(sorted(self._read.items())),
                "tables": {name: {"rows": sum(part["rows"] for part in table["parts"]),
                                  "columns": [column.to_json() for column in table["columns"]],
                                  "parts": table["parts"]} for name, table in sorted(tables.items())},
                "files": {name: {"bytes": (self.run / name).stat().st_size, "sha256": _checksum(self.run / name)}
                          for name in sorted(set(listed))},
            })

        with self.phase("commit", "io"):
            on_root(self.world, write)
        self.world.committed = True

    def require_run(self) -> None:
        """Local, on rank 0: EnvironmentProblem when the run folder was removed or unmounted since the stage began."""
        require_kept(self.run, self._lock)

    def _forget_old_result(self) -> None:
        def forget() -> None:
            fence.discard(self.run / self.name / MANIFEST)
            forget_joint(self.run, self.name)

        on_root(self.world, forget)

    def _append_timings(self, rows: list[dict]) -> None:
        path = self.run / TIMINGS
        size = path.stat().st_size
        try:
            with open(path, "a", newline="", encoding="utf-8", errors="backslashreplace") as file:
                file.write(to_csv(rows, header=False))
        except OSError:
            os.truncate(path, size)  # no half row on a full disk
            raise


def _checksum(path: Path) -> str | None:
    """The SHA-256 of a file in hexadecimal; None when it cannot be read."""
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError:
        return None
    return digest.hexdigest()


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}" + ("" if number == 1 else "s")


def _git_commit() -> str | None:
    """The commit of the checkout this package runs from; None when it is installed without one.

    Read from the files of git: a program must not be started (a fork) once MPI runs.
    """
    folder = Path(__file__).parent.parent / ".git"
    try:
        head = (folder / "HEAD").read_text().strip()
        if not head.startswith("ref: "):
            return head
        name = head.removeprefix("ref: ")
        if (folder / name).exists():
            return (folder / name).read_text().strip()
        packed = (folder / "packed-refs").read_text().splitlines()
        return next((line.split()[0] for line in packed if line.endswith(f" {name}")), None)
    except OSError:
        return None
