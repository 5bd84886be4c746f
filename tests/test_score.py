"""The comparison of a run with the truth of the demo data counts what it says it counts."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpiedge.demo import score
from mpiedge.demo.generate import write_demo

LABELS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=0, max_size=12)


@given(LABELS)
def test_pair_scores_count_pairs(labels):
    """Precision, recall and F1 from cluster sizes equal those from a list of all pairs."""
    found, true = [pair[0] for pair in labels], [pair[1] for pair in labels]
    pairs = list(itertools.combinations(range(len(labels)), 2))
    said = {(i, j) for i, j in pairs if found[i] == found[j]}
    are = {(i, j) for i, j in pairs if true[i] == true[j]}
    result = score.pair_scores(found, true)
    assert result["pairs"] == len(are)
    assert result["precision"] == (len(said & are) / len(said) if said else 1.0)
    assert result["recall"] == (len(said & are) / len(are) if are else 1.0)


@pytest.fixture
def finished(tmp_path):
    """(run, demo): a hand-made run on 50 rows that finds every duplicate and two planted dependencies."""
    run, demo = tmp_path / "run", tmp_path / "demo"
    write_demo(demo, 50)
    for stage in ("clean", "profile", "train"):
        (run / stage).mkdir(parents=True)
    true = [row["entity_id"] for row in score.read_rows(demo / "truth/entities.csv")]
    lines = [f"{row},{cluster}" for row, cluster in enumerate(true)]
    (run / "clean/papers.clusters.csv").write_text("\n".join(["row,cluster_id", *lines, "50,x", "51,x"]) + "\n")
    fds = [(["venue"], "publisher"), ([], "country"), (["zip", "year"], "city")]
    lines = [json.dumps({"table": "papers", "lhs": lhs, "rhs": rhs, "g3": 0.0}) for lhs, rhs in fds]
    (run / "profile/fds.jsonl").write_text("\n".join(lines) + "\n")
    (run / "train/summary.json").write_text(json.dumps({"model": "gcn", "test_accuracy": 0.875}))
    (run / "timings.csv").write_text(
        "stage,rank,start_s,wall_s,peak_rss_mb\nclean,0,0.0,7.0,200.0\nclean,0,7.0,7.0,200.0\nclean,1,0.5,8.0,100.0\n"
        "clean,0,0.0,1.5,80.0\nclean,0,1.5,0.5,90.0\nclean,1,0.0,1.0,\ntrain,0,0.0,3.0,300.0\n"
    )
    return run, demo


def test_report(finished):
    """The report holds F1, recovered FDs (a smaller left-hand side counts), accuracies, time and memory of each
    stage's last run."""
    run, demo = finished
    text = score.report(run, demo, run)
    assert "F1 1.000 (precision 1.000, recall 1.000 of 6 true pairs)" in text
    assert "3 of 5 recovered, missing: zip -> city; published -> year" in text
    assert "gcn 0.875, gcn 0.875" in text
    assert "clean          2.0 s, peak memory 90 MB per rank" in text


def test_unfinished_run(finished, capsys):
    """A run without a stage is one line that names the file and what to run, and exit code 3."""
    run, demo = finished
    (run / "train/summary.json").unlink()
    assert score.main([str(run), str(demo)]) == 3
    line = capsys.readouterr().err
    assert line.count("\n") == 1 and "summary.json" in line and "mpiedge-train" in line
