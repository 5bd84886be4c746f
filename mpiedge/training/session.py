"""One training from its first epoch or its last checkpoint to the best weights, with what people see meanwhile."""

import contextlib
import gc
import shutil
import time

import numpy as np
import torch

from mpiedge.errors import InputError, Stopped
from mpiedge.graph.grid import Grid
from mpiedge.graph.part import Part
from mpiedge.models.build import MODELS, build_model
from mpiedge.runtime import launcher
from mpiedge.runtime.choose import reducer
from mpiedge.runtime.root import on_root
from mpiedge.store.layout import MANIFEST
from mpiedge.store.parts import write_atomic
from mpiedge.training import checkpoint, mirror
from mpiedge.training.balance import Balance
from mpiedge.training.board import Board
from mpiedge.training.files import METRICS_FILE, metrics_csv
from mpiedge.training.halt import HALT, HALT_FILE, Halt
from mpiedge.training.inputs import PartInputs
from mpiedge.training.links import LinkWatch, settle, shapes_of
from mpiedge.training.loop import State, Trainer
from mpiedge.training.plan import Layout
from mpiedge.training.propagate import project, propagate, propagate_blocks
from mpiedge.training.shortage import Shortage
from mpiedge.training.stale import StaleTrainer
from mpiedge.training.streamed import StreamedTrainer

LINES = 10  # epoch lines of a whole training


def find_checkpoint(stage, layout: Layout, inputs: dict) -> State | None:
    """Collective: the state to go on from, the same on every rank, or None when training is to start anew.

    An unfinished training goes on by itself; a finished one only with --resume. A checkpoint of another training is
    left alone, and an InputError when --resume was given. Once a rank has died, the memory of the others comes first.
    inputs: checksums of the data. Call before `stage.plan`, which marks the stage as unfinished. Messages: a broadcast
    of the checkpoint, and those of `mirror.newest`.
    """
    mark = fingerprint(layout, inputs)

    def read() -> bytes | None:
        path = stage.run / checkpoint.FILE
        finished = (stage.run / "train" / MANIFEST).exists()
        if stage.args.fresh or not path.exists() or (finished and not stage.args.resume):
            return None
        return path.read_bytes()

    remembered = mirror.newest(stage.world, mark) if stage.world.lost else None
    image = remembered or on_root(stage.world, read)
    if image is None:
        if stage.args.resume:
            stage.say("resume  there is no checkpoint: starting with epoch 1")
        return None
    try:
        state, found = checkpoint.from_image(image)
    except InputError as error:
        error.everywhere = True
        if stage.args.resume:
            raise
        stage.warn(f"{error.subject}: {error.cause}: starting with epoch 1")
        return None
    if found == mark:
        stage.say(f"resume  after epoch {state.epoch:,} ({'from memory' if remembered else '--fresh starts anew'})")
        return state
    if stage.args.resume:
        error = InputError(stage.run / checkpoint.FILE, "the checkpoint belongs to other data or other flags",
                           "Give the same flags, or --fresh")
        error.everywhere = True
        raise error
    stage.say("resume  the checkpoint there is of another training: starting with epoch 1")
    return None


def fingerprint(layout: Layout, inputs: dict) -> str:
    """What a checkpoint must agree in to be of this training."""
    return checkpoint.fingerprint(layout.settings, {"inputs": inputs, "split": layout.split_name})


def train(stage, part: Part | Grid, layout: Layout, source: dict, earlier: State | None, began_s: float,
          cost_s: float) -> Trainer:
    """Collective: trains to the end. source: checksums of the data; earlier: the state to go on from; began_s: when the
    program started; cost_s: what it took to deal the graph out."""
    torch.set_num_threads(stage.args.threads or 1)  # measured: more threads cost more than they bring at such widths
    settings = layout.settings
    ahead = MODELS[settings.model].propagates
    columns = layout.columns
    if not layout.tile:
        part.features.data = part.features.data.astype(settings.dtype, copy=False)
    if ahead:
        with stage.phase("propagate"):
            part, columns = propagated(stage, layout, part, ahead)
    model = build_model(settings.model, columns, settings.hidden, len(layout.classes), settings.layers,
                        settings.seed, settings.dtype)
    compress, stage.args.halo = settle(stage, layout, model, part, began_s)
    kind, inputs = Trainer, part
    bound = stage.args.staleness if stage.world.size > 1 and not layout.tile else 0
    if layout.tile:
        kind = StreamedTrainer
    else:
        inputs = PartInputs(stage.world, part, stage.phase, model.norm, halo=stage.args.halo, waits=not bound)
    reduce = reducer(stage.world, compress, shapes_of(model))
    made_of = (stage.world, inputs, model, settings, reduce, stage.phase)
    if layout.tile and stage.args.staleness:
        stage.say("stale   a graph on disk is trained by all ranks at the same pace: --staleness is not heeded")
    trainer = StaleTrainer(*made_of, bound, stage, began_s) if bound else kind(*made_of)
    del part, inputs, made_of  # the trainer's may be taken apart later on, and then nobody is to hold on to them
    if earlier is not None:
        trainer.restore(earlier)
    mark = fingerprint(layout, source)
    reflect(stage, trainer, mark)
    balance, link = Balance(stage, layout, trainer, cost_s, began_s), LinkWatch(stage, trainer, began_s)
    gc.freeze()  # else every look for garbage goes through torch's modules anew: 7 % of a small graph's epochs
    board = board_of(stage, trainer)
    with Halt(stage) as halt, stage.progress(settings.epochs, "epoch") as bar, board as write:
        watcher = Watcher(stage, layout, mark, trainer, halt)
        bar.update(trainer.state.epoch)
        if stage.world.lost:
            mirror.tell(stage, trainer.state.epoch, began_s)

        def after_epoch(state: State) -> None:
            bar.update(1)
            last = state.epoch == settings.epochs or trainer.stalled()
            watcher.after_epoch(state, last)
            if write:
                write.add(state.history[-1])
            if trainer.asked >= HALT and not last:
                error = Stopped(stage.run, f"stopped after epoch {state.epoch}, as asked, with a checkpoint",
                                f"Remove the file {HALT_FILE}, if there is one, and run the same line again to go on")
                error.everywhere = True
                raise error
            if bound:
                return  # parts and links stay as they are: ranks are at different epochs
            if not layout.tile or trainer.lacking.any():
                balance.after_epoch(last)
            link.after_epoch(last)

        trainer.run(after_epoch, watcher.asks, watcher.lacks)
    return trainer


def reflect(stage, trainer: Trainer, mark: str) -> None:
    """Collective: where ranks go on without one that dies, what they go on with (see training/mirror.py)."""
    world = stage.world
    world.kept = None
    if not (trainer.synchronous and world.size > 1 and launcher.goes_on_without_dead()):
        return
    world.kept = mirror.Mirror(world, mark, trainer.state)
    if stage.args.compress != "none":
        trainer.mirror = world.kept
        trainer.mirror.keep(world, trainer.state.epoch, trainer.reduce.lost())


def board_of(stage, trainer: Trainer):
    """Local: on rank 0 what writes the curve for TensorBoard, if it is wanted; elsewhere a block that gives None."""
    if not (stage.args.tensorboard and stage.world.is_root):
        return contextlib.nullcontext()
    board = Board(stage.run)
    if not trainer.state.epoch:
        shutil.rmtree(board.folder, ignore_errors=True)  # of an earlier training
    return board


def propagated(stage, layout: Layout, part: Part | Grid, keep: str) -> tuple[Part | Grid, int]:
    """Collective: what is trained on, with features that went over the graph (see `propagate`), and their columns."""
    settings = layout.settings
    columns, seed, heed = settings.projection, settings.seed, stage.heed_budget
    if not layout.tile:
        if columns:
            part.features = project(part.features, columns, seed)
        part = propagate(stage.world, part, settings.hops, keep, heed)
        return part, part.features.columns
    for block in part.own if columns else []:
        part.set_features(block, project(part.load(block, features=True).features, columns, seed))
    return part, propagate_blocks(part, columns or layout.columns, settings.hops, keep, heed)


class Watcher:
    """After each epoch: now and then a line, now and then a checkpoint and the curve so far."""

    def __init__(self, stage, layout: Layout, mark: str, trainer: Trainer, halt: Halt):
        self.stage, self.layout, self.mark, self.trainer, self.halt = stage, layout, mark, trainer, halt
        self.unit, self.every = stage.args.checkpoint_every
        self.cost_s = checkpoint.FIRST_COST_S  # of the last checkpoint
        self.start = self.saved_at = time.monotonic()
        self.saved_epoch, self.shortage, self.lacking = trainer.state.epoch, Shortage(stage), 0.0
        if stage.world.lost:
            self.saved_epoch = self.saved_at = -np.inf  # what was gone on with may be on no disk

    def lacks(self) -> float:
        """Local: bytes of memory that this rank lacks."""
        self.lacking = self.shortage()
        return self.lacking

    def asks(self) -> int:
        """Local: whether this rank wants a checkpoint of the epoch that is being completed: rank 0, by its clock; any
        rank that runs out of memory; HALT, when this rank was told to stop."""
        if self.halt():
            return HALT
        if self.lacking:
            return 1  # it may be ended for it
        if self.unit == "epochs":
            waited = self.trainer.state.epoch - self.saved_epoch
        else:
            waited = time.monotonic() - self.saved_at
        every = checkpoint.interval_s(self.cost_s, self.stage.world.nodes) if self.unit == "auto" else self.every
        return self.stage.world.is_root and waited >= every

    def after_epoch(self, state: State, last: bool) -> None:
        """Collective: rank 0 prints and saves. Message: before saving, what compression lost, to rank 0."""
        epochs = self.layout.settings.epochs
        if last or state.epoch * LINES // epochs > (state.epoch - 1) * LINES // epochs:
            self.say(state, epochs)
        if not self.trainer.asked and not last:
            return
        began_s = time.monotonic()
        with self.stage.phase("checkpoint", "io"):
            lost = self.trainer.reduce.gather_lost(self.trainer.lost)
            if self.stage.world.is_root:
                self.stage.require_run()
                write_atomic(self.stage.run / checkpoint.FILE, checkpoint.to_image(state, self.mark, lost))
                write_atomic(self.stage.run / METRICS_FILE, metrics_csv(state.history).encode())
        self.saved_epoch, self.saved_at = state.epoch, time.monotonic()
        self.cost_s = self.saved_at - began_s

    def say(self, state: State, epochs: int) -> None:
        """Local: one epoch's line."""
        _, loss, _, _, accuracy, _, _ = state.history[-1]
        sent = sum(row[-1] for row in state.history)
        validation = f"  val acc {accuracy:.3f}" if accuracy == accuracy else ""
        self.stage.say(f"epoch {state.epoch:4d}/{epochs}  loss {loss:.4f}{validation}  "
                       f"{time.monotonic() - self.start:.1f} s  sent {sent / 1e6:.1f} MB")
