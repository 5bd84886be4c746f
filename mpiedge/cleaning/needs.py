"""What a rank will hold while it cleans, besides the programs: from the sizes of the tables, then from a first look."""

from mpiedge.cleaning import duplicates, learn, predict
from mpiedge.cleaning.reading import BLOCK_BYTES
from mpiedge.cleaning.survey import SAMPLE_ROWS

BYTES_PER_BLOCK_BYTE = 40
"""Memory of a range of rows in work (text, cells as Python strings, their counts) over the bytes of its text."""
BYTES_PER_LONG_BYTE, BYTES_PER_CELL = 10, 400
"""The same where cells are long: over the bytes of its text, and besides for each of its cells."""
SAMPLE_BYTES_PER_CELL = 120
BYTES_PER_COLUMN = 12_000
"""Memory of what is counted and decided of a column, however few rows it has."""
EQUAL_ROWS_BYTES = 60
"""Of each row, where equal ones only are looked for."""


def foresee(stage, sources, steps, surveys=None) -> tuple[dict[str, float], bool]:
    """Collective: (bytes by what they are for, whether blanks are predicted: not where that does not fit)."""
    whole = estimate(stage, sources, steps, surveys)
    if "impute" not in steps or stage.fits(**whole):
        return whole, True
    return estimate(stage, sources, steps, surveys, predicted=False), False


def estimate(stage, sources, steps, surveys=None, predicted: bool = True) -> dict[str, float]:
    """Local: bytes by what they are for. surveys: of the tables; without them the least that is to be expected.
    predicted: whether blanks are, where another column does not decide them."""
    in_work = max((_in_work(item, source.structure.width) for source in sources for item in source.ranges),
                  default=BYTES_PER_BLOCK_BYTE * BLOCK_BYTES)
    items = {"rows_in_work": in_work}
    if surveys is None:   # afterwards they are there, and counted with the programs
        cells = sum(min(SAMPLE_ROWS, _rows(source)) * source.structure.width for source in sources)
        items["samples"] = 3 * SAMPLE_BYTES_PER_CELL * cells
    needs = [0.0]
    for place, source in enumerate(sources):
        rows, columns = _rows(source), source.structure.width
        row_bytes = source.file.size / max(1, rows)
        if {"rules", "typos"} & set(steps):
            distinct = [column.distinct for column in surveys[place].columns] if surveys else []
            needs.append(learn.estimate_bytes(rows, columns, row_bytes, distinct, in_work))
        if "impute" in steps:
            needs.append(max(predict.estimate_bytes(rows, columns, row_bytes) if predicted else 0.0, in_work))
        if "duplicates" in steps:
            text_bytes = max(1.0, row_bytes - columns)   # without delimiters
            needs.append(duplicates.estimate_bytes(rows, columns, text_bytes, stage.budget_bytes, stage.world.size)
                         if columns > 2 else EQUAL_ROWS_BYTES * rows)
    # The samples are dropped before the rows are mended, and the rows in work are not there while duplicates are found.
    plan = {"tables": max(needs)} if max(needs) > sum(items.values()) else items
    return plan | {"columns": BYTES_PER_COLUMN * sum(source.structure.width for source in sources)}


def _in_work(item, columns: int) -> int:
    """Bytes held for a range of rows: a row of 100 MB has few cells, 100,000 columns have many short ones."""
    size = item.stop - item.start
    return min(BYTES_PER_BLOCK_BYTE * size, BYTES_PER_LONG_BYTE * size + BYTES_PER_CELL * item.records * columns)


def _rows(source) -> int:
    return sum(item.records for item in source.ranges)
