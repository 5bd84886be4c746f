"""A perceptron: the same features without the graph, as the baseline."""

import torch

from mpiedge.models.layered import Layered, Times


class MLP(Layered):
    """Each layer is H W + b, relu between layers; no feature is dropped, as in a table each may decide alone."""

    drops_features = False

    def first(self, inputs) -> torch.Tensor:
        """Local: X W1."""
        return inputs.own(inputs.project(self.weight_1, self.drops_features))

    def later(self, inputs, rows: torch.Tensor, layer: int) -> torch.Tensor:
        """Local: H W."""
        return Times.apply(rows, getattr(self, f"weight_{layer}"))
