"""mpiedge-train and mpiedge-predict as whole programs: files, resume, both ways to reach data, and clear errors."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from argparse import Namespace

import h5py
import numpy as np
import psutil
import pytest
from graphs import planetoid_files
from launching import launch_environment
from training_files import curve, in_process, rows_of

from mpiedge.commands import demo, predict, train
from mpiedge.errors import InputError, MemoryPlanError, Stopped, StoreError, UsageError
from mpiedge.graph import readers
from mpiedge.graph.build import adjacency
from mpiedge.training import checkpoint, onnx_export, predict_chunks
from mpiedge.training.inputs import PartInputs
from mpiedge.training.predict_graph import normalised

SUMMARY = {"model", "split", "seed", "ranks", "epochs", "best_epoch", "train_accuracy", "val_accuracy", "test_accuracy",
           "macro_f1", "wall_s", "cpu_s", "bytes_sent", "peak_rss_mb", "peak_rss_mb_planned"}  # fmt: skip


def test_files_and_equal_results_on_more_ranks(mpirun, planetoid, tmp_path):
    """Without dropout 1 and 3 ranks write the same predictions and weights to 1e-4; every promised file and figure."""
    weights = {}
    for ranks in (1, 3):
        run = tmp_path / f"run{ranks}"
        done = mpirun(ranks, "mpiedge-train", "--graph", planetoid, "--run", run, "--epochs", 50, "--dropout", 0)
        assert done.returncode == 0, done.stderr
        assert "epoch   50/50" in done.stdout and "done    50 epochs" in done.stdout
        summary = json.loads((run / "train/summary.json").read_text())
        assert set(summary) >= SUMMARY and summary["ranks"] == ranks and summary["epochs"] == 50
        assert summary["split"] == "planetoid" and (summary["bytes_sent"] > 0) == (ranks > 1)
        assert f"plan    peak {summary['peak_rss_mb']:.0f} MB per rank of" in done.stdout
        if ranks > 1:
            assert summary["sent_mb_per_epoch"] == pytest.approx(summary["sent_mb_per_epoch_planned"], rel=0.2)
        assert len(rows_of(run / "metrics.csv")) == 50
        predictions = rows_of(run / "train/predictions.csv")
        assert list(predictions[0]) == ["id", "predicted", "probability"] and len(predictions) == 60
        tested = [row for row in rows_of(run / "train/confusion.csv") if row["role"] == "test"]
        right = sum(int(row["nodes"]) for row in tested if row["label"] == row["predicted"])
        assert right / sum(int(row["nodes"]) for row in tested) == pytest.approx(summary["test_accuracy"])
        assert {row["stage"] for row in rows_of(run / "timings.csv")} == {"train"}
        assert (run / "train/manifest.json").exists() and not list((run / "checkpoints").glob(".*"))
        with h5py.File(run / "train/model.h5") as file:
            weights[ranks] = np.concatenate([file[name][:].ravel() for name in ("weight_1", "bias_1", "weight_2")])
    np.testing.assert_allclose(weights[1], weights[3], atol=1e-4)
    line = ["mpiedge-train", "--graph", planetoid, "--run", tmp_path / "run1", "--epochs", 60, "--dropout", 0]
    assert mpirun(3, *line, "--resume").returncode == 0
    summary = json.loads((tmp_path / "run1/train/summary.json").read_text())  # of the epochs on these ranks
    assert summary["sent_mb_per_epoch"] == pytest.approx(summary["sent_mb_per_epoch_planned"], rel=0.2)


def test_checkpoints_as_often_as_loses_least():
    """Of all intervals the one given loses the least time, by Daly's model (2006): exponential failures, of which each
    costs what was done since the last checkpoint."""
    for cost_s, hosts in ((0.02, 1), (0.5, 8), (30.0, 4), (600.0, 12)):
        mean_s = checkpoint.HOST_FAILS_S / hosts

        def expected(interval_s, cost_s=cost_s, mean_s=mean_s):
            return np.expm1((interval_s + cost_s) / mean_s) / interval_s

        best_s = min(np.geomspace(1e-4 * mean_s, mean_s, 4000), key=expected)
        assert checkpoint.interval_s(cost_s, hosts) == pytest.approx(best_s, rel=0.02)
    assert checkpoint.interval_s(1e9, 3) == checkpoint.HOST_FAILS_S / 3


def test_killed_and_run_again(mpirun, world, planetoid, tmp_path, capsys):
    """kill -9 of one of two ranks at a random epoch, then the same line again: it resumes, and ends with the curve of
    an undisturbed run on one rank; on one rank less, too, and as accurate to half a point."""
    line = ["mpiedge-train", "--graph", str(planetoid), "--epochs", "200", "--dtype", "float64"]
    line += ["--checkpoint-every", "10", "--patience", "200"]
    run, fewer, whole = (tmp_path / name for name in ("killed", "fewer", "whole"))
    environment, moment_s = launch_environment(), random.uniform(0, 0.3)
    launcher = shutil.which("mpirun", path=environment["PATH"]) or pytest.skip("there is no mpirun on this host")
    words = [launcher, "-n", "2", *line, "--run", str(run)]
    process = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)  # fmt: skip
    until = time.monotonic() + 60
    while not (run / "checkpoints/train.h5").exists() and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(moment_s)
    ranks = [child for child in psutil.Process(process.pid).children() if "mpiedge-train" in " ".join(child.cmdline())]
    ranks[-1].kill()
    process.wait(60)
    assert not (run / "train/manifest.json").exists(), f"not killed in time, after {moment_s:.3f} s"
    with h5py.File(run / "checkpoints/train.h5") as file:
        epoch = int(file["epoch"][0])
    assert 0 < epoch < 200
    shutil.copytree(run, fewer)
    again = mpirun(2, *line, "--run", run)
    assert again.returncode == 0 and f"resume  after epoch {epoch:,}" in again.stdout, again.stderr
    in_process(train, world, *line[1:], "--run", fewer)
    assert f"resume  after epoch {epoch:,}" in capsys.readouterr().out
    in_process(train, world, *line[1:], "--run", whole)
    assert curve(run) == curve(whole) == curve(fewer), f"killed {moment_s:.3f} s after the first checkpoint"
    reached = [json.loads((folder / "train/summary.json").read_text())["test_accuracy"] for folder in (whole, fewer)]
    assert reached[0] == pytest.approx(reached[1], abs=0.005)


def test_resume_of_a_complete_training_and_fresh(world, planetoid, tmp_path, capsys):
    """A complete training starts anew unless --resume is given; --fresh and other settings are told apart."""
    line = ["--graph", planetoid, "--run", tmp_path]
    in_process(train, world, *line, "--epochs", 10)
    in_process(train, world, *line, "--epochs", 10)
    assert "resume  " not in capsys.readouterr().out
    in_process(train, world, *line, "--epochs", 20, "--resume")
    assert "resume  after epoch 10" in capsys.readouterr().out and len(curve(tmp_path)) == 20
    with pytest.raises(InputError, match="other data or other flags"):
        in_process(train, world, *line, "--epochs", 30, "--hidden", 7, "--resume")
    assert (tmp_path / "train/manifest.json").exists(), "what could not be resumed must stay as it was"
    (tmp_path / "train/manifest.json").unlink(missing_ok=True)
    in_process(train, world, *line, "--epochs", 5, "--hidden", 7)
    assert "of another training" in capsys.readouterr().out
    (tmp_path / "train/manifest.json").unlink()
    in_process(train, world, *line, "--epochs", 5, "--hidden", 7, "--fresh")
    assert "resume  " not in capsys.readouterr().out
    (tmp_path / "checkpoints/train.h5").write_bytes(b"\x89HDF\r\n\x1a\n cut")
    with pytest.raises(InputError, match="damaged"):
        in_process(train, world, *line, "--hidden", 7, "--resume")


def test_error_on_one_rank_is_one_line(mpirun, tmp_path):
    """A missing graph under mpirun: exit code 3 and one line for all ranks."""
    done = mpirun(2, "mpiedge-train", "--graph", tmp_path / "none", "--run", tmp_path / "run")
    assert done.returncode == 3
    assert done.stderr.strip().count("\n") == 0 and "no such file or folder" in done.stderr


def test_propagated_models_and_a_given_partition(world, mpirun, planetoid, tmp_path, capsys):
    """SGC on two ranks with the partition from a file ends like one rank; flags and files that do not fit are named."""
    owners = tmp_path / "owners"
    owners.write_text("".join(f"{node % 2}\n" for node in range(60)))
    line = [planetoid, "--epochs", 20, "--project", 10]
    in_process(train, world, *line, "--model", "sgc", "--run", tmp_path / "one")
    in_process(train, world, *line, "--model", "sign", "--run", tmp_path / "sign", "--hold", "disk")
    assert "only a graph in chunks can stay on disk" in capsys.readouterr().out
    done = mpirun(2, "mpiedge-train", *line, "--model", "sgc", "--partition", owners, "--run", tmp_path / "two")
    assert done.returncode == 0, done.stderr
    first, second = ([row[1:] for row in curve(tmp_path / name)] for name in ("one", "two"))
    np.testing.assert_allclose(np.array(first, float), np.array(second, float), atol=2e-4)
    with pytest.raises(UsageError, match="--compress int8: this does not go together"):
        in_process(train, world, *line, "--dtype", "float64", "--compress", "int8", "--run", tmp_path / "bad")
    with pytest.raises(InputError, match="does not name one of 1 ranks"):
        in_process(train, world, *line, "--partition", owners, "--run", tmp_path / "bad")


def test_a_graph_in_chunks(world, mpirun, planetoid, tmp_path, capsys, monkeypatch):
    """Written by the demo, planned, refused where it does not fit, trained and predicted alike on one rank and on two,
    also from disk."""
    folder = tmp_path / "graph"
    in_process(demo, world, "--graph", "sbm", "--nodes", "1k", "--edges", "5k", "--out", folder)
    line = ["--graph", folder, "--epochs", 15, "--dropout", 0.2]
    in_process(train, world, *line, "--run", tmp_path / "one", "--dry-run")
    assert "1,000 nodes" in capsys.readouterr().out and not (tmp_path / "one/train/manifest.json").exists()
    with pytest.raises(MemoryPlanError, match="would need"):
        in_process(train, world, *line, "--run", tmp_path / "one", "--memory", "1MB")
    with pytest.raises(MemoryPlanError, match=r"block .*sums .*buffers"):
        in_process(train, world, *line, "--run", tmp_path / "one", "--memory", "1MB", "--hold", "disk")
    with pytest.raises(UsageError, match="graph in chunks"):
        in_process(train, world, *line, "--run", tmp_path / "one", "--partition", "metis")
    in_process(train, world, *line, "--run", tmp_path / "one")
    in_process(train, world, *line, "--run", tmp_path / "mlp", "--model", "mlp")
    done = mpirun(2, "mpiedge-train", *line, "--run", tmp_path / "two")
    assert done.returncode == 0 and "parts   ldg" in done.stdout, done.stderr
    first, second = ([row[1:] for row in curve(tmp_path / name)] for name in ("one", "two"))
    np.testing.assert_allclose(np.array(first, float), np.array(second, float), atol=2e-4)
    assert not list((tmp_path / "two").glob(".scratch/*"))
    words = ["--run", tmp_path / "one", folder, "-o"]
    done = mpirun(2, "mpiedge-predict", *words, tmp_path / "memory.csv")
    assert done.returncode == 0 and "quality accuracy" in done.stdout, done.stderr
    flags = predict_chunks.arguments
    monkeypatch.setattr(predict_chunks, "arguments", lambda model: Namespace(**vars(flags(model)) | {"hold": "disk"}))
    in_process(predict, world, *words, tmp_path / "disk.csv")
    trained = rows_of(tmp_path / "one/train/predictions.csv")
    for name in ("memory.csv", "disk.csv"):
        pairs = list(zip(rows_of(tmp_path / name), trained, strict=True))
        assert all(abs(float(one["probability"]) - float(other["probability"])) < 2e-4 for one, other in pairs)
    with pytest.raises(InputError, match="512 features, the model was trained on 12"):
        in_process(train, world, "--graph", planetoid, "--run", tmp_path / "toy", "--epochs", 1)
        in_process(predict, world, "--run", tmp_path / "toy", folder)


LIMITED = """
import re, resource, sys
import numpy, torch, mpiedge.training.session, mpiedge.training.stored
torch.zeros(1, requires_grad=True).sum().backward()
numpy.ones((512, 512)) @ numpy.ones((512, 512))  # its BLAS takes buffers once
used = int(re.search(r"VmData:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (used + 80_000_000,) * 2)
from mpiedge.commands.train import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_graph_that_does_not_fit_is_trained_from_disk(world, tmp_path):
    """With 80 MB beside the programs, a real limit, memory is too small for the graph and the plan takes the disk."""
    in_process(demo, world, "--graph", "sbm", "--nodes", "80k", "--edges", "1M", "--out", tmp_path / "graph")
    words = ["--graph", tmp_path / "graph", "--epochs", 1]
    done = {}
    for hold, budget in (("memory", "9GB"), ("auto", "350MB")):
        line = [sys.executable, "-c", LIMITED, *words, "--run", tmp_path / hold, "--hold", hold, "--memory", budget]
        done[hold] = subprocess.run([str(word) for word in line], capture_output=True, text=True,
                                    env=launch_environment())  # fmt: skip
    assert done["memory"].returncode and "out of memory" in done["memory"].stderr
    assert done["auto"].returncode == 0, done["auto"].stderr
    assert " blocks of " in done["auto"].stdout and "test acc" in done["auto"].stdout
    assert json.loads((tmp_path / "auto/train/summary.json").read_text())["hold"] == "disk"


def test_dry_run_changes_nothing(world, planetoid, tmp_path, capsys):
    """--dry-run prints the plan, trains nothing and leaves a complete training complete."""
    in_process(train, world, "--graph", planetoid, "--run", tmp_path, "--epochs", 3)
    before = (tmp_path / "train/manifest.json").read_bytes()
    capsys.readouterr()
    in_process(train, world, "--graph", planetoid, "--run", tmp_path, "--dry-run")
    said = capsys.readouterr().out
    assert "60 nodes" in said and "memory" in said and "epoch" not in said
    assert (tmp_path / "train/manifest.json").read_bytes() == before


@pytest.mark.parametrize("words", [
    ["--epochs", "0"], ["--lr", "-1"], ["--dropout", "1"], ["--model", "cnn"], ["--resume", "--fresh"],
    ["--checkpoint-every", "soon"], ["--weight-decay", "nan"], ["--compress", "zip"],
])  # fmt: skip
def test_usage_errors(words, capsys):
    """Flags out of range are usage errors before MPI starts."""
    with pytest.raises(SystemExit) as ended:
        train.build_parser().parse_args(words)
    assert ended.value.code == 2 and words[0] in capsys.readouterr().err


@pytest.mark.parametrize("flags", [["gcn", "--layers", 3], ["sage"], ["sgc"], ["sign", "--project", 9], ["mlp"]])
def test_predict_a_graph(world, planetoid, tmp_path, flags):
    """A model of a graph file predicts of that very graph what the training did; other features are refused."""
    run = ["--run", tmp_path / "run"]
    in_process(train, world, "--graph", planetoid, *run, "--epochs", 30, "--model", *flags)
    in_process(predict, world, *run, planetoid)
    files = (tmp_path / "run" / stage / "predictions.csv" for stage in ("train", "predict"))
    pairs = list(zip(*map(rows_of, files), strict=True))
    assert len(pairs) == 60
    for trained, applied in pairs:
        assert (trained["id"], trained["predicted"]) == (applied["id"], applied["predicted"])
        assert float(trained["probability"]) == pytest.approx(float(applied["probability"]), abs=2e-4)
    found = json.loads((tmp_path / "run/predict/summary.json").read_text())
    assert found["rows"] == 60 and 0 < found["accuracy"] <= 1
    other = tmp_path / "other"
    other.mkdir()
    for name, data in planetoid_files(nodes=40, columns=7, train=9, test=10)[0].items():
        (other / name).write_bytes(data)
    with pytest.raises(InputError, match="7 features"):
        in_process(predict, world, *run, other)


@pytest.mark.parametrize("flags", [["gcn", "--layers", 3], ["sage"], ["sgc"], ["mlp"]])
def test_the_network_for_other_programs(world, planetoid, tmp_path, flags):
    """ONNX's own reference gives the predictions of the training, from plain features and adjacency entries."""
    reference = pytest.importorskip("onnx.reference")
    in_process(train, world, "--graph", planetoid, "--run", tmp_path, "--epochs", 20, "--onnx", "--model", *flags)
    names = readers.file_names(str(planetoid), os.listdir(planetoid))
    graph = readers.read_graph(str(planetoid), names, lambda name: (planetoid / name).read_bytes())
    neighbours, features = adjacency(graph.edges, graph.nodes), graph.features.dense()
    found = reference.ReferenceEvaluator((tmp_path / "train/model.onnx").read_bytes())
    inputs = {}
    if flags[0] in ("gcn", "sage"):
        inputs = onnx_export.entries(neighbours, "mean" if flags[0] == "sage" else "symmetric")
    elif flags[0] == "sgc":
        near = normalised(neighbours, "symmetric").dense()
        features = near @ near @ features
    (probabilities,) = found.run(None, {"features": features, **inputs})
    rows = rows_of(tmp_path / "train/predictions.csv")
    assert [graph.classes[code] for code in probabilities.argmax(axis=1)] == [row["predicted"] for row in rows]
    np.testing.assert_allclose(probabilities.max(axis=1), [float(row["probability"]) for row in rows], atol=2e-4)


def test_the_curve_for_tensorboard(world, planetoid, tmp_path, monkeypatch):
    """Its own reader finds every epoch; without the package the flag is refused before the work."""
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_file_loader")
    line = ["--graph", planetoid, "--run", tmp_path, "--epochs", 5, "--tensorboard"]
    for _ in range(2):  # the second training replaces the first
        in_process(train, world, *line)
    (path,) = (tmp_path / "tensorboard").iterdir()
    events = [event for event in reader.EventFileLoader(str(path)).Load() if event.summary.value]
    assert [event.step for event in events] == [1, 2, 3, 4, 5]
    assert {value.tag for value in events[-1].summary.value} >= {"train_loss", "val_accuracy"}
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="tensorboard is not installed"):
        in_process(train, world, *line)
    with pytest.raises(UsageError, match="onnx is not installed"):
        in_process(train, world, *line[:-1], "--onnx")


def test_predict_says_what_is_wrong(world, planetoid, tables, tmp_path):
    """No training, a model of a graph file, edges beside a graph, missing columns, no rows, a damaged model."""
    (tmp_path / "new.csv").write_text("id,title\nN1,lens\n")
    with pytest.raises(StoreError, match="stage train is not complete"):
        in_process(predict, world, "--run", tmp_path / "none", tmp_path / "new.csv")
    in_process(train, world, "--graph", planetoid, "--run", tmp_path / "file", "--epochs", 1)
    with pytest.raises(InputError, match="trained on a graph file"):
        in_process(predict, world, "--run", tmp_path / "file", tmp_path / "new.csv")
    with pytest.raises(UsageError, match="edges of its own"):
        in_process(predict, world, "--run", tmp_path / "file", planetoid, "--edges", tmp_path / "new.csv")
    in_process(train, world, "--nodes", tables / "papers.csv", "--edges", tables / "cites.csv", "--label", "area",
               "--epochs", 1, "--run", tmp_path / "run")  # fmt: skip
    with pytest.raises(InputError, match="column year that the model uses is missing"):
        in_process(predict, world, "--run", tmp_path / "run", tmp_path / "new.csv")
    (tmp_path / "empty.csv").write_text("id,title,year\n")
    with pytest.raises(InputError, match="no rows"):
        in_process(predict, world, "--run", tmp_path / "run", tmp_path / "empty.csv")
    os.truncate(tmp_path / "run/train/model.h5", 500)
    (tmp_path / "new.csv").write_text("id,title,year\nN1,lens,1999\n")
    with pytest.raises(StoreError):
        in_process(predict, world, "--run", tmp_path / "run", tmp_path / "new.csv")


@pytest.mark.parametrize(("name", "least"), [("cora", 0.8), ("citeseer", 0.69)])
def test_real_graphs_reach_their_accuracy(world, shared_data, tmp_path, name, least):
    """One seed with the defaults comes near the published accuracy."""
    in_process(train, world, "--graph", shared_data / "graph" / name, "--run", tmp_path, "-q")
    assert json.loads((tmp_path / "train/summary.json").read_text())["test_accuracy"] >= least


@pytest.mark.parametrize("how", ["signal", "file"])
def test_a_training_that_is_asked_to_stop(world, planetoid, tmp_path, monkeypatch, how):
    """SIGUSR1 or a file named halt: a checkpoint, the curve so far, exit code 75, and the same line goes on to the
    undisturbed curve."""
    line = ["--graph", planetoid, "--epochs", 12]
    in_process(train, world, *line, "--run", tmp_path / "whole")
    begin = PartInputs.begin

    def ask(inputs, probability=0.0, *place):
        if place and place[1] == 6:
            os.kill(os.getpid(), signal.SIGUSR1) if how == "signal" else (tmp_path / "run/halt").touch()
        return begin(inputs, probability, *place)

    monkeypatch.setattr(PartInputs, "begin", ask)
    with pytest.raises(Stopped, match="stopped after epoch 5") as caught:
        in_process(train, world, *line, "--run", tmp_path / "run")
    assert caught.value.exit_code == 75
    monkeypatch.undo()
    (tmp_path / "run/halt").unlink(missing_ok=True)
    assert curve(tmp_path / "run") == curve(tmp_path / "whole")[:5]
    in_process(train, world, *line, "--run", tmp_path / "run")
    assert curve(tmp_path / "run") == curve(tmp_path / "whole")


def test_tuning_takes_the_best_setting_on_any_ranks(world, mpirun, planetoid, tmp_path, capsys):
    """Every round keeps the best third, one rank and two agree, and a tuning that was stopped goes on."""
    words = ["--graph", planetoid, "--epochs", 27, "--tune", "lr=0.001,0.01,0.05,hidden=4,16"]
    in_process(train, world, *words, "--run", tmp_path / "one")
    done = mpirun(2, "mpiedge-train", *words, "--run", tmp_path / "two")
    assert done.returncode == 0, done.stderr
    table = (tmp_path / "one/train/tune.csv").read_text()
    assert table == (tmp_path / "two/train/tune.csv").read_text()
    rows = rows_of(tmp_path / "one/train/tune.csv")
    assert [[row["round"] for row in rows].count(turn) for turn in "123"] == [6, 2, 1]
    assert {row["hidden"] for row in rows} == {"4", "16"} and [row["place"] for row in rows[:6]] == list("123456")
    summary = json.loads((tmp_path / "one/train/summary.json").read_text())
    assert summary["learning_rate"] == float(rows[-1]["lr"]) and summary["hidden"] == int(rows[-1]["hidden"])
    capsys.readouterr()
    in_process(train, world, *words, "--run", tmp_path / "one")
    assert "goes on after round 3" in capsys.readouterr().out
    state = tmp_path / "one/checkpoints/tune.h5"
    altered = bytearray(state.read_bytes())
    altered[altered.index(b'"rows": [[1, ') + 11] ^= 2  # of round 1 the program would make round 3
    state.write_bytes(altered)
    in_process(train, world, *words, "--run", tmp_path / "one")
    assert (tmp_path / "one/train/tune.csv").read_text() == table
    with pytest.raises(UsageError, match="all ranks together"):
        in_process(train, world, *words, "--model", "sgc", "--run", tmp_path / "bad")


