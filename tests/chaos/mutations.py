"""HDF5 files of a run that were cut, altered, emptied or replaced, and the whole programs that read them.

    python tests/chaos/mutations.py [--readers clean,profile,...] [--count 200] [--first 0]

Each case is a copy of a finished run (or of one that was killed) with one damaged file, in which a program runs as one
rank, in a process of its own: it must end with the files that it gives undisturbed, or with a line that names the file
and a documented exit code; not by a signal, with a traceback, or never. A row a case goes to --out, the counts to the
output; the exit code tells whether all were right.
"""

import argparse
import collections
import csv
import faulthandler
import hashlib
import importlib
import os
import pkgutil
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
from launching import launch_environment  # noqa: E402

LONGEST_S, PAUSE_S = 120.0, 0.01
HOWS = ("cut", "altered", "empty", "foreign", "text", "swapped")
TRAIN = ["train", "--label", "area", "--epochs", "12", "--patience", "12", "--checkpoint-every", "5", "--model", "mlp"]
READERS = {  # reader -> (its line, the files it reads, what it writes)
    "clean": (["clean", "{demo}/papers.csv", "{demo}/cites.csv"], ".unfinished/**/*.h5", "clean/*"),
    "profile": (["profile"], "clean/*.h5", "profile/*"),
    "train": (TRAIN, "clean/*.h5", "train/predictions.csv"),
    "go-on": (TRAIN, "checkpoints/*.h5", "train/predictions.csv"),
    "predict": (["predict", "{run}/clean/papers.csv"], "train/model.h5", "predict/*"),
    "report": (["report"], "**/*.h5", ""),
    "chunks": (["train", "--graph", "{run}/graph", "--epochs", "3"], "graph/*.h5", "train/predictions.csv"),
}
COLUMNS = ("reader", "seed", "file", "how", "code", "wall_s", "told", "wrong")


def load_programs() -> None:
    """Imports what the programs import, but for MPI: each of their processes is a fork of this one."""
    import mpiedge

    for module in pkgutil.walk_packages(mpiedge.__path__, "mpiedge."):
        if not module.name.endswith("._native"):
            importlib.import_module(module.name)
    if "mpi4py.MPI" in sys.modules:
        raise SystemExit("a module imports MPI before it is needed")


def launch(words: list[str], folder: Path) -> int:
    """Starts a program in a process of its own, its output in two files of the folder; the number of the process."""
    process = os.fork()
    if process:
        return process
    try:
        os.setsid()
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        faulthandler.enable()
        sys.argv = [f"mpiedge-{words[0]}", *words[1:]]
        os._exit(importlib.import_module(f"mpiedge.commands.{words[0]}").main(words[1:]) or 0)
    except SystemExit as end:
        os._exit(end.code if isinstance(end.code, int) else 1)
    finally:
        sys.excepthook(*sys.exc_info())
        os._exit(70)


def wait(process: int, until=lambda: False) -> int | None:
    """The exit code of a process, negative for a signal; None where it was killed, as `until()` or its time came."""
    for _ in range(int(LONGEST_S / PAUSE_S)):   # a box that stands still meanwhile stops this process, too
        if until():
            break
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(PAUSE_S)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return None


def damage(path: Path, how: str, draw: random.Random, others: list[Path]) -> None:
    """One damage to one file."""
    import h5py
    import numpy as np

    image = bytearray(path.read_bytes())
    if how == "cut":
        del image[draw.randrange(len(image)):]
    elif how == "altered":
        for _ in range(draw.choice((1, 1, 2, 8, 100))):
            image[draw.randrange(len(image))] ^= 1 << draw.randrange(8)
    elif how == "text":
        image[:] = b"a,b\n1,2\n" * draw.randrange(1, 200)
    elif how == "swapped":
        image[:] = draw.choice(others).read_bytes()
    path.write_bytes(b"" if how in ("empty", "foreign") else bytes(image))
    if how == "foreign":   # names that are right, and a declared size that no memory has
        names = draw.sample(["text", "ends", "weights", "data", "id", "rows", "head", "columns"], 4)
        with h5py.File(path, "w") as file:
            for name in names:
                file[name] = np.arange(draw.randrange(1, 500))
            file.create_dataset("size", (draw.randrange(1 << 33, 1 << 50),), np.int64, chunks=(8192,))


class Bench:
    """The demo tables and the state of a run before each reader, in one folder."""

    def __init__(self, folder: Path, rows: int, readers: list[str]):
        self.folder, self.demo = folder, folder / "demo"
        self.befores: dict[str, Path] = {}
        self.good: dict[str, dict[str, str]] = {}
        self._do(["demo", "--rows", str(rows), "--out", str(self.demo), "-q"])
        run = folder / "run"
        for reader in READERS:
            if reader == "chunks":
                self._do(["demo", "--graph", "sbm", "--nodes", "300", "--edges", "900", "-q", "--out", f"{run}/graph"])
            if reader in readers and reader in ("clean", "go-on"):
                self._stop(reader, run)
            elif reader in readers:
                self.befores[reader] = shutil.copytree(run, folder / f"before-{reader}")
            if reader != "go-on":
                self._do(self.line(reader, run))
            self.good[reader] = results(run, READERS[reader][2])

    def line(self, reader: str, run: Path) -> list[str]:
        """The words of a reader's command line."""
        words = [word.format(demo=self.demo, run=run) for word in READERS[reader][0]]
        return [*words, str(run)] if reader == "report" else [*words, "--run", str(run), "-q"]

    def _do(self, words: list[str]) -> None:
        code = wait(launch(words, self.folder))
        if code:
            raise SystemExit(f"{' '.join(words)} ended with exit code {code}: {(self.folder / 'err').read_text()}")

    def _stop(self, reader: str, run: Path) -> None:
        """The run as a reader leaves it that is killed when it has written files which a next attempt reads."""
        stopped = self.folder / f"before-{reader}"
        if run.exists():
            shutil.copytree(run, stopped, ignore=lambda *_: ["train", "checkpoints"])
        process = launch(self.line(reader, stopped), self.folder)
        if wait(process, lambda: len(list(stopped.glob(READERS[reader][1]))) > 0) is not None:
            raise SystemExit(f"{reader} was done before it could be killed")
        self.befores[reader] = stopped


def results(run: Path, pattern: str) -> dict[str, str]:
    """Names and checksums of what a reader wrote."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(run.glob(pattern or "no"))
            if path.is_file() and path.name != "manifest.json"}


def try_case(bench: Bench, reader: str, seed: int) -> dict:
    """One damage and one program: a row of COLUMNS."""
    draw, run = random.Random(f"{reader} {seed}"), bench.folder / f"case-{os.getpid()}"
    shutil.rmtree(run, ignore_errors=True)
    shutil.copytree(bench.befores[reader], run)
    files = sorted(run.glob(READERS[reader][1]))
    path, how = draw.choice(files), HOWS[seed % len(HOWS)]
    damage(path, how, draw, sorted(run.glob("**/*.h5")))
    started = time.monotonic()
    code = wait(launch(bench.line(reader, run), bench.folder))
    told = (bench.folder / "err").read_text("utf-8", "replace").strip()
    row = {"reader": reader, "seed": seed, "file": path.relative_to(run), "how": how, "code": code,
           "wall_s": round(time.monotonic() - started, 2), "told": told[:300]}
    if code is None or code < 0:
        wrong = "never ended" if code is None else f"ended by signal {-code}"
    elif "Traceback" in told or "internal error" in told:
        wrong = "internal error"
    elif code:
        wrong = "" if code in (1, 3, 4) and len(told.splitlines()) == 1 else f"exit code {code}, not told in one line"
    else:
        wrong = "" if results(run, READERS[reader][2]) == bench.good[reader] else "other results"
    return row | {"wrong": wrong}


def main() -> int:
    """Runs the cases; 1 when one of them was wrong."""
    page = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    page.add_argument("--readers", type=lambda text: text.split(","), default=list(READERS))
    page.add_argument("--count", type=int, default=200)
    page.add_argument("--first", type=int, default=0)
    page.add_argument("--rows", type=int, default=200)
    page.add_argument("--out", type=Path, default=Path("mutations.csv"))
    args = page.parse_args()
    os.environ.update(launch_environment())
    load_programs()
    wrong = 0
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, open(args.out, "w", newline="") as file:
        bench = Bench(Path(folder), args.rows, args.readers)
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        for reader in args.readers:
            ends: collections.Counter = collections.Counter()
            for seed in range(args.first, args.first + args.count):
                row = try_case(bench, reader, seed)
                table.writerow(row)
                file.flush()
                ends[row["wrong"] or ("refused" if row["code"] else "right")] += 1
                wrong += bool(row["wrong"])
            print(reader, dict(ends), flush=True)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
