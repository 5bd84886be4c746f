"""Finds out of tables what a graph needs: the label, the key, which table holds edges; and puts the graph together."""

import numpy as np

from mpiedge.errors import UsageError
from mpiedge.graph.build import NO_SPLIT, TEST, TRAIN, VALIDATION, Graph, class_codes, undirected
from mpiedge.graph.features import Survey
from mpiedge.graph.sparse import SparseRows

MOST_CLASSES = 50
MOST_REPEATED = 0.05  # different whole numbers for each row: with more they are no classes
LABEL_NAMES = ("label", "class", "target", "category", "area", "topic", "type", "y")
ROLE_WORDS = {"train": TRAIN, "training": TRAIN, "val": VALIDATION, "valid": VALIDATION, "validation": VALIDATION,
              "test": TEST, "testing": TEST}


def label_score(name: str, kind: str, found: Survey, filled: bool, last: bool) -> tuple:
    """Local: how much a column looks like a label, greater is more; () when it cannot be one.

    A usual name counts most, then text with missing cells (the rows to be predicted; filled: clean has guessed some),
    then the last column, then few classes.
    """
    classes = found.distinct(name)
    if kind in ("decimal", "date") or not 2 <= classes <= min(MOST_CLASSES, max(2, found.present[name] // 5)):
        return ()
    blank = filled or found.present[name] < found.rows
    return name.casefold() in LABEL_NAMES, kind == "text", blank, last, -classes


def is_measure(name: str, kind: str, found: Survey) -> bool:
    """Local: whether a column holds a quantity rather than classes: numbers or dates that seldom repeat."""
    values = found.distinct(name)
    return kind in ("decimal", "integer", "date") and values > MOST_CLASSES and (
        kind != "integer" or values > MOST_REPEATED * found.present[name])


def is_name(label: str, kind: str, found: Survey) -> bool:
    """Local: whether a column of text names rows rather than their classes: more than half of its cells differ."""
    return kind == "text" and found.distinct(label) > max(MOST_CLASSES, found.present[label] / 2)


def guess_label(tables: dict[str, tuple[dict[str, str], Survey, dict]]) -> tuple[str, str]:
    """Local: the table and column that look most like a label. tables: name -> (kinds, survey, columns that clean has
    filled in).

    Raises UsageError when no column does.
    """
    scores = [(score, table, column) for table, (kinds, found, filled) in tables.items()
              for column, kind in kinds.items()
              if (score := label_score(column, kind, found, column in filled, column == [*kinds][-1]))]
    if not scores:
        raise UsageError("--label", "no column looks like a label", "Name one")
    _, table, column = max(scores, key=lambda entry: entry[0])
    return table, column


def key_columns(kinds: dict[str, str], found: Survey) -> list[str]:
    """Local: columns that name rows: filled and different in every row. Decimals, dates and phrases never do."""
    return [name for name in kinds if found.names_rows(name)]


def determined(dependencies: list[dict], columns: list[str]) -> dict[str, str]:
    """Local: columns that another one of `columns` determines, with that one; of two that tell each other the later.

    dependencies: {"lhs": [column], "rhs": column}. What is kept still tells everything: a column that goes is
    determined by one that stays, as dependencies of single columns are transitive.
    """
    told = {(entry["lhs"][0], entry["rhs"]) for entry in dependencies}
    gone: dict[str, str] = {}
    for name in reversed(columns):
        by = next((other for other in columns if other != name and other not in gone and (other, name) in told), None)
        if by is not None:
            gone[name] = by
    return {name: gone[name] for name in columns if name in gone}


def edge_table(inclusions: list[dict], tables: dict[str, list[str]], nodes: str, keys: list[str]):
    """Local: (table, first column, second column, key) of the first table with two columns included in one key.

    inclusions: {"lhs": ["table.column"], "rhs": ["table.column"]}; tables: name -> columns. None when there is none.
    """
    known = {(entry["lhs"][0], entry["rhs"][0]) for entry in inclusions
             if len(entry["lhs"]) == len(entry["rhs"]) == 1}
    for table, columns in sorted(tables.items()):
        for key in keys if table != nodes else ():
            ends = [column for column in columns if (f"{table}.{column}", f"{nodes}.{key}") in known]
            if len(ends) >= 2:
                return table, ends[0], ends[1], key
    return None


def match_edges(ends: tuple[np.ndarray, np.ndarray], keys: dict[str, np.ndarray]) -> tuple[str, np.ndarray]:
    """Local: the key that most edges name on both ends, and the edges that match as row numbers, int64 (e, 2).

    ends, keys: digests of the cells (features.digests); those of a key are all different.
    """
    best = (next(iter(keys)), np.zeros((0, 2), np.int64))
    for name, cells in keys.items():
        order = np.argsort(cells)
        found = np.stack([_rows_of(end, cells, order) for end in ends], axis=1)
        matching = found[(found >= 0).all(axis=1)]
        if len(matching) > len(best[1]):
            best = (name, matching)
    return best


def _rows_of(end: np.ndarray, cells: np.ndarray, order: np.ndarray) -> np.ndarray:
    """The row of each digest among `cells`, which `order` sorts; -1 where it is none of them."""
    place = np.minimum(np.searchsorted(cells, end, sorter=order), len(cells) - 1)
    return np.where(cells[order[place]] == end, order[place], -1)


def assemble(ids: np.ndarray, features: SparseRows | None, labels: list[tuple], edges: np.ndarray,
             roles: list[tuple] | None = None, split_name: str = "") -> Graph:
    """Local: the graph of encoded rows. features: None where they lie on several ranks.

    labels, and roles unless there is no split column: for every chunk its different cells and their places in its
    rows; "" is unknown.
    """
    classes = class_codes([cell for cells, _ in labels for cell in cells])[1]
    code = {name: number for number, name in enumerate(classes)}
    graph = Graph(ids, features, _coded(labels, lambda cell: code.get(cell, -1)), classes, undirected(edges, len(ids)))
    if roles is not None:
        codes = _coded(roles, lambda cell: ROLE_WORDS.get(cell.strip().casefold(), NO_SPLIT))
        graph.splits[split_name] = codes.astype(np.int8)
        graph.default_split = split_name
    return graph


def _coded(parts: list[tuple], code) -> np.ndarray:
    """The code of every row, int64."""
    return np.concatenate([np.array([code(cell) for cell in cells], np.int64)[places] for cells, places in parts])
