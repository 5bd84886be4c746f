"""mpiedge-predict: a trained model + new rows -> predictions."""

import os
import sys

from mpiedge import cli

EXAMPLES = """\
mpiedge-predict --run results/cora data/another_graph.npz
mpiedge-predict --run results/mine papers_new.csv
mpiedge-predict --run results/mine papers_new.csv --edges cites_new.csv -o predictions.csv
"""

DESCRIPTION = """\
NEW.csv has the columns of the table the model was trained on (more are ignored; the label may be among them: then the
accuracy is told). --edges joins the new rows to each other and to the nodes of the training by the key column; without
it every new row stands alone, as a table model sees it. For a model that was trained on a graph file, NEW is another
one, or a folder, with the same features: all its nodes are predicted. A graph in chunks is predicted by all ranks
together, from disk where it does not fit their memory.
Writes id,predicted,probability to predict/predictions.csv in the run folder or to FILE."""


def build_parser():
    """The command line."""
    page = cli.parser("mpiedge-predict", "Apply a trained model to new rows.", examples=EXAMPLES,
                      description=DESCRIPTION)
    page.add_argument("table", metavar="NEW", help="CSV file with the new rows; a graph file or folder for a "
                      "model of one")
    page.add_argument("--edges", metavar="EDGES.csv", help="CSV file whose first two columns name nodes, old or new")
    page.add_argument("-o", "--output", metavar="FILE", help="where to write (default predict/predictions.csv)")
    return page


def run(args, world) -> None:
    """Collective: reads, encodes, predicts, writes; rank 0 does the work and the others wait. All take part where it is
    a graph in chunks."""
    from mpiedge.errors import UsageError
    from mpiedge.runtime.root import on_root
    from mpiedge.stage import Stage
    from mpiedge.store.graphs import GRAPH_FILE
    from mpiedge.training import serve, sources
    from mpiedge.training.room import require_torch

    with Stage(world, args, "predict", needs="train") as stage:
        stage.manifest("train")
        chunked, whole = on_root(world, lambda: [os.path.isfile(os.path.join(args.table, GRAPH_FILE)),
                                                 args.table.endswith(".npz") or os.path.isdir(args.table)])
        if args.edges and (chunked or whole):
            error = UsageError(f"--edges {args.edges}", "a graph has edges of its own", "Leave it out")
            error.everywhere = True
            raise error
        if chunked:
            from mpiedge.training.torch_import import import_torch

            require_torch(world)
            import_torch()
            from mpiedge.training.predict_chunks import predict_chunks  # the only way that needs torch

            finish(stage, args, predict_chunks(stage, args.table, args.output))
            return
        files = {} if whole else {"table": stage.access.input(args.table)}
        if args.edges:
            files["edges"] = stage.access.input(args.edges)
        with stage.phase("read", "io"):
            plan = on_root(world, lambda: serve.measure(stage.run, files))
            source = sources.open_graph_files(stage, args.table, None) if whole else None
        stage.plan(**plan)
        with stage.phase("predict"):
            found = on_root(world, lambda: serve.predict_whole(stage, source, args.output) if whole else
                            serve.predict_files(stage, files, args.output))
        finish(stage, args, found)


def finish(stage, args, found: dict) -> None:
    """Collective: commits what was found and says so."""
    for note in found["notes"]:
        stage.warn(note)
    stage.commit(files=found["files"], summary=found["summary"], config={"edges": bool(args.edges)})
    for line in found["lines"]:
        stage.say(line)


def main(argv: list[str] | None = None) -> int:
    """Entry point of mpiedge-predict."""
    return cli.main(build_parser(), run, argv)


if __name__ == "__main__":
    sys.exit(main())
