"""Measures between hosts: latency, bandwidth and clock by ping-pong with rank 0, and who sees the same folder."""

import contextlib
import time
from pathlib import Path

import numpy as np

TAG = 7
ROUNDS, LARGE_ROUNDS, LARGE_BYTES, LARGE_S = 20, 6, 1 << 20, 2.0
SEEN_S = 2.0


def ping(world) -> list[dict]:
    """Collective: rank 0 with the lowest rank of every other host; with rank 1 where there is one host alone.

    Returns, on rank 0, one entry each: rank, host, latency_s (half of the best round trip of 8 bytes), bytes_per_s
    (best of some MiB there and back), clock_s (its clock ahead of that of rank 0, right up to the latency).
    """
    told = world.allgather({"host": world.host, "node": world.node})
    firsts = {message["node"]: rank for rank, message in reversed(list(enumerate(told)))}
    others = [rank for node, rank in sorted(firsts.items()) if node != told[0]["node"]]
    found = []
    for other in others or list(range(1, world.size))[:1]:
        world.barrier()
        if world.rank == 0:
            found.append({"rank": other, "host": told[other]["host"], **_ask(world.comm, other)})
        elif world.rank == other:
            _answer(world.comm)
    world.barrier()
    return found


def _ask(comm, other: int) -> dict:
    word, clock = np.zeros(1), np.zeros(1)
    best_s, ahead_s = float("inf"), 0.0
    for _ in range(ROUNDS):
        before, start = time.time(), time.perf_counter()
        comm.Send(word, other, TAG)
        comm.Recv(clock, other, TAG)
        passed = time.perf_counter() - start
        if passed < best_s:
            best_s, ahead_s = passed, float(clock[0]) - (before + passed / 2)
    block, rate, begun = np.zeros(LARGE_BYTES, np.uint8), 0.0, time.perf_counter()
    for left in reversed(range(LARGE_ROUNDS)):
        last = left == 0 or time.perf_counter() - begun > LARGE_S
        block[0] = last
        start = time.perf_counter()
        comm.Send(block, other, TAG)
        comm.Recv(block, other, TAG)
        rate = max(rate, 2 * LARGE_BYTES / (time.perf_counter() - start))
        if last:
            break
    return {"latency_s": best_s / 2, "bytes_per_s": rate, "clock_s": ahead_s}


def _answer(comm) -> None:
    word = np.zeros(1)
    for _ in range(ROUNDS):
        comm.Recv(word, 0, TAG)
        comm.Send(np.array([time.time()]), 0, TAG)
    block = np.zeros(LARGE_BYTES, np.uint8)
    while True:
        comm.Recv(block, 0, TAG)
        comm.Send(block, 0, TAG)
        if block[0]:
            return


def sees_folder(world, folder: Path) -> list[bool]:
    """Collective: for each rank whether it sees a file that rank 0 writes into the folder; all False if none can be.

    The file is new and removed at the end. A shared folder may show it late, so ranks look for up to SEEN_S.
    """
    token = folder.absolute() / f".doctor-{time.time_ns()}"
    if world.rank == 0:
        with contextlib.suppress(OSError):
            token.write_bytes(b"seen")
    token = Path(world.bcast({"path": str(token)} if world.rank == 0 else None)["path"])
    end = time.monotonic() + SEEN_S
    while not (seen := token.exists()) and time.monotonic() < end:
        time.sleep(0.1)
    every = [bool(message["seen"]) for message in world.allgather({"seen": seen})]
    if world.rank == 0:
        with contextlib.suppress(OSError):
            token.unlink()
    return every
