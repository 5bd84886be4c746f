"""Numbers of a column: read from text, summed exactly, and counted in buckets; merged in any order with one result."""

import math

import numpy as np

from mpiedge.kernels import forms
from mpiedge.profiling.texts import Texts

LONGEST_NUMBER = 40
BINS = 20
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

NUMBER_BYTES = np.zeros(256, bool)
NUMBER_BYTES[list(b"0123456789+-.eE")] = True
FRACTION_BYTES = np.zeros(256, bool)
FRACTION_BYTES[list(b".eE")] = True

SCALE = 1126
"""Sums are integers in units of 2^-1126: every float is a multiple of that, also the last bit of a denormal one."""

SLICE = 1 << 14
"""Strings read together."""

SIGN = np.uint64(1 << 63)
SPLITTER = float((1 << 27) + 1)


def read_numbers(texts: Texts) -> tuple[np.ndarray, bool] | None:
    """Local: packed strings, none of them empty, as float64, and whether all are integers; None when one is no number.

    A number is what float() reads without names (inf, nan), spaces or needless leading zeros: 007 is a code.
    """
    if not len(texts):
        return np.zeros(0), True
    if (plain := forms.text_decimals(texts.data, texts.length)) is not None:
        return plain
    if not NUMBER_BYTES[texts.data].all() or texts.length.max() > LONGEST_NUMBER:
        return None
    follows = np.minimum(texts.start + 1, len(texts.data) - 1)
    digit_follows = (texts.length > 1) & (texts.data[follows] >= ord("0")) & (texts.data[follows] <= ord("9"))
    if ((texts.data[texts.start] == ord("0")) & digit_follows).any():
        return None
    cells = np.zeros((len(texts), int(texts.length.max())), np.uint8)
    cells[np.arange(cells.shape[1]) < texts.length[:, None]] = texts.data
    try:
        values = cells.view(f"S{cells.shape[1]}")[:, 0].astype(np.float64)
    except ValueError:
        return None
    return (values, not bool(FRACTION_BYTES[texts.data].any())) if np.isfinite(values).all() else None


def read_column(texts: Texts) -> np.ndarray | None:
    """Local: packed strings but the empty ones as float64; None when one is no number."""
    found = [np.zeros(0)]
    for _, _, part in texts.parts(SLICE):
        numbers = read_numbers(part.take(np.flatnonzero(part.length)))
        if numbers is None:
            return None
        found.append(numbers[0])
    return np.concatenate(found)


def exact_sum(values: np.ndarray, counts: np.ndarray) -> int:
    """Local: the sum of values * counts without any rounding, in units of 2^-SCALE; all finite, below 2^36 of them."""
    if not len(values):
        return 0
    fractions, exponents = np.frexp(values)
    whole = np.ldexp(fractions, 53).astype(np.int64)
    lowest = int(exponents.min())
    total = 0
    for part, bits in ((whole >> 26, 26), (whole & (1 << 26) - 1, 0)):  # halves: counted sums of them fit in 63 bits
        sums = np.zeros(int(exponents.max()) - lowest + 1, np.int64)
        np.add.at(sums, exponents - lowest, part * counts)
        total += sum(one << (lowest + place - 53 + bits + SCALE) for place, one in enumerate(sums.tolist()) if one)
    return total


class Moments:
    """Count, exact sum and exact sum of squares of numbers, the smallest and the largest; the squares are None beyond
    the range of floats."""

    def __init__(self):
        self.count, self.sum, self.squares, self.low, self.high = 0, 0, 0, math.inf, -math.inf

    @np.errstate(over="ignore", invalid="ignore")
    def add(self, values: np.ndarray, counts: np.ndarray) -> None:
        """Local: values that occur `counts` times."""
        if not len(values):
            return
        self.count += int(counts.sum())
        low, high = float(values.min()) + 0.0, float(values.max()) + 0.0  # + 0.0: there is one zero
        self.low, self.high = min(self.low, low), max(self.high, high)
        self.sum += exact_sum(values, counts)
        # The square is the rounded one and what rounding left of it (Dekker 1971), both exact.
        spread = SPLITTER * values
        upper = spread - (spread - values)
        lower, square = values - upper, values * values
        rest = ((upper * upper - square) + 2 * upper * lower) + lower * lower
        if self.squares is not None and np.isfinite(rest).all():
            self.squares += exact_sum(square, counts) + exact_sum(rest, counts)
        else:
            self.squares = None

    def to_message(self) -> dict:
        """Local: what travels between ranks."""
        return {"count": self.count, "sum": self.sum, "squares": self.squares, "low": self.low, "high": self.high}

    def merge(self, message: dict) -> None:
        """Local: adds what another rank has counted."""
        self.count += message["count"]
        self.sum += message["sum"]
        self.squares = None if None in (self.squares, message["squares"]) else self.squares + message["squares"]
        self.low, self.high = min(self.low, message["low"]), max(self.high, message["high"])

    @property
    def mean(self) -> float:
        """The mean, correctly rounded."""
        return self.sum / (self.count << SCALE)

    @property
    def std(self) -> float | None:
        """The standard deviation (n - 1); None of a single value and beyond the range of floats."""
        if self.count < 2 or self.squares is None:
            return None
        above = max((self.squares << SCALE) * self.count - self.sum**2, 0)
        try:
            return math.sqrt(above / (self.count * (self.count - 1) << 2 * SCALE))
        except OverflowError:
            return None


def to_keys(values: np.ndarray) -> np.ndarray:
    """Local: numbers as uint64 in the same order."""
    bits = (np.asarray(values, np.float64) + 0.0).view(np.uint64)  # + 0.0: there is one zero
    return np.where(bits >= SIGN, ~bits, bits | SIGN)


def to_values(keys: np.ndarray) -> np.ndarray:
    """Local: the inverse of `to_keys`."""
    keys = np.asarray(keys, np.uint64)
    return np.where(keys >= SIGN, keys ^ SIGN, ~keys).view(np.float64)


class Buckets:
    """How many numbers lie in which bucket: those whose keys agree above the last `shift` bits.

    At most `most` buckets are occupied: where more would be, all become twice as wide (as in UDDSketch, Epicoco et
    al. 2020), and one holds numbers within a factor of 1 + 2^(shift - 52). The result depends on the numbers alone, not
    on the order of adding and merging: buckets become wider only where those of a part of the numbers are too many, and
    then those of all are. Attributes: keys (uint64 ascending, shifted), counts (int64), shift.
    """

    def __init__(self, most: int):
        self.most, self.shift = most, 0
        self.keys, self.counts = np.zeros(0, np.uint64), np.zeros(0, np.int64)

    def add(self, keys: np.ndarray, counts: np.ndarray) -> None:
        """Local: numbers as `to_keys` gives them, that occur `counts` times."""
        if len(keys):
            self._unite(keys >> np.uint64(self.shift), counts)

    def merge(self, shift: int, keys: np.ndarray, counts: np.ndarray) -> None:
        """Local: adds the buckets of others."""
        if shift > self.shift:
            self._widen(shift)
        self._unite(keys >> np.uint64(self.shift - shift), counts)

    def _unite(self, keys: np.ndarray, counts: np.ndarray) -> None:
        keys, counts = np.concatenate([self.keys, keys]), np.concatenate([self.counts, counts])
        order = np.argsort(keys, kind="stable")
        self.keys, self.counts = _grouped(keys[order], counts[order])
        shift = 0
        while len(self.keys) > self.most and _occupied(self.keys, shift) > self.most:
            shift += 1
        self._widen(self.shift + shift)

    def _widen(self, shift: int) -> None:
        if shift > self.shift:
            self.keys, self.counts = _grouped(self.keys >> np.uint64(shift - self.shift), self.counts)
            self.shift = shift

    def bounds(self, index: int) -> tuple[int, int]:
        """Local: the first and the last key of a bucket."""
        first = int(self.keys[index]) << self.shift
        return first, first + (1 << self.shift) - 1


def _grouped(keys: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if not len(keys):
        return keys, counts
    starts = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
    return keys[starts], np.add.reduceat(counts, starts)


def _occupied(keys: np.ndarray, shift: int) -> int:
    wide = keys >> np.uint64(shift)
    return 1 + int(np.count_nonzero(wide[1:] != wide[:-1]))


def edges_between(low: float, high: float) -> np.ndarray:
    """Local: the edges of the bins of a histogram; two equal ones for a single value."""
    if low == high:
        return np.array([low, low])
    return 2 * np.linspace(low / 2, high / 2, BINS + 1)  # the difference itself may be out of range


def in_bins(edges: np.ndarray, values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Local: how many numbers are in each bin; one on an edge belongs to the bin above, the last edge to the last."""
    places = np.searchsorted(edges[1:-1], values, side="right")
    return np.bincount(places, weights=counts, minlength=len(edges) - 1).astype(np.int64)


def positions(total: int) -> list[tuple[str, int, int, float]]:
    """Local: per quantile its name, the positions of the two numbers it lies between, and how far beyond the first."""
    found = []
    for quantile in QUANTILES:
        place = (total - 1) * quantile
        low = math.floor(place)
        found.append((f"{quantile:g}", low, min(low + 1, total - 1), place - low))
    return found
