"""Training of a graph that does not fit the memory of all ranks: exact, block by block from disk, layer by layer.

Every layer adds sums over neighbours to something that each node computes by itself, so a layer is two passes over the
blocks: what the nodes hand to their neighbours (and what they keep), and the sums; once those of a block are there, so
is what its nodes hand on in the next layer. Of a layer only its outcome is kept; what backward needs besides is
computed again when its block is there (rematerialisation, as in SAR, Mostafa 2022). The adjacency without its scales is
symmetric, so backward streams the same files as forward. The sums are those of `Trainer`, only the order of additions
differs.
"""

from collections.abc import Iterator

import numpy as np
import torch

from mpiedge.graph.build import TRAIN, VALIDATION
from mpiedge.graph.grid import Block, Grid
from mpiedge.kernels.cross_entropy import cross_entropy
from mpiedge.kernels.sparse_product import Dropout
from mpiedge.training.inputs import Project, activate
from mpiedge.training.loop import Slope, Trainer


class BlockInputs:
    """A block as a model's inputs in one layer: what is gathered counts as zero, and what was handed is noted.

    back: what comes back from the neighbours as the gradient of the rows that were handed to them; dtype: of rows.
    """

    def __init__(self, block: Block, layer: int, probability: float, place: tuple, back: np.ndarray | None = None,
                 dtype=np.float32):
        self.part, names = block, block.nodes
        self.dropout = Dropout.of(probability, names, *place, layer) if probability > 0 else None
        self.back, self.handed, self.dtype = back, None, dtype

    def project(self, weight: torch.Tensor, drops: bool = True) -> torch.Tensor:
        """Local: features, dropped ones where it `drops`, times weight."""
        return Project.apply(weight, self, self.dropout if drops else None)

    def own(self, rows: torch.Tensor) -> torch.Tensor:
        """Local: the rows as they are."""
        return rows

    def activate(self, rows: torch.Tensor) -> torch.Tensor:
        """Local: relu and dropout of dense rows."""
        return activate(rows, self.dropout)

    def gather(self, rows: torch.Tensor) -> torch.Tensor:
        """Local: a row of zeros for all nodes, to which the sums over neighbours are added later."""
        return _Hand.apply(rows, self)

    gather_first = gather


class _Hand(torch.autograd.Function):
    """Notes what is handed to neighbours; backward gives what came back from them."""

    @staticmethod
    def forward(ctx, rows, inputs):
        ctx.inputs, inputs.handed = inputs, rows.detach().numpy()
        return rows.new_zeros(1, rows.shape[1])

    @staticmethod
    def backward(ctx, gradient):
        return torch.from_numpy(ctx.inputs.back), None


class StreamedTrainer(Trainer):
    """A `Trainer` of blocks on disk."""

    def take(self, inputs: Grid) -> None:
        """Local: the blocks that this rank trains on."""
        self.grid = inputs

    def labelled(self) -> np.ndarray:
        """Local: the number of this rank's training and validation nodes."""
        splits = [self.grid.load(block).split for block in self.grid.own]
        return np.array([sum(int((split == role).sum()) for split in splits) for role in (TRAIN, VALIDATION)])

    def class_counts(self, classes: int) -> np.ndarray:
        """Local: as in `Trainer`."""
        counts = np.zeros(classes, np.int64)
        for part in map(self.grid.load, self.grid.own):
            counts += np.bincount(part.labels[part.split == TRAIN], minlength=classes)
        return counts

    def outcomes(self) -> Iterator[tuple]:
        """Collective: as in `Trainer`, block by block."""
        self.state.weights[:] = self.state.best_weights
        for block, scores in self._scores(0.0):
            yield self.grid.load(block), torch.softmax(torch.from_numpy(scores), dim=1).numpy()

    def _gradient(self, epoch: int) -> np.ndarray:
        """Collective: as in `Trainer`."""
        found, place = np.zeros(2), (self.settings.dropout, self.settings.seed, epoch)
        with self.phase("step"):
            self.gradient.zero_()
            for block, scores in self._scores(*place, keep=True):
                slope, part = np.zeros_like(scores), self.grid.load(block)
                found += cross_entropy(scores, part.labels, np.flatnonzero(part.split == TRAIN), slope,
                                       1 / self.train_nodes, self.factors)
                self._hand_back(part, block, self.model.layers, slope)
            for layer in range(self.model.layers, 0, -1):
                self._back(layer, *place)
        return found

    def _validate(self) -> tuple[float, int]:
        """Collective: as in `Trainer`."""
        found = np.zeros(2)
        if self.validation_nodes:
            with self.phase("validate"):
                for block, scores in self._scores(0.0):
                    part = self.grid.load(block)
                    found += cross_entropy(scores, part.labels, np.flatnonzero(part.split == VALIDATION),
                                           factors=self.factors)
        return found[0], found[1]

    def _scores(self, *place, keep: bool = False) -> Iterator[tuple[int, np.ndarray]]:
        """Collective: yields own blocks with their class scores; place: share dropped, seed, epoch; keep: on disk the
        outcomes of the other layers, for the way back."""
        for block in self.grid.own:
            self._hand(block, 1, None, *place)
        for layer in range(1, self.model.layers + 1):
            for block, sums in self._sums(f"handed{layer}", forward=True):
                rows = self.grid.get(block, f"kept{layer}")
                rows = rows if sums is None else rows + sums
                if layer == self.model.layers:
                    yield block, rows
                    continue
                if keep:
                    self.grid.put(block, f"rows{layer}", rows)
                self._hand(block, layer + 1, rows, *place)

    def _hand(self, block: int, layer: int, before: np.ndarray | None, probability: float, *place) -> None:
        """Local: one block's part of a layer without the sums over neighbours. before: the last layer's outcome."""
        part = self.grid.load(block, features=layer == 1)
        inputs = BlockInputs(part, layer, probability, place, dtype=self.grid.dtype)
        with torch.no_grad():
            kept = self._layer(inputs, layer, None if before is None else torch.from_numpy(before))
        self.grid.put(block, f"kept{layer}", kept.numpy())
        if inputs.handed is not None:
            self.grid.put(block, f"handed{layer}", inputs.handed * self._scales(part)[1])

    def _hand_back(self, part: Block, block: int, layer: int, slope: np.ndarray) -> None:
        """Local: keeps the gradient of a layer's outcome, and what of it goes back to the neighbours."""
        self.grid.put(block, f"slope{layer}", slope)
        if self.model.norm:
            self.grid.put(block, f"back{layer}", slope * self._scales(part)[0])

    def _back(self, layer: int, probability: float, *place) -> None:
        """Collective: adds the gradient of a layer's weights, and finds that of the outcome of the layer before."""
        for block, sums in self._sums(f"back{layer}", forward=False):
            part = self.grid.load(block, features=layer == 1)
            inputs = BlockInputs(part, layer, probability, place, sums, self.grid.dtype)
            before = None if layer == 1 else torch.from_numpy(self.grid.get(block, f"rows{layer - 1}")).requires_grad_()
            rows = self._layer(inputs, layer, before)
            Slope.apply(rows, self.grid.get(block, f"slope{layer}")).backward()
            if before is not None:
                self._hand_back(part, block, layer - 1, before.grad.numpy())

    def _sums(self, name: str, forward: bool) -> Iterator[tuple[int, np.ndarray | None]]:
        """Collective: yields own blocks with the scaled sums of what was handed; None for models without a graph.

        forward: to the nodes from their neighbours, else back. Message: all that was handed to all ranks.
        """
        if not self.model.norm:
            yield from ((block, None) for block in self.grid.own)
            return
        with self.phase("exchange", "communicate"):
            self.grid.share(name)
        for block, sums in self.grid.sums(name, loops=self.model.norm == "symmetric"):
            sums *= self._scales(self.grid.load(block))[0 if forward else 1]
            yield block, sums

    def _scales(self, part: Block) -> tuple[np.ndarray, np.ndarray | float]:
        """Local: what sums, and what handed rows are multiplied with (see graph/blocks.py)."""
        if self.model.norm == "mean":
            return (1 / np.maximum(part.degrees - 1, 1)).astype(self.grid.dtype)[:, None], 1.0
        shift = (1 / np.sqrt(part.degrees)).astype(self.grid.dtype)[:, None]
        return shift, shift

    def _layer(self, inputs: BlockInputs, layer: int, before: torch.Tensor | None) -> torch.Tensor:
        """Local: a layer's outcome without the sums over neighbours."""
        return self.model.first(inputs) + self.model.bias_1 if before is None else self.model.outcome(inputs, before,
                                                                                                     layer)
