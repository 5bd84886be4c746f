"""Random numbers that are a pure function of (seed, name, index): any row can be drawn alone, in any order."""

import zlib

import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _mix(values: np.ndarray) -> np.ndarray:
    """The finaliser of splitmix64 (Steele, Lea & Flood 2014): uint64 -> uint64, a bijection that mixes every bit."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


class Draw:
    """Local: streams of random numbers, one per name, addressed by index (int64 arrays, any shape)."""

    def __init__(self, seed: int):
        self.seed = seed

    def bits(self, name: str, index) -> np.ndarray:
        """64 random bits for each index, as uint64 of the same shape."""
        stream = np.array([(self.seed << 32) & 0xFFFFFFFFFFFFFFFF ^ zlib.crc32(name.encode())], np.uint64)
        index = np.asarray(index, np.int64).astype(np.uint64)
        return _mix(_mix(stream) + (index + np.uint64(1)) * _GOLDEN)

    def uniform(self, name: str, index) -> np.ndarray:
        """A float64 in [0, 1) for each index."""
        return (self.bits(name, index) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def below(self, name: str, index, limit) -> np.ndarray:
        """An int64 in [0, limit) for each index; `limit` is a number or an array of the shape of `index`."""
        return np.floor(self.uniform(name, index) * limit).astype(np.int64)
