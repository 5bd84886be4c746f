"""Readers of graph files: a Planetoid folder, an npz of plain arrays, a folder of edges, targets and features."""

import csv
import io
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from mpiedge.errors import InputError
from mpiedge.graph import pickles
from mpiedge.graph.build import NO_SPLIT, TEST, TRAIN, VALIDATION, Graph, class_codes, undirected
from mpiedge.graph.sparse import SparseRows, from_triplets, offsets

Read = Callable[[str], bytes]  # the content of one file of the source, by its name
CLASSES = 1 << 15  # more than that predictions cannot name
PLANETOID_PARTS = ("x", "y", "tx", "ty", "allx", "ally", "graph", "test.index")


def file_names(path: str, names: Iterable[str]) -> list[str]:
    """The files of a graph source that have to be read; `InputError` where its form is not known.

    path: a file or a folder; names: what the folder holds (empty for a file).
    """
    names = set(names)
    if path.endswith(".npz"):
        return [""]
    if {"edges.csv", "target.csv", "features.json"} <= names:
        return ["edges.csv", "target.csv", "features.json"]
    prefixes = {name.split(".")[1] for name in names if name.startswith("ind.") and name.count(".") >= 2}
    if len(prefixes) == 1:
        prefix = prefixes.pop()
        wanted = [f"ind.{prefix}.{part}" for part in PLANETOID_PARTS]
        missing = [name for name in wanted if name not in names]
        if missing:
            raise InputError(path, f"the Planetoid folder lacks {', '.join(missing)}", "Copy the folder again")
        return wanted
    if "graph.npz" in names:
        return ["graph.npz"]
    remedy = ("Give a Planetoid folder, an npz of plain arrays, or a folder with edges.csv, target.csv and "
              "features.json; CSV tables go with --nodes and --edges")
    raise InputError(path, "no graph of a known form is there", remedy)


def read_graph(path: str, names: list[str], read: Read, label: str | None = None) -> Graph:
    """The graph in the files that `file_names` chose; `label` names the label column where there are columns."""
    if "edges.csv" in names:
        return read_edge_folder(path, read, label)
    if names[0].startswith("ind."):
        return read_planetoid(names, read)
    return read_npz(path, read(names[0]))


def read_planetoid(names: list[str], read: Read) -> Graph:
    """A Planetoid data set (Yang, Cohen & Salakhutdinov 2016) with the split of Kipf & Welling 2017.

    Nodes without a row (15 of Citeseer's test range) get no features and no label. Features are divided by their
    row's sum. Training nodes are the rows of x, validation the next 500, test those of test.index.
    """
    folder = {name.split(".", 2)[2]: name for name in names}
    load = {part: pickles.load(name, read(name)) for part, name in folder.items() if part != "test.index"}
    subject = folder["x"]
    try:
        test = np.array(read(folder["test.index"]).split(), np.int64)
        known, nodes = load["allx"].rows, int(max(load["allx"].rows - 1, test.max(initial=-1))) + 1
        source = np.full(nodes, known + load["tx"].rows)  # row of every node in allx, tx and the empty row below them
        source[:known] = np.arange(known)
        source[test] = known + np.arange(load["tx"].rows)
        features = _stacked(load["allx"], load["tx"]).take(source)
        one_hot = np.concatenate([load["ally"], load["ty"], np.zeros_like(load["ty"][:1])])[source]
        labels = np.where(one_hot.any(axis=1), one_hot.argmax(axis=1), -1).astype(np.int64)
        pairs = [(node, other) for node, others in load["graph"].items() for other in others]
        edges = np.array(pairs, np.int64).reshape(-1, 2)
        if len(edges) and not 0 <= edges.min() <= edges.max() < nodes:
            raise ValueError("an edge names a node that does not exist")
        train = load["x"].rows
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        cause = f"the Planetoid files do not fit together ({error})"
        raise InputError(subject, cause, "Copy the folder again") from None
    split = np.full(nodes, NO_SPLIT, np.int8)
    split[:train], split[train : train + 500], split[test] = TRAIN, VALIDATION, TEST
    split[labels < 0] = NO_SPLIT
    return Graph(
        ids=np.arange(nodes).astype(str),
        features=features.normalised(order=1),
        labels=labels,
        classes=[str(number) for number in range(one_hot.shape[1])],
        edges=undirected(edges, nodes),
        splits={"planetoid": split},
        default_split="planetoid",
    )


def _stacked(first: SparseRows, second: SparseRows) -> SparseRows:
    """Two matrices of one width laid on top of each other, with an empty row below them."""
    if first.columns != second.columns:
        raise ValueError("allx and tx differ in width")
    lengths = np.concatenate([np.diff(first.indptr), np.diff(second.indptr), [0]])
    indices = np.concatenate([first.indices, second.indices])
    return SparseRows(offsets(lengths), indices, np.concatenate([first.data, second.data]), first.columns)


def read_npz(path: str, data: bytes) -> Graph:
    """A graph in an npz of plain arrays; object arrays are refused.

    edges (e, 2); feat_indptr, feat_indices, feat_data, feat_shape or node_features (n, f); labels or node_labels
    (n); optionally train_masks, val_masks, test_masks (k, n), the splits `column:0` to `column:k-1`.
    """
    try:
        if not zipfile.is_zipfile(io.BytesIO(data)):
            raise ValueError("it is damaged, or of another form")
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        labels = arrays["labels"] if "labels" in arrays else arrays["node_labels"]
        if labels.dtype.kind not in "biuf":
            raise ValueError("labels are no numbers")
        if (np.asarray(labels) % 1 != 0).any():
            raise ValueError("a label is no whole number")
        labels = np.asarray(labels).astype(np.int64).reshape(-1)
        if labels.max(initial=-1) >= CLASSES:
            raise ValueError(f"a label is not below {CLASSES:,}")
        nodes = len(labels)
        features = _npz_features(arrays, nodes)
        edges = np.asarray(arrays["edges"]).astype(np.int64).reshape(-1, 2)
        if len(edges) and not 0 <= edges.min() <= edges.max() < nodes:
            raise ValueError("an edge names a node that does not exist")
        splits = _npz_splits(arrays, nodes)
    except KeyError as error:
        raise InputError(path, f"it holds no array {error}", "Name the arrays as mpiedge-train --help says") from None
    except (ValueError, OSError, EOFError, IndexError, TypeError, zipfile.BadZipFile) as error:
        cause = f"it is not an npz with the plain arrays edges, labels and features ({error})"
        raise InputError(path, cause, "Name the arrays as mpiedge-train --help says") from None
    labels = np.maximum(labels, -1)
    classes = [str(number) for number in range(int(labels.max(initial=-1)) + 1)]
    ids, default = np.arange(nodes).astype(str), "column:0" if splits else "60/20/20"
    return Graph(ids, features.normalised(), labels, classes, undirected(edges, nodes), splits, default)


def _npz_features(arrays: dict, nodes: int) -> SparseRows:
    if "node_features" in arrays:
        with np.errstate(over="ignore"):  # it is found not to be finite
            dense = np.asarray(arrays["node_features"], np.float32)
        if len(dense) != nodes or not np.isfinite(dense).all():
            raise ValueError("there must be a row of finite features for every label")
        rows, columns = np.nonzero(dense)
        return from_triplets(rows, columns, dense[rows, columns], (nodes, dense.shape[1]))
    indptr = np.asarray(arrays["feat_indptr"]).astype(np.int64)
    indices = np.asarray(arrays["feat_indices"]).astype(np.int32)
    rows, columns = (int(length) for length in arrays["feat_shape"])
    features = SparseRows(indptr, indices, np.asarray(arrays["feat_data"]).astype(np.float32), columns)
    if rows != nodes or len(indptr) != nodes + 1 or not features.sound() or not np.isfinite(features.data).all():
        raise ValueError("the feature arrays do not fit together, or are not finite")
    return features


def _npz_splits(arrays: dict, nodes: int) -> dict[str, np.ndarray]:
    if not {"train_masks", "val_masks", "test_masks"} <= set(arrays):
        return {}
    splits = {}
    masks = zip(*(np.asarray(arrays[f"{part}_masks"], bool).reshape(-1, nodes) for part in ("train", "val", "test")))
    for number, (train, validation, test) in enumerate(masks):
        split = np.full(nodes, NO_SPLIT, np.int8)
        split[train], split[validation], split[test] = TRAIN, VALIDATION, TEST
        splits[f"column:{number}"] = split
    return splits


def read_edge_folder(path: str, read: Read, label: str | None = None) -> Graph:
    """A folder with edges.csv (two node ids a row), target.csv (id, ..., label) and features.json ({id: [numbers]})."""
    rows = _csv(f"{path}/target.csv", read("target.csv"))
    header = _header(f"{path}/target.csv", rows)
    label = label or header[-1]
    if label not in header[1:]:
        raise InputError(f"{path}/target.csv", f"there is no column {label}", f"Columns are {', '.join(header)}")
    notes = [f"label column {label}, node ids {header[0]} (target.csv)"]
    chosen = header.index(label)
    named = [(row[0], row[chosen]) for row in rows]
    ids = [name for name, _ in named]
    number = {name: position for position, name in enumerate(ids)}
    if len(number) < len(ids):
        raise InputError(f"{path}/target.csv", "an id occurs twice", "Clean the table first")
    labels, classes = class_codes([name for _, name in named])
    rows = _csv(f"{path}/edges.csv", read("edges.csv"))
    _header(f"{path}/edges.csv", rows)
    ends = np.fromiter((number.get(end, -1) for row in rows for end in row[:2]), np.int64).reshape(-1, 2)
    edges = ends[(ends >= 0).all(axis=1)]
    if len(edges) < len(ends):
        notes.append(f"{len(ends) - len(edges):,} edges name unknown nodes and are left out")
    features = _json_features(f"{path}/features.json", read("features.json"), number)
    edges = undirected(edges, len(ids))
    return Graph(np.array(ids, dtype=str), features.normalised(), labels, classes, edges, notes=notes)


def _csv(subject: str, data: bytes) -> Iterator[list[str]]:
    """The header, then the rows of a CSV file with at least two columns; surplus cells are left in."""
    try:
        records = filter(None, csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))
        width = 0
        for record in records:
            if len(record) < max(width, 2):
                raise InputError(subject, f"a row has fewer than {max(width, 2)} cells", "Repair the row")
            width = width or len(record)
            yield record
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(subject, f"it is not a UTF-8 CSV ({error})", "Save it as UTF-8") from None


def _header(subject: str, rows: Iterator[list[str]]) -> list[str]:
    for header in rows:
        return header
    raise InputError(subject, "the file is empty", "Give a CSV with a header line")


def _json_features(subject: str, data: bytes, number: dict[str, int]) -> SparseRows:
    try:
        lists = json.loads(data)
        known = [(number[name], columns) for name, columns in lists.items() if name in number]
        rows = np.repeat(np.array([row for row, _ in known], np.int64), [len(columns) for _, columns in known])
        columns = np.array([column for _, chosen in known for column in chosen], np.int64)
        if len(columns) and columns.min() < 0:
            raise ValueError("a feature number is negative")
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise InputError(subject, f'it is not {{"node": [feature numbers]}} ({error})', "Repair the file") from None
    rows_present = from_triplets(rows, columns, np.ones(len(columns)), (len(number), int(columns.max(initial=-1)) + 1))
    rows_present.data[:] = 1.0  # a feature is there or not, however often it is listed
    return rows_present
