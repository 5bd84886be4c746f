"""Column sets of all ranks are in order on every rank, however they came there and wherever they lie."""

import numpy as np
import pytest

from mpiedge.kernels import bits
from mpiedge.profiling import room
from mpiedge.profiling.room import Pile, Room, gather_sets, joined


@pytest.mark.parametrize("shared_bytes", [0, 1 << 60])
@pytest.mark.parametrize("most_bytes", [None, 0, 1 << 30])
@pytest.mark.parametrize("words", [1, 2])
def test_sets_of_all_ranks(world, shared_tmp_path, monkeypatch, shared_bytes, most_bytes, words):
    """Held together or sent, in memory or in files: piles are sorted, lie one behind the other, and are let go."""
    monkeypatch.setattr(room, "SHARED_BYTES", shared_bytes)
    monkeypatch.setattr(room, "PASS_BYTES", 1 << 16)
    drawn = np.random.default_rng(7).integers(0, 1 << 40, (60_000, words)).astype(np.uint64)
    expected = [drawn[:40_000], drawn[:0], drawn[40_000:40_005], drawn[40_005:]]
    place, piles = Room(most_bytes, shared_tmp_path), [Pile(words, Room()) for _ in expected]
    for pile, sets in zip(piles, expected):
        own = sets[world.rank :: world.size]
        for lot in (own[:9], own[9:]):
            pile.add(lot[bits.order(lot)])
    gathered = gather_sets(world, piles, words, place)
    for sets, wanted in zip(gathered, expected):
        assert np.array_equal(sets, wanted[bits.order(wanted)])
    whole, views = joined(gathered, words, place)
    assert np.array_equal(whole, np.concatenate(views)) and len(whole) == len(drawn)
    assert np.shares_memory(whole, gathered[0]) and np.shares_memory(whole, views[3])
    assert (place.held > 0) == bool(most_bytes)
    del sets, gathered, whole, views
    assert place.held == 0
