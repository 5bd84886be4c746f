"""Settings chosen before a training: successive halving (Jamieson & Talwalkar 2016), one setting a rank at a time.

All settings train for a ninth of the epochs, the better third of them for a third, the best ninth to the end; each goes
on where it was. So it costs about a quarter of training all of them. A task is a setting that one rank trains by itself
on the whole graph; which rank does that changes nothing, so the choice is the same for any number of ranks.
"""

import argparse
import csv
import functools
import io
import itertools
import json

import numpy as np
import torch

from mpiedge.errors import InputError, UsageError
from mpiedge.graph import part as parts
from mpiedge.graph.build import adjacency
from mpiedge.graph.part import Part
from mpiedge.models.build import MODELS, build_model, uses_graph
from mpiedge.runtime.allreduce import Allreduce
from mpiedge.runtime.alone import Alone
from mpiedge.runtime.root import on_root
from mpiedge.store.parts import build_image, open_image, read_image, sealed, unsealed, write_atomic
from mpiedge.training import split as splits
from mpiedge.training.files import TUNE_COLUMNS, TUNE_FILE
from mpiedge.training.inputs import PartInputs
from mpiedge.training.loop import State, Trainer, standing
from mpiedge.training.plan import finish_layout

SHARES = (1 / 9, 1 / 3, 1)  # of the epochs, after which two thirds of the settings are dropped
SLICE = 5  # epochs between two moments for other ranks
STATE_FILE = "checkpoints/tune.h5"
DECIDING = ("model", "layers", "epochs", "patience", "seed", "split", "select", "lr", "hidden", "dropout",
            "weight_decay", "schedule", "class_weights", "dtype")
"""Arguments that another tuning must agree in to go on with this one."""

ARRAYS = ("weights", "first_moment", "second_moment", "best_weights")
NUMBERS = ("epoch", "best_epoch", "best_loss", "best_accuracy")


def combinations(wanted: dict[str, list]) -> list[dict]:
    """Local: all settings of a --tune value, in the order in which they are written."""
    return [dict(zip(wanted, values)) for values in itertools.product(*wanted.values())]


def tune(stage, source, args) -> argparse.Namespace:
    """Collective: the arguments with the best setting by validation; writes train/tune.csv.

    A tuning that was stopped goes on after the last round that was complete. Messages: the graph to all ranks; tasks of
    the queue; each round's states to all ranks.
    """
    _check(stage, args, source)
    world, settings = stage.world, combinations(args.tune)
    part, facts = _whole(stage, source, args)
    mark = json.dumps([settings, {name: getattr(args, name) for name in DECIDING}, source.inputs])
    rounds, states, rows, left = _resume(stage, mark) or (0, {}, [], list(range(len(settings))))
    part.features.data = part.features.data.astype(args.dtype, copy=False)
    inputs = PartInputs(Alone(), part, stage.phase, MODELS[args.model].norm)
    torch.set_num_threads(args.threads or 1)
    for turn in range(rounds, len(SHARES)):
        epochs = max(1, round(args.epochs * SHARES[turn]))
        tasks = {number: (settings[number], states.get(number)) for number in left}
        states = _round(stage, lambda setting: _trainer(stage, source, args, facts, setting, inputs), tasks, epochs)
        found = {number: standing(states[number].best_accuracy, states[number].best_loss, args.class_weights)
                 for number in sorted(left)}  # fmt: skip
        ranked = sorted(found, key=found.get, reverse=True)
        rows += [[turn + 1, *settings[number].values(), states[number].epoch, states[number].best_epoch,
                  f"{states[number].best_accuracy:.6f}", f"{states[number].best_loss:.6f}", place + 1]
                 for place, number in enumerate(ranked)]
        left = ranked[: max(1, len(ranked) // 3)]
        stage.say(f"tune    round {turn + 1} of {len(SHARES)}: {len(ranked)} settings, {epochs} epochs; best "
                  f"{_text(settings[left[0]])}, val acc {states[left[0]].best_accuracy:.3f}")
        on_root(world, functools.partial(_save, stage, mark, turn + 1, states, rows, left))
    for name, value in settings[left[0]].items():
        setattr(args, name, value)
    return args


def _round(stage, make, tasks: dict[int, tuple], epochs: int) -> dict[int, State]:
    """Collective: the states of all tasks (setting, state so far) by number after `epochs`; make(setting): a trainer.

    Messages: those of the queue; the states to all ranks.
    """
    def work(task):
        setting, state = tasks[task[0]]
        trainer = make(setting)
        if state is not None:
            trainer.restore(state)
        while trainer.state.epoch < epochs and not trainer.stalled():
            trainer.settings.epochs = min(trainer.state.epoch + SLICE, epochs)
            trainer.run(lambda state: None)
            yield None
        return _to_message(trainer.state)

    with stage.phase("tune"):
        done = stage.queue.run([(number,) for number in tasks], work, name="tune")
        found = stage.world.allgather({f"{task[0]} {name}": array for task, message in done
                                       for name, array in message.items()})
    arrays = {name: array for message in found for name, array in message.items()}
    return {number: _from_message({name: arrays[f"{number} {name}"] for name in (*ARRAYS, "numbers")})
            for number in tasks}


def _check(stage, args, source) -> None:
    """Local, alike on all ranks: what cannot be tuned. Raises UsageError."""
    if source.stored is not None or MODELS[args.model].propagates:
        cause = "a graph in chunks is" if source.stored is not None else f"{args.model} is"
        error = UsageError("--tune", f"{cause} trained by all ranks together only", "Tune gcn, sage or mlp on a graph "
                           "that fits each rank")
        error.everywhere = True
        raise error


def _whole(stage, source, args) -> tuple[Part, dict]:
    """Collective: the whole graph as one part, and facts of it, on every rank. Messages: the part."""
    def cut() -> dict:
        graph = source.graph
        name, split = splits.of_training(graph, args)
        counts = splits.counts(split)
        if not counts["train"] or not counts["val"]:
            raise InputError(source.name, f"split {name} has no nodes to train or to validate on", "Give another")
        neighbours = adjacency(graph.edges, graph.nodes) if uses_graph(args.model) else None
        part = next(parts.cut(graph, neighbours, np.zeros(graph.nodes, np.int32), split, 1))
        own["part"] = part.to_message()
        size = sum(array.nbytes for array in own["part"].values() if isinstance(array, np.ndarray))
        return {"split_name": name, "split_counts": counts, "classes": graph.classes, "nodes": graph.nodes,
                "columns": graph.features.columns, "entries": len(graph.features.indices), "edges": len(graph.edges),
                "size": size}

    own: dict = {}
    facts = on_root(stage.world, cut)
    stage.foresee(graph=4 * facts.pop("size"), torch=25e6)
    return Part.from_message(stage.world.bcast(own.get("part"))), facts


def _trainer(stage, source, args, facts: dict, setting: dict, inputs: PartInputs) -> Trainer:
    """Local: a trainer of one setting on this rank alone."""
    chosen = argparse.Namespace(**vars(args) | setting)
    config = finish_layout(chosen, source, facts | {"method": "", "cut_edges": 0, "rank_rows": None, "shares": None}
                           ).settings
    model = build_model(args.model, facts["columns"], config.hidden, len(facts["classes"]), config.layers, config.seed,
                        config.dtype)
    alone = inputs.exchange.world
    return Trainer(alone, inputs, model, config, Allreduce(alone), stage.phase)


def _to_message(state: State) -> dict:
    return {name: getattr(state, name).copy() for name in ARRAYS} | {
        "numbers": np.array([getattr(state, name) for name in NUMBERS], np.float64)}


def _from_message(message: dict) -> State:
    numbers = dict(zip(NUMBERS, message["numbers"].tolist()))
    numbers |= {name: int(numbers[name]) for name in NUMBERS[:2]}
    history = [[0.0] * 7] * numbers["epoch"]  # its length tells that the last epoch was validated
    return State(history=history, **{name: message[name] for name in ARRAYS}, **numbers)


def _save(stage, mark: str, rounds: int, states: dict, rows: list, left: list) -> None:
    """Local, on rank 0: tune.csv, and what is needed to go on."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["round", *stage.args.tune, *TUNE_COLUMNS])
    writer.writerows(rows)
    write_atomic(stage.run / TUNE_FILE, text.getvalue().encode())
    arrays = {f"{number} {name}": array for number in left for name, array in _to_message(states[number]).items()}
    about = json.dumps({"mark": mark, "rounds": rounds, "rows": rows, "left": left})
    write_atomic(stage.run / STATE_FILE, sealed(build_image(arrays, {"about": about})))


def _resume(stage, mark: str) -> tuple | None:
    """Collective: (rounds done, states, rows, settings left) of a tuning that was stopped, None where there is none."""
    def read() -> bytes | None:
        path = stage.run / STATE_FILE
        return path.read_bytes() if path.exists() and not stage.args.fresh else None

    image = on_root(stage.world, read)
    if image is None:
        return None
    arrays, about = _open(image)
    if about.get("mark") != mark:
        return None
    states = {number: _from_message({name: arrays[f"{number} {name}"] for name in (*ARRAYS, "numbers")})
              for number in about["left"]}
    stage.say(f"tune    goes on after round {about['rounds']} (--fresh starts anew)")
    return about["rounds"], states, about["rows"], about["left"]


def _open(image: bytes) -> tuple[dict, dict]:
    """Local: arrays and description; nothing of a damaged file, which is then made anew."""
    try:
        image = unsealed(image)
    except ValueError:
        return {}, {}
    with open_image(image) as file:
        about = json.loads(file.attrs["about"])
    return read_image(image), about


def _text(setting: dict) -> str:
    return " ".join(f"{name} {value:g}" for name, value in setting.items())
