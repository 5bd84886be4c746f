"""Applies a trained model to a graph in chunks, which all ranks hold in parts or keep on disk in blocks."""

import argparse
from pathlib import Path

import torch

from mpiedge.errors import InputError
from mpiedge.models.build import MODELS, build_model
from mpiedge.runtime.allreduce import Allreduce
from mpiedge.runtime.root import on_root
from mpiedge.training import metrics, outputs, plan, predict, serve, session, stored
from mpiedge.training.files import NEW_PREDICTIONS_FILE
from mpiedge.training.inputs import PartInputs
from mpiedge.training.loop import Trainer
from mpiedge.training.streamed import StreamedTrainer


def predict_chunks(stage, path: str, output: str | None) -> dict:
    """Collective: predicts all nodes and writes. Raises InputError, StoreError, MemoryPlanError on every rank.

    Returns JSON-able: notes, lines for people, summary, names of files written into the run folder. Messages: the model
    to all ranks; those of reading the graph (training/stored.py); of one pass; every node's prediction to rank 0.
    """
    world, own = stage.world, {}

    def read() -> str:
        arrays, config = serve.read_model(stage.run)
        own.update(arrays)
        return config

    config = on_root(world, read)
    predictor = predict.load(path, world.bcast(own or None), config)
    source = stored.open_stored(stage, path)
    check(predictor, path, source.stored.about)
    layout, part = stored.make_layout(stage, source, arguments(predictor))
    stage.say(f"input   {path} ({layout.nodes:,} nodes, {layout.edges:,} edges)")
    stage.plan(**plan.memory(layout, world.rank))
    part = stored.collect_rows(stage, source, part)
    trainer = _trainer(stage, layout, part, predictor)
    folder = stage.access.scratch / f"found-{world.rank}" if layout.tile else None
    found = outputs.Found(layout.nodes, len(layout.classes), folder)
    with stage.phase("predict"):
        for piece, probabilities in trainer.outcomes():
            found.add(piece, probabilities)
    target = Path(output) if output else stage.run / NEW_PREDICTIONS_FILE
    outputs.write_predictions(stage, source, layout, found, target)
    right = metrics.accuracy(world.sum(sum(found.quality.values())))
    lines = [] if right is None else [f"quality accuracy {right:.3f} on the rows whose label is given"]
    return {"notes": source.notes, "lines": [*lines, f"done    {layout.nodes:,} rows predicted: {target}"],
            "files": [] if output else [NEW_PREDICTIONS_FILE],
            "summary": {"rows": layout.nodes, "model": layout.settings.model, "accuracy": right, "edges": layout.edges,
                        "hold": "disk" if layout.tile else "memory"}}  # fmt: skip


def check(predictor: predict.Predictor, path: str, about: dict) -> None:
    """Local, alike on all ranks: InputError where the graph is not of the kind that the model was trained on."""
    cause = None
    if predictor.encoder is not None:
        cause = "the model was trained on tables, whose columns a graph does not have"
    elif about["columns"] != predictor.config["columns"]:
        cause = (f"it has {about['columns']:,} features, the model was trained on "
                 f"{predictor.config['columns']:,}")
    elif about["classes"] != predictor.classes:
        cause = f"its classes are not the {len(predictor.classes):,} of the model"
    if cause:
        error = InputError(path, cause, "Give a graph with the same features and classes")
        error.everywhere = True
        raise error


def arguments(predictor: predict.Predictor) -> argparse.Namespace:
    """Local: the flags of mpiedge-train that lead to this model, as far as its graph and memory depend on them."""
    config = predictor.config
    return argparse.Namespace(
        model=config["model"], hidden=config["hidden"], layers=config["layers"], hops=config["hops"],
        project=config["projection"], epochs=1, patience=1, lr=config["learning_rate"], dropout=0.0,
        weight_decay=config["weight_decay"], schedule=config["schedule"], class_weights="none",
        dtype=config.get("dtype", "float32"), seed=config["seed"], partition=None, split=None, select=None, hold="auto",
        shares="auto")


def _trainer(stage, layout: plan.Layout, part, predictor: predict.Predictor) -> Trainer:
    """Collective: a trainer that has the model's weights as its best ones."""
    torch.set_num_threads(stage.args.threads or 1)
    settings, ahead, columns = layout.settings, MODELS[layout.settings.model].propagates, layout.columns
    if not layout.tile:
        part.features.data = part.features.data.astype(settings.dtype, copy=False)
    if ahead:
        with stage.phase("propagate"):
            part, columns = session.propagated(stage, layout, part, ahead)
    model = build_model(settings.model, columns, settings.hidden, len(layout.classes), settings.layers, settings.seed,
                        settings.dtype)
    inputs = part if layout.tile else PartInputs(stage.world, part, stage.phase, model.norm)
    kind = StreamedTrainer if layout.tile else Trainer
    trainer = kind(stage.world, inputs, model, settings, Allreduce(stage.world), stage.phase)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.copy_(torch.from_numpy(predictor.arrays[name]))
    trainer.state.best_weights = trainer.state.weights.copy()
    return trainer
