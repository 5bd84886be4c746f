"""Compares a finished run on demo data with its truth: `python -m mpiedge.demo.score RUN DEMO [--baseline RUN]`."""

import argparse
import csv
import json
import shlex
import sys
from collections import Counter, defaultdict
from pathlib import Path

from mpiedge.errors import InputError, MpiedgeError


def read_rows(path) -> list[dict]:
    """The rows of a CSV file; InputError when it is missing."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    except OSError as error:
        raise InputError(path, error.strerror, "Finish the run first; bin/pipeline.sh shows its stages") from error


def pair_scores(found: list, true: list) -> dict:
    """Pairwise precision, recall and F1 of a clustering; both lists give the cluster of each record.

    Pairs are counted from the sizes of the clusters and of their overlaps, so a million records are no trouble.
    """
    def pairs(labels):
        return sum(count * (count - 1) // 2 for count in Counter(labels).values())

    right, said, are = pairs(zip(found, true)), pairs(found), pairs(true)
    precision, recall = right / said if said else 1.0, right / are if are else 1.0
    f1 = 2 * right / (said + are) if said + are else 1.0
    return {"precision": precision, "recall": recall, "f1": f1, "pairs": are}


def duplicate_scores(run: Path, demo: Path) -> dict:
    """How well clean/papers.clusters.csv joins the records of one entity; records it does not list stand alone."""
    true = [row["entity_id"] for row in read_rows(demo / "truth/entities.csv")]
    found = [f"alone {row}" for row in range(len(true))]
    for row in read_rows(run / "clean/papers.clusters.csv"):
        if int(row["row"]) < len(true):  # the damaged lines at the end are no records
            found[int(row["row"])] = row["cluster_id"]
    return pair_scores(found, true)


def recovered_fds(run: Path, demo: Path) -> tuple[int, int, list[str]]:
    """(recovered, planted, the planted FDs that are missing); a smaller left-hand side counts as recovered."""
    try:
        lines = (run / "profile/fds.jsonl").read_text(encoding="utf-8").splitlines()
        planted = json.loads((demo / "truth/fds.json").read_text(encoding="utf-8"))
    except OSError as error:
        remedy = f"Run mpiedge-profile --run {shlex.quote(str(run))}"
        raise InputError(error.filename, error.strerror, remedy) from error
    found = [json.loads(line) for line in lines]
    left_sides = defaultdict(list)
    for fd in found:
        if fd.get("g3", 0) == 0:
            left_sides[fd["table"], fd["rhs"]].append(set(fd["lhs"]))
    missing = [
        f"{','.join(fd['lhs'])} -> {fd['rhs']}"
        for fd in planted
        if not any(lhs <= set(fd["lhs"]) for lhs in left_sides[fd["table"], fd["rhs"]])
    ]
    return len(planted) - len(missing), len(planted), missing


def training(run: Path) -> dict:
    """train/summary.json of a run; InputError when it is missing."""
    try:
        return json.loads((run / "train/summary.json").read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(error.filename, error.strerror, f"Run mpiedge-train --run {shlex.quote(str(run))}") from error


def stage_costs(run: Path) -> dict[str, tuple[float, float]]:
    """For each stage in timings.csv: (seconds of its slowest rank, peak memory of its largest rank in MB).

    A stage that ran again has appended its rows; they begin where `start_s` of a rank goes back, and only they count.
    """
    ranks = {}
    for row in read_rows(run / "timings.csv"):
        start_s, wall_s, peak_mb = (float(row[name] or 0) for name in ("start_s", "wall_s", "peak_rss_mb"))
        before = ranks.get((row["stage"], row["rank"]), (0.0, 0.0, 0.0))
        if start_s < before[0]:
            before = (0.0, 0.0, 0.0)
        ranks[row["stage"], row["rank"]] = (start_s, before[1] + wall_s, max(before[2], peak_mb))
    costs = {}
    for (stage, _), (_, wall_s, peak_mb) in ranks.items():
        slowest, largest = costs.get(stage, (0.0, 0.0))
        costs[stage] = (max(slowest, wall_s), max(largest, peak_mb))
    return costs


def report(run: Path, demo: Path, baseline: Path | None) -> str:
    """What came out of the run, as the lines that bin/quickstart ends with."""
    pairs = duplicate_scores(run, demo)
    recovered, planted, missing = recovered_fds(run, demo)
    lines = [
        f"duplicates  F1 {pairs['f1']:.3f} (precision {pairs['precision']:.3f}, recall {pairs['recall']:.3f} "
        f"of {pairs['pairs']:,} true pairs)",
        f"planted FDs {recovered} of {planted} recovered" + (f", missing: {'; '.join(missing)}" if missing else ""),
    ]
    trained = [training(folder) for folder in (run, baseline) if folder]
    accuracies = [f"{summary['model']} {summary['test_accuracy']:.3f}" for summary in trained]
    lines.append("accuracy    " + ", ".join(accuracies) + " on the test papers")
    lines += [
        f"{stage:11} {wall_s:6.1f} s, peak memory {peak_mb:.0f} MB per rank"
        for stage, (wall_s, peak_mb) in stage_costs(run).items()
    ]
    files = "clean/papers.csv, profile/fds.jsonl, train/predictions.csv, timings.csv, store.h5"
    return "\n".join([*lines, f"files       {run}/ ({files})"])


def main(argv: list[str] | None = None) -> int:
    """Prints the report; one line and an exit code of 3 when something is missing."""
    page = argparse.ArgumentParser(prog="python -m mpiedge.demo.score", description=__doc__)
    page.add_argument("run", type=Path, metavar="RUN", help="a finished run on demo data")
    page.add_argument("demo", type=Path, metavar="DEMO", help="the folder that mpiedge-demo wrote")
    page.add_argument("--baseline", type=Path, metavar="RUN", help="another trained run, to compare its accuracy")
    args = page.parse_args(argv)
    try:
        print(report(args.run, args.demo, args.baseline))
    except MpiedgeError as error:
        print(f"{page.prog}: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
