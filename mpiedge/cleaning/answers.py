"""What a person said about pairs of rows: each answer binds its pair, and all together choose the reading of the table.

Some tables cannot be decided from themselves: records that agree in everything but a title are works of one author, or
one work entered badly. A few answers tell which, so the search is made under each reading and the one kept that
agrees with most answers.
"""

import csv
from dataclasses import dataclass

import numpy as np

from mpiedge.errors import InputError

SAME, DIFFERENT = ("same", "yes", "y", "1", "true"), ("different", "no", "n", "0", "false")
CERTAIN = 1e5  # a weight no evidence reaches


@dataclass
class Answers:
    """Pairs of positions a < b (int64), each once, and whether they are the same thing (bool).

    binding: whether the pairs themselves become what was said of them; moving: whether they move the cut.
    """

    a: np.ndarray
    b: np.ndarray
    same: np.ndarray
    binding: bool = True
    moving: bool = False

    def among(self, rows: np.ndarray, first: np.ndarray) -> "Answers":
        """Local: answers on positions in `rows`, where `first` is the row that stands for each row."""
        a, b = np.searchsorted(rows, first[self.a]), np.searchsorted(rows, first[self.b])
        apart = a != b
        return Answers(np.minimum(a, b)[apart], np.maximum(a, b)[apart], self.same[apart])

    def agreement(self, label: np.ndarray) -> int:
        """Local: how many answers a clustering agrees with."""
        return int(((label[self.a] == label[self.b]) == self.same).sum())

    def judge(self, weight: np.ndarray, a: np.ndarray, b: np.ndarray) -> None:
        """Local: sets the weights of answered pairs among (a, b), in place."""
        if not self.binding:
            return
        hit, place = self._among_pairs(a, b)
        weight[hit] = np.where(self.same[place], CERTAIN, -CERTAIN)

    def moved_cut(self, cut: float, weight: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
        """Local: the cut that parts the answered ones of the pairs (a, b) with the fewest errors, given their
        weights without answers; of several the nearest to `cut`, which stays if they move none or it is one of them."""
        hit, place = self._among_pairs(a, b)
        order = np.argsort(weight[hit], kind="stable")
        known, same = weight[hit][order].astype(np.float64), self.same[place][order]
        if not len(known) or not self.moving:
            return cut
        cuts = np.array([cut, known[0] - 1, *(known[1:] + known[:-1]) / 2, known[-1] + 1])
        errors = ((known[None] > cuts[:, None]) != same[None]).sum(axis=1)
        best = np.flatnonzero(errors == errors.min())
        return float(cuts[best[np.argmin(np.abs(cuts[best] - cut))]])

    def _among_pairs(self, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Local: which of the pairs (a, b) were answered, and the numbers of their answers."""
        if not len(self.a):
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        span = np.int64(1) << 32
        known = self.a * span + self.b
        order = np.argsort(known, kind="stable")
        asked = np.minimum(a, b).astype(np.int64) * span + np.maximum(a, b)
        place = np.minimum(np.searchsorted(known[order], asked), len(known) - 1)
        hit = np.flatnonzero(known[order][place] == asked)
        return hit, order[place[hit]]

    def bind(self, label: np.ndarray) -> np.ndarray:
        """Local: labels in which rows said to be the same share a cluster, unless a row of one cluster was said to
        differ from a row of the other."""
        label = label.copy()
        for one, other in zip(self.a[self.same].tolist(), self.b[self.same].tolist()):
            low, high = sorted((int(label[one]), int(label[other])))
            if low == high:
                continue
            left, right = label[self.a[~self.same]], label[self.b[~self.same]]
            if not (((left == low) & (right == high)) | ((left == high) & (right == low))).any():
                label[label == high] = low
        return label


def read_answers(path: str, table: str, only: bool) -> tuple[list[list[int]], list[bool]]:
    """Local: (pairs of input rows, answers) for a table from a CSV with the columns row_a, row_b, answer and, unless
    there is only one table, table. Lines without an answer are passed over. Raises InputError."""
    pairs, same = [], []
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            lines = csv.DictReader(file)
            missing = {"row_a", "row_b", "answer"} - set(lines.fieldnames or ())
            if missing:
                raise InputError(path, f"there is no column {sorted(missing)[0]}", "Give a review.csv with its answers")
            for line in lines:
                answer = (line["answer"] or "").strip().lower()
                if not answer or not (only or line.get("table") == table):
                    continue
                if answer not in SAME + DIFFERENT:
                    raise InputError(path, f"line {lines.line_num}: the answer {answer!r} is none",
                                     "Answer same or different, or leave it blank")
                pairs.append(sorted((int(line["row_a"]), int(line["row_b"]))))
                same.append(answer in SAME)
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(path, getattr(error, "strerror", None) or str(error), "Check the file of --labels") from error
    return pairs, same
