"""mpiedge-demo: a seeded dirty data set with known truth, of any size."""

import sys

from mpiedge import cli

DEFAULT_ROWS = 5000
DEFAULT_FOLDER = "results/demo-data"

DESCRIPTION = """\
Two tables: papers.csv (16 columns) and cites.csv (citing,cited). Known dirt: near-duplicate records, typos in titles
and authors, mixed formats of years and dates, null words, missing cells, two damaged lines. Known structure: functional
and inclusion dependencies, areas (half of them given) that follow the citations. The truth lies in DIR/truth:
entities.csv, labels.csv, cells.csv, rejects.csv, fds.json, inds.json, demo.json. The same --rows and --seed give the
same bytes everywhere; a folder that already holds them is left as it is. Under mpirun rank 0 writes."""

EXAMPLES = """\
mpiedge-demo
mpiedge-demo --rows 200000 --seed 7 --out /tmp/papers
mpirun -hostfile hostfiles/local.txt mpiedge-clean /tmp/papers/papers.csv /tmp/papers/cites.csv"""


def build_parser():
    """The command line of mpiedge-demo."""
    page = cli.parser("mpiedge-demo", "Write a dirty data set whose truth is known.",
                      description=DESCRIPTION, examples=EXAMPLES)  # fmt: skip
    page.add_argument("--rows", type=int, default=DEFAULT_ROWS, metavar="N",
                      help=f"records in papers.csv, duplicates included (default {DEFAULT_ROWS})")  # fmt: skip
    page.add_argument("--out", default=DEFAULT_FOLDER, metavar="DIR", help=f"folder (default {DEFAULT_FOLDER})")
    return page


def run(args, world):
    """Collective: rank 0 writes the data, every rank learns whether it worked."""
    from mpiedge.demo.generate import write_demo
    from mpiedge.runtime.progress import progress
    from mpiedge.runtime.root import on_root

    with progress(world, args.rows, "rows", 0 if args.quiet else args.progress) as line:
        summary = on_root(world, lambda: write_demo(args.out, args.rows, args.seed, line.update))
    if world.is_root and not args.quiet:
        print(f"demo    {args.out} ({summary['rows']:,} papers of {summary['entities']:,} entities, "
              f"{summary['citations']:,} citations, {summary['damaged_cells']:,} damaged cells, seed {args.seed})")
        print(f"next    mpiedge-clean {args.out}/papers.csv {args.out}/cites.csv")  # fmt: skip


def main(argv=None):
    """Entry point of the console script."""
    return cli.main(build_parser(), run, argv)


if __name__ == "__main__":
    sys.exit(main())
