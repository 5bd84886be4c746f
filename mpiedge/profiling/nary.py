"""Inclusion dependencies between lists of columns, level by level from those between single columns (MIND, De Marchi,
Lopes & Petit 2002): a list can only be included where all its parts are."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from mpiedge.kernels import dictionary
from mpiedge.profiling.encode import Values
from mpiedge.profiling.evidence import share
from mpiedge.profiling.texts import Texts

MOST_CANDIDATES = 100_000
"""Candidates of one level; with more the search ends with the level before."""

BUCKET_ROWS = 1 << 20
"""Rows of both sides whose tuples are compared at once; more are cut by the hash of their tuple."""

MOST_FLAGS = 1 << 22
"""Possible tuples up to which each has a flag; tuples of which there may be more are hashed."""

SLICE_ROWS = 1 << 18
HASH_NS, FLAG_NS = 30.0, 8.0
"""Of a row."""

Pairs = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Side:
    """A column as this search sees it: its table, its codes (rows,), and this rank's share of its distinct values."""

    table: int
    codes: np.ndarray
    values: Values


def discover_nary(world, queue, columns: list[Side], unary: list[tuple[int, int]], largest: int) -> tuple[list, int]:
    """Collective: inclusions between lists of 2 to `largest` columns: lists of (left, right) column pairs, sorted.

    unary: all inclusions between single columns, as pairs of places in `columns`. All columns of a side are of one
    table; they differ, and within a table the sides share none; those on the left ascend. Rows with a missing cell
    among the columns are left out on either side, and every part of a list must be included by itself; a list without
    rows is in none, as a column without values is. Returns the
    inclusions and the number of columns up to which they are complete. Messages: the numbers of the distinct values of
    the columns in candidates (all-gather); results of a level (all-gather).
    """
    level: list[Pairs] = [(pair,) for pair in unary]
    found: list[Pairs] = []
    numbers = None
    for size in range(2, largest + 1):
        candidates = join_level(level, columns)
        if candidates is None:
            return found, size - 1
        if not candidates:
            break
        if numbers is None:
            used = {column for pairs in candidates for pair in pairs for column in pair}
            numbers = number_values(world, columns, used)
        level = _valid(world, queue, columns, numbers, candidates)
        found += level
    return found, largest


def estimate_bytes(rows: int, distinct: float, largest: int) -> float:
    """Local: what this search takes: numbers of `distinct` values in all, and the tuples of a bucket."""
    tuples = min(2 * rows, BUCKET_ROWS + SLICE_ROWS)
    return 20.0 * distinct + 8.0 * largest * (3 * tuples + 2 * SLICE_ROWS) + 16.0 * tuples


def join_level(level: list[Pairs], columns: list[Side]) -> list[Pairs] | None:
    """Local: the candidates one column longer with all parts in `level`, sorted; None when they are too many."""
    known, by_head = set(level), {}
    for pairs in level:
        by_head.setdefault(pairs[:-1], []).append(pairs[-1])
    candidates = []
    for head, tails in by_head.items():
        for one, other in combinations(sorted(tails), 2):
            pairs = (*head, one, other)
            parts = (pairs[:drop] + pairs[drop + 1 :] for drop in range(len(head)))
            if _possible(pairs, columns) and all(part in known for part in parts):
                candidates.append(pairs)
        if len(candidates) > MOST_CANDIDATES:
            return None
    return sorted(candidates)


def _possible(pairs: Pairs, columns: list[Side]) -> bool:
    (a, b), (other_a, other_b) = pairs[-2:]
    if a == other_a or columns[a].table != columns[other_a].table or columns[b].table != columns[other_b].table:
        return False
    left, right = {one for one, _ in pairs}, {one for _, one in pairs}
    return len(right) == len(pairs) and not left & right


def number_values(world, columns: list[Side], used: set[int]) -> dict[int, np.ndarray]:
    """Collective: by column, a number for each code: equal strings of any columns have the same; -1 for missing."""
    used = sorted(used)
    present = [np.flatnonzero(columns[column].values.texts.length > 0) for column in used]
    texts = Texts.joined([columns[column].values.texts.take(chosen) for column, chosen in zip(used, present)])
    ids, first, _ = texts.group()
    own = np.split(ids.astype(np.int64), np.cumsum([len(chosen) for chosen in present])[:-1])
    messages = world.allgather({"distinct": len(first), "columns": [
        {"codes": columns[column].values.codes[chosen], "ids": part}
        for column, chosen, part in zip(used, present, own)]})
    numbers, before = {}, 0
    for column in used:
        codes = columns[column].codes
        numbers[column] = np.full(int(codes.max()) + 1 if len(codes) else 0, -1, np.int64)
    for message in messages:  # a rank owns the strings of its hashes, so its numbers are of its own
        for column, part in zip(used, message["columns"]):
            numbers[column][part["codes"]] = part["ids"] + before
        before += message["distinct"]
    return numbers


def _valid(world, queue, columns, numbers, candidates: list[Pairs]) -> list[Pairs]:
    """Collective: those candidates that hold; a task is a candidate and a bucket of tuples."""
    rows = [len(columns[pairs[0][0]].codes) + len(columns[pairs[0][1]].codes) for pairs in candidates]
    distinct = 1 + max(int(number.max(initial=0)) for number in numbers.values())
    flagged = distinct ** len(candidates[0]) <= MOST_FLAGS
    buckets = [1 if flagged else -(-many // BUCKET_ROWS) for many in rows]
    tasks = [(index, bucket) for index, many in enumerate(buckets) for bucket in range(many)]

    def work(task):
        pairs, bucket = candidates[task[0]], task[1]
        if flagged:
            return (yield from _flagged(pairs, columns, numbers, distinct))
        sides = []
        for side in (1, 0):
            parts = []
            for part in _tuples([columns[pair[side]].codes for pair in pairs], [numbers[pair[side]] for pair in pairs],
                                bucket, buckets[task[0]]):
                parts.append(part)
                yield None
            sides.append(np.concatenate([np.empty((0, len(pairs)), np.int64), *parts]))
        return {"rows": len(sides[1]), "holds": _included(sides[1], sides[0])}

    row_ns = FLAG_NS if flagged else HASH_NS
    results, shared = share(world, queue, tasks, work, lambda task: rows[task[0]] / buckets[task[0]] * row_ns, "lists",
                            even=flagged)
    answers = queue.gather(results) if shared else results
    filled = {task[0] for task, message in answers if message["rows"]}
    broken = {task[0] for task, message in answers if not message["holds"]}
    return [pairs for index, pairs in enumerate(candidates) if index in filled - broken]


def _flagged(pairs: Pairs, columns: list[Side], numbers: dict[int, np.ndarray], distinct: int):
    """Local: a generator: whether all tuples on the left have a flag, which those on the right get, slice by slice."""
    def keys(side: int):
        scaled = [(columns[pair[side]].codes, np.where(numbers[pair[side]] < 0, -there.size,
                                                       numbers[pair[side]] * distinct**place))
                  for place, pair in enumerate(pairs)]
        for begin in range(0, len(scaled[0][0]), SLICE_ROWS):
            key = sum(number[codes[begin : begin + SLICE_ROWS]] for codes, number in scaled)
            yield key[key >= 0]  # the others miss a cell

    there = np.zeros(distinct ** len(pairs), bool)
    for key in keys(1):
        there[key] = True
        yield None
    rows = 0
    for key in keys(0):
        rows += len(key)
        if not there[key].all():
            return {"rows": rows, "holds": False}
        yield None
    return {"rows": rows, "holds": True}


def _tuples(codes: list[np.ndarray], numbers: list[np.ndarray], bucket: int, buckets: int):
    """Local: a generator of tuples (rows, columns) int64 without missing cells, slice by slice, those of one bucket."""
    there = [number >= 0 for number in numbers]
    for begin in range(0, len(codes[0]), SLICE_ROWS):
        some = [column[begin : begin + SLICE_ROWS] for column in codes]
        keep = np.logical_and.reduce([present[column] for column, present in zip(some, there)])
        part = np.column_stack([number[column[keep]] for column, number in zip(some, numbers)])
        if buckets > 1:
            mixed = np.zeros(len(part), np.uint64)
            for column in part.T:
                mixed = (mixed ^ column.astype(np.uint64)) * np.uint64(dictionary.MULTIPLIER)
                mixed ^= mixed >> np.uint64(29)
            part = part[mixed % np.uint64(buckets) == bucket]
        yield part


def _included(left: np.ndarray, right: np.ndarray) -> bool:
    """Local: whether every tuple on the left is there on the right."""
    together = np.concatenate([right, left])
    start = np.arange(len(together), dtype=np.int64) * together.shape[1] * 8
    ids, _, _ = dictionary.group(together.view(np.uint8).reshape(-1), start,
                                 np.full(len(together), together.shape[1] * 8, np.int32))
    return not len(left) or int(ids[len(right) :].max()) <= int(ids[: len(right)].max(initial=-1))
