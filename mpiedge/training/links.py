"""How gradients and halo rows cross the network: as the flags say, or as this network asks for."""

from mpiedge.graph.grid import Grid
from mpiedge.graph.part import Part
from mpiedge.runtime.choose import choose, choose_rows
from mpiedge.training.plan import Layout, widths
from mpiedge.training.shares import note


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


def _tell(stage, began_s: float, what: str, name: str, why: str) -> None:
    stage.say(f"link    {what} by {name}: {why}")
    if name not in ("none", "fp32"):
        note(stage, began_s, why, f"{what} by {name}", "bytes: see train/summary.json")
