"""Full-batch training of a model whose rows are spread over the ranks: the same steps as on one rank.

The loss is the mean over all labelled training nodes. Each rank adds up its own nodes' share of it (divided by the
count over all ranks), so the plain sum of the ranks' gradients is the gradient of the mean, however unevenly the
labels lie. Every rank then takes the same optimiser step from the same numbers, so weights never need to be sent.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from mpiedge.graph.build import TRAIN, VALIDATION
from mpiedge.training.optimiser import Adam, flatten


@dataclass
class Settings:
    """What shapes the weights besides the data. patience: epochs without a better validation before stopping."""

    model: str
    hidden: int
    epochs: int
    learning_rate: float
    weight_decay: float
    dropout: float
    patience: int
    seed: int


@dataclass
class State:
    """Everything that training carries from epoch to epoch; the same on every rank.

    weights, first_moment, second_moment, best_weights: flat float32; history: rows of files.EPOCH_COLUMNS, bytes over
    all ranks, wall_s of this one.
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


class Trainer:
    """Trains `model` on this rank's `inputs`.

    world: sums over ranks; reduce(flat float32): Collective, the sum of the ranks' gradients in place; phase(name,
    kind): times a block.
    """

    def __init__(self, world, inputs, model: torch.nn.Module, settings: Settings, reduce: Callable, phase: Callable):
        """Collective: counts the labelled nodes of all ranks. Message: one sum."""
        self.world, self.inputs, self.model, self.settings = world, inputs, model, settings
        self.reduce, self.phase = reduce, phase
        part = inputs.part
        self.rows = {role: torch.from_numpy(np.flatnonzero(part.split == role)) for role in (TRAIN, VALIDATION)}
        self.labels = {role: torch.from_numpy(part.labels)[rows] for role, rows in self.rows.items()}
        own = np.array([len(self.rows[TRAIN]), len(self.rows[VALIDATION])], np.int64)
        self.train_nodes, self.validation_nodes = (int(count) for count in world.sum(own))
        self.weights, self.gradient = flatten(model)
        decayed = model.weight_1.numel()  # the first layer only, as Kipf & Welling did; it comes first in `weights`
        self.optimiser = Adam(self.weights, settings.learning_rate, settings.weight_decay, decayed)
        optimiser = self.optimiser
        self.state = State(self.weights.numpy(), optimiser.first_moment.numpy(), optimiser.second_moment.numpy(),
                           self.weights.numpy().copy())

    def restore(self, state: State) -> None:
        """Local: goes on from a checkpoint's state."""
        for name in ("weights", "first_moment", "second_moment"):  # these arrays are shared with torch: fill, not bind
            getattr(self.state, name)[:] = getattr(state, name)
        self.state.best_weights = state.best_weights.copy()
        for name in ("epoch", "best_epoch", "best_loss", "best_accuracy", "history"):
            setattr(self.state, name, getattr(state, name))
        self.optimiser.steps = state.epoch

    def run(self, after_epoch: Callable[[State], None]) -> None:
        """Collective: epochs until the last or until validation stops getting better; calls back after each."""
        state = self.state
        while state.epoch < self.settings.epochs and not self.stalled():
            start, sent = time.perf_counter(), self.world.bytes_sent
            train_loss, train_correct = self._step(state.epoch + 1)
            own = [train_loss, train_correct, *self._validate()]
            with self.phase("allreduce", "communicate"):
                sums = self.world.sum(np.array([*own, self.world.bytes_sent - sent], np.float64))
            state.epoch += 1
            self._record(sums[:4], time.perf_counter() - start, sums[4])
            after_epoch(state)

    def stalled(self) -> bool:
        """Local: whether early stopping ends the training here."""
        return self.validation_nodes > 0 and self.state.epoch - self.state.best_epoch >= self.settings.patience

    def finish(self) -> torch.Tensor:
        """Collective: class probabilities of the owned rows with the best weights, float32 (n, classes)."""
        self.state.weights[:] = self.state.best_weights
        with torch.no_grad(), self.phase("evaluate"):
            return torch.softmax(self.model(self.inputs.begin()), dim=1)

    def _step(self, epoch: int) -> tuple[float, int]:
        """Collective: one optimiser step; this rank's share of the loss and its right predictions before the step."""
        with self.phase("step"):
            self.gradient.zero_()
            scores = self.model(self.inputs.begin(self.settings.dropout, self.settings.seed, epoch))[self.rows[TRAIN]]
            loss = cross_entropy(scores, self.labels[TRAIN], reduction="sum") / self.train_nodes
            loss.backward()  # also without own labels: the other ranks wait for this rank's halo gradients
            correct = int((scores.argmax(dim=1) == self.labels[TRAIN]).sum())
        with self.phase("allreduce", "communicate"):
            self.reduce(self.gradient.numpy())
        with self.phase("step"):
            self.optimiser.step(self.gradient)
        return loss.item() * self.train_nodes, correct

    def _validate(self) -> tuple[float, int]:
        """Collective: this rank's sum of the loss and right predictions over its validation nodes."""
        if not self.validation_nodes:
            return 0.0, 0
        with torch.no_grad(), self.phase("validate"):
            scores = self.model(self.inputs.begin())[self.rows[VALIDATION]]
            loss = cross_entropy(scores, self.labels[VALIDATION], reduction="sum").item()
            return loss, int((scores.argmax(dim=1) == self.labels[VALIDATION]).sum())

    def _record(self, sums: np.ndarray, wall_s: float, bytes_sent: float) -> None:
        state, nodes = self.state, np.array([self.train_nodes] * 2 + [self.validation_nodes] * 2)
        train_loss, train_accuracy, loss, accuracy = np.divide(sums, nodes, where=nodes > 0, out=np.full(4, np.nan))
        better = (accuracy, -loss) > (state.best_accuracy, -state.best_loss)
        if better or not self.validation_nodes:
            state.best_epoch, state.best_accuracy, state.best_loss = state.epoch, float(accuracy), float(loss)
            state.best_weights[:] = state.weights
        row = [state.epoch, train_loss, train_accuracy, loss, accuracy, wall_s, bytes_sent]
        state.history.append([float(value) for value in row])
