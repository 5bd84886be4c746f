"""Lines of damaged rows: cells by the place of their quotes, not by their number, so that a stray one does no harm."""

import io
import re
from functools import lru_cache

from mpiedge.store.ranges import Dialect, csv_reader


@lru_cache(maxsize=16)
def _sound_line(delimiter: str, quote: str) -> re.Pattern:
    sign, mark = re.escape(delimiter), re.escape(quote)
    cell = rf"(?:{mark}(?:[^{mark}]|{mark}{mark})*{mark}|[^{mark}{sign}][^{sign}]*|)"
    return re.compile(rf"{cell}(?:{sign}{cell})*", re.DOTALL)


def is_plain(text: str, dialect: Dialect) -> bool:
    """Whether every quote in the text of a record stands where it may: around a cell, doubled in it, or inside a cell
    that does not begin with one and does not look like two."""
    if not dialect.quotechar or dialect.escapechar or dialect.skip_initial_space or dialect.quotechar not in text:
        return True
    sound = _sound_line(dialect.delimiter, dialect.quotechar).fullmatch(text) is not None
    return sound and not looks_glued(text, dialect)


def tokens_by_role(line: str, delimiter: str, quote: str) -> tuple[list[str], bool]:
    """The raw cells of a line, and whether a quote is left unexplained.

    A quote opens at the start of a cell and closes in an odd run before a delimiter or the end. When something that
    looks like another opening quote (after a delimiter, before text) comes first, the earlier one is a character.
    """
    if not quote or quote not in line:
        return line.split(delimiter), False
    tokens, start, stray, size = [], 0, False, len(line)
    while True:
        stop = _closing(line, start, delimiter, quote) if line.startswith(quote, start) else -1
        if stop < 0:
            stray = stray or line.startswith(quote, start)
            stop = line.find(delimiter, start)
            stop = size if stop < 0 else stop
            stray = stray or quote in line[start:stop]
        tokens.append(line[start:stop])
        if stop >= size:
            return tokens, stray
        start = stop + len(delimiter)


def _closing(line: str, start: int, delimiter: str, quote: str) -> int:
    """The place after the closing quote of the cell that opens at `start`; -1 when none is plausible."""
    place, size = start + 1, len(line)
    while (place := line.find(quote, place)) >= 0:
        run = place
        while run < size and line[run] == quote:
            run += 1
        at_end = run == size or line.startswith(delimiter, run)
        if at_end and (run - place) % 2:
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
    return re.compile(rf"[^\s{sign}{mark}]{mark}\w[^{mark}]*{sign}[^{mark}]*{mark}(?:{sign}|$)")


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


def lines_of(text: str) -> list[str]:
    """The lines of a text with their ends: LF, CRLF or CR."""
    return list(io.StringIO(text, newline=""))
