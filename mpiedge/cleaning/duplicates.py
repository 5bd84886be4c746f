"""Duplicates without configuration or labels: equal rows by hash, then near-duplicates by their match weights."""

from dataclasses import asdict, replace

import numpy as np

from mpiedge.cleaning import linkage, onecolumn, twins
from mpiedge.cleaning.answers import Answers
from mpiedge.cleaning.attempt import Reading, attempt
from mpiedge.cleaning.candidates import (
    FEATURE_BITS,
    GRAM_BITS,
    INDEX_SHARE,
    VECTORS_FROM,
    neighbours_per_record,
)
from mpiedge.cleaning.exact import first_equal_rows
from mpiedge.cleaning.listing import REVIEW_WEIGHT, Duplicates, listed
from mpiedge.cleaning.records import read_records
from mpiedge.cleaning.room import mapped_bytes
from mpiedge.cleaning.versions import REMEMBERED
from mpiedge.runtime import resources

ATTEMPTS = 3
LEAST_MOVED = 0.15  # share of the answers that have to agree more before they move the cut
MUTUAL, UNEVEN = 0.8, 1.3  # pairs a neighbour found; the largest share of the pairs over the mean one
# for the memory plan, measured on tables of 10,000 and 200,000 rows
REMEMBERED_BYTES = 80  # of the words of a short text in Python, on average
PROGRAMS_BYTES, MODULES_BYTES, LARGE_TABLE, TYPICAL_NEIGHBOURS, TYPICAL_FEATURES = 75 << 20, 15 << 20, 30_000, 40, 70
READINGS = (Reading(versions=False), Reading(twins=False), Reading(twins=False, versions=False))


def find_duplicates(stage, table, *, id_column: str | None = None, source_column: str | None = None,
                    exhaustive: bool = False, answers: Answers | None = None) -> Duplicates:
    """Collective: the duplicates of a table, or with `source_column` its links between sources (one to one).

    stage: has world, queue, budget_bytes, seed and phase(name, kind); table: name, columns, rows, chunk_rows and
    read(chunk, columns). id_column is never looked at. The result is the same on every rank, and for any number of
    ranks and any memory. exhaustive: no gram is too frequent for the search of candidates.
    """
    resources.map_large_blocks()
    resources.return_freed()  # what the steps before took: the search sizes its index by what is left
    names = [column.name for column in table.columns if column.name not in (id_column, source_column)]
    with stage.phase("read records", "io"):
        records, sources, digests = read_records(stage, table, names, source_column)
    with stage.phase("equal rows"):
        # Between sources equal rows are links like others; inside one source they stay apart.
        first = (first_equal_rows(stage.world, digests, table.rows) if source_column is None and names
                 else np.arange(table.rows, dtype=np.int64))
        del digests
    equal = np.flatnonzero(first != np.arange(table.rows))
    rows = np.flatnonzero(first == np.arange(table.rows))
    summary = {"rows": table.rows, "equal_rows": len(equal), "columns": records.names, "dropped": records.dropped}
    found = None
    if records.width and len(rows) > 1:
        if sources is not None:
            found = linkage.link(stage, records, sources, exhaustive)
        else:
            found = _read(stage, records, rows, exhaustive, answers.among(rows, first) if answers else None)
        summary.update(found.summary)
    cluster_id = first.copy()
    a, b, probability = first[equal], equal, np.ones(len(equal))
    if found is not None:
        cluster_id = rows[found.cluster_id][np.searchsorted(rows, first)]
        a, b = np.append(a, rows[found.row_a]), np.append(b, rows[found.row_b])
        probability = np.append(probability, found.probability)
    order = np.lexsort((b, a))
    summary["clusters"] = len(np.unique(cluster_id))
    questions = [(text, rows[one], rows[other]) for text, one, other in getattr(found, "questions", ())]
    reasons, reason_names = getattr(found, "reasons", None), getattr(found, "reason_names", [])
    if reasons is not None:
        reasons = np.concatenate([np.full((len(equal), reasons.shape[1]), np.nan, np.float32), reasons])[order]
    return Duplicates(cluster_id, a[order], b[order], probability[order], summary, questions, reasons, reason_names)


def estimate_bytes(rows: int, columns: int, mean_row_bytes: float, budget_bytes: int, ranks: int) -> int:
    """Local: expected bytes per rank of `find_duplicates` beyond the interpreter, at its largest moment.

    The postings of the search shrink with the budget (they are made group by group), the rest does not.
    """
    limit = mapped_bytes(budget_bytes)

    def held(size: float) -> float:
        return size if size < limit else limit / 2  # the rest of it is left to the system

    records = held(4 * rows * columns) + held(rows * mean_row_bytes) + held(4 * rows * columns) + 40 * rows
    records += REMEMBERED_BYTES * min(rows * columns, REMEMBERED)
    neighbours = rows * min(neighbours_per_record(rows), TYPICAL_NEIGHBOURS)
    levels = columns * (1 if ranks == 1 else UNEVEN / ranks)  # of a pair; they stay with the rank that compared it
    postings = 4 * rows * (mean_row_bytes if rows < LARGE_TABLE else min(mean_row_bytes, TYPICAL_FEATURES))
    tables = 4 * ((1 << GRAM_BITS) + (1 << FEATURE_BITS if rows >= LARGE_TABLE else 0))
    tables += columns * min(1 << 19, rows * rows)
    room = max(INDEX_SHARE * budget_bytes - PROGRAMS_BYTES - MODULES_BYTES - records - tables, budget_bytes / 8)
    vectors = held(4 * rows * mean_row_bytes) + held(2 * rows * mean_row_bytes)
    search = max(min(postings, room), vectors) + 1.5 * tables + 8 * neighbours
    kept = vectors if MUTUAL * neighbours >= VECTORS_FROM * rows else 0
    return int(MODULES_BYTES + records + max(search, tables + kept + MUTUAL * neighbours * (16 + levels)))


def _read(stage, records, rows, exhaustive: bool, answers: Answers | None) -> Duplicates:
    """Collective: clusters and pairs (as positions in `rows`) under the reading that agrees with most answers, by a cut
    that they have moved."""
    found = _near_duplicates(stage, records, rows, exhaustive, Reading())
    if answers is None or not len(answers.a):
        return found
    agreed, chosen, moving = answers.agreement(found.cluster_id), Reading(), False
    hints = replace(answers, binding=False, moving=True)
    for reading in READINGS if records.width > 1 else READINGS[:1]:
        if agreed < len(answers.a):
            other = answers.agreement(_near_duplicates(stage, records, rows, exhaustive, reading).cluster_id)
            if other > agreed:
                agreed, chosen = other, reading
    for reading in dict.fromkeys((chosen, replace(chosen, twins=False))) if records.width > 1 else ():
        if agreed + LEAST_MOVED * len(answers.a) <= len(answers.a):
            other = answers.agreement(_near_duplicates(stage, records, rows, exhaustive, reading, hints).cluster_id)
            if other >= agreed + LEAST_MOVED * len(answers.a):
                agreed, chosen, moving = other, reading, True
    found = _near_duplicates(stage, records, rows, exhaustive, chosen, replace(answers, moving=moving))
    found.cluster_id = answers.bind(found.cluster_id)
    found.summary["answers"] = {"given": len(answers.a), "agree_without_them": agreed, "reading": asdict(chosen),
                                "cut_moved": moving}
    return found


def _near_duplicates(stage, records, rows, exhaustive: bool, reading: Reading, answers=None) -> Duplicates:
    """Collective: clusters and pairs (as positions in `rows`); tries again without columns that differ by record."""
    left_out, questions = [], []
    if records.width == 1:
        *found, facts = onecolumn.find(stage, records, rows, exhaustive, REVIEW_WEIGHT, reading.versions, answers)
        return listed(*found, len(rows), {**found[1].summary, **facts, "one_column": True})[0]
    for number in range(ATTEMPTS):
        found, useless, asked = attempt(stage, records, rows, exhaustive, number == ATTEMPTS - 1, reading, answers)
        if useless is None:
            break
        questions += asked
        left_out += [records.names[column] for column in useless.columns]
        if reading.twins and (useless.agreeing < twins.LEAST_AGREEING
                              or any(records.worded(column) or records.measured(column) for column in useless.columns)):
            return _nothing(len(rows), records, left_out, questions)
        records = records.without(useless.columns)
    found.questions = questions + found.questions
    found.summary["columns"] = records.names
    found.summary["columns_that_differ_by_record"] = left_out
    return found


def _nothing(records: int, compared, differing: list[str], questions: list) -> Duplicates:
    """Local: no duplicates. A number or a date may differ between two records of one thing (a visit, a running number);
    when names, sizes or prices differ in all links, the links are of different things that have a town or a status in
    common, and without those columns nothing is left that could tell these apart. Nor is it if links agree in nothing
    but one column that tells things apart: a table of what happened to them (who won in which year) names them often.
    """
    empty = np.zeros(0, np.int64)
    return Duplicates(np.arange(records), empty, empty, np.zeros(0),
                      {"columns": compared.names, "columns_that_differ_by_record": differing}, questions)
