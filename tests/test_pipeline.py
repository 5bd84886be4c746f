"""The whole way, dirty CSV files to predictions, gives the same files at any number of ranks, shared and served."""

import hashlib
import json
import shutil

import h5py
import numpy as np


def test_a_stage_built_on_an_older_one_is_refused(runs, tmp_path, demo, mpirun):
    """Cleaned again in another way after profile: train says so in one line and names the remedy."""
    run = tmp_path / "run"
    shutil.copytree(runs[1, "shared"], run)
    again = mpirun(0, "mpiedge-clean", demo / "papers.csv", demo / "cites.csv", "--keep-duplicates", "--run", run)
    assert again.returncode == 0, again.stderr
    done = mpirun(0, "mpiedge-train", "--label", "area", "--run", run)
    assert done.returncode == 3
    assert done.stderr.strip() == (f"mpiedge-train: {run}: clean was run again after profile. "
                                   f"Run mpiedge-profile --run {run}")


def checksums(run):
    """Checksum of every file of clean and profile and of the joint file, by its path in the run."""
    files = [path for stage in ("clean", "profile") for path in (run / stage).rglob("*") if path.is_file()]
    return {str(path.relative_to(run)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in [*files, run / "store.h5"]}


def test_clean_and_profile_write_the_same_bytes(runs):
    """Every file, manifests and the joint file included, is equal to that of one rank."""
    expected = checksums(runs[1, "shared"])
    assert {"clean/papers.csv", "clean/cites.csv", "profile/fds.jsonl", "clean/manifest.json"} <= set(expected)
    for way, run in runs.items():
        found = checksums(run)
        assert sorted(found) == sorted(expected), way
        different = [name for name in expected if found[name] != expected[name]]
        assert not different, f"{way}: {different}"


def weights(run):
    """The trained weights by name."""
    with h5py.File(run / "train/model.h5") as file:
        return {name: item[:] for name, item in file.items() if name.startswith(("weight", "bias"))}


def test_training_gives_the_same_weights(runs):
    """Without dropout the weights after 20 epochs differ by at most 1e-4 from those of one rank."""
    expected = weights(runs[1, "shared"])
    assert expected
    for way, run in runs.items():
        found = weights(run)
        assert sorted(found) == sorted(expected)
        for name, values in expected.items():
            assert np.abs(values - found[name]).max() <= 1e-4, (way, name)


def test_the_summary_tells_the_ranks(runs):
    """Each training says how many ranks took part and the same accuracy."""
    summaries = {way: json.loads((run / "train/summary.json").read_text()) for way, run in runs.items()}
    assert {way[0]: summary["ranks"] for way, summary in summaries.items()} == {1: 1, 2: 2, 3: 3, 4: 4}
    assert len({round(summary["test_accuracy"], 4) for summary in summaries.values()}) == 1


def test_timings_have_a_row_for_each_rank_and_stage(runs):
    """timings.csv is one table over all stages of a run."""
    import csv

    with open(runs[3, "served"] / "timings.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(row["stage"], row["rank"]) for row in rows} == {
        (stage, rank) for stage in ("clean", "profile", "train") for rank in "012"}
    assert all(row["status"] == "ok" for row in rows)


def test_trace_shows_every_rank(runs):
    """--trace leaves a timeline with the phases of each rank, in microseconds."""
    for (ranks, _), run in runs.items():
        events = json.loads((run / "trace.json").read_text())["traceEvents"]
        calls = [event for event in events if event["ph"] == "X"]
        assert {(event["pid"], event["name"]) for event in calls} >= {(rank, "discover") for rank in range(ranks)}
        assert all(event["dur"] >= 0 and event["args"]["stage"] == "profile" for event in calls)
