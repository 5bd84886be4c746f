"""Discovery of dependencies on real tables: CPU seconds and memory from dictionary codes to the list of dependencies.

    python benchmarks/profiling.py --data DIR

DIR holds CSV files and an expected.json: {file: {"delimiter", "header", "fds"}}. Each table runs in a process of its
own; CPU seconds are the median of 5 runs at one rank. Where Desbordante is installed, its algorithms run on the same
files (time of execute(), without reading the file).
"""

import argparse
import csv
import gzip
import importlib.util
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PEERS = {"HyFD": {"threads": 1}, "Pyro": {"error": 0.0, "threads": 1}}
PEER_LIMIT_S = 100


def main():
    """Measure every table of the folder and print one line each."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--data", type=Path, default=Path("data"), help="folder with expected.json and its tables")
    options.add_argument("--table", help="only tables with this in their name")
    options.add_argument("--repeats", type=int, default=5)
    options.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options.add_argument("--peer", help=argparse.SUPPRESS)
    arguments = options.parse_args()
    if arguments.peer:
        print(json.dumps(measure_peer(arguments.peer, arguments.measure)))
    elif arguments.measure:
        print(json.dumps(measure(arguments.measure, arguments.repeats)))
    else:
        compare(arguments)


def compare(arguments):
    """Print the table of results."""
    expected = arguments.data / "expected.json"
    if not expected.is_file():
        sys.exit(f"{expected}: there is no such file. Give a folder of tables with --data")
    peers = list(PEERS) if importlib.util.find_spec("desbordante") else []
    if not peers:
        print("desbordante is not installed: no comparison (pip install desbordante)")
    heads = "".join(f"{peer + ' CPU s':>14}{'RSS MB':>8}" for peer in peers)
    print(f"{'table':26}{'rows':>8}{'columns':>8}{'FDs':>9}{'':>7}{'CPU s':>9}{'RSS MB':>8}{'grown MB':>10}{heads}")
    for name, info in json.loads(expected.read_text()).items():
        if arguments.table and arguments.table not in name:
            continue
        with tempfile.TemporaryDirectory() as folder:
            prepared = prepare(arguments.data / name, info, Path(folder))
            ours = child("--measure", prepared, "--repeats", arguments.repeats)
            verdict = "" if ours["fds"] == info["fds"] else f"!= {info['fds']}"
            line = f"{name[:25]:26}{ours['rows']:8}{ours['columns']:8}{ours['fds']:9}{verdict:>7}"
            line += f"{ours['cpu_s']:9.4f}{ours['rss_mb']:8.0f}{ours['grown_mb']:10.1f}"
            for peer in peers:
                theirs = child("--measure", prepared, "--peer", peer)
                line += f"{theirs['cpu_s']:14.3f}{theirs['rss_mb']:8.0f}" if theirs else f"{'-':>14}{'-':>8}"
            print(line, flush=True)


def prepare(source: Path, info: dict, folder: Path) -> Path:
    """Write the codes of a table, and the table without compression, into a folder."""
    import numpy as np

    plain = folder / "table.csv"
    with (gzip.open if source.suffix == ".gz" else open)(source, "rb") as packed, plain.open("wb") as unpacked:
        shutil.copyfileobj(packed, unpacked)
    with plain.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.reader(file, delimiter=info["delimiter"]) if row][1 if info["header"] else 0 :]
    codes = []
    for column in zip(*rows):
        seen: dict = {}
        numbers = np.array([seen.setdefault(cell, len(seen)) for cell in column], np.int32)
        codes.append(numbers.astype(np.uint8 if len(seen) <= 256 else np.uint16 if len(seen) <= 65536 else np.int32))
    np.savez(folder / "codes.npz", *codes)
    (folder / "info.json").write_text(json.dumps(info))
    return folder


def child(*words) -> dict | None:
    """The figures that a process of its own prints; None when it fails or takes too long."""
    try:
        done = subprocess.run([sys.executable, __file__, *map(str, words)], capture_output=True, text=True,
                              timeout=PEER_LIMIT_S, check=False)  # fmt: skip
    except subprocess.TimeoutExpired:
        return None
    if done.returncode and "--peer" not in words:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else None


def peak_rss_mb() -> float:
    """Largest resident memory of this process so far (getrusage would count the parent's on Linux)."""
    status = Path("/proc/self/status")
    if status.is_file():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(folder: Path, repeats: int) -> dict:
    """Median CPU seconds of the discovery, and the memory before and after."""
    import numpy as np

    from mpiedge.profiling.fds import discover_fds

    with np.load(folder / "codes.npz") as stored:
        codes = [stored[name] for name in stored.files]
    before, seconds = peak_rss_mb(), []
    for _ in range(repeats):
        started = time.process_time()
        found = discover_fds(codes)
        seconds.append(time.process_time() - started)
    return {"rows": len(codes[0]), "columns": len(codes), "fds": len(found), "cpu_s": float(np.median(seconds)),
            "rss_mb": peak_rss_mb(), "grown_mb": peak_rss_mb() - before}  # fmt: skip


def measure_peer(name: str, folder: Path) -> dict:
    """CPU seconds of one execute() of a Desbordante algorithm, and its memory."""
    import desbordante

    info = json.loads((folder / "info.json").read_text())
    algorithm = getattr(desbordante.fd.algorithms, name)()
    algorithm.load_data(table=(str(folder / "table.csv"), info["delimiter"], info["header"]))
    started = time.process_time()
    algorithm.execute(**PEERS[name])
    return {"cpu_s": time.process_time() - started, "rss_mb": peak_rss_mb()}


if __name__ == "__main__":
    main()
