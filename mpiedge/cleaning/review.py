"""The pairs that only a person can decide: written to one file with room for answers, and read back from it."""

import numpy as np

from mpiedge.cleaning.answers import Answers, read_answers
from mpiedge.cleaning.changes import csv_lines
from mpiedge.runtime.root import on_root

REVIEW = ("table", "question", "row_a", "row_b", "differs", "answer")
PATH = "clean/review.csv"
WIDEST = 80


def write_review(stage, sources, surveys, resolutions) -> str:
    """Collective: writes RUN/clean/review.csv and returns its path in the run folder. Messages: the cells asked about.

    One line per pair: what differs between its rows, and a blank answer to be filled with same or different.
    """
    lines = [REVIEW]
    for source, survey, found in zip(sources, surveys, resolutions):
        asked = [(text, int(a), int(b)) for text, left, right in found.questions for a, b in zip(left, right)]
        rows = _rows(stage, found.table, sorted({row for _, *pair in asked for row in pair}))
        names = [column.name for column in found.table.columns]
        for text, a, b in asked:
            one, other = survey.number_of(np.array([a, b])).tolist()
            differs = "; ".join(f"{name}: {left[:WIDEST]!r} | {right[:WIDEST]!r}"
                                for name, left, right in zip(names, rows[a], rows[b]) if left != right)
            lines.append((source.name, text, one, other, differs, ""))
    stage.access.write_text(PATH, csv_lines(lines).decode("utf-8", "replace"))
    return PATH


def _rows(stage, table, wanted: list[int]) -> dict[int, list[str]]:
    first = np.concatenate([[0], np.cumsum(table.chunk_rows)])
    wanted = np.array(wanted, np.int64)
    chunk_of = np.searchsorted(first, wanted, side="right") - 1
    names = [column.name for column in table.columns]

    def work(task):
        rows = wanted[chunk_of == task[0]]
        cells = table.read(task[0])
        return {"rows": rows.tolist(), "cells": [[cells[name][row] for name in names]
                                                 for row in (rows - first[task[0]]).tolist()]}

    tasks = [(int(chunk),) for chunk in np.unique(chunk_of)]
    found = stage.queue.gather(stage.queue.run(tasks, work, name="rows to review"))
    return {row: cells for _, message in found for row, cells in zip(message["rows"], message["cells"])}


def load_answers(stage, path: str | None, sources, surveys) -> list[Answers | None]:
    """Collective: the answers for every table; rows are numbers of the input, rejected ones are passed over."""
    answers = []
    for source, survey in zip(sources, surveys):
        if path is None:
            answers.append(None)
            continue
        only = len(sources) == 1
        pairs, same = on_root(stage.world, lambda name=source.name, only=only: read_answers(path, name, only))
        pairs = np.array(pairs, np.int64).reshape(-1, 2)
        kept = survey.number_of(np.arange(int(survey.kept_rows.sum())))
        place = np.searchsorted(kept, pairs)
        known = (np.append(kept, -1)[place] == pairs).all(axis=1)
        pairs, last = place[known], {}  # of several answers to one pair the last counts
        for pair, answer in zip(pairs.tolist(), np.array(same, bool)[known].tolist()):
            last[tuple(pair)] = answer
        unique = np.array(list(last), np.int64).reshape(-1, 2)
        answers.append(Answers(unique[:, 0], unique[:, 1], np.array(list(last.values()), bool)))
    return answers
