"""Where the records of a CSV end, block by block: an automaton whose state at a block's start may be unknown."""

import ctypes
import re

import numpy as np

from mpiedge.kernels import native

STATES = 8
(START_RECORD, START_FIELD, IN_FIELD, IN_QUOTED, QUOTE_IN_QUOTED, ESCAPED_IN_FIELD, ESCAPED_IN_QUOTED,
 AFTER_CR) = range(STATES)
(STATE, RECORDS, LINES, FIRST_CUT, RECORDS_TO_CUT, LINES_TO_CUT, OPENED, OPENED_LINE, LONGEST, LONGEST_AT, ENTRY_LINES,
 ENTRY_CLOSED) = range(12)
OUT = 12
"""What a scan tells, as int64: the state at its end; records and line ends in it; offset after the first record ending
in it (-1: none) with the records and lines up to there; the last quote that opened a cell and its line; the most lines
inside one quoted cell and where it opened; lines of the cell open at the start, and whether that cell was closed."""

CARRIAGE_RETURN, NEWLINE = 13, 10

if native.library is not None:
    native.library.mpiedge_records_scan.argtypes = [ctypes.c_char_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p,
                                                    ctypes.c_int64, ctypes.c_void_p]
    native.library.mpiedge_records_scan.restype = None


def scan(data: bytes, following: int, dialect: tuple[int, int, int], state: int, base: int = 0) -> np.ndarray:
    """One pass over `data` from a known state: (OUT,) int64, offsets counted from `base`.

    following: the byte after `data` (-1: end of the file). dialect: bytes of delimiter, quote, escape; -1 for none.
    """
    if native.library is None:
        return scan_plain(data, following, dialect, state, base)
    out = np.empty(OUT, dtype=np.int64)
    codes = np.array(dialect, dtype=np.int64)
    native.library.mpiedge_records_scan(data, len(data), following, codes.ctypes.data, state, out.ctypes.data)
    for place in (FIRST_CUT, OPENED, LONGEST_AT):
        if out[place] >= 0:
            out[place] += base
    return out


def scan_plain(data: bytes, following: int, dialect: tuple[int, int, int], state: int, base: int = 0) -> np.ndarray:
    """The same in Python: hops from one special byte to the next; a run of ordinary bytes counts as one."""
    delimiter, quote, escape = dialect
    special = bytes({byte for byte in (*dialect, NEWLINE, CARRIAGE_RETURN) if byte >= 0})
    records = lines = records_to_cut = lines_to_cut = opened_line = longest = entry_lines = 0
    first_cut = opened = longest_at = -1
    entry_closed = state not in (IN_QUOTED, ESCAPED_IN_QUOTED, QUOTE_IN_QUOTED)
    for match in re.finditer(rb"[%b]|[^%b]+" % (re.escape(special), re.escape(special)), data):
        at, byte = match.start(), data[match.start()]
        # A run counts twice, as its first byte may be an escaped one.
        for c in ((byte, byte) if match.end() - at > 1 else (byte,)):
            after = data[at + 1] if at + 1 < len(data) else following
            newline, crlf = c in (NEWLINE, CARRIAGE_RETURN), c == CARRIAGE_RETURN and after == NEWLINE
            if state == IN_QUOTED:
                if c == quote:
                    state = QUOTE_IN_QUOTED
                elif c == escape:
                    state = ESCAPED_IN_QUOTED
                else:
                    lines += newline and not crlf
                continue
            if state == ESCAPED_IN_QUOTED:
                lines += newline and not crlf
                state = IN_QUOTED
                continue
            if state == QUOTE_IN_QUOTED:
                if c == quote:
                    state = IN_QUOTED
                    continue
                if not entry_closed:
                    entry_lines, entry_closed = lines, True
                elif lines - opened_line > longest:
                    longest, longest_at = lines - opened_line, opened
                state = IN_FIELD
            elif state == AFTER_CR:
                state = START_RECORD
                if c == NEWLINE:
                    continue
            elif state == ESCAPED_IN_FIELD:
                state = IN_FIELD
                if not newline:
                    continue
            if newline:
                records += state != START_RECORD
                lines += 1
                state = AFTER_CR if c == CARRIAGE_RETURN else START_RECORD
                if first_cut < 0:
                    first_cut, records_to_cut, lines_to_cut = at + 1 + crlf + base, records, lines
            elif c == delimiter:
                state = START_FIELD
            elif c == escape:
                state = ESCAPED_IN_FIELD
            elif c == quote and state != IN_FIELD:
                state, opened, opened_line = IN_QUOTED, at + base, lines
            else:
                state = IN_FIELD
    if not entry_closed:
        entry_lines = lines
    return np.array([state, records, lines, first_cut, records_to_cut, lines_to_cut, opened, opened_line, longest,
                     longest_at, entry_lines, entry_closed], dtype=np.int64)


def join(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The scan of two neighbouring pieces from the scans of each (`second` scanned from the state `first` ended in)."""
    out = second.copy()
    out[RECORDS] += first[RECORDS]
    out[LINES] += first[LINES]
    if first[FIRST_CUT] >= 0:
        out[[FIRST_CUT, RECORDS_TO_CUT, LINES_TO_CUT]] = first[[FIRST_CUT, RECORDS_TO_CUT, LINES_TO_CUT]]
    elif second[FIRST_CUT] >= 0:
        out[RECORDS_TO_CUT] += first[RECORDS]
        out[LINES_TO_CUT] += first[LINES]
    if second[OPENED] >= 0:
        out[OPENED_LINE] += first[LINES]
    else:
        out[[OPENED, OPENED_LINE]] = first[[OPENED, OPENED_LINE]]
    longest, longest_at = int(first[LONGEST]), int(first[LONGEST_AT])
    across_border = first[STATE] in (IN_QUOTED, ESCAPED_IN_QUOTED, QUOTE_IN_QUOTED)
    if across_border and first[ENTRY_CLOSED] and second[ENTRY_CLOSED]:
        lines = int(first[LINES] - first[OPENED_LINE] + second[ENTRY_LINES])
        if lines > longest:
            longest, longest_at = lines, int(first[OPENED])
    if second[LONGEST] <= longest:
        out[[LONGEST, LONGEST_AT]] = longest, longest_at
    out[ENTRY_LINES] = first[ENTRY_LINES] if first[ENTRY_CLOSED] else first[LINES] + second[ENTRY_LINES]
    out[ENTRY_CLOSED] = first[ENTRY_CLOSED] or second[ENTRY_CLOSED]
    return out


def scan_every_state(data: bytes, following: int, dialect: tuple[int, int, int], base: int = 0) -> np.ndarray:
    """The scan from each of the STATES entry states: (STATES, OUT) int64.

    Only the first line differs much by state: after a line end the automaton is at a record's start or inside quotes.
    So the first line is scanned from every state and the rest once for each state that is left.
    """
    found = re.search(rb"[\r\n]", data)
    border = found.end() if found else len(data)
    head, tail = data[:border], data[border:]
    after_head = tail[0] if tail else following
    rest: dict[int, np.ndarray] = {}
    rows = []
    for state in range(STATES):
        first = scan(head, after_head, dialect, state, base)
        left = int(first[STATE])
        if tail:
            if left not in rest:
                rest[left] = scan(tail, following, dialect, left, base + border)
            first = join(first, rest[left])
        rows.append(first)
    return np.stack(rows)
