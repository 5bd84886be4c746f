"""Faults drawn by seeds on this host: whatever is killed, stopped or filled, does the run end with the files it should?

    python tests/chaos/driver.py [--stages clean,profile,train] [--seeds 50] [--first 0] [--faults kill,...] [--served]

For every stage and seed, mpiedge-run is started with some ranks on small tables, and at a moment drawn by the seed one
or two faults strike. clean, profile: every file must be that of an undisturbed run, byte for byte; train: the same
epochs, each once, losses within 0.002, and no more epochs trained again than lie between two checkpoints. What ranks
wrote of their tasks is checked too (journal.py). A row a case goes to the output and to --out; the exit code tells
whether all were right. Faults of whole hosts: benchmarks/chaos.py.
"""

import argparse
import contextlib
import csv
import hashlib
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

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
from journal import Journal  # noqa: E402
from launching import launch_environment  # noqa: E402

TIMEOUT_S, LONGEST_S = 2.0, 900.0
DISK_BYTES = 64 << 20
LOSS_TOLERANCE, CHECKPOINT_EPOCHS = 0.002, 50
EPOCH = re.compile(r"(?:epoch +|resume +after epoch )([\d,]+)")
STAGES = {"clean": ["clean", "{demo}/papers.csv", "{demo}/cites.csv"], "profile": ["profile"],
          "train": ["train", "--label", "area", "--epochs", "600", "--patience", "600", "--dropout", "0",
                    "--checkpoint-every", str(CHECKPOINT_EPOCHS)]}
FAULTS = ("kill", "kill-rank-0", "kill-all", "stop", "stop-a-while", "suspend", "supervisor", "mpirun", "disk-full")
COLUMNS = ("stage", "seed", "ranks", "faults", "struck", "delay_s", "exits", "attempts", "wall_s", "undisturbed_s",
           "wrong")


class Bench:
    """The demo tables, and the undisturbed results of the stages, in one folder."""

    def __init__(self, folder: Path, rows: int, stages: list[str], served: bool = False):
        self.folder, self.demo, self.good = folder, folder / "demo", folder / "undisturbed"
        self.changes = {"MPIEDGE_ACCESS": "served"} if served else {}
        subprocess.run([sys.executable, "-m", "mpiedge.commands.demo", "--rows", str(rows), "--out", str(self.demo),
                        "-q"], check=True, env=launch_environment())
        self.wall_s = {}
        for stage in stages:
            case = Case(self, self.good, stage, 2)
            code = case.finish()
            self.wall_s[stage] = case.worked_s
            if code:
                raise SystemExit(f"the undisturbed {stage} ended with exit code {code}")

    def copy_before(self, stage: str, run: Path) -> None:
        """Makes a run folder as it is before a stage."""
        shutil.rmtree(run, ignore_errors=True)
        later = list(STAGES)[list(STAGES).index(stage) :]
        shutil.copytree(self.good, run, ignore=lambda *_: [*later, "checkpoints", "decisions.csv", "supervisor.log"])


class Case:
    """One mpiedge-run of the chain up to a stage, with the output it writes."""

    def __init__(self, bench: Bench, run: Path, stage: str, ranks: int):
        self.run, self.code = run, None
        words = [sys.executable, "-m", "mpiedge.commands.run", "-n", str(ranks), "--timeout", str(TIMEOUT_S),
                 "--max-failures", "20", "--run", str(run)]
        for before in list(STAGES)[: list(STAGES).index(stage) + 1]:
            words += [*(word.format(demo=bench.demo) for word in STAGES[before]), "--"]
        self.process = subprocess.Popen(words[:-1], env=launch_environment(bench.changes), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                        start_new_session=True)
        self.lines: list[str] = []
        self.worked_s = 0.0
        for target in (self._collect, self._clock):
            threading.Thread(target=target, daemon=True).start()

    def _clock(self) -> None:
        """Seconds until the end, without those in which this whole box stood still."""
        while self.running():
            began_s = time.monotonic()
            time.sleep(0.05)
            self.worked_s += min(time.monotonic() - began_s, 0.5)

    def _collect(self) -> None:
        for line in self.process.stdout:
            self.lines.append(line.rstrip())

    def running(self) -> bool:
        """Whether the supervisor is alive."""
        return self.process.poll() is None

    def attempts(self) -> int:
        """How often a stage was launched so far."""
        return sum(", attempt " in line for line in self.lines)

    def wait_for_attempt(self, number: int) -> bool:
        """Waits until a stage is launched for that time; False when the run ends before."""
        while self.attempts() < number and self.running():
            time.sleep(0.01)
        return self.attempts() >= number

    def finish(self) -> int | None:
        """The exit code; None when it took too long and was ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(LONGEST_S)
        code = self.process.poll()
        for process in [] if code is not None else [*processes(self.run), psutil.Process(self.process.pid)]:
            with contextlib.suppress(psutil.Error):
                process.kill()
        self.process.wait()
        time.sleep(0.1)
        return code


def processes(run: Path) -> list[psutil.Process]:
    """The ranks at work in a run folder."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if words[-2:] == ["--run", str(run)] and words[1:2] == ["-m"]:
            found.append(process)
    return sorted(found, key=lambda process: process.pid)


def strike(fault: str, draw: random.Random, case: Case, filler: Path) -> None:
    """One fault, now; ranks that are to be hit are waited for."""
    if fault == "supervisor":
        case.process.kill()
    elif fault == "mpirun":
        for process in psutil.Process(case.process.pid).children() if case.running() else []:
            process.kill()
    elif fault == "disk-full":
        fill(filler)
    elif fault == "suspend":  # the whole box stands still, as a notebook that is closed
        chosen = family(case.process.pid)
        for number, wait_s in ((signal.SIGSTOP, draw.uniform(0.2, 5 * TIMEOUT_S)), (signal.SIGCONT, 0)):
            for process in draw.sample(chosen, len(chosen)):
                with contextlib.suppress(psutil.Error):
                    process.send_signal(number)
            time.sleep(wait_s)
    else:
        while not (ranks := processes(case.run)) and case.running():
            time.sleep(0.01)
        one = ranks and [ranks[0] if fault == "kill-rank-0" else draw.choice(ranks)]
        chosen = ranks if fault == "kill-all" else one
        for process in chosen:
            process.send_signal(signal.SIGSTOP if fault.startswith("stop") else signal.SIGKILL)
        if fault == "stop-a-while":
            time.sleep(draw.uniform(0.2, 2.5 * TIMEOUT_S))
            for process in chosen:
                process.send_signal(signal.SIGCONT)


def family(pid: int) -> list[psutil.Process]:
    """A process and all it has started."""
    with contextlib.suppress(psutil.Error):
        return [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return []


def fill(path: Path) -> None:
    """Leaves no byte free on the disk of `path`."""
    with contextlib.suppress(OSError), open(path, "wb", buffering=0) as file:
        for size in (1 << 20, 4096):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))


def try_case(bench: Bench, stage: str, seed: int, faults: list[str]) -> dict:
    """One seed at one stage; where the supervisor has ended without a result, the same line is run again."""
    draw = random.Random(f"{stage} {seed}")
    ranks, strikes = draw.randint(1, 4), [draw.choice(faults) for _ in range(1 + (draw.random() < 0.3))]
    delays_s = [draw.uniform(0, 0.9 * bench.wall_s[stage]) for _ in strikes]
    run, filler = bench.folder / f"{stage}-{seed}", bench.folder / "filler"
    bench.copy_before(stage, run)
    journal, began_s = Journal(run, bench.folder / f"{stage}-{seed}-journal"), time.monotonic()
    case, cases, exits, struck = Case(bench, run, stage, ranks), [], [], 0
    for number, (fault, delay_s) in enumerate(zip(strikes, delays_s), 1):
        if case.wait_for_attempt(1 if cases else number):
            time.sleep(delay_s)
            struck += case.running()
            with contextlib.suppress(psutil.Error):
                strike(fault, draw, case, filler)
            if fault in ("supervisor", "disk-full"):
                exits.append(case.finish())
                cases.append(case)
                filler.unlink(missing_ok=True)
                case = Case(bench, run, stage, ranks)
    exits.append(case.finish())
    cases.append(case)
    if not struck:
        bench.wall_s[stage] = min(bench.wall_s[stage], case.worked_s)  # earlier the next time
    journal.stop()
    left = processes(run)
    wrong = [*journal.problems(), *differences(stage, bench.good, run)] if exits[-1] == 0 else ["no result"]
    wrong += epochs_lost([line for one in cases for line in one.lines]) if stage == "train" else []
    wrong += [f"{len(left)} processes left"] if left else []
    wrong += ["traceback"] if any("Traceback" in line for one in cases for line in one.lines) else []
    values = (stage, seed, ranks, " ".join(strikes), struck, " ".join(f"{delay:.2f}" for delay in delays_s),
              " ".join(map(str, exits)), sum(one.attempts() for one in cases), f"{time.monotonic() - began_s:.1f}",
              f"{bench.wall_s[stage]:.1f}", "; ".join(wrong))
    row = dict(zip(COLUMNS, values))
    if wrong:
        print("\n".join(line for one in cases for line in ["", *one.lines]), file=sys.stderr)
    else:
        shutil.rmtree(run)
        shutil.rmtree(journal.folder)
    return row


def differences(stage: str, good: Path, run: Path) -> list[str]:
    """How the result of a stage differs from the undisturbed one."""
    if stage == "train":
        return curve_differences(good, run)
    expected, found = checksums(good / stage), checksums(run / stage)
    return [f"{stage}/{name} differs" for name in sorted(expected.keys() | found.keys())
            if expected.get(name) != found.get(name)]


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 by name of the files of a folder."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir() if path.is_file()}


def curve_differences(good: Path, run: Path) -> list[str]:
    """Sums of floats have another order at other numbers of ranks: losses may differ a little, epochs may not."""
    curves = []
    for folder in (good, run):
        with open(folder / "metrics.csv", newline="") as file:
            curves.append(np.array([[float(row[name]) for name in ("epoch", "train_loss", "val_loss")]
                                    for row in csv.DictReader(file)]))
    if curves[0].shape != curves[1].shape or not np.array_equal(curves[0][:, 0], curves[1][:, 0]):
        return ["other epochs"]
    largest = float(np.abs(curves[0] - curves[1]).max())
    return [f"a loss differs by {largest:.4f}"] if largest > LOSS_TOLERANCE else []


def epochs_lost(lines: list[str]) -> list[str]:
    """Whether a training went back by more than the epochs between two checkpoints, as far as its lines tell."""
    reached, wrong = 0, []
    for line in lines:
        if found := EPOCH.match(line):
            epoch = int(found[1].replace(",", ""))
            if reached - epoch > CHECKPOINT_EPOCHS:
                wrong.append(f"went back from epoch {reached} to {epoch}")
            reached = epoch
    return wrong


@contextlib.contextmanager
def working_folder():
    """A folder for all of it: a small disk of its own where this process may mount one, else without full disks."""
    folder = Path(tempfile.mkdtemp(prefix="mpiedge-chaos-"))
    mounted = os.geteuid() == 0 and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", folder], capture_output=True).returncode == 0
    try:
        yield folder, [fault for fault in FAULTS if mounted or fault != "disk-full"]
    finally:
        if mounted:
            subprocess.run(["umount", "-l", folder], check=True)
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    """The exit code: 1 when a case was wrong."""
    page = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    page.add_argument("--stages", default=",".join(STAGES))
    page.add_argument("--seeds", type=int, default=3)
    page.add_argument("--first", type=int, default=0, help="the first seed")
    page.add_argument("--faults", help=f"some of {','.join(FAULTS)}")
    page.add_argument("--rows", type=int, default=600)
    page.add_argument("--served", action="store_true", help="only rank 0 reaches the run folder")
    page.add_argument("--out", default="results/faults.csv")
    args = page.parse_args()
    stages, bad = args.stages.split(","), 0
    with working_folder() as (folder, possible):
        faults = [fault for fault in possible if fault in (args.faults or ",".join(FAULTS)).split(",")]
        upto = max(list(STAGES).index(stage) for stage in stages)
        bench = Bench(folder, args.rows, list(STAGES)[: upto + 1], args.served)
        Path(args.out).parent.mkdir(exist_ok=True)
        with open(args.out, "w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            for seed in range(args.first, args.first + args.seeds):
                for stage in stages:
                    row = try_case(bench, stage, seed, faults)
                    writer.writerow(row)
                    file.flush()
                    print(" ".join(f"{name}={value}" for name, value in row.items()), flush=True)
                    bad += bool(row["wrong"])
    print(f"{args.seeds * len(stages)} cases, {bad} wrong")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
