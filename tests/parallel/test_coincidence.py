"""Rows that are equal by chance, and rows that are copies."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from tables import MemoryStage, MemoryTable, OneRank

from mpiedge.cleaning.coincidence import equal_by_chance, say_nothing


def survey(dice, rows: int) -> np.ndarray:
    """People of a few kinds that depend on one another."""
    sex = dice.integers(2, size=rows)
    job = (dice.integers(4, size=rows) + sex) // 2
    return np.stack([sex, job, np.where(dice.random(rows) < 0.7, job, 3), dice.integers(5, size=rows)], axis=1)


def measured(dice, rows: int) -> np.ndarray:
    """Values of instruments: three of many, one of few."""
    return np.concatenate([dice.integers(500, size=(rows, 3)), dice.integers(6, size=(rows, 1))], axis=1)


def travels(dice, rows: int) -> np.ndarray:
    """Ways to travel, of which town and income say all: prices and catches of a town all change together."""
    town, income, way = dice.integers(30, size=rows), dice.integers(8, size=rows), dice.integers(4, size=rows)
    prices = [town * (7 + place) * 37 % (101 + 10 * place) + income * 11 for place in range(4)]
    return np.stack([way, *prices, np.stack(prices)[way, np.arange(rows)]], axis=1)


def repeated(dice, rows: int) -> np.ndarray:
    """What came of each dose, measured six times with two digits behind the point."""
    dose = np.arange(rows) // 6
    came = np.round(dose / 7 + dice.integers(12, size=rows) / 100 + 0.01, 2)
    return np.stack([dose.astype(object), came.astype(object)], axis=1)


def with_copies(dice, cells: np.ndarray, copies: int, changed: int) -> np.ndarray:
    """Copies of some rows too, in some of which a cell is another."""
    more = cells[dice.choice(len(cells), copies, replace=False)]
    for row in range(changed):
        column = dice.integers(cells.shape[1])
        more[row, column] = dice.choice(cells[:, column])
    return np.concatenate([cells, more])


CHANCE = ("survey", "one column", "survey, doubled", "survey, written twice", "travels", "repeated")
COPIES = ("measured", "measured, some changed", "apart")


@pytest.mark.parametrize("kind, by_chance", [*((kind, True) for kind in CHANCE), *((kind, False) for kind in COPIES)])
def test_chance_and_copies_are_told_apart(world, kind, by_chance):
    """People in a survey that are alike stay; copies of measurements do not, even if some were changed."""
    dice = np.random.default_rng(5)
    cells = {"survey": lambda: survey(dice, 600), "one column": lambda: survey(dice, 200)[:, :1],
             "survey, doubled": lambda: with_copies(dice, survey(dice, 600), 60, 0),
             "survey, written twice": lambda: np.repeat(survey(dice, 300), 2, axis=1),
             "measured": lambda: with_copies(dice, measured(dice, 600), 40, 0),
             "measured, some changed": lambda: with_copies(dice, measured(dice, 600), 60, 15),
             "travels": lambda: travels(dice, 500), "repeated": lambda: repeated(dice, 300),
             "apart": lambda: np.arange(400).reshape(200, 2)}[kind]()
    rows = [[str(cell) if cell else "" for cell in row] for row in cells.tolist()]
    known, alike = {}, []
    cluster = np.array([known.setdefault(tuple(row), place) for place, row in enumerate(rows)])
    for column in cells.T:
        alike.append(float((np.unique(column, return_counts=True)[1] ** 2).sum()) / len(rows) ** 2)
    names = [f"c{place}" for place in range(cells.shape[1])]
    for stage, chunk in ((MemoryStage(world), 100), (MemoryStage(OneRank()), 999)):
        assert equal_by_chance(stage, MemoryTable(names, rows, chunk), alike, cluster) == by_chance


def test_rows_that_say_nothing():
    """Rows of blanks and zeros say nothing; a name or a number does."""
    rows = [["", "0"], ["0.0", "-0"], ["", "0.1"], ["nil", ""], ["00", " "], ["", "10"]]
    columns = [np.array(column, object) for column in zip(*rows)]
    assert say_nothing(columns).tolist() == [True, True, False, False, True, False]
    assert say_nothing([]).tolist() == []
