"""What a search for dependencies takes in memory: with all rows there, and in parts."""

from mpiedge.kernels import bits
from mpiedge.kernels.evidence import needed_bytes
from mpiedge.profiling.evidence import COMPACT

PARTITION_BYTES = 32 << 20  # partitions of prefixes that a search in memory keeps
BINS = 1 << 20  # values, or hashes of values, that a grouping tells apart
SLICE_ROWS = 1 << 17  # of the columns that stream by
LEAST_ROWS = 1 << 14  # of a part


def tile_bytes(cardinalities: list[int]) -> int:
    """Local: bytes of one row of the tile over active columns with so many values."""
    used = [needed_bytes(one) for one in cardinalities]
    if sum(used) <= 64:
        return -(-sum(used) // 16) * 16
    return sum(-(-sum(one > plane for one in used) // 16) * 16 for plane in range(4))


def seen_bytes(rows: int, active: int, columns: int) -> int:
    """Local: bytes of the difference sets seen among so many rows."""
    seen = (1 << active) // 8 if active <= 24 else (1 << 18) * bits.words_for(active)
    different = min(rows * rows // 2, 1 << min(active, 62), COMPACT)
    return seen + different * bits.words_for(columns) * (8 if active <= 24 else 40)


def estimate_bytes(rows: int, cardinalities: list[int], columns: int | None = None,
                   node_ranks: int = 1) -> int:
    """Local: bytes one rank needs to discover the dependencies of a table in memory, beyond the codes of the caller.

    cardinalities: distinct values per column, of which `columns` (all by default) are used; node_ranks: ranks of this
    host, which share a row tile. Counts the tile, kept partitions, those on the stack of the walk, and what was seen.
    Codes are counted as given in the narrowest type.
    """
    active = [int(one) for one in list(cardinalities)[:columns] if one > 1]
    partitions = min(3 * len(active) * rows, max(PARTITION_BYTES, 5 * rows))
    stack = 12 * rows + 8 * max(active, default=0)
    seen = seen_bytes(rows, len(active), len(cardinalities))
    return rows * tile_bytes(active) // node_ranks + partitions + stack + seen + (1 << 20)


def part_rows(rows: int, active: list[int], columns: int, budget_bytes: float) -> int:
    """Local: rows of a part such that the search keeps within `budget_bytes` (at least a few)."""
    return max(LEAST_ROWS, int((budget_bytes - fixed_bytes(rows, active, columns)) / part_row_bytes(active)))


def part_row_bytes(active: list[int]) -> int:
    """Local: bytes for one row of a part: its codes and tile, and the partitions of the walk."""
    codes = sum(1 if one <= 256 else 2 if one <= 65536 else 4 for one in active)
    return codes + tile_bytes(active) + 24


def fixed_bytes(rows: int, active: list[int], columns: int) -> int:
    """Local: bytes that a search in parts needs beside a part: a slice of the columns, what was seen, candidates."""
    return SLICE_ROWS * 32 + 2 * seen_bytes(rows, len(active), columns) + (6 << 20)


def least_bytes(rows: int, cardinalities: list[int], columns: int | None = None) -> int:
    """Local: bytes below which a search in parts cannot go, beside the codes; arguments as of `estimate_bytes`.

    Either a part of a few rows, or the counts of the values of a column, which are taken before."""
    active = [int(one) for one in list(cardinalities)[:columns] if one > 1]
    largest = max(active, default=0)
    counts = 5 * largest + 12 * min(BINS, max(4 * rows, largest))
    return max(counts, fixed_bytes(rows, active, len(cardinalities)) + LEAST_ROWS * part_row_bytes(active))
