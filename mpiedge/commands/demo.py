"""mpiedge-demo: a seeded dirty data set with known truth, of any size."""

import argparse
import sys
from shlex import join, quote

from mpiedge import cli

DEFAULT_ROWS = 5000
DEFAULT_FOLDER = "results/demo-data"
GRAPH_FOLDER = "results/demo-graph"

DESCRIPTION = """\
Two tables: papers.csv (16 columns) and cites.csv (citing,cited). Known dirt: near-duplicate records, typos in titles
and authors, mixed formats of years and dates, null words, missing cells, two damaged lines. Known structure: functional
and inclusion dependencies, areas (half of them given) that follow the citations. The truth lies in DIR/truth:
entities.csv, labels.csv, cells.csv, rejects.csv, fds.json, inds.json, demo.json. The same --rows and --seed give the
same bytes everywhere; a folder that already holds them is left as it is. Under mpirun rank 0 writes."""

EXAMPLES = """\
mpiedge-demo
mpiedge-demo --rows 200000 --seed 7 --out /tmp/papers
mpirun -n 4 mpiedge-demo --graph sbm --nodes 1M --edges 10M --out /tmp/graph
mpirun -hostfile hostfiles/local.txt mpiedge-clean /tmp/papers/papers.csv /tmp/papers/cites.csv"""


def build_parser():
    """The command line of mpiedge-demo."""
    page = cli.parser("mpiedge-demo", "Write a dirty data set whose truth is known.",
                      description=DESCRIPTION, examples=EXAMPLES)  # fmt: skip
    page.add_argument("--rows", type=int, default=DEFAULT_ROWS, metavar="N",
                      help=f"records in papers.csv, duplicates included (default {DEFAULT_ROWS})")  # fmt: skip
    page.add_argument("--out", metavar="DIR", help=f"folder (default {DEFAULT_FOLDER}, for a graph {GRAPH_FOLDER})")
    graph = page.add_argument_group("a graph instead of tables")
    graph.add_argument("--graph", choices=("sbm", "rmat"),
                       help="write a graph in chunks for mpiedge-train: a block model, or one with power-law degrees")
    graph.add_argument("--nodes", type=_count, default=10**5, metavar="N", help="its nodes, such as 1M (default 100k)")
    graph.add_argument("--edges", type=_count, default=10**6, metavar="N", help="its edges, such as 10M (default 1M)")
    return page


def _count(text: str) -> int:
    """A whole number of at least 2, perhaps with k, M or G."""
    unit = {"k": 10**3, "m": 10**6, "g": 10**9}.get(text[-1:].lower(), 1)
    try:
        number = int(float(text[:-1] if unit > 1 else text) * unit)
        if number < 2:
            raise ValueError
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text} is no whole number of at least 2, such as 500 or 10k") from None
    return number


def run(args, world):
    """Collective: rank 0 writes the tables, or all ranks a graph; every rank learns whether it worked."""
    if args.graph:
        from mpiedge.demo.graphs import write_graph

        folder = args.out or GRAPH_FOLDER
        about = write_graph(world, folder, args.graph, args.nodes, args.edges, args.seed)
        if world.is_root and not args.quiet:
            print(f"demo    {folder} ({args.graph}, {about['nodes']:,} nodes, {about['edges']:,} edges drawn, "
                  f"{about['columns']} features, {len(about['classes'])} classes, seed {args.seed})")
            print(f"next    mpiedge-train --graph {quote(folder)}")
        return
    args.out = args.out or DEFAULT_FOLDER
    from mpiedge.demo.generate import write_demo
    from mpiedge.runtime.progress import progress
    from mpiedge.runtime.root import on_root

    with progress(world, args.rows, "rows", 0 if args.quiet else args.progress) as line:
        summary = on_root(world, lambda: write_demo(args.out, args.rows, args.seed, line.update))
    if world.is_root and not args.quiet:
        print(f"demo    {args.out} ({summary['rows']:,} papers of {summary['entities']:,} entities, "
              f"{summary['citations']:,} citations, {summary['damaged_cells']:,} damaged cells, seed {args.seed})")
        print("next    mpiedge-clean " + join(f"{args.out}/{name}.csv" for name in ("papers", "cites")))


def main(argv=None):
    """Entry point of the console script."""
    return cli.main(build_parser(), run, argv)


if __name__ == "__main__":
    sys.exit(main())
