"""Forms in which rows of float32 cross the network: as they are, as half precision, or as bytes rounded at random."""

import numpy as np

FORMS = ("fp32", "fp16", "int8")


class Rows:
    """fp32, the identity: what arrives is what was sent. row_bytes(width): bytes that a row takes on the way."""

    name, exact = "fp32", True

    def row_bytes(self, width: int) -> int:
        """Local: bytes of a row of `width` values."""
        return 4 * width

    def encode(self, rows: np.ndarray, out: np.ndarray, *place: int) -> None:
        """Local: float32 rows into `out`, uint8 (rows, row_bytes); place: whole numbers that seed what is random."""
        out[:] = np.ascontiguousarray(rows, np.float32).view(np.uint8)

    def decode(self, data: np.ndarray, out: np.ndarray) -> None:
        """Local: uint8 rows back into `out`, float32 (rows, width)."""
        out[:] = data.view(np.float32)


class HalfRows(Rows):
    """fp16 beside the power of two that brings each row's largest value below 2: a byte, then 2 bytes per value."""

    name, exact = "fp16", False

    def row_bytes(self, width: int) -> int:
        """Local: bytes of a row of `width` values."""
        return 1 + 2 * width

    def encode(self, rows: np.ndarray, out: np.ndarray, *place: int) -> None:
        """Local: as in Rows; nothing is random here."""
        with np.errstate(invalid="ignore"):
            exponent = np.frexp(np.abs(rows).max(axis=1, initial=0))[1].clip(-120, 127)
            out[:, 0] = exponent + 121
            out[:, 1:] = np.ldexp(rows, -exponent[:, None]).astype(np.float16).view(np.uint8)

    def decode(self, data: np.ndarray, out: np.ndarray) -> None:
        """Local: as in Rows."""
        values = np.ascontiguousarray(data[:, 1:]).view(np.float16).astype(np.float32)
        out[:] = np.ldexp(values, data[:, :1].astype(np.int32) - 121)


class ByteRows(Rows):
    """Whole numbers from -127 to 127 with one scale per row, rounded up or down at random so that the mean is right
    (QSGD, Alistarh et al. 2017): 2 bytes of scale, then a byte per value. Rows with infinite values become NaN."""

    name, exact = "int8", False

    def row_bytes(self, width: int) -> int:
        """Local: bytes of a row of `width` values."""
        return 2 + width

    def encode(self, rows: np.ndarray, out: np.ndarray, *place: int) -> None:
        """Local: as in Rows. The scale is the upper half of a float32, rounded up, so that no level exceeds 127."""
        with np.errstate(all="ignore"):
            least = np.abs(rows).max(axis=1, initial=0) / np.float32(127)
            bits = ((least.view(np.uint32) + np.uint32(0xFFFF)) >> 16).astype(np.uint16)
            bits[~np.isfinite(least)] = 0x7FC0
            scale = _scale(bits)
            chance = np.random.default_rng(list(place)).random(rows.shape, np.float32)
            levels = np.floor(np.where(scale > 0, rows / scale, 0) + chance).clip(-127, 127)
            out[:, :2] = bits.reshape(-1, 1).view(np.uint8)
            out[:, 2:] = np.nan_to_num(levels).astype(np.int8).view(np.uint8)

    def decode(self, data: np.ndarray, out: np.ndarray) -> None:
        """Local: as in Rows."""
        bits = np.ascontiguousarray(data[:, :2]).view(np.uint16).reshape(-1)
        np.multiply(data[:, 2:].view(np.int8), _scale(bits), out=out, dtype=np.float32)


def _scale(bits: np.ndarray) -> np.ndarray:
    return (bits.astype(np.uint32) << 16).view(np.float32).reshape(-1, 1)


def form(name: str) -> Rows:
    """Local: the form of a --halo value, one of FORMS."""
    return {kind.name: kind for kind in (Rows, HalfRows, ByteRows)}[name]()
