"""A seeded dirty bibliography with known truth: papers.csv, cites.csv, and what is right beside them in truth/."""

import csv
import json
import os
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from mpiedge.errors import EnvironmentProblem, UsageError

from .dirt import spoil
from .draw import Draw
from .entities import Entities
from .layout import Layout

VERSION = 2  # of the demo data: a folder written by another version is written again
CHUNK_ROWS = 8192
CHANGED = ("title", "authors", "publisher", "year", "published", "city", "country", "keyword_4", "keyword_5")
PAPER_COLUMNS = (
    *("id", "title", "authors", "venue", "publisher", "year", "published", "city", "zip", "country", "area"),
    *(f"keyword_{number}" for number in range(1, 6)),
)
PLANTED_FDS = (("venue", "publisher"), ("zip", "city"), ("zip", "country"), ("city", "country"), ("published", "year"))


def write_demo(folder, rows: int = 5000, seed: int = 0, progress=None) -> dict:
    """Local: writes the demo data into `folder` and returns its summary; data that is already there is kept.

    Row r is a pure function of (seed, rows, r): the table is written chunk by chunk, in memory that does not grow with
    `rows` and in time that grows with it linearly. `progress(rows_written)` is called after each chunk. Every file is
    written under a temporary name and renamed; truth/demo.json, last, says that the folder is complete.
    Raises UsageError for a number of rows below 1, EnvironmentProblem when the folder cannot be written.
    """
    if rows < 1:
        raise UsageError("--rows", f"{rows} rows make no table", "Give a number of 1 or more")
    if seed < 0:
        raise UsageError("--seed", f"{seed} is negative", "Give 0 or a positive number")
    folder = Path(folder)
    wanted = {"version": VERSION, "rows": rows, "seed": seed}
    try:
        found = _read_summary(folder)
        if {key: found.get(key) for key in wanted} == wanted:
            return found
        (folder / "truth").mkdir(parents=True, exist_ok=True)
        (folder / "truth/demo.json").unlink(missing_ok=True)
        summary = wanted | _write_tables(folder, rows, seed, progress)
        _write_json(folder / "truth/fds.json", [{"table": "papers", "lhs": [a], "rhs": b} for a, b in PLANTED_FDS])
        inds = [{"lhs": [f"cites.{column}"], "rhs": ["papers.id"]} for column in ("citing", "cited")]
        _write_json(folder / "truth/inds.json", inds)
        _write_json(folder / "truth/demo.json", summary)
    except OSError as error:
        cause = f"the demo data cannot be written ({error.strerror})"
        raise EnvironmentProblem(error.filename or folder, cause, "Give another folder with --out") from error
    return summary


def _read_summary(folder):
    try:
        return json.loads((folder / "truth/demo.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}


def _write_tables(folder, rows, seed, progress):
    draw = Draw(seed)
    layout, entities = Layout(rows, draw), Entities(draw)
    counts = {"entities": layout.entities, "duplicates": rows - layout.entities, "citations": 0, "damaged_cells": 0}
    with ExitStack() as stack:
        papers = stack.enter_context(_table(folder / "papers.csv", PAPER_COLUMNS))
        cites = stack.enter_context(_table(folder / "cites.csv", ("citing", "cited")))
        truth_entities = stack.enter_context(_table(folder / "truth/entities.csv", ("id", "entity_id")))
        truth_labels = stack.enter_context(_table(folder / "truth/labels.csv", ("id", "area")))
        truth_cells = stack.enter_context(_table(folder / "truth/cells.csv", ("id", "column", "dirty", "clean")))
        truth_rejects = stack.enter_context(_table(folder / "truth/rejects.csv", ("line", "reason", "text")))
        for start in range(0, rows, CHUNK_ROWS):
            row = np.arange(start, min(start + CHUNK_ROWS, rows))
            entity, copy = layout.records(row)
            ids = paper_ids(row)
            clean = entities.columns(entity)
            dirty = {name: list(cells) for name, cells in clean.items()}
            spoil(dirty, entity, copy, draw)
            papers.writerows(zip(ids, *(dirty[name] for name in PAPER_COLUMNS[1:])))
            truth_entities.writerows(zip(ids, entity.tolist()))
            truth_labels.writerows(zip(ids, clean["area"]))
            damage = [
                (ids[i], name, before, clean[name][i])
                for i in range(len(row))
                for name in CHANGED
                if (before := dirty[name][i]) != clean[name][i]
            ]
            truth_cells.writerows(damage)
            citing, cited = _citations(row, entity, copy, layout, entities)
            cites.writerows(zip(paper_ids(citing), paper_ids(cited)))
            counts["damaged_cells"] += len(damage)
            counts["citations"] += len(citing)
            if progress:
                progress(len(row))
        _write_damaged_lines(papers, truth_rejects, rows)
    return counts


def paper_ids(row: np.ndarray) -> list[str]:
    """The ids of the papers in these rows."""
    return [f"P{number:07d}" for number in (row + 1).tolist()]


def _citations(row, entity, copy, layout, entities):
    """(citing rows, cited rows): a duplicate carries one citation of its entity; any copy of an entity may be cited."""
    cited, exists = entities.links(entity, layout.entities)
    place = np.arange(exists.shape[1])
    exists &= (copy[:, None] == 0) | (place == copy[:, None] - 1)
    kept = np.nonzero(exists)
    target = cited[kept]
    target_copy = entities.draw.below("cited copy", row[kept[0]] * len(place) + kept[1], 3)
    return row[kept[0]], layout.row_of_record(target, target_copy)


def _write_damaged_lines(papers, rejects, rows):
    """Two lines that are no records, at the end of the table, where they move no row number."""
    note = f"-- {rows} rows exported"
    cut = [f"P{rows + 1:07d}", "A title cut o"]
    papers.writerow([note])
    papers.writerow(cut)
    rejects.writerow((rows + 2, "a note, not a record", note))
    rejects.writerow((rows + 3, "a record cut off", ",".join(cut)))


@contextmanager
def _table(path, header):
    """A csv writer on a temporary file that takes its name when everything was written."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(header)
            yield writer
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _write_json(path, value):
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    os.replace(temporary, path)
