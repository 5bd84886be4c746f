"""Makes a model by name, with weights that depend on the seed alone."""

import numpy as np
import torch

from mpiedge.models.gcn import GCN
from mpiedge.models.mlp import MLP

MODELS = {"gcn": GCN, "mlp": MLP}


def build_model(name: str, columns: int, hidden: int, classes: int, seed: int) -> torch.nn.Module:
    """A model with uniform weights after Glorot & Bengio 2010 and zero biases, drawn by numpy from `seed`."""
    model = MODELS[name](columns, hidden, classes)
    random = np.random.default_rng([seed, 0])
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                limit = np.sqrt(6 / max(sum(parameter.shape), 1))
                drawn = random.uniform(-limit, limit, tuple(parameter.shape)).astype(np.float32)
                parameter.copy_(torch.from_numpy(drawn))
    return model
