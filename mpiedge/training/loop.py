"""Full-batch training of a model whose rows are spread over the ranks: the same steps as on one rank.

The loss is the mean over all labelled training nodes. Each rank adds up its own nodes' share of it (divided by the
count over all ranks), so the plain sum of the ranks' gradients is the gradient of the mean, however unevenly the
labels lie. Every rank then takes the same optimiser step from the same numbers, so weights never need to be sent.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch

from mpiedge.graph.build import TRAIN, VALIDATION
from mpiedge.kernels.cross_entropy import cross_entropy
from mpiedge.training.optimiser import SCHEDULES, Adam, flatten


@dataclass
class Settings:
    """What shapes the weights besides the data.

    hops, projection: for models of propagated features, else 0 (see training/propagate.py); patience: epochs without a
    better validation before stopping; schedule: of the learning rate, a name of optimiser.SCHEDULES; class_weights:
    "none", or "balanced": every class weighs the same in the loss, however many nodes it has; dtype: "float32" or
    "float64", of weights, features and all between.
    """

    model: str
    hidden: int
    layers: int
    hops: int
    projection: int
    epochs: int
    learning_rate: float
    weight_decay: float
    dropout: float
    patience: int
    schedule: str
    class_weights: str
    dtype: str
    seed: int


@dataclass
class State:
    """Everything that training carries from epoch to epoch; the same on every rank.

    weights, first_moment, second_moment, best_weights: flat; history: rows of files.EPOCH_COLUMNS, bytes over
    all ranks, wall_s of this one; trained: of the step to these weights, until history has it: loss and right
    predictions, float64; lost: only in a state from a checkpoint: what compression is to feed back, of all ranks (see
    runtime/allreduce.py).
    """

    weights: np.ndarray
    first_moment: np.ndarray
    second_moment: np.ndarray
    best_weights: np.ndarray
    epoch: int = 0
    best_epoch: int = 0
    best_loss: float = np.inf
    best_accuracy: float = -1.0
    history: list[list[float]] = field(default_factory=list)
    trained: np.ndarray = field(default_factory=lambda: np.zeros(2))
    lost: dict[str, np.ndarray] = field(default_factory=dict)


def standing(accuracy: float, loss: float, class_weights: str) -> tuple[float, float]:
    """Local: how good a validation is, the larger the better. Where classes are weighted, by the loss, which is, too:
    accuracy counts most what the weights make count less."""
    return (accuracy, -loss) if class_weights == "none" else (-loss, accuracy)


class Trainer:
    """Trains `model` on this rank's `inputs`.

    world: sums over ranks; reduce: sums the ranks' gradients in place (see runtime/allreduce.py); phase(name, kind):
    times a block.
    """

    synchronous = True  # each step takes the gradients of all ranks at the same weights

    def __init__(self, world, inputs, model: torch.nn.Module, settings: Settings, reduce, phase: Callable):
        """Collective: counts the labelled nodes of all ranks. Messages: one sum, two with class weights."""
        self.world, self.model, self.settings = world, model, settings
        self.reduce, self.phase = reduce, phase
        self.planned = settings.epochs  # also where these are trained a few at a time
        self.take(inputs)
        self.train_nodes, self.validation_nodes = (int(count) for count in world.sum(self.labelled()))
        self.factors = None
        if settings.class_weights == "balanced":
            counts = world.sum(self.class_counts(len(getattr(model, f"bias_{model.layers}"))))
            self.factors = (self.train_nodes / (np.maximum(counts, 1) * (counts > 0).sum())).astype(settings.dtype)
        self.weights, self.gradient = flatten(model)
        decayed = model.weight_1.numel()  # the first layer only, as Kipf & Welling did; it comes first in `weights`
        self.optimiser = Adam(self.weights, settings.learning_rate, settings.weight_decay, decayed)
        optimiser = self.optimiser
        self.asked, self.lost, self.lacking = 0, {}, np.zeros(world.size)
        self.mirror = None  # see training/mirror.py
        self.earlier = 0  # epochs of the history that were trained before this run
        self.busy_s = np.zeros((0, world.size))  # a row per epoch of this run: seconds each rank computed, not waited
        self.wall_s: list[float] = []  # of rank 0, per epoch; that of the last epoch is not known yet
        self.state = State(self.weights.numpy(), optimiser.first_moment.numpy(), optimiser.second_moment.numpy(),
                           self.weights.numpy().copy())

    def take(self, inputs) -> None:
        """Local: the part of the graph that this rank trains on from now on; all ranks' parts together stay the same
        graph, so that sums over the ranks do, too."""
        self.inputs, part = inputs, inputs.part
        self.rows = {role: np.flatnonzero(part.split == role) for role in (TRAIN, VALIDATION)}
        self.labels = np.ascontiguousarray(part.labels)

    def labelled(self) -> np.ndarray:
        """Local: the number of this rank's training and validation nodes, int64."""
        return np.array([len(self.rows[TRAIN]), len(self.rows[VALIDATION])], np.int64)

    def class_counts(self, classes: int) -> np.ndarray:
        """Local: the number of this rank's training nodes in each class, int64."""
        return np.bincount(self.labels[self.rows[TRAIN]], minlength=classes)

    def restore(self, state: State) -> None:
        """Local: goes on from a checkpoint's state."""
        for name in ("weights", "first_moment", "second_moment"):  # these arrays are shared with torch: fill, not bind
            getattr(self.state, name)[:] = getattr(state, name)
        self.state.best_weights = state.best_weights.copy()
        for name in ("epoch", "best_epoch", "best_loss", "best_accuracy", "history", "trained"):
            setattr(self.state, name, getattr(state, name))
        self.optimiser.steps, self.earlier = state.epoch, len(state.history)
        self.reduce.restore(state.lost)

    def run(self, after_epoch: Callable[[State], None], asks: Callable[[], int] = int,
            lacks: Callable[[], float] = float) -> None:
        """Collective: epochs until the last or until validation stops getting better; calls back after each.

        What asks() gives, added up over the ranks, is `asked` on all of them in the next callback, and what lacks()
        gave each rank is `lacking`; `lost` is then what compression had lost before the gradient under way, as a
        checkpoint needs it.

        The gradient of the next step travels while the weights it was computed at are validated, so both sums need one
        wait: an epoch is complete, and its callback comes, just before the next step is taken.
        """
        state, settings = self.state, self.settings
        self._mark = time.perf_counter(), self.world.bytes_sent
        busy_s = 0.0
        while True:
            self.lost = self.reduce.lost()
            clock = time.perf_counter() - self.world.wait_s
            due = len(state.history) < state.epoch  # these weights have not been validated yet
            going = state.epoch < settings.epochs and not (not due and self.stalled())
            ahead = self._gradient(state.epoch + 1) if going else np.zeros(2)
            if going:
                with self.phase("allreduce", "communicate"):
                    self.reduce.start(self.gradient.numpy())
            size = self.world.size
            sums = np.zeros(7 + 2 * size)
            sums[:4] = *ahead, *(self._validate() if due else (0.0, 0.0))
            sums[4] = self.world.bytes_sent - self._mark[1]
            busy_s += time.perf_counter() - self.world.wait_s - clock
            sums[5 + self.world.rank], sums[5 + size + self.world.rank] = busy_s, lacks()
            sums[-1] = asks()
            sums[-2] = state.history[-1][5] if state.history and self.world.is_root else 0.0
            self._wait_for_sums(sums, going)
            busy_s = 0.0
            if due:
                self._record(np.array([*state.trained, *sums[2:5]]))
                self.busy_s = np.vstack([self.busy_s, sums[5 : 5 + size]])
                self.lacking = sums[5 + size : 5 + 2 * size]
                self.wall_s = [*self.wall_s[:-1], *([sums[-2]] if self.wall_s else []), np.nan]
                self.asked = int(sums[-1])
                after_epoch(state)
            if not going or (due and self.stalled()):
                return
            clock = time.perf_counter()
            with self.phase("step"):
                self.optimiser.step(self.gradient, SCHEDULES[settings.schedule](state.epoch / self.planned))
            busy_s = time.perf_counter() - clock
            state.epoch, state.trained = state.epoch + 1, sums[:2].copy()

    def stalled(self) -> bool:
        """Local: whether early stopping ends the training here."""
        return self.validation_nodes > 0 and self.state.epoch - self.state.best_epoch >= self.settings.patience

    def outcomes(self) -> Iterator[tuple]:
        """Collective: yields parts with the class probabilities of their owned rows (n, classes), from the
        best weights; equally many on every rank. Here it is one part."""
        yield self.inputs.part, self.finish().numpy()

    def finish(self) -> torch.Tensor:
        """Collective: class probabilities of the owned rows with the best weights, (n, classes)."""
        self.state.weights[:] = self.state.best_weights
        self.inputs.be_exact()  # so that predictions depend on the weights alone
        with torch.no_grad(), self.phase("evaluate"):
            return torch.softmax(self.model(self.inputs.begin()), dim=1)

    def _gradient(self, epoch: int) -> np.ndarray:
        """Collective: this rank's gradient, its share of the loss and its right predictions before the step."""
        with self.phase("step"):
            self.gradient.zero_()
            scores = self.model(self.inputs.begin(self.settings.dropout, self.settings.seed, epoch))
            slope = np.zeros(scores.shape, self.settings.dtype)
            found = cross_entropy(scores.detach().numpy(), self.labels, self.rows[TRAIN], slope, 1 / self.train_nodes,
                                  self.factors)
            Slope.apply(scores, slope).backward()  # also without own labels: others wait for our halo gradients
            return np.array(found)

    def _wait_for_sums(self, sums: np.ndarray, with_gradient: bool) -> None:
        """Collective: `sums` and the gradient under way become sums over the ranks. Messages: one more sum, and before
        it what a mirror keeps: so once a rank takes the step, all have got that."""
        with self.phase("allreduce", "communicate"):
            if with_gradient and self.mirror:
                self.reduce.finish()
                self.mirror.keep(self.world, self.state.epoch + 1, self.reduce.lost())
            requests = self.world.start_sum(sums)
            if with_gradient:
                self.reduce.finish()
            self.world.wait(*requests)

    def _validate(self) -> tuple[float, int]:
        """Collective: this rank's sum of the loss and right predictions over its validation nodes."""
        if not self.validation_nodes:
            return 0.0, 0
        with torch.no_grad(), self.phase("validate"):
            scores = self.model(self.inputs.begin()).numpy()
            return cross_entropy(scores, self.labels, self.rows[VALIDATION], factors=self.factors)

    def _record(self, sums: np.ndarray) -> None:
        """Local: an epoch's row of history from sums over all ranks: loss and right predictions in training and in
        validation, bytes sent."""
        state, nodes = self.state, np.array([self.train_nodes] * 2 + [self.validation_nodes] * 2)
        figures = np.divide(sums[:4], nodes, where=nodes > 0, out=np.full(4, np.nan))
        train_loss, train_accuracy, loss, accuracy = figures
        now = time.perf_counter()
        wall_s, self._mark = now - self._mark[0], (now, self.world.bytes_sent)
        weights = self.settings.class_weights
        better = standing(accuracy, loss, weights) > standing(state.best_accuracy, state.best_loss, weights)
        if better or not self.validation_nodes:
            state.best_epoch, state.best_accuracy, state.best_loss = state.epoch, float(accuracy), float(loss)
            state.best_weights[:] = state.weights
        row = [state.epoch, train_loss, train_accuracy, loss, accuracy, wall_s, sums[4]]
        state.history.append([float(value) for value in row])


class Slope(torch.autograd.Function):
    """A number whose gradient for `scores` is `slope`. (Tensor.backward(slope) imports sympy: half a second, 15 MB.)"""

    @staticmethod
    def forward(ctx, scores, slope):
        ctx.slope = slope
        return scores.new_zeros(())

    @staticmethod
    def backward(ctx, gradient):
        return torch.from_numpy(ctx.slope), None
