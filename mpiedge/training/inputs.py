"""What a model sees of one part of a graph: sparse products, aggregation over neighbours, dropout; all differentiable.

Two facts make the distributed gradient exact. (1) Halo copies of the features are held here, so the first layer needs
no exchange: every rank computes the projected rows of its halo itself, and its gradient for the weights covers those
rows too; the sum over the ranks (the gradient allreduce) is then the gradient of the one-rank product, because the
one-rank gradient is a sum over (row, neighbour) pairs and each pair belongs to exactly one rank, the row's owner.
(2) Later layers exchange rows by a linear map, and backward applies its transpose (see graph/halo.py).
"""

import numpy as np
import torch

from mpiedge.graph.halo import HaloExchange
from mpiedge.graph.part import Part
from mpiedge.kernels import sparse_product
from mpiedge.kernels.sparse_product import Dropout


class PartInputs:
    """One part of a graph as a model's inputs.

    `begin(dropout)` starts a pass: with dropout keyed by (seed, epoch), so that a node's draws are the same on
    whatever rank it lives, or without.
    """

    def __init__(self, world, part: Part, phase):
        """Local: phase(name, kind) is a context manager that times."""
        self.part, self.phase = part, phase
        self.exchange = HaloExchange(world, part)
        scale = (1 / np.sqrt(part.degrees)).astype(np.float32)
        part.features.data *= np.repeat(scale, np.diff(part.features.indptr))  # once here instead of in each pass
        self.scale = torch.from_numpy(scale[: part.owned]).reshape(-1, 1)
        self.place, self.probability, self.layer = (), 0.0, 0

    def begin(self, probability: float = 0.0, *place: int) -> "PartInputs":
        """Local: a new pass; its dropout depends on `place` (seed, epoch) and on each entry's node and column."""
        self.probability, self.place, self.layer = probability, place, 0
        return self

    def _dropout(self) -> Dropout | None:
        self.layer += 1
        return Dropout.of(self.probability, *self.place, self.layer) if self.probability > 0 else None

    def project(self, weight: torch.Tensor) -> torch.Tensor:
        """Local: dropped features times weight, for the owned rows and the halo; each row over the root of its degree
        (1 for models without a graph)."""
        return _Project.apply(weight, self.part, self._dropout())

    def drop(self, rows: torch.Tensor) -> torch.Tensor:
        """Local: dropout of dense owned rows."""
        dropout = self._dropout()
        if dropout is None:
            return rows
        names = self.part.nodes[: self.part.owned]
        return rows * torch.from_numpy(sparse_product.dropout_mask(names, rows.shape[1], dropout))

    def aggregate_first(self, rows: torch.Tensor) -> torch.Tensor:
        """Local: the normalised adjacency applied to what `project` gave: owned and halo rows are all here."""
        return self.scale * _Neighbours.apply(rows, self.part)

    def aggregate(self, rows: torch.Tensor) -> torch.Tensor:
        """Collective: the normalised adjacency applied to owned rows, whose halo copies are exchanged."""
        return self.scale * _Neighbours.apply(_Halo.apply(self.scale * rows, self), self.part)


class _Project(torch.autograd.Function):
    """X W for sparse X; the gradient for W is X transposed times the gradient, with the same entries dropped."""

    @staticmethod
    def forward(ctx, weight, part, dropout):
        ctx.part, ctx.dropout = part, dropout
        rows = part.features
        return torch.from_numpy(
            sparse_product.product(rows.indptr, rows.indices, rows.data, weight.detach().numpy(), part.nodes, dropout))

    @staticmethod
    def backward(ctx, gradient):
        rows, names = ctx.part.features, ctx.part.nodes
        product = sparse_product.product_transposed(
            rows.indptr, rows.indices, rows.data, gradient.numpy(), rows.columns, names, ctx.dropout)
        return torch.from_numpy(product), None, None


class _Neighbours(torch.autograd.Function):
    """Sums over the neighbours of the owned rows (and themselves), and the transpose of that."""

    @staticmethod
    def forward(ctx, rows, part):
        ctx.part = part
        return torch.from_numpy(sparse_product.product(part.indptr, part.indices, None, rows.detach().numpy()))

    @staticmethod
    def backward(ctx, gradient):
        part = ctx.part
        spread = sparse_product.product_transposed(part.indptr, part.indices, None, gradient.numpy(), len(part.nodes))
        return torch.from_numpy(spread), None


class _Halo(torch.autograd.Function):
    """Owned rows -> owned and halo rows; backward sends each halo gradient home and adds it there."""

    @staticmethod
    def forward(ctx, rows, inputs):
        ctx.inputs = inputs
        if inputs.exchange.idle:
            return rows.view_as(rows)
        with inputs.phase("exchange", "communicate"):
            return torch.from_numpy(inputs.exchange.forward(rows.detach().numpy()))

    @staticmethod
    def backward(ctx, gradient):
        inputs, owned = ctx.inputs, ctx.inputs.part.owned
        if inputs.exchange.idle:
            return gradient, None
        home = gradient[:owned].contiguous().clone()
        with inputs.phase("exchange", "communicate"):
            inputs.exchange.back(gradient[owned:].numpy(), home.numpy())
        return home, None
