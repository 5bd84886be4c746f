"""What all models share: numbered weights and biases, and a chain of layers with relu and dropout between them."""

import itertools

import torch


class Layered(torch.nn.Module):
    """A chain of layers `weight_1`, `bias_1`, `weight_2`, ... of the widths given.

    The module sees a graph only through `inputs` (see training/inputs.py); it may run on one part of the graph and
    cannot tell. norm: how the model averages over neighbours, None where no layer does; propagates: which powers of the
    adjacency are applied to the features before training ("last", "all" or None, see training/propagate.py);
    side_by_side: matrices that lie side by side in one weight. Before its bias, a model computes `first(inputs)` from
    the sparse features and `later(inputs, rows, layer)` from dense rows: collective, (n, width).
    """

    norm: str | None = None
    propagates: str | None = None
    side_by_side = 1

    def __init__(self, widths: list[int]):
        super().__init__()
        self.layers = len(widths) - 1
        for layer, (entering, leaving) in enumerate(itertools.pairwise(widths), start=1):
            weight = torch.zeros(entering, leaving * self.side_by_side)
            setattr(self, f"weight_{layer}", torch.nn.Parameter(weight))
            setattr(self, f"bias_{layer}", torch.nn.Parameter(torch.zeros(leaving)))

    def steps(self, inputs):
        """Collective: yields every layer's outcome of the owned rows; the last are class scores, before the softmax."""
        rows = self.first(inputs) + self.bias_1
        yield rows
        for layer in range(2, self.layers + 1):
            rows = self.outcome(inputs, rows, layer)
            yield rows

    def outcome(self, inputs, rows: torch.Tensor, layer: int) -> torch.Tensor:
        """Collective: the outcome of a layer after the first from that of the layer before."""
        return self.later(inputs, inputs.activate(rows), layer) + getattr(self, f"bias_{layer}")

    def forward(self, inputs) -> torch.Tensor:
        """Collective: class scores of the owned rows, (n, classes)."""
        *_, scores = self.steps(inputs)
        return scores


class Times(torch.autograd.Function):
    """rows @ weight; where that is tall and narrow, MKL makes the transpose of the weight's gradient several times as
    fast as the gradient itself."""

    @staticmethod
    def forward(ctx, rows, weight):
        ctx.save_for_backward(rows, weight)
        return rows @ weight

    @staticmethod
    def backward(ctx, gradient):
        rows, weight = ctx.saved_tensors
        narrow = gradient.shape[1] < rows.shape[1]
        turned = (gradient.t() @ rows).t() if narrow else rows.t() @ gradient
        return gradient @ weight.t(), turned
