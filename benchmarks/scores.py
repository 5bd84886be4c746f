"""How well a table was cleaned: the structure of a file, wrong cells found and put right, missing cells filled in."""

import csv
import math
from collections import Counter

csv.field_size_limit(2**31 - 1)


def read_csv(path) -> list[list[str]]:
    """The records of a UTF-8 CSV."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file))


def plain(rows) -> list[tuple[str, ...]]:
    """Rows without empty cells at their ends and without empty rows: what counts when tables are compared."""
    result = []
    for row in rows:
        cells = list(row)
        while cells and not cells[-1]:
            cells.pop()
        if cells:
            result.append(tuple(cells))
    return result


def structure(found, wanted) -> dict[str, float]:
    """exact: whether the tables are equal, header too; body: without the header; cells: F1 over the multiset of cells;
    records: F1 over the multiset of rows."""
    found, wanted = plain(found), plain(wanted)
    return {"exact": float(found == wanted), "body": float(found[1:] == wanted[1:]),
            "cells": multiset_f1([cell for row in found for cell in row if cell],
                                 [cell for row in wanted for cell in row if cell]),
            "records": multiset_f1(found, wanted)}


def multiset_f1(found, wanted) -> float:
    """F1 of two multisets."""
    common = (Counter(found) & Counter(wanted)).total()
    return 2 * common / (len(found) + len(wanted)) if found or wanted else 1.0


def repair(dirty, after, wanted, noted) -> Counter:
    """Counts over aligned cells: wrong before, changed, right of the changed, noted (changed or flagged), noted of the
    wrong ones. `noted`: {(row, column)} of cells a tool flagged."""
    counts = Counter(cells=sum(map(len, wanted)))
    for row, (old, new, truth) in enumerate(zip(dirty, after, wanted)):
        for column, (before, cell, right) in enumerate(zip(old, new, truth)):
            changed, flagged = before != cell, (row, column) in noted
            counts["wrong"] += before != right
            counts["changed"] += changed
            counts["right"] += changed and cell == right
            counts["noted"] += changed or flagged
            counts["noted_wrong"] += (changed or flagged) and before != right
    return counts


def precision_recall(right: int, found: int, wanted: int) -> tuple[float, float, float]:
    """Precision, recall and F1."""
    precision, recall = right / found if found else 1.0, right / wanted if wanted else 1.0
    return precision, recall, 2 * precision * recall / (precision + recall) if right else 0.0


def imputation(dirty, after, wanted) -> dict[str, float]:
    """rmse over z-scored numbers (scaled by the complete column) and accuracy over words, on the cells that are blank
    in `dirty`; a number left blank counts as the mean, a word as wrong. filled: share of the blanks filled."""
    squares, hits, words, filled, blanks = [], 0, 0, 0, 0
    for old, new, truth in zip(zip(*dirty), zip(*after), zip(*wanted)):
        places = [row for row, cell in enumerate(old) if not cell.strip()]
        blanks += len(places)
        filled += sum(bool(new[row].strip()) for row in places)
        numbers = [_number(cell) for cell in truth]
        if None in numbers:
            words += len(places)
            hits += sum(new[row] == truth[row] for row in places)
            continue
        mean = sum(numbers) / len(numbers)
        scale = math.sqrt(sum((number - mean) ** 2 for number in numbers) / len(numbers)) or 1.0
        for row in places:
            guess = _number(new[row])
            squares.append((((mean if guess is None else guess) - numbers[row]) / scale) ** 2)
    return {"rmse": math.sqrt(sum(squares) / len(squares)) if squares else math.nan,
            "accuracy": hits / words if words else math.nan, "filled": filled / blanks if blanks else 1.0}


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None
