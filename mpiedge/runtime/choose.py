"""Decides how gradients and halo rows cross the network, from what this network and these ranks measure."""

import time
from dataclasses import dataclass

import numpy as np

from mpiedge.runtime.allreduce import Allreduce
from mpiedge.runtime.alone import Alone
from mpiedge.runtime.compress import compressor
from mpiedge.runtime.lowrank import LowRankSum
from mpiedge.runtime.rows import form

CANDIDATES = ("fp16", "int8", "powersgd:4", "topk:0.02")  # by how well weights follow those of exact sums
NEARLY = 1.25  # times the shortest time: of those as fast as that, the first
WORTH = 0.75  # what compression leaves of the time, at most; else it is not worth its loss
ROWS = "int8"  # the form of halo rows where the link is slow
TRIES = 3


def reducer(world, name: str, shapes: list[tuple]) -> Allreduce:
    """Local: the sum of a gradient by a --compress value; shapes: of the model's parameters, in their order."""
    kind, _, rank = name.partition(":")
    return LowRankSum(world, int(rank), shapes) if kind == "powersgd" else Allreduce(world, name)


@dataclass
class Link:
    """What sums over all ranks take here: seconds of one number, and numbers of float32 a second beyond it."""

    latency_s: float
    numbers_per_s: float

    def text(self) -> str:
        """Local: for people."""
        return f"a sum takes {1e3 * self.latency_s:.2f} ms and 1 s more for each {4e-6 * self.numbers_per_s:.3g} MB"


def measure_link(world, length: int) -> Link:
    """Collective: the best of several sums of `length` numbers and of one. Messages: these sums, and a maximum."""
    times = []
    for count in (length, 1):
        flat = np.zeros(count, np.float32)
        tries = []
        for _ in range(TRIES):
            world.barrier()
            start = time.perf_counter()
            world.wait(*world.start_sum(flat))
            tries.append(time.perf_counter() - start)
        times.append(min(tries))
    plain_s, latency_s = world.max(np.array(times)).tolist()
    return Link(latency_s, length / max(plain_s - latency_s, 1e-9))


def choose(world, shapes: list[tuple]) -> tuple[str, str, Link | None]:
    """Collective: the compressor that is likely to be fastest for gradients of `shapes`, why, in words, and the link.

    Measured on the ranks as they are: the uncompressed sum, that of a single number, and the time that each compressor
    takes by itself. Of those that are nearly as fast as the fastest, the one that loses least; it must promise to save
    a quarter, else it is not worth its loss. Ranks of one host compress nothing. Messages: those of `measure_link`, a
    maximum, a broadcast of the choice.
    """
    if world.size == 1:
        return "none", "one rank sends nothing", None
    if world.nodes == 1:
        return "none", "all ranks are on one host, where bytes cross no link", None
    length = sum(int(np.prod(shape)) for shape in shapes)
    link = measure_link(world, length)
    costs = world.max(np.array([_cost(name, shapes, length) for name in CANDIDATES]))
    moved_s = length / link.numbers_per_s
    plain_s = link.latency_s + moved_s
    promised = [2 * link.latency_s + cost_s + share * moved_s for cost_s, share in costs]
    best = next(number for number, time_s in enumerate(promised) if time_s <= NEARLY * min(promised))
    name = CANDIDATES[best] if promised[best] < WORTH * plain_s else "none"
    each = ", ".join(f"{1e3 * time_s:.1f} by {candidate} ({100 * share:.1f} % of the bytes)"
                     for candidate, time_s, (_, share) in zip(CANDIDATES, promised, costs))
    why = (f"{link.text()}; {4e-3 * length:,.0f} kB take {1e3 * plain_s:.1f} ms, expected: {each}, "
           f"{1e3 * costs[best][0]:.1f} of {CANDIDATES[best]} to compress")
    return (*world.bcast([name, why]), link)


def _cost(name: str, shapes: list[tuple], length: int) -> tuple[float, float]:
    """Local: seconds to compress a gradient and to restore it, as often as a sum does, and the share of its bytes."""
    flat = np.random.default_rng(0).standard_normal(length).astype(np.float32)
    if name.startswith("powersgd"):
        reduce = reducer(Alone(), name, shapes)
        cost_s = _best_s(lambda: reduce(flat))
        return cost_s, (reduce.left.size + reduce.guess.size) / max(length, 1)
    kind = compressor(name)
    data = kind.encode(flat)
    return 2 * _best_s(lambda: kind.decode(kind.encode(flat), length)), len(data) / max(flat.nbytes, 1)


def _best_s(work) -> float:
    """Local: seconds of the fastest of several calls."""
    times = []
    for _ in range(TRIES):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def choose_rows(world, link: Link | None, rows: int, width: int) -> tuple[str, str]:
    """Collective: the form of halo rows, and why. link: None where no bytes cross one; rows: that this rank sends in an
    exchange; width: of a row. Messages: a maximum, a broadcast.
    """
    if link is None:
        return "fp32", "no rows cross a link"
    sample = np.random.default_rng(0).standard_normal((max(rows, 1), width)).astype(np.float32)
    own_s = _best_s(lambda: form(ROWS).decode(form(ROWS).encode(sample, 0), sample))
    cost_s, numbers = world.max(np.array([own_s, rows * width])).tolist()
    plain_s = link.latency_s + numbers / link.numbers_per_s
    share = form(ROWS).size(*sample.shape) / sample.nbytes
    promised_s = link.latency_s + cost_s + share * numbers / link.numbers_per_s
    why = f"{4e-3 * numbers:,.0f} kB of rows take about {1e3 * plain_s:.1f} ms, by {ROWS} {1e3 * promised_s:.1f} ms"
    return tuple(world.bcast([ROWS if promised_s < WORTH * plain_s else "fp32", why]))
