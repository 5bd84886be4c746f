"""mpiedge-clean: raw CSV files become sound tables, with every change listed."""

import sys

from mpiedge import cli

STEPS = ("structure", "types", "formats", "rules", "typos", "duplicates", "impute")
ALIKE_BYTES = 1 << 19
"""Of tables: cleaned in the time of what every rank does alike."""

DESCRIPTION = """\
Reads CSV files as they are found: any common encoding, delimiter and quoting, with or without a header, gzip too. Rows
with a wrong number of cells are repaired where one reading alone fits, else listed with line and reason. Each column
gets one kind and one notation: numbers, dates, units, codes; words and numbers for nothing (N/A, -999) are blank. Wrong
cells are put right where the table itself tells: rare and short spellings of common values, noise on constants,
patterns, characters that look like others (O and 0, Cyrillic letters), stray marks, markup, cells run together or in
the wrong column, sequences along the rows, default values, what several sources of one thing agree on, and rules
between columns that hold nearly everywhere; what is less sure is flagged, and so are broken orders (begin <= end) and
numbers far out of range.
Duplicates become one row. Blanks are filled where another column decides the value, else predicted from the other
columns where that is clearly better on masked cells and memory suffices, else with the usual value; columns that are
blank only where another one is stay blank. Tables are cleaned together: when rows are merged, references to them in the
other tables follow. Keys are never changed. Without tables, the demo data is cleaned.

Written to RUN/clean, for each table: TABLE.csv (clean), TABLE.changes.csv (every changed cell), TABLE.rejects.csv,
TABLE.clusters.csv and TABLE.pairs.csv (duplicates); besides plan.toml (what was decided; --plan does it
again, edited or not) and summary.json. A clean that was stopped goes on from its finished tasks when the same line is
run again."""

EXAMPLES = """\
mpiedge-clean people.csv --run results/people
mpirun -hostfile hostfiles/local.txt mpiedge-clean papers.csv cites.csv --run results/papers
mpiedge-clean shops.csv --id rec_id --source shop --keep-duplicates
mpiedge-clean people.csv --steps structure,types,formats --dry-run"""


def build_parser():
    """The command line of mpiedge-clean."""
    page = cli.parser("mpiedge-clean", "Clean tables: structure, types, formats, duplicates, missing values.",
                      description=DESCRIPTION, examples=EXAMPLES)
    page.add_argument("tables", nargs="*", metavar="TABLE.csv", help="CSV files, gzip or not (default: the demo data)")
    page.add_argument("--id", metavar="COLUMN", help="the column that names the rows: never compared, never changed "
                      "(default: found by its name and values)")
    page.add_argument("--source", metavar="COLUMN", help="the column that says which source a row is from: a row of "
                      "one source matches at most one row of another")
    page.add_argument("--steps", metavar="STEPS", type=parse_steps,
                      help=f"steps to take, separated by commas (default: {','.join(STEPS)})")
    page.add_argument("--rules", metavar="FILE", help="rules that hold between columns: fds.jsonl of mpiedge-profile, "
                      "or TOML with [[rule]] lhs = [...] rhs = ... (default: those found in the table)")
    page.add_argument("--plan", metavar="FILE", help="do what the plan.toml of another run says, edited or not, "
                      "instead of deciding anew")
    page.add_argument("--min-confidence", metavar="P", type=parse_share, help="wrong and missing cells whose value is "
                      "less sure than this are flagged in TABLE.changes.csv, not changed (default: 0.8, 0 for missing "
                      "ones)")
    page.add_argument("--keep-duplicates", action="store_true", help="find duplicates, but keep all rows")
    page.add_argument("--review", action="store_true", help="write review.csv: pairs of rows that only a person can "
                      "decide, with room for the answers same or different")
    page.add_argument("--labels", metavar="FILE", help="a review.csv with answers: they bind its pairs and choose how "
                      "the table is read")
    page.add_argument("--exhaustive", action="store_true", help="search every row's like among "
                      "all others by all that they share, frequent or not (slow)")
    page.add_argument("--undo", metavar="RULES", help="clean nothing: write TABLE.undone.csv beside the clean tables "
                      "of --run, without the changes of these rules (as in TABLE.changes.csv, with commas)")
    page.add_argument("--dry-run", action="store_true", help="look at the tables and print what would be done")
    return page


def parse_steps(text: str) -> tuple[str, ...]:
    """The steps of a list such as "types,formats", in their order."""
    import argparse

    asked = [step.strip() for step in text.split(",") if step.strip()]
    unknown = [step for step in asked if step not in STEPS]
    if unknown or not asked:
        raise argparse.ArgumentTypeError(f"no step {', '.join(unknown)}; there are {', '.join(STEPS)}")
    return tuple(step for step in STEPS if step in asked)


def parse_share(text: str) -> float:
    """A number from 0 to 1."""
    import argparse

    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text} is no number from 0 to 1")
    return share


def run(args, world):
    """Collective: the stage, from CSV files to the committed tables."""
    from mpiedge.cleaning import needs, pipeline, reading, replay, report, review
    from mpiedge.runtime import resources
    from mpiedge.stage import Stage

    if args.undo:
        return take_back(args, world)
    plan = replay.read_plan(world, args.plan, STEPS)
    args.steps = args.steps or tuple(step for step in STEPS if step in plan.get("steps", STEPS))
    args.least_sure_fill = plan.get("least_sure_fill", 0.0) if args.min_confidence is None else args.min_confidence
    args.min_confidence = plan.get("min_confidence", 0.8) if args.min_confidence is None else args.min_confidence
    stage = Stage(world, args, "clean")
    paths = args.tables or pipeline.demo_tables(stage)
    with stage:
        with stage.phase("structure", "io"):
            sources = reading.open_sources(stage, paths, plan.get("written", {}))
        report.inputs(stage, sources)
        if not args.dry_run:
            stage.foresee(**needs.foresee(stage, sources, args.steps)[0])
            stage.go_on([*paths, args.plan, args.rules, args.labels])
        with stage.phase("survey"):
            surveys, plans = pipeline.look(stage, sources, args, plan)
        resources.return_freed()   # what the first look leaves behind would count twice
        budget, predicted = needs.foresee(stage, sources, args.steps, surveys)
        if not predicted:
            stage.say("memory  too little to learn predictions of blanks: the usual value is filled in")
        if args.dry_run:
            report.memory(stage, budget)
            report.duration(stage, sources, surveys, args.steps)
            report.decisions(stage, sources, surveys, plans)
            return
        stage.plan(**budget)
        with stage.phase("formats"):
            tables, fills, tallies = pipeline.put_right(stage, sources, surveys, plans, args, plan)
        with stage.phase("cells"):
            known = pipeline.mend_cells(stage, tables, plans, tallies, args, plan)
            pipeline.learn_fills(stage, tables, plans, surveys, fills, predicted)
        with stage.phase("duplicates"):
            references, resolutions = pipeline.merge_rows(stage, tables, plans, surveys, args,
                                                           review.load_answers(stage, args.labels, sources, surveys))
            reviewed = [review.write_review(stage, sources, surveys, resolutions)] if args.review else []
        with stage.phase("write"):
            outcome = pipeline.write(stage, sources, surveys, plans, resolutions, fills, tallies, args)
        outcome["files"] += reviewed
        stage.commit(**pipeline.manifest(stage, sources, surveys, plans, references, resolutions, fills, outcome, known,
                                         args))
        report.results(stage, sources, surveys, plans, references, resolutions, outcome)


def take_back(args, world):
    """Collective: the clean tables of a run without the changes of some rules, as copies; the run stays as it is."""
    import os

    from mpiedge.cleaning.undo import undo
    from mpiedge.errors import UsageError
    from mpiedge.runtime.root import on_root

    def copies():
        if not args.run:
            raise UsageError("--undo", "no run is named", "Say by --run which run's changes are taken back")
        return undo(os.path.join(args.run, "clean"), [rule.strip() for rule in args.undo.split(",")])

    for table, cells in on_root(world, copies).items():
        if world.is_root and not args.quiet:
            print(f"undo    {table}: {cells:,} cells put back in {args.run}/clean/{table}.undone.csv")


def main(argv=None):
    """Entry point of the console script."""
    return cli.main(build_parser(), run, argv, work=(cli.table_bytes, ALIKE_BYTES))


if __name__ == "__main__":
    sys.exit(main())
