"""Sums of gradient vectors over the ranks, plain and compressed."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mpiedge.errors import UsageError
from mpiedge.runtime import choose as choice
from mpiedge.runtime.allreduce import Allreduce
from mpiedge.runtime.choose import CANDIDATES, Link, choose, choose_rows, reducer
from mpiedge.runtime.compress import compressor


def vector(seed: int, rank: int, length: int, scale: float = 1.0) -> np.ndarray:
    """A normal vector that any rank can draw for any other."""
    return (np.random.default_rng([seed, rank]).normal(size=length) * scale).astype(np.float32)


@pytest.mark.parametrize("name", ["none", "fp16", "int8"])
@given(length=st.integers(0, 500), seed=st.integers(0, 99), exponent=st.integers(-30, 30))
@settings(max_examples=25)
@example(length=1, seed=0, exponent=0)
def test_sum(world, name, length, seed, exponent):
    """The result is the sum, to the compressor's precision at any magnitude, and bit for bit the same on all ranks."""
    parts = [vector(seed, rank, length, 2.0**exponent) for rank in range(world.size)]
    mine = parts[world.rank].copy()
    Allreduce(world, name)(mine)
    exact = np.sum(parts, axis=0, dtype=np.float64) if length else np.zeros(0)
    bound = np.abs(parts).max(initial=0) * world.size * {"none": 1e-6, "fp16": 2e-3, "int8": 2e-2}[name]
    assert np.abs(mine - exact).max(initial=0) <= bound
    if name != "none":
        assert all(np.array_equal(mine, other) for other in world.allgather(mine))


def test_fp16_halves_the_bytes(world):
    """A large vector costs about half of what it would cost uncompressed."""
    reduce = Allreduce(world, "fp16")
    reduce(vector(1, world.rank, 100_000))
    assert world.size == 1 or 1.9 < reduce.ratio <= 2.0


@pytest.mark.parametrize(("name", "least"), [("int8", 3.8), ("topk:0.01", 45)])
def test_bytes_saved(world, name, least):
    """int8 and top-k send as few bytes as they promise, counted at the messages."""
    reduce = Allreduce(world, name)
    reduce(vector(1, world.rank, 100_000))
    assert world.size == 1 or reduce.ratio > least


def test_auto_compresses_nothing_without_a_reason(world):
    """Ranks of one host compress nothing; of several, all choose the same, whatever each has measured."""
    assert world.nodes == 1 and choose(world, [(1000, 100)])[0] == "none"
    assert choose_rows(world, None, 100, 16)[0] == "fp32"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world, "nodes", 2)
        name, why, _ = choose(world, [(8, 7), (8,)])
    assert name in ("none", *CANDIDATES) and all(other == [name, why] for other in world.allgather([name, why]))


@pytest.mark.parametrize(("numbers_per_s", "rows"), [(1e5, "int8"), (1e12, "fp32")])
def test_auto_on_slow_and_fast_links(world, monkeypatch, numbers_per_s, rows):
    """On a slow link auto sends at most a twentieth of a wide gradient and bytes for rows; on a fast one it
    changes nothing."""
    if world.size == 1:
        pytest.skip("one rank sends nothing")
    monkeypatch.setattr(world, "nodes", 2)
    monkeypatch.setattr(choice, "measure_link", lambda world, length: Link(1e-4, numbers_per_s))
    shapes = [(1000, 128), (128,), (128, 7), (7,)]
    name, why, link = choose(world, shapes)
    assert choose_rows(world, link, 5000, 16)[0] == rows and "ms" in why
    reduce = reducer(world, name, shapes)
    reduce(vector(1, world.rank, 1000 * 128 + 128 * 8 + 7))
    assert (reduce.ratio >= 20) == (rows == "int8") and (name == "none") == (rows == "fp32")


def test_another_way_goes_on_with_what_was_lost(world):
    """Whatever ways follow each other, all that was handed in arrives in the end: the last one, plain, makes up."""
    exact, total, reduce = np.zeros(300), np.zeros(300), None
    for name in ("int8", "powersgd:2", "topk:0.1", "none"):
        before, reduce = reduce, reducer(world, name, [(20, 15)])
        if before is not None:
            reduce.adopt(before)
        parts = [vector(4, rank, 300) for rank in range(world.size)]
        mine, exact = parts[world.rank].copy(), exact + np.sum(parts, axis=0, dtype=np.float64)
        reduce(mine)
        total += mine
    np.testing.assert_allclose(total, exact, atol=1e-4)
    assert reduce.lost() == {} and reduce.plain_bytes > 0


SHAPES = [(40, 12), (12,), (6, 3), (3,)]  # the third is too small to pay
LENGTH = 40 * 12 + 12 + 6 * 3 + 3


def test_low_rank_matrices_arrive_exactly(world):
    """PowerSGD gives a sum whose rank is not above its own as it is, and vectors always; fewer bytes than plain."""
    random = np.random.default_rng(5)
    left, right = random.normal(size=(40, 2)), random.normal(size=(world.size, 2, 12))
    parts = [vector(3, rank, LENGTH) for rank in range(world.size)]
    for rank, part in enumerate(parts):
        part[:480] = (left @ right[rank]).reshape(-1)
    mine, reduce = parts[world.rank].copy(), reducer(world, "powersgd:2", SHAPES)
    reduce(mine)
    np.testing.assert_allclose(mine, np.sum(parts, axis=0), atol=1e-4)
    assert world.size == 1 or reduce.ratio == pytest.approx(LENGTH / (2 * 52 + LENGTH - 480))


def test_low_rank_of_zeros_and_of_what_is_no_number(world):
    """Zeros stay zeros; infinite values spoil the result, so that training notices."""
    mine = np.zeros(LENGTH, np.float32)
    reducer(world, "powersgd:2", SHAPES)(mine)
    assert not mine.any()
    mine[7] = np.inf
    reducer(world, "powersgd:2", SHAPES)(mine)
    assert not np.isfinite(mine).all()
    with pytest.raises(TypeError):
        reducer(world, "powersgd:2", SHAPES)(mine[:-1])


@pytest.mark.parametrize("name", ["fp16", "int8", "topk:0.1", "powersgd:2"])
def test_error_feedback(world, name):
    """With feedback the mean of many lossy sums of one vector is far closer to the exact sum than a single one."""
    exact = np.sum([vector(2, rank, 300) for rank in range(world.size)], axis=0, dtype=np.float64)
    reduce = reducer(world, name, [(20, 15)])
    first, total = None, np.zeros(300)
    for _ in range(120):
        mine = vector(2, world.rank, 300)
        reduce(mine)
        first = mine if first is None else first
        total += mine
    assert np.abs(total / 120 - exact).max() < np.abs(first - exact).max() / 10


def test_what_was_lost_moves_to_other_ranks(world):
    """What is kept of two ranks weighs the same when any number of ranks goes on with it."""
    kept = {"residuals": np.stack([vector(1, rank, 40) for rank in range(2)]), "sum_residual": vector(1, 2, 40)}
    reduce = Allreduce(world, "int8")
    reduce.restore(kept)
    everything = world.sum(reduce.residual)
    np.testing.assert_allclose(everything, kept["residuals"].sum(axis=0), atol=1e-6)
    again = reduce.gather_lost(reduce.lost())
    if world.is_root:
        np.testing.assert_array_equal(again["sum_residual"], kept["sum_residual"])
    other = reducer(world, "powersgd:2", [(8, 5)])
    other.restore(kept)
    everything = world.sum(other.residual)
    np.testing.assert_allclose(everything, kept["residuals"].sum(axis=0) + kept["sum_residual"], atol=1e-6)


def test_values_that_are_no_numbers(world):
    """Infinite and undefined values arrive as such: training must notice them."""
    for bad in (np.inf, np.nan):
        mine = np.ones(40, np.float32)
        mine[7] = bad
        for name in ("fp16", "int8", "topk:0.1"):
            sent = mine.copy()
            Allreduce(world, name)(sent)
            assert not np.isfinite(sent[7])


def test_wrong_use(world):
    """Other dtypes, float64 with compression and unknown compressors are refused."""
    with pytest.raises(TypeError):
        Allreduce(world)(np.zeros(3, np.float16))
    with pytest.raises(TypeError):
        Allreduce(world, "int8")(np.zeros(3))
    with pytest.raises(UsageError, match="fp16"):
        compressor("zip")
