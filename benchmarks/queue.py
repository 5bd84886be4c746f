"""How well the work queue balances a slow rank, and what it costs when all ranks are equal.

    mpirun -n 4 python benchmarks/queue.py [--tasks N] [--task-ms MS] [--mode auto|quota|sleep]

The last rank is four times slower than the others. Mode quota (root, Linux control groups version 1 or 2): every rank
computes below a CPU quota of its own (0.4 of a core, the slow one 0.1), so four ranks fit two cores and the slowness is
real, also for the queue's own work. Mode sleep: a task sleeps instead of computing, four times as long on the slow one.
The ideal is the total work over the sum of the speeds, which are measured before and after with the same tasks.
"""

import argparse
import contextlib
import os
import statistics
import sys
import time
from pathlib import Path

PROGRAM = Path(__file__).resolve()
sys.path[0] = str(PROGRAM.parent.parent)  # this folder holds a queue.py, which would hide the standard library's

import numpy as np  # noqa: E402

from mpiedge.runtime.first_share import share  # noqa: E402
from mpiedge.runtime.mail import Mail  # noqa: E402
from mpiedge.runtime.queue import Queue  # noqa: E402
from mpiedge.runtime.world import World  # noqa: E402

PERIOD_US = 50_000
SAMPLE_S = 1.5  # many periods: a quota is kept on average only
FAST_SHARE, SLOW_SHARE = 0.4, 0.1


@contextlib.contextmanager
def quota(cores: float):
    """This process may use so much of a core per 50 ms inside the block; raises OSError where that is impossible."""
    first, second = Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")
    version_1 = (first / "cpu.cfs_quota_us").exists() or (first / "cpu.shares").exists()
    root = first if version_1 else second
    group = root / f"mpiedge-benchmark-{os.getpid()}"
    home = root / _own_group("cpu" if version_1 else "").lstrip("/")
    if not version_1 and "cpu" not in (root / "cgroup.subtree_control").read_text().split():
        (root / "cgroup.subtree_control").write_text("+cpu")
    group.mkdir()
    try:
        if version_1:
            (group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
            (group / "cpu.cfs_quota_us").write_text(str(int(cores * PERIOD_US)))
        else:
            (group / "cpu.max").write_text(f"{int(cores * PERIOD_US)} {PERIOD_US}")
        (group / "cgroup.procs").write_text(str(os.getpid()))
        yield
    finally:
        (home / "cgroup.procs").write_text(str(os.getpid()))
        group.rmdir()


def _own_group(controller: str) -> str:
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        if controller in names.split(","):
            return path
    return "/"


def loops_for(seconds: float) -> int:
    """How many turns of `spin` take so much processor time here."""
    turns = 20_000
    while True:
        start = time.process_time()
        spin(turns)
        used = time.process_time() - start
        if used > 0.05:
            return max(1, int(turns * seconds / used))
        turns *= 2


def spin(turns: int) -> int:
    """Plain Python arithmetic."""
    value = 0
    for number in range(turns):
        value += number ^ value & 7
    return value


def timed(world, function) -> float:
    """Seconds from a common start until the last rank is done."""
    world.barrier()
    start = time.perf_counter()
    function()
    world.barrier()
    return float(world.max([time.perf_counter() - start])[0])


def rank_speeds(world, work, task) -> np.ndarray:
    """Tasks per second of each rank while all compute at once (on shared cores that is less than one alone can do)."""
    speeds = np.zeros(world.size)
    world.barrier()
    start, done = time.perf_counter(), 0
    while time.perf_counter() - start < SAMPLE_S:
        work(task)
        done += 1
    speeds[world.rank] = done / (time.perf_counter() - start)
    return world.sum(speeds)


def slow_rank(world, tasks, work) -> None:
    """Prints wall times of both splits against the ideal."""
    static_s = timed(world, lambda: Queue(world, Mail(world)).run(tasks, work, steal=False))
    before = rank_speeds(world, work, tasks[0])
    queue = Queue(world, Mail(world))
    first_s = timed(world, lambda: queue.run(tasks, work))
    second_s = timed(world, lambda: queue.run(tasks, work))
    speeds = (before + rank_speeds(world, work, tasks[0])) / 2
    ideal_s = len(tasks) / speeds.sum()
    stolen, requests = world.sum([queue.tasks_stolen, queue.steal_requests]).tolist()
    if world.is_root:
        print(f"speeds without a queue (tasks/s)  {' '.join(f'{speed:.1f}' for speed in speeds)}")
        print(f"ideal: work / sum of speeds       {ideal_s:7.3f} s")
        print(f"static equal split                {static_s:7.3f} s   {static_s / ideal_s:.2f} x ideal")
        print(f"work stealing, speeds unknown     {first_s:7.3f} s   {first_s / ideal_s:.2f} x ideal")
        print(f"work stealing, speeds learned     {second_s:7.3f} s   {second_s / ideal_s:.2f} x ideal")
        print(f"stolen in both                    {stolen} tasks with {requests} requests")
        print(f"promise: at most 1.30 x ideal     {'kept' if max(first_s, second_s) <= 1.3 * ideal_s else 'BROKEN'}")


def equal_ranks(world, tasks, work, repeats: int) -> None:
    """Prints what the queue adds to a plain loop over an equal share, medians of alternating runs."""
    first = share(np.ones(len(tasks)), np.ones(world.size), np.zeros(world.size))
    mine = [task for task, rank in zip(tasks, first) if rank == world.rank]
    queue = Queue(world, Mail(world))

    def plain():
        for task in mine:
            work(task)

    walls, cpus = {"plain": [], "queue": []}, {"plain": [], "queue": []}
    for _ in range(repeats):
        for name, function in (("plain", plain), ("queue", lambda: queue.run(tasks, work))):
            start = time.process_time()
            walls[name].append(timed(world, function))
            cpus[name].append(float(world.sum([time.process_time() - start])[0]))
    if world.is_root:
        wall = {name: statistics.median(values) for name, values in walls.items()}
        cpu = {name: statistics.median(values) for name, values in cpus.items()}
        more = wall["queue"] / wall["plain"] - 1
        per_task_us = (cpu["queue"] - cpu["plain"]) / len(tasks) * 1e6
        print(f"plain loop over an equal share    {wall['plain']:7.3f} s   (median of {repeats})")
        print(f"work stealing                     {wall['queue']:7.3f} s   overhead {100 * more:+.1f} % of wall time, "
              f"{per_task_us:+.0f} us of CPU per task")
        print(f"promise: overhead under 5 %       {'kept' if more < 0.05 else 'BROKEN'}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=800)
    parser.add_argument("--task-ms", type=float, default=5.0, help="processor time of a task (default 5)")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--mode", choices=["auto", "quota", "sleep"], default="auto")
    options = parser.parse_args()
    world = World(threads=1)
    tasks = [(number,) for number in range(options.tasks)]
    slow = world.rank == world.size - 1 and world.size > 1
    mode = options.mode
    if mode == "auto":
        try:
            with quota(FAST_SHARE):
                pass
            possible = 1
        except OSError:
            possible = 0
        mode = "quota" if world.min([possible])[0] else "sleep"
    if world.is_root:
        print(f"{world.size} ranks, the last 4 times slower | {options.tasks} tasks of {options.task_ms} ms | {mode}")

    if mode == "sleep":
        pause_s = options.task_ms / 1000
        slow_rank(world, tasks, lambda task: time.sleep(pause_s * (4 if slow else 1)))
        equal_ranks(world, tasks, lambda task: time.sleep(pause_s), options.repeats)
        return
    turns = np.zeros(1)
    for rank in range(world.size):
        if rank == world.rank:
            turns[0] = loops_for(options.task_ms / 1000)
        world.barrier()
    turns = int(world.min(turns)[0])
    with quota(SLOW_SHARE if slow else FAST_SHARE):
        slow_rank(world, tasks, lambda task: spin(turns))
    with quota(FAST_SHARE):
        equal_ranks(world, tasks, lambda task: spin(turns), options.repeats)


if __name__ == "__main__":
    main()
