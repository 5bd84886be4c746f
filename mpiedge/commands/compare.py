"""mpiedge-compare: several runs beside each other, the first as the reference: speed, and whether the answers agree."""

import sys

from mpiedge import cli

DESCRIPTION = """\
RUN is a run folder or a timings.csv; the first is the reference. Per stage: elapsed time and its ratio, with the spread
where several runs are of one configuration (same flags, hosts and commit); the POP efficiencies; peak memory, traffic,
energy; and what was found. A run whose answer differs from the reference's is marked, whatever its speed. With --factor
the exit code is 1 when all shared stages together took more than that times the reference, when an answer differs, or
when a stage is unfinished. Times begin when a stage opens its run folder, without the start of Python and MPI."""

EXAMPLES = """\
mpiedge-compare results/static results/stealing-1 results/stealing-2
mpiedge-compare results/main results/change --stage train --factor 1.1
mpiedge-compare results/pi results/server --power my-power.toml --markdown
mpiedge-compare a/timings.csv b/timings.csv --csv"""


def build_parser():
    """The command line."""
    page = cli.parser("mpiedge-compare", "Several runs beside each other.", description=DESCRIPTION, examples=EXAMPLES)
    page.add_argument("runs", nargs="+", metavar="RUN", help="run folder or timings.csv; the first is the reference")
    form = page.add_mutually_exclusive_group()
    for name in ("csv", "json", "markdown", "html"):
        form.add_argument(f"--{name}", dest="form", action="store_const", const=name, default="text",
                          help=f"print {name.upper() if name != 'markdown' else 'Markdown'} instead of text")
    page.add_argument("--stage", metavar="NAME", help="only this stage")
    page.add_argument("--factor", type=float, metavar="F",
                      help="exit code 1 when slower than F times the reference, or when answers differ")
    page.add_argument("--power", metavar="FILE", help="a power table of your own (TOML), before the one built in")
    page.add_argument("--meter", metavar="FILE", help="a meter's readings: a CSV with the columns time and watts")
    return page


def run(args) -> int:
    """Local: reads the runs, groups them by configuration, prints the table, judges."""
    from mpiedge.errors import InputError, UsageError
    from mpiedge.report.compare import compare, failures, group_runs
    from mpiedge.report.energy import read_power
    from mpiedge.report.read import read_named_runs
    from mpiedge.report.tables import FORMS

    if args.factor is not None and not 0 < args.factor < float("inf"):
        raise UsageError(f"--factor {args.factor:g}", "this is no factor", "Write for example 1.1")
    power = read_power(args.power, args.meter)
    runs = read_named_runs(args.runs)
    for found in runs:
        if not found.rows:
            raise InputError(found.folder or found.name, "has no times: its timings.csv is missing or has no rows",
                             "Leave it out")
    lines = compare(group_runs(runs, power))
    if args.stage:
        lines = [line for line in lines if line.stage == args.stage]
    if not lines:
        raise InputError(args.runs[0], f"has no times of {args.stage or 'any stage'}", "Run the stage, then compare")
    print(FORMS[args.form](lines))
    found = failures(lines, args.factor) if args.factor is not None else []
    for cause in found:
        print(f"mpiedge-compare: {cause}", file=sys.stderr)
    return 1 if found else 0


def main(argv: list[str] | None = None) -> int:
    """Entry point of mpiedge-compare."""
    return cli.main(build_parser(), run, argv, alone=True)


if __name__ == "__main__":
    sys.exit(main())
