"""Makes a model by name, with weights that depend on the seed alone."""

import numpy as np
import torch

from mpiedge.models.gcn import GCN
from mpiedge.models.mlp import MLP
from mpiedge.models.propagated import SGC, SIGN
from mpiedge.models.sage import SAGE

MODELS = {"gcn": GCN, "sage": SAGE, "sgc": SGC, "sign": SIGN, "mlp": MLP}


def uses_graph(name: str) -> bool:
    """Whether a model needs the edges."""
    return bool(MODELS[name].norm or MODELS[name].propagates)


def build_model(name: str, columns: int, hidden: int, classes: int, layers: int, seed: int,
                dtype: str = "float32") -> torch.nn.Module:
    """A model with uniform weights after Glorot & Bengio 2010 and zero biases, drawn by numpy from `seed`."""
    kind = MODELS[name]
    model = kind([columns] + [hidden] * (layers - 1) + [classes]).to(getattr(torch, dtype))
    random = np.random.default_rng([seed, 0])
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                rows, wide = parameter.shape
                limit = np.sqrt(6 / max(rows + wide // kind.side_by_side, 1))
                drawn = random.uniform(-limit, limit, (rows, wide)).astype(dtype)
                parameter.copy_(torch.from_numpy(drawn))
    return model
