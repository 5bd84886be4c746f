"""What one row says for its cluster: each column's most frequent value, among equals the most complete."""

from collections import Counter

import numpy as np


def survive(values: list[str]) -> tuple[str, float]:
    """Local: the value of a column for a cluster, and the share of the filled cells that hold it.

    values: the cells of the members in row order, "" = missing. The most frequent filled value wins; of equally
    frequent ones the longest (an abbreviation loses to what it stands for), then the one that comes first.
    """
    filled = [value for value in values if value]
    if not filled:
        return "", 1.0
    counts = Counter(filled)  # keeps the order of first occurrence, and max the first of equals
    value = max(counts, key=lambda one: (counts[one], len(one)))
    return value, counts[value] / len(filled)


def merge_clusters(stage, table, cluster: np.ndarray, kept: list[str]) -> dict[int, dict[str, tuple[str, float]]]:
    """Collective: what the first row of each cluster takes over from the others.

    cluster: int64 (rows,), the first row of each row's cluster. kept: columns that stay as they are in the first row
    (keys, sources). Returns first row -> {column: (value, confidence)} for cells that change. Messages: the rows of
    clusters of two and more, to every rank.
    """
    shared = np.bincount(cluster, minlength=table.rows)[cluster] > 1
    first = np.concatenate([[0], np.cumsum(table.chunk_rows)])
    names = [column.name for column in table.columns if column.name not in kept]

    def work(task):
        rows = np.flatnonzero(shared[first[task[0]]:first[task[0] + 1]])
        if not len(rows) or not names:
            return None
        cells = table.read(task[0], names)
        return {"rows": rows + first[task[0]], "cells": [cells[name][rows].tolist() for name in names]}

    tasks = [(chunk,) for chunk in range(len(table.chunk_rows))]
    members: dict[int, list[list[str]]] = {}
    for _, result in stage.queue.gather(stage.queue.run(tasks, work, name="survivors")):
        if result is not None:
            for row, *cells in zip(result["rows"].tolist(), *result["cells"]):
                members.setdefault(int(cluster[row]), []).append(cells)
    merged = {}
    for row, rows in sorted(members.items()):
        won = {name: survive(list(values)) for name, values in zip(names, zip(*rows))}
        changed = {name: won[name] for name, old in zip(names, rows[0]) if won[name][0] != old}
        if changed:
            merged[row] = changed
    return merged
