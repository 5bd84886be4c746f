"""Missing cells predicted from the other columns of their row, where that is clearly better than the usual value."""

from dataclasses import dataclass, field
from functools import cache

import numpy as np

from mpiedge.cleaning import impute
from mpiedge.cleaning.coding import MOST_WIDTH, MOST_WORDS, NUMBERS, Code, make_code, make_room
from mpiedge.cleaning.names import CODE_NAMES, words_of
from mpiedge.cleaning.ridge import FOLDS, LANDMARKS, LEAST_ROWS, fit, with_nearness
from mpiedge.cleaning.types import ColumnPlan
from mpiedge.cleaning.working import sample_rows

MOST_ROWS, MOST_CELLS, MOST_BYTES, MOST_NUMBERS = 20_000, 500_000, 8_000_000, 2_000_000
"""What is learnt from: rows, their cells, the bytes of these, and rows times the numbers they become."""
PIECE = 2048


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
        return [cell for start in range(0, len(rows), PIECE)
                for cell in self._predict([[cells[row] for row in rows[start:start + PIECE]] for cells in columns])]

    def _predict(self, columns: list[list[str]]) -> list[str]:
        """Local: the cells of the target in a few rows."""
        some = complete(self.first, columns)
        inputs = np.hstack([code.encode(code.read(some[place])) for place, code in enumerate(self.codes)
                            if place != self.target and code.width])
        scores = with_nearness(inputs, self.landmarks, self.spread) @ self.weights + self.offset
        code = self.codes[self.target]
        if code.is_number:
            return code.write(scores[:, 0])
        return [code.words[place] for place in scores.argmax(axis=1).tolist()]


def estimate_bytes(rows: int, columns: int, row_bytes: float) -> float:
    """What a rank holds while it learns to predict: the sample as text and as what was read of it, the encoded rows of
    one fold in the making, and the sums of all folds."""
    rows = min(rows, MOST_ROWS, MOST_CELLS / max(1, columns), MOST_BYTES / max(1.0, row_bytes))
    width = min(MOST_WIDTH, columns * MOST_WORDS)
    fold = min(MOST_NUMBERS, rows * width) / FOLDS + rows / FOLDS * (LANDMARKS + 2 * MOST_WORDS)
    return rows * (80 * columns + 2 * row_bytes) + 8 * (4 * fold + (FOLDS + 3) * (width + LANDMARKS) ** 2)


def learn(stage, tables, plans, surveys, fills) -> None:
    """Collective: adds to the fills of each table the models that are clearly better than the usual value.

    Messages: the sampled rows and the weights, to every rank.
    """
    for table, columns, found, mine in zip(tables, plans, surveys, fills):
        able = [fill for fill in mine if fill.predict and _may(columns[fill.column], found.columns[fill.column])]
        if not able or table.rows < LEAST_ROWS:
            continue
        most = min(MOST_ROWS, MOST_CELLS / len(columns), MOST_BYTES / max(1.0, table.text_bytes / table.rows))
        sample, _ = sample_rows(stage, table, min(1.0, most / table.rows))
        codes = [make_code(plan, *sample.coded(place)) for place, plan in enumerate(columns)]
        make_room(codes)
        width = sum(code.width for code in codes)
        rows = min(sample.rows, MOST_NUMBERS // max(1, width))
        if rows < LEAST_ROWS or width > MOST_WIDTH:
            continue   # few or very long rows, a very wide table
        cells = cache(lambda sample=sample, rows=rows: [sample.cells(place)[:rows] for place in range(sample.width)])
        targets = [fill.column for fill in able]
        first = _round(stage, codes, cells, {}, targets)
        if not first:
            continue
        models = _round(stage, codes, cells, first, targets)
        for fill in able:
            model = models.get(fill.column)
            if model and not fill.helper and (codes[fill.column].is_number or model.confidence >= impute.LEAST_SURE):
                fill.model = model
                fill.model.first = first


def _round(stage, codes: list[Code], cells, first: dict[int, Model], targets: list[int]) -> dict[int, Model]:
    """Collective: the models of the columns that can be predicted from the cells whose blanks `first` has filled.

    cells: gives them, on ranks that have something to fit.
    """
    @cache
    def read() -> list:
        return [code.read(values) for code, values in zip(codes, complete(first, cells()))]

    def work(task):
        return fit(codes, read(), cells()[task[0]], task[0])

    done = stage.queue.gather(stage.queue.run([(target,) for target in targets], work, learn=False,
                                              name="predictions learnt", kept="predictions"))
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
