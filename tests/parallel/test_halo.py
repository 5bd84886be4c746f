"""The halo exchange on any number of ranks: rows arrive where they belong, by messages and in shared memory."""

import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1]))
from graphs import random_graph

from mpiedge.graph import part as parts
from mpiedge.graph import partition
from mpiedge.graph.build import adjacency
from mpiedge.graph.halo import HaloExchange
from mpiedge.graph.shared_halo import SharedRows


def scattered(world, graph, method="hash", seed=0):
    """This rank's part of a graph that rank 0 cut."""
    neighbours = adjacency(graph.edges, graph.nodes)
    owner = partition.partition(neighbours, np.ones(world.size), method, seed)
    split = graph.splits["column:role"]
    return parts.scatter(world, parts.cut(graph, neighbours, owner, split, world.size) if world.is_root else None)


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(1, 50), st.integers(0, 150), st.integers(1, 5))
def test_owners_rows_arrive(world, seed, nodes, edges, width):
    """Every halo row equals the row its owner holds, again and again with the same buffers."""
    part = scattered(world, random_graph(seed, nodes=nodes, edges=edges))
    exchange, shared = HaloExchange(world, part), SharedRows(world, part)
    for factor in range(1, 5):
        rows = (factor * part.nodes[: part.owned, None] + np.arange(width)).astype(np.float32)
        expected = factor * part.nodes[part.owned :, None] + np.arange(width)
        exchange.start(rows)
        exchange.progress()
        np.testing.assert_array_equal(exchange.finish(width), expected)
        shared.room(width)[:] = rows
        np.testing.assert_array_equal(shared.share(width)[shared.places], np.concatenate([rows, expected]))


def test_late_readers_see_the_rows_they_waited_for(world):
    """A rank that is late in reading shared rows finds those of this exchange, not of a later one."""
    part = scattered(world, random_graph(2))
    shared = SharedRows(world, part)
    for turn in range(12):
        shared.room(2)[:] = turn
        rows = shared.share(2)
        if turn % world.size == world.rank:
            time.sleep(0.01)
        assert (rows[shared.places] == turn).all()


def test_bytes_are_counted(world):
    """The bytes counted per exchange are those of the rows sent."""
    part = scattered(world, random_graph(1))
    exchange = HaloExchange(world, part)
    before = world.bytes_sent
    exchange.start(np.zeros((part.owned, 4), np.float32))
    exchange.finish(4)
    assert world.bytes_sent - before == 16 * part.send_counts.sum()


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(-60, 60))
def test_rows_in_fewer_bytes(world, seed, width, exponent):
    """fp16 and int8 arrive within their precision, in the bytes promised, and the same when seeded alike."""
    part = scattered(world, random_graph(seed))
    random = np.random.default_rng(seed)
    whole = (random.normal(size=(60, width)) * 2.0**exponent).astype(np.float32)
    whole[random.random(60) < 0.2] = 0
    rows, expected = whole[part.nodes[: part.owned]], whole[part.nodes[part.owned :]]
    largest = np.abs(expected).max(axis=1, initial=0)[:, None]
    near = np.abs(whole).max()  # narrow rows share a scale
    for name, error in (("fp16", 2**-10 * largest), ("int8", 2.01 / 127 * (largest if width >= 8 else near))):
        exchange, before = HaloExchange(world, part, name), world.bytes_sent
        found = []
        for _ in range(2):
            exchange.begin(seed, 1)
            exchange.start(rows)
            found.append(exchange.finish(width).copy())
        assert (np.abs(found[0] - expected) <= error).all()
        np.testing.assert_array_equal(*found)
        sent = (world.bytes_sent - before) / 2
        assert sent == sum(exchange.form.size(int(count), width) for count in part.send_counts)
        assert sent <= len(part.send_rows) * width * (9 / 8 if name == "int8" else 3) + world.size


def test_bytes_are_right_in_the_mean(world):
    """Rounding at random: the mean of many exchanges is far closer to the rows than a single one."""
    part = scattered(world, random_graph(3))
    whole = np.random.default_rng(1).normal(size=(60, 4)).astype(np.float32)
    exchange, total = HaloExchange(world, part, "int8"), 0
    for turn in range(200):
        exchange.begin(5, turn)
        exchange.start(whole[part.nodes[: part.owned]])
        total = total + exchange.finish(4)
    np.testing.assert_allclose(total / 200, whole[part.nodes[part.owned :]], atol=0.006)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_bad_rows_are_seen(world, bad):
    """What is no number does not become one on the way."""
    part = scattered(world, random_graph(3))
    for name in ("fp16", "int8"):
        exchange = HaloExchange(world, part, name)
        exchange.start(np.full((part.owned, 3), bad, np.float32))
        assert not np.isfinite(exchange.finish(3)).any()
