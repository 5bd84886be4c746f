"""Features that lie on the ranks that encoded them come to those that need them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpiedge.graph import spread
from mpiedge.graph.sparse import SparseRows, from_triplets
from mpiedge.graph.spread import SpreadRows

COLUMNS = 7


def rows_of(random, count: int) -> SparseRows:
    """Random sparse rows, some of them empty."""
    entries = random.integers(0, 3 * count + 1)
    return from_triplets(random.integers(0, max(count, 1), entries), random.integers(0, COLUMNS, entries),
                         random.uniform(1, 2, entries), (count, COLUMNS))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), sizes=st.lists(st.integers(0, 40), max_size=6))
def test_every_rank_takes_any_rows(world, seed, sizes):
    """Chunks of any size on any rank; rows wanted in any order, none or twice, more than go in one pass."""
    random = np.random.default_rng(seed)
    chunks = [rows_of(random, size) for size in sizes]
    whole = np.concatenate([np.zeros((0, COLUMNS), np.float32), *(chunk.dense() for chunk in chunks)])
    holder = random.integers(0, world.size, len(sizes))
    features = SpreadRows(world, {number: chunk for number, chunk in reversed(list(enumerate(chunks)))
                                  if holder[number] == world.rank}, len(sizes), COLUMNS)
    assert (features.rows, features.entries) == (len(whole), sum(chunk.entries for chunk in chunks))
    assert not world.is_root or features.lengths.tolist() == (whole != 0).sum(axis=1).tolist()
    nodes = np.random.default_rng([seed, world.rank]).integers(0, max(len(whole), 1), 50 if len(whole) else 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spread, "PASS_ROWS", 16)
        assert np.array_equal(features.take(nodes[: 10 * world.rank]).dense(), whole[nodes[: 10 * world.rank]])
    gathered = features.gather_root()
    assert np.array_equal(gathered.dense(), whole) if world.is_root else gathered is None


def test_a_chunk_that_no_rank_has_is_told(world):
    """It is an error of the program, not an empty row."""
    with pytest.raises(ValueError, match="lost"):
        SpreadRows(world, {}, 1, COLUMNS)
