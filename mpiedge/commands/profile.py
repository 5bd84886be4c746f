"""mpiedge-profile: dependencies, keys, inclusions and statistics of tables, exact and distributed."""

import re
import sys
import time

from mpiedge import cli
from mpiedge.commands.prepare import prepare_demo
from mpiedge.errors import UsageError

EXAMPLES = """\
mpirun -hostfile hostfiles/local.txt mpiedge-profile --run results/mine
mpiedge-profile adult.csv --delimiter ";" --no-header --run results/adult
mpiedge-profile orders.csv.gz customers.csv --ind --stats --run results/shop
mpiedge-profile adult.csv --no-header --verify "column_4 -> column_5" --run results/adult
"""

DESCRIPTION = """\
Without TABLE, the clean tables of the run are profiled; numbers then compare by value. Of a CSV file (UTF-8, plain or
.gz) the cells compare as exact strings; an empty cell is missing, and missing cells equal each other.
Writes profile/fds.jsonl, uccs.jsonl, inds.jsonl, columns.json and summary.json into the run folder; --verify writes
verify/violations.csv and leaves the rest alone. A constant column A is one dependency {} -> A and occurs in no other
left-hand side; in a table without rows every column is constant. Blank and repeated column names are changed
(column_3, name_2) with a warning."""

DEFAULT = ("fd", "ucc", "ind", "stats")
ALIKE_BYTES = 3 << 20
"""Of a table: read and encoded in the time of what every rank does alike, .2 s of CPU."""


def build_parser():
    """The command line."""
    page = cli.parser("mpiedge-profile", "Find what holds in tables: dependencies, keys, inclusions, statistics.",
                      examples=EXAMPLES, description=DESCRIPTION)
    page.add_argument("tables", nargs="*", metavar="TABLE", help="CSV files; default: the clean tables of the run")
    what = page.add_argument_group("what to find (default: the first four)")
    what.add_argument("--fd", action="store_true", help="minimal functional dependencies")
    what.add_argument("--ucc", action="store_true", help="minimal unique column combinations (keys)")
    what.add_argument("--ind", action="store_true", help="inclusion dependencies between single columns of all tables")
    what.add_argument("--stats", action="store_true", help="statistics of every column")
    what.add_argument("--correlations", action="store_true",
                      help="besides, Pearson, Spearman and Cramer's V of pairs of columns")
    what.add_argument("--verify", metavar="DEPENDENCY",
                      help='check one dependency, such as "a,b -> c", and list the rows that violate it')
    page.add_argument("--max-lhs", type=int, metavar="N",
                      help="only dependencies with at most N columns on the left, and keys of at most N columns")
    page.add_argument("--error", type=float, default=0.0, metavar="G3",
                      help="also dependencies that hold once a share of up to G3 of the rows is removed, as 0.01")
    page.add_argument("--max-ind", type=int, default=1, metavar="N",
                      help="also inclusions between lists of up to N columns (default 1: single columns)")
    page.add_argument("--ind-coverage", type=float, default=1.0, metavar="SHARE",
                      help="also inclusions of at least this share of a column's distinct values (default 1: of all)")
    page.add_argument("--top", type=int, metavar="N",
                      help="rank all dependencies and list the N best of each table in ranked.csv (0: all)")
    page.add_argument("--format", choices=("jsonl", "metanome"), default="jsonl",
                      help="metanome: the text form of Metanome too, in fds.txt, uccs.txt and inds.txt")
    page.add_argument("--time-limit", metavar="T",
                      help="end the search for dependencies and keys after T, such as 30s, 5min or 1.5h, with what is "
                           "certain by then (exit code 75); the same line again goes on; so does Ctrl-C")
    page.add_argument("--delimiter", metavar="D", help="one character, or tab (default: the fitting one of , ; tab |)")
    page.add_argument("--no-header", action="store_true", help="the first record is data; columns are column_1, ...")
    page.add_argument("--null", metavar="TOKEN", help="cells with this text are missing, as empty cells are")
    page.add_argument("--null-unequal", action="store_true", help="no missing cell equals another")
    return page


def run(args, world) -> None:
    """Collective: reads, encodes, discovers, describes, writes, commits."""
    from mpiedge.profiling import encode, findings, plan, report, sources
    from mpiedge.profiling.kept import Kept
    from mpiedge.profiling.pause import Interruption
    from mpiedge.stage import Stage
    from mpiedge.store.layout import MANIFEST

    began_s = time.perf_counter()
    if not args.tables:
        prepare_demo(args, world, ("clean",))
    delimiter, limit_s = check(args), seconds(args.time_limit)
    name = "profile" if args.verify is None else "verify"
    wanted = {what for what in DEFAULT if getattr(args, what)} or set(DEFAULT) if name == "profile" else {name}
    wanted |= {"correlations"} if args.correlations else set()
    interruption = Interruption(limit_s, began_s)
    with Stage(world, args, name, needs=None if args.tables else "clean", program="profile") as stage, interruption:
        with stage.phase("read", "io"):
            if args.tables:
                tables = sources.open_csvs(stage, args.tables, delimiter, not args.no_header)
            else:
                tables = sources.open_clean(stage)
        stage.say(f"input   {', '.join(args.tables) or f'clean tables of {stage.run} ({stage.how_chosen})'}")
        null = args.null.encode() if args.null else None
        planned = plan.plan_reading(stage, tables, wanted, null)
        kept = Kept(stage, args.tables or [str(stage.run / "clean" / MANIFEST)])
        with stage.phase("read", "io"):
            encoded = kept.recall(tables, planned, planned.owners(stage.queue.speeds))
        if encoded is None:
            local = sources.read_tables(stage, tables, null, planned.new_local, interruption)
            with stage.phase("encode"):
                valued, owners = bool(wanted - {"fd", "ucc"}), planned.owners(stage.queue.speeds)
                encoded = [encode.merge_table(world, source, local.pop(0), args.null_unequal, valued, planned, owners)
                           for source in tables]
        plan.plan_discovery(stage, encoded, wanted, args, planned)
        with stage.phase("encode", "io"):
            kept.keep(encoded)
        with stage.phase("discover"):
            found = findings.discover(stage, encoded, wanted, args, interruption)
        with stage.phase("statistics"):
            asked = set() if found.partial else wanted
            columns = report.describe(stage, encoded, planned) if "stats" in asked else None
            correlations = report.correlation_text(stage, encoded) if "correlations" in asked else None
        with stage.phase("write", "io"):
            stage.access.remove(stage.name)
            files = report.write(stage, encoded, found, columns, correlations)
        if found.partial:
            report.tell(stage, encoded, found, began_s)
            report.stop(stage, encoded, found, files)
        stage.commit(files=files, summary=report.summary(encoded, found), config=report.config(args, wanted),
                     inputs={source.name: source.inputs for source in tables})
        if found.searches:
            found.searches.forget()
        report.tell(stage, encoded, found, began_s)


def seconds(text: str | None) -> float | None:
    """A duration such as 90, 30s, 5min or 1.5h in seconds; raises UsageError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?) *(s|min|h|)", (text or "").strip())
    if text is None:
        return None
    if not match:
        raise UsageError("--time-limit", f"cannot be {text!r}", "Give a duration such as 30s, 5min or 1.5h")
    return float(match[1]) * {"min": 60, "h": 3600}.get(match[2], 1)


def input_bytes(args) -> int:
    """Local, on rank 0: about the size of the tables as text; 0 where none are known yet."""
    from mpiedge.store.run import clean_bytes

    return cli.table_bytes(args) if args.tables else clean_bytes(args.run)


def check(args) -> str | None:
    """The delimiter as a character; raises UsageError for arguments that make no sense."""
    from mpiedge.profiling.validate import parse_dependency

    if args.max_lhs is not None and args.max_lhs < 0:
        raise UsageError("--max-lhs", "must not be negative", "Give 0 for constant columns only")
    if not 0 <= args.error < 1:
        raise UsageError("--error", f"cannot be {args.error}", "Give a share of the rows from 0 to below 1, as 0.01")
    if args.max_ind < 1:
        raise UsageError("--max-ind", "must be at least 1", "Give 1 for single columns only")
    if not 0 < args.ind_coverage <= 1:
        raise UsageError("--ind-coverage", f"cannot be {args.ind_coverage}", "Give a share above 0, up to 1")
    if args.top is not None and args.top < 0:
        raise UsageError("--top", "must not be negative", "Give 0 to rank all")
    if not args.tables and (args.delimiter or args.no_header):
        raise UsageError("--delimiter, --no-header", "are for CSV files, and none is given", "Name a TABLE")
    if args.verify is not None:
        if any(getattr(args, name) for name in (*DEFAULT, "correlations")):
            raise UsageError("--verify", "is a run of its own", "Leave out --fd, --ucc, --ind, --stats, --correlations")
        parse_dependency(args.verify)  # what cannot be read is said before the tables are
    delimiter = {"tab": "\t", "\\t": "\t"}.get(args.delimiter, args.delimiter)
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n' or ord(delimiter) > 127):
        raise UsageError("--delimiter", f"cannot be {args.delimiter!r}", "Give one ASCII character or the word tab")
    return delimiter


def main(argv: list[str] | None = None) -> int:
    """Entry point of mpiedge-profile."""
    return cli.main(build_parser(), run, argv, work=(input_bytes, ALIKE_BYTES))


if __name__ == "__main__":
    sys.exit(main())
