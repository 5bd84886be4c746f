"""One run of a program, measured from outside: CPU and wall seconds, memory of every rank, and what it found."""

import contextlib
import csv
import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

PROGRAMS = Path(sys.executable).parent
PROJECT = Path(__file__).resolve().parent.parent
LIMIT_S = 600


def peak_rss_mb() -> float:
    """Largest resident memory of this process so far (getrusage would count the parent's on Linux)."""
    status = Path("/proc/self/status")
    if status.is_file():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def digest(found: list[tuple]) -> str:
    """Hash of a list of (left-hand side, right-hand side) by column index, whatever its order."""
    lines = sorted(f"{','.join(map(str, sorted(lhs)))}>{rhs}" for lhs, rhs in found)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def run(words: list, limit_s: float = LIMIT_S) -> dict | None:
    """CPU seconds (of all descendants), wall seconds and output of a command; None when it fails or takes too long."""
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
    environment["PATH"] = f"{PROGRAMS}{os.pathsep}{environment['PATH']}"
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        began_s = time.perf_counter()
        process = subprocess.Popen([str(word) for word in words], stdout=out, stderr=err, env=environment,
                                   start_new_session=True)  # fmt: skip
        timer = threading.Timer(limit_s, _end, (process.pid,))
        timer.start()
        _, status, used = os.wait4(process.pid, 0)
        timer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        wall_s = time.perf_counter() - began_s
        out.seek(0)
        err.seek(0)
        if process.returncode:
            print(f"! {' '.join(map(str, words))[:150]}: {process.returncode} {err.read()[-200:]}", file=sys.stderr)
            return None
        return {"cpu_s": used.ru_utime + used.ru_stime, "wall_s": wall_s, "out": out.read()}


def _end(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGTERM)


def all_at_once(programs: list) -> list[list]:
    """What functions without arguments return that run at the same time; who is done begins again until all are."""
    found: list[list] = [[] for _ in programs]

    def repeat(number: int):
        while not all(found):
            found[number].append(programs[number]())

    threads = [threading.Thread(target=repeat, args=(number,)) for number in range(len(programs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def peer(algorithm: str, table: Path, delimiter: str, limit_s: float) -> dict | None:
    """One run of an algorithm of Desbordante; whole_* leave out that its list is handed to Python."""
    done = run([sys.executable, PROJECT / "benchmarks/peers.py", algorithm, table, delimiter], limit_s)
    if done is None:
        return None
    figures = json.loads(done["out"].splitlines()[-1])
    return {**figures, "whole_wall_s": done["wall_s"]}


def mpiedge(kind: str, table: Path, delimiter: str, ranks: int, *flags, before: tuple = (), limit_s: float = LIMIT_S
            ) -> dict | None:
    """One run of mpiedge-profile for kind fd or ucc; `before` are words between mpirun and the program."""
    launch = ["mpirun", "-n", ranks] if ranks > 1 else []
    with tempfile.TemporaryDirectory() as folder:
        done = run([*launch, *before, "mpiedge-profile", table, "--no-header", "--delimiter", delimiter, f"--{kind}",
                    "-q", "--run", folder, *flags], limit_s)  # fmt: skip
        if done is None:
            return None
        with open(f"{folder}/timings.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        name = {"fd": "fds", "ucc": "uccs"}[kind]
        lines = [json.loads(line) for line in Path(folder, f"profile/{name}.jsonl").read_text("utf-8").splitlines()]
    number = {"fd": lambda line: (line["lhs"], line["rhs"]), "ucc": lambda line: (line["columns"], "_0")}[kind]
    found = [(tuple(_index(column) for column in lhs), _index(rhs)) for lhs, rhs in map(number, lines)]
    return {**_of_timings(rows), "whole_cpu_s": done["cpu_s"], "whole_wall_s": done["wall_s"], "count": len(found),
            "hash": digest(found)}  # fmt: skip


def _index(name: str) -> int:
    """The place of column_1, column_2, ... from 0."""
    return int(name.rpartition("_")[2]) - 1


def _of_timings(rows: list[dict]) -> dict:
    """Sums over the ranks of a run's timings.csv; the wall time of discovery is that of its slowest rank."""
    def total(field: str, phases: tuple, rank: str = "", kinds: tuple = ()) -> float:
        return sum(float(row[field] or 0) for row in rows if row["phase"] in phases and rank in ("", row["rank"])
                   and (not kinds or row["kind"] in kinds))  # fmt: skip

    ranks = sorted({row["rank"] for row in rows}, key=int)
    walls = [total("wall_s", ("discover",), rank) for rank in ranks]
    idle_s = total("wall_s", ("discover",), kinds=("idle", "wait"))
    return {
        "read_cpu_s": total("cpu_s", ("read", "encode")), "discovery_cpu_s": total("cpu_s", ("discover",)),
        "discovery_wall_s": max(walls), "write_cpu_s": total("cpu_s", ("write", "commit")),
        "idle_share": idle_s / sum(walls) if sum(walls) else 0.0, "stolen": int(total("tasks_stolen", ("discover",))),
        "sent_bytes": int(total("bytes_sent", ("discover",))),
        "peaks_mb": [max(float(row["peak_rss_mb"] or 0) for row in rows if row["rank"] == rank) for rank in ranks],
    }  # fmt: skip


def plain(source: Path, target: Path, header: bool) -> None:
    """A table as plain CSV without its header line, the form that all programs are given."""
    import gzip

    with (gzip.open if source.suffix == ".gz" else open)(source, "rb") as packed, target.open("wb") as unpacked:
        if header:
            packed.readline()
        shutil.copyfileobj(packed, unpacked)
