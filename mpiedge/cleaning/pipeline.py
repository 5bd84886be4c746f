"""The steps of cleaning, each a call over all tables: look, put right, merge, write, describe."""

import os

import numpy as np
import tomli_w

from mpiedge.cleaning import impute, mend, predict, replay, working
from mpiedge.cleaning.finish import write_clean
from mpiedge.cleaning.references import find_references
from mpiedge.cleaning.resolve import Resolution, resolve
from mpiedge.cleaning.rules import read_rules
from mpiedge.cleaning.survey import Survey, survey
from mpiedge.cleaning.tally import Tally
from mpiedge.cleaning.types import ColumnPlan, decide, is_key, share_null_words
from mpiedge.errors import UsageError
from mpiedge.runtime.root import on_root

DEMO_FOLDER = "results/demo-data"
LATER_STEPS = {"rules", "typos", "duplicates", "impute"}
"""Steps that read the rows once more when their formats are right."""


def demo_tables(stage) -> list[str]:
    """Collective: the demo data, written if it is not there yet; announced as the first line."""
    from mpiedge.demo.generate import write_demo
    from mpiedge.runtime.root import on_root

    made = on_root(stage.world, lambda: write_demo(DEMO_FOLDER))
    stage.say(f"demo    no table was given: taking the demo data in {DEMO_FOLDER} ({made['rows']:,} papers, "
              f"{made['duplicates']:,} of them duplicates, {made['citations']:,} citations)")
    return [os.path.join(DEMO_FOLDER, name) for name in ("papers.csv", "cites.csv")]


def look(stage, sources, args, given_plan) -> tuple[list[Survey], list[list[ColumnPlan]]]:
    """Collective: surveys every table and decides on every column, or does as a plan says. Raises UsageError.

    It is raised on every rank for --id or --source not found.
    """
    for flag, name in (("--id", args.id), ("--source", args.source)):
        if name and not any(name in source.structure.names for source in sources):
            error = UsageError(f"{flag} {name}", "no table has this column",
                               f"There are: {', '.join(name for source in sources for name in source.structure.names)}")
            error.everywhere = True
            raise error
    surveys = survey(stage, sources)
    plans = []
    for source, found, columns in zip(sources, surveys, _decide_columns(stage, sources, surveys, args)):
        if "formats" in args.steps:
            share_null_words(columns, found.columns)
        said = replay.of_table(given_plan, source.name, source.structure.names)
        plans.append(replay.columns_as_planned(said, columns, found.columns))
    return surveys, plans


def _decide_columns(stage, sources, surveys: list[Survey], args) -> list[list[ColumnPlan]]:
    """Collective: the plans of the columns of each table, each decided by one rank."""
    def decided(table: int, place: int) -> ColumnPlan:
        name, found = sources[table].structure.names[place], surveys[table]
        summary, given = found.columns[place], args.id in sources[table].structure.names
        key = name == args.id if given else is_key(name, summary)
        if "types" not in args.steps:
            return ColumnPlan(name, key=key, missing=summary.empty, distinct=round(summary.distinct))
        sampled = [cells[place] for _, cells in found.sample] if summary.values is None else None
        return decide(name, summary, key, "formats" in args.steps, sampled)

    places = [(table, place) for table, found in enumerate(surveys) for place in range(len(found.columns))]
    mine = [[*place, vars(decided(*place))] for place in stage.queue.own(places, lambda place: 1.0)]
    told = {(table, place): ColumnPlan(**plan) for part in stage.world.allgather(mine) for table, place, plan in part}
    return [[told[table, place] for place in range(len(found.columns))] for table, found in enumerate(surveys)]


def put_right(stage, sources, surveys, plans, args, given_plan):
    """Collective: writes the working tables; returns (tables, fills of blanks per table, tallies of the changes)."""
    if not LATER_STEPS & set(args.steps):
        for found in surveys:
            found.sample.clear()
        tables = [working.UnwrittenTable(stage, *rest) for rest in zip(sources, surveys, plans)]
        return tables, [[] for _ in sources], [Tally() for _ in sources]
    samples = [impute.canonical_sample(*pair) for pair in zip(plans, surveys)]
    wanted = "impute" in args.steps
    said = [given_plan.get("tables", {}).get(source.name) for source in sources]
    pairs = [[] if not wanted else replay.determinants(table, columns) if table is not None else
             impute.find_determinants(columns, sample, found.rows)
             for columns, sample, found, table in zip(plans, samples, surveys, said)]
    tables, tallies, counts = working.write_working(stage, sources, surveys, plans, pairs)
    fills = [replay.fills_as_planned(table, group[0], impute.plan_fills(*group)) if wanted else []
             for table, group in zip(said, zip(plans, surveys, samples, counts))]
    for fill in (fill for mine in fills for fill in mine):
        fill.least = args.least_sure_fill
    for found in surveys:
        found.sample.clear()
    return tables, fills, tallies


def learn_fills(stage, tables, plans, surveys, fills, predicted: bool) -> None:
    """Collective: models of the blank cells are learnt from the mended tables, if they are `predicted`; fills that lead
    to nothing are dropped."""
    if predicted:
        predict.learn(stage, tables, plans, surveys, fills)
    for columns, mine in zip(plans, fills):
        for fill in mine:
            if fill.model:
                stage.say(f"fill    {columns[fill.column].name} {fill.model.describe()}")
        mine[:] = [fill for fill in mine if fill.lookups or fill.value or fill.model]


def mend_cells(stage, tables, plans, tallies, args, given_plan) -> list:
    """Collective: wrong cells of the working tables are put right or flagged; the tallies grow by that.

    Returns what was learnt of each table.
    """
    given = on_root(stage.world, lambda: {"rules": read_rules(args.rules) if args.rules else []})["rules"]
    said = [given_plan.get("tables", {}).get(table.title) for table in tables]
    more, known = mend.mend(stage, tables, plans, args.steps, given, args.min_confidence, said)
    for tally, found in zip(tallies, more):
        tally.counts.update(found.counts)
        tally.examples.update(found.examples)
    return known


def merge_rows(stage, tables, plans, surveys, args, answers):
    """Collective: (references between the tables, what becomes of the rows of each)."""
    if "duplicates" not in args.steps:
        return [], [Resolution(table, np.arange(table.rows)) for table in tables]
    summaries = [found.columns for found in surveys]
    references = find_references(stage, tables, plans, summaries)
    return references, resolve(stage, tables, plans, summaries, references, source_column=args.source,
                               exhaustive=args.exhaustive, merge=not args.keep_duplicates, answers=answers)


def write(stage, sources, surveys, plans, resolutions, fills, tallies, args) -> dict:
    """Collective: writes the clean tables; returns what was written and changed."""
    tables, files, more = write_clean(stage, sources, surveys, plans, resolutions, fills, args.keep_duplicates,
                                       tuple(args.steps) == ("structure",))
    for tally, later in zip(tallies, more):
        tally.counts.update(later.counts)
        tally.examples.update(later.examples)
    for source, found, resolution in zip(sources, surveys, resolutions):
        merged = 0 if args.keep_duplicates else resolution.duplicates
        rows_out = sum(part["rows"] for part in tables[source.name]["parts"])
        if int(found.total_rows.sum()) != rows_out + merged + found.rejects:
            raise RuntimeError(f"{source.path}: {found.total_rows.sum()} rows were read, but {rows_out} written, "
                               f"{merged} merged and {found.rejects} rejected")
    return {"tables": tables, "files": files, "tallies": tallies}


def manifest(stage, sources, surveys, plans, references, resolutions, fills, outcome, known,
             args) -> dict:
    """Collective: writes plan.toml; returns what `Stage.commit` needs."""
    stage.access.write_text("clean/plan.toml", tomli_w.dumps({
        "steps": list(args.steps), "min_confidence": args.min_confidence, "least_sure_fill": args.least_sure_fill,
        "tables": {source.name: describe_plan(*rest) for source, *rest in zip(sources, sources, plans, fills, known)}}))
    by_place = [[plan.name for plan in columns] for columns in plans]
    summary = {"tables": {}, "references": [
        {"lhs": [f"{sources[ref.table].name}.{by_place[ref.table][ref.column]}"],
         "rhs": [f"{sources[ref.target].name}.{next(plan.name for plan in plans[ref.target] if plan.key)}"]}
        for ref in references]}
    for table, source in enumerate(sources):
        found, resolution = surveys[table], resolutions[table]
        merged = 0 if args.keep_duplicates else resolution.duplicates
        summary["tables"][source.name] = {
            "input": os.path.basename(source.path), "rows_in": int(found.total_rows.sum()),
            "rows_out": sum(part["rows"] for part in outcome["tables"][source.name]["parts"]), "rows_merged": merged,
            "rows_rejected": found.rejects, "rows_repaired": found.repairs, "duplicates": resolution.duplicates,
            "changes": outcome["tallies"][table].by_rule(),
            "columns": {plan.name: plan.kind for plan in plans[table]},
            "key": next((plan.name for plan in plans[table] if plan.key), None),
            "search": {"how": resolution.how, **resolution.summary}}
    return {"tables": outcome["tables"], "files": [*outcome["files"], "clean/plan.toml"], "summary": summary,
            "inputs": {source.name: {"bytes": source.file.size} for source in sources},
            "config": {"steps": list(args.steps), "id": args.id, "source": args.source,
                       "min_confidence": args.min_confidence, "least_sure_fill": args.least_sure_fill,
                       "keep_duplicates": args.keep_duplicates,
                       "exhaustive": args.exhaustive}}


def describe_plan(source, plans, fills, known) -> dict:
    """What plan.toml says of a table."""
    dialect = source.structure.dialect
    plan = {"encoding": source.encoding, "delimiter": dialect.delimiter, "quote": dialect.quotechar,
            "escape": dialect.escapechar or "", "header": dialect.header,
            "preamble_lines": len(source.structure.preamble),
            **({"header_lines": source.structure.header_lines} if source.structure.header_lines > 1 else {}),
            "notes": source.structure.notes,
            "columns": [column.to_toml() for column in plans]}
    plan |= known.to_toml()
    if fills:
        plan["fill"] = [describe_fill(plans, fill) for fill in fills]
        helpers = {place for fill in fills if fill.model for place in fill.model.first}.difference(
            fill.column for fill in fills)
        plan |= {"predict_first": [plans[place].name for place in sorted(helpers)]} if helpers else {}
    return plan


def describe_fill(plans, fill) -> dict:
    """What plan.toml says of the blanks of a column."""
    said = {"column": plans[fill.column].name, "look_up_by": [plans[place].name for place, _ in fill.lookups],
            "predict": fill.model is not None, "else": fill.rule or "leave blank", "value": fill.value}
    if fill.model:
        said |= {"error": fill.model.error, "usual_error": fill.model.usual_error}
    return said
