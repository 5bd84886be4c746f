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
    """rows @ weight, by numpy's BLAS: for products as tall and narrow as these torch's takes up to nine times as long.
    The weight's gradient is made as its transpose, which is the faster one where it is narrower than the rows."""

    @staticmethod
    def forward(ctx, rows, weight):
        ctx.rows, ctx.weight = rows.detach().numpy(), weight.detach().numpy()
        return torch.from_numpy(ctx.rows @ ctx.weight)

    @staticmethod
    def backward(ctx, gradient):
        gradient = gradient.numpy()
        narrow = gradient.shape[1] < ctx.rows.shape[1]
        turned = (gradient.T @ ctx.rows).T if narrow else ctx.rows.T @ gradient
        return torch.from_numpy(gradient @ ctx.weight.T), torch.from_numpy(turned)
