"""Ridge regression of one column on the encoded others: straight, with the nearness to some rows, or both.

One linear map a column (for words one score for each, the best wins) is fitted on rows where the cell is there (Hoerl &
Kennard 1970): of the encoded cells, of them and the row's nearness to some others, or the mean of both. Its error is
measured on cells that were masked, by cross-validation.
"""

import numpy as np

from mpiedge.cleaning.coding import Code

LEAST_ROWS = 60
LEAST_COVERED = 0.8
PENALTIES = (1.0, 10.0, 100.0)
LANDMARKS = 200
FOLDS = 5
CLEARLY = 0.9
"""Share of the usual value's error below which a prediction is used."""


def fit(codes: list[Code], read: list[np.ndarray], cells: list[str], target: int) -> dict | None:
    """Local: the fields of a Model for one column, None where the usual value does as well.

    read: the cells of all columns as `Code.read` gives them, of the target `cells`. Rows are encoded fold by fold: all
    at once they would take many times the room of the table.
    """
    code = codes[target]
    wanted = code.read(cells)
    known = np.flatnonzero(np.isfinite(wanted) if code.is_number else wanted >= 0)
    others = [place for place in range(len(codes)) if place != target and codes[place].width]
    if len(known) < LEAST_ROWS or not others or not _worth(code, cells, len(known)):
        return None

    def encoded(rows: np.ndarray) -> np.ndarray:
        return np.hstack([codes[place].encode(read[place][rows]) for place in others])

    def answers(rows: np.ndarray) -> np.ndarray:
        return wanted[rows][:, None] if code.is_number else (wanted[rows][:, None] == np.arange(len(code.words))) * 1.0

    landmarks = encoded(known[:LANDMARKS])   # the sample is in no order that could matter
    varied = sum(float(codes[place].encode(read[place][known]).var(axis=0).sum()) for place in others)
    spread = max(varied, 1e-9)   # half of the mean square of the distance of two rows
    folds = [known[number::FOLDS] for number in range(FOLDS)]
    parts = [_sums(with_nearness(encoded(rows), landmarks, spread), answers(rows)) for rows in folds]
    width = landmarks.shape[1]
    ways = [_Ridge(parts, width), _Ridge(parts, width + len(landmarks))]
    for number, rows in enumerate(folds):
        inputs, truth = with_nearness(encoded(rows), landmarks, spread), answers(rows)
        for way in ways:
            way.judge(code, number, inputs, truth)
    for way in ways:
        way.choose()
    measured = np.zeros((3, 2))   # of the two ways and of the mean of both
    for number, rows in enumerate(folds):
        inputs, truth = with_nearness(encoded(rows), landmarks, spread), answers(rows)
        straight, bent = (way.scores(number, inputs) for way in ways)
        measured += [_errors(code, scores, truth) for scores in (straight, bent, (straight + bent) / 2)]
    return _chosen(code, ways, measured / len(known), landmarks, spread, _usual_error(code, wanted[known]))


def _chosen(code: Code, ways, measured: np.ndarray, landmarks: np.ndarray, spread: float, usual: float) -> dict | None:
    """The fields of a Model: the straight way, the bent one or the mean of both, None if none is clearly better than
    the usual value. measured: error (of numbers its square) and share of exact hits of each."""
    place = int(np.argmin(measured[:, 0]))
    error, hits = measured[place].tolist()
    error = float(np.sqrt(error)) if code.is_number else error
    if not error <= CLEARLY * usual:
        return None
    straight, bent = ways
    weights, offset = (straight if place == 0 else bent).solution
    if place == 0:
        landmarks = landmarks[:0]
    elif place == 2:
        weights, offset = weights / 2, (offset + straight.solution[1]) / 2
        weights[:len(straight.solution[0])] += straight.solution[0] / 2
    return {"weights": weights, "offset": offset, "landmarks": landmarks, "spread": spread,
            "confidence": round(hits, 3), "error": float(f"{error:.6g}"),
            "usual_error": float(f"{usual:.6g}")}


class _Ridge:
    """Ridge regression on the first `width` numbers of each row, with the penalty that errs least on folds left out.

    parts: `_sums` of each fold, over more numbers. solution: (weights, offset) from all rows.
    """

    def __init__(self, parts: list[list[np.ndarray]], width: int):
        self.width = width
        parts = [[part[0][:width, :width], part[1][:width], part[2][:width], *part[3:]] for part in parts]
        self.whole = [sum(entries) for entries in zip(*parts)]
        self.tried = {penalty: [_solve([total - mine for total, mine in zip(self.whole, part)], penalty)
                                for part in parts] for penalty in PENALTIES}
        self.errors = dict.fromkeys(PENALTIES, 0.0)

    def judge(self, code: Code, number: int, inputs: np.ndarray, truth: np.ndarray) -> None:
        """Local: adds the errors in the rows of a fold, for each penalty."""
        for penalty, solved in self.tried.items():
            self.errors[penalty] += _errors(code, _scores(inputs, self.width, solved[number]), truth)[0]

    def choose(self) -> None:
        """Local: the penalty, and with it the solution."""
        best = min(self.errors, key=lambda penalty: (self.errors[penalty], penalty))
        self.folds, self.solution = self.tried[best], _solve(self.whole, best)
        self.tried.clear()

    def scores(self, number: int, inputs: np.ndarray) -> np.ndarray:
        """Local: the scores of a fold's rows by the others."""
        return _scores(inputs, self.width, self.folds[number])


def _scores(inputs: np.ndarray, width: int, solved: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    return inputs[:, :width] @ solved[0] + solved[1]


def with_nearness(inputs: np.ndarray, landmarks: np.ndarray, spread: float) -> np.ndarray:
    """Local: encoded rows, and how near each is to some rows: a linear map of that bends (Williams & Seeger 2001)."""
    if not len(landmarks):
        return inputs
    squares = (inputs ** 2).sum(axis=1)[:, None] + (landmarks ** 2).sum(axis=1) - 2 * inputs @ landmarks.T
    return np.hstack([inputs, np.exp(-np.maximum(squares, 0) / spread)])


def _worth(code: Code, cells: list[str], known: int) -> bool:
    """Whether a column varies, and its common words are nearly all there is."""
    if code.is_number:
        return bool(code.scale)
    return len(code.words) >= 2 and known >= LEAST_COVERED * sum(map(bool, cells))


def _sums(inputs: np.ndarray, wanted: np.ndarray) -> list[np.ndarray]:
    return [inputs.T @ inputs, inputs.T @ wanted, inputs.sum(axis=0), wanted.sum(axis=0), np.array(float(len(inputs)))]


def _solve(sums: list[np.ndarray], penalty: float) -> tuple[np.ndarray, np.ndarray]:
    """Weights and offset of the ridge regression with these sums, the offset without penalty."""
    square, product, inputs, wanted, rows = sums
    middle, usual = inputs / rows, wanted / rows
    square = square - np.outer(inputs, middle) + penalty * np.eye(len(inputs))
    weights = np.linalg.solve(square, product - np.outer(inputs, usual))
    return weights, usual - middle @ weights


def _errors(code: Code, scores: np.ndarray, wanted: np.ndarray) -> tuple[float, float]:
    """(squares of the errors of numbers or wrong words, exact hits) of predictions, added up."""
    if not code.is_number:
        hits = int((scores.argmax(axis=1) == wanted.argmax(axis=1)).sum())
        return float(len(wanted) - hits), float(hits)
    guesses = np.round(np.clip(scores, code.low, code.high), code.decimals)
    return float(((guesses - wanted) ** 2).sum()), float((np.abs(guesses - wanted) < 1e-9 * code.scale).sum())


def _usual_error(code: Code, wanted: np.ndarray) -> float:
    """The error of the usual value: root of the mean square, or share of wrong words."""
    if code.is_number:
        return float(np.sqrt(((wanted - np.median(wanted)) ** 2).mean()))
    return 1 - float(np.bincount(wanted).max() / len(wanted))
