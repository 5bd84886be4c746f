"""The ranks that take part in a stage: one that is so slow that the stage would take longer with it sits out.

Work is shared out by speed, but some is done by every rank alike, and in each collective call all wait for the slowest.
With A bytes of input that take as long as that, a stage on W bytes takes about W / (sum of speeds) + A / (least speed):
on small tables a rank with a tenth of a processor holds up the others for longer than it helps them.

What a stage has to do is not known before it has begun, as searches may take far longer than reading. So only ranks
with less than `SLOW` of the speed of the fastest sit out, and no more of them than have `MOST` of all the speed
together; and only where memory is no matter. Rank 0 always takes part.
"""

import contextlib
import os
import signal

import numpy as np

from mpiedge.errors import MpiedgeError
from mpiedge.runtime import launcher, resources
from mpiedge.runtime.processor import UNLIKE, confirmed, holding, speeds_of_starts

RESTING = "MPIEDGE_REST"
SLOW, MOST = 0.4, 0.25
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
ROOM = 4
"""So many times the input fits the budget of every rank that takes part; where ranks hold nothing but parts of it, so
many times twice its share by speed."""


def of_use(speeds: np.ndarray, work: float, alike: float) -> list[int]:
    """Local: the ranks with which the work is done soonest, ascending.

    speeds: (ranks,) float64, relative; work, alike: what is shared out and what each does, in one unit."""
    order = np.concatenate([[0], 1 + np.argsort(-speeds[1:], kind="stable")])
    sums = np.cumsum(speeds[order])
    expected = work / sums + alike / np.minimum.accumulate(speeds[order])
    slower = np.append(np.maximum.accumulate(speeds[order][::-1])[::-1][1:], 0.0)  # the fastest of those that sit out
    allowed = (slower < SLOW * speeds.max()) & (sums[-1] - sums <= MOST * sums[-1])
    expected[~allowed] = np.inf
    return sorted(order[: len(speeds) - int(expected[::-1].argmin())].tolist())


def of_hosts(speeds: np.ndarray, hosts: list[str]) -> np.ndarray:
    """Local: the speeds, where those of a host that are not unlike are their mean: which of its ranks gets more of it
    while they start is chance."""
    result = speeds.copy()
    for host in set(hosts):
        its = np.array([other == host for other in hosts])
        if speeds[its].max() < UNLIKE * speeds[its].min():
            result[its] = speeds[its].mean()
    return result


def assemble(world, args, known, input_bytes, alike_bytes: int, room: int = ROOM, least_hosts: int = 1,
             divided: bool = False):
    """Collective: a world of the ranks that take part, this one if they all do; None on a rank that sits out, once
    the others have called its `dismiss`.

    known(args, hosts), called on rank 0: the speeds of the ranks on these hosts as the doctor found them, or None;
    input_bytes(args), there, too: 0, OSError and MpiedgeError, as where there is no input, mean that all take
    part; so do they where memory is scarce (see ROOM; divided: ranks hold nothing but parts of the input), and on fewer
    than `least_hosts`. Messages: start and budget of each rank to rank 0, and back the places of those that sit out."""
    if world.size == 1 or launcher.goes_on_without_dead() or os.environ.get(RESTING) == "0":
        return world
    if world.nodes < least_hosts:
        return world
    told = world.gather({"start": world.start, "host": world.host,
                         "budget": resources.budget_bytes(args.memory, world.node_size)})
    resting = world.bcast(_resting(told, args, known, input_bytes, alike_bytes, room, divided) if told else None)
    if not resting:
        return world
    smaller = world.without(resting)
    if not smaller:
        _rest(world)
    return smaller


def _rest(world) -> None:
    """Collective: waits for the end of the stage. Signals to end are for the others, who may have something to save."""
    before = [signal.signal(number, signal.SIG_IGN) for number in SIGNALS]
    world.barrier()
    for number, handler in zip(SIGNALS, before):
        signal.signal(number, handler)


def _resting(told: list[dict], args, known, input_bytes, alike_bytes: int, room: int = ROOM,
             divided: bool = False) -> list[dict]:
    """Local, on rank 0: rank, host, and speed as a share of the fastest of each rank that sits out."""
    speeds, _ = speeds_of_starts([rank["start"] for rank in told])
    hosts = [rank["host"] for rank in told]
    speeds, found = of_hosts(speeds, hosts), known(args, hosts)
    if found:
        speeds = confirmed(speeds, np.array(found), holding(speeds, np.array(found), UNLIKE))
    size = 0
    with contextlib.suppress(OSError, MpiedgeError):
        size = input_bytes(args)
    ranks = of_use(speeds, size, alike_bytes)
    parts = np.minimum(1, 2 * speeds[ranks] / speeds[ranks].sum()) if divided else 1
    if not size or (room * size * parts > np.array([told[rank]["budget"] for rank in ranks])).any():
        return []
    return [{"rank": rank, "host": told[rank]["host"], "speed": float(speeds[rank] / speeds.max())}
            for rank in range(len(told)) if rank not in ranks]
