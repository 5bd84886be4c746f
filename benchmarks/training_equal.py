"""Whether any number of ranks trains what one rank does: every model, partition, dtype and way of boundary rows.

    mpirun -n 4 python benchmarks/training_equal.py GRAPH FILE      every training, weights and losses to FILE (npz)

The program itself trains, with dropout; weights are those after the last epoch, not the best ones.
"""

import itertools
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks import measure  # noqa: E402

MODELS = ("gcn", "sage", "sgc", "sign", "mlp")
PARTITIONS = ("metis", "ldg", "hash")
TOLERANCE = {"float32": 1e-4, "float64": 1e-9}
ROWS = {"shared": 1, "sent": 2}
"""How boundary rows come to other ranks, by the number of hosts that the ranks take themselves to be on."""

FLAGS = ("--epochs", 50, "--patience", 50, "--dropout", 0.5, "--fresh", "-q")


def compare(graph: Path, ranks: list[int], scratch: Path, limit_s: float) -> list[dict]:
    """A line for each training and number of ranks: the largest differences from one rank."""
    found = {}
    for count in dict.fromkeys([1, *ranks]):
        target = scratch / f"equal-{count}.npz"
        if measure.run(["mpirun", "-n", count, sys.executable, __file__, graph, target], limit_s) is None:
            return []
        found[count] = np.load(target)
    lines = [_line(name, count, found) for count in ranks for name in found[count].files if name.endswith(" weights")]
    for count, dtype in itertools.product(ranks, TOLERANCE):
        _tell(graph.name, [line for line in lines if (line["ranks"], line["dtype"]) == (count, dtype)])
    return lines


def _line(name: str, count: int, found: dict) -> dict:
    """The largest differences of a training on `count` ranks from that of one rank."""
    model, method, dtype, rows, _ = name.split()
    many, alone = f"{model} {method} {dtype} {rows}", f"{model} {PARTITIONS[0]} {dtype} shared"
    differ = {f"{what}_differ": float(np.abs(found[count][f"{many} {what}"] - found[1][f"{alone} {what}"]).max())
              for what in ("weights", "losses")}  # fmt: skip
    return {"model": model, "partition": method, "dtype": dtype, "rows": rows, "ranks": count, **differ}


def _tell(graph: str, lines: list[dict]) -> None:
    """Prints the worst of some trainings, and which differ by too much."""
    bound, worst = TOLERANCE[lines[0]["dtype"]], {what: max(line[what] for line in lines)
                                                  for what in ("weights_differ", "losses_differ")}  # fmt: skip
    far = [" ".join((line["model"], line["partition"], line["rows"])) for line in lines
           if not line["weights_differ"] <= bound]  # fmt: skip
    print(f"{graph}, {lines[0]['ranks']} ranks, {lines[0]['dtype']}: {len(lines)} trainings, weights differ by at most "
          f"{worst['weights_differ']:.1e}, losses by {worst['losses_differ']:.1e}; by more than {bound}: "
          f"{', '.join(far) or 'none'}", flush=True)  # fmt: skip


def main(graph: str, target: str) -> None:
    """Collective: every training, one after the other in the same processes."""
    from mpiedge.commands import train
    from mpiedge.runtime.world import World
    from mpiedge.training.loop import Trainer

    world, kept, run = World(1), {}, Trainer.run

    def run_and_keep(trainer, *words):
        run(trainer, *words)
        kept[f"{name} weights"] = trainer.state.weights.copy()
        kept[f"{name} losses"] = np.array(trainer.state.history)[:, [1, 3]]

    Trainer.run = run_and_keep
    hosts = world.nodes
    with tempfile.TemporaryDirectory() as scratch:
        folder = world.bcast(scratch)
        for model, method, dtype, rows in itertools.product(MODELS, PARTITIONS, TOLERANCE, ROWS):
            if world.size == 1 and (method, rows) != (PARTITIONS[0], "shared"):
                continue
            name, world.nodes = f"{model} {method} {dtype} {rows}", ROWS[rows] if world.size > 1 else hosts
            words = ["--graph", graph, "--run", folder, "--model", model, "--partition", method, "--dtype", dtype]
            train.run(train.build_parser().parse_args(list(map(str, (*words, *FLAGS)))), world)
        world.barrier()
    if world.is_root:
        np.savez(target, **kept)


if __name__ == "__main__":
    main(*sys.argv[1:])
