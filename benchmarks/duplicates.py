"""Duplicates on tables with a known truth: F1 over the pairs inside the clusters, rows merged wrongly, CPU and memory.

    python benchmarks/duplicates.py --data DIR [--clean DIR ...] [--only NAME] [--ranks N]

DIR holds the real tables (NAME.csv with rec_id first, NAME_truth.csv); further tables are derived of them
(duplicate_tables.py, once_tables.py). Every table goes through the whole program, with no flag but --id and --source.
Of the tables without duplicates, and of those in the folders or files given with --clean, it counts the rows that were
merged though no other row equals them.
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import duplicate_tables  # noqa: F401 (registers its tables)
import once_tables  # noqa: F401
import table_parts as tables

from mpiedge.demo.score import pair_scores

REAL = {"febrl1": False, "febrl3": False, "febrl4": False, "fake_1000": False, "cora": False, "restaurant": False,
        "abt_buy": True}
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
    options.add_argument("--json", type=Path, help="write the figures here, a line per table")
    arguments = options.parse_args()
    tables.folder = arguments.data

    def wanted(name):
        return not arguments.only or any(part in name for part in arguments.only)

    results = []
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
    if arguments.json:
        arguments.json.write_text("".join(json.dumps(result) + "\n" for result in results))


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
            with path.open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([["rec_id", *names], *([f"r{number}", *row]
                                                                  for number, row in enumerate(rows))])
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
                     "note": note}


if __name__ == "__main__":
    main()
