"""mpiedge-train: a table or a graph -> a trained network, on all ranks together."""

import argparse
import re
import sys
import time

from mpiedge import cli
from mpiedge.commands.prepare import prepare_demo
from mpiedge.errors import UsageError

TABLES = (".csv", ".csv.gz", ".tsv")
ALIKE_BYTES, ROOM, HOSTS, DIVIDED = 1 << 22, 10, 2, True
"""Of a graph as text: an epoch of so much of it takes the time of what all ranks do alike, and wait for each other;
where some ranks sit out, so many times twice their part of it fits the others, which hold no more; of so many hosts, as
ranks of one wait for no link."""

EXAMPLES = """\
mpirun -hostfile hostfiles/pi.txt mpiedge-train
mpirun -hostfile hostfiles/local.txt mpiedge-train --run results/mine --label area
mpirun -hostfile hostfiles/local.txt mpiedge-train --run results/mine --label area --model mlp
mpirun -n 4 mpiedge-train --graph data/cora --run results/cora
mpiedge-train customers.csv --label segment --run results/customers
mpiedge-train --nodes papers.csv --edges cites.csv --label area --split 20perclass --run results/papers
"""

DESCRIPTION = """\
Without --graph and --nodes, the graph comes from the run's clean tables: the table with the label column holds the
nodes, a table with two columns that are included in its key (as mpiedge-profile found) holds the edges. --graph takes
a Planetoid folder (ind.NAME.x, ...), an npz of plain arrays (edges; labels; feat_indptr, feat_indices, feat_data,
feat_shape or node_features; optionally train_masks, val_masks, test_masks), a folder with edges.csv, target.csv and
features.json, or a graph in chunks (mpiedge-demo --graph), which no rank reads whole.

The result does not depend on the number of ranks, up to rounding. A training that was stopped goes on from its last
checkpoint when the same line is run again; --fresh starts anew.
Writes train/summary.json, train/model.h5, train/predictions.csv and metrics.csv into the run folder."""


def build_parser():
    """The command line."""
    page = cli.parser("mpiedge-train", "Train a network on a graph or a table.", examples=EXAMPLES,
                      description=DESCRIPTION)
    page.add_argument("data", nargs="?", metavar="DATA", help="a CSV file, as --nodes, or a graph, as --graph "
                      "(default: the clean tables of the run)")
    data = page.add_argument_group("data")
    data.add_argument("--graph", metavar="PATH", help="a graph file or folder")
    data.add_argument("--nodes", metavar="TABLE", help="the table of nodes: a CSV file or a clean table of the run")
    data.add_argument("--edges", metavar="TABLE", help="the table of edges, whose first two columns name nodes")
    data.add_argument("--label", metavar="COLUMN", help="the column to predict (default: guessed and announced)")
    data.add_argument("--drop-determined", action="store_true",
                      help="leave out features that a single other column determines, as mpiedge-profile found")
    data.add_argument("--split", metavar="NAME",
                      help="planetoid, TRAIN/VAL/TEST in per cent (default 60/20/20), Kperclass (such as 20perclass), "
                      "or column:NAME: a column that says train, val or test (npz: the number of a mask)")
    data.add_argument("--select", type=_selection, metavar="SHARE:HOW",
                      help="train on a share of the training nodes: random, hard (least like their class) or balanced "
                      "(as many of each class), such as 0.3:hard")
    model = page.add_argument_group("model")
    model.add_argument("--model", choices=("gcn", "sage", "sgc", "sign", "mlp"),
                       help="gcn: graph convolution; sage: GraphSAGE, mean; sgc, sign: of features that are propagated "
                       "once, before training; mlp: without the graph (default gcn; mlp where there is one table only)")
    model.add_argument("--layers", type=_number(int, 1), default=2, metavar="N", help="layers (default 2)")
    model.add_argument("--hops", type=_number(int, 1), default=2, metavar="K",
                       help="sgc, sign: propagate the features K times (default 2)")
    model.add_argument("--project", type=_number(int, 0), default=0, metavar="D",
                       help="sgc, sign: project the features to D random columns first (default 0: do not)")
    model.add_argument("--hidden", type=_number(int, 1), metavar="N",
                       help="hidden width (default 16; 64 for mlp)")
    model.add_argument("--dropout", type=_number(float, 0, below=1), metavar="P",
                       help="share of features (not of mlp) and hidden values dropped in each step (default 0.5; 0.2 "
                       "for mlp)")
    fit = page.add_argument_group("training")
    fit.add_argument("--epochs", type=_number(int, 1), default=200, metavar="N", help="at most N epochs (default 200)")
    fit.add_argument("--patience", type=_number(int, 1), default=100, metavar="N",
                     help="stop after N epochs without a better validation (default 100)")
    fit.add_argument("--lr", type=_number(float, 0, open_end=True), default=0.01, metavar="RATE",
                     help="learning rate of Adam (default 0.01)")
    fit.add_argument("--weight-decay", type=_number(float, 0), metavar="W",
                     help="L2 penalty on the first layer (default 0.07 / training nodes: 5e-4 for 140)")
    fit.add_argument("--schedule", choices=("constant", "linear", "cosine"), default="constant",
                     help="how the learning rate falls: not, or to 0 at the last epoch (default constant)")
    fit.add_argument("--class-weights", choices=("none", "balanced"), default="none",
                     help="balanced: all classes weigh the same in the loss, whatever their sizes (default none)")
    fit.add_argument("--dtype", choices=("float32", "float64"), default="float32",
                     help="of weights, features and all that is computed: float64 makes ranks agree to more digits, in "
                     "twice the memory and up to twice the time (default float32)")
    fit.add_argument("--checkpoint-every", type=_interval, default=("auto", 0.0), metavar="T",
                     help="epochs, a time such as 30s or 5min, or auto: so often that least time is lost, by what a "
                     "checkpoint costs and a failure of each host a day (default auto)")
    fit.add_argument("--tune", type=_grid, metavar="GRID",
                     help="choose settings first, by successive halving: such as lr=0.01,0.05,hidden=16,64,dropout=0.2,"
                     "0.5 (weight-decay, too)")
    again = fit.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="go on from the checkpoint, also of a complete training")
    again.add_argument("--fresh", action="store_true", help="ignore an earlier checkpoint")
    more = page.add_argument_group("also written")
    more.add_argument("--onnx", action="store_true", help="train/model.onnx, the network for other programs (needs the "
                      "package onnx)")
    more.add_argument("--tensorboard", action="store_true", help="tensorboard/, the curve while training (needs the "
                      "package tensorboard)")
    ranks = page.add_argument_group("ranks")
    ranks.add_argument("--compress", type=_compressor, default="none", metavar="NAME",
                       help="how gradients cross the network: none, fp16, int8, topk:SHARE (such as topk:0.01), "
                       "powersgd:RANK (such as powersgd:4), auto: measured (default none)")
    ranks.add_argument("--halo", choices=("fp32", "fp16", "int8", "auto"), default="fp32",
                       help="how rows cross the network between neighbouring parts; fp16 and int8 (rounded at random) "
                       "are not exact; auto: measured (default fp32)")
    ranks.add_argument("--partition", metavar="NAME",
                       help="who owns which node: metis, ldg, hash, or a file with a rank a line, one for each node "
                       "(default metis where pymetis is installed and rank 0 has the memory, else ldg)")
    ranks.add_argument("--shares", type=_shares, default="auto", metavar="A,B,...",
                       help="how the work is dealt out: auto (by measured speed, within each rank's memory), equal, "
                       "or a number per rank, such as 4,2,1,1 (default auto)")
    ranks.add_argument("--hold", choices=("auto", "memory", "disk"), default="auto",
                       help="a graph in chunks: what holds it while training; auto: memory where it fits, else disk "
                       "(default auto)")
    ranks.add_argument("--no-rebalance", action="store_true",
                       help="leave the parts as they are, also when a rank becomes slow")
    ranks.add_argument("--staleness", type=_number(int, 0), default=0, metavar="N",
                       help="do not wait for a rank that is late: its last gradient and boundary rows count, for at "
                       "most N steps; not exact (default 0: all wait for all)")
    page.add_argument("--dry-run", action="store_true", help="print the plan and stop")
    return page


def run(args, world) -> None:
    """Collective: reads, partitions, plans, scatters, trains, writes, commits."""
    began_s = time.perf_counter()
    _check(args)
    args.any_model, args.model = args.model is None, args.model or "gcn"
    if not args.graph and not args.nodes and not args.edges:
        prepare_demo(args, world, ("clean", "profile"))
    from mpiedge.runtime.root import on_root
    from mpiedge.stage import Stage
    from mpiedge.training.room import require_torch
    from mpiedge.training.torch_import import import_torch

    require_torch(world)
    import_torch()
    from mpiedge.training import board, onnx_export, outputs, plan, session, sources, stored, tables

    for wanted, package in ((args.onnx, onnx_export), (args.tensorboard, board)):
        if wanted:
            on_root(world, package.check)
    with Stage(world, args, "train", needs=None if args.graph or tables.is_file(args.nodes) else "clean") as stage:
        with stage.phase("read", "io"):
            chunked = stored.is_stored(world, args.graph)
            if args.hold == "disk" and not chunked:
                stage.say("hold    only a graph in chunks can stay on disk: --hold disk is not heeded")
            if chunked:
                source = stored.open_stored(stage, args.graph)
            elif args.graph:
                source = sources.open_graph_files(stage, args.graph, args.label)
            else:
                source = tables.open_tables(stage, args)
        if args.tune:
            from mpiedge.training.tune import tune

            args = tune(stage, source, args)
        if chunked:
            layout, part = stored.make_layout(stage, source, args)
        else:
            with stage.phase("partition"):
                layout = plan.make_layout(stage, source, args)
        earlier = session.find_checkpoint(stage, layout, source.inputs)
        plan.tell(stage, source, layout, args.dry_run)
        if args.dry_run:
            return
        dealing_s = time.perf_counter()
        with stage.phase("scatter", "communicate"):
            part = stored.collect_rows(stage, source, part) if chunked else plan.scatter_parts(stage, source, layout)
        dealing_s = time.perf_counter() - dealing_s
        trainer = session.train(stage, part, layout, source.inputs, earlier, began_s, dealing_s)
        with stage.phase("write", "io"):
            summary, files = outputs.write(stage, source, layout, trainer, began_s)
        stage.commit(files=files, summary=summary, config=layout.config, inputs=source.inputs)
        outputs.tell(stage, summary)


def _check(args) -> None:
    """Local, alike on all ranks: flags that do not go together, and which one DATA stands for. Raises UsageError."""
    other = "--dtype float64" if args.dtype == "float64" else "--staleness" if args.staleness else ""
    if other and (args.compress, args.halo) != ("none", "fp32"):
        flag = f"--compress {args.compress}" if args.compress != "none" else f"--halo {args.halo}"
        _refuse(flag, other)
    if args.data and (args.graph or args.nodes):
        _refuse(args.data, "--graph" if args.graph else "--nodes")
    if args.data:
        setattr(args, "nodes" if args.data.lower().endswith(TABLES) else "graph", args.data)


def _refuse(flag: str, other: str) -> None:
    """Local, alike on all ranks: raises UsageError."""
    error = UsageError(flag, f"this does not go together with {other}", "Leave one of them out")
    error.everywhere = True
    raise error


def _number(kind, least: float, open_end: bool = False, below: float = float("inf")):
    """A converter for argparse: a number of at least (open_end: above) `least` and below `below`."""
    wanted = f"{'whole ' if kind is int else ''}number {'above' if open_end else 'of at least'} {least:g}"
    wanted += f" and below {below:g}" if below < float("inf") else ""

    def convert(text: str):
        try:
            value = kind(text)
            if value < least or (open_end and value == least) or not value < below:
                raise ValueError
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text} is no {wanted}") from None
        return value

    return convert


def _grid(text: str) -> dict[str, list]:
    """Values to try by the name of their setting."""
    kinds = {"lr": _number(float, 0, open_end=True), "hidden": _number(int, 1), "weight_decay": _number(float, 0),
             "dropout": _number(float, 0, below=1)}  # fmt: skip
    found: dict[str, list] = {}
    name = ""
    for word in text.split(","):
        if "=" in word:
            name, _, word = word.partition("=")
            name = name.strip().replace("-", "_")
            if name not in kinds or name in found:
                raise argparse.ArgumentTypeError(f"{text}: only lr, hidden, dropout, weight-decay, each once")
        elif not name:
            raise argparse.ArgumentTypeError(f"{text} does not begin with a name, such as lr=0.01,0.05")
        found.setdefault(name, []).append(kinds[name](word))
    return found


def _selection(text: str) -> tuple[float, str]:
    """A share and a way to choose it."""
    share, _, method = text.partition(":")
    if method not in ("random", "hard", "balanced"):
        raise argparse.ArgumentTypeError(f"{text} ends with none of :random, :hard, :balanced")
    return _number(float, 0, open_end=True, below=1)(share), method


def _shares(text: str) -> str | list[float]:
    """auto, equal, or positive numbers."""
    if text in ("auto", "equal"):
        return text
    return [_number(float, 0, open_end=True)(word) for word in text.split(",")]


def _compressor(text: str) -> str:
    """The name of a compressor, checked without loading numpy: the number of threads is not settled yet."""
    if re.fullmatch(r"none|fp16|int8|auto|topk:0?\.0*[1-9]\d*|powersgd:[1-9]\d?", text):
        return text
    raise argparse.ArgumentTypeError(f"{text} is none of none, fp16, int8, topk:SHARE (such as topk:0.01), "
                                     "powersgd:RANK (such as powersgd:4), auto")


def _interval(text: str) -> tuple[str, float]:
    """("epochs", n) for a bare number, ("seconds", s) for a number with s or min, ("auto", 0.0)."""
    if text == "auto":
        return text, 0.0
    for unit, seconds in (("min", 60), ("s", 1)):
        if text.endswith(unit):
            return "seconds", _number(float, 0, open_end=True)(text[: -len(unit)]) * seconds
    return "epochs", _number(int, 1)(text)


def input_bytes(args) -> int:
    """Local, on rank 0: about the size of the graph as text; 0 where a flag counts the ranks, so that none sits out."""
    from pathlib import Path

    from mpiedge.store.run import clean_bytes

    if isinstance(args.shares, list) or args.partition not in (None, "metis", "ldg", "hash"):
        return 0
    named = [Path(path) for path in (args.data, args.graph, args.nodes, args.edges) if path]
    files = [file for path in named for file in (path, *path.rglob("*")) if file.is_file()]
    return sum(file.stat().st_size for file in files) if files else clean_bytes(args.run)


def main(argv: list[str] | None = None) -> int:
    """Entry point of mpiedge-train."""
    return cli.main(build_parser(), run, argv, work=(input_bytes, ALIKE_BYTES, ROOM, HOSTS, DIVIDED))


if __name__ == "__main__":
    sys.exit(main())
