"""Which share of the work each rank gets: by its measured speed, and never more than fits its memory.

Training is exact for every partition, so that shares change who waits for whom and nothing else.
"""

import time
from dataclasses import dataclass

import numpy as np

from mpiedge.errors import UsageError
from mpiedge.graph.sparse import SparseRows
from mpiedge.kernels.sparse_product import product
from mpiedge.runtime import resources
from mpiedge.runtime.processor import confirmed, holding
from mpiedge.runtime.root import on_root
from mpiedge.store import decisions, host_profile

CALIBRATION_S = 0.11  # longer than the period of 100 ms in which Linux grants a throttled group its share of a core
CALIBRATIONS = 3
WORTH_MEASURING = 100_000  # adjacency entries and weighted nodes; below, an epoch is mostly calls that all ranks make
ALIKE = 1.3  # a rank is faster if each of its measurements is so many times every one of another's: they scatter
ALIKE_TWINS = 2.0  # the same on one host, where its ranks take from each other what they get in a tenth of a second
HALO_ROOM = 1.3  # memory of a part with halo copies over one without: a guess, which the plan checks afterwards
SCATTER = 1.1  # what speeds of like hosts differ by when they are measured
STILL = 1.5  # a speed that has not changed by so much is the one that the doctor has found
ROWS, NEIGHBOURS, WIDTH = 4096, 16, 16


@dataclass
class Shares:
    """The share of each rank, float64, sum 1.

    speeds: relative to the mean, None where nobody measured; why: in words, empty where the partition was given node
    by node; capped: some rank would get more by its speed than its memory holds.
    """

    values: np.ndarray
    speeds: np.ndarray | None
    why: str
    capped: bool = False

    @property
    def uneven(self) -> bool:
        """Whether ranks get different shares."""
        return bool(np.ptp(self.values) > 1e-9)

    def tell(self, stage) -> None:
        """Local: the line for people."""
        if stage.world.size > 1 and self.why:
            limited = ", limited by memory" if self.capped else ""
            stage.say(f"shares  {self.text()} ({self.why}{limited})")

    def text(self) -> str:
        """Local: the shares in per cent."""
        return "/".join(f"{100 * value:.0f}" for value in self.values) + " %"

    def gain(self) -> float:
        """Local: how many times longer the slowest rank would compute with equal shares, as far as speeds are known."""
        speeds = np.ones(len(self.values)) if self.speeds is None else self.speeds
        return float((1 / speeds).max() / len(self.values) / (self.values / speeds).max())


def settle(stage, wanted, work: float, calls: float, divided_bytes: float, fixed_bytes: float) -> Shares:
    """Collective: the shares; `wanted` is auto, equal or a list of numbers. Raises UsageError on every rank.

    work: adjacency entries and weighted nodes of the whole graph; calls: see `by_speed`; divided_bytes, fixed_bytes:
    memory that is divided among the ranks, and that each rank takes whatever its share. Messages: hosts, speeds (again
    where they are other ones than the doctor found) and free memory of all ranks.
    """
    world = stage.world
    speeds, values = None, np.ones(world.size)
    if isinstance(wanted, list):
        if len(wanted) != world.size:
            error = UsageError(f"--shares {','.join(f'{number:g}' for number in wanted)}",
                               f"these are {len(wanted)} shares for {world.size} ranks", "Give one number per rank")
            error.everywhere = True
            raise error
        values, why = np.array(wanted), "given"
    elif wanted == "equal":
        why = "equal"
    elif world.size == 1 or work < WORTH_MEASURING:
        why = "equal: the graph is small"
    else:
        with stage.phase("calibrate"):
            rates, speeds, known = calibrate(stage)
        speeds = 1 / alike(1 / speeds, np.ones(world.size), SCATTER)
        why = "speeds " + " ".join(f"{speed:.2f}" for speed in speeds)
        if unlike(rates) or (known and speeds.max() > ALIKE * speeds.min()):
            values = by_speed(speeds, calls)
    values = values / values.sum()
    free = stage.own_budget_bytes - resources.current_rss_bytes() - fixed_bytes
    rooms = np.array([message["free"] for message in world.allgather({"free": float(free)})])
    fitting = cap(values, rooms, HALO_ROOM * divided_bytes)
    return Shares(fitting, speeds, why, capped=not np.allclose(fitting, values))


def by_speed(speeds: np.ndarray, calls: float) -> np.ndarray:
    """Local: the share (sum 1) of each rank with which all end an epoch together, of speeds in any unit.

    calls: what each rank does whatever its share, as a share of the whole work; too slow a rank gets nothing."""
    values = np.maximum(speeds / speeds.sum() * (1 + calls * len(speeds)) - calls, 0)
    return values / values.sum()


def calibrate(stage) -> tuple[np.ndarray, np.ndarray, bool]:
    """Collective: rates (a row of measurements for each rank), relative speeds of the ranks, and whether mpiedge-doctor
    has measured these hosts: what it found counts, but for ranks that are otherwise now in two measurements.

    Messages: hosts; what the doctor found; the rates, twice where they do not confirm that.
    """
    world = stage.world
    found = world.allgather({"node": world.node, "host": world.host})
    hosts = np.array([message["node"] for message in found])
    known = on_root(world, lambda: host_profile.speeds(stage.run, [message["host"] for message in found]))
    rates = of_hosts(measure_all(world), hosts)
    if not known:
        return rates, relative(rates), False
    known = relative(np.array(known)[:, None])
    holds = holding(relative(rates), known, STILL)
    if not holds.all():
        again = of_hosts(measure_all(world), hosts)
        holds |= holding(relative(again), known, STILL)
        rates = better(rates, again)
    return rates, confirmed(relative(rates), known, holds), True


def relative(rates: np.ndarray) -> np.ndarray:
    """Local: the speed of each rank, mean 1. rates: a row of measurements for each rank."""
    typical = np.median(rates, axis=1)
    return typical / typical.mean()


def better(rates: np.ndarray, again: np.ndarray) -> np.ndarray:
    """Local: of two measurements those in which each rank was faster beside the others: what else a host does for a
    moment makes it slower only."""
    typical, later = np.median(rates, axis=1), np.median(again, axis=1)
    usual = np.median(later / typical)
    return np.where((later > usual * typical)[:, None], again / usual, rates)


def measure_all(world) -> np.ndarray:
    """Collective: what each rank measured, a row for each."""
    return np.array([message["rates"] for message in world.allgather({"rates": measure(world)})])


def measure(world) -> list[float]:
    """Collective: how many sparse products a second this rank does while all ranks do the same, several times."""
    random = np.random.default_rng(0)
    indices = random.integers(0, ROWS, ROWS * NEIGHBOURS).astype(np.int32)
    rows = SparseRows(np.arange(ROWS + 1, dtype=np.int64) * NEIGHBOURS, indices, None, ROWS)
    dense, rates = random.random((ROWS, WIDTH)).astype(np.float32), []
    product(rows, dense)
    for _ in range(CALIBRATIONS):
        world.barrier()
        start, done = time.perf_counter(), 0
        while time.perf_counter() - start < CALIBRATION_S:
            product(rows, dense)
            done += 1
        rates.append(done / (time.perf_counter() - start))
    return rates


def unlike(rates: np.ndarray, alike: float = ALIKE) -> bool:
    """Local: whether some rank is faster than another beyond doubt. rates: a row of measurements for each rank."""
    return bool(rates.min(axis=1).max() > alike * rates.max(axis=1).min())


def of_hosts(rates: np.ndarray, hosts: np.ndarray) -> np.ndarray:
    """Local: the rates where ranks of one host have their mean, unless some of them are slower beyond doubt: they share
    its cores, and which of them gets more in a tenth of a second is chance."""
    result = rates.copy()
    for host in np.unique(hosts):
        its = hosts == host
        if not unlike(rates[its], ALIKE_TWINS):
            result[its] = rates[its].mean(axis=0)
    return result


def alike(typical: np.ndarray, work: np.ndarray, times: float) -> np.ndarray:
    """Local: the seconds of all ranks for their work, alike for those whose seconds differ by less than `times`: so
    much is chance, by which nobody is to get more or less than others."""
    result, left = typical.copy(), np.ones(len(typical), bool)
    while left.any():
        group = left & (typical <= times * typical[left].min())
        result[group] = work[group].sum() / (work[group] / typical[group]).sum()
        left &= ~group
    return result


def cap(shares: np.ndarray, rooms: np.ndarray, whole: float) -> np.ndarray:
    """Local: shares (sum 1) of which none takes more of `whole` bytes than its rank's room; what is cut goes to the
    others in proportion. Where all rooms together are too small, shares in proportion to the rooms: the plan refuses.
    """
    limits = np.maximum(rooms, 0) / max(whole, 1)
    if limits.sum() <= 1:
        return limits / limits.sum() if limits.sum() else shares
    full, result = np.zeros(len(shares), bool), shares
    while (result > limits * (1 + 1e-9))[~full].any():
        full |= result > limits
        left = np.where(full, 0, shares)
        result = np.where(full, limits, left / left.sum() * (1 - limits[full].sum()))
    return result


def note(stage, began_s: float, saw: str, did: str, brought: str, rank: int | None = None) -> None:
    """Collective: a row of decisions.csv. began_s: when the program started, by `time.perf_counter`."""
    since = f"{time.perf_counter() - began_s:.1f}"
    on_root(stage.world, lambda: decisions.append(stage.run, since_s=since, stage=stage.name, rank=rank, saw=saw,
                                                  did=did, brought=brought))
