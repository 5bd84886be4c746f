"""GraphSAGE with the mean over all neighbours (Hamilton, Ying & Leskovec 2017), of any depth."""

import torch

from mpiedge.models.layered import Layered, Times


class SAGE(Layered):
    """Each layer is H S + M H N + b, M the mean over neighbours without the node itself; S and N lie side by side."""

    norm = "mean"
    side_by_side = 2

    def first(self, inputs) -> torch.Tensor:
        """Local: X S + M X N."""
        own, near = inputs.project(self.weight_1).chunk(2, dim=1)
        return inputs.own(own) + inputs.gather_first(near)

    def later(self, inputs, rows: torch.Tensor, layer: int) -> torch.Tensor:
        """Collective: H S + M (H N): narrow rows travel, as N comes before the mean."""
        own, near = Times.apply(rows, getattr(self, f"weight_{layer}")).chunk(2, dim=1)
        return own + inputs.gather(near)
