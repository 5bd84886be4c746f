"""Forms in which rows of numbers cross the network: as they are, as half precision, or as bytes rounded at random."""

import numpy as np

FORMS = ("fp32", "fp16", "int8")
TOGETHER = 8  # values, at least, that share a scale: with fewer, scales would be more than an eighth of the bytes
ZERO, STRANGE = 0, 255  # instead of an exponent: all values are 0, one of them is infinite or undefined


class Rows:
    """fp32, the identity: what arrives is what was sent. size(rows, width): bytes that rows take on the way."""

    name, exact = "fp32", True

    def size(self, rows: int, width: int) -> int:
        """Local: bytes of `rows` rows of `width` values."""
        return 4 * rows * width

    def encode(self, rows: np.ndarray, *place: int) -> np.ndarray:
        """Local: float32 rows as bytes, uint8 (size,); place: whole numbers that seed what is random."""
        return np.ascontiguousarray(rows, np.float32).view(np.uint8).reshape(-1)

    def decode(self, data: np.ndarray, out: np.ndarray) -> None:
        """Local: these bytes back into `out`, float32 (rows, width)."""
        out[:] = data.view(np.float32).reshape(out.shape)


class HalfRows(Rows):
    """fp16 beside the power of two that brings each row's largest value below 2: a byte, then 2 bytes per value."""

    name, exact = "fp16", False

    def size(self, rows: int, width: int) -> int:
        """Local: as in Rows."""
        return rows * (1 + 2 * width)

    def encode(self, rows: np.ndarray, *place: int) -> np.ndarray:
        """Local: as in Rows; nothing is random here."""
        out = np.empty((len(rows), 1 + 2 * rows.shape[1]), np.uint8)
        with np.errstate(invalid="ignore"):
            exponent = np.frexp(np.abs(rows).max(axis=1, initial=0))[1].clip(-120, 127)
            out[:, 0] = exponent + 121
            out[:, 1:] = np.ldexp(rows, -exponent[:, None]).astype(np.float16).view(np.uint8)
        return out.reshape(-1)

    def decode(self, data: np.ndarray, out: np.ndarray) -> None:
        """Local: as in Rows."""
        data = data.reshape(len(out), -1)
        values = np.ascontiguousarray(data[:, 1:]).view(np.float16).astype(np.float32)
        out[:] = np.ldexp(values, data[:, :1].astype(np.int32) - 121)


class ByteRows(Rows):
    """Whole numbers from -127 to 127, rounded up or down at random so that the mean is right (QSGD, Alistarh et al.
    2017), beside powers of two as scales, a byte for each row, or for as many narrow rows as have 8 values together.

    All scales come first. Rows that share one with an infinite value become NaN.
    """

    name, exact = "int8", False

    def size(self, rows: int, width: int) -> int:
        """Local: as in Rows."""
        return -(-rows // _group(width)) + rows * width

    def encode(self, rows: np.ndarray, *place: int) -> np.ndarray:
        """Local: as in Rows."""
        count, width = rows.shape
        starts = np.arange(0, count, _group(width))
        out = np.empty(self.size(count, width), np.uint8)
        if not out.size:
            return out
        with np.errstate(all="ignore"):
            largest = np.maximum.reduceat(np.abs(rows).max(axis=1, initial=0), starts)
            exponent = np.frexp(largest)[1].clip(-126, 127) + 127
            out[: len(starts)] = np.where(np.isfinite(largest), np.where(largest > 0, exponent, ZERO), STRANGE)
            unit = _units(out[: len(starts)], count, width)
            chance = np.random.default_rng(list(place)).random(rows.shape, np.float32)
            levels = np.floor(np.where(unit > 0, rows / unit, 0) + chance).clip(-127, 127)
            out[len(starts) :] = np.nan_to_num(levels).astype(np.int8).view(np.uint8).reshape(-1)
        return out

    def decode(self, data: np.ndarray, out: np.ndarray) -> None:
        """Local: as in Rows."""
        count, width = out.shape
        scales = -(-count // _group(width))
        levels = data[scales:].view(np.int8).reshape(out.shape)
        np.multiply(levels, _units(data[:scales], count, width), out=out, dtype=np.float32)


def _group(width: int) -> int:
    """Rows that share a scale."""
    return -(-TOGETHER // max(width, 1))


def _units(scales: np.ndarray, rows: int, width: int) -> np.ndarray:
    """What each row's whole numbers are multiplied with, float32 (rows, 1)."""
    unit = np.ldexp(np.float32(1 / 127), scales.astype(np.int32) - 127)
    unit[scales == ZERO], unit[scales == STRANGE] = 0, np.nan
    return np.repeat(unit, _group(width))[:rows, None]


def form(name: str) -> Rows:
    """Local: the form of a --halo value, one of FORMS."""
    return {kind.name: kind for kind in (Rows, HalfRows, ByteRows)}[name]()
