"""Exact statistics of columns from their dictionaries (distinct values and counts); no second pass over the rows.

Each rank describes its share of the distinct values. Counts, lengths, sums and top values merge exactly, and quantiles
are found without bringing the numbers together, so no figure depends on the number of ranks.
"""

import math
from itertools import accumulate, pairwise

import numpy as np

from mpiedge.profiling.common_patterns import TOP_PATTERNS, Patterns, common_patterns
from mpiedge.profiling.encode import Values
from mpiedge.profiling.facts import Facts
from mpiedge.profiling.patterns import looks_like_date
from mpiedge.profiling.quantiles import Numbers, describe_numbers
from mpiedge.profiling.room import Room
from mpiedge.profiling.sketches import STANDARD_ERROR, ColumnSketch, standard_error
from mpiedge.profiling.texts import frequent_message, frequent_of, most_frequent

TOP_VALUES = 10
LONGEST_SHOWN = 200
SLICE = 1 << 14
"""Strings looked at together: bounds the temporary arrays."""

FEW = 1 << 12
"""Counts below this are counted by their place, larger ones are rare."""

def describe_columns(world, columns: list[Values], rows: list[int], kinds: list[str | None],
                     room: Room | None = None, sampled: dict[int, np.ndarray] | None = None) -> list[dict]:
    """Collective: statistics of all columns on rank 0 (an empty list elsewhere).

    columns: this rank's share of every column's distinct values; rows: of each column's table; kinds: the declared kind
    (text, integer, decimal, date, boolean) or None to infer it; room: where the numbers of the columns lie; sampled:
    see `common_patterns`. Messages: facts (all-gather), how many values occur how often, and the top ones (gather);
    see also `describe_numbers` and `common_patterns`.
    """
    shares, numbers = [], {}
    for index, (column, kind) in enumerate(zip(columns, kinds)):
        share, values = _share(column, kind in (None, "integer", "decimal"), room or Room())
        shares.append(share)
        numbers[index] = Numbers(values, column.counts)
    known = world.allgather([share.pop("facts") for share in shares])
    facts = [Facts.merged([some[index] for some in known]) for index in range(len(columns))]
    numeric = {index: one for index, one in enumerate(facts) if one.numeric and one.moments.count > 0}
    described = describe_numbers(world, {index: numbers[index] for index in numeric}, numeric)
    patterns = common_patterns(world, {index: column for index, column in enumerate(columns) if index not in numeric},
                               sampled or {})
    gathered = world.gather({**_shares_message(shares), "numbers": described})
    if gathered is None:
        return []
    found = {key: number for message in gathered for key, number in message["numbers"].items()}
    merged = [_merge_shares(*one) for one in zip(facts, *map(_shares_of, gathered))]
    return [_column(column, rows[index], kinds[index], found.get(str(index)), patterns.get(index, Patterns([])))
            for index, column in enumerate(merged)]


def describe_sketch(sketch: ColumnSketch, rows: int, kind: str | None) -> dict:
    """Local: the statistics of a column of which only a sketch was kept."""
    facts, sample = sketch.facts, sketch.sample
    numeric = facts.numeric and facts.moments.count > 0
    number, errors = sketch.numbers() if numeric else (None, {})
    patterns = Patterns([])
    if not numeric:
        kind = kind or ("date" if sketch.forms else "text")
        patterns = Patterns([(text, sample.scaled(count, rows)) for text, count in sample.patterns(TOP_PATTERNS)],
                            standard_error(len(sample.hashes), rows))
    present = rows - facts.missing
    column = {
        "facts": facts, "entropy": None,
        "distinct": min(max(round(sketch.distinct.estimate()), min(present, 1)), present),
        "unique": False if facts.missing or sample.repeats else None,
        "top": [(text, sample.scaled(count, rows)) for text, count in sample.frequent(TOP_VALUES)],
        "errors": {"distinct": STANDARD_ERROR, "top": standard_error(len(sample.hashes), rows), **errors},
    }
    return _column(column, rows, kind, number, patterns)


def _share(column: Values, may_be_numbers: bool, room: Room) -> tuple[dict, np.ndarray]:
    """Local: what this rank's share of a column adds to its description, and its values as numbers (NaN: missing), no
    values when one of them is no number."""
    facts = Facts(may_be_numbers)
    values = room.empty(len(column.counts) if may_be_numbers else 0, np.float64)
    often, rare, top, distinct = np.zeros(0, np.int64), [], [], 0
    for begin, end, texts in column.texts.parts(SLICE):
        counts, there = column.counts[begin:end], slice(None)
        if not texts.length.all():
            there = np.flatnonzero(texts.length)
            facts.missing += int(counts[texts.length == 0].sum())
            texts, counts = texts.take(there), counts[there]
        found = facts.add(texts, counts)
        if found is not None:
            values[begin:end] = np.nan
            values[begin:end][there] = found
        distinct += len(texts)
        top = sorted([*top, *most_frequent(texts, counts, TOP_VALUES)])[:TOP_VALUES]
        few = counts < FEW
        if not few.all():
            rare.append(counts[~few])
            counts = counts[few]
        more = np.bincount(counts, minlength=len(often))
        more[: len(often)] += often
        often = more
    found = np.flatnonzero(often)
    keys, times = np.unique(np.concatenate(rare), return_counts=True) if rare else (found[:0], found[:0])
    return {"facts": facts.to_message(), "distinct": distinct, "frequencies": np.concatenate([found, keys]),
            "times": np.concatenate([often[found], times]), "top": top}, values if facts.numeric else values[:0]


def _shares_message(shares: list[dict]) -> dict:
    """Local: what this rank knows of all columns, as few arrays to travel between ranks."""
    return {"distinct": [share["distinct"] for share in shares], "many": [len(share["times"]) for share in shares],
            **{name: np.concatenate([np.zeros(0, np.int64), *(share[name] for share in shares)])
               for name in ("frequencies", "times")}, "top": frequent_message([share["top"] for share in shares])}


def _shares_of(message: dict) -> list[dict]:
    """Local: the inverse of `_shares_message`."""
    bounds = pairwise([0, *accumulate(message["many"])])
    return [{"distinct": distinct, "frequencies": message["frequencies"][begin:end],
             "times": message["times"][begin:end], "top": top}
            for distinct, (begin, end), top in zip(message["distinct"], bounds, frequent_of(message["top"]))]


def add_up(keys: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Local: the different keys, ascending, with the sums of their counts."""
    keys, inverse = np.unique(keys, return_inverse=True)
    return keys, np.bincount(inverse, counts, minlength=len(keys)).astype(np.int64)


def _merge_shares(facts: Facts, *shares: dict) -> dict:
    """Local: one description out of the facts of all ranks and their shares."""
    frequencies, times = add_up(*(np.concatenate([share[name] for share in shares])
                                  for name in ("frequencies", "times")))
    top = sorted(one for share in shares for one in share["top"])[:TOP_VALUES]
    return {
        "facts": facts,
        "distinct": sum(share["distinct"] for share in shares),
        "entropy": _entropy(frequencies.tolist(), times.tolist()),
        "top": [(text, -count) for count, text in top],
    }


def _entropy(frequencies: list[int], times: list[int]) -> float:
    """Bits per present value, from how many values occur how often."""
    total = sum(frequency * count for frequency, count in zip(frequencies, times))
    return math.fsum(-count * (frequency / total) * math.log2(frequency / total)
                     for frequency, count in zip(frequencies, times)) + 0.0


def _column(column: dict, rows: int, kind: str | None, number: dict | None, patterns: Patterns) -> dict:
    """Local: the entry of a column in columns.json, without its name; `error` is that of `distinct`, and `errors` are
    those of all figures that are estimated."""
    facts = column["facts"]
    present = rows - facts.missing
    errors = {**column.get("errors", {}), "patterns": patterns.error}
    errors = {name: error for name, error in errors.items() if error}
    entry = {
        "type": kind or _infer_kind(column, number, patterns.found, present),
        "rows": rows,
        "nulls": facts.missing,
        "distinct": column["distinct"],
        "unique": column.get("unique", column["distinct"] == rows and rows > 0),
        "error": _figures(errors.get("distinct", 0.0)),
        "entropy_bits": _figures(column["entropy"]),
    }
    if errors:
        entry["errors"] = {name: _figures(error) for name, error in errors.items()}
    if number is not None:
        moments = facts.moments
        whole = facts.integers and max(abs(moments.low), abs(moments.high)) < 2**53
        entry |= {"min": _whole(moments.low, whole), "max": _whole(moments.high, whole),
                  "mean": _finite(moments.mean), "std": _finite(moments.std),
                  "quantiles": {name: _finite(value) for name, value in number["quantiles"].items()},
                  "histogram": {"edges": [_finite(edge) for edge in number["histogram"]["edges"]],
                                "counts": number["histogram"]["counts"]}}
    if column["distinct"]:
        entry["length"] = {"min": facts.shortest, "max": facts.longest,
                           "mean": _figures(facts.characters / present)}
    entry["top"] = [{"value": _shown(text), "count": count} for text, count in column["top"]]
    if patterns.found:
        entry["patterns"] = [{"pattern": _shown(text), "count": count} for text, count in patterns.found]
    return entry


def _infer_kind(column: dict, number: dict | None, patterns: list, present: int) -> str:
    if number is not None:
        return "integer" if column["facts"].integers else "decimal"
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


def _finite(value: float | None) -> float | None:
    """All digits: what takes no such library is the same on every host."""
    return value if value is not None and math.isfinite(value) else None


def _whole(value: float, whole: bool) -> int | float:
    return int(value) if whole else value


def _shown(text: bytes) -> str:
    shown = text.decode("utf-8", "replace")
    return shown if len(shown) <= LONGEST_SHOWN else shown[:LONGEST_SHOWN] + "…"
