"""What was found in tables, as files, as a summary and as lines for people."""

import csv
import io
import json
import time
from shlex import join, quote

import numpy as np

from mpiedge.errors import Stopped
from mpiedge.profiling import interest, metanome, verification
from mpiedge.profiling.correlations import correlate
from mpiedge.profiling.encode import EncodedTable
from mpiedge.profiling.findings import Found, FoundFds
from mpiedge.profiling.output import columns_of, fd_lines, ind_lines, ucc_lines, write_lines
from mpiedge.profiling.plan import Plan
from mpiedge.profiling.room import Room
from mpiedge.profiling.statistics import describe_columns, describe_sketch
from mpiedge.runtime.resources import format_size

SHOWN = 5
MOST_SHOWN = 50


def describe(stage, tables: list[EncodedTable], planned: Plan) -> dict:
    """Collective: statistics by table and column on rank 0, empty elsewhere; exact unless the plan says otherwise."""
    every = [(table, place) for table in tables for place in range(len(table.names))]
    kept = [(table, place) for table, place in every if table.columns[place].sketch is None]
    estimated = {(table.name, place) for table, places in zip(tables, planned.estimates.columns) for place in places}
    sampled = {index: table.columns[place].codes for index, (table, place) in enumerate(kept)
               if (table.name, place) in estimated}
    described = iter(describe_columns(
        stage.world, [table.columns[place].values for table, place in kept], [table.rows for table, _ in kept],
        [table.kinds[place] for table, place in kept],
        Room(0, planned.values_folder) if planned.values_folder else None, sampled))
    result: dict = {table.name: [] for table in tables}
    for table, place in every if stage.world.is_root else []:
        sketch = table.columns[place].sketch
        entry = next(described) if sketch is None else describe_sketch(sketch, table.rows, table.kinds[place])
        result[table.name].append({"name": table.names[place], **entry})
    return result


def correlation_text(stage, tables: list[EncodedTable]) -> str:
    """Collective: correlations.csv: pairs of columns of every table."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["table", "left", "right", "rows", "pearson", "spearman", "cramers_v"])
    for table in tables:
        for pair in correlate(stage.world, stage.queue, table):
            writer.writerow([table.name, table.names[pair["left"]], table.names[pair["right"]], pair["rows"],
                             pair["pearson"], pair["spearman"], pair["cramers_v"]])
    return text.getvalue()


def write(stage, tables: list[EncodedTable], found: Found, columns: dict | None, correlations: str | None) -> list[str]:
    """Collective: writes the files of the profile stage; their names in the run folder."""
    files = []
    if found.fds is not None:
        files += ["profile/fds.jsonl", "profile/ranked.csv"]
        write_lines(stage, files[0], [len(one) for one in found.fds], lambda index, part: fd_lines(
            tables[index].name, tables[index].names, found.fds[index].lhs[part], found.fds[index].rhs[part],
            None if found.fds[index].g3 is None else found.fds[index].g3[part]))
        stage.access.write_text(files[1], ranked_text(tables, found.fds))
    if found.uccs is not None:
        files.append("profile/uccs.jsonl")
        write_lines(stage, files[-1], [len(sets) for sets in found.uccs], lambda index, part: ucc_lines(
            tables[index].name, tables[index].names, found.uccs[index][part]))
    if found.inds is not None:
        files.append("profile/inds.jsonl")
        stage.access.write_text(files[-1], ind_lines([
            ([qualified(tables, place) for place in lhs], [qualified(tables, place) for place in rhs], coverage)
            for lhs, rhs, coverage in found.inds]))
    if stage.args.format == "metanome":
        files += write_metanome(stage, tables, found)
    if columns is not None:
        files.append("profile/columns.json")
        stage.access.write_text(files[-1], column_text(columns))
    if correlations is not None:
        files.append("profile/correlations.csv")
        stage.access.write_text(files[-1], correlations)
    if found.verdicts is not None:
        files.append("verify/violations.csv")
        stage.access.write_text(files[-1], verification.violations(stage.world, found.verdicts))
    return files


def write_metanome(stage, tables: list[EncodedTable], found: Found) -> list[str]:
    """Collective: fds.txt, uccs.txt and inds.txt in the form of Metanome; their names in the run folder."""
    numbering = metanome.Numbering([(table.name, table.names) for table in tables])
    files = []
    if found.fds is not None:
        files.append("profile/fds.txt")
        write_lines(stage, files[-1], [len(one) for one in found.fds], lambda index, part: numbering.fd_lines(
            index, found.fds[index].lhs[part], found.fds[index].rhs[part]), numbering.head())
    if found.uccs is not None:
        files.append("profile/uccs.txt")
        write_lines(stage, files[-1], [len(sets) for sets in found.uccs], lambda index, part: numbering.ucc_lines(
            index, found.uccs[index][part]), numbering.head())
    if found.inds is not None:
        files.append("profile/inds.txt")
        whole = [(lhs, rhs) for lhs, rhs, coverage in found.inds if coverage == 1]
        stage.access.write_text(files[-1], numbering.head() + numbering.ind_lines(whole))
    return files


def ranked_text(tables: list[EncodedTable], found: list[FoundFds]) -> str:
    """Local: ranked.csv: the best dependencies of every table; shares of the rows are of the left-hand side."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["table", "rank", "lhs", "rhs", "g3", "score", "redundant_rows", "redundancy", "coverage",
                     "key_likeness"])
    for table, one in zip(tables, found):
        best, rows = one.ranked, table.rows
        for number, (index, score, redundant, covered) in enumerate(zip(
                best.index.tolist(), best.score.tolist(), best.redundant.tolist(), best.covered.tolist()), start=1):
            lhs = [table.names[column] for column in columns_of(one.lhs[index : index + 1])[0]]
            writer.writerow([table.name, number, json.dumps(lhs, ensure_ascii=False), table.names[one.rhs[index]],
                             one.error(index), *[f"{share:.6g}" for share in (
                                 score, redundant, redundant / rows, covered / rows, 1 - redundant / rows)]])
    return text.getvalue()


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


def summary(tables: list[EncodedTable], found: Found) -> dict:
    """Local: what summary.json holds."""
    entries = {}
    for index, table in enumerate(tables):
        entry: dict = {"rows": table.rows, "columns": len(table.names)}
        if found.fds is not None:
            one = found.fds[index]
            entry |= {"fds": len(one), "fds_empty_lhs": int((~one.lhs[: len(table.names)].any(axis=1)).sum())}
        if found.uccs is not None:
            entry["uccs"] = len(found.uccs[index])
        entries[table.name] = entry
    result: dict = {"tables": entries}
    if found.partial:
        result["partial"] = True
    if found.inds is not None:
        result["inds"] = len(found.inds)
    if found.verdicts is not None:
        result["verified"] = verification.summary(found.verdicts)
    return result


def stop(stage, tables: list[EncodedTable], found: Found, files: list[str]) -> None:
    """Collective: ends an interrupted stage, which stays incomplete; raises Stopped."""
    stage.access.write_text("profile/summary.json", json.dumps(summary(tables, found), indent=1) + "\n")
    error = Stopped(stage.run, f"the search was ended early: {', '.join(files)} hold what is certain so far",
                    "Run the same line again to go on")
    error.everywhere = True
    raise error


def config(args, wanted: set[str]) -> dict:
    """Local: what shaped the result."""
    return {"wanted": sorted(wanted), **{name: getattr(args, name) for name in (
        "max_lhs", "error", "max_ind", "ind_coverage", "top", "format", "null", "null_unequal", "verify")}}


def tell(stage, tables: list[EncodedTable], found: Found, began_s: float) -> None:
    """Collective: the findings as lines on rank 0."""
    for index, table in enumerate(tables):
        counts = [f"{count(table.rows, 'row')} x {count(len(table.names), 'column')}"]
        if found.fds is not None:
            bound = "" if found.fds[index].g3 is None else f" with g3 up to {stage.args.error:g}"
            counts.append(count(len(found.fds[index]), "FD") + bound)
        if found.uccs is not None:
            counts.append(count(len(found.uccs[index]), "UCC"))
        stage.say(f"{table.name:7s} {' | '.join(counts)}{' (partial)' if found.partial else ''}")
        for line in best_lines(table, found.fds[index], stage.args.top) if found.fds is not None else []:
            stage.say(f"        {line}")
    if found.inds is not None:
        between = [(lhs, rhs) for lhs, rhs, _ in found.inds if lhs[0][0] != rhs[0][0]]
        stage.say(f"inds    {len(found.inds):,}, {len(between):,} of them between tables")
        for lhs, rhs in sorted(between, key=lambda pair: -len(pair[0]))[:SHOWN]:
            sides = [", ".join(shown(qualified(tables, place)) for place in side) for side in (lhs, rhs)]
            stage.say(f"        {sides[0]} in {sides[1]}")
    for table, left, right, verdict in found.verdicts or []:
        lhs = ", ".join(shown(table.names[column]) for column in left)
        outcome = "holds" if verdict.holds else f"{count(len(verdict.violating), 'violating row')}, g3 {verdict.g3:.6f}"
        if not verdict.holds and stage.args.error:
            outcome += f", {'within' if verdict.g3 <= stage.args.error else 'above'} --error {stage.args.error:g}"
        stage.say(f"verify  {table.name}: {f'{lhs} ' if lhs else ''}-> {shown(table.names[right])}: {outcome}")
    tell_shared(stage)
    wall_s, peak_mb = time.perf_counter() - began_s, stage.peak_bytes() / 1e6
    stage.say(f"done    {wall_s:.2f} s | peak memory {peak_mb:.0f} MB per rank | {stage.run}/{stage.name}")
    if found.verdicts is None and not found.partial:
        program = f"mpiedge-clean {join(stage.args.tables)}" if stage.args.tables else "mpiedge-train"
        stage.say(f"next    {program} --run {quote(str(stage.run))}")


def tell_shared(stage) -> None:
    """Collective: what several ranks shared while they discovered, and what it cost, as a line of rank 0; nothing where
    nothing was."""
    if stage.world.size == 1:
        return
    phases = [phase for phase in stage.timings.phases.values() if phase.name == "discover"]
    own = [[phase.tasks_done or 0, phase.tasks_stolen or 0, phase.bytes_sent or 0, 1e6 * phase.wall_s,
            1e6 * phase.wall_s * (phase.kind in ("idle", "wait"))] for phase in phases]
    sums = stage.world.sum(np.array(own, np.float64).sum(axis=0).astype(np.int64))
    done, stolen, sent, wall_us, idle_us = sums.tolist()
    if not done:  # so little work that every rank did all of it
        return
    stage.say(f"shared  {count(done, 'task')} of discovery, {stolen:,} stolen | {format_size(sent)} sent | "
              f"idle {100 * idle_us / max(wall_us, 1):.0f} %")


def shown(name: str) -> str:
    """A name as it stands on the screen: in quotes where it would not be read as one."""
    plain = name.isprintable() and name == name.strip() and not any(sign in name for sign in (",", "->", '"'))
    return name if plain and name else json.dumps(name, ensure_ascii=False)


def count(number: int, thing: str) -> str:
    """ "1 row", "5,000 rows"."""
    return f"{number:,} {thing}" + ("" if number == 1 else "s")


def best_lines(table: EncodedTable, found: FoundFds, top: int | None) -> list[str]:
    """Local: the best dependencies as text; without --top only those that repeat themselves much."""
    lines = []
    for index, redundant in zip(found.ranked.index.tolist(), found.ranked.redundant.tolist()):
        if len(lines) == (SHOWN if not top else min(top, MOST_SHOWN)):
            break
        if top is None and redundant < interest.LEAST_REDUNDANCY * table.rows:
            continue
        lhs = ", ".join(shown(table.names[column]) for column in columns_of(found.lhs[index : index + 1])[0]) or "{}"
        error = f"g3 {found.error(index):.4f}, " if found.error(index) else ""
        lines.append(f"{lhs} -> {shown(table.names[found.rhs[index]])}   ({error}redundant in {redundant:,} of "
                     f"{table.rows:,} rows)")
    return lines
