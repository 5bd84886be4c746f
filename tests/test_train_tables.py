"""mpiedge-train and mpiedge-predict on tables: what can be learned, what becomes a graph, and new rows."""

import json
import random
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
from training_files import in_process, rows_of

from mpiedge.commands import clean, predict, profile, train
from mpiedge.errors import InputError, MemoryPlanError, StoreError, UsageError
from mpiedge.training.filled import filled_cells
from mpiedge.training.outputs import tell, usual
from mpiedge.training.tables import _choose_label, _some


def test_csv_tables_and_predict(world, tables, tmp_path, capsys):
    """Nodes and edges from CSV files; all models learn; predict encodes new rows and joins them by their edges."""
    line = ["--nodes", tables / "papers.csv", "--edges", tables / "cites.csv", "--epochs", 100]
    in_process(train, world, *line, "--run", tmp_path / "gcn")
    said = capsys.readouterr().out
    assert "label area (guessed" in said and "(citing, cited -> id)" in said
    in_process(train, world, *line, "--label", "area", "--model", "mlp", "--run", tmp_path / "mlp")
    in_process(train, world, *line, "--label", "area", "--model", "sage", "--layers", 3, "--run", tmp_path / "sage")
    summary = json.loads((tmp_path / "gcn/train/summary.json").read_text())
    assert summary["test_accuracy"] >= 0.85 and summary["train_nodes"] == 60 and summary["nodes"] == 150
    assert {row["id"] for row in rows_of(tmp_path / "gcn/train/predictions.csv")} >= {"P0000", "P0149"}

    (tmp_path / "new.csv").write_text("id,year,title,area\nN1,2001,odd words,Soil\nN2,x,the laser lens,Optics\n")
    (tmp_path / "edges.csv").write_text("a,b\nN1,P0001\nP0001,N1\nN1,N2\nN1,nobody\n")
    capsys.readouterr()
    for name in ("gcn", "mlp", "sage"):
        in_process(predict, world, "--run", tmp_path / name, tmp_path / "new.csv")
        answers = {row["id"]: row for row in rows_of(tmp_path / name / "predict/predictions.csv")}
        assert answers["N2"]["predicted"] == "Optics" and 0 <= float(answers["N1"]["probability"]) <= 1
        shown = capsys.readouterr()
        assert "N2  Optics" in shown.out and "column year: 1 cells are no integer" in shown.err
    in_process(predict, world, "--run", tmp_path / "gcn", tmp_path / "new.csv", "--edges", tmp_path / "edges.csv",
               "-o", tmp_path / "out.csv")  # fmt: skip
    assert [row["id"] for row in rows_of(tmp_path / "out.csv")] == ["N1", "N2"]
    assert "1 edges name unknown nodes" in capsys.readouterr().err


@pytest.mark.parametrize(("model", "layers"), [("gcn", 2), ("gcn", 3), ("sage", 2)])
def test_predict_joined_equals_training_graph(world, tables, tmp_path, model, layers):
    """An isolated stored node and a new row with the same cells and no edges get the same probability."""
    text = (tables / "papers.csv").read_text() + "P9999,laser prism part3,1999,\n"
    (tmp_path / "papers.csv").write_text(text)
    in_process(train, world, "--nodes", tmp_path / "papers.csv", "--edges", tables / "cites.csv", "--label", "area",
               "--epochs", 30, "--run", tmp_path / "run", "--model", model, "--layers", layers)  # fmt: skip
    (tmp_path / "new.csv").write_text("id,title,year\nN1,laser prism part3,1999\n")
    in_process(predict, world, "--run", tmp_path / "run", tmp_path / "new.csv")
    stored = rows_of(tmp_path / "run/train/predictions.csv")[-1]
    new = rows_of(tmp_path / "run/predict/predictions.csv")[0]
    assert stored["id"] == "P9999" and stored["predicted"] == new["predicted"]
    assert float(stored["probability"]) == pytest.approx(float(new["probability"]), abs=2e-4)


def test_clean_tables_shared_and_served(mpirun, tables, tmp_path):
    """After clean and profile a bare label is enough; ranks that cannot see the folder give the same predictions."""
    run = tmp_path / "run"
    for words in (["mpiedge-clean", tables / "papers.csv", tables / "cites.csv", "--steps", "structure,types,formats"],
                  ["mpiedge-profile", "--ind"]):  # fmt: skip
        done = mpirun(0, *words, "--run", run)
        assert done.returncode == 0, done.stderr
    texts = []
    for access in ("shared", "served"):
        done = mpirun(2, "mpiedge-train", "--run", run, "--label", "area", "--epochs", 20, "--dropout", 0,
                      env={"MPIEDGE_ACCESS": access})  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "edges cites (citing, cited -> id)" in done.stdout
        texts.append((run / "train/predictions.csv").read_text())
    assert texts[0] == texts[1] and texts[0].count("\n") == 151
    done = mpirun(2, "mpiedge-train", "--run", run, "--label", "area", "--partition", tmp_path / "none")
    assert done.returncode == InputError.exit_code and "none: no such file" in done.stderr  # found while others encode
    assert len(done.stderr.strip().splitlines()) == 1


def test_determined_features_are_dropped_on_demand(world, tmp_path, capsys):
    """A region told by the town goes when profile has found that, nothing for a weight; without profile the flag is
    refused."""
    rows = [f"{row},{row}.5,t{row % 7},r{row % 7 // 3},{row * row % 11},{'ab'[row % 7 > 3]}" for row in range(70)]
    (tmp_path / "people.csv").write_text("\n".join(["id,weight,town,region,age,label", *rows]) + "\n")
    run = ["--run", tmp_path / "run"]
    line = [*run, "--label", "label", "--model", "mlp", "--epochs", 2, "--drop-determined"]
    in_process(clean, world, tmp_path / "people.csv", "--steps", "structure,types", *run)
    with pytest.raises(UsageError, match="there are no dependencies of people"):
        in_process(train, world, *line)
    in_process(profile, world, "--fd", *run)
    capsys.readouterr()
    in_process(train, world, *line)
    said = capsys.readouterr().out
    assert "dropped region (told by town)\n" in said and "region" not in said.split("features", 1)[1].splitlines()[0]


@pytest.mark.parametrize(("words", "error", "text"), [
    (["--label", "nope"], UsageError, "no table has this column"),
    (["other.csv"], UsageError, "other.csv: this does not go together with --nodes"),
    (["--split", "70/20/20"], UsageError, "add up to 100"),
    (["--split", "planetoid"], UsageError, "no such split"),
    (["--split", "column:nope"], UsageError, "has no such column"),
    (["--split", "column:year"], InputError, "no training nodes"),
    (["--memory", "1MB"], MemoryPlanError, "would need"),
])  # fmt: skip
def test_flags_that_do_not_fit_the_tables(world, tables, tmp_path, words, error, text):
    """Wrong columns, splits and budgets raise the right named error."""
    line = ["--nodes", tables / "papers.csv", "--edges", tables / "cites.csv", "--run", tmp_path, *words]
    with pytest.raises(error, match=text):
        in_process(train, world, *line)


def test_the_only_table_cannot_be_the_edges():
    """Who names the only table as that of the edges is told so."""
    args = Namespace(nodes=None, edges="one", label=None)
    with pytest.raises(UsageError, match="--edges one: no table is left for the nodes"):
        _choose_label(None, args, {"one": None})


@pytest.mark.parametrize(("papers", "cites", "text"), [
    ("", "a,b\n", "empty"),
    ("id,area\n", "a,b\n1,2\n", "no rows"),
    ("id,t,area\n1,x y,\n2,z w,\n", "a,b\n1,2\n", "label"),
    ("id,t,area\n1,x,a\n2,x,b\n3,y,a\n4,y,b\n", "a\n1\n", "two columns"),
    ("id,t,area\n1,x,a\n2,x,b\n3,y,a\n4,y,b\n", "a,b\nq,r\n", "name no rows"),
    ("id,area\n1,a\n2,b\n3,a\n", "a,b\n1,2\n", "no column can serve"),
    ("t,area\nx,a\nx,b\ny,a\ny,b\n", "a,b\n1,2\n", "names its rows"),
    ("id,t,area\n1,x,a\n2,x,a\n3,y,a\n4,y,\n", "a,b\n1,2\n", "all labels are a"),
    ("id,t,area\n1,x,a\n2,x,b\n3,y,c\n4,y,\n", "a,b\n1,2\n", "no two nodes"),
])  # fmt: skip
def test_tables_nothing_can_be_learned_from(world, tmp_path, papers, cites, text):
    """Empty, unlabelled, featureless and unconnected tables end in one line that names the cause."""
    (tmp_path / "p.csv").write_text(papers)
    (tmp_path / "c.csv").write_text(cites)
    with pytest.raises((InputError, UsageError), match=text):
        in_process(train, world, "--nodes", tmp_path / "p.csv", "--edges", tmp_path / "c.csv", "--label", "area",
                   "--run", tmp_path / "run")  # fmt: skip


def test_one_table_is_learned_without_a_graph(world, tables, tmp_path, capsys):
    """Where no other table could join its rows, a network without a graph learns them; a graph that is asked for is
    missed."""
    run = tmp_path / "run"
    in_process(clean, world, tables / "papers.csv", "--run", run, "--keep-duplicates", "-q")
    in_process(train, world, "--run", run, "--label", "area", "--epochs", 10)
    assert "model   mlp, as no other table joins rows of papers" in capsys.readouterr().out
    assert json.loads((run / "train/manifest.json").read_text())["config"]["model"] == "mlp"
    with pytest.raises(InputError, match="train --model mlp"):
        in_process(train, world, "--run", run, "--label", "area", "--model", "gcn", "--fresh")


def test_new_rows_are_read_as_clean_read_the_table(world, tmp_path, capsys):
    """Decimal commas, days before months, yes and no, and null words of the raw file give what the training gave."""
    draw, run, raw = random.Random(3), tmp_path / "a run", tmp_path / "sales.csv"
    rows = [f"{row};{draw.randrange(9999) / 100:.2f};{row % 28 + 1:02d}.{draw.randrange(1, 13):02d}.2021;"
            f"{'yes' if draw.random() < 0.5 else 'no'};{'NULL' if row % 9 == 0 else draw.choice(('red', 'blue'))};"
            f"{draw.choice(('cheap', 'dear'))}".replace(".", ",", 1) for row in range(90)]
    raw.write_text("\n".join(["id;price;day;paid;colour;kind", *rows, ""]))
    in_process(clean, world, raw, "--run", run, "--steps", "structure,types,formats")
    assert f"next    mpiedge-profile --run '{run}'" in capsys.readouterr().out
    in_process(train, world, "--run", run, "--label", "kind", "--epochs", 5)
    assert "note    few test rows (" in capsys.readouterr().out
    in_process(predict, world, raw, "--run", run)
    assert "count as missing" not in capsys.readouterr().err
    assert (run / "predict/predictions.csv").read_text() == (run / "train/predictions.csv").read_text()
    raw.write_text("id;price;day;paid;colour\n1;dear;31.02.2021;yes;green\n")
    in_process(predict, world, raw, "--run", run)
    told = capsys.readouterr().err
    assert "column price: 1 cells are no decimal" in told and "column day: 1 cells are no date" in told
    assert "column colour: 1 of 1 cells hold values that the training did not know" in told
    assert "column paid" not in told


def test_labels_that_clean_filled_in_are_predicted(world, tmp_path, capsys):
    """Blank labels stay blank for training: nobody learns from what clean guessed."""
    size = ["small", "middle", "large"]
    rows = [f"c{row:03},{row % 3 * 40 + row % 7},{size[row % 3] if row % 5 else ''}" for row in range(200)]
    (tmp_path / "boxes.csv").write_text("\n".join(["code,weight,size", *rows]) + "\n")
    run = ["--run", tmp_path / "run"]
    in_process(clean, world, tmp_path / "boxes.csv", *run)
    assert len(rows_of(tmp_path / "run/clean/boxes.changes.csv")) == 40
    in_process(train, world, *run, "--epochs", 2)
    said = capsys.readouterr().out
    assert "label size (guessed" in said and "40 labels were blank until clean filled them in" in said
    assert json.loads((tmp_path / "run/train/summary.json").read_text())["train_nodes"] == 96


def test_the_usual_class_and_rare_ones_are_told(capsys):
    """A training that is no better than a constant says so, and names classes of next to no rows."""
    train_counts, test_counts = np.diag([9, 3, 5]), np.array([[2, 0, 0], [4, 0, 0], [2, 0, 0]])
    told = usual({"train": train_counts, "test": test_counts}, ["a", "b", "c"])
    assert told == {"usual_class": "a", "usual_accuracy": 0.25, "rare_classes": ["b"]}
    assert usual({"train": train_counts, "test": 0 * test_counts}, ["a", "b", "c"])["usual_accuracy"] is None
    figures = {"epochs": 1, "best_epoch": 1, "train_wall_s": 1.0, "peak_rss_mb": 1.0, "peak_rss_mb_planned": 1.0,
               "val_accuracy": None, "macro_f1": None, "test_nodes": 900} | told  # fmt: skip
    for accuracy, better in ((0.25, False), (0.26, True)):
        tell(Namespace(say=print, run=Path("run")), figures | {"test_accuracy": accuracy})
        said = capsys.readouterr().out
        assert "of b: too few" in said and ("no better than to say a of every row (0.250)" in said) != better


def test_filled_cells_are_found_below_merged_rows(tmp_path):
    """Rows of the input are counted among those that are left, beside cells of any length; files of another table say
    nothing."""
    (tmp_path / "clean").mkdir()
    lines = ["0,a,missing: mode,,x,1", "3,a,missing: predicted,,y,.9", f"3,b,typo,{'v' * 200_000},w,1",
             "4,a,flag: missing: mode,,,1"]
    (tmp_path / "clean/t.changes.csv").write_text("\n".join(["row,column,rule,before,after,confidence", *lines]) + "\n")
    (tmp_path / "clean/t.clusters.csv").write_text("row,cluster_id\n0,0\n2,0\n3,3\n4,4\n")
    for rows, places in ((3, [0, 1]), (4, [0, 2]), (5, [])):
        found = filled_cells(tmp_path, "t", rows)
        assert list(found) == ["a"] and found["a"].tolist() == places
    assert filled_cells(tmp_path, "other", 3) == {}


def test_tables_that_have_nothing_to_do_with_each_other(world, tmp_path, capsys):
    """Beside a table whose rows no other names a model without a graph is trained, unless edges were asked for; where
    nobody has looked for inclusions between several tables, nothing is guessed."""
    run = tmp_path / "run"
    for name, rows in (("beasts", [f"b{row},{'fur' if row % 2 else 'wing'},{'cat' if row % 2 else 'owl'}"
                                   for row in range(60)]), ("bolts", [f"{row},{row % 9}" for row in range(40)])):
        header = "name,has,kind" if name == "beasts" else "size,head"
        (tmp_path / f"{name}.csv").write_text("\n".join([header, *rows, ""]))
        (tmp_path / f"more_{name}.csv").write_text("\n".join([header, *rows, ""]))
    words = ["--run", run, "--label", "kind", "--nodes", "beasts", "--epochs", 3, "--fresh"]
    in_process(clean, world, tmp_path / "beasts.csv", tmp_path / "bolts.csv", "--run", run, "-q")
    in_process(train, world, *words)
    assert "model   mlp, as no other table joins rows of beasts" in capsys.readouterr().out
    with pytest.raises(UsageError, match="the model is mlp, which sees no graph"):
        in_process(predict, world, tmp_path / "beasts.csv", "--run", run, "--edges", tmp_path / "bolts.csv")
    for asked in (["--edges", "bolts"], ["--model", "gcn"]):
        with pytest.raises(InputError, match="name no rows of the node table"):
            in_process(train, world, *words, *asked)
    in_process(clean, world, tmp_path / "beasts.csv", tmp_path / "bolts.csv", tmp_path / "more_bolts.csv", "--run", run,
               "-q")
    with pytest.raises(InputError, match="Run mpiedge-profile first"):
        in_process(train, world, *words)
    in_process(profile, world, "--run", run, "-q")
    in_process(train, world, *words)
    assert json.loads((run / "train/manifest.json").read_text())["config"]["model"] == "mlp"
    inclusions = run / "profile/inds.jsonl"
    for damaged in ("nonsense", '{"lhs": [1], "rhs": ["a.b"]}', '{"lhs": ["a.b"]}', None):
        inclusions.write_text(damaged) if damaged else inclusions.unlink()
        with pytest.raises(StoreError, match=r"inds\.jsonl: cannot be read .* Run mpiedge-profile --run"):
            in_process(train, world, *words)


def test_a_line_about_a_wide_table_is_short():
    """Of many columns the first ones are named, and how many more there are."""
    assert _some(["a", "b"]) == "a, b"
    assert _some([f"c{place}" for place in range(200)]).endswith(", c19 and 180 more")


def test_a_quantity_is_no_label(world, tmp_path):
    """Numbers that seldom repeat, and names, are refused, instead of a class being made of each."""
    rows = [f"{row % 7},{row * 37 % 1009}.5,house {row % 180}" for row in range(200)]
    (tmp_path / "houses.csv").write_text("\n".join(["rooms,price,name", *rows, ""]))
    in_process(clean, world, tmp_path / "houses.csv", "--run", tmp_path / "run", "-q", "--steps", "structure,types")
    with pytest.raises(InputError, match="200 values of price are quantities"):
        in_process(train, world, "--run", tmp_path / "run", "--label", "price")
    with pytest.raises(InputError, match="180 values of name are names, no classes"):
        in_process(train, world, tmp_path / "houses.csv", "--run", tmp_path / "new", "--label", "name")
