"""Duplicates without configuration or labels: equal rows by hash, then near-duplicates by their match weights."""

from dataclasses import asdict, dataclass, field, replace

import numpy as np

from mpiedge.cleaning import linkage, onecolumn, twins
from mpiedge.cleaning.answers import Answers
from mpiedge.cleaning.candidates import (
    FEATURE_BITS,
    GRAM_BITS,
    INDEX_SHARE,
    find_candidates,
    neighbours_per_record,
)
from mpiedge.cleaning.clusters import cluster
from mpiedge.cleaning.exact import first_equal_rows
from mpiedge.cleaning.matching import logistic, prevalence_cut
from mpiedge.cleaning.recall import estimate_recall
from mpiedge.cleaning.records import REMEMBERED, read_records
from mpiedge.cleaning.room import mapped_bytes
from mpiedge.cleaning.scoring import Scorer, chance_levels, compare_candidates, explain, fit_weights, gather_pairs
from mpiedge.cleaning.similarity import Comparison
from mpiedge.cleaning.versions import find_versions
from mpiedge.runtime import resources

REVIEW_FLOOR = 0.1  # probability from which a pair is listed
REVIEW_WEIGHT = float(np.log(REVIEW_FLOOR / (1 - REVIEW_FLOOR)))
ATTEMPTS = 3
LEAST_MOVED = 0.15  # share of the answers that have to agree more before they move the cut
ASKED = 8  # pairs shown of each question
UNSURE = np.arange(1.5, -10.0, -1.0)  # distances from the cut of the pairs shown of those that are unsure
MOST_UNTOLD = 10  # matches for each link that agrees in what tells twins apart: more are found by something else
MUTUAL, UNEVEN = 0.8, 1.3  # pairs a neighbour found; the largest share of the pairs over the mean one
# for the memory plan, measured on tables of 10,000 and 200,000 rows
REMEMBERED_BYTES = 80  # of a short text in Python, a reference to it and its length
PROGRAMS_BYTES, MODULES_BYTES, LARGE_TABLE, TYPICAL_NEIGHBOURS, TYPICAL_FEATURES = 75 << 20, 15 << 20, 30_000, 40, 70


@dataclass
class Duplicates:
    """What was found.

    cluster_id: int64 (rows,) smallest row number of the cluster; row_a < row_b (int64) and probability (float64): every
    pair scored at or above the review floor, sorted; equal rows are listed with the first of them only. summary: counts
    and the self-check, JSON-able. reasons: float32 (pairs, len(reason_names)), what each column and the whole record
    add to the match weight of a pair (NaN: the rows are equal); None where weights are not made of columns.
    """

    cluster_id: np.ndarray
    row_a: np.ndarray
    row_b: np.ndarray
    probability: np.ndarray
    summary: dict = field(default_factory=dict)
    questions: list[tuple[str, np.ndarray, np.ndarray]] = field(default_factory=list)
    reasons: np.ndarray | None = None
    reason_names: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Reading:
    """How a table is read: whether columns that differ in most links tell twins apart (else they are left out), and
    whether numbers that do tell versions apart."""

    twins: bool = True
    versions: bool = True


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
    room = max(INDEX_SHARE * budget_bytes - PROGRAMS_BYTES - records - tables, budget_bytes / 8)
    vectors = held(4 * rows * mean_row_bytes) + held(2 * rows * mean_row_bytes)
    search = max(min(postings, room), vectors) + 1.5 * tables + 8 * neighbours
    return int(MODULES_BYTES + records + max(search, tables + MUTUAL * neighbours * (16 + levels)))


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
        return _listed(*found, len(rows), {**found[1].summary, **facts, "one_column": True})
    for attempt in range(ATTEMPTS):
        found, useless, asked = _attempt(stage, records, rows, exhaustive, attempt == ATTEMPTS - 1, reading, answers)
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


def _attempt(stage, records, rows, exhaustive: bool, last: bool, reading: Reading, answers):
    """Collective: one run over the columns of `records`: (Duplicates, the check that says which columns to leave out
    next time, else None, questions)."""
    with stage.phase("candidates"):
        candidates = find_candidates(stage, records, rows, exhaustive=exhaustive)
    with stage.phase("compare"):
        comparison = Comparison(stage, records)
        chance = chance_levels(stage, comparison, rows, None, candidates.grams)
        levels = compare_candidates(stage, comparison, rows, candidates)
    tops = np.array([scale.top for scale in comparison.scales])
    pairs = len(rows) * (len(rows) - 1) / 2
    scorer = Scorer(comparison, rows, candidates.grams)
    with stage.phase("fit"):
        _, discount, scorer.weights = fit_weights(stage, levels, chance, tops, len(rows), pairs)
    weight = _weights(stage, scorer, levels, candidates)
    cut = prevalence_cut(_best(candidates, weight, len(rows)))
    if answers is not None:
        cut = answers.moved_cut(cut, weight, candidates.a, candidates.b)
        answers.judge(weight, candidates.a, candidates.b)
        scorer.answers = answers
    with stage.phase("cluster"):
        label, completed, facts = _clusters(stage, candidates, weight, cut, len(rows), scorer)
        check = _check(stage, levels, candidates, weight, cut, label, chance, tops, scorer)
        if check is None and cut > 0 and (weight > 0).sum() <= 3 * (weight > cut).sum():
            relaxed, _, _ = _clusters(stage, candidates, weight, 0.0, len(rows), scorer)
            check = _check(stage, levels, candidates, weight, 0.0, relaxed, chance, tops, scorer)
        elif check is None and cut < 0:
            check = _check(stage, levels, candidates, weight, 0.0, label, chance, tops, scorer)
        if check is not None and not reading.twins:
            check.ratio = None
        if check is not None and check.ratio is None and not last and (
                records.width - len(check.columns) >= 2 or any(map(records.worded, check.columns))):
            links = _links(candidates, weight, min(cut, 0.0), label)
            asked = _question(f"alike but for {_named(records, check.columns)}", candidates, links)
            return None, check, [asked]
        questions, links = [], _links(candidates, weight, cut, label)
        if check is not None and check.ratio is not None:
            check.tell_by_names([column for column in check.columns if records.worded(column)], tops)
            scorer.twins, cut = check, twins.TWIN_CUT
            weight = _weights(stage, scorer, levels, candidates)
            label, completed, facts = _clusters(stage, candidates, weight, cut, len(rows), scorer)
            gone = links[label[candidates.a[links]] != label[candidates.b[links]]]
            questions.append(_question(f"alike but for {_named(records, check.columns)}", candidates, gone))
            if (weight > cut).sum() > MOST_UNTOLD * check.equal:
                return None, replace(check, ratio=None, agreeing=0), questions
            links = _links(candidates, weight, cut, label)
        versions = _versions(records, rows, candidates, weight, cut, label) if reading.versions else None
        if versions is not None:
            scorer.versions = versions
            weight = _weights(stage, scorer, levels, candidates)
            cut = max(cut, prevalence_cut(_best(candidates, weight, len(rows))))
            label, completed, facts = _clusters(stage, candidates, weight, cut, len(rows), scorer)
            gone = links[label[candidates.a[links]] != label[candidates.b[links]]]
            questions.append(_question("alike but for numbers", candidates, gone))
    with stage.phase("recall"):
        recall = estimate_recall(stage, records, rows, candidates, scorer, cut)
    summary = {**candidates.summary, **facts, "one_column": False, "candidate_recall": recall,
               "discount": {name: round(float(v), 4) for name, v in zip(records.names, discount)},
               "twin_columns": [] if check is None or check.ratio is None else
               [records.names[column] for column in check.columns],
               "versions": versions is not None,
               "twin_links_equal": check.equal if check is not None else 0,
               "twin_links": check.links if check is not None else 0}
    found = _listed(label, candidates, weight, completed, cut, len(rows), summary)
    found.questions += [question for question in questions if len(question[1])]
    found.reasons = explain(stage, scorer, found.row_a, found.row_b)
    found.reason_names = [*records.names, "whole record"]
    return found, None, []


def _links(candidates, weight, cut: float, label) -> np.ndarray:
    """Local: the candidates above the cut inside one cluster."""
    strong = np.flatnonzero(weight > cut)
    return strong[label[candidates.a[strong]] == label[candidates.b[strong]]]


def _named(records, columns: list[int]) -> str:
    return ", ".join(records.names[column] for column in columns)


def _question(text: str, candidates, pairs: np.ndarray) -> tuple[str, np.ndarray, np.ndarray]:
    """Local: a question and some of the pairs it concerns, evenly spaced."""
    chosen = pairs[np.linspace(0, len(pairs) - 1, min(len(pairs), ASKED)).astype(np.int64)]
    return f"{len(pairs):,} pairs {text}: same or different?", candidates.a[chosen], candidates.b[chosen]


def _listed(label, candidates, weight, completed, cut: float, records: int, summary: dict) -> Duplicates:
    """Local: clusters and all pairs at or above the review floor, candidates and completed ones, each once."""
    near = weight >= cut + REVIEW_WEIGHT
    a = np.append(candidates.a[near], completed[0]).astype(np.int64)
    b = np.append(candidates.b[near], completed[1]).astype(np.int64)
    key, chosen = np.unique(a * records + b, return_index=True)
    probability = logistic(np.append(weight[near], completed[2])[chosen].astype(np.float64) - cut)
    summary = {**summary, "cut": round(cut, 6), "edges": int((weight > cut).sum())}
    unsure = _unsure(candidates, weight, cut)
    return Duplicates(label, key // records, key % records, probability, summary, unsure)


def _unsure(candidates, weight, cut: float) -> list:
    """Local: a question of pairs above and below the cut, spread evenly by weight: what a person says of them tells
    where the cut belongs (`Answers.moved_cut`)."""
    near = np.flatnonzero((weight > cut + UNSURE[-1] - 1) & (weight < cut + UNSURE[0] + 1))
    if not len(near):
        return []
    near = near[np.argsort(weight[near], kind="stable")]
    places = np.searchsorted(weight[near].astype(np.float64), cut + UNSURE)
    chosen = np.unique(near[np.minimum(places, len(near) - 1)])
    text = f"{len(near):,} pairs nearly as likely the same as not: same or different?"
    return [(text, candidates.a[chosen], candidates.b[chosen])]


def _weights(stage, scorer, levels, candidates) -> np.ndarray:
    """Collective: weights (float32) of all candidates on every rank. Messages: 4 bytes a candidate to every rank."""
    parts = {}
    for start, block in levels.items():
        chosen = slice(start, start + block.shape[1])
        parts[start] = scorer.weigh(block, candidates.cosine[chosen])
        scorer.judge(parts[start], candidates.a[chosen], candidates.b[chosen])
    return gather_pairs(stage, parts, np.float32)


def _best(candidates, weight, records: int) -> np.ndarray:
    """Local: the highest weight of each record."""
    best = np.full(records, -np.inf, np.float32)
    np.maximum.at(best, candidates.a, weight)
    np.maximum.at(best, candidates.b, weight)
    return best


def _versions(records, rows, candidates, weight, cut, label):
    """Local: how versions are told, if most links are of versions."""
    links = _links(candidates, weight, cut, label)
    return find_versions(records, rows[candidates.a[links]], rows[candidates.b[links]])


def _clusters(stage, candidates, weight, cut, records, scorer):
    return cluster(stage, candidates.a, candidates.b, weight, cut, records, scorer, cut + REVIEW_WEIGHT)


def _check(stage, levels, candidates, weight, cut, label, chance, tops, scorer):
    """Collective: the twin check on candidates above the cut inside one cluster.

    Messages: their levels, and in which columns names differ, to every rank.
    """
    chosen = _links(candidates, weight, cut, label)
    is_link = np.zeros(len(weight), bool)
    is_link[chosen] = True
    parts = {start: np.ascontiguousarray(block[:, is_link[start:start + block.shape[1]]].T).ravel()
             for start, block in levels.items()}
    links = gather_pairs(stage, parts, np.uint8).reshape(-1, len(tops)).T
    records, rows = scorer.comparison.records, scorer.rows
    numbers = [not records.worded(column) and not records.measured(column) for column in range(records.width)]
    sample = chosen[np.linspace(0, len(chosen) - 1, min(len(chosen), twins.SAMPLE)).astype(np.int64)]
    codes = np.stack([records.codes[rows[candidates.a[sample]]], records.codes[rows[candidates.b[sample]]]])
    filled = (codes >= 0).all(axis=0)

    def work(task):
        (column,) = task
        return twins.renamed(*(records.strings(side[filled[:, column], column]) for side in codes))

    tasks = [(column,) for column in range(records.width) if records.worded(column)]
    done = stage.queue.gather(stage.queue.run(tasks, work, learn=False, name="names compared"))
    return twins.check_twins(links, chance, tops, numbers, {column: share for (column,), share in done})
