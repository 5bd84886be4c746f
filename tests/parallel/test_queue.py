"""The work-stealing queue: nothing lost, nothing repeated, little waiting, at any number of ranks."""

import os
import time
from collections import deque

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpiedge.runtime.first_share import FEW_TASKS, SAME_END, share
from mpiedge.runtime.mail import Mail
from mpiedge.runtime.processor import Meter, Processor, learned_speeds, speeds_of_starts
from mpiedge.runtime.queue import Queue, _Run
from mpiedge.runtime.telemetry import Timings


class Tree:
    """A random tree of tasks that any rank can grow: task (depth, low, high) covers the units low..high-1 of a depth.

    A task is computed in slices of a few units; each unit may bear units of the next depth, as one child task.
    """

    def __init__(self, seed: int, depth: int, breadth: int, delay_ms: float):
        self.seed, self.depth, self.breadth, self.delay_ms = seed, depth, breadth, delay_ms

    def roots(self) -> list[tuple]:
        """Tasks of uneven length that cover the units of depth 0."""
        cuts = np.random.default_rng(self.seed).integers(1, 6, size=self.breadth).cumsum().tolist()
        return [(0, low, high) for low, high in zip([0, *cuts], cuts)]

    def offspring(self, depth: int, unit: int) -> int:
        """How many units a unit bears."""
        if depth >= self.depth:
            return 0
        return int(np.random.default_rng([self.seed, depth, unit]).choice([0, 0, 1, 3]))

    def work(self, task):
        """A generator as the queue wants it; the result is the list of units."""
        depth, low, high = task
        units = []
        for unit in range(low, high):
            delay = np.random.default_rng([self.seed, depth, unit, 1]).random() ** 4
            time.sleep(delay * self.delay_ms / 1000)
            units.append([depth, unit])
            count = self.offspring(depth, unit)
            yield [(depth + 1, 3 * unit, 3 * unit + count)] if count else None
        return {"units": np.array(units)}

    def all_units(self) -> list:
        """Oracle: the units of the whole tree, by plain recursion."""
        found = []

        def visit(depth, low, high):
            for unit in range(low, high):
                found.append([depth, unit])
                visit(depth + 1, 3 * unit, 3 * unit + self.offspring(depth, unit))

        for _, low, high in self.roots():
            visit(0, low, high)
        return sorted(found)


def halves(task):
    """Cuts a task of two units or more into two."""
    depth, low, high = task
    middle = (low + high) // 2
    return ((depth, low, middle), (depth, middle, high)) if high - low > 1 else None


class Naps:
    """Work that sleeps (so that the host's real cores do not matter) and notes how long each task took on this rank.

    A slow rank naps more often, not longer: on a busy host, where every nap is longer, it is as many times slower.
    """

    def __init__(self, nap_s: float, naps: int = 1):
        self.nap_s, self.naps, self.took_s = nap_s, naps, []

    def __call__(self, task):
        start = time.perf_counter()
        for _ in range(self.naps):
            time.sleep(self.nap_s)
        self.took_s.append(time.perf_counter() - start)


def balance(world, took_s: list[float]) -> float:
    """Collective: the busiest rank's time, less one task, beside that of a perfect split at the speeds measured.

    Seen by the clock of the tasks alone, so a busy host changes the speeds, not the balance. A rank without a task has
    no speed: then it is infinite.
    """
    every = world.allgather([len(took_s), sum(took_s), max(took_s, default=0.0)])
    counts, busy_s, longest_s = zip(*every)
    if not all(counts):
        return float("inf")
    ideal_s = sum(counts) / sum(count / busy for count, busy in zip(counts, busy_s))
    return (max(busy_s) - max(longest_s)) / ideal_s


@given(
    seed=st.integers(0, 10**6), depth=st.integers(0, 4), breadth=st.integers(0, 12),
    delay_ms=st.sampled_from([0.0, 0.3, 3.0]), splits=st.booleans(), weighted=st.booleans(), steal=st.booleans(),
)  # fmt: skip
@settings(max_examples=40)
def test_random_trees(world, queue, seed, depth, breadth, delay_ms, splits, weighted, steal):
    """Every unit of a random task tree is computed exactly once, with splits, children, delays, stealing or not."""
    tree = Tree(seed, depth, breadth, delay_ms)
    results = queue.run(
        tree.roots(), tree.work, split=halves if splits else None, steal=steal,
        cost=(lambda task: task[2] - task[1]) if weighted else None,
    )  # fmt: skip
    pairs = queue.gather(results)
    assert [task for task, _ in pairs] == sorted(task for task, _ in pairs)
    units = [unit for task, result in pairs for unit in result["units"].tolist()]
    assert sorted(units) == tree.all_units()
    assert all(result["units"][:, 1].tolist() == list(range(task[1], task[2])) for task, result in pairs)


def test_results_do_not_depend_on_the_ranks(world, queue):
    """Gathered results are those of a plain loop, in its order; gather_root gives them to rank 0 only."""

    def work(task):
        return {"sum": float(np.random.default_rng([7, *task]).random(100).sum())}

    tasks = [(a, b) for a in range(9) for b in range(5)]
    results = queue.run(tasks, work, cost=lambda task: 1 + task[0])
    expected = [(task, work(task)) for task in tasks]
    assert queue.gather(results) == expected
    assert queue.gather_root(results) == (expected if world.is_root else [])


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_fewer_tasks_than_ranks(world, queue, count):
    """No tasks at all, or fewer than ranks, end as they should."""
    tasks = [(number,) for number in range(count)]
    assert queue.gather(queue.run(tasks, lambda task: task[0])) == [(task, task[0]) for task in tasks]


def test_runs_that_follow_at_once(world, queue):
    """Ranks may be a run ahead of others: requests of the next run do not disturb the last one."""
    for number in range(30):
        time.sleep(0.002 * ((number + world.rank) % 3))
        results = queue.run([(task,) for task in range(number)], lambda task: None)
        assert world.sum([len(results)]).tolist() == [number]


def test_children_of_one_task_are_shared(world, queue):
    """Tasks born on one rank, of which nobody was told, are found by the idle ranks, which then have as much to do."""
    nap = Naps(0.01)

    def work(task):
        if task == (0,):
            yield [(number,) for number in range(1, 41)]
        nap(task)
        yield None
        return world.rank

    results = queue.run([(0,)], work)
    assert len(queue.gather(results)) == 41
    assert balance(world, nap.took_s) < 1.5


def test_a_long_task_hands_on_a_part_when_asked(world, queue, monkeypatch):
    """A task that hears at its yields that another rank waits leaves children, with which that rank is answered."""
    given, send = [], queue.mail.send

    def note(target, kind, message):
        if kind == "grant":
            given.append(len(message[0]))
        send(target, kind, message)

    def work(task):
        if task[0]:
            time.sleep(0.01)
            return world.rank
        given.clear()  # who asked before had to be refused
        end = time.monotonic() + 20
        while not (yield None):
            assert time.monotonic() < end, "nobody asked"
            time.sleep(0.002)
        yield [(number,) for number in range(1, 9)]
        assert given[0] > 0
        return world.rank

    if world.size == 1:
        return
    monkeypatch.setattr(queue.mail, "send", note)
    done = dict(queue.gather([(task, {"rank": rank}) for task, rank in queue.run([(0,)], work)]))
    assert set(done) == {(number,) for number in range(9)}
    assert len({one["rank"] for one in done.values()}) > 1



def test_one_large_waiting_task_is_split(world, queue):
    """A single large task that waits behind another is cut until every rank has a share."""

    def work(task):
        time.sleep(0.002 * (task[2] - task[1]))
        return world.rank

    tasks = [(0, 0, 1), (0, 1, 200)]
    results = queue.run(tasks, work, split=halves, cost=lambda task: task[2] - task[1])
    pairs = queue.gather(results)
    assert sorted(unit for task, _ in pairs for unit in range(task[1], task[2])) == list(range(200))


def test_slow_rank(world):
    """One rank four times slower: within 1.3x of the ideal (sum of speeds), while the equal split is far from it."""
    queue = Queue(world, Mail(world))
    naps = 4 if world.rank == world.size - 1 and world.size > 1 else 1
    tasks = [(number,) for number in range(100 * world.size)]
    static, stealing = Naps(0.005, naps), Naps(0.005, naps)
    assert len(queue.run(tasks, static, steal=False)) == 100
    queue.speeds[:] = 1.0  # as if nothing had been learned
    queue.run(tasks, stealing)
    assert balance(world, stealing.took_s) < 1.3
    if world.size > 1:
        assert balance(world, static.took_s) > 1.7
        assert queue.speeds[-1] < queue.speeds[0]


def test_long_measurements_count_more():
    """What was measured in milliseconds hardly moves a speed, what was measured in seconds does."""
    learned = [learned_speeds(np.ones(2), np.array([4.0, 1.0]), np.full(2, seconds)) for seconds in (0.02, 0.3, 6.0)]
    ratios = [speeds[0] / speeds[1] for speeds in learned]
    assert 1 < ratios[0] < 1.2 < ratios[1] < 3 < ratios[2] < 4


class Busy(Processor):
    """A processor of which a rank gets a part of each second that it wants."""

    def __init__(self, part: float):
        self.part = part

    def seconds(self):
        return time.perf_counter() * self.part, time.perf_counter() * (1 - self.part)

    def __del__(self):
        pass


@pytest.mark.parametrize("learn", [True, False])
def test_a_rank_with_little_of_its_processor_is_known_as_slow(world, learn):
    """What it has to wait for its processor tells it, also where the costs of tasks are guesses."""
    queue = Queue(world, Mail(world))
    queue._processor, naps = (Busy(0.25), 4) if world.rank == world.size - 1 else (Busy(1.0), 1)
    costs = {True: lambda task: 1.0, False: lambda task: 1.0 + task[0] % 7}
    for _ in range(2):
        queue.run([(number,) for number in range(60 * world.size)], Naps(0.005, naps), cost=costs[learn], learn=learn)
    if world.size > 1:
        assert 2 < queue.speeds[0] / queue.speeds[-1] < 8


def test_speeds_by_the_start_of_the_ranks(world):
    """By what a rank waited, and what it computed where that differs much; better known speeds go first."""
    for starts, speeds, shares in (([(0.2, 0.0), (0.2, 0.2), (0.3, 0.9)], [1, 0.5, 0.25], [1, 0.5, 0.25]),
                                   ([(0.2, 0.0), (0.8, 0.0)], [1, 0.25], [1, 1]),
                                   ([(0.2, 0.1), (0.0, 0.0)], [1, 1], [1, 1])):
        found = speeds_of_starts(starts)
        np.testing.assert_allclose(found, [speeds, shares])
    queue = Queue(world, Mail(world))
    queue.expect([(0.1, 0.3)] * world.size)
    assert queue.speeds.tolist() == queue.shares.tolist() == [0.25] * world.size
    queue.expect([(0.1, 0.3)] * world.size, [2.5] * world.size)
    assert queue.speeds.tolist() == [2.5] * world.size and queue.shares.tolist() == [0.25] * world.size


def test_shares_of_a_processor():
    """What the kernel tells of this thread; where it does not, what was known stays."""
    meter = Meter(Processor())
    meter.start()
    sum(range(300_000))
    meter.stop()
    assert 0 < meter.measured_share() <= 1 and 0 < meter.share() <= 1 and meter.worked_s >= meter.waited_s >= 0
    assert meter.processor.seconds()[0] > 0 or not os.path.exists("/proc/thread-self/schedstat")
    mute = Processor.__new__(Processor)
    mute._file = -1
    silent = Meter(mute, known=0.5)
    assert silent.share() == 0.5 and silent.measured_share() == 1.0


def test_the_first_share_follows_the_speeds(world):
    """After a run the slow rank is known: without any stealing, the next run is already balanced."""
    queue = Queue(world, Mail(world))
    naps = 4 if world.rank == world.size - 1 and world.size > 1 else 1
    for _ in range(4):
        queue.run([(number,) for number in range(40 * world.size)], Naps(0.001, naps))
    results = queue.run([(number,) for number in range(60 * world.size)], lambda task: None, steal=False)
    counts = [message for message in world.allgather(len(results))]
    assert sum(counts) == 60 * world.size
    if world.size > 1:
        assert counts[-1] < 0.6 * counts[0]


def test_without_stealing_the_first_shares_stay(world, monkeypatch):
    """MPIEDGE_STEAL=0: equal shares however slow a rank is, in every run, and nothing is asked for or learnt."""
    monkeypatch.setenv("MPIEDGE_STEAL", "0")
    queue = Queue(world, Mail(world))

    def work(task):
        time.sleep(0.002 if world.rank else 0.02)
        return 0

    for _ in range(2):
        assert len(queue.run([(n,) for n in range(4 * world.size)], work)) == 4
    assert queue.tasks_stolen == queue.steal_requests == 0 and list(queue.speeds) == [1.0] * world.size


def test_counters_and_idle_time(world):
    """Tasks done add up, and what a rank waited for work is a row of kind idle."""
    timings = Timings(world, "test")
    queue = Queue(world, Mail(world), timings)
    with timings.phase("work"):
        results = queue.run([(number,) for number in range(50)], lambda task: time.sleep(0.001))
    rows = {row["kind"]: row for row in timings.local_rows()}
    assert rows["compute"]["tasks_done"] == len(results) == queue.tasks_done
    assert world.sum([queue.tasks_done]).tolist() == [50]
    assert rows["compute"]["steal_requests"] == queue.steal_requests
    assert rows["idle"]["tasks_done"] is None and rows["idle"]["wall_s"] >= 0
    assert world.size > 1 or queue.tasks_stolen == queue.steal_requests == 0


def test_progress_counts_every_task(world):
    """The line on rank 0 ends at the number of tasks, wherever they were computed."""
    lines = []

    class Line:
        def __init__(self, total, name):
            self.total, self.count, self.closed = total, 0, False
            lines.append(self)

        def update(self, count):
            self.count += count

        def close(self):
            self.closed = True

    queue = Queue(world, Mail(world), progress=Line)
    queue.run([(number,) for number in range(20)], lambda task: time.sleep(0.002))
    assert len(lines) == world.is_root
    assert all(line.count == line.total == 20 and line.closed for line in lines)


@given(st.lists(st.floats(0.01, 100), max_size=40), st.lists(st.floats(0.1, 4), min_size=1, max_size=8))
def test_share(world, costs, speeds):
    """First shares leave nothing out. Many tasks go in runs and stray from the exact proportion by one task at most; of
    few, no rank that computes could have handed its last one to another that would then be done much earlier."""
    weights, speeds = np.array(costs), np.array(speeds)
    shares = share(weights, speeds, np.zeros(len(speeds)))
    assert len(shares) == len(costs) and np.all((shares >= 0) & (shares < len(speeds)))
    loads = np.bincount(shares, weights, len(speeds))
    if len(costs) > FEW_TASKS * len(speeds):
        assert np.all(np.diff(shares) >= 0)
        assert np.all(np.abs(loads - speeds / speeds.sum() * weights.sum()) <= weights.max() + 1e-6)
    for rank in set(shares.tolist()):
        least = weights[shares == rank].min()
        if len(costs) <= FEW_TASKS * len(speeds):
            assert np.all(loads[rank] / speeds[rank] <= SAME_END * ((loads + least) / speeds) + 1e-6)


def test_who_has_worked_least_gets_the_long_task(world):
    """Of ranks that are about equally fast; a slower one does not."""
    speeds, worked_s = np.array([1.0, 1.1, 0.5]), np.array([2.0, 3.0, 0.0])
    assert share(np.array([1.0]), speeds, worked_s).tolist() == [0]
    assert share(np.array([1.0]), speeds, np.array([3.0, 2.0, 0.0])).tolist() == [1]
    assert share(np.array([1.0, 1.0]), speeds, worked_s).tolist() == [0, 1]


def test_a_thief_does_not_wait_for_one_victim_alone(world):
    """The richest rank is asked first, then those that have not been asked, each once, until one has answered."""
    run = _Run(0, np.ones(4), Processor(), [], None, None)
    run.note(1, 5.0, 0.0, 1.0)
    run.note(3, 2.0, 0.0, 1.0)
    for victim in (1, 3, 2):
        assert run.richest() == victim
        run.asked.add(victim)
    assert run.richest() is None
    run.asked.discard(3)
    assert run.richest() == 3


def test_a_rank_at_work_on_what_it_may_share_is_asked_before_those_that_wait(world):
    """It tells half of what is left of its task, some as long as it is at work, which is not forgotten in time."""
    run = _Run(2, np.ones(3), Processor(), [], lambda task: 8.0, None)
    run.load = 8.0
    run.begin(8.0)
    assert run.about()[0] == 0.0  # nobody could get a part
    run.may_hand_on = True
    assert run.about()[0] == 4.0
    run.busy_s, run.finished_cost, run.begun_s = 1.0, 8.0, time.perf_counter() - 100
    assert 0.0 < run.about()[0] < 0.1
    thief = _Run(0, np.ones(3), Processor(), [], None, None)
    for rank, load in ((1, 0.0), (2, 0.04)):
        thief.note(rank, load, 8.0, 1.0)
    thief.heard -= 100
    assert thief.richest() == 2


def test_what_a_rank_is_about_to_begin_goes_to_a_faster_one_only(world):
    """Between two tasks the last one waiting is given to a thief that is much faster, not to one that is alike."""
    queue, thief = Queue(world, Mail(world)), world.rank + 1
    for speed, handed_over in ((1.0, 0), (4.0, 1)):
        run = _Run(world.rank, np.ones(thief + 1), Processor(), [], lambda task: 1.0, None, learn=False)
        run.load, run.between = 1.0, True
        queue.shares, queue.speeds = np.ones(thief + 1), np.append(np.ones(thief), speed)
        queue._tasks = deque([(7,)])
        assert len(queue._cut(run, thief)) == handed_over
