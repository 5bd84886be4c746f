"""Delimiter, quote and escape of a file, judged from its beginning."""

from collections import Counter

from mpiedge.cleaning.cells import HARD, form_of
from mpiedge.cleaning.sample import DELIMITERS, read_sample
from mpiedge.store.ranges import Dialect

LEAST_REGULAR = 0.7
"""Share of the rows that have the usual width where blanks part cells: else they part the words of one column."""
PRIORS = dict(zip(DELIMITERS, (1.0, 1.0, 1.0, 1.0, 0.9, 0.9, 1.0, 0.45, 0.6)))
"""How common delimiters are; colons and blanks also stand inside text."""
TYPE_SCORES = {"empty": 0.5, "text": 0.3, "null": 1.0}


def find_dialect(text: str, encoding: str, told: dict) -> Dialect:
    """Delimiter, quote and escape of a text: the pair whose rows have one width, many cells and cells of clear type.

    Score: pattern x type x (.15 + share of the usual width) x prior, after van den Burg, Nazabal & Sutton 2019.
    told: the delimiter, quote and escape that are known already ("" = none).
    """
    quotes = ['"'] if '"' in text else []
    if text.count("'") > 3 and _quotes_whole_cells(text, "'") > max(3, _quotes_whole_cells(text, '"')):
        quotes.append("'")
    quotes = [told["quote"]] if "quote" in told else [*quotes, ""] if quotes else ['"']
    delimiters = [told["delimiter"]] if "delimiter" in told else [sign for sign in PRIORS if sign in text]
    candidates = []
    for order, delimiter in enumerate(delimiters):
        for quote in quotes:
            escape = told["escape"] or None if "escape" in told else _escape(text, quote, delimiter)
            space = delimiter != " " and text.count(f"{delimiter} {quote}") > text.count(delimiter + quote)
            dialect = Dialect(delimiter, quote, escape, encoding, skip_initial_space=bool(quote) and space)
            score = _score(text, dialect) * PRIORS.get(delimiter, 1.0) * (1.0 if quote else 0.95)
            candidates.append((score, -order, dialect))
    best = max(candidates, key=lambda entry: entry[:2], default=(0.0, 0, None))
    return best[2] if best[0] > 0 else Dialect(told.get("delimiter", ","), told.get("quote", '"'),
                                               told.get("escape") or None, encoding)


def _quotes_whole_cells(text: str, quote: str) -> int:
    return sum(text.count(f"{sign}{quote}") for sign in ",;\t|\n")


def _escape(text: str, quote: str, delimiter: str) -> str | None:
    if not quote:
        return None
    escaped = text.count("\\" + quote) - text.count("\\" + quote + delimiter) - text.count("\\" + quote + "\n")
    return "\\" if escaped >= 2 and escaped > text.count(quote * 2) - text.count(delimiter + quote * 2) else None


def _score(text: str, dialect: Dialect) -> float:
    records, _ = read_sample(text, dialect)
    widths = Counter(len(record) for record in records)
    if not records or max(widths) < 2:
        return 0.0
    pattern = sum(number * (width - 1) / width for width, number in widths.items()) / len(records) / len(widths) ** 0.5
    usual = max((number for width, number in widths.items() if width > 1), default=0) / len(records)
    if dialect.delimiter == " " and usual < LEAST_REGULAR:
        return 0.0
    cells = [cell for record in records[:100] for cell in record]
    types = sum(_type_score(cell, dialect) for cell in cells) / len(cells)
    stray = 0.0
    if dialect.quotechar:
        stray = sum(dialect.quotechar in cell.replace(dialect.quotechar * 2, "") for cell in cells) / len(cells)
    return pattern * types * (0.15 + usual) * (1 - 0.5 * stray)


def _type_score(cell: str, dialect: Dialect) -> float:
    form = form_of(cell)
    if form in HARD:
        return 1.0
    if form == "text":
        quoted = not dialect.quotechar and cell[:1] == '"'
        return 0.05 if quoted else 0.6 if cell.strip().isalnum() else 0.3 if len(cell) < 80 else 0.1
    return TYPE_SCORES[form]
