"""Exact statistics of columns from their dictionaries (distinct values and counts); no second pass over the rows.

Each rank describes its share of the distinct values. Counts, lengths, sums and top values merge exactly, and quantiles
are found without bringing the numbers together, so no figure depends on the number of ranks.
"""

import heapq
import itertools
import math

import numpy as np

from mpiedge.profiling.encode import OWNER_BITS, Values
from mpiedge.profiling.facts import Facts
from mpiedge.profiling.patterns import group_patterns, looks_like_date
from mpiedge.profiling.quantiles import Numbers, describe_numbers
from mpiedge.profiling.room import Room
from mpiedge.profiling.texts import Texts

TOP_VALUES = 10
TOP_PATTERNS = 5
LONGEST_SHOWN = 200
SLICE = 1 << 14
"""Strings looked at together: bounds the temporary arrays."""

TIES = 1 << 12
"""Equally frequent strings compared at once, as Python objects."""


def describe_columns(world, columns: list[Values], rows: list[int], kinds: list[str | None],
                     room: Room | None = None) -> list[dict]:
    """Collective: statistics of all columns on rank 0 (an empty list elsewhere).

    columns: this rank's share of every column's distinct values; rows: of each column's table; kinds: the declared kind
    (text, integer, decimal, date, boolean) or None to infer it; room: where the numbers of the columns lie. Messages:
    summaries (gather); see `describe_numbers`; patterns to the rank that their hash chooses (all-to-all).
    """
    shares, numbers = [], {}
    for index, (column, kind) in enumerate(zip(columns, kinds)):
        share, values = _share(column, kind in (None, "integer", "decimal"), room or Room())
        shares.append(share)
        numbers[index] = Numbers(values, column.counts)
    gathered = world.allgather(shares)
    merged = [_merge_shares([share[index] for share in gathered]) for index in range(len(columns))]
    facts = {index: column["facts"] for index, column in enumerate(merged)
             if column["facts"].numeric and column["distinct"] > 0}
    described = describe_numbers(world, {index: numbers[index] for index in facts}, facts)
    patterns = _merge_patterns(world, {index: column for index, column in enumerate(columns) if index not in facts})
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


def _share(column: Values, may_be_numbers: bool, room: Room) -> tuple[dict, np.ndarray]:
    """Local: what this rank's share of a column adds to its description, and its values as numbers (NaN: missing), no
    values when one of them is no number."""
    facts = Facts(may_be_numbers)
    values = room.empty(len(column.counts) if may_be_numbers else 0, np.float64)
    frequencies, times, top, distinct = np.zeros(0, np.int64), np.zeros(0, np.int64), [], 0
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
        more, often = np.unique(counts, return_counts=True)
        frequencies, times = add_up(np.concatenate([frequencies, more]), np.concatenate([times, often]))
        top = sorted([*top, *_top(texts, counts, TOP_VALUES)])[:TOP_VALUES]
    return {"facts": facts.to_message(), "distinct": distinct, "frequencies": frequencies, "times": times,
            "top": top}, values if facts.numeric else values[:0]


def add_up(keys: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Local: the different keys, ascending, with the sums of their counts."""
    keys, inverse = np.unique(keys, return_inverse=True)
    return keys, np.bincount(inverse, counts, minlength=len(keys)).astype(np.int64)


def _top(texts: Texts, counts: np.ndarray, many: int) -> list[tuple[int, bytes]]:
    """Local: the most frequent strings, as (less than nothing by their count, string) in ascending order."""
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
    return sorted(best)[:many]


def _merge_shares(shares: list[dict]) -> dict:
    """Local: one description out of all ranks' shares."""
    frequencies, times = add_up(*(np.concatenate([share[name] for share in shares])
                                  for name in ("frequencies", "times")))
    top = sorted((count, text) for share in shares for count, text in share["top"])[:TOP_VALUES]
    return {
        "facts": Facts.merged([share["facts"] for share in shares]),
        "distinct": sum(share["distinct"] for share in shares),
        "entropy": _entropy(frequencies.tolist(), times.tolist()),
        "top": [(text, -count) for count, text in top],
    }


def _entropy(frequencies: list[int], times: list[int]) -> float:
    """Bits per present value, from how many values occur how often."""
    total = sum(frequency * count for frequency, count in zip(frequencies, times))
    return math.fsum(-count * (frequency / total) * math.log2(frequency / total)
                     for frequency, count in zip(frequencies, times)) + 0.0


def _merge_patterns(world, columns: dict[int, Values]) -> dict[str, list]:
    """Collective: every pattern meets on the rank its hash chooses; the most frequent ones there, by column."""
    messages: list[dict] = [{} for _ in range(world.size)]
    for index, column in columns.items():
        texts, hashes, counts = group_patterns(column.texts, column.counts, SLICE)
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
        best[key] = [list(one) for one in _top(texts.take(first), counts, TOP_PATTERNS)]
    return best


def _column(column: dict, rows: int, kind: str | None, number: dict | None, patterns: list) -> dict:
    """Local: the entry of a column in columns.json, without its name."""
    facts = column["facts"]
    present = rows - facts.missing
    patterns = [(text, -count) for count, text in sorted((count, text) for count, text in patterns)][:TOP_PATTERNS]
    entry = {
        "type": kind or _infer_kind(column, number, patterns, present),
        "rows": rows,
        "nulls": facts.missing,
        "distinct": column["distinct"],
        "unique": column["distinct"] == rows and rows > 0,
        "error": 0.0,  # of distinct, quantiles and all other figures: nothing is sketched
        "entropy_bits": _figures(column["entropy"]),
    }
    if number is not None:
        moments = facts.moments
        whole = facts.integers and max(abs(moments.low), abs(moments.high)) < 2**53
        entry |= {"min": _whole(moments.low, whole), "max": _whole(moments.high, whole),
                  "mean": _figures(moments.mean), "std": _figures(moments.std),
                  "quantiles": {name: _figures(value) for name, value in number["quantiles"].items()},
                  "histogram": {"edges": [_figures(edge) for edge in number["histogram"]["edges"]],
                                "counts": number["histogram"]["counts"]}}
    if column["distinct"]:
        entry["length"] = {"min": facts.shortest, "max": facts.longest,
                           "mean": _figures(facts.characters / present)}
    entry["top"] = [{"value": _shown(text), "count": count} for text, count in column["top"]]
    if patterns:
        entry["patterns"] = [{"pattern": _shown(text), "count": count} for text, count in patterns]
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


def _whole(value: float, whole: bool) -> int | float:
    return int(value) if whole else value


def _shown(text: bytes) -> str:
    shown = text.decode("utf-8", "replace")
    return shown if len(shown) <= LONGEST_SHOWN else shown[:LONGEST_SHOWN] + "…"
