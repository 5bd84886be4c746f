"""The state of a training as the bytes of one HDF5 file, and back."""

import hashlib
import json
import math
from dataclasses import asdict, fields

import numpy as np

from mpiedge.errors import InputError
from mpiedge.store.parts import DAMAGE, build_image, open_image, read_image, sealed, unsealed
from mpiedge.training.loop import Settings, State

FILE = "checkpoints/train.h5"
HOST_FAILS_S = 24 * 3600.0  # between two failures of an old host, on average: a guess on the side of too often
FIRST_COST_S = 0.1  # of a checkpoint, before one was written
MAY_CHANGE = ("epochs", "patience")  # a training may go on for longer than was planned at first


def interval_s(cost_s: float, hosts: int) -> float:
    """Local: seconds between two checkpoints of `cost_s` each, by which the least time is lost to them and to what is
    done again after a failure (Young 1974; Daly 2006 for where a checkpoint takes long)."""
    mean_s = HOST_FAILS_S / hosts
    if cost_s >= 2 * mean_s:
        return mean_s
    ratio = cost_s / (2 * mean_s)
    return math.sqrt(2 * cost_s * mean_s) * (1 + math.sqrt(ratio) / 3 + ratio / 9) - cost_s


def fingerprint(settings: Settings, source: dict) -> str:
    """What must agree for a checkpoint to fit: the settings and the input (JSON-able), as a hexadecimal digest."""
    may_change = MAY_CHANGE if settings.schedule == "constant" else ()  # the others depend on the number of epochs
    fixed = {name: value for name, value in asdict(settings).items() if name not in may_change}
    return hashlib.sha256(json.dumps([fixed, source], sort_keys=True).encode()).hexdigest()


def to_image(state: State, mark: str, lost: dict[str, np.ndarray]) -> bytes:
    """Local: the HDF5 bytes of a state; mark: its `fingerprint`, which stands for data, split and settings; lost: what
    compression is to feed back, from `Allreduce.gather_lost`.

    Dropout is a function of seed, epoch and place (see kernels/sparse_product.c), so there is no generator to save.
    """
    names = [entry.name for entry in fields(State) if entry.name not in ("history", "lost")]
    arrays = {name: np.atleast_1d(getattr(state, name)) for name in names}
    arrays |= lost
    arrays["history"] = np.array(state.history, np.float64).reshape(len(state.history), -1)
    return sealed(build_image(arrays, {"fingerprint": mark}))


def from_image(image: bytes) -> tuple[State, str]:
    """Local: the state and its fingerprint. Raises InputError when the file is damaged."""
    try:
        image = unsealed(image)
        with open_image(image) as file:
            mark = str(file.attrs["fingerprint"])
        arrays = read_image(image)
        numbers = {name: arrays.pop(name)[0].item() for name in ("epoch", "best_epoch", "best_loss", "best_accuracy")}
        history = arrays.pop("history").tolist()
        lost = {name: arrays.pop(name) for name in ("residuals", "sum_residual", "guess") if name in arrays}
        return State(history=history, lost=lost, **numbers, **arrays), mark
    except (*DAMAGE, InputError):
        raise InputError(FILE, "the checkpoint is damaged", "Train anew with --fresh") from None

