"""What the profile stage finds in its tables, as files, as a summary and as lines for people."""

import csv
import io
import json
import time
from dataclasses import dataclass
from functools import partial

import numpy as np

from mpiedge.errors import UsageError
from mpiedge.profiling import encode, fds, uccs
from mpiedge.profiling.encode import EncodedTable
from mpiedge.profiling.inds import discover_inds
from mpiedge.profiling.interest import most_interesting
from mpiedge.profiling.output import fd_lines, ind_lines, sorted_sets, ucc_lines, write_lines
from mpiedge.profiling.statistics import describe_columns
from mpiedge.profiling.validate import Verdict, parse_dependency, texts_of, verify
from mpiedge.profiling.whole import estimate_bytes
from mpiedge.runtime.root import on_root

SHOWN = 5


@dataclass
class Found:
    """What was discovered; None where it was not asked for.

    fds: per table (lhs uint64 words, rhs) in output order; uccs: per table sets; inds: pairs of (table,
    column); verdicts: per table that has the columns, (table, lhs columns, rhs column, Verdict).
    """

    fds: list[tuple[np.ndarray, np.ndarray]] | None = None
    uccs: list[np.ndarray] | None = None
    inds: list[tuple[tuple[int, int], tuple[int, int]]] | None = None
    verdicts: list[tuple[EncodedTable, list[int], int, Verdict]] | None = None


def estimate(world, tables: list, blocks: list, wanted: set[str]) -> dict[str, float]:
    """Collective: bytes this rank will hold besides the dictionaries of its blocks, which are in memory by now and give
    way to those of the whole tables: what of these travels at once, codes, discovery."""
    codes = discovery = exchange = 0.0
    for source, own in zip(tables, blocks):
        width = len(source.columns)
        distinct = world.sum(np.array([sum(len(block.texts[column]) for block in own) for column in range(width)]))
        largest = max((encode.dictionary_bytes(own, column) for column in range(width)), default=0)
        exchange = max(exchange, 3.0 * max(min(encode.EXCHANGE_BYTES, encode.dictionary_bytes(own)), largest))
        rows = int(world.sum(np.array([sum(block.rows for block in own)]))[0])
        distinct = np.minimum(distinct, rows).tolist()
        codes += rows * sum(encode.unsigned(count).itemsize for count in distinct)
        if wanted & {"fd", "ucc"}:
            discovery = max(discovery, estimate_bytes(rows, distinct, width))
    return {"exchange": exchange, "codes": codes, "discovery": discovery}


def discover(stage, tables: list[EncodedTable], wanted: set[str], args) -> Found:
    """Collective: runs what was asked for, table by table."""
    found = Found()
    if "fd" in wanted:
        found.fds = []
    if "ucc" in wanted:
        found.uccs = []
    for table in tables if wanted & {"fd", "ucc"} else []:
        result = fds.discover_fds(table.codes, world=stage.world, queue=stage.queue, max_lhs=args.max_lhs,
                                  progress=partial(tell_round, stage, table.name))
        if "fd" in wanted:
            order = sorted_sets(result.lhs, result.rhs)
            found.fds.append((result.lhs[order], result.rhs[order]))
        if "ucc" in wanted:
            sets = uccs.discover_uccs(result, world=stage.world, queue=stage.queue)
            found.uccs.append(sets[sorted_sets(sets)])
    if "ind" in wanted:
        place = [(index, column) for index, table in enumerate(tables) for column in range(len(table.names))]
        pairs = discover_inds(stage.world, [column.values for table in tables for column in table.columns])
        found.inds = [(place[a], place[b]) for a, b in pairs]
    if "verify" in wanted:
        found.verdicts = verdicts(tables, args.verify)
    return found


def tell_round(stage, table: str, number: int, candidates: int, sets: int) -> None:
    """Local: a line on rank 0 with -v."""
    stage.detail(f"{table:7s} round {number}: {candidates:,} candidates to check, {sets:,} minimal difference sets")


def verdicts(tables: list[EncodedTable], dependency: str) -> list:
    """Local: the dependency checked on every table that has its columns. Raises UsageError when none has."""
    lhs, rhs = parse_dependency(dependency)
    checked = []
    for table in tables:
        if {*lhs, rhs} <= set(table.names):
            left, right = [table.names.index(name) for name in lhs], table.names.index(rhs)
            checked.append((table, left, right, verify([table.codes[column] for column in left], table.codes[right])))
    if not checked:
        known = ", ".join(name for table in tables for name in table.names)
        error = UsageError("--verify", f"no table has all columns of {dependency!r}", f"There are: {known[:300]}")
        error.everywhere = True
        raise error
    return checked


def describe(stage, tables: list[EncodedTable]) -> dict:
    """Collective: statistics by table and column on rank 0, empty elsewhere."""
    columns = [(table, name, kind, column) for table in tables
               for name, kind, column in zip(table.names, table.kinds, table.columns)]
    described = describe_columns(stage.world, [column.values for *_, column in columns],
                                 [table.rows for table, *_ in columns], [kind for _, _, kind, _ in columns])
    result: dict = {table.name: [] for table in tables}
    for (table, name, _, _), entry in zip(columns, described):
        result[table.name].append({"name": name, **entry})
    return result


def write(stage, tables: list[EncodedTable], found: Found, columns: dict | None) -> list[str]:
    """Collective: writes the files of the profile stage; their names in the run folder."""
    files = []
    if found.fds is not None:
        files.append("profile/fds.jsonl")
        write_lines(stage, files[-1], [len(rhs) for _, rhs in found.fds], lambda index, part: fd_lines(
            tables[index].name, tables[index].names, found.fds[index][0][part], found.fds[index][1][part]))
    if found.uccs is not None:
        files.append("profile/uccs.jsonl")
        write_lines(stage, files[-1], [len(sets) for sets in found.uccs], lambda index, part: ucc_lines(
            tables[index].name, tables[index].names, found.uccs[index][part]))
    if found.inds is not None:
        files.append("profile/inds.jsonl")
        stage.access.write_text(files[-1], ind_lines(
            [(qualified(tables, lhs), qualified(tables, rhs)) for lhs, rhs in found.inds]))
    if columns is not None:
        files.append("profile/columns.json")
        stage.access.write_text(files[-1], column_text(columns))
    if found.verdicts is not None:
        files.append("verify/violations.csv")
        stage.access.write_text(files[-1], violations(stage.world, found.verdicts))
    return files


def qualified(tables: list[EncodedTable], place: tuple[int, int]) -> str:
    """Local: the name of a column with its table's."""
    return f"{tables[place[0]].name}.{tables[place[0]].names[place[1]]}"


def column_text(columns: dict) -> str:
    """Local: columns.json, with a line for each column: {"table": [column, ...], ...}."""
    def line(value) -> str:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)

    tables = [f" {line(table)}: [\n" + ",\n".join(f"  {line(entry)}" for entry in entries) + "\n ]"
              for table, entries in columns.items()]
    return "{\n" + ",\n".join(tables) + "\n}\n"


def violations(world, checked: list) -> str:
    """Collective: the violating rows as CSV: table, row (0-based), left-hand side as a JSON list, right-hand side."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["table", "row", "lhs", "rhs"])
    for table, lhs, rhs, verdict in checked:
        cells = []
        for column in [*lhs, rhs]:
            codes = table.codes[column][verdict.violating]
            names = texts_of(world, table.columns[column].values, np.unique(codes))
            cells.append([names[code] for code in codes.tolist()])
        order = np.argsort(verdict.group, kind="stable")
        rows = verdict.violating.tolist()
        for index in order.tolist():
            left = json.dumps([column[index] for column in cells[:-1]], ensure_ascii=False)
            writer.writerow([table.name, rows[index], left, cells[-1][index]])
    return text.getvalue()


def summary(tables: list[EncodedTable], found: Found) -> dict:
    """Local: what summary.json holds."""
    entries = {}
    for index, table in enumerate(tables):
        entry: dict = {"rows": table.rows, "columns": len(table.names)}
        if found.fds is not None:
            lhs, rhs = found.fds[index]
            entry |= {"fds": len(rhs), "fds_empty_lhs": int((~lhs.any(axis=1)).sum())}
        if found.uccs is not None:
            entry["uccs"] = len(found.uccs[index])
        entries[table.name] = entry
    result: dict = {"tables": entries}
    if found.inds is not None:
        result["inds"] = len(found.inds)
    if found.verdicts is not None:
        result["verified"] = [
            {"table": table.name, "lhs": [table.names[column] for column in lhs], "rhs": table.names[rhs],
             "holds": verdict.holds, "g3": verdict.g3, "violating_rows": len(verdict.violating)}
            for table, lhs, rhs, verdict in found.verdicts]
    return result


def config(args, wanted: set[str]) -> dict:
    """Local: what shaped the result."""
    return {"wanted": sorted(wanted), "max_lhs": args.max_lhs, "null": args.null, "null_unequal": args.null_unequal,
            "verify": args.verify}


def tell(stage, tables: list[EncodedTable], found: Found, began_s: float) -> None:
    """Collective: the findings as lines on rank 0."""
    for index, table in enumerate(tables):
        counts = [f"{count(table.rows, 'row')} x {count(len(table.names), 'column')}"]
        if found.fds is not None:
            counts.append(count(len(found.fds[index][1]), "FD"))
        if found.uccs is not None:
            counts.append(count(len(found.uccs[index]), "UCC"))
        stage.say(f"{table.name:7s} {' | '.join(counts)}")
        if found.fds is not None:
            lhs, rhs = found.fds[index]
            for line in on_root(stage.world, partial(interesting_lines, table, lhs, rhs)):
                stage.say(f"        {line}")
    if found.inds is not None:
        between = [(lhs, rhs) for lhs, rhs in found.inds if lhs[0] != rhs[0]]
        stage.say(f"inds    {len(found.inds):,}, {len(between):,} of them between tables")
        for lhs, rhs in between[:SHOWN]:
            stage.say(f"        {qualified(tables, lhs)} in {qualified(tables, rhs)}")
    for table, _, _, verdict in found.verdicts or []:
        outcome = "holds" if verdict.holds else f"{count(len(verdict.violating), 'violating row')}, g3 {verdict.g3:.6f}"
        stage.say(f"verify  {table.name}: {stage.args.verify}: {outcome}")
    wall_s, peak_mb = time.perf_counter() - began_s, stage.peak_bytes() / 1e6
    stage.say(f"done    {wall_s:.2f} s | peak memory {peak_mb:.0f} MB per rank | {stage.run}/{stage.name}")
    if found.verdicts is None:
        program = f"mpiedge-clean {' '.join(stage.args.tables)}" if stage.args.tables else "mpiedge-train"
        stage.say(f"next    {program} --run {stage.run}")


def count(number: int, thing: str) -> str:
    """ "1 row", "5,000 rows"."""
    return f"{number:,} {thing}" + ("" if number == 1 else "s")


def interesting_lines(table: EncodedTable, lhs: np.ndarray, rhs: np.ndarray) -> list[str]:
    """Local: the dependencies worth showing first."""
    return [f"{', '.join(table.names[column] for column in entry['lhs'])} -> {table.names[entry['rhs']]}"
            f"   (redundant in {entry['redundant']:,} of {table.rows:,} rows)"
            for entry in most_interesting(lhs, rhs, table.codes, SHOWN)]
