"""A work queue without a master: every rank computes, and a rank that runs dry steals from the richest it knows of.

Messages (all non-blocking, answered whenever a rank polls: between tasks and at each yield of a task; a thief that
comes when nothing is waiting, after the next step of the task):

    thief  -> victim  steal   run, load, rate and share of a processor of the thief
    victim -> thief   grant   tasks (perhaps none), load, rate and share of the victim: the receipt of the request
    any    -> rank 0  done    number of finished tasks, about once a second, only when a progress line is shown
    all    <-> all    waves   non-blocking sums of (grants sent, grants received), see `Waves`

A task is in exactly one place: the deque of one rank, or the variable of the rank that computes it, or one grant in
flight. A grant leaves the victim's deque before it is sent and enters the thief's when it is handled; MPI neither loses
nor repeats messages; so nothing is lost and nothing computed twice.
"""

import itertools
import os
import time
from collections import deque
from types import GeneratorType

import numpy as np

from mpiedge.runtime.first_share import share
from mpiedge.runtime.processor import Meter, Processor, learned_speeds, speeds_of_starts
from mpiedge.runtime.waves import Waves

FIRST_MOVE_S = 0.0005  # guess of what handing a task over costs the victim, replaced by measurements
FIRST_PROBE_S, LONGEST_PROBE_S = 0.001, 0.05  # pause between refused steal requests, doubled each time
PATIENCE_S = 0.01  # after which another rank is asked, too: the first may be in the midst of a long step
LONGEST_PAUSE_S = 0.001  # between two looks of a rank without work: the end of a run takes some of all ranks
FASTER = 1.5  # a thief so many times faster gets even the task that its victim was to begin now
NEWS_S = 1.0
LEAST_LEFT = 0.01  # of what a rank had to do, until it is heard to have nothing: more than those have that wait
STEALING = "MPIEDGE_STEAL"


class Queue:
    """The work-stealing queue of one rank; one object serves any number of runs, one after the other.

    speeds: relative speed of each rank with the share of a processor that it gets, `shares`, from the runs so far (all
    equal at first); the first part of a run that each gets is weighted by it. stealing: off by MPIEDGE_STEAL=0, then
    all parts are equal and final, to see what stealing brings.
    tasks_done, tasks_stolen, steal_requests: totals of this rank over all runs (also given to `timings`).
    """

    def __init__(self, world, mail, timings=None, progress=None):
        """Collective in effect: all ranks make their queues on the same `mail`.

        progress: None, or a function (total, name) -> object with `update(n)` and `close()`, called on rank 0.
        """
        self.world, self.mail, self.timings, self._progress = world, mail, timings, progress
        self.speeds, self.shares, self._worked_s = np.ones(world.size), np.ones(world.size), np.zeros(world.size)
        self._processor = Processor()
        self.stealing = os.environ.get(STEALING) != "0"
        self.tasks_done = self.tasks_stolen = self.steal_requests = 0
        self.ledger = None  # a store.ledger.Ledger where the stage goes on from earlier attempts
        self._run_number = 0
        self._tasks: deque = deque()
        self._move_s = FIRST_MOVE_S
        self._run = _Run(world.rank, self.shares, self._processor, (), None, None)
        self._running = False
        mail.handle("steal", self._take_steal)
        mail.handle("grant", self._take_grant)
        mail.handle("done", self._take_done)

    @property
    def finished(self) -> int:
        """Tasks that this rank has finished, those of the run at work included."""
        return self.tasks_done + (self._run.finished if self._running else 0)

    @property
    def share_of_processor(self) -> float:
        """That this rank gets, as far as is known."""
        return self._run.meter.share()

    def expect(self, starts: list, speeds=None) -> None:
        """Collective: before the first run: what the starts of the ranks tell of their speeds (`speeds_of_starts`);
        speeds: better known ones."""
        if self.stealing:
            self.speeds, self.shares = speeds_of_starts(starts)
            self.speeds = self.speeds if speeds is None else np.array(speeds, np.float64)

    def own_range(self, count: int, ranks=None) -> tuple[int, int]:
        """Local: this rank's part (first, last) of range(count), cut in proportion to the speeds of `ranks` (all)."""
        speeds = self.speeds if ranks is None else self.speeds[ranks]
        place = self.world.rank if ranks is None else list(ranks).index(self.world.rank)
        ends = np.concatenate([[0.0], np.cumsum(speeds) / speeds.sum()])
        return round(count * ends[place]), round(count * ends[place + 1])

    def own(self, tasks: list[tuple], cost) -> list[tuple]:
        """Local: this rank's part of tasks that take less time than a run does to end; nobody steals of them."""
        weights = np.array([_weight(cost(task)) for task in tasks])
        return list(itertools.compress(tasks, share(weights, self.speeds, self._worked_s) == self.world.rank))

    # ---- running -------------------------------------------------------------------------------------------------

    def run(self, tasks, work, *, cost=None, split=None, steal=True, learn=True, in_order=False,
            name="tasks", kept=None, take=None) -> list:
        """Collective: computes all tasks; returns this rank's (task, result) pairs, unsorted.

        tasks: distinct tuples of ints of one length, the same list on every rank. work(task) returns the result, or is
        a generator that yields every 50-100 ms of compute (None, or a list of child tasks for this rank's queue) and
        returns the result; a yield gives True when another rank waits for work, so that a long task may hand on a part
        of itself with the next yield. cost(task): its weight, 1 by default; zero and negative count as very small.
        split(task) returns two tasks that replace it, or None: lets a rank with one large waiting task share it.
        steal=False computes the first share only (for comparison). learn=False: the costs are guesses and tell
        nothing about the speeds. in_order: tasks tell of those after them what need not be done, so the ranks begin
        them about in their order. kept: a name under which the ledger keeps the
        results, which are messages, of tasks without children that say and write all they bring about; a later attempt
        computes the other tasks only. take(task, result): called on the rank that has a result, computed or recalled;
        what it returns is the result.
        """
        cost, steal = cost or _one, steal and self.stealing
        tasks = [tuple(task) for task in tasks]
        take = take or _same
        if kept is None or self.ledger is None:
            return self._share_out(tasks, _Steps(work, take), cost, split, steal, learn, name, in_order)
        steps = _Steps(work, take, self.ledger, self.ledger.name_call(kept))
        finished, recalled = self.ledger.recall(steps.call, tasks)
        results = [(task, take(task, result)) for task, result in recalled]
        tasks = [task for task in tasks if task not in finished]
        doubtful, poison = self.ledger.in_doubt(steps.call, tasks)
        results += self._share_out([task for task in tasks if task not in {*doubtful, *poison}], steps, cost, split,
                                   steal, learn, name)
        for task in doubtful:
            results += self._share_out([task], steps, cost, split, steal, learn, name)
        if poison:
            self.ledger.give_up(name, poison[0])
        return results

    def _share_out(self, tasks, steps, cost, split, steal: bool, learn: bool, name: str, in_order=False) -> list:
        """Collective: computes all tasks; this rank's (task, result) pairs."""
        weights = np.array([_weight(cost(task)) for task in tasks])
        shares = share(weights, self.speeds, self._worked_s, in_order)
        self._run_number += 1
        run = self._run = _Run(self.world.rank, self.shares, self._processor, tasks, cost, split, learn)
        run.loads[:] = np.bincount(shares, weights, minlength=self.world.size)
        run.load = run.loads[self.world.rank]
        self._tasks = deque(itertools.compress(tasks, shares == self.world.rank))
        if self._progress and self.world.is_root:
            run.bar = self._progress(len(tasks), name)
        waves = Waves(self.world, self.mail.comm)
        results = []
        self._running = True
        while self._next_is_here(run, waves, steal):
            task = self._tasks.popleft()
            run.begin(run.weight(task))
            run.meter.start()
            try:
                result = self._compute(run, steps.begin, task)
            except BaseException:
                steps.fail(task)
                raise
            results.append((task, steps.finish(task, result)))
            run.meter.stop()
            run.finish()
            self._tell(run)
        self._clean_up(run)
        return results

    def _next_is_here(self, run, waves, steal: bool) -> bool:
        """Local: answers those who asked during the last task before it takes the next; False when there is none."""
        run.between = True
        self.mail.poll()
        run.between = False
        return bool(self._tasks) or self._find_work(run, waves, steal)

    def _compute(self, run, work, task):
        outcome = work(task)
        if not isinstance(outcome, GeneratorType):
            return outcome
        asked, run.may_hand_on = None, True
        while True:
            try:
                children = outcome.send(asked)
            except StopIteration as end:
                run.may_hand_on = False
                self._answer_kept(run)
                return end.value
            run.meter.stop()
            if children:
                # To the front, in order: depth first keeps few tasks waiting, and thieves take the old, large ones.
                children = [tuple(child) for child in children]
                self._tasks.extendleft(reversed(children))
                handed_on = sum(map(run.weight, children))
                run.load += handed_on
                run.running = max(0.0, run.running - handed_on)  # their work is no longer that of this task
                run.total += len(children)
            self._answer_kept(run)
            self.mail.poll()
            asked = bool(run.kept)

    def _find_work(self, run, waves, steal: bool) -> bool:
        """Local: with nothing waiting: steals until a task is here (True) or until no rank has one (False)."""
        if self.timings is None:
            return self._wait_for_work(run, waves, steal)
        with self.timings.idle():
            return self._wait_for_work(run, waves, steal)

    def _wait_for_work(self, run, waves, steal: bool) -> bool:
        pause = self.world.pause(longest_s=LONGEST_PAUSE_S)
        run.load = run.running = 0.0  # sheds the rounding of sums of costs
        run.between = True  # a task that arrives together with a request is not handed on at once
        while not self._tasks:
            ended = waves.ended
            if waves.finished(run):
                return False
            if steal and time.perf_counter() >= run.next_probe:
                self._ask(run)
            if self.mail.poll() or waves.ended > ended:
                pause.restart()
            else:
                pause.rest()
        run.between = False
        return True

    def _clean_up(self, run) -> None:
        """Collective: returns when every request has its receipt and no letter is in flight; then learns the speeds.

        All ranks know that the run is over (the waves said so) and ask no more; a request still out is answered by a
        victim that polls here or is yet to come here.
        """
        pause = self.world.pause(longest_s=LONGEST_PAUSE_S)
        while run.asked:
            if not self.mail.poll():
                pause.rest()
        counts = self.mail.gather_counts(run.finished, run.finished_cost, run.busy_s * run.meter.measured_share(),
                                         run.meter.share())
        finished, finished_cost, busy_s, shares = counts[:, 2:].T
        if self.stealing:
            whole = self.speeds / self.shares
            self.speeds = shares * (learned_speeds(whole, finished_cost, busy_s) if run.learn else whole)
            self.shares = shares
            self._worked_s += busy_s
        if run.bar:
            run.bar.update(int(finished.sum()) - run.shown)
            run.bar.close()
        self.tasks_done += run.finished
        self._running = False
        self.tasks_stolen += run.stolen
        self.steal_requests += run.requests
        if self.timings is not None:
            self.timings.add(tasks_done=run.finished, tasks_stolen=run.stolen, steal_requests=run.requests)

    # ---- stealing ------------------------------------------------------------------------------------------------

    def _ask(self, run) -> None:
        victim = run.richest()
        if victim is None:
            return
        run.asked.add(victim)
        run.next_probe = time.perf_counter() + PATIENCE_S
        run.requests += 1
        self.mail.send(victim, "steal", [self._run_number, *run.about()])

    def _take_steal(self, thief: int, message: list) -> None:
        """Handler on the victim. A thief that is a run ahead of this rank gets an empty grant that tells no load; one
        that asks when nothing is waiting gets its answer after the next step of the task, which may leave a part."""
        number, *about = message
        if number != self._run_number:
            self.mail.send(thief, "grant", [[]])
            return
        run = self._run
        run.note(thief, *about)
        if run.may_hand_on and not self._tasks:
            run.kept.append(thief)
        else:
            self._grant(run, thief)

    def _answer_kept(self, run) -> None:
        while run.kept:
            self._grant(run, run.kept.popleft())

    def _grant(self, run, thief: int) -> None:
        started = time.perf_counter()
        tasks = self._cut(run, thief)
        run.grants_sent += bool(tasks)
        self.mail.send(thief, "grant", [np.array(tasks, np.int64), *run.about()])
        if tasks:
            self._move_s += (2 * (time.perf_counter() - started) - self._move_s) / 4  # the thief works as much again

    def _cut(self, run, thief: int) -> list:
        """Local: takes from the back of the deque what the thief should have: half by cost, if both are equally fast.

        Half of what is waiting and of half of the running task, rounded to whole tasks: a slow thief gets no task that
        this rank would finish earlier. Nothing, too, when it takes less time to compute than to move.
        """
        waiting = self._tasks
        mine, theirs = run.compare(thief, self.speeds / self.shares)
        if len(waiting) == 1 and run.split and (parts := run.split(waiting[0])):
            waiting.clear()
            waiting.extend(tuple(part) for part in parts)
            run.load = sum(map(run.weight, waiting))
            run.total += 1
        wanted = (run.load + run.running / 2) * theirs / (mine + theirs)
        if run.between and theirs < FASTER * mine:
            wanted = min(wanted, run.load - run.weight(waiting[0]) if waiting else 0.0)
        rate = run.rate()
        taken, weight = [], 0.0
        while waiting:
            more = run.weight(waiting[-1])
            if weight + more / 2 > wanted:
                break
            taken.append(waiting.pop())
            weight += more
        if rate and weight / rate < self._move_s:
            waiting.extend(reversed(taken))
            return []
        run.load -= weight
        return taken[::-1]

    def _take_grant(self, victim: int, message: list) -> None:
        tasks, *about = message
        run = self._run
        run.asked.discard(victim)
        if about:
            run.note(victim, *about)
        if not len(tasks):
            run.next_probe = time.perf_counter() + run.probe_s
            run.probe_s = min(2 * run.probe_s, LONGEST_PROBE_S)
            return
        run.grants_received += 1
        run.stolen += len(tasks)
        run.probe_s = FIRST_PROBE_S
        arrived = [tuple(task) for task in tasks.tolist()]
        self._tasks.extend(arrived)
        run.load += sum(map(run.weight, arrived))

    # ---- progress ------------------------------------------------------------------------------------------------

    def _tell(self, run) -> None:
        """Local: tells rank 0 how many tasks are finished, about once a second."""
        if not self._progress or time.perf_counter() < run.next_news:
            return
        run.next_news = time.perf_counter() + (0.1 if self.world.is_root else NEWS_S)
        self.mail.send(0, "done", run.finished - run.told)
        run.told = run.finished

    def _take_done(self, source: int, count: int) -> None:
        if self._run.bar:
            self._run.bar.total = max(self._run.total, self._run.bar.total or 0)
            self._run.bar.update(count)
            self._run.shown += count

    # ---- results -------------------------------------------------------------------------------------------------

    def gather(self, results: list) -> list:
        """Collective: the (task, result) pairs of all ranks on every rank, sorted by task; results are messages."""
        return _merge(self.world.allgather(_packed(results)))

    def gather_hosts(self, results: list) -> list:
        """Collective: the (task, result) pairs of all ranks on the first rank of each host, sorted by task; an empty
        list elsewhere."""
        return _merge(self.world.gather_hosts(_packed(results)) or [])

    def gather_root(self, results: list) -> list:
        """Collective: the (task, result) pairs of all ranks on rank 0, sorted by task; an empty list elsewhere."""
        return _merge(self.world.gather(_packed(results)) or [])


class _Steps:
    """What is done for a task: claimed, computed, kept, taken; call: its name in the ledger."""

    def __init__(self, work, take, ledger=None, call: str = ""):
        self.work, self.take, self.ledger, self.call = work, take, ledger, call

    def begin(self, task):
        if self.ledger:
            self.ledger.claim(self.call, task)
        return self.work(task)

    def fail(self, task):
        if self.ledger:
            self.ledger.release(self.call, task)

    def finish(self, task, result):
        if self.ledger:
            self.ledger.note(self.call, task, result)
        return self.take(task, result)


class _Run:
    """What a rank knows during one run: its own load and speed, and the last it heard of the others."""

    def __init__(self, rank: int, shares: np.ndarray, processor: Processor, tasks, cost, split, learn: bool = True):
        size = len(shares)
        self.rank, self.shares, self.meter = rank, shares.copy(), Meter(processor, shares[rank])
        self.cost, self.split, self.learn = cost, split, learn
        self.total = len(tasks)
        self.load = self.running = 0.0  # cost of the tasks waiting here, and of the one being computed
        self.begun_s = self.busy_s = self.finished_cost = 0.0
        self.finished = self.stolen = self.requests = self.told = self.shown = 0
        self.grants_sent = self.grants_received = 0
        self.may_hand_on = False  # the task that is being computed may leave a part of itself to others
        self.kept: deque[int] = deque()  # the thieves that wait for that
        self.between = False  # no task is being computed, and the next is about to be
        self.asked: set[int] = set()  # the victims whose grants are outstanding
        self.next_probe, self.probe_s, self.next_news = 0.0, FIRST_PROBE_S, 0.0
        self.loads, self.rates = np.zeros(size), np.zeros(size)
        self.heard = np.full(size, time.perf_counter())
        self.last_victim = -1
        self.bar = None

    def weight(self, task) -> float:
        return _weight(self.cost(task))

    def begin(self, weight: float) -> None:
        """Local: of what is waiting this rank begins a task."""
        self.load -= weight
        self.running, self.begun_s = weight, time.perf_counter()

    def finish(self) -> None:
        """Local: that task is done."""
        self.busy_s += time.perf_counter() - self.begun_s
        self.finished += 1
        self.finished_cost += self.running
        self.running = 0.0

    def rate(self) -> float:
        """Local: cost per second of this rank in this run, 0 while unknown."""
        return self.finished_cost / self.busy_s if self.busy_s > 0.001 else 0.0

    def about(self) -> list[float]:
        """Local: what `note` of another rank takes. The load is what is waiting, and half of what is left of a task
        that may leave a part of itself: some, as long as it is at work, whatever it was thought to cost."""
        left = 0.0
        if self.may_hand_on:
            left = max(self.running - self.rate() * (time.perf_counter() - self.begun_s), LEAST_LEFT * self.running)
        return [self.load + left / 2, self.rate(), self.meter.share()]

    def note(self, rank: int, load: float, rate: float, share: float) -> None:
        self.loads[rank], self.rates[rank], self.shares[rank] = load, rate, share
        self.heard[rank] = time.perf_counter()

    def compare(self, other: int, whole: np.ndarray) -> tuple[float, float]:
        """Local: speeds of this rank and another on one scale: of this run, where its costs are known and both have
        worked, else `whole`, those with a whole processor by earlier runs, times the shares: where costs are guesses a
        rank seems slow when its tasks take longer than thought."""
        mine, theirs = self.rate(), self.rates[other]
        if self.learn and mine > 0 and theirs > 0:
            return mine, theirs
        return whole[self.rank] * self.meter.share(), whole[other] * self.shares[other]

    def richest(self) -> int | None:
        """Local: of the ranks not asked yet the one with the largest load by what was last heard, less what it has
        computed since; None when all are asked.

        When all seem empty (children may have been born since), the others are asked in turn.
        """
        size = len(self.loads)
        if size == 1:
            return None
        typical = self.rates[self.rates > 0].mean() if self.rates.any() else self.rate()
        rates = np.where(self.rates > 0, self.rates, typical)
        left = np.maximum(self.loads - rates * (time.perf_counter() - self.heard), LEAST_LEFT * self.loads)
        left[[self.rank, *self.asked]] = 0.0
        if left.max() > 0:
            return int(left.argmax())
        for step in range(1, size + 1):
            victim = (self.last_victim + step) % size
            if victim != self.rank and victim not in self.asked:
                self.last_victim = victim
                return victim
        return None


def _one(task) -> float:
    return 1.0


def _same(task, result):
    return result


def _weight(cost) -> float:
    return max(float(cost), 1e-9)


def _packed(results: list) -> list:
    return [np.array([task for task, _ in results], np.int64), [result for _, result in results]]


def _merge(messages: list) -> list:
    pairs = []
    for tasks, results in messages:
        pairs.extend(zip(map(tuple, tasks.tolist()), results))
    pairs.sort(key=lambda pair: pair[0])
    return pairs
