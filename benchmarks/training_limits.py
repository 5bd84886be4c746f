"""A drawn graph three times as large as the memory of all ranks together, under that limit and without one.

Its size is that of its features and edges as sparse rows in memory: 4-byte numbers, both directions of an edge.
"""

import json
from pathlib import Path

import numpy as np

from benchmarks import limits, measure
from benchmarks import training_runs as runs
from mpiedge.demo import graphs
from mpiedge.store.graphs import StoredGraph, read_about

TIMES = 3
EDGES = 10  # of each node, drawn
NODE_BYTES = 8 + 8 * graphs.WORDS + 8 + 2 * EDGES * 4
PEERS = ("torch-csr", "pyg")


def compare(limit_mb: int, programs_mb: int, ranks: int, epochs: int, peers: str, scratch: Path, limit_s: float
            ) -> list[dict]:
    """A line for mpiedge without a limit, mpiedge under it, and each peer under it.

    programs_mb: of each rank's memory that programs take by themselves, and that the graph is not compared with.
    """
    nodes = TIMES * ranks * (limit_mb - programs_mb) * 1_000_000 // NODE_BYTES
    folder = scratch / "graph"
    measure.run(["mpirun", "-n", ranks, "mpiedge-demo", "--graph", "sbm", "--nodes", nodes, "--edges", EDGES * nodes,
                 "--out", folder, "-q"], limit_s)  # fmt: skip
    size_mb = nodes * NODE_BYTES / 1e6
    print(f"{nodes:,} nodes, {EDGES * nodes:,} edges: {size_mb:.0f} MB as sparse rows, {TIMES} times the {limit_mb} - "
          f"{programs_mb} MB of each of {ranks} ranks", flush=True)  # fmt: skip
    about, flags = {"nodes": nodes, "size_mb": size_mb}, ("--epochs", epochs)
    free = runs.mpiedge(folder, ranks, *flags, "--hold", "memory", keep=scratch / "free", limit_s=limit_s)
    with limits.groups(limit_mb, ranks) as before:
        memory = ("--memory", f"{int(limits.FLAG_SHARE * limit_mb)}MB")
        bound = runs.mpiedge(folder, ranks, *flags, *memory, before=before, keep=scratch / "bound", limit_s=limit_s)
    lines = [_line("mpiedge", None, free, about), _line("mpiedge", limit_mb, bound, about)]
    if free and bound:
        lines[1] |= _differences(scratch / "free", scratch / "bound")
        print(f"largest difference of losses {lines[1]['loss_differs']:.1e}, {lines[1]['predictions_differ']:,} of "
              f"{nodes:,} predictions differ", flush=True)  # fmt: skip
    arrays = export(folder, scratch / "peers.npz")
    for peer in PEERS:
        with limits.groups(ranks * limit_mb, 1) as before:  # one process with the memory of all ranks
            lines.append(_line(peer, ranks * limit_mb, runs.peer(peer, arrays, 16, epochs, peers, launch=before,
                                                                 limit_s=limit_s), about))  # fmt: skip
    return lines


def export(folder: Path, target: Path) -> Path:
    """A graph in chunks as plain arrays for the peers."""
    about = read_about(str(folder))
    stored = StoredGraph(folder, about, [0])
    rows = [stored.nodes(chunk) for chunk in range(about["node_chunks"])]
    edges = np.concatenate([stored.edges(chunk) for chunk in range(about["edge_chunks"])]).astype(np.int32)
    edges = np.sort(edges[edges[:, 0] != edges[:, 1]], axis=1)
    edges = np.unique(edges.view(np.int64)).view(np.int32).reshape(-1, 2)
    words = np.concatenate([chunk["words"] for chunk in rows]).reshape(-1).astype(np.int32)
    width = about["entries"] // about["nodes"]
    np.savez(target, edges=edges, labels=np.concatenate([chunk["labels"] for chunk in rows]).astype(np.int64),
             split=np.concatenate([chunk["split"] for chunk in rows]), columns=about["columns"],
             indptr=np.arange(about["nodes"] + 1) * width, indices=words, classes=len(about["classes"]),
             data=np.full(len(words), 1 / np.sqrt(width), np.float32))  # fmt: skip
    return target


def _differences(one: Path, other: Path) -> dict:
    """How two runs differ: the largest difference of a loss, and how many predictions."""
    losses = [[float(row[name]) for row in runs.rows_of(run / "metrics.csv") for name in ("train_loss", "val_loss")]
              for run in (one, other)]  # fmt: skip
    with open(one / "train/predictions.csv") as first, open(other / "train/predictions.csv") as second:
        differ = sum(a.split(",")[1] != b.split(",")[1] for a, b in zip(first, second, strict=True))
    return {"loss_differs": max(abs(a - b) for a, b in zip(*losses, strict=True)), "predictions_differ": differ}


def _line(program: str, limit_mb: int | None, found: dict | None, about: dict) -> dict:
    """Figures of one run; prints them."""
    limited = f"{limit_mb} MB" if limit_mb else "no limit"
    line = {"program": program, "limit_mb": limit_mb, **about, "done": bool(found)}
    if not found:
        print(f"{program:10} {limited:9} not done", flush=True)
        return line
    names = ("test_accuracy", "epoch_wall_s", "epoch_cpu_s", "whole_cpu_s", "whole_wall_s", "peak_rss_mb", "hold")
    line |= {name: found.get(name) for name in names}
    print(f"{program:10} {limited:9} {line['hold'] or '':7} test {100 * line['test_accuracy']:.1f} %, an epoch "
          f"{line['epoch_wall_s']:.1f} s, {line['epoch_cpu_s']:.1f} CPU s; whole {line['whole_wall_s']:.0f} s, "
          f"{line['whole_cpu_s']:.0f} CPU s; peak {line['peak_rss_mb']:.0f} MB; {json.dumps(about)}", flush=True)
    return line
