"""What tables will take in memory; what does not fit goes to scratch: first the strings of large dictionaries, then the
ids and codes of the rows."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mpiedge.kernels import dictionary
from mpiedge.profiling import correlations, interest, nary, nodes
from mpiedge.profiling.encode import PASS_BYTES, TOGETHER_BYTES, EncodedTable, codes_bytes
from mpiedge.profiling.estimated import Estimates, choose, statistics_bytes
from mpiedge.profiling.expected import Expected, Samples, at_most
from mpiedge.profiling.local import LocalTable
from mpiedge.profiling.needs import estimate_bytes, least_bytes
from mpiedge.profiling.spill import Spill
from mpiedge.runtime import resources

PASS_COPIES = 5
"""The strings of a pass: chosen, packed, received, and in the dictionary that numbers them."""

MOST_DIFFERENT = 0.75
"""Columns with so many distinct values for each row are compared by the owners of the values only."""

BLOCK_COPIES = 8
"""A block as text, as cells and as ids."""

UNEVEN = 2.0
"""So many times as many strings as with equal shares a fast rank owns, where there is memory for that."""

LEAST_BYTES = 12 << 20
"""Dictionaries get at least so much."""

SHORT = 16
"""Columns whose values are longer on average are taken for text, not numbers."""

UNSTEADY_BYTES = 1 << 20
"""What a rank holds changes by about so much from one look to the next."""


@dataclass(frozen=True)
class Plan:
    """How tables are read: what dictionaries of a rank may take, strings of one column and of several columns sent at
    once, the folders of the codes and of the distinct values (None: memory), which columns are not described exactly,
    per table those whose cells nearly all differ, and how many times its equal share of the strings a rank may own."""

    allowance_bytes: int
    pass_bytes: int
    together_bytes: int
    codes_folder: Path | None
    values_folder: Path | None
    scratch: Path
    estimates: Estimates
    kinds: list[list[str | None]]
    different: list[frozenset[int]]
    uneven: float

    def owners(self, speeds: np.ndarray) -> np.ndarray:
        """Local: who owns the strings of which hashes: fast ranks more, as far as there is memory for that."""
        return dictionary.part_owners(limited(speeds / speeds.sum(), self.uneven / len(speeds)))

    def new_local(self, table: int, width: int) -> LocalTable:
        """Local: an empty table of a rank."""
        return LocalTable(width, self.allowance_bytes, Spill(self.scratch), self.codes_folder is not None,
                          self.estimates.sketched(table, self.kinds[table]), self.different[table])


def plan_reading(stage, tables: list, wanted: set[str], null: bytes | None) -> Plan:
    """Collective: prints what reading will take and decides what goes to scratch, and which columns are described by
    estimates. Raises MemoryPlanError when not even that would fit."""
    world, scratch = stage.world, stage.access.scratch_here
    blocks = float(BLOCK_COPIES * max((source.block_bytes for source in tables), default=0))
    samples, places = Samples(stage, tables, null), range(len(tables))
    estimates = choose(stage, tables, samples, wanted, blocks)
    estimates.tell(stage, tables)
    blocks += estimates.working_bytes
    kinds = [source.kinds for source in tables]
    small = [at_most(source) for source in tables]
    uneven = UNEVEN
    needs = _Needs(world, [small[index] or samples.look(index) for index in places], wanted, estimates, uneven)
    free = _free_bytes(stage) - blocks - estimates.nbytes  # a look at blocks leaves something behind
    different = [frozenset() if world.size == 1 or small[index] else samples.look(index).different(MOST_DIFFERENT)
                 for index in places]
    if needs.in_memory > free:
        uneven = 1.0
        needs = _Needs(world, [samples.look(index) for index in places], wanted, estimates, uneven)
        free = _free_bytes(stage) - blocks - estimates.nbytes
    sketches = {"sketches": estimates.nbytes} if estimates.nbytes else {}
    needs.send_at_once(world, free)
    if needs.in_memory <= free:
        stage.foresee(codes=needs.codes, **sketches, **_larger(encoding=blocks + needs.encoding, discovery=needs.most))
        spare = free - needs.codes - needs.passes - needs.mapping
        return Plan(int(max(spare, LEAST_BYTES)), needs.pass_bytes, needs.together_bytes, None, None, scratch,
                    estimates, kinds, different, uneven)
    # Strings go to scratch from here on; the codes too, when they leave too little for the rest.
    on_disk = needs.codes + max(2 * LEAST_BYTES + needs.mapping, min(2 * needs.least, needs.most)) > free
    codes = 0.0 if on_disk else needs.codes
    share = max(free - codes - needs.mapping, 0.0)
    allowance = max(LEAST_BYTES, share / 2)
    pass_bytes = int(min(PASS_BYTES, max(1 << 20, share / (2 * PASS_COPIES))))
    encoding = blocks + needs.mapping + max(min(1.5 * allowance, needs.strings), PASS_COPIES * pass_bytes)
    discovery = max(needs.least, min(needs.most, free - codes)) - needs.values
    stage.foresee(codes=codes, **sketches, **_larger(encoding=encoding, discovery=discovery))
    stage.detail(f"scratch {scratch}: strings of the dictionaries{' and codes' if on_disk else ''}")
    return Plan(int(allowance), pass_bytes, min(pass_bytes, TOGETHER_BYTES), scratch if on_disk else None, scratch,
                scratch, estimates, kinds, different, uneven)


def limited(shares: np.ndarray, most: float) -> np.ndarray:
    """Local: the shares (sum 1), none above `most`, which is at least 1 / how many there are: the rest goes to others.

    >>> limited(np.array([0.7, 0.2, 0.1]), 0.5).tolist()
    [0.5, 0.33333333333333337, 0.16666666666666669]
    """
    above = np.zeros(len(shares), bool)
    while (shares > most).any():
        above |= shares >= most
        rest = shares[~above].sum()
        shares = np.where(above, most, shares * (1 - most * above.sum()) / rest if rest else most)
    return shares


def _free_bytes(stage) -> float:
    """Collective: what the fullest rank may still take."""
    own = stage.budget_bytes - resources.current_rss_bytes(stage.world.node_size)
    return float(stage.world.min(np.array([own], np.float64))[0])


class _Needs:
    """What a rank needs for tables in memory, in bytes.

    codes: its share of the codes, which the ids of the rows become; strings: dictionaries; passes: strings on the way;
    mapping: codes of ids of one column; least, most: once the tables are read.
    """

    def __init__(self, world, expected: list[Expected], wanted: set[str], estimates: Estimates, uneven: float):
        if estimates.streamed:
            expected = [one.without(columns) for one, columns in zip(expected, estimates.columns)]
        sharing = int(world.min(np.array([world.node_size]))[0])
        self.codes = sum(one.codes() for one in expected) / sharing
        self.strings = sum(one.dictionaries(world.size) for one in expected)
        self.pass_bytes, self.together_bytes = PASS_BYTES, TOGETHER_BYTES
        self.passes = 0.0 if world.size == 1 else PASS_COPIES * min(PASS_BYTES, self.strings)
        mapped = [12.0 * one.distinct / sharing for one in expected]
        self.mapping = max((float(one.max(initial=0)) for one in mapped), default=0.0)
        self._mapping_at_once = max((float(one.sum()) for one in mapped), default=0.0)
        self.values = sum(one.values(world.size / uneven) for one in expected) if wanted - {"fd", "ucc"} else 0.0
        least, most = later_bytes(world, expected, wanted, estimates, uneven)
        self.least, self.most = self.values + least, self.values + most
        self.encoding = self.strings + self.passes + self.mapping
        self.in_memory = self.codes + max(self.encoding, self.most)

    def send_at_once(self, world, free: float) -> None:
        """Local: where there is much room, the strings of all columns travel together: that takes fewer messages, none
        has to wait in scratch, and the ranks of a host share the numbering of the columns."""
        passes, mapping = PASS_COPIES * self.strings, self._mapping_at_once
        encoding = self.strings + passes + mapping + self.codes  # ids and codes are there at once
        in_memory = self.codes + max(encoding, self.most)
        if world.size > 1 and in_memory <= free / 2:
            self.pass_bytes = self.together_bytes = max(PASS_BYTES, int(self.strings))
            self.passes, self.mapping, self.encoding, self.in_memory = passes, mapping, encoding, in_memory


def _larger(**items: float) -> dict[str, float]:
    name = max(items, key=items.get)
    return {name: items[name]}


def later_bytes(world, expected: list[Expected], wanted: set[str], estimates: Estimates,
                uneven: float) -> tuple[float, float]:
    """Collective: what a rank needs once the tables are read, besides codes and values: at least, and to be fast."""
    sharing, owning = int(world.min(np.array([world.node_size]))[0]), world.size / uneven
    least = most = 0.0
    for one in expected if wanted & {"fd", "ucc"} else []:
        distinct = one.distinct.tolist()
        most = max(most, float(estimate_bytes(one.rows, distinct, node_ranks=sharing)))
        least = max(least, min(most, float(least_bytes(one.rows, distinct))))
    for one, estimated in zip(expected, estimates.columns) if wanted - {"fd", "ucc"} else []:
        # Patterns of text may be as many as the values; numbers are short, and lie in scratch where values do.
        statistics = max((statistics_bytes(distinct, text, len(one.distinct)) for distinct, text in zip(
            (one.distinct / owning).tolist(), (one.without(estimated).text / owning).tolist())), default=0.0)
        numbers = float((one.distinct * (one.text <= SHORT * one.distinct)).sum()) / owning
        least, most = max(least, statistics), max(most, statistics + 8.0 * numbers)
    return least, most


def plan_discovery(stage, tables: list[EncodedTable], wanted: set[str], args, planned: Plan) -> None:
    """Collective: prints what the work on encoded tables will take besides them. Raises MemoryPlanError."""
    world = stage.world
    expected = [Expected(table.rows, np.array([float(column.distinct) for column in table.columns]),
                         world.sum(np.array([float(len(column.values.texts.data)) if column.values else 0.0
                                             for column in table.columns]))) for table in tables]
    least, most = later_bytes(world, expected, wanted, planned.estimates, planned.uneven)
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
