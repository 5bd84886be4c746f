"""What tables will take in memory, judged from a few of their blocks before they are read; what does not fit goes to
scratch: first the strings of large dictionaries, then the ids and codes of the rows."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from mpiedge.kernels import dictionary
from mpiedge.profiling import correlations, interest, nary, nodes
from mpiedge.profiling.encode import PASS_BYTES, EncodedTable, codes_bytes, unsigned
from mpiedge.profiling.local import LocalTable
from mpiedge.profiling.needs import estimate_bytes, least_bytes
from mpiedge.profiling.quantiles import MOST_BUCKETS, TOGETHER
from mpiedge.profiling.sources import encode_tasks
from mpiedge.profiling.spill import Spill
from mpiedge.profiling.statistics import SLICE
from mpiedge.runtime import resources

SAMPLE_BLOCKS = 8
UNSAMPLED_BYTES = 16 << 20
"""Tables with less text are not sampled, where they fit even if every cell is another."""

STRING_BYTES = 24
"""What a string of a dictionary takes besides its text: its end, its slot, room to grow."""

VALUE_BYTES = STRING_BYTES + 16
"""What a distinct value takes that is kept: also its length, code and count."""

PASS_COPIES = 5
"""The strings of a pass: chosen, packed, received, and in the dictionary that numbers them."""

BLOCK_COPIES = 8
"""A block as text, as cells and as ids."""

LEAST_BYTES = 12 << 20
"""Dictionaries get at least so much."""

ENOUGH_REPEATS = 10
SHORT = 16
"""Columns whose values are longer on average are taken for text, not numbers."""

UNSTEADY_BYTES = 1 << 20
"""What a rank holds changes by about so much from one look to the next."""

SLICE_COPIES = 400
"""Bytes that statistics take for each string they look at together."""

BUCKET_BYTES = 48.0 * TOGETHER
"""Bytes for each of the buckets that quantiles are looked for in."""


@dataclass(frozen=True)
class Expected:
    """What is expected of a table: its rows, per column the distinct values and their text in bytes."""

    rows: int
    distinct: np.ndarray
    text: np.ndarray

    def codes(self) -> float:
        """Bytes of the codes of all rows."""
        return self.rows * float(sum(unsigned(int(count)).itemsize for count in self.distinct))

    def values(self, ranks: int) -> float:
        """Bytes of a rank's share of the distinct values."""
        return float((self.text + VALUE_BYTES * self.distinct).sum()) / ranks

    def dictionaries(self, ranks: int) -> float:
        """Bytes of the dictionaries of a rank, which meets at most as many values as it has rows."""
        met = np.minimum(self.distinct, self.rows / ranks)
        return float((met * (self.text / np.maximum(self.distinct, 1) + STRING_BYTES)).sum())


@dataclass(frozen=True)
class Plan:
    """How tables are read: what dictionaries of a rank may take, strings sent at once, and the folders of the codes and
    of the distinct values (None: memory)."""

    allowance_bytes: int
    pass_bytes: int
    codes_folder: Path | None
    values_folder: Path | None
    scratch: Path

    def new_local(self, width: int) -> LocalTable:
        """Local: an empty table of a rank."""
        return LocalTable(width, self.allowance_bytes, Spill(self.scratch), self.codes_folder is not None)


def plan_reading(stage, tables: list, wanted: set[str], null: bytes | None) -> Plan:
    """Collective: prints what reading will take and decides what goes to scratch. Raises MemoryPlanError when not even
    that would fit."""
    world, scratch = stage.world, stage.access.scratch_here
    blocks = float(BLOCK_COPIES * max((source.block_bytes for source in tables), default=0))
    needs = _Needs(world, [at_most(source) or sample(stage, tables, index, null)
                           for index, source in enumerate(tables)], wanted)
    free = _free_bytes(stage) - blocks  # a look at blocks leaves something behind
    if needs.in_memory > free and any(at_most(source) for source in tables):
        needs = _Needs(world, [sample(stage, tables, index, null) for index in range(len(tables))], wanted)
        free = _free_bytes(stage) - blocks
    if needs.in_memory <= free:
        stage.foresee(codes=needs.codes, **_larger(encoding=blocks + needs.encoding, discovery=needs.most))
        spare = free - needs.codes - needs.passes - needs.mapping
        return Plan(int(max(spare, LEAST_BYTES)), PASS_BYTES, None, None, scratch)
    # Strings go to scratch from here on; the codes too, when they leave too little for the rest.
    on_disk = needs.codes + max(2 * LEAST_BYTES + needs.mapping, min(2 * needs.least, needs.most)) > free
    codes = 0.0 if on_disk else needs.codes
    share = max(free - codes - needs.mapping, 0.0)
    allowance = max(LEAST_BYTES, share / 2)
    pass_bytes = int(min(PASS_BYTES, max(1 << 20, share / (2 * PASS_COPIES))))
    encoding = blocks + needs.mapping + max(min(1.5 * allowance, needs.strings), PASS_COPIES * pass_bytes)
    discovery = max(needs.least, min(needs.most, free - codes)) - needs.values
    stage.foresee(codes=codes, **_larger(encoding=encoding, discovery=discovery))
    stage.detail(f"scratch {scratch}: strings of the dictionaries{' and codes' if on_disk else ''}")
    return Plan(int(allowance), pass_bytes, scratch if on_disk else None, scratch, scratch)


def _free_bytes(stage) -> float:
    """Collective: what the fullest rank may still take."""
    own = stage.budget_bytes - resources.current_rss_bytes(stage.world.node_size)
    return float(stage.world.min(np.array([own], np.float64))[0])


class _Needs:
    """What a rank needs for tables in memory, in bytes.

    codes: its share of the codes, which the ids of the rows become; strings: dictionaries; passes: strings on the way;
    mapping: codes of ids of one column; least, most: once the tables are read.
    """

    def __init__(self, world, expected: list[Expected], wanted: set[str]):
        sharing = int(world.min(np.array([world.node_size]))[0])
        self.codes = sum(one.codes() for one in expected) / sharing
        self.strings = sum(one.dictionaries(world.size) for one in expected)
        self.passes = 0.0 if world.size == 1 else PASS_COPIES * min(PASS_BYTES, self.strings)
        self.mapping = max((12.0 * float(one.distinct.max(initial=0)) / sharing for one in expected), default=0.0)
        self.values = sum(one.values(world.size) for one in expected) if wanted - {"fd", "ucc"} else 0.0
        least, most = later_bytes(world, expected, wanted)
        self.least, self.most = self.values + least, self.values + most
        self.encoding = self.strings + self.passes + self.mapping
        self.in_memory = self.codes + max(self.encoding, self.most)


def _larger(**items: float) -> dict[str, float]:
    name = max(items, key=items.get)
    return {name: items[name]}


def at_most(source) -> Expected | None:
    """Local: what a small table holds if every cell is another; None for larger ones."""
    if source.text_bytes > UNSAMPLED_BYTES:
        return None
    width = len(source.columns)
    return Expected(source.rows, np.full(width, float(source.rows)), np.full(width, source.text_bytes / max(width, 1)))


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


def later_bytes(world, expected: list[Expected], wanted: set[str]) -> tuple[float, float]:
    """Collective: what a rank needs once the tables are read, besides codes and values: at least, and to be fast."""
    sharing = int(world.min(np.array([world.node_size]))[0])
    least = most = 0.0
    for one in expected if wanted & {"fd", "ucc"} else []:
        distinct = one.distinct.tolist()
        most = max(most, float(estimate_bytes(one.rows, distinct, node_ranks=sharing)))
        least = max(least, min(most, float(least_bytes(one.rows, distinct))))
    if wanted - {"fd", "ucc"}:
        # Patterns of text may be as many as the values; numbers are short, and lie in scratch where values do.
        numbers = sum(float((one.distinct * (one.text <= SHORT * one.distinct)).sum()) for one in expected) / world.size
        largest = max((float(one.distinct.max(initial=0)) for one in expected), default=0.0)
        text = max((float(one.text.max(initial=0)) for one in expected), default=0.0) / world.size
        statistics = text + BUCKET_BYTES * min(largest, MOST_BUCKETS) + SLICE_COPIES * min(largest / world.size, SLICE)
        least, most = max(least, statistics), max(most, statistics + 8.0 * numbers)
    return least, most


def plan_discovery(stage, tables: list[EncodedTable], wanted: set[str], args) -> None:
    """Collective: prints what the work on encoded tables will take besides them. Raises MemoryPlanError."""
    world = stage.world
    kept = bool(wanted - {"fd", "ucc"})
    expected = [Expected(table.rows, np.array([float(column.distinct) for column in table.columns]),
                         world.sum(np.array([float(len(column.values.texts.data)) if kept else 0.0
                                             for column in table.columns]))) for table in tables]
    least, most = later_bytes(world, expected, wanted)
    options = max((option_bytes(one, wanted, args) for one in expected), default=0.0)
    least, most = max(least, options), max(most, options)
    codes = codes_bytes(world, tables)
    if most > _free_bytes(stage) - codes:
        resources.return_freed()
    stage.plan(codes=codes, discovery=max(least, min(most, _free_bytes(stage) - codes - UNSTEADY_BYTES)))


def option_bytes(table: Expected, wanted: set[str], args) -> float:
    """Local: what is done in memory where it is asked for takes: --error, --top, --max-ind, --correlations."""
    distinct = table.distinct.tolist()
    needed = [0.0]
    if "fd" in wanted and args.error:
        needed.append(nodes.estimate_bytes(table.rows, len(distinct)))
    if "fd" in wanted and args.top is not None:
        needed.append(interest.estimate_bytes(table.rows, distinct))
    if "ind" in wanted and args.max_ind > 1:
        needed.append(nary.estimate_bytes(table.rows, sum(distinct), args.max_ind))
    if "correlations" in wanted:
        needed.append(correlations.estimate_bytes(table.rows, distinct))
    return max(needed)
