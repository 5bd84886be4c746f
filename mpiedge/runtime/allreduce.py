"""The sum of one flat vector over all ranks, compressed on the way."""

import numpy as np

from mpiedge.runtime.compress import compressor


class Allreduce:
    """Sums a vector over the ranks in place.

    Without compression this is MPI_Allreduce. With it, a reduce-scatter and an allgather of encoded pieces: each rank
    owns one piece of the vector, receives the others' encoded values of it, adds them as float32 in rank order, and
    sends the encoded sum to all. Every rank decodes the same bytes, so all ranks end with the same vector bit for bit.

    feedback: what encoding lost is kept and added to the next vector (error feedback, Seide et al. 2014; for the sums,
    which their owner encodes a second time, as in Tang et al. 2019, "DoubleSqueeze").
    plain_bytes, sent_bytes: what this rank would have sent uncompressed, and what it sent; `ratio` is their quotient.
    """

    def __init__(self, world, compress: str = "none", feedback: bool = True):
        self.world = world
        self.compressor = compressor(compress)
        self.feedback = feedback and not self.compressor.lossless
        self.residual = self.sum_residual = None
        self.plain_bytes = self.sent_bytes = 0
        self.requests: list = []

    @property
    def ratio(self) -> float:
        """Local: plain bytes over sent bytes, 1.0 before anything was sent."""
        return self.plain_bytes / self.sent_bytes if self.sent_bytes else 1.0

    def __call__(self, flat: np.ndarray) -> None:
        """Collective: `flat` (contiguous, of the same length on every rank) becomes its sum over the ranks.

        float32, or uncompressed float64.
        """
        self.start(flat)
        self.finish()

    def start(self, flat: np.ndarray) -> None:
        """Collective: begins the sum; until `finish`, `flat` belongs to it. Compressed sums are complete right here."""
        kinds = (np.float32, np.float64) if self.compressor.lossless else (np.float32,)
        if flat.dtype not in kinds or flat.ndim != 1 or not flat.flags.c_contiguous:
            raise TypeError("allreduce wants a contiguous vector of float32, or of float64 without compression")
        before = self.world.bytes_sent
        if self.compressor.lossless:
            if self.residual is not None:  # what another way of summing had lost (see `adopt`) is made up for at once
                flat += self.residual
                self.residual = None
            self.requests = self.world.start_sum(flat)
        else:
            with np.errstate(invalid="ignore"):  # infinity minus infinity: training must notice it, not numpy
                self._compressed(flat)
        size = self.world.size
        self.sent_bytes += self.world.bytes_sent - before
        self.plain_bytes += flat.nbytes if self.compressor.lossless else 2 * flat.nbytes * (size - 1) // size

    def finish(self) -> None:
        """Collective: waits until the sum is there."""
        self.world.wait(*self.requests)
        self.requests = []

    def lost(self) -> dict[str, np.ndarray]:
        """Local: what this rank is to feed back, {} when there is nothing: arrays that later sums leave as they are."""
        if self.residual is None or not self.feedback:
            return {}
        return {"residual": self.residual, "sum_residual": self.sum_residual}

    def gather_lost(self, lost: dict) -> dict[str, np.ndarray]:
        """Collective: on rank 0 what all ranks' `lost` gave, for a checkpoint; {} elsewhere, and when nothing was lost.

        residuals: float32 (ranks, length); sum_residual: float32 (length,). Message: each rank's vectors to rank 0.
        """
        return joined(self.world.gather(lost) or []) if lost else {}

    def restore(self, kept: dict) -> None:
        """Local: goes on with what `gather_lost` gave, the same on every rank.

        At another number of ranks, rank 0 takes over all that was lost: what matters is the sum over the ranks.
        """
        if not self.feedback or not kept:
            return
        self.residual = share_out(self.world, kept)
        total = kept.get("sum_residual", np.zeros_like(self.residual))  # other compressors have none
        self.sum_residual = total[self._pieces(total.size)[self.world.rank]].copy()

    def adopt(self, other: "Allreduce") -> None:
        """Local: goes on where another way of summing the same vectors ends, with what that had lost and its counts."""
        self.plain_bytes, self.sent_bytes = other.plain_bytes, other.sent_bytes
        if other.residual is None:
            return
        self.residual = other.residual.copy()
        if other.sum_residual is not None:
            self.residual[other._pieces(len(self.residual))[self.world.rank]] += other.sum_residual
        self.sum_residual = np.zeros_like(self.residual[self._pieces(len(self.residual))[self.world.rank]])

    def _pieces(self, length: int) -> list[slice]:
        ends = [length * (rank + 1) // self.world.size for rank in range(self.world.size)]
        return [slice(start, end) for start, end in zip([0, *ends], ends)]

    def _compressed(self, flat: np.ndarray) -> None:
        world, compress = self.world, self.compressor
        pieces = self._pieces(flat.size)
        own = pieces[world.rank]
        if self.feedback:
            if self.residual is None or self.residual.size != flat.size:
                self.residual = np.zeros_like(flat)
                self.sum_residual = np.zeros_like(flat[own])
            flat += self.residual

        encoded = [compress.encode(flat[piece]) for piece in pieces]
        if self.feedback:
            residual = np.empty_like(flat)  # a new one: see `lost`
            for piece, data in zip(pieces, encoded):
                residual[piece] = flat[piece] - compress.decode(data, piece.stop - piece.start)
            self.residual = residual
        count = own.stop - own.start
        total = np.zeros(count, np.float32)
        for data in world.alltoall(encoded):
            total += compress.decode(data, count)

        if self.feedback:
            total += self.sum_residual
        mine = compress.encode(total)
        if self.feedback:
            self.sum_residual = total - compress.decode(mine, count)
        for piece, data in zip(pieces, world.allgather(mine)):
            flat[piece] = compress.decode(data, piece.stop - piece.start)


def joined(lost: list[dict]) -> dict[str, np.ndarray]:
    """Local: what all ranks' `lost` gave, in rank order, as `restore` takes it; {} when nothing was lost."""
    if not lost or not lost[0]:
        return {}
    kept = {"residuals": np.stack([parts["residual"] for parts in lost])}
    if "sum_residual" in lost[0]:
        kept["sum_residual"] = np.concatenate([parts["sum_residual"] for parts in lost])
    if "guess" in lost[0]:
        kept["guess"] = lost[0]["guess"]
    return kept


def share_out(world, kept: dict) -> np.ndarray:
    """Local: this rank's residual of those in a checkpoint; at another number of ranks, rank 0 takes over all."""
    residuals = kept["residuals"]
    if len(residuals) == world.size:
        return residuals[world.rank].copy()
    return residuals.sum(axis=0) if world.rank == 0 else np.zeros_like(residuals[0])
