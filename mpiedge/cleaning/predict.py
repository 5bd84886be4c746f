"""Missing cells predicted from the other columns of their row: ridge regression on encoded cells, where it pays.

A column becomes numbers: its value and a step for each of a few quantiles, or a place for each of its common words. One
linear map a column (for words one score for each, the best wins) is fitted on rows where the cell is there (Hoerl &
Kennard 1970): of these numbers, of them and the row's nearness to some others, or the mean of both. Its error is
measured on cells that were masked, by cross-validation; only where that is clearly below the error of the usual value
is it used.
"""

from dataclasses import dataclass, field

import numpy as np

from mpiedge.cleaning import formats, impute
from mpiedge.cleaning.types import CODE_NAMES, ColumnPlan, words_of
from mpiedge.cleaning.working import sample_rows, sampled_column

MOST_ROWS, MOST_NUMBERS = 20_000, 2_000_000
"""Rows that are learnt from, and rows times encoded columns."""
LEAST_ROWS = 60
MOST_WORDS, LEAST_OFTEN, LEAST_COVERED = 40, 5, 0.8
STEPS, ROWS_PER_STEP = 8, 100
FURTHEST = 4.0
"""Numbers further from the mean count as so many standard deviations."""
PENALTIES = (1.0, 10.0, 100.0)
LANDMARKS = 100
FOLDS = 5
CLEARLY = 0.9
"""Share of the usual value's error below which a prediction is used."""
NUMBERS = ("integer", "decimal")


@dataclass
class Code:
    """How the cells of a column become numbers.

    words: common values. mean, scale, steps (limits between quantiles), low, high, decimals: of a column of numbers.
    """

    plan: ColumnPlan
    words: list[str] = field(default_factory=list)
    mean: float = 0.0
    scale: float = 0.0
    steps: np.ndarray = field(default_factory=lambda: np.empty(0))
    low: float = 0.0
    high: float = 0.0
    decimals: int = 0

    @property
    def is_number(self) -> bool:
        """Whether the cells are read as numbers."""
        return self.plan.kind in NUMBERS

    @property
    def width(self) -> int:
        """Numbers for each cell."""
        return 0 if self.is_number and not self.scale else 2 + len(self.steps) if self.is_number else len(self.words)

    def numbers(self, cells: list[str]) -> np.ndarray:
        """Local: the cells as float64, NaN where there is none."""
        return np.array([_number(text) for text in formats.canonical(self.plan, cells)])

    def encode(self, cells: list[str]) -> np.ndarray:
        """Local: float64 rows x width; nothing but zeros (and a one for "missing") where a number is missing."""
        if not self.width:
            return np.zeros((len(cells), 0))
        if not self.is_number:
            return self.positions(cells)[:, None] == np.arange(len(self.words))[None, :] + 0.0
        values = self.numbers(cells)
        there = np.isfinite(values)
        scaled = np.clip((np.where(there, values, self.mean) - self.mean) / self.scale, -FURTHEST, FURTHEST)
        above = (np.where(there, values, np.nan)[:, None] > self.steps[None, :]) * 1.0
        return np.column_stack([scaled, ~there * 1.0, above])

    def positions(self, cells: list[str]) -> np.ndarray:
        """Local: for each cell its place among the words, -1 for none."""
        places = {word: place for place, word in enumerate(self.words)}
        return np.array([places.get(cell, -1) for cell in cells], dtype=np.int64)

    def write(self, values: np.ndarray) -> list[str]:
        """Local: predicted numbers as cells, in the range and with the decimals of the column."""
        mark = self.plan.mark if self.plan.kind == "decimal" else "."
        return [f"{value + 0.0:.{self.decimals}f}".replace(".", mark)
                for value in np.round(np.clip(values, self.low, self.high), self.decimals).tolist()]


@dataclass
class Model:
    """What predicts one column: codes of all columns (the target's has no place in `weights`), weights and offset.

    landmarks, spread: see `with_nearness`.

    confidence: share of the masked cells that it hit exactly; error, usual_error: of the predictions and of the usual
    value on masked cells, root of the mean square for numbers, share of wrong ones for words. first: the models that
    fill the blanks of the other columns before, as rounds of chained equations do (van Buuren 2018).
    """

    codes: list[Code]
    target: int
    landmarks: np.ndarray
    spread: float
    weights: np.ndarray
    offset: np.ndarray
    confidence: float
    error: float
    usual_error: float
    first: dict[int, "Model"] = field(default_factory=dict)

    def describe(self) -> str:
        """How good it is, for people."""
        if self.codes[self.target].is_number:
            return f"predicted: off by {self.error:.4g} on masked cells, the median by {self.usual_error:.4g}"
        return f"predicted: {1 - self.error:.0%} of masked cells right, {1 - self.usual_error:.0%} by the usual value"

    def predict(self, columns: list[list[str]], rows: list[int]) -> list[str]:
        """Local: the cells of the target in these rows."""
        some = complete(self.first, [[cells[row] for row in rows] for cells in columns])
        inputs = np.hstack([code.encode(some[place]) for place, code in enumerate(self.codes) if place != self.target])
        scores = with_nearness(inputs, self.landmarks, self.spread) @ self.weights + self.offset
        code = self.codes[self.target]
        if code.is_number:
            return code.write(scores[:, 0])
        return [code.words[place] for place in scores.argmax(axis=1).tolist()]


def estimate_bytes(rows: int, columns: int) -> float:
    """What a rank holds while it learns to predict: encoded rows and what is made of them."""
    return 3 * 8 * (min(MOST_NUMBERS, rows * columns * (2 + STEPS)) + LANDMARKS * min(rows, MOST_ROWS)) + (
        80 * columns * min(rows, MOST_ROWS))


def learn(stage, tables, plans, surveys, fills) -> None:
    """Collective: adds to the fills of each table the models that are clearly better than the usual value.

    Messages: the sampled rows and the weights, to every rank.
    """
    for table, columns, found, mine in zip(tables, plans, surveys, fills):
        able = [fill for fill in mine if fill.predict and _may(columns[fill.column], found.columns[fill.column])]
        if not able or table.rows < LEAST_ROWS:
            continue
        parts = sample_rows(stage, table, min(1.0, MOST_ROWS / table.rows))
        cells = [sampled_column(parts, place) for place in range(len(columns))]
        codes = [make_code(plan, values) for plan, values in zip(columns, cells)]
        rows = min(len(cells[0]), MOST_NUMBERS // max(1, sum(code.width for code in codes)))
        if rows < LEAST_ROWS:
            continue   # a very wide table
        cells = [values[:rows] for values in cells]
        targets = [fill.column for fill in able]
        first = _round(stage, codes, cells, cells, targets)
        if not first:
            continue
        models = _round(stage, codes, cells, complete(first, cells), targets)
        for fill in able:
            model = models.get(fill.column)
            if model and (codes[fill.column].is_number or model.confidence >= impute.LEAST_SURE):
                fill.model = model
                fill.model.first = first


def _round(stage, codes: list[Code], cells, inputs, targets: list[int]) -> dict[int, Model]:
    """Collective: the models of the columns that can be predicted from `inputs`."""
    encoded = [code.encode(values) for code, values in zip(codes, inputs)]

    def work(task):
        return fit(codes, encoded, cells[task[0]], task[0])

    done = stage.queue.gather(stage.queue.run([(target,) for target in targets], work, name="predictions learnt",
                                              kept="predictions"))
    return {task[0]: Model(codes, task[0], **result) for task, result in sorted(done, key=lambda pair: pair[0])
            if result is not None}


def complete(first: dict[int, Model], columns: list[list[str]]) -> list[list[str]]:
    """Local: the columns with the blanks of those that can be predicted filled."""
    whole = list(columns)
    for target, model in first.items():
        blanks = [row for row, cell in enumerate(columns[target]) if not cell.strip()]
        if blanks:
            whole[target] = list(columns[target])
            for row, cell in zip(blanks, model.predict(columns, blanks)):
                whole[target][row] = cell
    return whole


def _may(plan: ColumnPlan, summary) -> bool:
    """Whether the cells of a column mean something that others can tell: no dates, codes, or numbers of things."""
    if plan.kind in NUMBERS:
        return impute.has_middle(plan, summary)
    return plan.kind != "date" and not CODE_NAMES & set(words_of(plan.name))


def make_code(plan: ColumnPlan, cells: list[str]) -> Code:
    """Local: how a column is encoded, from a sample of its cells."""
    code = Code(plan)
    if plan.key:
        return Code(ColumnPlan(plan.name))
    if not code.is_number:
        counts = impute.Counter(filter(None, cells))
        often = sorted((value for value, number in counts.items() if number >= LEAST_OFTEN),
                       key=lambda value: (-counts[value], value))
        code.words = often[:MOST_WORDS]
        return code
    values = code.numbers(cells)
    values = values[np.isfinite(values)]
    if len(values) and values.std() > 0:
        code.mean, code.scale = float(values.mean()), float(values.std())
        code.low, code.high = float(values.min()), float(values.max())
        steps = min(STEPS, len(values) // ROWS_PER_STEP)
        code.steps = np.unique(np.quantile(values, np.arange(1, steps) / steps, method="lower")) if steps > 1 else (
            np.empty(0))
        code.steps = code.steps[code.steps < code.high]
        shown = [text.partition(".")[2].rstrip("0") for text in formats.canonical(plan, cells) if text]
        code.decimals = 0 if plan.kind == "integer" else min(6, max(map(len, shown)))
    return code


def fit(codes: list[Code], encoded: list[np.ndarray], cells: list[str], target: int) -> dict | None:
    """Local: the fields of a Model for one column, None where the usual value does as well."""
    code = codes[target]
    wanted, known = _wanted(code, cells)
    if wanted is None or len(known) < LEAST_ROWS:
        return None
    inputs = np.hstack([block[known] for place, block in enumerate(encoded) if place != target])
    if not inputs.shape[1]:
        return None
    landmarks = inputs[:LANDMARKS]   # the sample is in no order that could matter
    spread = 2 * max(float(inputs.var(axis=0).sum()), 1e-9)   # the mean square of the distance of two rows
    fold = np.arange(len(known)) % FOLDS
    straight = _best(code, inputs, wanted, fold)
    bent = _best(code, with_nearness(inputs, landmarks, spread), wanted, fold)
    both = tuple((one[:len(other)] + other) / 2 for one, other in zip(bent, straight))
    weights = bent[1] / 2
    weights[:len(straight[1])] += straight[1] / 2
    chosen = [(straight[0], straight[1], straight[2], landmarks[:0]), (bent[0], bent[1], bent[2], landmarks),
              (both[0], weights, both[2], landmarks)]
    measured = [_errors(code, scores, wanted) for scores, *_ in chosen]
    place = min(range(len(chosen)), key=lambda place: (measured[place][0], place))
    (error, hits), usual = measured[place], _usual_error(code, wanted)
    if not error <= CLEARLY * usual:
        return None
    _, weights, offset, landmarks = chosen[place]
    return {"weights": weights, "offset": offset, "landmarks": landmarks, "spread": spread,
            "confidence": round(hits, 3), "error": round(error, 6), "usual_error": round(usual, 6)}


def _best(code: Code, inputs: np.ndarray, wanted: np.ndarray, fold: np.ndarray):
    """(scores of each row by the other folds, weights, offset) with the penalty whose error is the least."""
    sums = [_sums(inputs[fold == number], wanted[fold == number]) for number in range(FOLDS)]
    whole = [sum(entries) for entries in zip(*sums)]
    found = {}
    for penalty in PENALTIES:
        scores = np.empty_like(wanted)
        for number in range(FOLDS):
            weights, offset = _solve([total - part for total, part in zip(whole, sums[number])], penalty)
            scores[fold == number] = inputs[fold == number] @ weights + offset
        found[penalty] = scores
    best = min(PENALTIES, key=lambda penalty: (_errors(code, found[penalty], wanted)[0], penalty))
    return found[best], *_solve(whole, best)


def with_nearness(inputs: np.ndarray, landmarks: np.ndarray, spread: float) -> np.ndarray:
    """Local: encoded rows, and how near each is to some rows: a linear map of that bends (Williams & Seeger 2001)."""
    if not len(landmarks):
        return inputs
    squares = (inputs ** 2).sum(axis=1)[:, None] + (landmarks ** 2).sum(axis=1) - 2 * inputs @ landmarks.T
    return np.hstack([inputs, np.exp(-np.maximum(squares, 0) / spread)])


def _wanted(code: Code, cells: list[str]) -> tuple[np.ndarray | None, np.ndarray]:
    """What the scores should be (rows x 1 or rows x words) where the cell is known, and these rows."""
    if code.is_number:
        values = code.numbers(cells)
        known = np.flatnonzero(np.isfinite(values))
        return (values[known][:, None] if code.scale else None), known
    places = code.positions(cells)
    known = np.flatnonzero(places >= 0)
    if len(code.words) < 2 or len(known) < LEAST_COVERED * sum(map(bool, cells)):
        return None, known
    return (places[known][:, None] == np.arange(len(code.words))) * 1.0, known


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
    """(error, share of exact hits) of predictions."""
    if not code.is_number:
        hits = float((scores.argmax(axis=1) == wanted.argmax(axis=1)).mean())
        return 1 - hits, hits
    guesses = np.round(np.clip(scores, code.low, code.high), code.decimals)
    return float(np.sqrt(((guesses - wanted) ** 2).mean())), float((np.abs(guesses - wanted) < 1e-9).mean())


def _usual_error(code: Code, wanted: np.ndarray) -> float:
    if code.is_number:
        return float(np.sqrt(((wanted - np.median(wanted)) ** 2).mean()))
    return 1 - float(wanted.mean(axis=0).max())


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan
