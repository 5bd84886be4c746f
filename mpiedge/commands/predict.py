"""mpiedge-predict: a trained model + new rows -> predictions."""

import sys

from mpiedge import cli

EXAMPLES = """\
mpiedge-predict --run results/mine papers_new.csv
mpiedge-predict --run results/mine papers_new.csv --edges cites_new.csv -o predictions.csv
"""

DESCRIPTION = """\
NEW.csv has the columns of the table the model was trained on (more are ignored; the label may be among them: then the
accuracy is told). --edges joins the new rows to each other and to the nodes of the training by the key column; without
it every new row stands alone, as a table model sees it.
Writes id,predicted,probability to predict/predictions.csv in the run folder or to FILE."""


def build_parser():
    """The command line."""
    page = cli.parser("mpiedge-predict", "Apply a trained model to new rows.", examples=EXAMPLES,
                      description=DESCRIPTION)
    page.add_argument("table", metavar="NEW.csv", help="CSV file with the new rows")
    page.add_argument("--edges", metavar="EDGES.csv", help="CSV file whose first two columns name nodes, old or new")
    page.add_argument("-o", "--output", metavar="FILE", help="where to write (default predict/predictions.csv)")
    return page


def run(args, world) -> None:
    """Collective: reads, encodes, predicts, writes; rank 0 does the work, the others wait."""
    from mpiedge.runtime.root import on_root
    from mpiedge.stage import Stage
    from mpiedge.training import serve

    with Stage(world, args, "predict", needs="train") as stage:
        stage.manifest("train")
        files = {"table": stage.access.input(args.table)}
        if args.edges:
            files["edges"] = stage.access.input(args.edges)
        with stage.phase("read", "io"):
            plan = on_root(world, lambda: serve.measure(stage.run, files))
        stage.plan(**plan)
        with stage.phase("predict"):
            found = on_root(world, lambda: serve.predict_files(stage, files, args.output))
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
