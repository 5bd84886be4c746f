"""Predictions for files: reads model and rows, writes the table of predictions, and says what came out."""

from pathlib import Path

import numpy as np

from mpiedge.errors import InputError, StoreError
from mpiedge.graph import cells
from mpiedge.store.parts import DAMAGE, one_line, open_image, write_atomic
from mpiedge.training import predict
from mpiedge.training.files import MODEL_FILE, NEW_PREDICTIONS_FILE, predictions_csv

SHOWN = 10


def measure(run: Path, files: dict) -> dict:
    """Local: bytes that the model and the rows will take."""
    try:
        model = (run / MODEL_FILE).stat().st_size
    except OSError:
        raise StoreError(run / MODEL_FILE, "the model is missing", f"Run mpiedge-train --run {run}") from None
    return {"model": 8 * model, "rows": 12 * sum(file.size for file in files.values())}


def predict_files(stage, files: dict, output: str | None) -> dict:
    """Local: predicts and writes. files: `table` and perhaps `edges`, opened inputs. Raises InputError, StoreError.

    Returns JSON-able: notes, lines for people, summary, names of files written into the run folder.
    """
    predictor = _load(stage.run)
    path = files["table"].name
    header, columns = _read(stage, files["table"])
    rows = len(columns[header[0]])
    if not rows:
        raise InputError(path, "the table has no rows", "Give a CSV with rows")
    features, notes = predict.encode(predictor, path, columns)
    key, label = predictor.config.get("key"), predictor.config.get("label")
    ids = columns[key].tolist() if key in columns else [str(row) for row in range(rows)]
    edges = np.zeros((0, 2), np.int64)
    if "edges" in files:
        edges = _edges(stage, predictor, files["edges"], ids, key in columns, notes)
    probabilities = predict.predict(predictor, features, edges)
    best = probabilities.argmax(axis=1)
    labels = [predictor.classes[code] for code in best]
    chances = probabilities[np.arange(rows), best]
    written = [] if output else [NEW_PREDICTIONS_FILE]
    target = Path(output) if output else stage.run / NEW_PREDICTIONS_FILE
    write_atomic(target, predictions_csv(ids, labels, chances).encode())
    summary = {"rows": rows, "edges": len(edges), "model": predictor.config["model"], "accuracy": None}
    lines = _table(ids, labels, chances)
    told = [pair for pair in zip(columns[label].tolist(), labels) if pair[0]] if label in columns else []
    if told:
        summary["accuracy"] = sum(given == answer for given, answer in told) / len(told)
        lines.append(f"quality accuracy {summary['accuracy']:.3f} on the {len(told):,} rows whose {label} is given")
    lines.append(f"done    {rows:,} rows predicted: {target}")
    return {"notes": notes, "lines": lines, "summary": summary, "files": written}


def _load(run: Path) -> predict.Predictor:
    path = run / MODEL_FILE
    try:
        image = path.read_bytes()
        with open_image(image) as file:
            config = str(file.attrs["config"])
    except DAMAGE as error:
        raise StoreError(path, f"the model cannot be read ({one_line(error)})",
                         f"Run mpiedge-train --run {run}") from None
    return predict.load(str(path), image, config)


def _read(stage, file):
    return cells.read_csv(file.name, stage.access.read_bytes(file, 0, file.size))


def _edges(stage, predictor, file, ids: list[str], keyed: bool, notes: list[str]) -> np.ndarray:
    if not predictor.uses_graph:
        notes.append("the model uses no graph: --edges has no effect")
        return np.zeros((0, 2), np.int64)
    header, columns = _read(stage, file)
    if len(header) < 2:
        raise InputError(file.name, "it has one column only", "Give a CSV whose first two columns name nodes")
    if not keyed:
        raise InputError(file.name, "the new rows have no key column that edges could name",
                         f"Add the column {predictor.config.get('key')}")
    edges, unknown = predict.resolve_edges(predictor, ids, tuple(columns[name].tolist() for name in header[:2]))
    if unknown:
        notes.append(f"{file.name}: {unknown:,} edges name unknown nodes and are left out")
    return edges


def _table(ids: list[str], labels: list[str], chances: np.ndarray) -> list[str]:
    """The first rows, aligned."""
    shown = list(zip(ids, labels, chances))[:SHOWN]
    widths = [max(len("id"), *(len(row[0]) for row in shown)), max(len("predicted"), *(len(row[1]) for row in shown))]
    lines = [f"{'id':<{widths[0]}}  {'predicted':<{widths[1]}}  probability"]
    lines += [f"{name:<{widths[0]}}  {label:<{widths[1]}}  {chance:.3f}" for name, label, chance in shown]
    if len(ids) > len(shown):
        lines.append(f"... and {len(ids) - len(shown):,} more")
    return lines
