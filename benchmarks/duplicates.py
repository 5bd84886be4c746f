"""Duplicates on tables with a known truth: F1 over the pairs inside the clusters, rows merged wrongly, CPU and memory.

    python benchmarks/duplicates.py --data DIR [--clean DIR ...] [--only NAME] [--ranks N] [--peers PYTHON]

DIR holds the real tables (NAME.csv with rec_id first, NAME_truth.csv); further tables are derived of them
(duplicate_tables.py, once_tables.py), others are made up (domain_tables.py, domain_people.py).
Every table goes through the whole program, with no flag but --id and --source.
Of the tables without duplicates, and of those in the folders or files given with --clean, it counts the rows that were
merged though no other row equals them. With --peers, Splink and recordlinkage (duplicate_peers.py, run by the Python
that has them) stand beside mpiedge on the tables for which there are rules, all measured as whole processes.
"""

import argparse
import csv
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import domain_people  # noqa: F401 (registers its tables)
import domain_tables  # noqa: F401
import duplicate_tables  # noqa: F401
import numpy as np
import once_tables  # noqa: F401
import table_parts as tables

from mpiedge.demo.score import pair_scores

REAL = {"febrl1": False, "febrl3": False, "febrl4": False, "fake_1000": False, "cora": False, "restaurant": False,
        "abt_buy": True}
PEERED = {"febrl1": "febrl", "febrl3": "febrl", "febrl4": "febrl", "fake_1000": "fake", "hubs_50k": "hubs"}
STEPS = "structure,types,formats,duplicates"
HEAD = f"{'table':28}{'rows':>8}{'pairs':>8}{'precision':>11}{'recall':>8}{'F1':>7}{'CPU s':>8}{'wall s':>8}{'MB':>6}"


def main():
    """Measure every table and print one line each."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--data", type=Path, required=True, help="folder of the real tables and their truth")
    options.add_argument("--clean", type=Path, nargs="*", default=[], help="tables, or folders of tables, whose rows "
                         "are different things")
    options.add_argument("--only", nargs="*", help="only tables with one of these in their names")
    options.add_argument("--ranks", type=int, default=1)
    options.add_argument("--peers", help="a Python with splink and recordlinkage: they run beside mpiedge")
    options.add_argument("--json", type=Path, help="write the figures here, a line per table")
    arguments = options.parse_args()
    tables.folder = arguments.data

    def wanted(name):
        return not arguments.only or any(part in name for part in arguments.only)

    results = []
    if arguments.peers:
        results = [line for name, family in PEERED.items() if wanted(name)
                   for line in compare(name, family, *(table_of(name, False) if name in REAL
                                                       else tables.DERIVED[name]()), arguments)]
        return write(results, arguments.json)
    print(HEAD)
    for name, source in REAL.items():
        if wanted(name):
            results.append(report(name, *table_of(name, source), arguments))
    derived = [report(name, *make(), arguments) for name, make in tables.DERIVED.items() if wanted(name)]
    if derived:
        print(f"mean F1 of {len(derived)} derived tables {sum(one['f1'] for one in derived) / len(derived):.3f}, least "
              f"{min(one['f1'] for one in derived):.3f}")
    results += derived
    print(f"{'without duplicates':28}{'rows':>8}{'merged':>8}{'share':>11}")
    results += [harm(name, *make(), arguments) for name, make in tables.WITHOUT.items() if wanted(name)]
    for path in arguments.clean:
        for file in sorted(path.rglob("*.csv")) if path.is_dir() else [path]:
            if wanted(str(file)):
                results.append(harm(f"{file.parent.name}/{file.stem}", None, None, None, arguments, file))
    return write(results, arguments.json)


def write(results: list[dict], path: Path | None) -> None:
    """The figures, a line of JSON each."""
    if path:
        path.write_text("".join(json.dumps(result) + "\n" for result in results))


def compare(name, family, names, rows, entity, arguments):
    """One line each for mpiedge and its peers on one table; CPU, wall and memory are those of the whole processes."""
    print(f"{name} ({len(rows):,} rows)\n{'':16}{'pairs: precision, recall, F1':>30}{'clusters: same three':>24}"
          f"{'candidate recall':>18}{'CPU s':>8}{'wall s':>8}{'MB':>6}")
    for tool in ("mpiedge", "splink", "recordlinkage"):
        with tempfile.TemporaryDirectory() as scratch:
            table, out = Path(scratch) / "table.csv", Path(scratch) / "out.npz"
            write_table(table, names, rows)
            before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
            if tool == "mpiedge":
                cluster, figures = clean(names, rows, arguments)
                recall = (figures["candidate_recall"] or {}).get("share")
            else:
                done = subprocess.run([arguments.peers, Path(__file__).parent / "duplicate_peers.py", tool, family,
                                       table, out], check=False, capture_output=True, text=True)
                if done.returncode:
                    print(f"{tool:16} failed: {done.stderr.splitlines()[-1]}")
                    continue
                figures = json.loads(done.stdout.splitlines()[-1])
                with np.load(out) as found:
                    cluster = found["cluster"].tolist()
                    recall = share_found(found["a"], found["b"], np.unique(entity, return_inverse=True)[1])
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            figures |= {"wall_s": time.perf_counter() - began, "candidate_recall": recall,
                        "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime}
        line = {"table": name, "tool": tool, "rows": len(rows), **pair_scores(cluster, entity),
                **cluster_scores(cluster, entity), **figures}
        print(f"{tool:16}{line['precision']:14.3f}{line['recall']:8.3f}{line['f1']:8.3f}"
              f"{line['cluster_precision']:10.3f}{line['cluster_recall']:7.3f}{line['cluster_f1']:7.3f}"
              f"{'-' if recall is None else format(recall, '.3f'):>18}{line['cpu_s']:8.1f}{line['wall_s']:8.1f}"
              f"{line['rss_mb']:6.0f}", flush=True)
        yield line


def share_found(a, b, entity) -> float:
    """Share of the pairs of rows of one entity that are among the candidate pairs (a, b)."""
    true = np.stack([a, b], axis=1)[entity[a] == entity[b]]
    are = pair_scores(entity.tolist(), entity.tolist())["pairs"]
    return len(np.unique(np.sort(true, axis=1), axis=0)) / max(are, 1)


def cluster_scores(cluster, entity) -> dict:
    """Precision, recall and F1 over whole clusters: one counts when exactly its records are those of an entity."""
    said, are, both = Counter(cluster), Counter(entity), Counter(zip(cluster, entity))
    right = sum(count == said[one] == are[other] for (one, other), count in both.items())
    return {"cluster_precision": right / len(said), "cluster_recall": right / len(are),
            "cluster_f1": 2 * right / (len(said) + len(are))}


def write_table(path: Path, names, rows) -> None:
    """A CSV with a number for each row first."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["rec_id", *names], *([f"r{number}", *row] for number, row in enumerate(rows))])


def table_of(name: str, source: bool):
    """A real table, without its column of sources unless it is linked."""
    names, rows, entity = tables.real(name)
    return (names, rows, entity) if source else tables.columns((names, rows, entity),
                                                              [one for one in names if one != "source"])


def report(name, names, rows, entity, arguments) -> dict:
    """One line for a table whose entities are known."""
    cluster, figures = clean(names, rows, arguments)
    scores = pair_scores(cluster, entity)
    if "source" in names:  # pairs inside a source are no links
        place = names.index("source")
        scores = link_scores(cluster, entity, [row[place] for row in rows])
    print(f"{name:28}{len(rows):8}{scores['pairs']:8}{scores['precision']:11.3f}{scores['recall']:8.3f}"
          f"{scores['f1']:7.3f}{figures['cpu_s']:8.1f}{figures['wall_s']:8.1f}{figures['rss_mb']:6.0f}  "
          f"{figures['note']}", flush=True)
    return {"table": name, "rows": len(rows), **scores, **figures}


def link_scores(cluster, entity, source) -> dict:
    """As `pair_scores`, over pairs of rows of different sources."""
    def pairs(keys):
        inside, across = Counter(keys), Counter(zip(keys, source))
        return (sum(count * (count - 1) // 2 for count in inside.values())
                - sum(count * (count - 1) // 2 for count in across.values()))

    right, said, are = pairs(list(zip(cluster, entity))), pairs(list(cluster)), pairs(list(entity))
    return {"precision": right / said if said else 1.0, "recall": right / are if are else 1.0,
            "f1": 2 * right / (said + are) if said + are else 1.0, "pairs": are}


def harm(name, names, rows, entity, arguments, path=None) -> dict:
    """One line for a table without duplicates: the rows merged that equal no other."""
    cluster, figures = clean(names, rows, arguments, path)
    merged = len(cluster) - len(set(cluster)) - figures["equal_rows"]
    print(f"{name[-28:]:28}{len(cluster):8}{merged:8}{merged / max(len(cluster), 1):11.4f}{figures['cpu_s']:34.1f}"
          f"{figures['wall_s']:8.1f}{figures['rss_mb']:6.0f}  {figures['note']}", flush=True)
    return {"table": name, "rows": len(cluster), "merged": merged, **figures}


def clean(names, rows, arguments, path=None) -> tuple[list[int], dict]:
    """Runs the program on a table; returns the cluster of each row, and figures."""
    with tempfile.TemporaryDirectory() as scratch:
        flags = []
        if path is None:
            path = Path(scratch) / "table.csv"
            write_table(path, names, rows)
            flags = ["--id", "rec_id", *(["--source", "source"] if "source" in names else [])]
        run = Path(scratch) / "run"
        launcher = ["mpirun", "-n", str(arguments.ranks)] if arguments.ranks > 1 else []
        done = subprocess.run([*launcher, sys.executable, "-m", "mpiedge.commands.clean", path, "--run", run, "-q",
                               "--keep-duplicates", "--steps", STEPS, *flags], check=False, stdin=subprocess.DEVNULL)
        if done.returncode:
            sys.exit(f"{path}: mpiedge-clean ended with {done.returncode}")
        with (run / f"clean/{path.name.split('.')[0]}.clusters.csv").open(newline="") as file:
            cluster = [int(row["cluster_id"]) for row in csv.DictReader(file)]
        with (run / "timings.csv").open(newline="") as file:
            timings = list(csv.DictReader(file))
        search = next(iter(json.loads((run / "clean/summary.json").read_text())["tables"].values()))["search"]
    by_rank = Counter()
    for row in timings:
        by_rank[row["rank"]] += float(row["wall_s"] or 0)
    note = ", ".join(f"{key}: {value}" for key, value in (
        ("one column", search.get("one_column")), ("twins", search.get("twin_columns")),
        ("left out", search.get("columns_that_differ_by_record")), ("cut", search.get("cut")),
        ("review", [link["expected_f1"] for link in search.get("links", ()) if link["review"]])) if value)
    equal = search.get("equal_rows", len(cluster) - len(set(cluster)) if search["how"] == "equal" else 0)
    return cluster, {"cpu_s": sum(float(row["cpu_s"] or 0) for row in timings), "wall_s": max(by_rank.values()),
                     "rss_mb": max(float(row["peak_rss_mb"] or 0) for row in timings), "equal_rows": equal,
                     "candidate_recall": search.get("candidate_recall"), "note": note}


if __name__ == "__main__":
    main()
