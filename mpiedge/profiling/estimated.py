"""Which columns are described by estimates: those whose exact statistics would not fit the budget of one rank alone.

The choice depends on the tables and on --memory, never on the number of ranks, so that what is written does not either.
"""

from dataclasses import dataclass

import numpy as np

from mpiedge.profiling.expected import UNSAMPLED_BYTES, Expected, Samples
from mpiedge.profiling.quantiles import MOST_BUCKETS, TOGETHER
from mpiedge.profiling.sketches import SAMPLED_ROWS, STANDARD_ERROR, merging_bytes, sketch_bytes
from mpiedge.profiling.statistics import SLICE

PROGRAM_BYTES = 80e6
"""What the programs themselves are taken to need."""

SLICE_COPIES = 400
"""Bytes that statistics take for each string they look at together."""

BUCKET_BYTES = 48
"""Bytes for each of the buckets that quantiles of a column are looked for in."""

ENCODING_BYTES, MAPPING_BYTES = 24 << 20, 12
"""What the dictionaries of a table take at least, and each distinct value while it gets its code."""

NAMED = 8


@dataclass(frozen=True)
class Estimates:
    """Per table the columns whose statistics are estimated.

    streamed: they are read once and not kept, as nothing but statistics was asked for. Otherwise they are encoded, and
    their patterns alone are estimated. nbytes: what sketches take on a rank; working_bytes: while one is worked on.
    """

    columns: list[frozenset[int]]
    streamed: bool
    nbytes: float = 0.0
    working_bytes: float = 0.0

    def sketched(self, table: int, kinds: list[str | None]) -> dict[int, bool]:
        """Local: the columns of a table that are not kept, and whether they may hold numbers."""
        chosen = sorted(self.columns[table]) if self.streamed else []
        return {column: kinds[column] in (None, "integer", "decimal") for column in chosen}

    def tell(self, stage, tables: list) -> None:
        """Collective: a line of the plan on rank 0."""
        names = [f"{table.name}.{table.columns[column]}" for table, chosen in zip(tables, self.columns)
                 for column in sorted(chosen)]
        if not names:
            return
        what = f"statistics are estimated (distinct values +- {100 * STANDARD_ERROR:.1f} %)"
        if not self.streamed:
            what = f"patterns are estimated from {SAMPLED_ROWS:,} rows"
        more = f" and {len(names) - NAMED:,} more columns" if len(names) > NAMED else ""
        stage.say(f"sketch  {what}, as exact ones would not fit: {', '.join(names[:NAMED])}{more}")


def statistics_bytes(distinct: float, text: float, columns: int) -> float:
    """Local: what exact statistics of a column take on a rank that holds so many values: its patterns, buckets of
    several columns, a slice of the strings."""
    return text + BUCKET_BYTES * min(columns, TOGETHER) * min(distinct, MOST_BUCKETS) + SLICE_COPIES * min(
        distinct, SLICE)


def choose(stage, tables: list, samples: Samples, wanted: set[str], block_bytes: float) -> Estimates:
    """Collective: looks into tables that may be too large, and chooses; none where statistics were not asked for."""
    nothing = [frozenset() for _ in tables]
    streamed = wanted == {"stats"}
    if "stats" not in wanted:
        return Estimates(nothing, streamed)
    room = stage.budget_bytes - PROGRAM_BYTES - block_bytes
    looked = {}
    for index, source in enumerate(tables):
        most = _alone_bytes(source.rows, source.text_bytes, len(source.columns), streamed)
        if source.text_bytes > UNSAMPLED_BYTES or most > room:
            looked[index] = samples.look(index)
    chosen, kept, working = nothing, 0.0, 0.0
    while True:  # sketches take memory too, so that there may be less for the others
        before, chosen = chosen, [_too_large(looked.get(index), room - kept - working, streamed)
                                  for index in range(len(tables))]
        if chosen == before:
            return Estimates(chosen, streamed, kept, working)
        texts = [looked[index].text[column] / max(looked[index].distinct[column], 1)
                 for index, columns in enumerate(chosen) for column in columns]
        if streamed:
            kept, working = sum(map(sketch_bytes, texts)), max(map(merging_bytes, texts), default=0.0)


def _too_large(table: Expected | None, room: float, streamed: bool) -> frozenset[int]:
    """Local: the columns that do not fit; few values always do."""
    if table is None:
        return frozenset()
    needs = [_alone_bytes(distinct, text, len(table.distinct), streamed) if distinct > SAMPLED_ROWS else 0.0
             for distinct, text in zip(table.distinct.tolist(), table.text.tolist())]
    return frozenset(np.flatnonzero(np.array(needs) > max(room, 0.0)).tolist())


def _alone_bytes(distinct: float, text: float, columns: int, streamed: bool) -> float:
    """Local: what a column takes on one rank: while it is described, and, if it need not be kept, encoded for that."""
    encoding = ENCODING_BYTES + MAPPING_BYTES * distinct if streamed else 0.0
    return max(encoding, statistics_bytes(distinct, text, columns))
