"""The graph convolutional network of Kipf & Welling 2017, of any depth."""

import torch

from mpiedge.models.layered import Layered, Times


class GCN(Layered):
    """Each layer is A H W + b, A the symmetric normalised adjacency with self loops, relu between layers."""

    norm = "symmetric"

    def first(self, inputs) -> torch.Tensor:
        """Local: A X W1."""
        return inputs.gather_first(inputs.project(self.weight_1))

    def later(self, inputs, rows: torch.Tensor, layer: int) -> torch.Tensor:
        """Collective: A H W: narrow rows travel, as W comes first."""
        return inputs.gather(Times.apply(rows, getattr(self, f"weight_{layer}")))
