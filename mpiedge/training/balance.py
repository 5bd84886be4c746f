"""Deals the graph out anew when one rank has become slow: decided from measured epochs, done between two of them.

Weights and optimiser stay as they are, and the gradient does not depend on who owns which node, so the curve goes on as
it would have. What is decided depends only on figures that all ranks have alike, so nobody has to be asked.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mpiedge.graph import move
from mpiedge.graph.partition import NODE_WEIGHT
from mpiedge.runtime import resources
from mpiedge.training.inputs import PartInputs
from mpiedge.training.plan import Layout, measure_rows, memory
from mpiedge.training.shares import HALO_ROOM, Shares, cap, note

UNEVEN = ((2, 2.5), (3, 1.5), (6, 1.25), (12, 1.15))
"""Epochs in a row, and how many times as long as with shares by speed they take: the smaller, the longer it is watched,
so that chance moves nothing."""
MOSTLY = 0.75  # of these epochs in which the same rank is slow
SEVERAL = 3  # epochs after which it is written down what shares brought
LASTS = 5  # times as many epochs as a rank has been slow it is expected to stay so: not every disturbance counts
CAUTION = 1.5  # what is promised must be so many times what it costs
REST = 50  # epochs until memory that was short is looked at again


@dataclass
class Uneven:
    """Epochs in which `rank` was slow. typical: seconds each rank computed in one of them; speeds: work per second;
    ideal_s: seconds of an epoch with shares by these speeds."""

    rank: int
    epochs: int
    typical: np.ndarray
    speeds: np.ndarray
    ideal_s: float


def uneven(since: np.ndarray, work: np.ndarray) -> Iterator[Uneven]:
    """Local: what is uneven in the last epochs, watched for a short time and for longer ones.

    since: seconds each rank computed, a row per epoch since the last change; work: of each rank, in any unit.
    """
    for epochs, times in (*UNEVEN, (len(since), UNEVEN[-1][1])):
        if len(since) < epochs:
            return
        recent = since[-epochs:]
        rank = int(np.median(recent, axis=0).argmax())
        always = (recent[:, rank] > recent.mean(axis=1)).mean() >= MOSTLY  # else another may be slow in the next
        typical = np.median(recent[1:], axis=0)  # the first of them may be slow in part only
        speeds = np.maximum(work, 1) / np.maximum(typical, 1e-6)
        ideal_s = float(work.sum() / speeds.sum())
        if always and typical.max() > times * ideal_s:
            yield Uneven(rank, epochs, typical, speeds, ideal_s)


class Balance:
    """Watches the epochs of a training and moves nodes when that pays.

    cost_s: what dealing the graph out cost the last time, in seconds; doubt: what is promised must pay so many times,
    twice as often after each promise that was not kept.
    """

    def __init__(self, stage, layout: Layout, trainer, cost_s: float, began_s: float):
        """Collective: cost_s: on this rank; began_s: when the program started. Message: a maximum."""
        self.stage, self.layout, self.trainer, self.began_s = stage, layout, trainer, began_s
        self.cost_s = float(stage.world.max(np.array([cost_s]))[0])
        self.doubt, self.first, self.promise = CAUTION, 0, None
        self.method = layout.method if trainer.model.norm else ""
        self.opening = layout.shares.uneven and layout.shares.why != "given"  # still to be written down

    def after_epoch(self, last: bool) -> None:
        """Collective: looks at the epochs since the last change. Messages only when something is to be changed.

        last: no epoch comes after this one.
        """
        since = self.trainer.busy_s[self.first :]
        if len(since) >= SEVERAL or (last and len(since)):
            typical = np.median(since[-SEVERAL:], axis=0)
            if self.opening:
                self._tell_opening(typical)
            if self.promise is not None:
                self._compare(float(typical.max()))
        if last or self.stage.args.no_rebalance:
            return
        for found in uneven(since, self._work()):
            if self._pays(found, found.ideal_s):
                self._change(found)
                return

    def _pays(self, found: Uneven, expected_s: float) -> bool:
        """Local: whether epochs of `expected_s` instead of the slowest rank's are worth what the change costs."""
        epochs = min(self._epochs_left(), LASTS * found.epochs)
        return (found.typical.max() - expected_s) * epochs > self.doubt * self.cost_s

    def _epochs_left(self) -> int:
        """Local: epochs that are sure to come."""
        state, settings = self.trainer.state, self.trainer.settings
        left = settings.epochs - state.epoch
        sure = settings.patience - (state.epoch - state.best_epoch)
        return min(left, sure) if self.trainer.validation_nodes else left

    def _work(self) -> np.ndarray:
        """Local: the work of every rank in adjacency entries; in nodes, where the model has no graph."""
        rows = self.layout.rank_rows.astype(np.float64)
        return rows[:, 2] + NODE_WEIGHT * rows[:, 0] if self.trainer.model.norm else rows[:, 0]

    def _change(self, found: Uneven) -> None:
        """Collective: new shares by speed, as far as they fit beside the old parts; parts and inputs made anew."""
        stage, world, layout = self.stage, self.stage.world, self.layout
        start, trainer = time.perf_counter(), self.trainer
        typical, speeds, slowest = found.typical, found.speeds, found.rank
        spare = float(stage.own_budget_bytes - resources.current_rss_bytes())
        answers = world.allgather({"spare": spare, "held": sum(memory(layout, world.rank).values())})
        rooms = np.array([message["spare"] for message in answers])
        values = cap(speeds / speeds.sum(), rooms, HALO_ROOM * sum(message["held"] for message in answers))
        expected = (values * self._work().sum() / speeds).max()
        if not self._pays(found, expected):
            self.first = len(self.trainer.busy_s) + REST
            stage.say("balance too little memory to deal the graph out anew")
            return
        before = layout.shares.text()
        with stage.phase("rebalance"):
            part = trainer.inputs.part
            owner = move.place(world, part, layout.nodes, values, self.method, trainer.settings.seed, rooms)
            part = move.move(world, part, owner)
            trainer.take(PartInputs(world, part, stage.phase, trainer.model.norm, True, stage.args.halo))
            layout.rank_rows, layout.cut_edges = measure_rows(world, part)
        layout.shares = Shares(values, speeds / speeds.mean(), f"measured while training, {before} before")
        self.cost_s = float(world.max(np.array([time.perf_counter() - start]))[0])
        self.first = len(trainer.busy_s) + 1  # the next epoch warms up
        self.promise = float(typical.max()), float(expected), slowest
        times = " ".join(f"{1e3 * value:.1f}" for value in typical)
        saw = f"ranks compute {times} ms an epoch after epoch {trainer.state.epoch}"
        did = f"shares {layout.shares.text()} instead of {before}, in {self.cost_s:.2f} s"
        stage.say(f"balance rank {slowest} is slow: {did}")
        note(stage, self.began_s, saw, did, f"expected: {1e3 * expected:.1f} ms an epoch instead of "
             f"{1e3 * typical.max():.1f}", slowest)

    def _tell_opening(self, typical: np.ndarray) -> None:
        """Collective: writes down the uneven shares that the training began with, and what came of them."""
        self.opening, shares = False, self.layout.shares
        limited = ", too little memory for shares by speed" if shares.capped else ""
        even = "" if shares.speeds is None else f"; equal shares would take {shares.gain():.2f} times as long"
        note(self.stage, self.began_s, shares.why + limited, f"shares {shares.text()}",
             f"the slowest rank computes {1e3 * typical.max():.1f} ms an epoch, "
             f"{typical.max() / max(typical.mean(), 1e-9):.2f} times the mean{even}")

    def _compare(self, now_s: float) -> None:
        """Collective: writes down what the last change brought."""
        before_s, expected_s, rank = self.promise
        self.promise = None
        if now_s > (before_s + expected_s) / 2:
            self.doubt *= 2
        brought = f"{1e3 * now_s:.1f} ms an epoch instead of {1e3 * before_s:.1f}, expected {1e3 * expected_s:.1f}"
        self.stage.say(f"balance brought: the slowest rank computes {brought}")
        note(self.stage, self.began_s, f"{SEVERAL} epochs with the new shares", "kept them", brought, rank)

