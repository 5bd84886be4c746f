"""One of three ranks of clean, or of train, is killed: how long until the others, or those launched anew, go on?

python benchmarks/recovery.py FOLDER [--repeats 5]
python benchmarks/recovery.py GRAPH --stage train [--repeats 5]

FOLDER, of mpiedge-demo, has papers.csv and cites.csv; some thousand rows, so that clean lasts longer than the moments
drawn here: until a task is begun. GRAPH: for mpiedge-train --graph: until an epoch is about to begin.
"""

import argparse
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)  # here is a queue.py, which would hide the library's

import psutil  # noqa: E402

from mpiedge.supervise.launch import launch_environment  # noqa: E402

LATEST_S = 1.5


def ranks(run: str) -> list[psutil.Process]:
    """The ranks at work in a run folder."""
    found = [process for process in psutil.process_iter(["cmdline"])
             if (process.info["cmdline"] or [])[1:2] == ["-m"] and process.info["cmdline"][-2:] == ["--run", run]]
    return sorted(found, key=lambda process: process.pid)


def attempts(run: str) -> set[str]:
    """Names of the attempts, and of what goes on after a death, in which some task was begun."""
    return {path.name.rpartition("-")[0] for path in Path(run).glob(".unfinished/*/*.records")}


def measure(tables: list[str], draw: random.Random) -> float:
    """Seconds from the kill to the next task that is begun; nan where the stage was complete before."""
    with tempfile.TemporaryDirectory() as run:
        words = [sys.executable, "-m", "mpiedge.commands.run", "-n", "3", "--run", run, "-q", "clean", *tables]
        supervisor = subprocess.Popen(words, env=launch_environment(), stderr=subprocess.DEVNULL)
        while not attempts(run) and supervisor.poll() is None:
            time.sleep(0.002)
        time.sleep(draw.uniform(0, LATEST_S))
        before, began_s, after_s = attempts(run), time.monotonic(), float("nan")
        draw.choice(ranks(run)).kill()
        while supervisor.poll() is None:
            if attempts(run) - before:
                after_s = time.monotonic() - began_s
                break
            time.sleep(0.002)
        assert supervisor.wait() == 0
        return after_s


def measure_training(graph: str, draw: random.Random) -> float:
    """Seconds from the kill, at a moment after the first line of an epoch, to the line that tells that they go on."""
    with tempfile.TemporaryDirectory() as run:
        words = [sys.executable, "-m", "mpiedge.commands.run", "-n", "3", "--run", run, "train", "--graph", graph,
                 "--epochs", "2000", "--patience", "2000"]
        supervisor = subprocess.Popen(words, env=launch_environment(), stdout=subprocess.PIPE, text=True,
                                      stderr=subprocess.DEVNULL)
        began_s, after_s = 0.0, float("nan")
        for line in supervisor.stdout:
            if line.startswith("epoch") and not began_s:
                time.sleep(draw.uniform(0, LATEST_S))
                began_s = time.monotonic()
                draw.choice(ranks(run)).kill()
            elif began_s and line.startswith("recover"):
                after_s = time.monotonic() - began_s
                break
        supervisor.stdout.close()
        supervisor.terminate()
        supervisor.wait()
        return after_s


def main() -> None:
    page = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    page.add_argument("folder", type=Path)
    page.add_argument("--stage", choices=("clean", "train"), default="clean")
    page.add_argument("--repeats", type=int, default=5)
    args = page.parse_args()
    draw = random.Random(0)
    found = []
    for _ in range(args.repeats):
        if args.stage == "train":
            found.append(measure_training(str(args.folder), draw))
        else:
            found.append(measure([str(args.folder / "papers.csv"), str(args.folder / "cites.csv")], draw))
        print(f"{found[-1]:.2f} s", flush=True)
    print(f"median {statistics.median(found):.2f} s, longest {max(found):.2f} s")


if __name__ == "__main__":
    main()
