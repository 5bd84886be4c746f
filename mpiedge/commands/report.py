"""mpiedge-report: one run as one page to read, print and pass on."""

import sys

from mpiedge import cli

DESCRIPTION = """\
Writes RUN/report.html: a verdict, what calls for attention, time of every rank, memory, traffic, energy, what clean
changed, what profile found, how the training went, how to run it again. One file below 2 MB without scripts; it
needs no network and can be printed. Every plot has its numbers as a table. A run that is half done gives a page too.
Cells of your tables appear in it as examples: think of that before you pass it on."""

EXAMPLES = """\
mpiedge-report results/mine
mpiedge-report results/mine -o mine.html
mpiedge-report results/pi --power my-power.toml --meter plug.csv"""


def build_parser():
    """The command line."""
    page = cli.parser("mpiedge-report", "One run as one HTML page.", description=DESCRIPTION, examples=EXAMPLES)
    page.add_argument("folder", nargs="?", metavar="RUN",
                      help="the run folder (default: --run, $MPIEDGE_RUN, else the newest in results/)")
    page.add_argument("-o", "--output", metavar="FILE", help="the page (default: RUN/report.html)")
    page.add_argument("--power", metavar="FILE", help="a power table of your own (TOML), before the one built in")
    page.add_argument("--meter", metavar="FILE", help="a meter's readings: a CSV with the columns time and watts")
    return page


def run(args) -> int:
    """Local: reads the run, writes the page."""
    from pathlib import Path

    from mpiedge.report.build import build
    from mpiedge.report.energy import read_power
    from mpiedge.report.read import choose_finished_run, read_run
    from mpiedge.runtime.resources import format_size
    from mpiedge.store.parts import write_atomic

    folder = choose_finished_run(args.folder or args.run)
    output = Path(args.output) if args.output else folder / "report.html"
    content = build(read_run(folder), read_power(args.power, args.meter)).encode("utf-8", "replace")
    write_atomic(output, content)
    if not args.quiet:
        print(f"report  {output} ({format_size(len(content))})")
    return 0


def main(argv: list[str] | None = None) -> int:
    """Entry point of mpiedge-report."""
    return cli.main(build_parser(), run, argv, alone=True)


if __name__ == "__main__":
    sys.exit(main())
