"""Training with bounded staleness: a rank that is late is not waited for, as long as its last gradient is not too old.

Rank 0 keeps the weights and takes the steps (stale synchronous parallel; Ho et al. 2013): every rank sends it the
gradient of its nodes and gets the newest weights for it. When most ranks have answered and a late one has had its time,
the last gradient of that one counts instead. Boundary rows of neighbours may be as old (as in PipeGCN, Wan et al. 2022;
see graph/stale_halo.py). So steps depend on who was in time: not exact, and only done when asked for.

Why it ends: rank 0 waits only for ranks that have weights to work on, and these wait for nobody but, in their first
passes, for the first rows of neighbours, who all send before they wait. In the first step, and in the next, which is
the first that validates, rank 0 gives weights to all ranks. A rank without work waits for rank 0, which sends it
weights with its next step, or, once everybody has answered, word that training is over.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from mpiedge.graph.halo import HaloExchange
from mpiedge.graph.stale_halo import StaleExchange
from mpiedge.store import decisions
from mpiedge.training.files import EPOCH_COLUMNS
from mpiedge.training.halt import HALT
from mpiedge.training.loop import State, Trainer
from mpiedge.training.optimiser import SCHEDULES

TAG_WORD, TAG_WEIGHTS, TAG_FIGURES, TAG_GRADIENT = 51, 52, 53, 54
PATIENCE = 1.5  # times what most ranks usually take; then a rank is late
LAST = 9  # steps whose median is usual
AGAIN = 3  # answers in time after which a late rank is waited for again; twice as many each time it was late
FIGURES = 7  # version, loss, right answers, validation loss, right answers, bytes sent, asks
OVER = -1.0  # instead of a version: no more work


@dataclass
class Answer:
    """The last that rank 0 heard from a rank, and what is to come.

    working: it has weights that it has not answered yet; coming: buffers of that answer, requests: of it and of the
    weights; fresh: it answered since the last step; late: it is not waited for until `needed` answers are in time.
    """

    figures: np.ndarray
    gradient: np.ndarray
    coming: tuple = ()
    requests: list = field(default_factory=list)
    working: bool = False
    fresh: bool = False
    late: bool = False
    in_time: int = 0
    needed: int = AGAIN


class StaleTrainer(Trainer):
    """A `Trainer` that goes on without late ranks for at most `bound` steps.

    Until it has ended only rank 0 has the state. Rank 0 itself is always waited for. left_out: answers that were
    replaced by older ones; oldest: the most steps that such a one was old.
    """

    synchronous = False

    def __init__(self, world, inputs, model, settings, reduce, phase, bound: int, stage, began_s: float):
        """Collective: as in `Trainer`; began_s: when the program started."""
        super().__init__(world, inputs, model, settings, reduce, phase)
        self.bound, self.stage, self.began_s = bound, stage, began_s
        inputs.exchange = StaleExchange(world, inputs.part)
        self.usual_s: list[float] = []  # seconds that most ranks took, of the last steps
        self.left_out = self.oldest = 0

    def run(self, after_epoch: Callable[[State], None], asks: Callable[[], int] = int,
            lacks: Callable[[], float] = float) -> None:
        """Collective: as in `Trainer`, but calls back on rank 0 only, and on all ranks when one was told to stop."""
        self.asks, self.lacks = asks, lacks
        if self.world.is_root:
            self._lead(after_epoch)
        else:
            self._follow()
        self._agree()
        if self.asked >= HALT:
            after_epoch(self.state)

    def _follow(self) -> None:
        """Local: what other ranks than 0 do: work on what it sends."""
        world, weights, word = self.world, self.state.weights, np.empty(1)
        while True:
            world.wait(world.comm.Irecv(word, 0, TAG_WORD))
            if word[0] == OVER:
                return
            world.wait(world.comm.Irecv(weights, 0, TAG_WEIGHTS))
            figures = self._work(int(word[0]))
            world.wait(world.comm.Isend(figures, 0, TAG_FIGURES),
                       world.comm.Isend(self.gradient.numpy(), 0, TAG_GRADIENT))
            world.bytes_recv += weights.nbytes
            world.bytes_sent += weights.nbytes

    def _work(self, version: int) -> np.ndarray:
        """Local, as boundary rows are not waited for: gradient and figures of this rank's nodes."""
        before = self.world.bytes_sent
        trained = self._gradient(version + 1)
        valid = self._validate() if version else (0.0, 0.0)
        self.lacks()  # a rank that runs out of memory asks for a checkpoint
        return np.array([version, *trained, *valid, self.world.bytes_sent - before, self.asks()], np.float64)

    def _lead(self, after_epoch: Callable[[State], None]) -> None:
        """Local: what rank 0 does: works as well, and takes the steps."""
        state, settings, world = self.state, self.settings, self.world
        answers = [Answer(np.zeros(FIGURES), np.zeros_like(state.weights)) for _ in range(world.size)]
        self._mark, trained = (time.perf_counter(), world.bytes_sent), np.zeros(2)
        while True:
            start = time.perf_counter()
            for rank, answer in enumerate(answers):
                answer.fresh = answer.fresh and rank == 0
                if rank and not answer.working:
                    self._give(rank, answer)
            answers[0].figures, answers[0].fresh = self._work(state.epoch), True
            answers[0].gradient = self.gradient.numpy().copy()
            self._collect(answers, start)
            figures = sum(answer.figures for answer in answers)
            sent, asked = sum(answer.figures[5:] for answer in answers if answer.fresh)
            due = len(state.history) < state.epoch
            if due:
                self.asked = int(asked)
                moved = 2 * state.weights.nbytes * sum(answer.fresh for answer in answers[1:])
                self._record(np.array([*trained, *figures[3:5], sent + moved]))
                if self.asked < HALT:
                    after_epoch(state)
            if state.epoch >= settings.epochs or self.stalled() or (due and self.asked >= HALT):
                break
            with self.phase("step"):
                self.gradient.numpy()[:] = sum(answer.gradient for answer in answers)
                self.optimiser.step(self.gradient, SCHEDULES[settings.schedule](state.epoch / self.planned))
            state.epoch += 1
            trained = figures[1:3]
        world.wait(*(request for answer in answers for request in answer.requests))
        over = np.array([OVER])
        world.wait(*(world.comm.Isend(over, rank, TAG_WORD) for rank in range(1, world.size)))

    def _give(self, rank: int, answer: Answer) -> None:
        """Local: sends the weights to a rank and expects its answer."""
        comm, weights, word = self.world.comm, self.state.weights.copy(), np.array([float(self.state.epoch)])
        figures, gradient = np.empty(FIGURES), np.empty_like(weights)
        answer.working, answer.coming = True, (figures, gradient, word, weights)
        answer.requests = [comm.Isend(word, rank, TAG_WORD), comm.Isend(weights, rank, TAG_WEIGHTS),
                           comm.Irecv(figures, rank, TAG_FIGURES), comm.Irecv(gradient, rank, TAG_GRADIENT)]
        self.world.bytes_sent += weights.nbytes
        self.world.bytes_recv += weights.nbytes

    def _collect(self, answers: list[Answer], start: float) -> None:
        """Local: takes answers until all are there, or those that are missing need not be waited for."""
        pause, most_s, clock = self.world.pause(), None, time.perf_counter()
        while True:
            for rank, answer in enumerate(answers):
                if answer.working and self.world.test(*answer.requests):
                    self._hear(rank, answer)
            missing = [answer for answer in answers if answer.working]
            took = time.perf_counter() - start
            if most_s is None and 2 * len(missing) <= len(answers):
                most_s = took
            if not missing or (most_s is not None and self._without(missing, took)):
                break
            pause.rest()
        self.world.wait_s += time.perf_counter() - clock
        self.usual_s = [*self.usual_s, most_s][-LAST:]
        for rank, answer in enumerate(answers):
            if answer.working:
                self.left_out += 1
                self.oldest = max(self.oldest, self._age(answer))
                answer.in_time = 0
                if not answer.late:
                    answer.late = True
                    usual = f"{1e3 * np.median(self.usual_s):.0f} ms"
                    self._tell(rank, f"takes more than {PATIENCE:g} times the {usual} of most ranks",
                               f"its last gradient counts, for at most {self.bound} steps")

    def _hear(self, rank: int, answer: Answer) -> None:
        """Local: an answer has come."""
        answer.figures, answer.gradient = answer.coming[:2]
        answer.working, answer.fresh, answer.requests = False, True, []
        answer.in_time += self._age(answer) <= 1
        if answer.late and answer.in_time >= answer.needed:
            answer.late, answer.needed = False, 2 * answer.needed
            self._tell(rank, "answers in time again", "it is waited for again")

    def _age(self, answer: Answer) -> int:
        return self.state.epoch - int(answer.figures[0])

    def _without(self, missing: list[Answer], took: float) -> bool:
        """Local: whether a step may be taken without these ranks, after `took` seconds."""
        if not self.usual_s or any(self._age(answer) > self.bound for answer in missing):
            return False  # in the first step nothing is known of them
        return all(answer.late for answer in missing) or took > PATIENCE * np.median(self.usual_s)

    def _tell(self, rank: int, saw: str, did: str) -> None:
        """Local: a decision, in the log and in decisions.csv."""
        saw = f"rank {rank} {saw} after epoch {self.state.epoch}"
        self.stage.say(f"stale   {saw}: {did}")
        since = f"{time.perf_counter() - self.began_s:.1f}"
        decisions.append(self.stage.run, since_s=since, stage=self.stage.name, rank=rank, saw=saw, did=did)

    def _agree(self) -> None:
        """Collective: every rank has the state of rank 0, and rows are exchanged exactly again. Message: the state."""
        state, own = self.state, None
        if self.world.is_root:
            own = {"history": np.array(state.history, np.float64), "weights": state.weights,
                   "best_weights": state.best_weights, "numbers": np.array(
                       [state.epoch, state.best_epoch, self.asked, self.left_out, self.oldest], np.int64),
                   "best": np.array([state.best_loss, state.best_accuracy])}  # fmt: skip
        found = self.world.bcast(own)
        state.weights[:], state.best_weights[:] = found["weights"], found["best_weights"]
        state.epoch, state.best_epoch, self.asked, self.left_out, self.oldest = found["numbers"].tolist()
        state.best_loss, state.best_accuracy = found["best"].tolist()
        state.history = found["history"].reshape(-1, len(EPOCH_COLUMNS)).tolist()
        self.inputs.exchange.close()
        self.inputs.exchange = HaloExchange(self.world, self.inputs.part)
