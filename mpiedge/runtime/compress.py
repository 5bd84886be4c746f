"""Compressors turn float32 vectors into fewer bytes and back; what they lose can be fed back later."""

import numpy as np

from mpiedge.errors import UsageError


class Compressor:
    """Interface of all compressors: the identity, 4 bytes per value.

    encode(values) -> uint8 array; decode(data, count) -> float32 array of `count` values. Both are pure functions: the
    same bytes decode to the same values on every rank. `lossless` tells whether decode(encode(x)) equals x.
    """

    name = "none"
    lossless = True

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Local: float32 values as bytes."""
        return np.ascontiguousarray(values, np.float32).view(np.uint8)

    def decode(self, data: np.ndarray, count: int) -> np.ndarray:
        """Local: the values, float32 of shape (count,)."""
        return data.view(np.float32)[:count]


class Half(Compressor):
    """IEEE half precision with one power of two as scale: 2 bytes per value, relative error 2^-11.

    The scale brings the largest value near 2^15, so that sums do not overflow and small gradients do not vanish;
    values below 2^-29 of the largest lose digits.
    """

    name = "fp16"
    lossless = False

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Local: 4 bytes of scale, then 2 bytes per value; infinite or undefined values stay so."""
        largest = float(np.max(np.abs(values), initial=0.0))
        exponent = np.frexp(largest)[1] - 15 if largest > 0 and np.isfinite(largest) else 0
        scale = np.float32(np.ldexp(1.0, max(exponent, -120)))
        data = np.empty(4 + 2 * values.size, np.uint8)
        data[:4] = np.frombuffer(scale.tobytes(), np.uint8)
        data[4:] = (values / scale).astype(np.float16).view(np.uint8)
        return data

    def decode(self, data: np.ndarray, count: int) -> np.ndarray:
        """Local: the values, float32 of shape (count,)."""
        scale = data[:4].copy().view(np.float32)[0]
        return data[4 : 4 + 2 * count].copy().view(np.float16).astype(np.float32) * scale


COMPRESSORS = {kind.name: kind for kind in (Compressor, Half)}


def compressor(name: str) -> Compressor:
    """Local: the compressor of a --compress value; raises UsageError for an unknown one."""
    if name not in COMPRESSORS:
        raise UsageError(f"--compress {name}", "there is no such compressor", f"Choose from {', '.join(COMPRESSORS)}")
    return COMPRESSORS[name]()
