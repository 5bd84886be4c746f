"""What damaged lines can mean. That takes milliseconds a line, so it is worked out once, and where a range has many of
them, by all ranks: its lines are tasks of their own."""

import numpy as np

from mpiedge.cleaning.repair import Fit, best_fit
from mpiedge.cleaning.structure import Structure
from mpiedge.kernels.columns import ODD

ENOUGH = 0.7
"""Nats per column, above what a row of the table usually costs, below which a reading is taken at once."""
MOST_AT_ONCE, LINES = 32, 100
"""Damaged lines of a range that are fitted as it is read; lines of a task where there are more."""

Found = tuple[Fit, float] | None
"""The best fit of a line, and nats per column above a usual row; None when no reading comes near."""


class Fits:
    """Of the damaged lines of one range: line -> what it fits.

    known: what is known already. most: how many other lines are fitted here; the rest, `open`, are left for later and
    count as fitting nothing meanwhile.
    """

    def __init__(self, structure: Structure, known: dict[tuple[str, bool], Found] | None = None,
                 most: int | None = None):
        self.structure, self.known, self.most, self.open = structure, known or {}, most, {}

    def of(self, text: str, thorough: bool = False) -> Found:
        """Local: what a line fits. thorough: all readings are compared, even if the first one fits well."""
        if (text, thorough) not in self.known:
            if self.most == 0:
                self.open[text, thorough] = None
                return None
            self.most = None if self.most is None else self.most - 1
            self.known[text, thorough] = fit(text, self.structure, thorough)
        return self.known[text, thorough]


def fit(text: str, structure: Structure, thorough: bool) -> Found:
    """Local: as `Fits.of`."""
    usual = structure.usual_cost
    enough = 0.0 if thorough else usual + ENOUGH * structure.width
    found = best_fit(text, structure.dialect, structure.profiles, enough)
    return None if found is None else (found, (found.cost - usual) / structure.width)


def fit_open(stage, sources, left: list[tuple[tuple[int, int], dict]]) -> None:
    """Collective: fits the lines that were left open, [(table, range), {lines, sha256}] of `write_open`, by tasks
    (table, range, first line); afterwards every rank finds them through `Source.fitted`."""
    tasks = [(*task, first) for task, lines in left for first in range(0, lines["lines"], LINES)]
    numbers, written = {task: number for number, task in enumerate(tasks)}, dict(left)

    def work(task):
        table, index, first = task
        source, found = sources[table], {}
        lines = read_fits(stage.access, open_name(source.name), index, written[table, index]["sha256"])
        for line in list(lines)[first:first + LINES]:
            found[line] = fit(line[0], source.structure, line[1])
            yield
        return _write(stage.access, fitted_name(source.name), numbers[task], found)

    done = stage.queue.gather(stage.queue.run(tasks, work, name="damaged rows", kept="damaged"))
    for task, part in sorted(done, key=lambda pair: pair[0]):
        sources[task[0]].fitted.setdefault(task[1], []).append((numbers[task], part["sha256"]))


def write_open(access, table: str, index: int, fits: Fits) -> dict:
    """Local, inside `queue.run`: writes the open lines of a range; returns their number and the checksum."""
    return _write(access, open_name(table), index, fits.open)


def read_fits(access, name: str, number: int, checksum: str) -> dict[tuple[str, bool], Found]:
    """Local, inside `queue.run`: what was written of some lines."""
    part = access.read_part(access.unfinished, name, number, checksum=checksum)
    texts, cells = (str(memoryview(part[key]), "utf-8", ODD).split("\x00") for key in ("text", "cells"))
    found, at = {}, 0
    for text, thorough, width, cost, margin, above in zip(texts, *(part[key].tolist() for key in (
            "thorough", "width", "cost", "margin", "above"))):
        found[text, bool(thorough)] = (Fit(cells[at:at + width], cost, margin), above) if width else None
        at += width
    return found


def _write(access, name: str, number: int, found: dict[tuple[str, bool], Found]) -> dict:
    fits = [one or (Fit([], 0.0), 0.0) for one in found.values()]
    numbers = {"cost": [one.cost for one, _ in fits], "margin": [one.margin for one, _ in fits],
               "above": [above for _, above in fits]}
    part = access.write_part(access.unfinished, name, number, {
        "text": _bytes(text for text, _ in found), "thorough": np.array([line[1] for line in found], np.uint8),
        "cells": _bytes(cell for one, _ in fits for cell in one.cells),
        "width": np.array([len(one.cells) for one, _ in fits], np.int64),
        **{key: np.array(values, np.float64) for key, values in numbers.items()}}, compress=False)
    return {"lines": len(found), "sha256": part["sha256"]}


def _bytes(texts) -> np.ndarray:
    return np.frombuffer("\x00".join(texts).encode("utf-8", ODD), np.uint8)


def open_name(table: str) -> str:
    """The name under which the open lines of a table lie, by range."""
    return f"{table}.open"


def fitted_name(table: str) -> str:
    """The name under which lies what its damaged lines fit, by task."""
    return f"{table}.fitted"
