"""Predictions for files: reads model and rows, writes the table of predictions, and says what came out."""

from pathlib import Path

import numpy as np

from mpiedge.errors import InputError, StoreError, UsageError
from mpiedge.graph import cells
from mpiedge.store.parts import DAMAGE, one_line, open_image, write_atomic
from mpiedge.training import predict
from mpiedge.training.files import MODEL_FILE, NEW_PREDICTIONS_FILE, predictions_csv
from mpiedge.training.predict_graph import predict_graph

SHOWN = 10


def measure(run: Path, files: dict) -> dict:
    """Local: bytes that the model and the rows in `files` will take."""
    try:
        model = (run / MODEL_FILE).stat().st_size
    except OSError:
        raise StoreError(run / MODEL_FILE, "the model is missing", f"Run mpiedge-train --run {run}") from None
    return {"model": 8 * model, "rows": 12 * sum(file.size for file in files.values())}


def predict_files(stage, files: dict, output: str | None) -> dict:
    """Local: predicts and writes. files: `table` and perhaps `edges`, opened inputs. Raises InputError, StoreError,
    UsageError.

    Returns JSON-able: notes, lines for people, summary, names of files written into the run folder.
    """
    predictor = _load(stage.run)
    predict.check_for_rows(predictor, str(stage.run / MODEL_FILE))
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
    told = columns[label].tolist() if label in columns else []
    found = _write(stage, predictor, ids, probabilities, told, output)
    found["summary"]["edges"] = len(edges)
    return {**found, "notes": notes}


def predict_whole(stage, source, output: str | None) -> dict:
    """Local: as `predict_files`, for all nodes of a graph that was read from files."""
    predictor, graph = _load(stage.run), source.graph
    if predictor.encoder is not None:
        raise InputError(source.name, "the model was trained on tables, whose columns a graph file does not have",
                         "Give a CSV")
    probabilities = predict_graph(predictor, source.name, graph)
    told = [graph.classes[code] if code >= 0 else "" for code in graph.labels]
    found = _write(stage, predictor, graph.ids.tolist(), probabilities, told, output)
    found["summary"]["edges"] = len(graph.edges)
    return {**found, "notes": source.notes}


def _write(stage, predictor, ids: list[str], probabilities: np.ndarray, told: list[str], output: str | None) -> dict:
    """Local: the file of predictions; lines for people, the summary, names of files. told: labels that are given."""
    best = probabilities.argmax(axis=1)
    labels = [predictor.classes[code] for code in best]
    chances = probabilities[np.arange(len(best)), best]
    target = Path(output) if output else stage.run / NEW_PREDICTIONS_FILE
    write_atomic(target, predictions_csv(ids, labels, chances).encode())
    summary = {"rows": len(ids), "model": predictor.config["model"], "accuracy": None}
    lines, told = _table(ids, labels, chances), [pair for pair in zip(told, labels) if pair[0]]
    if told:
        summary["accuracy"] = sum(given == answer for given, answer in told) / len(told)
        lines.append(f"quality accuracy {summary['accuracy']:.3f} on the {len(told):,} rows whose label is given")
    lines.append(f"done    {len(ids):,} rows predicted: {target}")
    return {"lines": lines, "summary": summary, "files": [] if output else [NEW_PREDICTIONS_FILE]}


def _load(run: Path) -> predict.Predictor:
    return predict.load(str(run / MODEL_FILE), *read_model(run))


def read_model(run: Path) -> tuple[bytes, str]:
    """Local: the bytes of model.h5, and its settings. Raises StoreError."""
    path = run / MODEL_FILE
    try:
        image = path.read_bytes()
        with open_image(image) as file:
            config = str(file.attrs["config"])
    except DAMAGE as error:
        raise StoreError(path, f"the model cannot be read ({one_line(error)})",
                         f"Run mpiedge-train --run {run}") from None
    return image, config


def _read(stage, file):
    return cells.read_csv(file.name, stage.access.read_bytes(file, 0, file.size))


def _edges(stage, predictor, file, ids: list[str], keyed: bool, notes: list[str]) -> np.ndarray:
    if not predictor.uses_graph:
        raise UsageError(f"--edges {file.name}", f"the model is {predictor.config['model']}, which sees no graph",
                         "Leave it out, or train gcn or sage")
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
