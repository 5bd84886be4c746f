"""Faults on an emulated cluster, one for each promise: does the run finish, with the files of an undisturbed one?

As root: python benchmarks/chaos.py [--stages clean,profile] [--faults cut] [--seeds N] [--served]
         python benchmarks/chaos.py --storm SECONDS [--every SECONDS] [--stages clean]

For every stage, fault and seed: mpiedge-run is started on four emulated hosts, at a moment drawn by the seed the fault
strikes a host drawn by the seed, and what is left in the end is compared. clean and profile: every file equal, byte for
byte; train: the same epochs, losses within 0.002. down, older, unknown: before the start a host is dead, has another
version of mpiedge, or the hostfile names one that nobody knows; back: one that dies is mended meanwhile and must take
part in the next stage; cut-3s, stop-rank-60s and the like: mended after so many seconds. A row a case goes to the
output and to --out. --storm: one chain after the other while again and again something happens to some host; ends with
the throughput beside that without faults, which is measured before and after. Seconds in which this whole box stood
still do not count.
"""

import argparse
import contextlib
import csv
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil

import mpiedge
from mpiedge.errors import EnvironmentProblem
from mpiedge.supervise import cluster as emulated
from mpiedge.supervise.profiles import Machine, fit

HOSTS = ("elm", "oak", "fir", "ash")
TIMEOUT_S, LONGEST_S = 3.0, 400.0
STORM = ("kill-rank", "kill-rank-0", "kill", "cut", "cut-in", "cut-out", "freeze", "freeze-2s", "slow")
DISK_BYTES = 256 << 20
LOSS_TOLERANCE = 0.002
STAGES = {"clean": ["clean", "{demo}/papers.csv", "{demo}/cites.csv"], "profile": ["profile"],
          "train": ["train", "--label", "area", "--epochs", "300", "--patience", "300", "--dropout", "0",
                    "--checkpoint-every", "20"]}
FAULTS = ("kill-rank", "kill-rank-0", "stop-rank", "kill", "cut", "cut-3s", "cut-in", "cut-out", "freeze", "freeze-2s",
          "freeze-10s", "slow", "supervisor", "disk-full", "down", "older", "unknown", "back")
AT_START = ("down", "older", "unknown")
VERSION = Path(mpiedge.__file__)
COLUMNS = ("stage", "fault", "seed", "host", "delay_s", "exit", "attempts", "noticed_s", "wall_s", "undisturbed_s",
           "equal")


class Bench:
    """The emulated cluster, the demo data and the undisturbed results."""

    def __init__(self, cluster, disk: Path, rows: int, served: bool, stages: list[str], timeout_s: float = TIMEOUT_S):
        self.cluster, self.disk, self.served, self.timeout_s = cluster, disk, served, timeout_s
        self.demo, self.hostfile = disk / "demo", disk / "hosts"
        self.list_hosts(HOSTS)
        command = [sys.executable, "-m", "mpiedge.commands.demo", "--rows", str(rows), "--out", str(self.demo), "-q"]
        subprocess.run(command, check=True)
        self.good, self.wall_s = disk / "undisturbed", {}
        clock = Clock()
        for stage in stages:
            start_s = clock.now_s
            code, said = self.supervise(self.good, stage).finish()
            assert code == 0, said
            self.wall_s[stage] = clock.now_s - start_s

    def list_hosts(self, names: tuple[str, ...]) -> None:
        """Writes the hostfile."""
        self.hostfile.write_text("".join(f"{name} slots=1\n" for name in names))

    def spoil(self, fault: str, host: str) -> str:
        """What is wrong before the start, with this host or instead of it; the name of the host it is wrong with."""
        if fault == "unknown":
            self.list_hosts((*HOSTS, "nowhere"))
            return "nowhere"
        if fault == "down":
            self.cluster.order(["kill", host])
        else:
            older = self.disk / "older.py"
            older.write_text(VERSION.read_text().replace(mpiedge.__version__, "0.0.1"))
            self.inside(host, "mount", "--bind", older, VERSION)
        return host

    def inside(self, host: str, *words) -> None:
        """Runs a command with the files of an emulated host."""
        pid = psutil.Process(self.cluster.hosts[host].process.pid).children()[0].pid
        subprocess.run(["nsenter", f"--mount=/proc/{pid}/ns/mnt", *words], check=False, stderr=subprocess.DEVNULL)

    def supervise(self, run: Path, *stages: str) -> "Case":
        words = [sys.executable, "-m", "mpiedge.commands.run", "--hostfile", str(self.hostfile), "--timeout",
                 str(self.timeout_s), "--max-failures", "1000", "--run", str(run)]
        for stage in stages:
            words += [word.format(demo=self.demo) for word in STAGES[stage]] + ["--"]
        return Case(self.cluster, words[:-1], run)

    def copy_before(self, stage: str, run: Path) -> None:
        """A run folder as it is before a stage."""
        shutil.copytree(self.good, run)
        for later in list(STAGES)[list(STAGES).index(stage) :]:
            shutil.rmtree(run / later, ignore_errors=True)
        shutil.rmtree(run / "checkpoints", ignore_errors=True)
        for name in ("decisions.csv", "supervisor.log"):
            (run / name).unlink(missing_ok=True)

    def begin(self, run: Path, stages: list[str]) -> None:
        """A run folder as it is before these stages, instead of what was there."""
        shutil.rmtree(run, ignore_errors=True)
        self.copy_before(stages[0], run)

    def equal(self, stage: str, run: Path) -> bool:
        if stage == "train":
            return curves_equal(self.good, run)
        return checksums(self.good / stage) == checksums(run / stage)

    def ranks(self, name: str) -> list[psutil.Process]:
        """The processes of ranks on an emulated host."""
        found = []
        for pid in self.cluster.hosts[name].group.pids():
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(pid)
                if process.cmdline()[1:2] == ["-m"]:
                    found.append(process)
        return found

    def strike(self, fault: str, host: str, case: "Case") -> None:
        """One fault, now."""
        if match := re.fullmatch(r"(.+)-(\d+)s", fault):
            self.strike(match[1], host, case)
            time.sleep(float(match[2]))
            self.cluster.order(["mend", host])
            return
        if fault == "kill-rank-0":
            host = HOSTS[0]
        if fault.startswith("kill-rank") or fault == "stop-rank":
            while not self.ranks(host) and case.running():
                time.sleep(0.01)
            for process in self.ranks(host):
                process.send_signal(signal.SIGSTOP if fault == "stop-rank" else signal.SIGKILL)
        elif fault in ("kill", "cut", "freeze", "cut-in", "cut-out"):
            verb, *way = fault.split("-")
            self.cluster.order([verb, host, *way])
        elif fault == "back":
            self.cluster.order(["kill", host])
            case.wait_for("attempt 2:")
            self.cluster.order(["mend", host])
        elif fault == "slow":
            self.cluster.order(["slow", host, "4x"])
        elif fault == "supervisor":
            case.kill_supervisor()
        elif fault == "disk-full":
            fill(self.disk / "filler")

    def mend(self) -> None:
        """All hosts as at the start; ranks that run go on, those that were stopped wake."""
        (self.disk / "filler").unlink(missing_ok=True)
        self.list_hosts(HOSTS)
        for name in HOSTS:
            self.cluster.order(["mend", name])
            self.inside(name, "umount", "--quiet", VERSION)

    def clear(self) -> None:
        """All hosts as at the start, without the ranks that the last run has left."""
        for name in HOSTS:
            for process in self.ranks(name):
                with contextlib.suppress(psutil.Error):
                    process.kill()
        self.mend()


class Case:
    """One mpiedge-run on the console, its output collected."""

    def __init__(self, cluster, words: list[str], run: Path):
        self.run, self.lines, self.code = run, [], None
        reader, writer = os.pipe()
        with open(os.devnull) as nothing:
            self.session = cluster.run(words, cluster.environment(), (nothing.fileno(), writer, writer))
        os.close(writer)
        threading.Thread(target=self._collect, args=(reader,), daemon=True).start()
        self.thread = threading.Thread(target=self._wait, daemon=True)
        self.thread.start()

    def _collect(self, reader: int) -> None:
        with open(reader, encoding="utf-8", errors="replace") as file:
            for line in file:
                self.lines.append((time.monotonic(), line.rstrip()))

    def _wait(self) -> None:
        self.code = self.session.exit_code()
        time.sleep(0.2)  # for the last lines; a frozen host may keep the pipe open for ever

    def running(self) -> bool:
        return self.thread.is_alive()

    def wait_for(self, text: str) -> float | None:
        """When a line with `text` came; None when the run ended without one."""
        while True:
            alive = self.running()
            for when, line in list(self.lines):
                if text in line:
                    return when
            if not alive:
                return None
            time.sleep(0.02)

    def kill_supervisor(self) -> None:
        for process in psutil.process_iter(["cmdline"]):
            words = process.info["cmdline"] or []
            if "mpiedge.commands.run" in words and str(self.run) in words:
                process.kill()

    def finish(self) -> tuple[int | None, str]:
        """Exit code (None after too long: then it is ended) and output."""
        self.thread.join(LONGEST_S)
        if self.thread.is_alive():
            self.session.signal(signal.SIGTERM)
            self.thread.join(10)
            self.code = None
        return self.code, "\n".join(line for _, line in self.lines)


def fill(path: Path) -> None:
    """Leaves no byte free on the disk of `path`."""
    with contextlib.suppress(OSError), open(path, "wb", buffering=0) as file:
        for size in (1 << 20, 4096):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))


def checksums(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir() if path.is_file()}


def curves_equal(good: Path, run: Path) -> bool:
    """Whether train went the same way. Weights may differ more: sums have another order on other hosts, and of the
    last, equally good epochs another one may be the best.
    """
    curves = []
    for folder in (good, run):
        with open(folder / "metrics.csv", newline="") as file:
            curves.append([[float(row[name]) for name in ("epoch", "train_loss", "val_loss")]
                           for row in csv.DictReader(file)])
    return len(curves[0]) == len(curves[1]) > 0 and np.abs(np.subtract(*curves)).max() <= LOSS_TOLERANCE


def try_case(bench: Bench, stage: str, fault: str, seed: int) -> dict:
    """One fault at one stage; after a fault that ends the supervisor, the same line is run again."""
    draw = random.Random(f"{stage} {fault} {seed}")
    host = draw.choice(HOSTS[1:] if bench.served else HOSTS)
    delay_s = draw.uniform(0, 0.8 * bench.wall_s[stage])
    run = bench.disk / "case"
    bench.begin(run, [stage])
    if fault in AT_START:
        host = bench.spoil(fault, host)
    start = time.monotonic()
    chain = list(STAGES)[: list(STAGES).index(stage) + (2 if fault == "back" else 1)]
    case = bench.supervise(run, *chain)
    began = case.wait_for("attempt 1:") or start
    struck = start
    if fault not in AT_START:
        time.sleep(max(0.0, began + delay_s - time.monotonic()))
        struck = time.monotonic()
        bench.strike(fault, host, case)
    code, said = case.finish()
    noticed = case.wait_for(f"{host} is set aside" if fault in AT_START else "attempt 2:") or case.wait_for(
        "mpiedge-run:")
    attempts = said.count(", attempt ")
    exits = str(code)
    if fault in ("supervisor", "disk-full") and code:
        (bench.disk / "filler").unlink(missing_ok=True)
        again = bench.supervise(run, *upto(stage))
        code, said = again.finish()
        attempts += said.count(", attempt ")
        exits += f" {code}"
    wall_s = time.monotonic() - start
    equal = code == 0 and bench.equal(stage, run)
    if fault == "back":
        again = next((line for _, line in case.lines if f"stage   {chain[-1]} " in line and "attempt 1:" in line), "")
        equal = equal and host in again
    bench.clear()
    if not equal:
        print(said, file=sys.stderr)
    return {"stage": stage, "fault": fault, "seed": seed, "host": host, "delay_s": f"{delay_s:.1f}", "exit": exits,
            "attempts": attempts, "noticed_s": f"{noticed - struck:.1f}" if noticed and noticed > struck else "",
            "wall_s": f"{wall_s:.1f}", "undisturbed_s": f"{bench.wall_s[stage]:.1f}", "equal": equal}


def storm(bench: Bench, stages: list[str], length_s: float, every_s: float, seed: int) -> int:
    """Chains one after the other under a fault every few seconds; prints the throughput beside that without faults.

    Returns how many chains ended wrong.
    """
    draw, clock = random.Random(seed), Clock()
    chains = faults = wrong = 0
    struck_s, run = 0.0, bench.disk / "storm"
    while clock.now_s < length_s:
        bench.begin(run, stages)
        case, began_s = bench.supervise(run, *upto(stages[-1])), clock.now_s
        while case.running() and clock.now_s - max(began_s, struck_s) < LONGEST_S:
            time.sleep(0.5)
            if clock.now_s - struck_s > every_s:
                bench.mend()
                struck_s = clock.now_s
                hosts = HOSTS[bench.served :]
                fault, host = draw.choice(STORM), draw.choice([name for name in hosts if bench.ranks(name)] or hosts)
                print(f"{struck_s:6.0f} s  {fault} {host}", flush=True)
                bench.strike(fault, host, case)
                faults += 1
        code, said = case.finish()
        bench.clear()
        differing = [stage for stage in stages if not bench.equal(stage, run)] if code == 0 else stages
        wrong += bool(differing)
        chains += 1
        print(f"{clock.now_s:6.0f} s  chain {chains} {'wrong' if differing else 'right'}", flush=True)
        if differing:
            print(f"{said}\nexit code {code}, differing: {', '.join(differing)}", file=sys.stderr)
    wall_s = clock.now_s
    bench.begin(run, stages)
    code, said = bench.supervise(run, *upto(stages[-1])).finish()
    if code != 0:
        print(f"{said}\nwithout faults, after the storm: exit code {code}", file=sys.stderr)
        wrong += 1
    before_s, after_s = sum(bench.wall_s[stage] for stage in stages), clock.now_s - wall_s
    print(f"storm: {chains} chains, {wrong} wrong, {faults} faults in {wall_s:.0f} s; "
          f"{100 * chains * (before_s + after_s) / 2 / wall_s:.0f} % of the throughput without faults "
          f"({before_s:.1f} s a chain before, {after_s:.1f} s after)")
    return wrong


class Clock:
    """Seconds since it was made, without those in which this whole box stood still."""

    def __init__(self):
        self.now_s = 0.0
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            began_s = time.monotonic()
            time.sleep(0.05)
            self.now_s += min(time.monotonic() - began_s, 0.5)


def upto(stage: str) -> list[str]:
    """The chain that ends with a stage."""
    return list(STAGES)[: list(STAGES).index(stage) + 1]


@contextlib.contextmanager
def small_disk():
    """A disk of 256 MB in memory, mounted before the hosts are made, so that they see it."""
    folder = Path(tempfile.mkdtemp(prefix="mpiedge-chaos-"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
        folder.rmdir()


def main() -> int:
    """The exit code: 1 when a case was wrong, that of EnvironmentProblem when this box cannot emulate."""
    page = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    page.add_argument("--stages", default=",".join(STAGES))
    page.add_argument("--faults", default=",".join(FAULTS))
    page.add_argument("--seeds", type=int, default=1)
    page.add_argument("--rows", type=int, default=600)
    page.add_argument("--served", action="store_true", help="only the first host sees the run folder")
    page.add_argument("--timeout", type=float, default=TIMEOUT_S, metavar="SECONDS", help="of mpiedge-run")
    page.add_argument("--storm", type=float, metavar="SECONDS")
    page.add_argument("--every", type=float, default=30.0, metavar="SECONDS", help="between two faults of the storm")
    page.add_argument("--out", default="results/chaos.csv")
    args = page.parse_args()
    emulated.check_box()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that everything is taken down
    emulated.sweep()
    machines = [Machine(name, 1, 1.0, 2_000_000_000, 1e8) for name in HOSTS]
    scale = fit(machines, len(os.sched_getaffinity(0)), psutil.virtual_memory().available)
    bad = 0
    with small_disk() as disk:
        private = []
        if args.served:
            (disk / "here").mkdir()
            private, disk = [str(disk / "here")], disk / "here"
        with emulated.Cluster("emulated-chaos", machines, scale, private, lambda text: None) as cluster:
            bench = Bench(cluster, disk, args.rows, args.served,
                          list(STAGES)[: 1 + max(map(list(STAGES).index, args.stages.split(",")))], args.timeout)
            print(f"emulated: {len(HOSTS)} hosts, {scale.tell()}; undisturbed {json.dumps(bench.wall_s)}", flush=True)
            if args.storm:
                return min(1, storm(bench, args.stages.split(","), args.storm, args.every, args.seeds))
            Path(args.out).parent.mkdir(exist_ok=True)
            with open(args.out, "w", newline="") as file:
                writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
                writer.writeheader()
                for stage in args.stages.split(","):
                    for fault in args.faults.split(","):
                        if fault == "back" and stage == list(STAGES)[-1]:
                            continue  # there is no next stage
                        for seed in range(args.seeds):
                            row = try_case(bench, stage, fault, seed)
                            writer.writerow(row)
                            file.flush()
                            print(" ".join(f"{name}={value}" for name, value in row.items()), flush=True)
                            bad += not row["equal"]
    print(f"{bad} cases failed")
    return min(bad, 1)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except EnvironmentProblem as error:
        print(error, file=sys.stderr)
        sys.exit(EnvironmentProblem.exit_code)
