"""Lists of all ranks, and numbers given out by turns."""

import numpy as np
import pytest

from mpiedge.kernels.pages import can_count
from mpiedge.runtime import lists
from mpiedge.runtime.counter import Counter
from mpiedge.runtime.lists import gather_lists


@pytest.mark.parametrize("most", [0, 1 << 20])
def test_lists_of_all_ranks(world, monkeypatch, most):
    """Each rank has the rows of all, of any number, as plain bytes and as messages."""
    monkeypatch.setattr(lists, "PLAIN_BYTES", most)
    found = gather_lists(world, np.full((world.rank, 2), world.rank, np.uint64))
    assert [one.shape for one in found] == [(rank, 2) for rank in range(world.size)]
    assert all((one == rank).all() and one.dtype == np.uint64 for rank, one in enumerate(found))


@pytest.mark.skipif(not can_count(), reason="needs the compiled kernels")
def test_numbers_are_given_once(world):
    """Ranks of a host that count together get each number below the end once."""
    counter = Counter(world)
    own = np.array(list(counter.below(500)), np.int64)
    together = np.concatenate([one for rank, one in enumerate(gather_lists(world, own)) if rank in world.node_ranks])
    assert sorted(together.tolist()) == list(range(500))
    world.barrier()
