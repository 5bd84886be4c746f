"""Exact statistics of columns from their dictionaries (distinct values and counts); no second pass over the rows.

Each rank describes its share of the distinct values. Counts, lengths and top values merge as integers; the numbers of
a column meet on one rank, sorted by value, and sums are exactly rounded, so no figure depends on the number of ranks.
"""

import heapq
import itertools
import math

import numpy as np

from mpiedge.profiling.encode import OWNER_BITS, Values
from mpiedge.profiling.patterns import group_patterns, looks_like_date
from mpiedge.profiling.texts import Texts

TOP_VALUES = 10
TOP_PATTERNS = 5
BINS = 20
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
LONGEST_SHOWN = 200
LONGEST_NUMBER = 40
SLICE = 1 << 16
"""Strings looked at together: bounds the temporary arrays."""

TIES = 1 << 12
"""Equally frequent strings compared at once, as Python objects."""

NUMBER_BYTES = np.zeros(256, bool)
NUMBER_BYTES[list(b"0123456789+-.eE")] = True
FRACTION_BYTES = np.zeros(256, bool)
FRACTION_BYTES[list(b".eE")] = True


def describe_columns(world, columns: list[Values], rows: list[int], kinds: list[str | None]) -> list[dict]:
    """Collective: statistics of all columns on rank 0 (an empty list elsewhere).

    columns: this rank's share of every column's distinct values; rows: of each column's table; kinds: the declared kind
    (text, integer, decimal, date, boolean) or None to infer it. Messages: summaries (gather); numbers and patterns to
    one rank per column or pattern (all-to-all).
    """
    present = [present_values(column) for column in columns]
    numbers = [parse_numbers(texts) if kind in (None, "integer", "decimal") else None
               for (texts, _), kind in zip(present, kinds)]
    shares = world.allgather([_share(column, texts, counts, parsed)
                              for column, (texts, counts), parsed in zip(columns, present, numbers)])
    merged = [_merge_shares([share[index] for share in shares]) for index in range(len(columns))]
    numeric = [column["numeric"] and column["distinct"] > 0 for column in merged]
    described = _merge_numbers(world, [(parsed[0], counts) if is_number else None for parsed, (_, counts), is_number
                                       in zip(numbers, present, numeric)])
    patterns = _merge_patterns(world, [None if is_number else pair for pair, is_number in zip(present, numeric)])
    everything = world.gather({"numbers": described, "patterns": patterns})
    if everything is None:
        return []
    results = []
    for index, column in enumerate(merged):
        key = str(index)
        number = next((message["numbers"][key] for message in everything if key in message["numbers"]), None)
        found = [entry for message in everything for entry in message["patterns"].get(key, [])]
        results.append(_column(column, rows[index], kinds[index], number, found))
    return results


def present_values(column: Values) -> tuple[Texts, np.ndarray]:
    """Local: the values that are not missing, packed, and their counts."""
    chosen = np.flatnonzero(column.texts.length > 0)
    if len(chosen) == len(column.texts):
        return column.texts, column.counts
    return column.texts.take(chosen), column.counts[chosen]


def parse_numbers(texts: Texts) -> tuple[np.ndarray, bool] | None:
    """Local: the values as float64 and whether all are integers; None when one of them is no number.

    A number is what float() reads without names (inf, nan), spaces or needless leading zeros: 007 is a code.
    """
    if len(texts) and (not NUMBER_BYTES[texts.data].all() or texts.length.max() > LONGEST_NUMBER):
        return None
    if not len(texts):
        return np.zeros(0), True
    follows = np.minimum(texts.start + 1, len(texts.data) - 1)
    digit_follows = (texts.length > 1) & (texts.data[follows] >= ord("0")) & (texts.data[follows] <= ord("9"))
    if ((texts.data[texts.start] == ord("0")) & digit_follows).any():
        return None
    values = np.empty(len(texts))
    for begin in range(0, len(texts), SLICE):
        part = texts.take(np.arange(begin, min(begin + SLICE, len(texts))))
        cells = np.zeros((len(part), int(part.length.max())), np.uint8)
        cells[np.arange(cells.shape[1]) < part.length[:, None]] = part.data
        try:
            values[begin : begin + SLICE] = cells.view(f"S{cells.shape[1]}")[:, 0].astype(np.float64)
        except ValueError:
            return None
    if not np.isfinite(values).all():
        return None
    return values, not bool(FRACTION_BYTES[texts.data].any())


def _share(column: Values, texts: Texts, counts: np.ndarray, parsed) -> dict:
    """Local: what this rank's share of a column adds to its description."""
    sizes = [_characters(texts.take(np.arange(begin, end))) for begin, end in texts.slices(SLICE)]
    characters = np.concatenate(sizes or [np.zeros(0, np.int64)])
    frequencies, times = np.unique(counts, return_counts=True)
    return {
        "numeric": parsed is not None,
        "integers": parsed is not None and parsed[1],
        "missing": int(column.counts.sum() - counts.sum()),
        "distinct": len(texts),
        "frequencies": frequencies,
        "times": times,
        "shortest": int(characters.min()) if len(texts) else None,
        "longest": int(characters.max()) if len(texts) else None,
        "characters": int((characters * counts).sum()),
        "top": _top(texts, counts, TOP_VALUES),
    }


def _characters(texts: Texts) -> np.ndarray:
    """Local: the lengths of the strings in characters."""
    starts_character = np.concatenate(([0], np.cumsum((texts.data & 0xC0) != 0x80, dtype=np.int64)))
    return starts_character[texts.start + texts.length] - starts_character[texts.start]


def _top(texts: Texts, counts: np.ndarray, many: int) -> list:
    """Local: the most frequent strings with their counts, ties by the string."""
    if not len(counts):
        return []
    floor = np.partition(counts, len(counts) - many)[-many] if len(counts) > many else 0
    more = np.flatnonzero(counts > floor)
    ties = np.flatnonzero(counts == floor)
    best = [(-int(count), text) for count, text in zip(counts[more].tolist(), texts.take(more).tolist())]
    smallest: list[bytes] = []
    for begin in range(0, len(ties), TIES):
        part = texts.take(ties[begin : begin + TIES]).tolist()
        smallest = heapq.nsmallest(many - len(more), itertools.chain(smallest, part))
    best += [(-int(floor), text) for text in smallest]
    return [[text, -count] for count, text in sorted(best)[:many]]


def _merge_shares(shares: list[dict]) -> dict:
    """Local: one description out of all ranks' shares."""
    frequencies, inverse = np.unique(np.concatenate([share["frequencies"] for share in shares]), return_inverse=True)
    times = np.bincount(inverse, np.concatenate([share["times"] for share in shares]), minlength=len(frequencies))
    known = [share for share in shares if share["distinct"]]
    top = sorted((-count, text) for share in known for text, count in share["top"])[:TOP_VALUES]
    return {
        "numeric": all(share["numeric"] for share in known),
        "integers": all(share["integers"] for share in known),
        "missing": sum(share["missing"] for share in shares),
        "distinct": sum(share["distinct"] for share in shares),
        "shortest": min((share["shortest"] for share in known), default=None),
        "longest": max((share["longest"] for share in known), default=None),
        "characters": sum(share["characters"] for share in shares),
        "entropy": _entropy(frequencies.tolist(), times.tolist()),
        "top": [[text, -count] for count, text in top],
    }


def _entropy(frequencies: list[int], times: list[float]) -> float:
    """Bits per present value, from how many values occur how often."""
    total = sum(int(frequency) * int(count) for frequency, count in zip(frequencies, times))
    return math.fsum(-count * (frequency / total) * math.log2(frequency / total)
                     for frequency, count in zip(frequencies, times)) + 0.0


def _merge_numbers(world, columns: list) -> dict[str, dict]:
    """Collective: sends the numbers of column i to rank i mod ranks; the descriptions this rank made, by column."""
    messages: list[dict] = [{} for _ in range(world.size)]
    for index, column in enumerate(columns):
        if column is not None:
            messages[index % world.size][str(index)] = {"values": column[0], "counts": column[1]}
    received = world.alltoall(messages)
    described = {}
    for key in sorted({key for message in received for key in message}, key=int):
        parts = [message[key] for message in received if key in message]
        values, inverse = np.unique(np.concatenate([part["values"] for part in parts]), return_inverse=True)
        counts = np.bincount(inverse, weights=np.concatenate([part["counts"] for part in parts])).astype(np.int64)
        described[key] = describe_numbers(values, counts)
    return described


@np.errstate(over="ignore", invalid="ignore")
def describe_numbers(values: np.ndarray, counts: np.ndarray) -> dict:
    """Local: minimum, maximum, mean, standard deviation (n - 1), quantiles (linear) and histogram; values ascending."""
    total = int(counts.sum())
    mean = _sum(values * counts) / total
    squares = _sum((values - mean) ** 2 * counts)
    ends = np.cumsum(counts)

    def at(position: int) -> float:
        return float(values[np.searchsorted(ends, position, side="right")])

    quantiles = {}
    for quantile in QUANTILES:
        place = (total - 1) * quantile
        low, high = at(math.floor(place)), at(min(math.floor(place) + 1, total - 1))
        quantiles[f"{quantile:g}"] = low + (high - low) * (place - math.floor(place))
    edges = np.linspace(values[0], values[-1], BINS + 1) if len(values) > 1 else values[[0, 0]]
    places = np.searchsorted(values, edges[1:-1], side="left")
    upto = np.concatenate(([0], ends))[np.concatenate(([0], places, [len(values)]))]
    return {"min": float(values[0]), "max": float(values[-1]), "mean": mean,
            "std": math.sqrt(squares / (total - 1)) if total > 1 else None, "quantiles": quantiles,
            "histogram": {"edges": edges.tolist(), "counts": np.diff(upto).tolist()}}


def _sum(numbers: np.ndarray) -> float:
    """Local: the exactly rounded sum, infinite where it is beyond the range of floats."""
    parts = (numbers[begin : begin + SLICE].tolist() for begin in range(0, len(numbers), SLICE))
    try:
        return math.fsum(itertools.chain.from_iterable(parts))
    except (OverflowError, ValueError):
        return math.inf


def _merge_patterns(world, columns: list) -> dict[str, list]:
    """Collective: every pattern meets on the rank its hash chooses; the most frequent ones there, by column."""
    messages: list[dict] = [{} for _ in range(world.size)]
    for index, column in enumerate(columns):
        if column is None:
            continue
        texts, hashes, counts = group_patterns(*column, SLICE)
        owners = (hashes & OWNER_BITS) % np.uint64(world.size)
        for owner, message in enumerate(messages):
            chosen = np.flatnonzero(owners == owner)
            message[str(index)] = {**texts.take(chosen).to_message(), "counts": counts[chosen]}
    received = world.alltoall(messages)
    best = {}
    for key in received[0]:
        texts = Texts.joined([Texts.from_message(message[key]) for message in received])
        ids, first, _ = texts.group()
        counts = np.bincount(ids, weights=np.concatenate([message[key]["counts"] for message in received]),
                             minlength=len(first)).astype(np.int64)
        best[key] = _top(texts.take(first), counts, TOP_PATTERNS)
    return best


def _column(column: dict, rows: int, kind: str | None, number: dict | None, patterns: list) -> dict:
    """Local: the entry of a column in columns.json, without its name."""
    present = rows - column["missing"]
    patterns = [[text, -count] for count, text in sorted((-count, text) for text, count in patterns)][:TOP_PATTERNS]
    entry = {
        "type": kind or _infer_kind(column, number, patterns, present),
        "rows": rows,
        "nulls": column["missing"],
        "distinct": column["distinct"],
        "unique": column["distinct"] == rows and rows > 0,
        "error": 0.0,  # of distinct, quantiles and all other figures: nothing is sketched
        "entropy_bits": _figures(column["entropy"]),
    }
    if number is not None:
        whole = column["integers"] and abs(number["min"]) < 2**53 and abs(number["max"]) < 2**53
        entry |= {"min": _whole(number["min"], whole), "max": _whole(number["max"], whole),
                  "mean": _figures(number["mean"]), "std": _figures(number["std"]),
                  "quantiles": {name: _figures(value) for name, value in number["quantiles"].items()},
                  "histogram": {"edges": [_figures(edge) for edge in number["histogram"]["edges"]],
                                "counts": number["histogram"]["counts"]}}
    if column["distinct"]:
        entry["length"] = {"min": column["shortest"], "max": column["longest"],
                           "mean": _figures(column["characters"] / present)}
    entry["top"] = [{"value": _shown(text), "count": count} for text, count in column["top"]]
    if patterns:
        entry["patterns"] = [{"pattern": _shown(text), "count": count} for text, count in patterns]
    return entry


def _infer_kind(column: dict, number: dict | None, patterns: list, present: int) -> str:
    if number is not None:
        return "integer" if column["integers"] else "decimal"
    if all(looks_like_date(text) for text, _ in patterns) and 0 < present == sum(count for _, count in patterns):
        return "date"
    if 0 < column["distinct"] <= 2 and all(text.lower() in (b"true", b"false") for text, _ in column["top"]):
        return "boolean"
    return "text"


def _figures(value: float | None) -> float | None:
    """Twelve significant digits: what every host's mathematics library agrees on."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.12g}")


def _whole(value: float, whole: bool) -> int | float:
    return int(value) if whole else value


def _shown(text: bytes) -> str:
    shown = text.decode("utf-8", "replace")
    return shown if len(shown) <= LONGEST_SHOWN else shown[:LONGEST_SHOWN] + "…"
