"""A damaged row read in several ways, each fitted to the columns by dynamic programming; the cheapest fit wins."""

import math
import re
from dataclasses import dataclass

from mpiedge.cleaning.lines import stray_quotes, tokens_by_role, tokens_by_toggling, unquoted
from mpiedge.cleaning.profiles import Profile
from mpiedge.store.ranges import Dialect

FOREIGN = (";", ",", "\t", "|", " ")
"""Delimiters a single row may have instead of the table's."""
SPLIT, MERGE, MERGE_BLANK, MERGE_FOREIGN, DROP = 3.0, 4.5, 2.0, 0.35, 3.0
INSERT, INSERT_AT_END, TRUNCATED = 3.5, 0.8, 6.0
FOREIGN_READING, OTHER_QUOTES, LITERAL_QUOTE, INCH_MARK = 5.0, 1.5, 1.6, 0.5
"""What each departure from a plain row costs, in nats."""
LONGEST_SPLIT_ANYWHERE, LONGEST_CUT = 32, 200
FITS_WELL = 1.0
MOST_DIFFERENCE = 12
"""Cells too many or too few that are still looked at, with one delimiter and no other."""
LARGEST_GRID = 40_000
_BORDER = re.compile(r"(?<=[^\W\d_])(?=[\d\W])|(?<=\d)(?=\D)|(?<=[\W_])(?=\w)|(?<=\w)(?=\W)|(?<=[a-z])(?=[A-Z])"
                     r"|(?<=\")(?=\")")


@dataclass(frozen=True)
class Fit:
    """cells: one per column; cost: nats, with the operations; margin: nats to the next best row that differs."""

    cells: list[str]
    cost: float
    margin: float = math.inf


def best_fit(text: str, dialect: Dialect, profiles: list[Profile], enough: float) -> Fit | None:
    """Local: the cheapest row of the table's width that the line `text` can mean, None when no reading comes near.

    enough: cost at which the plain reading is taken without looking at others.
    """
    quote, fits = dialect.quotechar, []
    for penalty, sign, tokens in _readings(text, dialect):
        most = MOST_DIFFERENCE if sign == dialect.delimiter else 2 * len(profiles)
        if len(tokens) - len(profiles) > most or 2 * len(tokens) < len(profiles):
            continue
        if len(tokens) * len(profiles) > LARGEST_GRID:
            continue
        found = align(tokens, sign, quote, profiles, sign != dialect.delimiter)
        fits += [Fit(cells, cost + penalty) for cost, cells in found]
        if found and found[0][0] < enough and not penalty:
            break
    if not fits:
        return None
    best = min(fits, key=lambda fit: fit.cost)
    others = [fit.cost for fit in fits if fit.cells != best.cells]
    return Fit(best.cells, best.cost, min(others) - best.cost if others else math.inf)


def may_be_foreign(text: str, dialect: Dialect, width: int) -> bool:
    """Whether another delimiter would cut the line into as many cells as a row has."""
    return any(text.count(sign) >= width - 1 > 1 for sign in FOREIGN if sign != dialect.delimiter)


def _readings(text: str, dialect: Dialect):
    """(penalty, delimiter, raw tokens) of each way to read a line."""
    quote = dialect.quotechar
    seen = set()
    for sign in (dialect.delimiter, *(sign for sign in FOREIGN if sign != dialect.delimiter and sign in text)):
        penalty = 0.0 if sign == dialect.delimiter else FOREIGN_READING
        ways = [(penalty, tokens_by_role(text, sign, quote)[0])]
        if quote and quote in text:
            ways.append((penalty + OTHER_QUOTES, tokens_by_toggling(text, sign, quote)))
            ways.append((penalty + OTHER_QUOTES, text.split(sign)))
        for cost, tokens in ways:
            if tuple(tokens) not in seen:
                seen.add(tuple(tokens))
                yield cost, sign, tokens


def align(tokens: list[str], sign: str, quote: str, profiles: list[Profile], foreign: bool):
    """[(cost, cells)] of the two cheapest rows that differ: tokens are kept, joined, split, dropped, blanks added."""
    width, count = len(profiles), len(tokens)
    reach = abs(width - count) + 3
    # Of each state (tokens used, columns filled) the two cheapest partial rows that differ: the second tells how sure
    # the first is.
    states: list[list[list]] = [[[] for _ in range(width + 1)] for _ in range(count + 1)]
    states[0][0] = [(0.0, ())]
    more = SPLIT if count >= width else 0.0

    def reached(row, column, before, cost, parts):
        known = states[row][column]
        for spent, cells in before:
            total = spent + cost
            if len(known) < 2 or total < known[1][0]:
                made = cells + parts
                if any(made == other and other_cost <= total for other_cost, other in known):
                    continue
                known[:] = sorted([entry for entry in known if entry[1] != made] + [(total, made)])[:2]

    for row in range(count + 1):
        for column in range(max(0, row - reach), min(width, row + reach) + 1):
            before = states[row][column]
            if not before or (row == count and column == width):
                continue
            if row == count:
                rest = [profile.cost("") for profile in profiles[column:]]
                reached(row, width, before, min(sum(rest) + INSERT_AT_END * len(rest), TRUNCATED), ("",) * len(rest))
                continue
            token = tokens[row]
            if not token.strip():
                reached(row + 1, column, before, DROP, ())
            if column == width:
                continue
            plain = _cell_cost(token, quote, profiles[column])
            reached(row + 1, column + 1, before, plain, (unquoted(token, quote),))
            reached(row, column + 1, before, INSERT + profiles[column].cost(""), ("",))
            joined, step = token, 0.0
            for last in range(row + 1, min(count, row + (count - width + 2 if count >= width else 1) + 8 * foreign)):
                step += MERGE_FOREIGN if foreign else MERGE_BLANK if tokens[last].startswith(" ") else MERGE
                if quote and joined.endswith(quote) and tokens[last].startswith(quote):
                    break   # two whole cells
                joined += sign + tokens[last]
                reached(last + 1, column + 1, before, step + _cell_cost(joined, quote, profiles[column]),
                        (unquoted(joined, quote),))
            if count <= width and column + 2 <= width and len(token) > 1 and (
                    plain > FITS_WELL or _may_be_two(token, profiles[column], profiles[column + 1])):
                cost, parts = _split(token, quote, profiles[column], profiles[column + 1])
                reached(row + 1, column + 2, before, SPLIT + more + cost, parts)
    return [(cost, list(cells)) for cost, cells in states[count][width]]


def _cell_cost(token: str, quote: str, profile: Profile) -> float:
    cell = unquoted(token, quote)
    stray = stray_quotes(token, quote)
    if not stray:
        return profile.cost(cell)
    inch = re.search(r"\d" + re.escape(quote), cell)
    return min(profile.cost(cell), profile.cost(cell.replace(quote, "", 1))) + (INCH_MARK if inch else LITERAL_QUOTE)


def _known_cuts(token: str, left: Profile, right: Profile) -> list[int]:
    """Where a cut leaves a value that one of the columns has, as of two numbers run together."""
    return [place for place in range(1, min(len(token), LONGEST_CUT)) if right.has(token[place:])
            or left.has(token[:place])]


def _may_be_two(token: str, left: Profile, right: Profile) -> bool:
    """Whether a token that fits well is cut all the same, as two numbers run together are one number."""
    return not left.has_pattern(token) or bool(_known_cuts(token, left, right))


def _split(token: str, quote: str, left: Profile, right: Profile):
    """(cost, (left cell, right cell)) of the cheapest cut through a token; within its quotes if it is quoted."""
    inner = unquoted(token, quote)
    ways = [_cheapest_cut(inner, "", left, right)] if inner != token and not stray_quotes(token, quote) else []
    return min([*ways, _cheapest_cut(token, quote, left, right)])


def _cheapest_cut(token: str, quote: str, left: Profile, right: Profile):
    border = {match.start() for match in _BORDER.finditer(token)} | set(_known_cuts(token, left, right))
    if len(token) <= LONGEST_SPLIT_ANYWHERE:
        places = range(1, len(token))
    else:
        places = sorted({*[match.start() for match in _BORDER.finditer(token)][:200], *_known_cuts(token, left, right)})
    best = (math.inf, ("", ""))
    for place in places:
        parts = [token[:place], token[place:]]
        cost = _cell_cost(parts[0], quote, left) + (0.0 if place in border else 0.8)
        if cost < best[0]:
            cost += _cell_cost(parts[1], quote, right)
            if cost < best[0]:
                best = (cost, tuple(unquoted(part, quote) for part in parts))
    return best
