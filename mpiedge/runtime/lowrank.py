"""The sum of a model's gradient over all ranks by matrices of low rank (PowerSGD; Vogels, Karimireddy & Jaggi 2019)."""

import itertools

import numpy as np

from mpiedge.runtime.allreduce import Allreduce, joined, share_out
from mpiedge.runtime.compress import Compressor

TINY = 1e-30  # added to the length of a column before it is divided by it: columns of zeros stay so


class LowRank(Compressor):
    """The name of the method; what it does is in `LowRankSum`, as no vector is encoded by itself."""

    lossless = False

    def __init__(self, rank: int):
        self.rank, self.name = rank, f"powersgd:{rank}"


class LowRankSum(Allreduce):
    """Sums a flat vector of matrices over the ranks in place, as an `Allreduce` does.

    Of the sum M of a matrix travel two thin ones: P = M Q, with the Q of the vector before (one step of a power
    iteration each time), and, once P has orthogonal columns, the new Q = M^T P. All ranks end with P Q^T; what a rank's
    own M differs from P P^T M is kept and added to its next one (error feedback). Both are sums, so the bytes do not
    grow with the number of ranks. Vectors, and matrices so small that it would not pay, travel as they are, beside P.

    shapes: of the matrices and vectors that lie in the flat vector one after the other; rank: columns of P and Q.
    """

    def __init__(self, world, rank: int, shapes: list[tuple]):
        super().__init__(world)
        self.compressor, self.feedback, self.flat = LowRank(rank), True, None
        ends = np.cumsum([0, *(int(np.prod(shape)) for shape in shapes)]).tolist()
        places = [slice(start, stop) for start, stop in itertools.pairwise(ends)]
        thin = [len(shape) == 2 and rank * sum(shape) < shape[0] * shape[1] for shape in shapes]
        self.matrices = [(place, *shape) for place, shape, pays in zip(places, shapes, thin) if pays]
        self.others = [place for place, pays in zip(places, thin) if not pays]
        self.length, self.rank = ends[-1], rank
        self.guess = np.random.default_rng(0).standard_normal(self._size(2)).astype(np.float32)

    def start(self, flat: np.ndarray) -> None:
        """Collective: begins the sum; until `finish`, `flat` belongs to it."""
        if flat.dtype != np.float32 or flat.shape != (self.length,):
            raise TypeError("this sum wants a vector of float32 that holds the matrices it was made for")
        if self.residual is None:
            self.residual = np.zeros_like(flat)
        flat += self.residual
        self.flat, self.plain_bytes = flat, self.plain_bytes + flat.nbytes
        with np.errstate(invalid="ignore", over="ignore"):  # infinite: training must notice it, not numpy
            left = [flat[place].reshape(rows, columns) @ guess
                    for (place, rows, columns), guess in zip(self.matrices, self._cut(self.guess, 2))]
        self.left = _join([*left, *(flat[place] for place in self.others)])
        self._send(self.left)

    def finish(self) -> None:
        """Collective: waits until the sum is there. Message: the second sum."""
        if self.flat is None:
            return
        flat, self.flat = self.flat, None
        super().finish()
        with np.errstate(invalid="ignore", over="ignore"):
            left = [orthogonal(matrix) for matrix in self._cut(self.left, 1)]
            own = [flat[place].reshape(rows, columns).T @ matrix
                   for (place, rows, columns), matrix in zip(self.matrices, left)]
            guess = _join(own)
            self._send(guess)
            residual = np.zeros_like(flat)  # a new one: see `lost`
            for (place, _, _), matrix, right in zip(self.matrices, left, own):
                residual[place] = flat[place] - (matrix @ right.T).reshape(-1)
            super().finish()
            for (place, _, _), matrix, right in zip(self.matrices, left, self._cut(guess, 2)):
                flat[place] = (matrix @ right.T).reshape(-1)
        start = self._size(1)
        for place in self.others:
            stop = start + place.stop - place.start
            flat[place], start = self.left[start:stop], stop
        self.residual, self.guess = residual, guess

    def lost(self) -> dict[str, np.ndarray]:
        """Local: as in `Allreduce`; guess: the Q of the next sum, the same on every rank."""
        return {} if self.residual is None else {"residual": self.residual, "guess": self.guess}

    def gather_lost(self, lost: dict) -> dict[str, np.ndarray]:
        """Collective: as in `Allreduce`; guess instead of sum_residual. Message: each rank's residual to rank 0."""
        gathered = self.world.gather({"residual": lost["residual"]}) if lost else None
        return joined(gathered) | {"guess": lost["guess"]} if gathered else {}

    def restore(self, kept: dict) -> None:
        """Local: as in `Allreduce`."""
        if kept:
            self.residual = share_out(self.world, kept)
            if "sum_residual" in kept and self.world.is_root:
                self.residual += kept["sum_residual"]
        if kept.get("guess", np.zeros(0)).size == self.guess.size:
            self.guess = kept["guess"].copy()

    def _send(self, array: np.ndarray) -> None:
        before = self.world.bytes_sent
        self.requests = self.world.start_sum(array)
        self.sent_bytes += self.world.bytes_sent - before

    def _size(self, side: int) -> int:
        """Numbers in the thin matrices of one side: 1 those with the rows, 2 those with the columns."""
        return self.rank * sum(matrix[side] for matrix in self.matrices)

    def _cut(self, flat: np.ndarray, side: int) -> list[np.ndarray]:
        """The thin matrices that lie in `flat` one after the other."""
        ends = np.cumsum([0, *(self.rank * matrix[side] for matrix in self.matrices)]).tolist()
        return [flat[start:stop].reshape(-1, self.rank) for start, stop in itertools.pairwise(ends)]


def orthogonal(matrix: np.ndarray) -> np.ndarray:
    """Local: the columns made orthogonal and of length 1 one after the other (Gram & Schmidt), float32."""
    out = matrix.astype(np.float64)
    for column in range(out.shape[1]):
        out[:, column] -= out[:, :column] @ (out[:, :column].T @ out[:, column])
        out[:, column] /= np.sqrt(out[:, column] @ out[:, column]) + TINY
    return out.astype(np.float32)


def _join(arrays: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.zeros(0, np.float32), *(array.reshape(-1) for array in arrays)])
