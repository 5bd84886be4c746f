"""Lines of damaged rows: cells by the place of their quotes, not by their number, so that a stray one does no harm."""

import io
import re
from functools import lru_cache

from mpiedge.store.ranges import Dialect, csv_reader

LONG_LINE = 100_000
"""Characters from which on a line is looked at with care: what is made of a longer one takes seconds and gigabytes."""
MOST_CELLS = 200_000


def is_plain(text: str, dialect: Dialect) -> bool:
    """Whether every quote in the text of a record stands where it may: around a cell, doubled in it, or inside a cell
    that does not begin with one and does not look like two."""
    if not dialect.quotechar or dialect.escapechar or dialect.skip_initial_space or dialect.quotechar not in text:
        return True
    return _is_sound(text, dialect.delimiter, dialect.quotechar) and not looks_glued(text, dialect)


def _is_sound(text: str, delimiter: str, quote: str) -> bool:
    """No regular expression: it would keep a state for every quote of a long cell."""
    place = 0
    while True:
        if text.startswith(quote, place):
            place = text.find(quote, place + 1)
            while place >= 0 and text.startswith(quote, place + 1):
                place = text.find(quote, place + 2)
            if place < 0 or place + 1 == len(text):
                return place >= 0
            if not text.startswith(delimiter, place + 1):
                return False
            place += 1 + len(delimiter)
        else:
            place = text.find(delimiter, place)
            if place < 0:
                return True
            place += len(delimiter)


def has_too_many(line: str, dialect: Dialect, width: int) -> bool:
    """Whether a long line holds far more cells than a row of `width`; no more of them than that are made."""
    most = most_cells(width)
    return (len(line) > LONG_LINE and line.count(dialect.delimiter) > most
            and len(tokens_by_role(line, dialect.delimiter, dialect.quotechar, most)[0]) > most)


def most_cells(width: int) -> int:
    """Cells of a line from which on it cannot be a row of `width`."""
    return MOST_CELLS + 2 * width


def tokens_by_role(line: str, delimiter: str, quote: str, most: int = -1) -> tuple[list[str], bool]:
    """The raw cells of a line (but of more than `most` the first ones), and whether a quote is left unexplained.

    A quote opens at the start of a cell and closes in an odd run before a delimiter or the end. When something that
    looks like another opening quote (after a delimiter, before text) comes first, the earlier one is a character.
    """
    if not quote or quote not in line:
        return line.split(delimiter, most), False
    tokens, start, stray, size = [], 0, False, len(line)
    while True:
        stop = _closing(line, start, delimiter, quote) if line.startswith(quote, start) else -1
        if stop == -1 and line.startswith(quote, start):
            stop = _closing(line, start, delimiter, quote, doubled=True)
            stray = True
        if stop < 0:
            stray = stray or line.startswith(quote, start)
            stop = line.find(delimiter, start)
            stop = size if stop < 0 else stop
            stray = stray or quote in line[start:stop]
        tokens.append(line[start:stop])
        if stop >= size or len(tokens) > most >= 0:
            return tokens, stray
        start = stop + len(delimiter)


def _closing(line: str, start: int, delimiter: str, quote: str, doubled: bool = False) -> int:
    """The place after the closing quote of the cell that opens at `start`; -1 when none is plausible.

    doubled: an even run before a delimiter closes as well, with one quote too many.
    """
    place, size = start + 1, len(line)
    while (place := line.find(quote, place)) >= 0:
        run = place
        while run < size and line[run] == quote:
            run += 1
        at_end = run == size or line.startswith(delimiter, run)
        if at_end and ((run - place) % 2 or (doubled and place > start + 1)):
            return run
        opens = place > start + 1 and line.startswith(delimiter, place - len(delimiter)) and not at_end
        if opens and (run - place) % 2:
            return -1
        place = run
    return -1


def tokens_by_toggling(line: str, delimiter: str, quote: str) -> list[str]:
    """The raw cells when every quote, wherever it stands, shuts delimiters in or out."""
    tokens, start, inside = [], 0, False
    for place, sign in enumerate(line):
        if sign == quote:
            inside = not inside
        elif sign == delimiter and not inside:
            tokens.append(line[start:place])
            start = place + 1
    return [*tokens, line[start:]]


def unquoted(token: str, quote: str) -> str:
    """The cell that a raw token means; a quote too many inside quotes stays as a character."""
    if quote and len(token) > 1 and token[0] == quote == token[-1]:
        return token[1:-1].replace(quote * 2, quote)
    return token


def stray_quotes(token: str, quote: str) -> int:
    """Quotes of a raw token that neither enclose it nor stand doubled inside."""
    if not quote or quote not in token:
        return 0
    enclosed = len(token) > 1 and token[0] == quote == token[-1]
    return token[1:-1].replace(quote * 2, "").count(quote) if enclosed else token.count(quote)


@lru_cache(maxsize=16)
def _glued(delimiter: str, quote: str) -> re.Pattern:
    sign, mark = re.escape(delimiter), re.escape(quote)
    return re.compile(rf"[^\s{sign}{mark}]{mark}\w[^{mark}{sign}]*{sign}[^{mark}]*{mark}(?:{sign}|$)")


def looks_glued(text: str, dialect: Dialect) -> bool:
    """Whether a quoted cell with a delimiter in it seems to stick to the cell before it."""
    quote = dialect.quotechar
    return bool(quote) and quote in text and _glued(dialect.delimiter, quote).search(text) is not None


def read_line(line: str, dialect: Dialect) -> tuple[list[str], bool]:
    """The cells of one line, and whether a quote is left unexplained."""
    if dialect.escapechar or dialect.skip_initial_space:
        return next(csv_reader(line, dialect), []), False
    tokens, stray = tokens_by_role(line, dialect.delimiter, dialect.quotechar)
    return [unquoted(token, dialect.quotechar) for token in tokens], stray


def rows_by_themselves(lines: list[str], dialect: Dialect, width: int, together: int) -> bool:
    """Whether a stray quote glued these lines to a record of `together` cells: all but one are whole rows, and if the
    record looks like a row, two of them at least."""
    whole = sum(not has_too_many(line, dialect, width) and len(read_line(line.rstrip("\r\n"), dialect)[0]) == width
                for line in lines)
    return whole >= (2 if together == width else 1) and whole >= len(lines) - 1


def lines_of(text: str) -> list[str]:
    """The lines of a text with their ends: LF, CRLF or CR."""
    return list(io.StringIO(text, newline=""))
