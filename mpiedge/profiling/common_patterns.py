"""The most frequent patterns of columns, over the distinct values of all ranks."""

from itertools import chain
from typing import NamedTuple

import numpy as np

from mpiedge.kernels import dictionary
from mpiedge.profiling.dealing import add_arrived, messages_of
from mpiedge.profiling.encode import TOGETHER_BYTES, Values, together
from mpiedge.profiling.patterns import group_patterns, patterns_of
from mpiedge.profiling.sketches import SAMPLED_ROWS, HyperLogLog, mixed, standard_error
from mpiedge.profiling.texts import Texts, frequent_message, frequent_of, most_frequent

TOP_PATTERNS = 5
SLICE = 1 << 14

MOST_PATTERNS = 1 << 16
"""Where patterns must not take as much memory as the values: so many are counted exactly, about."""


class Patterns(NamedTuple):
    """Patterns and how many cells have each, the most frequent first; error: of these numbers, in rows."""

    found: list[tuple[bytes, int]]
    error: float = 0.0


def common_patterns(world, columns: dict[int, Values], sampled: dict[int, np.ndarray]) -> dict[int, Patterns]:
    """Collective: the most frequent patterns of columns, on rank 0.

    columns: this rank's share of the distinct values; sampled: the codes of all rows of those columns whose patterns
    must not take much memory: if there are more than MOST_PATTERNS, they are counted in a sample of the rows. Messages:
    registers and sizes (maximum); patterns to the rank that counts them (all-to-all); the best of them (gather).
    """
    large = {index: codes for index, codes in sampled.items() if index in columns and _are_many(world, columns[index])}
    best, every = [], sorted(columns)
    sizes = world.max(np.array([len(columns[index].texts.data) for index in every], np.int64)).tolist()
    for places in together(sizes, TOGETHER_BYTES):
        best += _count(world, [_of_some_rows(columns[index], large[index]) if index in large
                               else (columns[index].texts, columns[index].counts)
                               for index in (every[place] for place in places)])
    gathered = world.gather(frequent_message(best))
    found = zip(*map(frequent_of, gathered)) if gathered else ()
    return {index: _scaled(sorted(chain(*some))[:TOP_PATTERNS], len(large[index]) if index in large else 0)
            for index, some in zip(every, found)}


def _count(world, columns: list[tuple[Texts, np.ndarray]]) -> list[list[tuple[int, bytes]]]:
    """Collective: equal patterns meet on the rank that their hash chooses; the most frequent ones there, by column.

    columns: strings and how often they occur."""
    grouped = [group_patterns(*column, SLICE) for column in columns]
    dealt = dictionary.deal([(patterns.data, patterns.length) for patterns, _ in grouped],
                            dictionary.part_owners(np.ones(world.size)), world.size)
    times = np.concatenate([times for _, times in grouped])
    del grouped
    received = world.alltoall(messages_of(dealt, dealt.counts, times))
    del dealt
    known = [dictionary.new() for _ in columns]
    arrived = add_arrived(known, received)
    sums = arrived.sums([0] * len(known), [len(one) for one in known])
    return [most_frequent(Texts(*one.strings()), counts, TOP_PATTERNS) for one, counts in zip(known, sums)]


def _scaled(found: list[tuple[int, bytes]], rows: int) -> Patterns:
    """Local: of all rows where they were counted in a sample of so many; rows: 0 where all were looked at."""
    taken = min(rows, SAMPLED_ROWS)
    scale = rows / taken if rows else 1
    return Patterns([(text, round(-count * scale)) for count, text in found],
                    standard_error(taken, rows) if rows else 0.0)


def _are_many(world, column: Values) -> bool:
    """Collective: whether a column has more than about MOST_PATTERNS patterns; no more than a slice of them is held."""
    different = HyperLogLog()
    for _, _, part in column.texts.parts(SLICE):
        different.add(mixed(patterns_of(part.take(np.flatnonzero(part.length))).group()[2]))
    different.registers = world.max(different.registers.astype(np.int64)).astype(np.uint8)
    return different.estimate() > MOST_PATTERNS


def _of_some_rows(column: Values, codes: np.ndarray) -> tuple[Texts, np.ndarray]:
    """Local: which of this rank's values some rows have, the same rows on every rank, and how many of them."""
    hashes, rows = np.zeros(0, np.uint64), np.zeros(0, np.int64)
    for begin in range(0, len(codes), SLICE):
        more = np.arange(begin, min(begin + SLICE, len(codes)))
        hashes, rows = np.concatenate([hashes, mixed(more.astype(np.uint64))]), np.concatenate([rows, more])
        order = np.argsort(hashes)[:SAMPLED_ROWS]
        hashes, rows = hashes[order], rows[order]
    wanted, times = np.unique(codes[rows], return_counts=True)
    texts, counts = [], [np.zeros(0, np.int64)]
    for begin, end, part in column.texts.parts(SLICE):
        place = np.minimum(np.searchsorted(wanted, column.codes[begin:end]), len(wanted) - 1)
        chosen = np.flatnonzero(wanted[place] == column.codes[begin:end])
        texts.append(part.take(chosen))
        counts.append(times[place[chosen]])
    return Texts.joined(texts), np.concatenate(counts)
