"""Training: accuracies over ten seeds, and mpiedge beside PyTorch Geometric, plain torch and DDP in one run.

    python benchmarks/training.py accuracy --data DIR                 every graph with its best model, at --ranks
    python benchmarks/training.py compare --data DIR --peers PYTHON   an epoch beside the peers (training_peers.py)
    python benchmarks/training.py ranks                               a drawn graph of 1 M edges at --ranks
    python benchmarks/training.py equal --data DIR --only cora        weights of --ranks beside those of one rank
    python benchmarks/training.py throttled                           the same at four ranks, one slowed to a quarter
    python benchmarks/training.py links --data DIR --peers PYTHON     four emulated hosts on slow links, beside DDP
    python benchmarks/training.py tune --data DIR --seeds 1           --tune beside all its settings trained to the end
    python benchmarks/training.py limits --megabytes 370 --ranks 1    a graph 3x the memory of all ranks (real limits);
                                         --programs 300               or 3x what the programs leave of it: minutes

DIR holds the graphs cora, citeseer, facebook_musae and amazon_photo; PYTHON is a Python that has torch_geometric (the
extra bench-training, best in an environment of its own), for links also mpi4py. An epoch is a step and a validation;
CPU seconds count all ranks and threads (one thread a rank, everywhere). A CSV file goes to --out.
"""

import argparse
import statistics
import sys
import tempfile
from functools import partial
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)  # here is a queue.py, which would hide the library's

from benchmarks import measure, training_equal, training_limits, training_links, training_throttled, training_tune  # noqa: E402
from benchmarks import training_runs as runs  # noqa: E402

GRAPHS = {"cora": (None, 81.0, ()), "citeseer": (None, 70.3, ()),
          "facebook_musae": ("60/20/20", 94.5, ()),
          "amazon_photo": ("60/20/20", 92.5, ("--hidden", 64))}  # fmt: skip
"""Of every graph: its split, the accuracy to reach in per cent, and the flags of its best model."""

COMPARED = ("cora", "citeseer", "facebook_musae")
EPOCHS = 100


def main():
    """Measure what was asked for."""
    page = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    page.add_argument("what", choices=list(WHAT))
    page.add_argument("--data", type=Path, default=Path("data"), help="folder of the graphs")
    page.add_argument("--only", nargs="*", help="only graphs with one of these in their names")
    page.add_argument("--peers", default=sys.executable, help="a Python with torch_geometric")
    page.add_argument("--seeds", type=int, default=10)
    page.add_argument("--ranks", type=int, nargs="+", help="default: 1 2 4; limits: 2")
    page.add_argument("--repeats", type=int, default=3)
    page.add_argument("--links", nargs="*", default=training_links.LINKS, help="links: their rates")
    page.add_argument("--megabytes", type=int, default=370, help="limits: memory of each rank, programs included")
    page.add_argument("--programs", type=int, default=0, help="limits: memory of a rank that does not count")
    page.add_argument("--epochs", type=int, default=8, help="limits: epochs of each run")
    page.add_argument("--limit", type=float, default=1800, help="seconds after which a run is given up")
    page.add_argument("--out", type=Path, default=Path("results/benchmarks"))
    options = page.parse_args()
    options.ranks = options.ranks or ([2] if options.what == "limits" else [1, 2, 4])
    with tempfile.TemporaryDirectory() as scratch:
        runs.write(WHAT[options.what](options, Path(scratch)), options.out / f"training-{options.what}.csv")


def graphs(options, names) -> list[str]:
    """The names that were asked for."""
    return [name for name in names if not options.only or any(part in name for part in options.only)]


def accuracy(options, scratch: Path) -> list[dict]:
    """Mean and spread of the test accuracy over the seeds; a line for each graph and number of ranks."""
    lines = []
    for name in graphs(options, GRAPHS):
        split, wanted, flags = GRAPHS[name]
        flags = (*flags, *(("--split", split) if split else ()))
        for ranks in options.ranks:
            found = [runs.mpiedge(options.data / name, ranks, *flags, seed=seed, limit_s=options.limit)
                     for seed in range(options.seeds)]  # fmt: skip
            found = [run for run in found if run]
            scores = [100 * run["test_accuracy"] for run in found]
            line = {"graph": name, "ranks": ranks, "runs": len(found), "flags": " ".join(map(str, flags)),
                    "test_accuracy": statistics.fmean(scores), "deviation": statistics.stdev(scores), "wanted": wanted,
                    **{field: statistics.median(run[field] for run in found)
                       for field in ("epoch_cpu_s", "whole_cpu_s", "peak_rss_mb")}}  # fmt: skip
            lines.append(line)
            print(f"{name:15} {ranks} ranks: {line['test_accuracy']:.1f} +- {line['deviation']:.1f} % of {len(found)} "
                  f"seeds, {'' if line['test_accuracy'] >= wanted else 'NOT '}the {wanted} wanted; "
                  f"{line['whole_cpu_s']:.1f} CPU s, {line['peak_rss_mb']:.0f} MB a rank", flush=True)  # fmt: skip
    return lines


def compare(options, scratch: Path) -> list[dict]:
    """The same network in every program on one rank: CPU seconds of an epoch and of the process, memory, accuracy."""
    lines = []
    for name in graphs(options, COMPARED):
        split, _, _ = GRAPHS[name]
        arrays = runs.export(options.data / name, split, 0, scratch / f"{name}.npz")
        flags = ("--epochs", EPOCHS, "--patience", EPOCHS, *(("--split", split) if split else ()))
        programs = {"mpiedge": partial(runs.mpiedge, options.data / name, 1, *flags, limit_s=options.limit)}
        programs |= {peer: partial(runs.peer, peer, arrays, 16, EPOCHS, options.peers, limit_s=options.limit)
                     for peer in ("torch-csr", "pyg-sparse", "pyg")}  # fmt: skip
        mine = None
        for program, measured in programs.items():
            repeats = 1 if program.startswith("pyg") else options.repeats  # they take minutes
            found = [run for run in (measured() for _ in range(repeats)) if run]
            if not found:
                continue
            line = {"graph": name, "program": program, "runs": len(found),
                    **{field: statistics.median(run[field] for run in found)
                       for field in ("epoch_cpu_s", "epoch_wall_s", "whole_cpu_s", "whole_wall_s", "peak_rss_mb",
                                     "test_accuracy")}}  # fmt: skip
            mine = mine or line
            line["of_mpiedge"] = line["epoch_cpu_s"] / mine["epoch_cpu_s"]
            lines.append(line)
            print(f"{name:15} {program:10} {1e3 * line['epoch_cpu_s']:8.1f} ms CPU an epoch "
                  f"({line['of_mpiedge']:.1f}x), {line['whole_cpu_s']:.1f} s CPU whole, "
                  f"{line['peak_rss_mb']:.0f} MB, test {100 * line['test_accuracy']:.1f} %", flush=True)  # fmt: skip
    return lines


def ranks(options, scratch: Path) -> list[dict]:
    """Wall seconds of an epoch on a drawn graph of a million edges, by the number of ranks."""
    graph, lines = draw(scratch), []
    for count in options.ranks:
        found = [runs.mpiedge(graph, count, "--epochs", 30, limit_s=options.limit) for _ in range(options.repeats)]
        found = [run for run in found if run]
        line = {"ranks": count, "runs": len(found), **{field: statistics.median(run[field] for run in found) for field
                in ("epoch_wall_s", "epoch_cpu_s", "test_accuracy", "peak_rss_mb", "bytes_sent")}}  # fmt: skip
        lines.append(line)
        line["faster"] = lines[0]["epoch_wall_s"] / line["epoch_wall_s"]
        print(f"{count} ranks: {1e3 * line['epoch_wall_s']:.1f} ms an epoch, {line['faster']:.2f}x of "
              f"{lines[0]['ranks']}, {1e3 * line['epoch_cpu_s']:.1f} ms CPU, test {100 * line['test_accuracy']:.1f} %, "
              f"{line['peak_rss_mb']:.0f} MB a rank", flush=True)  # fmt: skip
    return lines


def draw(scratch: Path, nodes: str = "100k", edges: str = "1M") -> Path:
    """A drawn graph, of a million edges."""
    measure.run(["mpiedge-demo", "--graph", "sbm", "--nodes", nodes, "--edges", edges, "--out", scratch / "sbm", "-q"])
    return scratch / "sbm"


def equal(options, scratch: Path) -> list[dict]:
    """Weights after 50 epochs beside those of one rank, for every model, partition and number type."""
    many = [count for count in options.ranks if count > 1]
    return [line for name in graphs(options, GRAPHS)
            for line in training_equal.compare(options.data / name, many, scratch, options.limit)]  # fmt: skip


def throttled(options, scratch: Path) -> list[dict]:
    """Epochs of four ranks of which one is slowed, with parts dealt out anew and without (Linux, as root)."""
    graph = draw(scratch, "400k", "4M")  # with epochs that are longer than the turns of programs on a busy machine
    return training_throttled.compare(graph, options.repeats, options.limit)


def links(options, scratch: Path) -> list[dict]:
    """facebook_musae with 600,000 weights on four hosts behind slow links (Linux, as root)."""
    name = "facebook_musae"
    split = GRAPHS[name][0]
    arrays = runs.export(options.data / name, split, 0, scratch / "links.npz")
    return training_links.compare(options.data / name, split, arrays, options.peers, options.limit,
                                  options.links)


def tune(options, scratch: Path) -> list[dict]:
    """What choosing settings by --tune costs, and how good they are, beside a full grid."""
    lines = [training_tune.compare(name, options.data / name, seed, options.limit)
             for name in graphs(options, training_tune.GRIDS) for seed in range(options.seeds)]  # fmt: skip
    return [line for line in lines if line]


def limits(options, scratch: Path) -> list[dict]:
    """A graph too large for memory, under control groups (Linux, as root)."""
    return training_limits.compare(options.megabytes, options.programs, options.ranks[0], options.epochs, options.peers,
                                   scratch, options.limit)


WHAT = {"accuracy": accuracy, "compare": compare, "ranks": ranks, "equal": equal, "throttled": throttled,
        "links": links, "tune": tune, "limits": limits}  # fmt: skip

if __name__ == "__main__":
    main()
