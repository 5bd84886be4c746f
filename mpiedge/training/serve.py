"""Predictions for files: reads model and rows, writes the table of predictions, and says what came out."""

import contextlib
from pathlib import Path

import h5py
import numpy as np

from mpiedge.errors import InputError, StoreError, UsageError
from mpiedge.graph import cells
from mpiedge.graph.features import as_text
from mpiedge.store.parts import DAMAGE, GrowingFile, from_stored, one_line, plain_dataset
from mpiedge.store.run import rerun
from mpiedge.training import predict
from mpiedge.training.files import MODEL_FILE, NEW_PREDICTIONS_FILE, OF_NODES, predictions_csv
from mpiedge.training.predict_graph import predict_graph

SHOWN = 10
PIECE_BYTES = 1 << 20  # of a table of new rows, read one after the other
ROWS_BYTES = 80e6  # at most, of the rows at hand in all forms (50 MB measured)


def measure(run: Path, files: dict) -> dict:
    """Local: bytes that the model and the rows in `files` will take; rows that edges may join are held all at once."""
    try:
        model = (run / MODEL_FILE).stat().st_size
    except OSError:
        raise StoreError(run / MODEL_FILE, "the model is missing", rerun("train", run)) from None
    if "edges" in files:
        return {"model": 8 * model, "rows": 12 * sum(file.size for file in files.values())}
    rows = sum(file.size for file in files.values())
    return {"model": 2 * weights_size(run / MODEL_FILE), "rows": min(12 * rows, ROWS_BYTES)}


def predict_files(stage, files: dict, output: str | None) -> dict:
    """Local: predicts and writes. files: `table` and perhaps `edges`, opened inputs. Raises InputError, StoreError,
    UsageError.

    Returns JSON-able: notes, lines for people, summary, names of files written into the run folder.
    """
    path, joined = files["table"].name, "edges" in files
    predictor = _load(stage.run, with_nodes=joined)
    predict.check_for_rows(predictor, str(stage.run / MODEL_FILE))
    key, label = predictor.config.get("key"), predictor.config.get("label")
    answers, doubts, notes, met = Answers(stage.run, output, predictor.classes), predict.Doubts(), [], 0
    with answers:
        for columns in _chunks(stage, files["table"], whole=joined):
            rows = len(next(iter(columns.values())))
            if not rows:
                raise InputError(path, "the table has no rows", "Give a CSV with rows")
            features = predict.encode(predictor, path, columns, doubts)
            ids = columns[key].tolist() if key in columns else [str(answers.rows + row) for row in range(rows)]
            edges = np.zeros((0, 2), np.int64)
            if joined:
                edges = _edges(stage, predictor, files["edges"], ids, key in columns, notes)
            met += len(edges)
            answers.add(ids, predict.predict(predictor, features, edges),
                        as_text(columns[label]) if label in columns else [])
    found = answers.found(predictor.config["model"], met)
    return {**found, "notes": doubts.notes(predictor.encoder.kinds) + notes}


def predict_whole(stage, source, output: str | None) -> dict:
    """Local: as `predict_files`, for all nodes of a graph that was read from files."""
    predictor, graph = _load(stage.run), source.graph
    if predictor.encoder is not None:
        raise InputError(source.name, "the model was trained on tables, whose columns a graph file does not have",
                         "Give a CSV")
    probabilities = predict_graph(predictor, source.name, graph)
    told = [graph.classes[code] if code >= 0 else "" for code in graph.labels]
    with Answers(stage.run, output, predictor.classes) as answers:
        answers.add(graph.ids.tolist(), probabilities, told)
    return {**answers.found(predictor.config["model"], len(graph.edges)), "notes": source.notes}


class Answers:
    """The file of predictions, which grows chunk by chunk and is there after the block, and what it comes to."""

    def __init__(self, run: Path, output: str | None, classes: list[str]):
        self.target, self.classes = Path(output) if output else run / NEW_PREDICTIONS_FILE, classes
        self.files = [] if output else [NEW_PREDICTIONS_FILE]
        self.rows = self.told = self.right = 0
        self.shown: list[tuple] = []

    def __enter__(self) -> "Answers":
        self.file = GrowingFile(self.target)
        return self

    def __exit__(self, kind, error, trace) -> None:
        if kind:
            self.file.discard()
        else:
            self.file.finish()

    def add(self, ids: list[str], probabilities: np.ndarray, told: list[str]) -> None:
        """Local: the next rows. told: their labels, "" where not given; empty where there are none."""
        best = probabilities.argmax(axis=1)
        labels = [self.classes[code] for code in best]
        chances = probabilities[np.arange(len(best)), best]
        self.file.add(predictions_csv(ids, labels, chances, header=not self.rows).encode())
        self.shown += zip(ids[: SHOWN - len(self.shown)], labels, chances)
        self.rows += len(ids)
        self.told += sum(given != "" for given in told)
        self.right += sum(given == answer for given, answer in zip(told, labels))

    def found(self, model: str, edges: int) -> dict:
        """Local: lines for people, the summary, names of files."""
        accuracy = self.right / self.told if self.told else None
        lines = _table(self.shown, self.rows)
        if self.told:
            lines.append(f"quality accuracy {accuracy:.3f} on the {self.told:,} rows whose label is given")
        lines.append(f"done    {self.rows:,} rows predicted: {self.target}")
        summary = {"rows": self.rows, "model": model, "accuracy": accuracy, "edges": edges}
        return {"lines": lines, "summary": summary, "files": self.files}


def _load(run: Path, with_nodes: bool = False) -> predict.Predictor:
    return predict.load(str(run / MODEL_FILE), *read_model(run, with_nodes))


def read_model(run: Path, with_nodes: bool = False) -> tuple[dict[str, np.ndarray], str]:
    """Local: the arrays of model.h5, and its settings. Raises StoreError.

    with_nodes: also what the nodes of the training hand to new neighbours; else as if there had been none. The file
    was compared with its checksum before, so HDF5 may read it in place.
    """
    path = run / MODEL_FILE
    try:
        with h5py.File(path) as file:
            return {name: _read(file, name, with_nodes) for name in file}, str(file.attrs["config"])
    except DAMAGE as error:
        raise StoreError(path, f"the model cannot be read ({one_line(error)})",
                         rerun("train", run)) from None


def _read(file, name: str, with_nodes: bool) -> np.ndarray:
    dataset = plain_dataset(file, name)
    return from_stored(dataset[:0] if name.startswith(OF_NODES) and not with_nodes else dataset[()])


def weights_size(path: Path) -> int:
    """Local: the bytes of model.h5 without what belongs to nodes of the training; 0 where it cannot be read."""
    with contextlib.suppress(*DAMAGE), h5py.File(path) as file:
        return sum(file[name].nbytes for name in file if not name.startswith(OF_NODES))
    return 0


def _chunks(stage, file, whole: bool):
    """Local: the rows of a CSV file, chunk by chunk or all at once."""
    if whole:
        return [_whole(stage, file)[1]]
    pieces = (stage.access.read_bytes(file, start, start + PIECE_BYTES) for start in range(0, file.size, PIECE_BYTES))
    return cells.read_rows(file.name, pieces)


def _whole(stage, file):
    return cells.read_csv(file.name, stage.access.read_bytes(file, 0, file.size))


def _edges(stage, predictor, file, ids: list[str], keyed: bool, notes: list[str]) -> np.ndarray:
    if not predictor.uses_graph:
        raise UsageError(f"--edges {file.name}", f"the model is {predictor.config['model']}, which sees no graph",
                         "Leave it out, or train gcn or sage")
    header, columns = _whole(stage, file)
    if len(header) < 2:
        raise InputError(file.name, "it has one column only", "Give a CSV whose first two columns name nodes")
    if not keyed:
        raise InputError(file.name, "the new rows have no key column that edges could name",
                         f"Add the column {predictor.config.get('key')}")
    edges, unknown = predict.resolve_edges(predictor, ids, tuple(columns[name].tolist() for name in header[:2]))
    if unknown:
        notes.append(f"{file.name}: {unknown:,} edges name unknown nodes and are left out")
    return edges


def _table(shown: list[tuple], rows: int) -> list[str]:
    """The first rows, aligned."""
    widths = [max(len("id"), *(len(row[0]) for row in shown)), max(len("predicted"), *(len(row[1]) for row in shown))]
    lines = [f"{'id':<{widths[0]}}  {'predicted':<{widths[1]}}  probability"]
    lines += [f"{name:<{widths[0]}}  {label:<{widths[1]}}  {chance:.3f}" for name, label, chance in shown]
    if rows > len(shown):
        lines.append(f"... and {rows - len(shown):,} more")
    return lines
