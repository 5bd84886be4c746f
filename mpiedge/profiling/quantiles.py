"""Exact quantiles and histograms of numbers that are spread over the ranks, and never brought together.

The numbers are counted in buckets; where one that holds a quantile is wider than a single number, what lies in it is
counted again in narrower ones. Up to MOST_BUCKETS different numbers need one round, others two as a rule, at most six.
"""

from typing import NamedTuple

import numpy as np

from mpiedge.profiling.facts import Facts
from mpiedge.profiling.numbers import Buckets, edges_between, in_bins, positions, to_keys, to_values

MOST_BUCKETS = 1 << 14
"""Of a rank and column in one message."""

TOGETHER = 16
"""Columns whose buckets are exchanged together."""

SLICE = 1 << 16
LAST_KEY = (1 << 64) - 1


class Numbers(NamedTuple):
    """This rank's distinct numbers of a column (float64, NaN where one is missing) and how often each occurs."""

    values: np.ndarray
    counts: np.ndarray

    def slices(self):
        """Local: yields some numbers and their counts, one part after another."""
        for begin in range(0, len(self.values), SLICE):
            values = self.values[begin : begin + SLICE]
            there = values == values
            yield values[there], self.counts[begin : begin + SLICE][there]


class _Wanted(NamedTuple):
    """A number that is looked for: its place in the order of all, the first and last key it may have, and how many
    numbers lie below these."""

    position: int
    first: int = 0
    last: int = LAST_KEY
    before: int = 0

    def narrowed(self, buckets: Buckets) -> "_Wanted":
        """Local: the same within one bucket."""
        begin = int(np.searchsorted(buckets.keys, np.uint64(self.first >> buckets.shift)))
        end = int(np.searchsorted(buckets.keys, np.uint64(self.last >> buckets.shift), side="right"))
        upto = self.before + np.cumsum(buckets.counts[begin:end])
        place = int(np.searchsorted(upto, self.position, side="right"))
        return _Wanted(self.position, *buckets.bounds(begin + place), int(upto[place - 1]) if place else self.before)


def describe_numbers(world, columns: dict[int, Numbers], facts: dict[int, Facts]) -> dict[str, dict]:
    """Collective: quantiles (linear) and histograms of columns, by number as text; every column on one rank.

    columns: this rank's numbers; facts: of all ranks', the same everywhere. Messages: buckets and bins to the owner of
    the column (all-to-all), and which buckets to look into (all-gather), a few columns at a time.
    """
    described = {}
    every = sorted(columns)
    for begin in range(0, len(every), TOGETHER):
        described |= _describe_some(world, {key: columns[key] for key in every[begin : begin + TOGETHER]}, facts)
    return described


def _describe_some(world, columns: dict[int, Numbers], facts: dict[int, Facts]) -> dict[str, dict]:
    edges = {key: edges_between(facts[key].moments.low, facts[key].moments.high) for key in columns}
    bins = {str(key): sum((in_bins(edges[key], *part) for part in columns[key].slices()),
                          np.zeros(len(edges[key]) - 1, np.int64)) for key in columns}
    own = [key for key in columns if key % world.size == world.rank]
    wanted = {key: {place: _Wanted(place) for _, low, high, _ in positions(facts[key].moments.count)
                    for place in (low, high)} for key in own}
    received = world.alltoall([{key: one for key, one in bins.items() if int(key) % world.size == rank}
                               for rank in range(world.size)])
    histograms = {key: sum(message[str(key)] for message in received) for key in own}
    asked: dict[str, list | None] = {str(key): None for key in columns}
    while asked:
        found = _count(world, {int(key): columns[int(key)] for key in asked}, asked)
        for key, buckets in found.items():
            wanted[key] = {place: one if one.first == one.last else one.narrowed(buckets)
                           for place, one in wanted[key].items()}
        unclear = {str(key): sorted({(one.first, one.last) for one in wanted[key].values() if one.first < one.last})
                   for key in own}
        ranges = {key: np.array(some, np.uint64) for key, some in unclear.items() if some}
        asked = {key: some for message in world.allgather(ranges) for key, some in message.items()}
    return {str(key): {"quantiles": _quantiles(wanted[key], facts[key].moments.count),
                       "histogram": {"edges": edges[key].tolist(), "counts": histograms[key].tolist()}} for key in own}


def _count(world, columns: dict[int, Numbers], ranges: dict[str, np.ndarray | None]) -> dict[int, Buckets]:
    """Collective: the buckets of the columns this rank owns, over the numbers within some ranges of keys, None: all."""
    messages: list[dict] = [{} for _ in range(world.size)]
    for key, numbers in columns.items():
        buckets, some = Buckets(MOST_BUCKETS), ranges[str(key)]
        for values, counts in numbers.slices():
            keys = to_keys(values)
            if some is not None:
                place = np.searchsorted(some[:, 1], keys)
                inside = np.flatnonzero((place < len(some)) & (keys >= some[np.minimum(place, len(some) - 1), 0]))
                keys, counts = keys[inside], counts[inside]
            buckets.add(keys, counts)
        messages[key % world.size][str(key)] = {"shift": buckets.shift, "keys": buckets.keys, "counts": buckets.counts}
    found: dict[int, Buckets] = {}
    for message in world.alltoall(messages):
        for key, part in message.items():
            found.setdefault(int(key), Buckets(MOST_BUCKETS)).merge(part["shift"], part["keys"], part["counts"])
    return found


@np.errstate(over="ignore", invalid="ignore")
def _quantiles(found: dict[int, _Wanted], total: int) -> dict[str, float]:
    value = {place: to_values(np.array([one.first], np.uint64))[0] for place, one in found.items()}
    return {name: float(value[low] + (value[high] - value[low]) * beyond) for name, low, high, beyond in
            positions(total)}
