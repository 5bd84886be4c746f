"""What a training leaves behind: predictions, the model, the curve and the summary."""

import json
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from mpiedge.graph.build import TEST, TRAIN, VALIDATION
from mpiedge.runtime.root import on_root
from mpiedge.store.parts import GrowingFile, GrowingImage, write_atomic
from mpiedge.training import metrics, onnx_export
from mpiedge.training.files import (
    CONFUSION_FILE,
    METRICS_FILE,
    MODEL_FILE,
    ONNX_FILE,
    PREDICTIONS_FILE,
    TUNE_FILE,
    confusion_csv,
    metrics_csv,
    predictions_csv,
)
from mpiedge.training.loop import Trainer
from mpiedge.training.plan import MODEL_WINDOW, Layout
from mpiedge.training.sources import Source

WINDOW = 1 << 18  # nodes whose predictions are written at a time
UNSURE = 0.2  # so wide a range of likely accuracies is told
RARE, NAMED = 5, 8  # classes of fewer training nodes are told, so many of them by name
ROLES = {"train": TRAIN, "val": VALIDATION, "test": TEST}


def write(stage, source: Source, layout: Layout, trainer: Trainer, began_s: float) -> tuple[dict, list[str]]:
    """Collective: writes the files; returns the summary and the files' names.

    Messages: counts of right and wrong (sums), what is written of every node to rank 0.
    """
    classes = len(layout.classes)
    found = Found(layout.nodes, classes, stage.access.scratch / f"found-{stage.world.rank}" if layout.tile else None)
    with stage.phase("evaluate"):
        for part, probabilities in trainer.outcomes():
            found.add(part, probabilities)
    quality = {name: stage.world.sum(counts) for name, counts in found.quality.items()}
    areas = ranked(stage.world, found) if classes == 2 else {}
    write_predictions(stage, source, layout, found, stage.run / PREDICTIONS_FILE)
    write_model(stage, source, layout, trainer, found.owned())

    def write_files() -> None:
        write_atomic(stage.run / METRICS_FILE, metrics_csv(trainer.state.history).encode())
        write_atomic(stage.run / CONFUSION_FILE, confusion_csv(quality, layout.classes).encode())
        if stage.args.onnx:
            model = trainer.model
            weights = {name: value.detach().numpy() for name, value in model.named_parameters()}
            write_atomic(stage.run / ONNX_FILE, onnx_export.image(weights, model.layers, model.norm, layout.classes))

    on_root(stage.world, write_files)
    files = [MODEL_FILE, PREDICTIONS_FILE, METRICS_FILE, CONFUSION_FILE, *([TUNE_FILE] if stage.args.tune else []),
             *([ONNX_FILE] if stage.args.onnx else [])]
    return summary(stage, layout, trainer, quality, began_s) | areas, files


class Found:
    """What this rank found out about its nodes. predicted: int16, probability: float32, by global number, 0 for nodes
    of other ranks; quality: confusion matrices by role; scores: by role, for two classes: labels and probabilities.
    folder: where the first two lie as files instead of in memory, if given."""

    def __init__(self, nodes: int, classes: int, folder: Path | None = None):
        self.predicted, self.probability = (_zeros(nodes, kind, folder) for kind in (np.int16, np.float32))
        self.quality = {name: np.zeros((classes, classes), np.int64) for name in ROLES}
        self.scores: dict[str, list] = {name: [] for name in ROLES}

    def add(self, part, probabilities: np.ndarray) -> None:
        """Local: the next of this rank's parts."""
        owned, best = part.nodes[: part.owned], probabilities.argmax(axis=1)
        self.predicted[owned], self.probability[owned] = best, probabilities[np.arange(len(owned)), best]
        for name, role in ROLES.items():
            chosen = part.split == role
            self.quality[name] += metrics.confusion(part.labels[chosen], best[chosen], len(self.quality[name]))
            if len(self.quality[name]) == 2:
                self.scores[name].append((part.labels[chosen], probabilities[chosen, 1]))

    def owned(self) -> np.ndarray:
        """Local: the numbers of this rank's nodes, ascending."""
        return np.flatnonzero(self.probability)  # the probability of the best class is never 0


def _zeros(length: int, kind, folder: Path | None) -> np.ndarray:
    """Local: zeros in memory, or in a mapped file whose pages the system may write out and drop."""
    if folder is None:
        return np.zeros(length, kind)
    folder.mkdir(parents=True, exist_ok=True)
    return np.memmap(folder / np.dtype(kind).name, kind, "w+", shape=length)


def write_predictions(stage, source: Source, layout: Layout, found: Found, path: Path) -> None:
    """Collective: the file of predictions, a range of nodes at a time. Messages: sums over the ranks of each range."""
    file = {}

    def begin() -> None:
        file["growing"] = GrowingFile(path)

    on_root(stage.world, begin)
    for first in range(0, layout.nodes, WINDOW):
        window = slice(first, min(first + WINDOW, layout.nodes))
        predicted = stage.world.sum(found.predicted[window].astype(np.int32))
        probability = stage.world.sum(found.probability[window])

        def append(window=window, predicted=predicted, probability=probability) -> None:
            ids = range(window.start, window.stop) if source.graph is None else source.graph.ids[window]
            labels = [layout.classes[code] for code in predicted]
            file["growing"].add(predictions_csv(ids, labels, probability, header=not window.start).encode())

        on_root(stage.world, append)
    on_root(stage.world, lambda: file["growing"].finish())


def ranked(world, found: Found) -> dict:
    """Collective: the areas under the ROC curve of validation and test, for two classes.

    Messages: labels and probabilities of those nodes to all ranks.
    """
    areas = {}
    for name in ("val", "test"):
        label, score = (np.concatenate(pieces) for pieces in zip(*found.scores[name]))
        messages = world.allgather({"label": label, "score": score})
        label, score = (np.concatenate([message[key] for message in messages]) for key in ("label", "score"))
        areas[f"{name}_roc_auc"] = metrics.roc_auc(label == 1, score)
    return areas


def summary(stage, layout: Layout, trainer: Trainer, quality: dict, began_s: float) -> dict:
    """Collective: figures of the training. wall_s and cpu_s (all ranks) are those of this program, from its start.

    Messages: a sum and a maximum.
    """
    reduce = trainer.reduce
    sums = stage.world.sum(np.array([time.process_time(), stage.world.bytes_sent, reduce.plain_bytes,
                                     reduce.sent_bytes], np.float64))
    state, settings = trainer.state, layout.settings
    return {
        "model": settings.model,
        "split": layout.split_name,
        "seed": settings.seed,
        "ranks": stage.world.size,
        "nodes": layout.nodes,
        "edges": layout.edges,
        "features": layout.columns,
        "classes": len(layout.classes),
        **{f"{name}_nodes": count for name, count in layout.split_counts.items()},
        "layers": settings.layers,
        "hidden": settings.hidden,
        "learning_rate": settings.learning_rate,
        "weight_decay": settings.weight_decay,
        "dropout": settings.dropout,
        "schedule": settings.schedule,
        "class_weights": settings.class_weights,
        "dtype": settings.dtype,
        "partition": layout.method,
        "compress": reduce.compressor.name,
        "halo": stage.args.halo,
        "exact": reduce.compressor.lossless and (stage.args.halo == "fp32" or not trainer.model.norm)
        and trainer.synchronous,
        "hold": "disk" if layout.tile else "memory",
        "cut_edges": layout.cut_edges,
        "halo_copies": int(layout.rank_rows[:, 1].sum()),
        "epochs": state.epoch,
        "best_epoch": state.best_epoch,
        **{f"{name}_accuracy": metrics.accuracy(counts) for name, counts in quality.items()},
        "macro_f1": metrics.macro_f1(quality["test"]),
        **usual(quality, layout.classes),
        "wall_s": round(time.perf_counter() - began_s, 3),
        "cpu_s": round(float(sums[0]), 3),
        "train_wall_s": round(sum(row[-2] for row in state.history), 3),
        "bytes_sent": int(sums[1]),
        "gradient_bytes_plain": int(sums[2]),
        "gradient_bytes_sent": int(sums[3]),
        "peak_rss_mb": round(stage.peak_bytes() / 1e6, 1),
        "peak_rss_mb_planned": round(stage.planned_bytes / 1e6, 1),
        **sent_per_epoch(stage, layout, state.history[trainer.earlier :]),
    }


def sent_per_epoch(stage, layout: Layout, history: list[list[float]]) -> dict:
    """Local: megabytes that a rank sent per epoch, on average, and those planned; {} where none were. history: of the
    epochs on these ranks."""
    if layout.sent_bytes is None or not history:
        return {}
    sent_bytes = sum(row[-1] for row in history) / len(history) / stage.world.size
    return {"sent_mb_per_epoch": round(sent_bytes / 1e6, 3),
            "sent_mb_per_epoch_planned": round(layout.sent_bytes / 1e6, 3)}


def usual(quality: dict, classes: list[str]) -> dict:
    """Local: the most frequent class of the training nodes, how often it would be right for the test nodes (None
    without any), and the classes of hardly any training node. quality: confusion matrices by role."""
    taught, asked = (quality[name].sum(axis=1) for name in ("train", "test"))
    most = int(taught.argmax())
    return {"usual_class": classes[most], "usual_accuracy": float(asked[most] / asked.sum()) if asked.sum() else None,
            "rare_classes": [name for name, count in zip(classes, taught) if count < RARE]}


def states(trainer: Trainer) -> dict:
    """Collective: what each owned node hands to a new neighbour in each layer (see training/predict.py).

    Call after `trainer.finish`, so that the weights are the best ones. Nothing for models without a graph.
    """
    model, inputs = trainer.model, trainer.inputs
    if model.norm is None:
        return {}
    rows = {"node_degree": inputs.part.degrees[: inputs.part.owned]}
    with torch.no_grad():
        shift = torch.from_numpy(inputs.shift)[:, None]
        handed = inputs.own(inputs.begin().project(model.weight_1)) / shift  # the features are shifted already
        for layer, outcome in enumerate(model.steps(inputs.begin()), start=1):
            rows[f"node_{layer}"] = np.ascontiguousarray(handed[:, -outcome.shape[1] :].numpy())
            if layer < model.layers:
                handed = torch.relu(outcome) @ getattr(model, f"weight_{layer + 1}")
    return rows


def write_model(stage, source: Source, layout: Layout, trainer: Trainer, owned: np.ndarray) -> None:
    """Collective: model.h5: weights by their names, classes, settings; for tables the feature encoder (JSON) and what
    the nodes hand to new neighbours, a range of nodes at a time.

    owned: the numbers of this rank's nodes, ascending. Messages: what they hand to new neighbours, to rank 0.
    """
    rows = states(trainer) if source.encoder else {}
    file = {}

    def begin() -> None:
        config = asdict(layout.settings) | source.schema | {"norm": trainer.model.norm, "columns": layout.columns}
        image = file["growing"] = GrowingImage(stage.run / MODEL_FILE, {"config": json.dumps(config)})
        for name, value in trainer.model.named_parameters():
            image.add(name, value.detach().numpy())
        image.add("classes", np.array(layout.classes, dtype=object))
        if source.encoder:
            image.add("encoder", np.array([json.dumps(source.encoder.to_message())], dtype=object))
        if rows:
            image.add("node_id", source.graph.ids)

    on_root(stage.world, begin)
    for first in range(0, layout.nodes if rows else 0, MODEL_WINDOW):
        last = min(first + MODEL_WINDOW, layout.nodes)
        low, high = np.searchsorted(owned, [first, last])
        own = {"nodes": owned[low:high] - first} | {name: values[low:high] for name, values in rows.items()}
        messages = stage.world.gather(own)

        def append(messages=messages, first=first, last=last) -> None:
            for name in rows:
                block = np.empty((last - first, *messages[0][name].shape[1:]), messages[0][name].dtype)
                for message in messages:
                    block[message["nodes"]] = message[name]
                file["growing"].put(name, first, block, layout.nodes)

        on_root(stage.world, append)
    on_root(stage.world, lambda: file["growing"].finish())


def tell(stage, found: dict) -> None:
    """Local: the closing lines."""
    figures = [f"{name} acc {found[f'{name}_accuracy']:.3f}" for name in ("test", "val")
               if found[f"{name}_accuracy"] is not None]
    if found["macro_f1"] is not None:
        figures.append(f"macro F1 {found['macro_f1']:.3f}")
    if found.get("test_roc_auc") is not None:
        figures.append(f"ROC AUC {found['test_roc_auc']:.3f}")
    stage.say(f"done    {found['epochs']} epochs in {found['train_wall_s']:.1f} s, best {found['best_epoch']}"
              + "".join(f" | {figure}" for figure in figures))
    planned = [f"peak {found['peak_rss_mb']:.0f} MB per rank of {found['peak_rss_mb_planned']:.0f} MB planned"]
    if "sent_mb_per_epoch" in found:
        planned.append(f"{found['sent_mb_per_epoch']:.2f} MB sent per epoch and rank of "
                       f"{found['sent_mb_per_epoch_planned']:.2f} MB planned")
    stage.say(f"plan    {', '.join(planned)}")
    if found["test_accuracy"] is not None:
        low, high = metrics.accuracy_between(found["test_accuracy"], found["test_nodes"])
        if high - low > UNSURE:
            stage.say(f"note    few test rows ({found['test_nodes']}): the accuracy on new ones is likely between "
                      f"{low:.2f} and {high:.2f}")
        if found["test_accuracy"] <= found["usual_accuracy"]:
            stage.say(f"note    no better than to say {found['usual_class']} of every row "
                      f"({found['usual_accuracy']:.3f}): the features tell next to nothing of this label")
    if rare := found["rare_classes"]:
        more = f" and {len(rare) - NAMED:,} more" if len(rare) > NAMED else ""
        stage.say(f"note    fewer than {RARE} training rows of {', '.join(rare[:NAMED])}{more}: too few to tell them "
                  "from others")
    stage.say(f"files   {stage.run / PREDICTIONS_FILE}, {stage.run / MODEL_FILE}")
