"""What tables with known duplicates are made of: real tables, damage, copies, made-up titles.

A table is (names, rows, entity of each row); `DERIVED` and `WITHOUT` collect the functions that make them.
"""

import csv
from functools import cache
from pathlib import Path

import numpy as np

from mpiedge.demo.words import ADJECTIVES, NOUNS

LETTERS = "abcdefghijklmnopqrstuvwxyz"
DERIVED, WITHOUT = {}, {}
folder = Path()  # where the real tables lie


def derived(table):
    """Registers a table with duplicates under its function's name."""
    DERIVED[table.__name__] = table
    return table


def without(table):
    """Registers a table without duplicates under its function's name."""
    WITHOUT[table.__name__] = table
    return table


@cache
def real(name: str):
    """(names, rows, entity) of a real table, without its id."""
    with open(folder / f"{name}.csv", newline="", encoding="utf-8") as file:
        names, *rows = csv.reader(file)
    with open(folder / f"{name}_truth.csv", newline="", encoding="utf-8") as file:
        entity = dict(list(csv.reader(file))[1:])
    return names[1:], [row[1:] for row in rows], [entity[row[0]] for row in rows]


def one_each(name: str, most: int | None = None):
    """The first record of each entity."""
    names, rows, entity = real(name)
    first = {}
    for row, key in zip(rows, entity):
        first.setdefault(key, row)
    rows = list(first.values())[:most]
    return names, rows, list(range(len(rows)))


def columns(table, chosen):
    """Some columns of a table."""
    names, rows, entity = table
    places = [names.index(name) for name in chosen]
    return list(chosen), [[row[place] for place in places] for row in rows], entity


def joined(table):
    """All columns as one text."""
    _, rows, entity = table
    return ["text"], [[" ".join(filter(None, row))] for row in rows], entity


def shuffled(draw, names, rows, entity):
    """The rows in a random order."""
    order = draw.permutation(len(rows))
    return names, [rows[place] for place in order], [entity[place] for place in order]


def typo(draw, cell: str) -> str:
    """A cell with one letter changed, dropped, doubled or swapped."""
    if len(cell) < 3:
        return cell
    place, kind = int(draw.integers(1, len(cell) - 1)), int(draw.integers(4))
    return (cell[:place] + (draw.choice(list(LETTERS)), "", cell[place] * 2, cell[place + 1] + cell[place])[kind]
            + cell[place + (2 if kind == 3 else 1):])


def damaged(draw, row, cells: int = 2, kept=()):
    """A copy with up to `cells` cells mistyped or emptied."""
    row = list(row)
    open_to = [place for place, cell in enumerate(row) if cell and place not in kept]
    for place in draw.permutation(open_to)[:int(draw.integers(1, cells + 1))]:
        row[place] = "" if draw.random() < 0.2 else typo(draw, row[place])
    return row


def with_copies(draw, names, rows, share: float, cells: int = 2, kept=(), sizes=(1,)):
    """Every row once, a share of them again (as often as drawn from `sizes`) with damage."""
    out, entity = [], []
    for number, row in enumerate(rows):
        out.append(row)
        entity.append(number)
        if draw.random() < share:
            for _ in range(int(draw.choice(sizes))):
                out.append(damaged(draw, row, cells, kept))
                entity.append(number)
    return shuffled(draw, names, out, entity)


def title(draw, words: int) -> str:
    """A made-up title."""
    return " ".join(str(draw.choice(ADJECTIVES if k % 2 == 0 else NOUNS)) for k in range(words))


def skewed(draw, pool, count: int, power: float = 0.8):
    """Draws from a pool in which the first are much more frequent."""
    weight = 1 / np.arange(1, len(pool) + 1) ** power
    return [pool[place] for place in draw.choice(len(pool), count, p=weight / weight.sum())]
