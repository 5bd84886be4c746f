"""One run of the search for near-duplicates over some columns: candidates, weights, clusters, and what these tell."""

from dataclasses import dataclass, replace

import numpy as np

from mpiedge.cleaning import twins
from mpiedge.cleaning.candidates import find_candidates
from mpiedge.cleaning.clusters import cluster
from mpiedge.cleaning.listing import REVIEW_WEIGHT, Duplicates, listed, question
from mpiedge.cleaning.matching import prevalence_cut
from mpiedge.cleaning.recall import estimate_recall
from mpiedge.cleaning.scoring import Scorer, chance_levels, compare_candidates, explain, fit_weights, gather_pairs
from mpiedge.cleaning.similarity import Comparison
from mpiedge.cleaning.versions import find_versions

SURE, LEAST_SURE = float(np.log(0.95 / 0.05)), 0.5
"""Weight above the cut of links that are sure, and the least share of those: in tables with duplicates .78 and more."""
MOST_UNTOLD = 10  # matches for each link that agrees in what tells twins apart: more are found by something else


@dataclass(frozen=True)
class Reading:
    """How a table is read: whether columns that differ in most links tell twins apart (else they are left out), and
    whether numbers that do tell versions apart."""

    twins: bool = True
    versions: bool = True


def attempt(stage, records, rows, exhaustive: bool, last: bool, reading: Reading, answers):
    """Collective: one run over the columns of `records`: (Duplicates, the check that says which columns to leave out
    next time, else None, questions)."""
    run = Attempt(stage, records, rows, exhaustive, answers)
    with stage.phase("cluster"):
        run.cluster()
        check, questions = run.check(reading), []
        if check is not None and check.ratio is None and not last and run.can_do_without(check.columns):
            return None, check, [run.question_on(check, run.links(min(run.cut, 0.0)))]
        if check is not None and check.ratio is not None:
            questions.append(run.tell_twins(check))
            if (run.weight > run.cut).sum() > MOST_UNTOLD * check.equal:
                return None, replace(check, ratio=None, agreeing=0), questions
        if reading.versions:
            questions += run.tell_versions()
        if check is None or check.ratio is None:
            questions += run.keep_sure()
    return run.found(check, questions), None, []


class Attempt:
    """A run and how far it has come; making one and its methods are Collective, unless they say Local.

    rows: the rows that are compared. weight: float32, of each candidate; cut: the weight above which two records are
    the same; label: int64 (rows,), the cluster of each.
    """

    def __init__(self, stage, records, rows, exhaustive: bool, answers):
        self.stage, self.records, self.rows = stage, records, rows
        with stage.phase("candidates"):
            self.candidates = find_candidates(stage, records, rows, exhaustive=exhaustive)
        a, b = self.candidates.a, self.candidates.b
        with stage.phase("compare"):
            comparison = Comparison(stage, records)
            self.chance = chance_levels(stage, comparison, rows, None, self.candidates.grams)
            self.levels = compare_candidates(stage, comparison, rows, self.candidates)
        self.tops = np.array([scale.top for scale in comparison.scales])
        self.scorer = Scorer(comparison, rows, self.candidates.grams)
        with stage.phase("fit"):
            _, self.discount, self.scorer.weights = fit_weights(stage, self.levels, self.chance, self.tops, len(rows),
                                                                len(rows) * (len(rows) - 1) / 2)
        self.weight = self._weigh()
        self.cut = self._usual_cut()
        self.cut_is_moved = answers is not None and answers.moving
        if answers is not None:
            self.cut = answers.moved_cut(self.cut, self.weight, a, b)
            answers.judge(self.weight, a, b)
            self.scorer.answers = answers

    def cluster(self) -> None:
        """Clusters by the weights and the cut as they are now."""
        self.label, self.completed, self.facts = self._clusters(self.cut)

    def links(self, cut: float | None = None, label: np.ndarray | None = None) -> np.ndarray:
        """Local: the candidates above the cut inside one cluster."""
        label = self.label if label is None else label
        strong = np.flatnonzero(self.weight > (self.cut if cut is None else cut))
        return strong[label[self.candidates.a[strong]] == label[self.candidates.b[strong]]]

    def check(self, reading: Reading):
        """The twin check on what was clustered; where it finds nothing, also on links that are less or more sure."""
        self.records.look(self.stage.queue)
        check = self._check(self.cut, self.label)
        if check is None and self.cut > 0 and (self.weight > 0).sum() <= 3 * (self.weight > self.cut).sum():
            check = self._check(0.0, self._clusters(0.0)[0])
        elif check is None and self.cut < 0:
            check = self._check(0.0, self.label)
        if check is not None and not reading.twins:
            check.ratio = None
        return check

    def can_do_without(self, columns: list[int]) -> bool:
        """Local: whether there is something to compare beside them, or they are more than numbers."""
        return self.records.width - len(columns) >= 2 or any(map(self.records.worded, columns))

    def tell_twins(self, check) -> tuple:
        """Clusters again with twins told apart by the columns of the check; returns the question of those parted."""
        links = self.links()
        check.tell_by_names([column for column in check.columns if self.records.worded(column)], self.tops)
        self.scorer.twins, self.cut = check, twins.TWIN_CUT
        self.weight = self._weigh()
        self.cluster()
        return self.question_on(check, self._parted(links))

    def tell_versions(self) -> list[tuple]:
        """Clusters again with versions told apart, if most links are of versions; returns the question of those parted,
        if so."""
        links = self.links()
        a, b = self.candidates.a[links], self.candidates.b[links]
        self.scorer.versions = find_versions(self.stage.world, self.records, self.rows[a], self.rows[b])
        if self.scorer.versions is None:
            return []
        self.weight = self._weigh()
        self.cut = max(self.cut, self._usual_cut())
        self.cluster()
        return [question("alike but for numbers", self.candidates, self._parted(links))]

    def keep_sure(self) -> list[tuple]:
        """Clusters again by a higher cut where most links are unsure; returns the question of those parted.

        Duplicates are a group apart, most of them far above the cut. Where nearly all links lie close to it, they are
        but the end of what different records have in common (the airports of one town).
        """
        links = self.links()
        if self.cut_is_moved or (self.weight[links] > self.cut + SURE).sum() >= LEAST_SURE * len(links):
            return []
        self.cut += SURE
        self.cluster()
        return [question("hardly more alike than others are", self.candidates, self._parted(links))]

    def question_on(self, check, pairs: np.ndarray) -> tuple:
        """Local: the question whether pairs that differ in the columns of the check are the same."""
        names = ", ".join(self.records.names[column] for column in check.columns)
        text = f"alike but for {names}" if names else "near in all and equal in nothing"
        return question(text, self.candidates, pairs)

    def found(self, check, questions: list[tuple]) -> Duplicates:
        """What the run came to, with the recall of its candidates."""
        records, candidates, scorer = self.records, self.candidates, self.scorer
        with self.stage.phase("recall"):
            recall = estimate_recall(self.stage, records, self.rows, candidates, scorer, self.cut)
        told = [] if check is None or check.ratio is None else [records.names[column] for column in check.columns]
        summary = {**candidates.summary, **self.facts, "one_column": False, "candidate_recall": recall,
                   "discount": {name: round(float(v), 4) for name, v in zip(records.names, self.discount)},
                   "twin_columns": told, "versions": scorer.versions is not None,
                   "twin_links_equal": check.equal if check is not None else 0,
                   "twin_links": check.links if check is not None else 0}
        found, place = listed(self.label, candidates, self.weight, self.completed, self.cut, len(self.rows), summary)
        found.questions += [one for one in questions if len(one[1])]
        found.reasons = explain(self.stage, scorer, self.levels, candidates, place, found.row_a, found.row_b)
        found.reason_names = [*records.names, "whole record"]
        return found

    def _weigh(self) -> np.ndarray:
        """Weights of all candidates on every rank. Messages: 4 bytes a candidate to every rank."""
        parts = {}
        for start, block in self.levels.items():
            chosen = slice(start, start + block.shape[1])
            parts[start] = self.scorer.weigh(block, self.candidates.cosine[chosen])
            self.scorer.judge(parts[start], self.candidates.a[chosen], self.candidates.b[chosen])
        return gather_pairs(self.stage, parts, np.float32)

    def _usual_cut(self) -> float:
        """Local: the cut for as many matches as the highest weight of each record lets expect."""
        best = np.full(len(self.rows), -np.inf, np.float32)
        np.maximum.at(best, self.candidates.a, self.weight)
        np.maximum.at(best, self.candidates.b, self.weight)
        return prevalence_cut(best)

    def _clusters(self, cut: float) -> tuple:
        return cluster(self.stage, self.candidates.a, self.candidates.b, self.weight, cut, len(self.rows), self.scorer,
                       cut + REVIEW_WEIGHT)

    def _parted(self, links: np.ndarray) -> np.ndarray:
        """Local: of these pairs those in two clusters now."""
        return links[self.label[self.candidates.a[links]] != self.label[self.candidates.b[links]]]

    def _check(self, cut: float, label: np.ndarray):
        """The twin check on candidates above the cut inside one cluster.

        Messages: their levels, and in which columns names differ, to every rank.
        """
        records, rows, candidates = self.records, self.rows, self.candidates
        chosen = self.links(cut, label)
        is_link = np.zeros(len(self.weight), bool)
        is_link[chosen] = True
        parts = {start: np.ascontiguousarray(block[:, is_link[start:start + block.shape[1]]].T).ravel()
                 for start, block in self.levels.items()}
        links = gather_pairs(self.stage, parts, np.uint8).reshape(-1, len(self.tops)).T
        numbers = [not records.worded(column) and not records.measured(column) for column in range(records.width)]
        sample = chosen[np.linspace(0, len(chosen) - 1, min(len(chosen), twins.SAMPLE)).astype(np.int64)]
        codes = np.stack([records.codes[rows[candidates.a[sample]]], records.codes[rows[candidates.b[sample]]]])
        filled = (codes >= 0).all(axis=0)

        def work(task):
            (column,) = task
            return twins.renamed(*(records.strings(side[filled[:, column], column]) for side in codes))

        tasks = [(column,) for column in range(records.width) if records.worded(column)]
        queue = self.stage.queue
        done = queue.gather([(task, work(task)) for task in queue.own(tasks, lambda task: 1)])
        return twins.check_twins(links, self.chance, self.tops, numbers, {column: share for (column,), share in done})
