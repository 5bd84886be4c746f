"""How fast ranks are: the work they do per second with a whole processor, times the share of one that they get.

Where the costs of tasks are guesses, they tell nothing of the speed of a rank; how long it had to wait for its
processor meanwhile is still known. So a rank that others leave little of its host is noticed in any run of the queue.
"""

import contextlib
import os
import time

import numpy as np

TRUST_S = 0.3  # of computing, after which what was measured counts as much as what was known
SHARE_TRUST_S = 0.1  # the same for shares
UNLIKE = 2.0  # starts that took so many times as long tell a slower processor
LEAST_S = 0.01  # of computing tell something of the work per second
LEAST_SHARE = 0.001  # a rank that has done something had


class Processor:
    """What the kernel of Linux tells of this thread; nothing where it does not."""

    def __init__(self):
        self._file = -1
        with contextlib.suppress(OSError):
            self._file = os.open("/proc/thread-self/schedstat", os.O_RDONLY | os.O_CLOEXEC)

    def __del__(self):
        if self._file >= 0:
            os.close(self._file)

    def seconds(self) -> tuple[float, float]:
        """Local: since the thread was started: on a processor, and ready but waiting for one (throttled by a quota as
        well); zeros where nobody tells."""
        if self._file < 0:
            return 0.0, 0.0
        got, waited, *_ = os.pread(self._file, 128, 0).split()
        return int(got) / 1e9, int(waited) / 1e9


class Meter:
    """The share of a processor that a rank gets while it works: 1 less the part of the time that it waits for one.

    `start` at the begin of a piece of work, `stop` at its end and, as often as one likes, on the way; known: the share
    before, as far as it is known. worked_s, waited_s: what was measured."""

    def __init__(self, processor: Processor, known: float = 1.0):
        self.processor, self.known = processor, known
        self.worked_s = self.waited_s = 0.0
        self._begun = self._waited = 0.0

    def start(self) -> None:
        """Local: from now on this rank works."""
        self._begun, self._waited = time.perf_counter(), self.processor.seconds()[1]

    def stop(self) -> None:
        """Local: it has worked since `start`, or since the last `stop`."""
        begun, waited = self._begun, self._waited
        self.start()
        self.worked_s += self._begun - begun
        self.waited_s += min(self._waited - waited, self._begun - begun)

    def share(self) -> float:
        """Local: of a processor, by what was known before and what was measured."""
        return (SHARE_TRUST_S * self.known + self.worked_s - self.waited_s) / (SHARE_TRUST_S + self.worked_s)

    def measured_share(self) -> float:
        """Local: of a processor, by what was measured alone."""
        return max(LEAST_SHARE, 1 - self.waited_s / self.worked_s) if self.worked_s else 1.0


def speeds_of_starts(starts: list[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Local: relative speeds of the ranks and their shares of a processor, both (ranks,) float64, by their starts.

    starts: seconds for which each computed, and waited, during the same work; zeros where that is not known. Speeds
    with a whole processor are alike where the first are nearly that: so short a time tells no more."""
    computed, waited = np.array(starts, np.float64).T
    if not computed.all():
        return np.ones(len(starts)), np.ones(len(starts))
    shares = computed / (computed + waited)
    whole = computed.min() / computed if computed.max() >= UNLIKE * computed.min() else np.ones(len(starts))
    return whole * shares, shares


def holding(speeds: np.ndarray, known: np.ndarray, still: float) -> np.ndarray:
    """Local: for which ranks the speed seen now is not `still` times more or less than the known one, bool (ranks,).
    Both (ranks,) float64, in any unit."""
    now = speeds / known
    usual = np.median(now)
    return (now < still * usual) & (now > usual / still)


def confirmed(speeds: np.ndarray, known: np.ndarray, holds: np.ndarray) -> np.ndarray:
    """Local: the known speeds of the ranks, which were measured for longer, where they hold; else what is seen now. All
    (ranks,) float64 but holds, which is bool; mean 1."""
    result = np.where(holds, known * np.median(speeds / known), speeds)
    return result / result.mean()


def learned_speeds(whole: np.ndarray, finished_cost: np.ndarray, busy_s: np.ndarray) -> np.ndarray:
    """Local: relative speeds with a whole processor, from what they were and from what the ranks did in a run.

    All (ranks,) float64; busy_s: seconds of computing, times the share of a processor. The longer a rank has computed,
    the more of its speed is what was measured."""
    known = (busy_s > LEAST_S) & (finished_cost > 0)
    if np.count_nonzero(known) < 2:
        return whole
    before, busy_s = whole[known], busy_s[known]
    trust = busy_s / (busy_s + TRUST_S)
    rates = finished_cost[known] / busy_s
    rates *= (trust * before).sum() / (trust * rates).sum()
    result = whole.copy()
    result[known] = before + trust * (rates - before)
    return result
