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


class Byte(Compressor):
    """Whole numbers from -127 to 127 with one scale for 256 values (QSGD, Alistarh et al. 2017, without chance)."""

    name = "int8"
    lossless = False
    block = 256

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Local: 4 bytes of scale for each block, then a byte per value; a block with infinite values becomes NaN."""
        blocks = -(-values.size // self.block)
        padded = np.zeros(blocks * self.block, np.float32)
        padded[: values.size] = values
        padded = padded.reshape(blocks, self.block)
        scale = np.abs(padded).max(axis=1, initial=0) / np.float32(127)
        with np.errstate(all="ignore"):  # a block of zeros has the scale 0; NaN and infinity show in the scale
            levels = np.where(scale[:, None] > 0, np.rint(padded / scale[:, None]), 0).astype(np.int8)
            scale[~np.isfinite(scale)] = np.nan
        return np.concatenate([scale.view(np.uint8), levels.reshape(-1)[: values.size].view(np.uint8)])

    def decode(self, data: np.ndarray, count: int) -> np.ndarray:
        """Local: the values, float32 of shape (count,)."""
        blocks = -(-count // self.block)
        scale = np.repeat(data[: 4 * blocks].copy().view(np.float32), self.block)[:count]
        return data[4 * blocks : 4 * blocks + count].view(np.int8).astype(np.float32) * scale


class Largest(Compressor):
    """The share of values that are largest in size, the others zero (deep gradient compression, Lin et al. 2018).

    8 bytes per value kept. It needs error feedback: what is left out now is sent when it has added up.
    """

    lossless = False

    def __init__(self, share: float):
        self.share, self.name = share, f"topk:{share:g}"

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Local: places (uint32), then values (float32); what is undefined counts as largest."""
        kept = min(values.size, max(1, round(self.share * values.size)))
        chosen = np.sort(np.argpartition(np.abs(values), values.size - kept)[values.size - kept :]) if kept else []
        places = np.array(chosen, np.uint32)
        return np.concatenate([places.view(np.uint8), np.ascontiguousarray(values[places], np.float32).view(np.uint8)])

    def decode(self, data: np.ndarray, count: int) -> np.ndarray:
        """Local: the values, float32 of shape (count,)."""
        half, out = len(data) // 2, np.zeros(count, np.float32)
        out[data[:half].copy().view(np.uint32)] = data[half:].copy().view(np.float32)
        return out


COMPRESSORS = {kind.name: kind for kind in (Compressor, Half, Byte)}
NAMES = (*COMPRESSORS, "topk:SHARE", "powersgd:RANK", "auto")


def compressor(name: str) -> Compressor:
    """Local: the compressor of a --compress value; raises UsageError for an unknown one."""
    if name in COMPRESSORS:
        return COMPRESSORS[name]()
    kind, _, share = name.partition(":")
    try:
        if kind == "topk" and 0 < float(share) < 1:
            return Largest(float(share))
    except ValueError:
        pass
    raise UsageError(f"--compress {name}", "there is no such compressor", f"Choose from {', '.join(NAMES)}")
