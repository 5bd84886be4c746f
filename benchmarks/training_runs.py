"""One training of mpiedge or of a peer, a process each, and what it took."""

import argparse
import csv
import json
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks import measure
from mpiedge.graph import readers
from mpiedge.training import split as splits

EPOCH_PHASES = ("step", "validate", "exchange", "allreduce")
WARM = 3  # epochs before times count


def mpiedge(graph: Path, ranks: int, *flags, before: tuple = (), launch: tuple = (), seed: int = 0,
            limit_s: float = measure.LIMIT_S, keep: Path | None = None) -> dict | None:
    """Figures of mpiedge-train at `ranks`; None when it fails. before: words between mpirun and the program; launch:
    words before mpirun; keep: the run folder, else it is removed.

    CPU seconds of an epoch are those of all ranks, its wall seconds the median.
    """
    words = [*launch, *(["mpirun", "-n", ranks] if ranks > 1 or launch else []), *before, "mpiedge-train", "--graph",
             graph, "--seed", seed, "--fresh", "-q", *flags]  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch:
        folder = keep or Path(scratch, "run")
        done = measure.run([*words, "--run", folder], limit_s)
        if done is None:
            return None
        summary = json.loads((folder / "train/summary.json").read_text())
        timings, epochs = rows_of(folder / "timings.csv"), rows_of(folder / "metrics.csv")
    timings = [row for row in timings if row["stage"] == "train"]
    walls = [float(row["wall_s"]) for row in epochs]
    cpu_s = sum(float(row["cpu_s"] or 0) for row in timings if row["phase"] in EPOCH_PHASES)
    ends = np.cumsum(walls).tolist()
    return {**{name: summary[name] for name in ("test_accuracy", "val_accuracy", "best_epoch", "epochs", "peak_rss_mb",
                                                "bytes_sent", "gradient_bytes_sent", "gradient_bytes_plain", "compress",
                                                "halo", "hold", "learning_rate", "hidden", "dropout")},
            "epoch_cpu_s": cpu_s / len(epochs), "epoch_wall_s": statistics.median(walls[WARM:] or walls),
            "halo_bytes": sum(int(row["bytes_sent"] or 0) for row in timings if row["phase"] == "exchange"),
            "whole_cpu_s": done["cpu_s"], "whole_wall_s": done["wall_s"],
            "curve": [(end, float(row["val_accuracy"])) for end, row in zip(ends, epochs)]}  # fmt: skip


def peer(program: str, arrays: Path, hidden: int, epochs: int, python: str, seed: int = 0, launch: tuple = (),
         limit_s: float = measure.LIMIT_S) -> dict | None:
    """Figures of a program of training_peers.py, run by the Python that has it; launch: words before it, for DDP."""
    script = measure.PROJECT / "benchmarks/training_peers.py"
    done = measure.run([*launch, python, script, program, arrays, hidden, epochs, seed], limit_s)
    if done is None:
        return None
    lines = [json.loads(line) for line in done["out"].splitlines() if line.startswith("{")]
    return {**lines[0], "epoch_cpu_s": sum(line["epoch_cpu_s"] for line in lines), "whole_cpu_s": done["cpu_s"],
            "whole_wall_s": done["wall_s"], "peak_rss_mb": max(line["peak_rss_mb"] for line in lines)}  # fmt: skip


def export(path: Path, split: str | None, seed: int, target: Path) -> Path:
    """A graph with the split that mpiedge takes, as plain arrays for the peers."""
    names = readers.file_names(str(path), [file.name for file in path.iterdir()] if path.is_dir() else [])
    graph = readers.read_graph(str(path), names, lambda name: (path / name if name else path).read_bytes())
    _, roles = splits.of_training(graph, argparse.Namespace(split=split, seed=seed, select=None))
    features = graph.features
    np.savez(target, edges=graph.edges, labels=graph.labels, split=roles, indptr=features.indptr,
             indices=features.indices, data=features.data, columns=features.columns, classes=len(graph.classes))
    return target


def rows_of(path: Path) -> list[dict]:
    """A CSV file as a list of dicts."""
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write(lines: list[dict], target: Path) -> None:
    """The figures of all lines as CSV, without curves."""
    target.parent.mkdir(parents=True, exist_ok=True)
    names = dict.fromkeys(name for line in lines for name, value in line.items() if not isinstance(value, list))
    with open(target, "w", newline="") as file:
        writer = csv.DictWriter(file, list(names), extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
    print(f"written {target}", file=sys.stderr)
