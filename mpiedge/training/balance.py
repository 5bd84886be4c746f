"""Deals the graph out anew when a rank has become slow or short of memory: decided from what is measured, done
between two epochs.

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
from mpiedge.training.plan import Layout, calls, fixed_memory, measure_rows, memory
from mpiedge.training.shares import HALO_ROOM, Shares, alike, by_speed, cap, note
from mpiedge.training.shortage import WANTED

UNEVEN = ((2, 2.5), (3, 1.5), (4, 1.4), (6, 1.25), (12, 1.15), (24, 1.08))
"""Epochs in a row, and how many times as long as with shares by speed they take: the smaller, the longer it is watched,
so that chance moves nothing."""
BEYOND = 4  # standard errors by which a rank must be slower: epochs may scatter more than that table allows for
ALIKE = 1.5  # what ranks may differ at most to count as alike, however few the epochs
MOSTLY = 0.75  # of these epochs in which the same rank is slow
SEVERAL = 3  # epochs after which it is written down what shares brought
LASTS = 5  # times as many epochs as a rank has been slow it is expected to stay so: not every disturbance counts
CAUTION = 1.5  # what is promised must be so many times what it costs
LEAST_GAIN_S = 1.0  # and at least so much: for less, parts of small graphs went to and fro
FEW = 0.1  # of the work: those that have too much give it away; for more, all of the graph is dealt out anew
FEW_COST = 0.5  # of what it costs to deal out all, until it was measured
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


@dataclass
class Promise:
    """What new shares are expected to bring. epochs: those in which `rank` was slow, the first of them perhaps in part
    only; before_s, expected_s: what the slowest rank computed, and will, in an epoch."""

    rank: int
    epochs: slice
    before_s: float
    expected_s: float


def uneven(since: np.ndarray, work: np.ndarray, calls: float) -> Iterator[Uneven]:
    """Local: what is uneven in the last epochs, watched for a short time and for longer ones.

    since: seconds each rank computed, a row per epoch since the last change; work: the share of each rank; calls: what
    each does besides, whatever its share.
    """
    for epochs, times in (*UNEVEN, (len(since), UNEVEN[-1][1])):
        if len(since) < epochs:
            return
        recent = since[-epochs:]
        typical = np.median(recent[1:], axis=0)  # the first of them may be slow in part only
        if typical.max() <= times * (work + calls).sum() / ((work + calls) / np.maximum(typical, 1e-6)).sum():
            continue  # the ideal is never less
        rank = int(np.median(recent, axis=0).argmax())
        always = (recent[:, rank] > recent.mean(axis=1)).mean() >= MOSTLY  # else another may be slow in the next
        seconds = alike(np.maximum(typical, 1e-6), work + calls, min(times, ALIKE))
        speeds = (work + calls) / seconds
        ideal_s = expected(by_speed(speeds, calls), speeds, calls)
        if not always or typical.max() <= times * ideal_s:
            continue
        if epochs == 2:
            lasts = recent[0, rank] > ALIKE * ideal_s  # in one epoch a rank may just have been stopped for a while
        else:
            lasts = beyond_chance(recent[1:], rank)
        if lasts:
            yield Uneven(rank, epochs, typical, speeds, ideal_s)


def expected(values: np.ndarray, speeds: np.ndarray, calls: float) -> float:
    """Local: seconds that the slowest rank computes in an epoch with these shares."""
    return float(((values + calls) / speeds).max())


def beyond_chance(recent: np.ndarray, rank: int) -> bool:
    """Local: whether `rank` computed longer than the others by more than their epochs scatter."""
    logs = np.log(np.maximum(recent, 1e-6))
    logs -= logs.mean(axis=1, keepdims=True)
    epochs, ranks = logs.shape
    scatter = logs - logs.mean(axis=0)
    error = np.sqrt((scatter**2).sum() / ((epochs - 1) * (ranks - 1)) / epochs)
    return bool(logs[:, rank].mean() > BEYOND * error)


class Balance:
    """Watches the epochs of a training and moves nodes when that pays.

    cost_s: what it cost the last time, in seconds, to deal all out by a method and to give few nodes away (""); doubt:
    by how many times more than usual a change must pay, twice as many after each promise that was not kept: a rank may
    be fast only as long as it has little, or its slowness may cost nothing, and then nodes would go to and fro.
    """

    def __init__(self, stage, layout: Layout, trainer, cost_s: float, began_s: float):
        """Collective: cost_s: of dealing the graph out, on this rank; began_s: when the program started. Message: a
        maximum."""
        self.stage, self.layout, self.trainer, self.began_s = stage, layout, trainer, began_s
        self.doubt, self.first, self.promise = 1.0, 0, None
        self.method = layout.method if trainer.model.norm else ""
        all_s = float(stage.world.max(np.array([cost_s]))[0])
        self.cost_s = {"": FEW_COST * all_s, self.method: all_s}
        self.opening = layout.shares.uneven and layout.shares.why != "given"  # still to be written down

    def after_epoch(self, last: bool) -> None:
        """Collective: looks at the epochs since the last change. Messages only when something is to be changed.

        last: no epoch comes after this one.
        """
        since = self.trainer.busy_s[self.first :]
        waited_for = self.opening or self.promise is not None
        if waited_for and (len(since) >= SEVERAL or (last and len(since))):
            typical = np.median(since[-SEVERAL:], axis=0)
            if self.opening:
                self._tell_opening(typical)
            if self.promise is not None and len(since) > 1:  # of the last one it is not known yet how long it took
                self._compare(typical.max())
        if last:
            return
        if self.trainer.lacking.any():
            self._relieve(self.trainer.lacking)
            return
        if self.stage.args.no_rebalance:
            return
        for found in uneven(since, self._work(), calls(self.layout)):
            few = np.maximum(by_speed(found.speeds, calls(self.layout)) - self._work(), 0).sum() <= FEW
            method = "" if few else self.method
            if self._pays(found, found.ideal_s, self.cost_s[method]):
                self._change(found, method)
                return

    def _pays(self, found: Uneven, expected_s: float, cost_s: float) -> bool:
        """Local: whether epochs of `expected_s` instead of the slowest rank's are worth a change and what it costs."""
        epochs = min(self._epochs_left(), LASTS * found.epochs)
        return (found.typical.max() - expected_s) * epochs > self.doubt * max(CAUTION * cost_s, LEAST_GAIN_S)

    def _epochs_left(self) -> int:
        """Local: epochs that are sure to come."""
        state, settings = self.trainer.state, self.trainer.settings
        left = settings.epochs - state.epoch
        sure = settings.patience - (state.epoch - state.best_epoch)
        return min(left, sure) if self.trainer.validation_nodes else left

    def _work(self) -> np.ndarray:
        """Local: the share of the work that every rank has: of adjacency entries and weighted nodes; of nodes, where
        the model has no graph."""
        rows = self.layout.rank_rows.astype(np.float64)
        work = rows[:, 2] + NODE_WEIGHT * rows[:, 0] if self.trainer.model.norm else rows[:, 0]
        return work / max(work.sum(), 1)

    def _change(self, found: Uneven, method: str) -> None:
        """Collective: new shares by speed, as far as they fit beside the old parts; parts and inputs made anew."""
        stage, world, layout = self.stage, self.stage.world, self.layout
        start, trainer = time.perf_counter(), self.trainer
        typical, speeds, slowest = found.typical, found.speeds, found.rank
        rooms, held = self._rooms()
        values = cap(by_speed(speeds, calls(layout)), rooms, HALO_ROOM * held.sum())
        expected_s = expected(values, speeds, calls(layout))
        if not self._pays(found, expected_s, self.cost_s[method]):
            self.first = len(self.trainer.busy_s) + REST
            stage.say("balance too little memory to deal the graph out anew")
            return
        before = layout.shares.text()
        self._deal(values, method, rooms)
        layout.shares = Shares(values, speeds / speeds.mean(), f"measured while training, {before} before")
        cost_s = self.cost_s[method] = float(world.max(np.array([time.perf_counter() - start]))[0])
        last = len(trainer.wall_s)
        self.promise = Promise(slowest, slice(last - found.epochs + 1, last), typical.max(), expected_s)
        times = " ".join(f"{1e3 * value:.1f}" for value in typical)
        saw = f"ranks compute {times} ms an epoch after epoch {trainer.state.epoch}"
        did = f"shares {layout.shares.text()} instead of {before}, in {cost_s:.2f} s"
        stage.say(f"balance rank {slowest} is slow: {did}")
        note(stage, self.began_s, saw, did, f"expected: {1e3 * expected_s:.1f} ms an epoch instead of "
             f"{1e3 * typical.max():.1f}", slowest)

    def _relieve(self, lacking: np.ndarray) -> None:
        """Collective: ranks that lack memory (bytes of each) give nodes to others, as far as these have room."""
        stage, world, layout = self.stage, self.stage.world, self.layout
        rooms, held = self._rooms()
        work = self._work()
        fewer = work * np.maximum(1 - lacking / np.maximum(held, 1), 0)
        more = work + np.maximum(rooms, 0) / 2 / max(held.sum(), 1)  # half, as old and new parts are side by side
        limits = np.where(lacking > 0, fewer, more)
        before, ranks = layout.shares.text(), np.flatnonzero(lacking).tolist()
        names = ", ".join(map(str, ranks))
        saw = f"rank {names} lacks {lacking.sum() / 1e6:.0f} MB of memory after epoch {self.trainer.state.epoch}"
        if layout.tile or world.size == 1 or limits.sum() <= 1:
            did, brought = "a checkpoint: no other rank has room for its nodes", ""
        else:
            self._deal(cap(work, limits, 1.0), "", rooms)
            layout.shares = Shares(self._work(), layout.shares.speeds, f"memory became short, {before} before")
            did = f"a checkpoint, and shares {layout.shares.text()} instead of {before}"
            after = self._rooms()[1]
            brought = (f"{after[ranks].sum() / 1e6:.1f} MB for its part of the graph, {held[ranks].sum() / 1e6:.1f} "
                       "before")
            self.promise = None
        if lacking[world.rank]:  # what is there now is all there is
            stage.own_budget_bytes = resources.current_rss_bytes() + max(0, self._left())
        stage.say(f"memory  {saw}: {did}")
        note(stage, self.began_s, saw, did, brought, ranks[0])

    def _left(self) -> int:
        """Local: bytes that this host has left for this rank, without those that should stay free."""
        kept = WANTED * self.stage.own_budget_bytes
        return int(resources.available_bytes(self.stage.world.node_size) - kept)

    def _rooms(self) -> tuple[np.ndarray, np.ndarray]:
        """Collective: bytes that each rank may use besides, and that it holds for its part of the graph."""
        world, layout = self.stage.world, self.layout
        spare = min(self.stage.own_budget_bytes - resources.current_rss_bytes(), self._left())
        held = sum(memory(layout, world.rank).values()) - sum(fixed_memory(layout).values())
        answers = world.allgather({"spare": float(spare), "held": float(held)})
        return tuple(np.array([message[name] for message in answers]) for name in ("spare", "held"))

    def _deal(self, values: np.ndarray, method: str, rooms: np.ndarray) -> None:
        """Collective: parts and inputs made anew, with these shares. Messages: see graph/move.py."""
        stage, world, trainer = self.stage, self.stage.world, self.trainer
        with stage.phase("rebalance"):
            part, trainer.inputs = trainer.inputs.part, None  # what was made of the part is not needed beside the new
            resources.return_freed()
            owner = move.place(world, part, self.layout.nodes, values, method, trainer.settings.seed, rooms)
            part = move.move(world, part, owner)
            trainer.take(PartInputs(world, part, stage.phase, trainer.model.norm, True, stage.args.halo))
            self.layout.rank_rows, self.layout.cut_edges = measure_rows(world, part)
            resources.return_freed()
        self.first = len(trainer.busy_s) + 1  # the next epoch warms up

    def _tell_opening(self, typical: np.ndarray) -> None:
        """Collective: writes down the uneven shares that the training began with, and what came of them."""
        self.opening, shares = False, self.layout.shares
        limited = ", too little memory for shares by speed" if shares.capped else ""
        even = "" if shares.speeds is None else f"; equal shares would take {shares.gain():.2f} times as long"
        note(self.stage, self.began_s, shares.why + limited, f"shares {shares.text()}",
             f"the slowest rank computes {1e3 * typical.max():.1f} ms an epoch, "
             f"{typical.max() / max(typical.mean(), 1e-9):.2f} times the mean{even}")

    def _compare(self, now_s: float) -> None:
        """Collective: writes down what the last change brought. now_s: what the slowest rank computes in an epoch."""
        promise, self.promise = self.promise, None
        wall_s = np.array(self.trainer.wall_s)
        epoch_s, earlier_s = np.nanmedian(wall_s[self.first :]), np.nanmedian(wall_s[promise.epochs])
        kept = earlier_s - epoch_s >= (promise.before_s - promise.expected_s) / 2
        self.doubt *= 1 if kept else 2
        did = "kept them" if kept else "kept them; the next ones must bring twice as much"
        brought = (f"an epoch takes {1e3 * epoch_s:.1f} ms instead of {1e3 * earlier_s:.1f}; the slowest rank "
                   f"computes {1e3 * now_s:.1f} instead of {1e3 * promise.before_s:.1f}, expected "
                   f"{1e3 * promise.expected_s:.1f}")
        self.stage.say(f"balance brought: {brought}")
        note(self.stage, self.began_s, f"{SEVERAL} epochs with the new shares", did, brought, promise.rank)
