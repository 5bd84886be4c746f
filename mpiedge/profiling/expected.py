"""What tables hold, judged from a few of their blocks before they are read."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from mpiedge.kernels import dictionary
from mpiedge.profiling.encode import unsigned
from mpiedge.profiling.local import LocalTable
from mpiedge.profiling.sources import encode_tasks

SAMPLE_BLOCKS = 8
UNSAMPLED_BYTES = 16 << 20
"""Tables with less text are not sampled, where they fit even if every cell is another."""

STRING_BYTES = 24
"""What a string of a dictionary takes besides its text: its end, its slot, room to grow."""

VALUE_BYTES = STRING_BYTES + 16
"""What a distinct value takes that is kept: also its length, code and count."""

ENOUGH_REPEATS = 10


@dataclass(frozen=True)
class Expected:
    """What is expected of a table: its rows, per column the distinct values and their text in bytes."""

    rows: int
    distinct: np.ndarray
    text: np.ndarray

    def without(self, columns: frozenset[int]) -> "Expected":
        """Local: the same with nothing in some columns."""
        kept = np.array([column not in columns for column in range(len(self.distinct))], float)
        return Expected(self.rows, self.distinct * kept, self.text * kept)

    def different(self, share: float) -> frozenset[int]:
        """Local: the columns with more than `share` distinct values for each row."""
        return frozenset(np.flatnonzero(self.distinct > share * self.rows).tolist())

    def codes(self) -> float:
        """Bytes of the codes of all rows."""
        return self.rows * float(sum(unsigned(int(count)).itemsize for count in self.distinct))

    def values(self, ranks: float) -> float:
        """Bytes of a rank's share of the distinct values."""
        return float((self.text + VALUE_BYTES * self.distinct).sum()) / ranks

    def dictionaries(self, ranks: int) -> float:
        """Bytes of the dictionaries of a rank, which meets at most as many values as it has rows."""
        met = np.minimum(self.distinct, self.rows / ranks)
        return float((met * (self.text / np.maximum(self.distinct, 1) + STRING_BYTES)).sum())


def at_most(source) -> Expected | None:
    """Local: what a small table holds if every cell is another; None for larger ones."""
    if source.text_bytes > UNSAMPLED_BYTES:
        return None
    width = len(source.columns)
    return Expected(source.rows, np.full(width, float(source.rows)), np.full(width, source.text_bytes / max(width, 1)))


class Samples:
    """Looks into tables: at each of them once."""

    def __init__(self, stage, tables: list, null: bytes | None):
        self._stage, self._tables, self._null = stage, tables, null
        self._known: dict[int, Expected] = {}

    def look(self, index: int) -> Expected:
        """Collective: what is expected of a table after a look at a few of its blocks."""
        if index not in self._known:
            self._known[index] = sample(self._stage, self._tables, index, self._null)
        return self._known[index]


def sample(stage, tables: list, index: int, null: bytes | None) -> Expected:
    """Collective: what is expected of a table after a look at a few of its blocks."""
    source, width = tables[index], len(tables[index].columns)
    blocks = sorted(set(np.linspace(0, source.blocks - 1, SAMPLE_BLOCKS).astype(int).tolist())) if source.blocks else []
    chosen = [(index, block) for block in blocks]
    locals_: dict = {}
    encode_tasks(stage, tables, chosen, null, partial(_own_table, locals_, width))
    messages = _sampled(stage.world, locals_, width)
    rows = sum(message["rows"] for message in messages)
    found = [_estimate([message["hashes"][column] for message in messages],
                       [message["lengths"][column] for message in messages], rows, source.rows)
             for column in range(width)]
    return Expected(source.rows, np.array([count for count, _ in found]), np.array([size for _, size in found]))


def _own_table(locals_: dict, width: int, task: tuple) -> tuple[int, LocalTable]:
    return 0, locals_.setdefault(task, LocalTable(width))


def _sampled(world, locals_: dict, width: int) -> list[dict]:
    """Collective: of every sampled block the rows and, per column, the hashes and lengths of the distinct values."""
    own = []
    for task, local in sorted(locals_.items()):
        strings = [column.dictionary.strings() for column in local.columns]
        own.append({"task": list(task), "rows": sum(local.rows), "lengths": [length for _, length in strings],
                    "hashes": [dictionary.hashes(*one) for one in strings]})
    every = [entry for message in world.allgather(own) for entry in message]
    return sorted(every, key=lambda entry: entry["task"])


def _estimate(hashes: list[np.ndarray], lengths: list[np.ndarray], sampled: int, rows: int) -> tuple[float, float]:
    """Local: distinct values of a column and their text in bytes, rather too many: values met in one sampled block only
    grow with the rows, or to 1.3 times Chao's estimate (1984), where enough values were met in exactly two blocks."""
    if not sampled:
        return float(rows), 0.0
    values, first, blocks = np.unique(np.concatenate(hashes), return_index=True, return_counts=True)
    once, twice = int((blocks == 1).sum()), int((blocks == 2).sum())
    count = len(values) - once + once * rows / max(sampled, 1)
    if twice >= ENOUGH_REPEATS:
        count = min(count, len(values) + 1.3 * once * once / (2 * twice))
    count = min(count, float(rows))
    return count, count * float(np.concatenate(lengths)[first].mean())
