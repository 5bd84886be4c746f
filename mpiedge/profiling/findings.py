"""What the profile stage looks for in its tables, in which order, and what an interruption leaves of it."""

import time
from dataclasses import dataclass

import numpy as np

from mpiedge.profiling import fds, interest, uccs, verification
from mpiedge.profiling.anytime import State, Stop
from mpiedge.profiling.approximate import discover_approximate, most_removals
from mpiedge.profiling.encode import EncodedTable, codes_bytes
from mpiedge.profiling.inds import discover_inds, discover_partial
from mpiedge.profiling.nary import Side, discover_nary
from mpiedge.profiling.needs import estimate_bytes
from mpiedge.profiling.output import in_order
from mpiedge.profiling.pause import FILE, Searches
from mpiedge.profiling.room import Room
from mpiedge.profiling.validate import Verdict
from mpiedge.runtime import resources

EXACT = "exact"
LEAST_ROOM = 4 << 20
"""Bytes that lists may take in memory where a search needs all of it."""

RANKED = 20
"""Dependencies in ranked.csv without --top."""


@dataclass(frozen=True)
class FoundFds:
    """The dependencies of a table in output order: lhs uint64 words, rhs, g3 (None: all 0), and the best of them."""

    lhs: np.ndarray
    rhs: np.ndarray
    g3: np.ndarray | None
    ranked: interest.Ranked

    def __len__(self) -> int:
        return len(self.rhs)

    def error(self, index) -> float:
        """Local: g3 of one of them."""
        return 0.0 if self.g3 is None else float(self.g3[index])


@dataclass
class Found:
    """What was discovered; None where it was not asked for.

    fds, uccs: per table, uccs as sets; inds: (left, right, coverage) with lists of (table, column) on both sides;
    ind_columns: up to how many columns they are complete; verdicts: per table that has the columns, (table, lhs
    columns, rhs column, Verdict). partial: the search for dependencies and keys was ended early; searches: what it
    knows, to go on with; room: where long lists lie.
    """

    fds: list[FoundFds] | None = None
    uccs: list[np.ndarray] | None = None
    inds: list[tuple[list[tuple[int, int]], list[tuple[int, int]], float]] | None = None
    ind_columns: int = 1
    verdicts: list[tuple[EncodedTable, list[int], int, Verdict]] | None = None
    partial: bool = False
    searches: Searches | None = None
    room: Room | None = None


def discover(stage, tables: list[EncodedTable], wanted: set[str], args, interruption) -> Found:
    """Collective: runs what was asked for, table by table; without the rest when the search is interrupted."""
    found = Found()
    if wanted & {"fd", "ucc"}:
        find_sets(stage, tables, wanted, args, interruption, found)
    if "ind" in wanted and not found.partial:
        found.inds, found.ind_columns = find_inds(stage, tables, args)
    if "verify" in wanted:
        found.verdicts = verification.verdicts(tables, args.verify)
    return found


def find_sets(stage, tables: list[EncodedTable], wanted: set[str], args, interruption, found: Found) -> None:
    """Collective: dependencies and keys, going on from what an interrupted run left."""
    found.searches = searches = Searches(stage, tables)
    if searches.resumed:
        stage.say(f"resume  the search goes on from {stage.run / FILE}")
    found.fds, found.uccs = [] if "fd" in wanted else None, [] if "ucc" in wanted else None
    found.room = room_for_lists(stage, tables)
    for table in tables:
        limit = most_removals(args.error, table.rows)
        if "fd" in wanted and limit:
            find_approximate(stage, table, limit, args, interruption, found)
        if ("fd" in wanted and not limit) or "ucc" in wanted:
            find_exact(stage, tables, table, "fd" in wanted and not limit, args, interruption, found)
    if Stop(lambda: interruption.signalled, stage.world).agreed() and not found.partial:
        end_early(found, True)  # it came when all was found already: what is left to do is left out


def room_for_lists(stage, tables: list[EncodedTable]) -> Room:
    """Collective: lists of candidates and dependencies take the memory that no search needs; the rest is in scratch."""
    searching = max((estimate_bytes(table.rows, [column.distinct for column in table.columns],
                                    node_ranks=stage.world.node_size) for table in tables), default=0)
    return Room(max(LEAST_ROOM, free_bytes(stage, tables) - searching), stage.access.scratch_here)


def free_bytes(stage, tables: list[EncodedTable]) -> float:
    """Local: what this rank may take beside the codes and what it holds."""
    held = codes_bytes(stage.world, tables) + resources.current_rss_bytes(stage.world.node_size)
    return stage.budget_bytes - held


def find_approximate(stage, table: EncodedTable, limit: int, args, interruption, found: Found) -> None:
    """Collective: the dependencies of a table with g3 <= args.error, at most `limit` rows removed."""
    kind = f"error-{limit}"
    result = discover_approximate(
        table.codes, args.error, world=stage.world, queue=stage.queue, max_lhs=args.max_lhs, deadline=interruption,
        state=found.searches.get(kind, table),
        progress=Rounds(stage, table, kind, "largest sets above the limit", found.searches).tell)
    found.searches.put(kind, table, result.state)
    found.searches.save_now_and_then(kind, table, lambda: result.state)
    end_early(found, result.partial)
    found.fds.append(ranked(stage, table, result, result.g3, args, found.room))


def find_exact(stage, tables: list[EncodedTable], table: EncodedTable, with_fds: bool, args, interruption,
               found: Found) -> None:
    """Collective: the dependencies of a table, if asked for, and its keys; one of them is."""
    known = found.searches.get(EXACT, table)
    common = {"world": stage.world, "queue": stage.queue, "deadline": interruption,
              "budget_bytes": free_bytes(stage, tables),
              "progress": Rounds(stage, table, EXACT, "minimal difference sets", found.searches).tell,
              "state": None if known is None else State.from_arrays(known)}
    if with_fds:
        result = fds.discover_fds(table.codes, max_lhs=args.max_lhs, room=found.room, **common)
        found.searches.put(EXACT, table, result.state)
        found.searches.save_now_and_then(EXACT, table, lambda: result.state)
        end_early(found, result.partial)
        hurry = result.partial and Stop(lambda: interruption.signalled, stage.world).agreed()
        found.fds.append(ranked(stage, table, result, None, args, found.room, hurry))
    if found.uccs is not None:
        if with_fds:
            keys = uccs.discover_uccs(result, world=stage.world, queue=stage.queue, room=found.room)
        else:
            keys = uccs.discover_uccs(table.codes, max_size=args.max_lhs, room=found.room, **common)
            if keys.state is not None:
                found.searches.put(EXACT, table, keys.state)
                found.searches.save_now_and_then(EXACT, table, lambda: keys.state)
            end_early(found, keys.partial)
        found.uccs.append(in_order(np.asarray(keys), None, None, found.room)[0])


def end_early(found: Found, partial: bool) -> None:
    """Collective: notes a search that was ended early and saves at once what is known: a launcher that was told to stop
    gives its ranks a fraction of a second."""
    if partial:
        found.partial = True
        found.searches.save()


class Rounds:
    """What happens before every round of a search: it names the progress line, and is a line with -v; now and then
    what is known is saved, so that a job that is killed goes on from there."""

    def __init__(self, stage, table: EncodedTable, kind: str, what: str, searches: Searches):
        self._stage, self._table, self._kind, self._what, self._searches = stage, table, kind, what, searches
        self._candidates, self._told_s = 0, time.perf_counter()

    def tell(self, number: int, candidates: int, sets: int, state) -> None:
        """Local: what is to be checked, and how fast the round before was; state: a function, see `fds`."""
        now_s = time.perf_counter()
        rate = f", {self._candidates / (now_s - self._told_s):,.0f} candidates/s" if self._candidates else ""
        self._stage.detail(f"{self._table.name:7s} round {number}: {candidates:,} candidates to check, "
                           f"{sets:,} {self._what}{rate}")
        self._stage.doing = f"{self._table.name} round {number}, {candidates:,} candidates{rate}" if candidates else ""
        self._candidates, self._told_s = candidates, now_s
        if candidates:
            self._searches.save_now_and_then(self._kind, self._table, state)


def ranked(stage, table: EncodedTable, result, g3: np.ndarray | None, args, room: Room,
           hurry: bool = False) -> FoundFds:
    """Collective: dependencies in output order with their ranking: of all with --top, else of the smallest left-hand
    sides. hurry: none are ranked, as the job may be killed in a moment."""
    with stage.phase("rank"):
        lhs, rhs, g3 = in_order(result.lhs, result.rhs, g3, room)
        missing = [None if args.null_unequal else column.missing for column in table.columns]  # unequal: never agree
        best = interest.nothing() if hurry else interest.rank(
            lhs, rhs, g3, table.codes, missing, RANKED if args.top is None else args.top,
            args.top is not None and not result.partial, stage.world, stage.queue)
        return FoundFds(lhs, rhs, g3, best)


def find_inds(stage, tables: list[EncodedTable], args) -> tuple[list, int]:
    """Collective: inclusions between single columns and, if asked for, lists of columns; up to which length all."""
    place = [(index, column) for index, table in enumerate(tables) for column in range(len(table.names))]
    sides = [Side(index, column.codes, column.values) for index, table in enumerate(tables) for column in table.columns]
    values = [side.values for side in sides]
    if args.ind_coverage < 1:
        unary = discover_partial(stage.world, values, args.ind_coverage)
    else:
        unary = [(a, b, 1.0) for a, b in discover_inds(stage.world, values)]
    found = [([place[a]], [place[b]], share) for a, b, share in unary]
    complete = 1
    if args.max_ind > 1:
        whole = [(a, b) for a, b, share in unary if share == 1]
        lists, complete = discover_nary(stage.world, stage.queue, sides, whole, args.max_ind)
        found += [([place[a] for a, _ in pairs], [place[b] for _, b in pairs], 1.0) for pairs in lists]
        if complete < args.max_ind:
            stage.warn(f"--max-ind {args.max_ind}: there are too many candidates of {complete + 1} columns; "
                       f"inclusions of up to {complete} are listed")
    return found, complete
