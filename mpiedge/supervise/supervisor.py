"""Runs a chain of stages to its end: launches, watches, sets failed hosts aside, launches again.

What counts as done is the committed manifest and nothing else: not the exit code of mpirun, which is 0 when a whole
host dies, and not what any rank says. A stage may be started as often as needed: it works from committed input, and
training goes on from its checkpoint. A job that was given up is fenced off before the next one starts: supervisor.json
in the run folder names the one job that may commit (runtime/heartbeat.py).
"""

import contextlib
import fcntl
import json
import secrets
import signal
import socket
import sys
import time
from pathlib import Path

from mpiedge.errors import EnvironmentProblem, MemoryPlanError, MpiedgeError, Stopped
from mpiedge.runtime.heartbeat import JOB_FILE, VARIABLE
from mpiedge.runtime.leftovers import sweep_sessions
from mpiedge.runtime.resources import MEMORY_SHARE
from mpiedge.store import fence
from mpiedge.store.layout import MANIFEST
from mpiedge.store.run import create_run, write_json
from mpiedge.supervise import decisions, launch
from mpiedge.supervise.births import birth
from mpiedge.supervise.chain import Call, is_committed
from mpiedge.supervise.hosts import Host, hostfile_text
from mpiedge.supervise.job import Job, Outcome, end_left_over
from mpiedge.supervise.watch import Fault, Listener, Table, causes

HOSTFILE = "supervisor.hostfile"
MEND = "Mend it and run the same line again"
CHECK_WAIT_S, LAST_WAIT_S = 6.0, 20.0
"""For the answers of hosts: of some, and of all when none has answered, which may be the fault of this one."""
IN_PLACE = ("clean", "profile", "train")
"""Stages that go on where they are when a rank dies."""


class GivenUp(MpiedgeError):
    """A rank's own error, which another attempt would meet again; its exit code is that of the rank."""

    def __init__(self, subject, cause: str, remedy: str, exit_code: int):
        super().__init__(subject, cause, remedy)
        self.exit_code = exit_code


class Supervisor:
    """One chain in one run folder.

    hosts: all that may be used; ranks: how many to start at most, None for all slots; timeout_s: silence that counts as
    lost; max_failures: faults after which it gives up; common: flags every stage gets.
    """

    def __init__(self, run: Path, hosts: list[Host], launcher: launch.Launcher, *, ranks: int | None, timeout_s: float,
                 max_failures: int, common: list[str], quiet: bool):
        self.run, self.launcher = run, launcher
        self.listed, self.ranks, self.timeout_s = hosts, ranks, timeout_s
        self.max_failures, self.failures, self.common = max_failures, 0, common
        self.slots = {host.name: host.slots for host in hosts}  # what is left of each host
        self.spared: set[str] = set()  # hosts with one slot that have lost a rank in this stage
        self.memory_share = 1.0  # of the memory that ranks would take
        create_run(run)
        self.log = decisions.Decisions(run, quiet)
        self._lock = self._take_lock()
        self.record = self._read_record()
        self.listener = Listener(all(host.is_here for host in hosts))
        self.stopping = False

    # ---- the chain -------------------------------------------------------------------------------------------------

    def run_chain(self, calls: list[Call]) -> int:
        """Local: returns 0 when every stage is committed. Raises Stopped (75) and the errors of stages."""
        began_s = time.monotonic()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._stop)
        self._end_left_over()
        sweep_sessions()  # of what was killed before: an mpirun that gets its number would not start
        redo = False
        for number, call in enumerate(calls, 1):
            self.log.stage, self.log.attempt = call.stage, 0
            of = f"{number} of {len(calls)}"
            if not redo and is_committed(self.run, call, self.record["stages"].get(call.folder, {})):
                self.log.say(f"stage   {call.stage} ({of}) is complete")
                continue
            redo = True  # what was built on an older result is made again
            self._complete(call, of)
        self.log.say(f"done    {len(calls)} stages in {time.monotonic() - began_s:.1f} s, "
                     f"{self.failures} faults survived | {self.run}")
        return 0

    def _complete(self, call: Call, of: str) -> None:
        """Local: launches one stage until its manifest is committed."""
        self._open_record(call)
        self._rejoin()
        self.memory_share = 1.0
        while True:
            self.log.attempt += 1
            hosts = self._usable()
            ranks = min(self.ranks or 1 << 30, sum(host.slots for host in hosts))
            self.log.say(f"stage   {call.stage} ({of}), attempt {self.log.attempt}: {ranks} ranks on "
                         f"{', '.join(host.name for host in hosts)}")
            outcome = self._launch(call, hosts, ranks)
            if is_committed(self.run, call, self.record["stages"][call.folder]):
                for fault in outcome.faults:
                    self.log.note(fault, "the manifest is committed, so nothing")
                return
            self._judge(call, hosts, outcome)

    def _launch(self, call: Call, hosts: list[Host], ranks: int) -> Outcome:
        job = f"{call.folder}-{secrets.token_hex(6)}"
        placement = [host.name for host in hosts for _ in range(host.slots)][:ranks]
        environment = launch.launch_environment(**{VARIABLE: self.listener.link(job, self.timeout_s).to_text()})
        if self.memory_share < 1:
            environment[MEMORY_SHARE] = str(self.memory_share)
        hostfile = self.run / HOSTFILE
        hostfile.write_text(hostfile_text(hosts, self.launcher.kind == launch.MPICH))
        command = self.launcher.command(hosts, ranks, hostfile,
                                        call.program(sys.executable, self.run, self.common), environment,
                                        in_place=call.stage in IN_PLACE)
        fence.expel(self.run)  # from here on every earlier job is fenced off
        fence.admit(self.run, job)
        self.record["job"] = job
        self.record["stages"][call.folder]["jobs"].append(job)
        self._write_record()
        started = Job(command, environment, job, self.listener, Table(placement, self.timeout_s), self.log.note,
                      silent_hosts=self._silent_hosts, notices_on_stdout=self.launcher.kind == launch.MPICH)
        try:
            pid = started.process.pid
            self.record["mpirun"] = {"host": socket.gethostname(), "pid": pid, "birth": birth(pid)}
            self._write_record()
            return started.watch()
        finally:
            started.end()
            self.failures += len(started.told)
            self.record["mpirun"] = None
            self.record["job"] = None
            with contextlib.suppress(OSError, MpiedgeError):
                fence.expel(self.run)  # whatever of it is still alive elsewhere may not commit any more
                self._write_record()

    # ---- faults ----------------------------------------------------------------------------------------------------

    def _judge(self, call: Call, hosts: list[Host], outcome: Outcome) -> None:
        """Local: after a job without a manifest: decides what to leave out of the next one, or gives up."""
        faults = outcome.faults
        if not faults and outcome.error:
            code, line = outcome.error
            fault = Fault(None, None, line or f"exit code {code}")
            if not (outcome.went_on and code == MemoryPlanError.exit_code):
                self.log.note(fault, "its own error, so no new attempt", aloud=False)
                remedy = "Run the same line again to go on" if code == Stopped.exit_code else MEND
                raise GivenUp(call.stage, f"ended with exit code {code}, for the reason above", remedy, code)
            faults = [fault]  # too much for those that were left: all ranks together may hold it
        known = {fault.host for fault in faults if fault.host_lost}
        silent = self._silent_hosts([host.name for host in hosts if host.name not in known])
        if not faults and not silent and outcome.code in (2, 3, 4):
            raise GivenUp(call.stage, f"mpirun ended with exit code {outcome.code}, for the reason above",
                          MEND, outcome.code)
        self.failures += 1
        faults, consequences = causes(faults, silent)
        for fault in consequences:
            self.log.note(fault, "may come of a host that is lost, so nothing", aloud=False)
        if not faults:
            said = outcome.last_words or "neither it nor a rank said why"
            faults = [Fault(None, None, f"mpirun ended with code {outcome.code} and without a manifest ({said})")]
        elif all(fault.unstarted for fault in faults) and len(faults) == sum(host.slots for host in hosts):
            faults = [Fault(None, None, "no rank has started")]
        for fault in faults:
            self.log.note(fault, self._reduce(fault))
        if any(fault.memory for fault in faults):
            self.memory_share /= 2
            self.log.say(f"memory  ranks plan with {self.memory_share:.3g} of what they would take")
        if self.failures > self.max_failures:
            raise Stopped(self.run, f"{call.stage} was given up after {self.failures} faults, the last: {faults[-1]}",
                          "What is complete is saved: run the same line again to go on")

    def _silent_hosts(self, names: list[str], meanwhile=None, wait_s: float = CHECK_WAIT_S,
                      doubtful: frozenset[str] = frozenset()) -> list[Fault]:
        """Local: a fault for each of these hosts that does not answer or cannot start mpiedge (any more)."""
        if self.launcher.kind == launch.SLURM:
            return []  # a login on a node of an allocation may be forbidden
        hosts = [host for host in self.listed if host.name in names]
        return [Fault(name, None, cause, host_lost=True)
                for name, cause in launch.check_hosts(hosts, wait_s, meanwhile, doubtful).items()]

    def _reduce(self, fault: Fault) -> str:
        """Local: takes a lost host, or a slot of a host that lost a rank, out of use; says so.

        A host that answers keeps its last slot once: the next fault may be its own.
        """
        if fault.host is None or fault.host not in self.slots:
            return "launching again"
        before = self.slots[fault.host]
        if before == 1 and not fault.host_lost and fault.host not in self.spared:
            self.spared.add(fault.host)
            return "launching again"
        self.slots[fault.host] = 0 if fault.host_lost else max(0, before - 1)
        if not any(self.slots.values()):
            if fault.host_lost:
                return "no host is left"
            self.slots[fault.host] = 1
        if self.slots[fault.host]:
            return f"launching again with {self.slots[fault.host]} of its {before} ranks"
        return f"{fault.host} is set aside, launching again without it"

    def _usable(self) -> list[Host]:
        """Local: the hosts for the next job; before there is none, all are asked again: some may be back, or slow."""
        if not any(self.slots.values()):
            silent = {fault.host for fault in self._silent_hosts(list(self.slots), wait_s=LAST_WAIT_S)}
            self.slots = {host.name: 0 if host.name in silent else host.slots for host in self.listed}
        if not any(self.slots.values()):
            raise Stopped(self.run, "no host is left to run on",
                          "Bring one back and run the same line again: what is complete is saved")
        return [Host(host.name, self.slots[host.name]) for host in self.listed if self.slots[host.name]]

    def _rejoin(self) -> None:
        """Local, before each stage: hosts that answer get all their slots (back), hosts that do not are set aside."""
        set_aside = frozenset(name for name, slots in self.slots.items() if not slots)
        self.slots = {host.name: host.slots for host in self.listed}
        self.spared.clear()
        for fault in self._silent_hosts([host.name for host in self.listed], doubtful=set_aside):
            self.failures += 1
            self.log.note(fault, self._reduce(fault))
            if self.failures > self.max_failures:
                raise Stopped(self.run, f"{self.failures} faults, the last: {fault}",
                              "Mend the hosts or allow more with --max-failures, and run the same line again")

    # ---- the record ------------------------------------------------------------------------------------------------

    def _take_lock(self):
        """Local: one supervisor a run folder; the lock ends with the process, however it ends."""
        file = open(self.run / decisions.LOG, "a")  # noqa: SIM115 - stays open as long as this process
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise EnvironmentProblem(self.run, "another mpiedge-run is at work in this run folder",
                                     "Wait until it is done, or choose another folder with --run") from None
        except OSError:
            pass  # a file system without locks
        return file

    def _read_record(self) -> dict:
        try:
            record = json.loads((self.run / JOB_FILE).read_bytes())
            if isinstance(record["stages"], dict):
                return record
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return {"job": None, "mpirun": None, "stages": {}}

    def _write_record(self) -> None:
        write_json(self.run / JOB_FILE, self.record)

    def _open_record(self, call: Call) -> None:
        """Local: a manifest found after this is that of this call: an earlier one goes."""
        entry = self.record["stages"].get(call.folder, {})
        about = call.about()
        jobs = entry.get("jobs", []) if {name: entry.get(name) for name in about} == about else []
        self.record["stages"][call.folder] = {**about, "jobs": jobs}
        (self.run / call.folder / MANIFEST).unlink(missing_ok=True)
        self._write_record()

    def _end_left_over(self) -> None:
        """Local: ends the mpirun that a killed supervisor left on this host."""
        left = self.record.get("mpirun") or {}
        if left.get("host") == socket.gethostname() and end_left_over(int(left["pid"]), str(left.get("birth"))):
            self.log.stage = "start"
            self.log.note(f"mpirun {left['pid']} of an earlier supervisor was still running", "ended it")
        self.record["mpirun"] = self.record["job"] = None

    def _stop(self, number: int, _frame) -> None:
        """A signal: everything is ended on the way out; more signals are ignored meanwhile."""
        for other in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(other, signal.SIG_IGN)
        name = signal.Signals(number).name
        self.log.note(f"{name} came", "ending the job", aloud=False)
        raise Stopped(self.run, f"stopped by {name} with the work saved", "Run the same line again to go on")
