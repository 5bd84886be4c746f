"""Encoding of small tables, for the tests."""

from mpiedge.profiling.encode import merge
from mpiedge.profiling.local import LocalTable


def encode_arrays(world, blocks: dict, width: int, allowance_bytes=None, spill_ids=False, different=(),
                  **options):
    """(rows, columns) of a table of which this rank has the typed arrays of some blocks, by their position."""
    local = LocalTable(width, allowance_bytes, spill_ids=spill_ids, different=frozenset(different))
    for order, arrays in blocks.items():
        local.add_arrays(order, arrays)
    return merge(world, local, **options)
