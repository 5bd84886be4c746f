"""What a model sees of one part of a graph: sparse products, sums over neighbours, dropout; all differentiable.

Two facts make the distributed gradient exact. (1) The graph has no directions, so the transpose of the sum over
neighbours is that sum: backward, too, every rank gets the rows of its halo from their owners and adds up. (2) Where
ranks are on several hosts, halo copies of the features, which never change, are held here: they were fetched once, so
the first layer needs no exchange. Every rank computes the projected rows of its halo itself, and its gradient for the
weights covers those rows too; the sum over the ranks (the gradient allreduce) is then the gradient of the one-rank
product, because the one-rank gradient is a sum over (row, neighbour) pairs and each pair belongs to exactly one rank,
the row's owner. On one host ranks read each other's rows where they lie, which costs less than to project them twice.
"""

from dataclasses import replace

import numpy as np
import torch

from mpiedge.graph.blocks import split_blocks
from mpiedge.graph.halo import HaloExchange
from mpiedge.graph.part import Part
from mpiedge.graph.shared_halo import SharedRows, shares_rows
from mpiedge.kernels.sparse_product import Dropout, product, product_back, relu_dropout, relu_dropout_back
from mpiedge.runtime.rows import form

PROGRESS_WORK = 1 << 22
"""Multiplications between two moments given to MPI while rows travel: about a millisecond."""


class PartInputs:
    """One part of a graph as a model's inputs.

    `begin(dropout)` starts a pass: with dropout keyed by (seed, epoch), so that a node's draws are the same on
    whatever rank it lives, or without.
    """

    def __init__(self, world, part: Part, phase, norm: str | None, scaled: bool = False,
                 halo: str = "fp32", waits: bool = True):
        """Collective: phase(name, kind) is a context manager that times; norm: see `split_blocks`, None without a
        graph; scaled: the features are multiplied with `shift` already: they come from inputs made earlier;
        halo: the form of the rows that travel (see runtime/rows.py); waits: ranks wait for each other's rows.

        Messages: see graph/shared_halo.py.
        """
        self.part, self.phase = part, phase
        self.exchange, self.shared, self.blocks = HaloExchange(world, part, halo), None, None
        if norm is not None:
            if shares_rows(world, halo, waits):
                self.shared = SharedRows(world, part)
                part.features = part.features.head(part.owned)
            self.blocks = blocks = split_blocks(part, norm, self.shared.places if self.shared else None)
            if not scaled:  # once, not in each pass
                part.features.data *= np.repeat(blocks.shift[: part.features.rows], np.diff(part.features.indptr))
            self.shift = blocks.shift[: part.owned]
        self.place, self.probability, self.layer = (), 0.0, 0

    def begin(self, probability: float = 0.0, *place: int) -> "PartInputs":
        """Local: a new pass; its dropout depends on `place` (seed, epoch) and on each entry's node and column."""
        self.probability, self.place, self.layer = probability, place, 0
        self.exchange.begin(*place)
        return self

    def be_exact(self) -> None:
        """Local: from now on rows travel as they are."""
        self.exchange.form = form("fp32")

    def _dropout(self, names: np.ndarray) -> Dropout | None:
        self.layer += 1
        return Dropout.of(self.probability, names, *self.place, self.layer) if self.probability > 0 else None

    def project(self, weight: torch.Tensor, drops: bool = True) -> torch.Tensor:
        """Local: features, dropped ones where it `drops`, times weight, of all rows that have any here; ready for
        `gather_first`."""
        dropout = self._dropout(self.part.nodes[: self.part.features.rows])
        return Project.apply(weight, self, dropout if drops else None)

    def own(self, projected: torch.Tensor) -> torch.Tensor:
        """Local: the owned rows of what `project` gave."""
        return projected[: self.part.owned]

    def activate(self, rows: torch.Tensor) -> torch.Tensor:
        """Local: relu and dropout of dense owned rows."""
        return activate(rows, self._dropout(self.part.nodes[: self.part.owned]))

    def gather_first(self, projected: torch.Tensor) -> torch.Tensor:
        """Collective: the normalised adjacency applied to what `project` gave, which `shift` is in already."""
        return _Gather.apply(projected, self, None) if self.shared else _GatherFirst.apply(projected, self)

    def gather(self, rows: torch.Tensor) -> torch.Tensor:
        """Collective: the normalised adjacency applied to owned rows, whose halo copies are exchanged."""
        return _Gather.apply(rows, self, self.shift)

    def near(self, rows: np.ndarray, scale: np.ndarray | None = None) -> np.ndarray:
        """Local: sums over near neighbours, now and then giving MPI a moment."""
        near = self.blocks.near
        out = np.zeros((near.rows, rows.shape[1]), rows.dtype)
        pieces = 1 if not self.exchange.requests else 1 + len(near.indices) * rows.shape[1] // PROGRESS_WORK
        for piece in range(pieces):
            bounds = slice(near.rows * piece // pieces, near.rows * (piece + 1) // pieces)
            product(near, rows, out, scale=scale, part=bounds)
            self.exchange.progress()
        return out

    def far(self, halo_rows: np.ndarray, out: np.ndarray, weighted: bool = True) -> np.ndarray:
        """Local: adds the sums over halo copies; weighted: times `scale`."""
        far = self.blocks.far
        if not weighted:
            far = replace(far, data=None)
        return product(far, halo_rows, out, targets=self.blocks.boundary)

    def sums(self, rows: np.ndarray, factors: np.ndarray | None, weighted: bool) -> np.ndarray:
        """Collective: sums over neighbours of owned rows times `factors` (None: 1): of rows in shared memory once they
        are there, else near ones are added up while the rows of far ones travel."""
        width, scale = rows.shape[1], self.blocks.scale if weighted else None
        room = self.shared.room(width) if self.shared else None
        if factors is not None:
            rows = np.multiply(rows, factors[:, None], out=room)
        elif self.shared:
            room[:] = rows
        if self.shared:
            with self.phase("exchange", "communicate"):
                rows = self.shared.share(width)
            return self.near(rows, scale)
        with self.phase("exchange", "communicate"):
            self.exchange.start(rows)
        out = self.near(rows, scale)
        with self.phase("exchange", "communicate"):
            halo_rows = self.exchange.finish(width)
        return self.far(halo_rows, out, weighted)


class Project(torch.autograd.Function):
    """X W for sparse X; the gradient for W is X transposed times the gradient, with the same entries dropped."""

    @staticmethod
    def forward(ctx, weight, inputs, dropout):
        ctx.features, ctx.dropout = inputs.part.features, dropout
        return torch.from_numpy(product(ctx.features, weight.detach().numpy(), dropout=dropout))

    @staticmethod
    def backward(ctx, gradient):
        gradient = gradient.numpy()
        out = np.zeros((ctx.features.columns, gradient.shape[1]), gradient.dtype)
        return torch.from_numpy(product_back(ctx.features, gradient, out, dropout=ctx.dropout)), None, None


def activate(rows: torch.Tensor, dropout: Dropout | None) -> torch.Tensor:
    """Local: relu, then dropout if there is any."""
    return torch.relu(rows) if dropout is None else _ReluDropout.apply(rows, dropout)


class _ReluDropout(torch.autograd.Function):
    """Relu and dropout in one pass each way; only the outcome is kept."""

    @staticmethod
    def forward(ctx, rows, dropout):
        ctx.dropout, ctx.outcome = dropout, relu_dropout(rows.detach().numpy(), dropout)
        return torch.from_numpy(ctx.outcome)

    @staticmethod
    def backward(ctx, gradient):
        return torch.from_numpy(relu_dropout_back(ctx.outcome, gradient.numpy(), ctx.dropout)), None


class _GatherFirst(torch.autograd.Function):
    """Sums over the neighbours of the owned rows, all of them at hand, and the transpose of that."""

    @staticmethod
    def forward(ctx, rows, inputs):
        ctx.inputs, owned, rows = inputs, inputs.part.owned, rows.detach().numpy()
        return torch.from_numpy(inputs.far(rows[owned:], inputs.near(rows[:owned], inputs.blocks.scale)))

    @staticmethod
    def backward(ctx, gradient):
        inputs, gradient = ctx.inputs, gradient.numpy()
        owned, blocks = inputs.part.owned, inputs.blocks
        home = np.zeros((len(inputs.part.nodes), gradient.shape[1]), gradient.dtype)
        product(blocks.near, gradient * blocks.scale[:, None], home[:owned])
        product_back(blocks.far, gradient, home[owned:], blocks.boundary)
        return torch.from_numpy(home), None


class _Gather(torch.autograd.Function):
    """Sums over the neighbours of the owned rows, of which some are elsewhere, and the transpose of that."""

    @staticmethod
    def forward(ctx, rows, inputs, shift):
        ctx.inputs, ctx.shift = inputs, shift
        return torch.from_numpy(inputs.sums(rows.detach().numpy(), shift, weighted=True))

    @staticmethod
    def backward(ctx, gradient):
        inputs = ctx.inputs
        out = inputs.sums(gradient.numpy(), inputs.blocks.scale, weighted=False)
        if ctx.shift is not None:
            out *= ctx.shift[:, None]
        return torch.from_numpy(out), None, None
