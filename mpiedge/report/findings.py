"""What a run found: changes of clean, columns and dependencies of profile, curves and errors of train."""

import contextlib
import csv
import json
from collections import Counter
from pathlib import Path

from mpiedge.report import plots
from mpiedge.report.html import folded, section, table, text
from mpiedge.report.read import METRICS, Run, bounded_fields, read_json, read_lines, read_table

MOST_TABLES, MOST_ROWS, MOST_COLUMNS, EXAMPLES, MOST_CLASSES = 10, 30, 100, 3, 20
DRAWN = 12
"""Dependencies in the graph; the table has more."""

MOST_CHANGES = 200_000
"""Lines of changes.csv that are searched for examples."""

LONGEST_CELL, LONGEST_SIDE = 80, 32


def short(value) -> str:
    """Local: a cell of the user's data, cut."""
    whole = "" if value is None else str(value)
    return whole if len(whole) <= LONGEST_CELL else whole[: LONGEST_CELL - 1] + "…"


def cleaning(run: Run) -> str:
    """Local: rows in and out, and the changes of each rule with examples."""
    tables = (run.summaries.get("clean") or {}).get("tables")
    if not isinstance(tables, dict):
        return ""
    named = {name: told for name, told in list(tables.items())[:MOST_TABLES] if isinstance(told, dict)}
    heads = ("table", "rows in", "rows out", "merged", "rejected", "repaired")
    parts = [table(heads, [(name, *(told.get(key) for key in ("rows_in", "rows_out", "rows_merged", "rows_rejected",
                                                              "rows_repaired"))) for name, told in named.items()])]
    for name, told in named.items():
        changes = told.get("changes")
        if isinstance(changes, dict) and changes:
            shown = examples(run.folder / "clean" / f"{name}.changes.csv", set(changes))
            rows = []
            for rule, number in sorted(changes.items(), key=lambda item: -item[1]):
                words = [f"{short(row.get('column'))}: {short(row.get('before'))!r} → {short(row.get('after'))!r}"
                         for row in shown[rule]]
                rows.append((short(rule), number, "; ".join(words)))
            parts.append(f"<h3>{text(short(name))}</h3>" + table(("rule", "cells", "before → after"), rows))
    return section("What clean changed", *parts)


def examples(path: Path, rules: set[str]) -> dict[str, list[dict]]:
    """Local: the first few changes of each rule, of different values, as far as the first lines of the file show."""
    found: dict[str, list[dict]] = {rule: [] for rule in rules}
    with (contextlib.suppress(OSError, csv.Error, KeyError), bounded_fields(),
          open(path, newline="", encoding="utf-8", errors="replace") as file):
        left = len(rules) * EXAMPLES
        for number, row in enumerate(csv.DictReader(line.replace("\0", "") for line in file)):
            own = found.get(row.get("rule"))
            if own is not None and len(own) < EXAMPLES and all(row["before"] != other["before"] for other in own):
                own.append(row)
                left -= 1
            if not left or number >= MOST_CHANGES:
                break
    return found


def profile(run: Run) -> str:
    """Local: columns, the most telling dependencies, keys, inclusions."""
    if "profile" not in run.manifests or run.folder is None:
        return ""
    folder = run.folder / "profile"
    parts = []
    for name, columns in list(read_json(folder / "columns.json").items())[:MOST_TABLES]:
        if isinstance(columns, list):
            rows = [_column(column) for column in columns[:MOST_COLUMNS] if isinstance(column, dict)]
            parts.append(folded(f"{short(name)}: {len(columns)} columns",
                                table(("column", "type", "rows", "missing", "distinct", "key", "most frequent"), rows)))
    ranked = read_table(folder / "ranked.csv", MOST_ROWS)
    fds, number = read_lines(folder / "fds.jsonl", MOST_ROWS)
    if ranked:
        rows = [(short(row.get("table")), short(f"{_words(row.get('lhs'))} → {row.get('rhs')}"), row.get("g3"),
                 row.get("redundant_rows"), _digits(row.get("score"))) for row in ranked]
        heads = ("table", "dependency", "g3", "rows told by others", "score")
    else:
        rows = [(short(fd.get("table")), short(f"{_words(fd.get('lhs'))} → {fd.get('rhs')}"), fd.get("g3"))
                for fd in fds]
        heads = ("table", "dependency", "g3")
    if rows:
        best = (ranked or fds)[:DRAWN]
        several = len({str(row.get("table")) for row in best}) > 1
        drawn = [tuple(_side(row.get("table") if several else "", _words(row.get(name))) for name in ("lhs", "rhs"))
                 for row in best]
        told = f"the {len(drawn)} most telling" if ranked else f"the first {len(drawn)}"
        parts.append(f"<h3>Functional dependencies: {told} of {number:,}</h3>"
                     + plots.arrows("Functional dependencies: columns that determine others", drawn)
                     + folded(f"{len(rows)} of them in numbers", table(heads, rows)))
    keys, number = read_lines(folder / "uccs.jsonl", MOST_ROWS)
    if keys:
        parts.append(folded(f"Keys: {len(keys)} of {number:,}", table(("table", "columns"), [
            (short(key.get("table")), short(_words(key.get("columns")))) for key in keys])))
    inds, number = read_lines(folder / "inds.jsonl", MOST_ROWS)
    if inds:
        parts.append(folded(f"Inclusions: {len(inds)} of {number:,}", table(("values of", "are in", "share"), [
            (short(_words(ind.get("lhs"))), short(_words(ind.get("rhs"))), ind.get("coverage", 1))
            for ind in inds])))
    return section("Profile", *parts)


def _column(column: dict) -> tuple:
    top = column.get("top")
    first = top[0] if isinstance(top, list) and top and isinstance(top[0], dict) else {}
    frequent = f"{short(first.get('value'))} ({first.get('count')})" if first else ""
    return (short(column.get("name")), column.get("type"), column.get("rows"), column.get("nulls"),
            column.get("distinct"), "yes" if column.get("unique") else "", frequent)


def _side(name, columns: str) -> str:
    """One side of a dependency in the graph."""
    words = f"{name}: {columns}" if name else columns
    return words if len(words) <= LONGEST_SIDE else words[: LONGEST_SIDE - 1] + "…"


def _digits(cell) -> str:
    number = _number(cell)
    return "" if number is None else f"{number:.3g}"


def _words(names) -> str:
    if isinstance(names, str):
        with contextlib.suppress(ValueError):
            names = json.loads(names)
    return ", ".join(map(str, names)) if isinstance(names, list) else str(names)


def training(run: Run) -> str:
    """Local: loss and accuracy over the epochs, the figures of the summary, and the confusion matrix."""
    if run.folder is None or not ("train" in run.rows or "train" in run.manifests):
        return ""
    parts = []
    epochs = read_table(run.folder / METRICS, 100_000)
    if epochs:
        across = [_number(row.get("epoch")) or 0.0 for row in epochs]
        for title in ("loss", "accuracy"):
            lines = {name: [_number(row.get(name)) for row in epochs] for name in epochs[0] if name.endswith(title)}
            lines = {name.replace("_", " "): line for name, line in lines.items()}
            parts.append(f"<h3>{title.capitalize()}</h3>" + plots.curves(title, across, lines, "epoch"))
        step = -(-len(epochs) // MOST_COLUMNS)
        shown = [row for place, row in enumerate(epochs) if place % step == 0 or place == len(epochs) - 1]
        parts.append(folded("numbers" + (f", every {step}th epoch" if step > 1 else ""),
                            table(list(epochs[0]), [[row.get(name) for name in epochs[0]] for row in shown])))
    summary = run.summaries.get("train") or {}
    if summary:
        parts.append(folded("all figures of the training", table(("figure", "value"), [
            (name.replace("_", " "), short(f"{value:.4g}" if isinstance(value, float) else value))
            for name, value in summary.items()])))
    parts.append(confusion(run))
    return section("Model", *parts)


def _number(cell) -> float | None:
    try:
        return float(cell)
    except (TypeError, ValueError):
        return None


def confusion(run: Run) -> str:
    """Local: labels against predictions of all labelled rows of the nodes' table; empty where either is not there."""
    config = (run.manifests.get("train") or {}).get("config")
    label, key = _label_and_key(run.folder / "train/model.h5")
    if not isinstance(config, dict) or not label or not key:
        return ""
    truth = run.folder / "clean" / f"{str(config.get('source', '')).split(' + ')[0]}.csv"
    predicted, counts = {}, Counter()
    with contextlib.suppress(OSError, csv.Error, KeyError), bounded_fields():
        with open(run.folder / "train/predictions.csv", newline="", encoding="utf-8", errors="replace") as file:
            predicted = {row["id"]: row["predicted"] for row in csv.DictReader(file)}
        with open(truth, newline="", encoding="utf-8", errors="replace") as file:
            for row in csv.DictReader(file):
                if row[label] and row[key] in predicted:
                    counts[row[label], predicted[row[key]]] += 1
    classes = sorted({name for pair in counts for name in pair})
    if not classes or len(classes) > MOST_CLASSES:
        return ""
    rows = [(short(name), *(counts[name, other] for other in classes),
             f"{counts[name, name] / (sum(counts[name, other] for other in classes) or 1):.2f}") for name in classes]
    note = f"Rows: {short(label)}; columns: predicted. All labelled rows, those of the training included: no test."
    return "<h3>Confusion matrix</h3>" + table((short(label), *map(short, classes), "share found"), rows, note)


def _label_and_key(path: Path) -> tuple[str | None, str | None]:
    from mpiedge.store.parts import DAMAGE, open_image

    try:
        with open_image(path.read_bytes()) as file:
            config = json.loads(file.attrs["config"])
        return config.get("label"), config.get("key")
    except DAMAGE:
        return None, None
