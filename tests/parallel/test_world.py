"""Messages and numbers between the ranks arrive whole and in rank order."""

import threading
import time

import numpy as np
import pytest

from mpiedge.runtime import world as world_module
from mpiedge.runtime.wire import pack

THREADS = threading.active_count()  # before a world is made


@pytest.fixture(params=["together", "pieces"])
def way(request, monkeypatch):
    """Both ways a message travels: in one call, and in pieces as very large ones do."""
    if request.param == "pieces":
        monkeypatch.setattr(world_module, "TOGETHER_BYTES", 0)
        monkeypatch.setattr(world_module, "PIECE_BYTES", 1000)


def sample(rank: int) -> dict:
    """A message that depends on the rank, of a different size on each."""
    words = np.array([f"wört {number}" for number in range(rank + 1)], object)
    return {"rank": rank, "numbers": np.arange(700.0 * rank).reshape(-1, 7), "words": words, "none": None}


def same(left: dict, right: dict) -> bool:
    """Whether two samples are equal."""
    arrays = all(np.array_equal(left[name], right[name]) for name in ("numbers", "words"))
    return arrays and left["rank"] == right["rank"] and left["none"] is right["none"]


def test_bcast(world, way):
    """Every rank's message reaches all others unchanged."""
    for root in range(world.size):
        message = world.bcast(sample(root) if world.rank == root else None, root=root)
        assert same(message, sample(root))


def test_gather(world, way):
    """The root, and only the root, has the messages of all ranks in rank order."""
    for root in range(world.size):
        messages = world.gather(sample(world.rank), root=root)
        assert (messages is None) == (world.rank != root)
        assert all(same(message, sample(rank)) for rank, message in enumerate(messages or []))


def test_allgather(world, way):
    """Every rank has the messages of all ranks in rank order."""
    messages = world.allgather(sample(world.rank))
    assert len(messages) == world.size
    assert all(same(message, sample(rank)) for rank, message in enumerate(messages))


def test_allgather_by_host(on_two_hosts, monkeypatch):
    """Where hosts have several ranks messages are the same and cross each link once."""
    world = on_two_hosts
    monkeypatch.setattr(world_module, "SMALL_BYTES", 10)
    messages = world.allgather(sample(world.rank))
    assert [message["rank"] for message in messages] == list(range(world.size))
    assert all(same(message, sample(rank)) for rank, message in enumerate(messages))
    sizes = [pack(sample(rank)).size for rank in range(world.size)]
    own = sizes[world.rank]
    if world.nodes == 2:
        assert world.bytes_recv == sum(sizes) - (own if world.node_rank == 0 else 0)
        assert world.node_rank == 0 or world.bytes_sent == own


def test_gather_hosts(on_two_hosts, way):
    """The first rank of each host has the messages of all ranks in rank order, others none."""
    world = on_two_hosts
    messages = world.gather_hosts(sample(world.rank))
    assert (messages is None) is (world.node_rank > 0)
    assert messages is None or [message["rank"] for message in messages] == list(range(world.size))
    assert all(same(message, sample(rank)) for rank, message in enumerate(messages or []))


def test_alltoall(world, way):
    """Each message reaches its addressee, and only that one."""
    messages = world.alltoall([sample(world.rank) | {"to": target} for target in range(world.size)])
    assert [message["to"] for message in messages] == [world.rank] * world.size
    assert all(same(message, sample(rank)) for rank, message in enumerate(messages))


def test_alltoall_wants_a_message_for_each_rank(world):
    """A list of the wrong length is refused before anything is sent."""
    with pytest.raises(ValueError, match="messages for"):
        world.alltoall([None] * (world.size + 1))


def test_reductions(world, way):
    """Sum, maximum and minimum over the ranks are elementwise and keep shape and type."""
    mine = np.arange(400, dtype=np.int64).reshape(20, 20) * (world.rank + 1)
    ranks = np.arange(1, world.size + 1)
    total = world.sum(mine)
    assert np.array_equal(total, np.arange(400).reshape(20, 20) * ranks.sum()) and total.dtype == np.int64
    assert np.array_equal(world.max(mine), np.arange(400).reshape(20, 20) * world.size)
    assert np.array_equal(world.min(mine), np.arange(400).reshape(20, 20))
    assert world.sum([True]).tolist() == [world.size]


@pytest.mark.parametrize("hosts", [1, 2])
@pytest.mark.parametrize("count", [1000, 100_000])
def test_sums_under_way(world, way, monkeypatch, hosts, count):
    """Two arrays become their sums meanwhile, on one host and on several; the last bits are alike on all ranks."""
    monkeypatch.setattr(world, "nodes", hosts)
    flat, other = np.random.default_rng(world.rank).random(count, np.float32), np.full((2, 3), world.rank + 0.5)
    whole = world.sum(flat)
    requests = [*world.start_sum(flat), *world.start_sum(other)]
    world.wait(*requests)
    np.testing.assert_allclose(flat, whole, rtol=1e-6)
    assert np.array_equal(flat, world.bcast({"flat": flat})["flat"])
    assert np.array_equal(other, np.full((2, 3), world.size**2 / 2))


def test_bytes_are_counted(world):
    """What all ranks sent is what all ranks received, and a rank alone sends nothing."""
    sent, received = world.bytes_sent, world.bytes_recv
    world.allgather(sample(world.rank))
    world.bcast(sample(0) if world.is_root else None)
    world.alltoall([sample(world.rank)] * world.size)
    if world.size == 1:
        assert world.bytes_sent == sent
    sent, received = world.bytes_sent - sent, world.bytes_recv - received
    total = world.sum([sent, received])
    # The own message of alltoall is counted on neither side.
    assert total[0] == total[1]


def test_waiting_ranks_sleep(world):
    """Ranks that wait 0.5 s for a late one use little processor time, and the wait is known."""
    world.barrier()
    waited, cpu, start = world.wait_s, time.thread_time(), time.perf_counter()
    if world.rank == world.size - 1:
        time.sleep(0.5)
    world.barrier()
    cpu, wall = time.thread_time() - cpu, time.perf_counter() - start
    assert cpu < 0.2
    if world.rank != world.size - 1:
        assert world.wait_s - waited > 0.7 * min(wall, 0.5)


def test_places(world):
    """Ranks know their host: node numbers are dense, node ranks distinct, and the shares of cores fit."""
    places = world.allgather([world.node, world.node_rank, world.node_size, world.host, world.threads])
    nodes = sorted({place[0] for place in places})
    assert nodes == list(range(len(nodes)))
    for node in nodes:
        here = [place for place in places if place[0] == node]
        assert sorted(place[1] for place in here) == list(range(here[0][2]))
    assert world.threads >= 1


def test_one_thread_does_all_the_talking(world):
    """No helper thread is left behind: a rank is one Python thread, beside those of the test runner."""
    assert threading.active_count() == THREADS
