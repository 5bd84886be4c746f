"""How gradients and halo rows cross the network: as the flags say, or as this network asks for, also later on."""

import numpy as np

from mpiedge.graph.grid import Grid
from mpiedge.graph.part import Part
from mpiedge.runtime.choose import choose, choose_rows, reducer
from mpiedge.training.plan import Layout, widths
from mpiedge.training.shares import note

SEVERAL = 6  # epochs whose median counts
CHANGED = 2.0  # times as long, or as short
NOTABLE_S = 0.005  # of an epoch; less is noise


def shapes_of(model) -> list[tuple]:
    """Local: of a model's parameters, in their order."""
    return [tuple(parameter.shape) for parameter in model.parameters()]


def settle(stage, layout: Layout, model, part: Part | Grid, began_s: float) -> tuple[str, str]:
    """Collective: the names of the compressor of gradients and of the form of halo rows.

    What is chosen by measurement is said, and written down where it is not the exact way. Messages: see
    runtime/choose.py.
    """
    args, world = stage.args, stage.world
    compress, halo = args.compress, args.halo
    if "auto" not in (compress, halo):
        return compress, halo
    with stage.phase("calibrate"):
        chosen, why, link = choose(world, shapes_of(model))
        if compress == "auto":
            compress = chosen
            _tell(stage, began_s, "gradients", compress, why)
        if halo == "auto":
            travelling = 0 if layout.tile or model.norm is None else len(part.send_rows)
            halo, why = choose_rows(world, link, travelling, max(widths(layout)[1:], default=0))
            _tell(stage, began_s, "halo rows", halo, why)
    return compress, halo


class LinkWatch:
    """Measures the link anew when epochs take longer, or less long, than ranks compute and than they did at first.

    What is decided depends only on figures that all ranks have alike, so nobody has to be asked. Only for --compress
    auto with ranks on several hosts.
    """

    def __init__(self, stage, trainer, began_s: float):
        self.stage, self.trainer, self.began_s = stage, trainer, began_s
        self.watches = stage.args.compress == "auto" and stage.world.nodes > 1
        self.first, self.before_s = 0, None

    def after_epoch(self, last: bool) -> None:
        """Collective: looks at the epochs since the last change. Messages only when the link is measured anew."""
        if not self.watches or last:
            return
        trainer = self.trainer
        waits = (np.array(trainer.wall_s) - trainer.busy_s.max(axis=1))[self.first : -1]  # the last is not known yet
        if self.before_s is not None and len(waits) == SEVERAL:
            brought = f"{1e3 * np.median(waits):.1f} ms of an epoch for the link, {1e3 * self.before_s:.1f} before"
            note(self.stage, self.began_s, f"{SEVERAL} epochs by {trainer.reduce.compressor.name}", "kept it", brought)
            self.before_s = None
        if len(waits) < 2 * SEVERAL:
            return
        usual_s, now_s = np.median(waits[:SEVERAL]), np.median(waits[-SEVERAL:])
        if max(usual_s, now_s) > CHANGED * min(usual_s, now_s) + NOTABLE_S:
            self._choose_anew(usual_s, now_s)

    def _choose_anew(self, usual_s: float, now_s: float) -> None:
        """Collective: another compressor if another one is faster now. Messages: see runtime/choose.py."""
        stage, trainer = self.stage, self.trainer
        with stage.phase("calibrate"):
            name, why, _ = choose(stage.world, shapes_of(trainer.model))
        old, self.first = trainer.reduce, len(trainer.busy_s) + 1  # the next epoch warms up
        saw = f"{1e3 * now_s:.1f} ms of an epoch for the link instead of {1e3 * usual_s:.1f}; {why}"
        did = f"gradients by {name} instead of {old.compressor.name}"
        if name == old.compressor.name:
            did = f"kept {name} for gradients"
        else:
            trainer.reduce, self.before_s = reducer(stage.world, name, shapes_of(trainer.model)), now_s
            trainer.reduce.adopt(old)
        stage.say(f"link    changed after epoch {trainer.state.epoch}: {did}")
        note(stage, self.began_s, saw, did, "")


def _tell(stage, began_s: float, what: str, name: str, why: str) -> None:
    stage.say(f"link    {what} by {name}: {why}")
    if name not in ("none", "fp32"):
        note(stage, began_s, why, f"{what} by {name}", "bytes: see train/summary.json")
