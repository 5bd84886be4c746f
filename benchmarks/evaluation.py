"""What bin/evaluate measured: publishes what tables and plots rest on, and draws the plots.

    python benchmarks/evaluation.py publish results/evaluation results/published
    python benchmarks/evaluation.py plot elapsed          elapsed, balance, sent or peak: results/published/elapsed.svg

A published run has its times, settings, summaries and manifests, no data. evaluation.csv has a row for each stage of
each configuration, the same as `mpiedge-compare --csv` of the runs on tables of one size: the reference is one host, if
it was measured. A size that is not the usual one stands behind the name of the cluster: commodity-300k-static-1.
"""

import csv
import json
import re
import shlex
import shutil
import sys
from pathlib import Path

from mpiedge.report import plots
from mpiedge.report.compare import compare, group_runs
from mpiedge.report.energy import read_power
from mpiedge.report.read import STAGES, read_run
from mpiedge.report.tables import to_csv

PUBLISHED = Path("results/published")
KEPT = ("timings.csv", "metrics.csv", "decisions.csv")
FIGURES = {"elapsed": ("elapsed_s", "s", 1.0), "balance": ("load_balance", "load balance (mean/max compute)", 1.0),
           "sent": ("bytes_sent", "MB sent by all ranks", 1e6),
           "peak": ("peak_rss_mb", "MB, largest peak of a rank", 1.0)}


def publish(source: Path, target: Path) -> None:
    """Copies what is read of each run, and writes evaluation.csv."""
    target.mkdir(parents=True, exist_ok=True)
    runs = [run for run in sorted(source.iterdir()) if (run / "train/manifest.json").is_file()]
    for run in sorted(runs, key=lambda run: not run.name.startswith("one-")):
        place = target / run.name
        shutil.rmtree(place, ignore_errors=True)
        for name in (*KEPT, *(f"{stage}/{file}" for stage in STAGES for file in ("manifest.json", "summary.json"))):
            if (run / name).is_file():
                (place / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(run / name, place / name)
        (place / "run.json").write_text(json.dumps(plain(json.loads((run / "run.json").read_text())), indent=1) + "\n")
    (target / "evaluation.csv").write_text(to_csv(compared(target)) + "\n")


def compared(folder: Path) -> list:
    """The published runs compared, those on tables of one size with each other."""
    sizes: dict[str, list] = {}
    for run in published(folder):
        size = re.match(r"[a-z]+-(\d+k?)-", run.name)
        sizes.setdefault(size[1] if size else "", []).append(read_run(run))
    return [line for runs in sizes.values() for line in compare(group_runs(runs, read_power()))]


def plain(about: dict) -> dict:
    """run.json without the folder that the programs lie in."""
    for entry in about.values():
        words = shlex.split(entry["argv"])
        entry["argv"] = shlex.join([Path(words[0]).name, *words[1:]])
    return about


def published(folder: Path) -> list[Path]:
    """The published runs, one host first."""
    return sorted((path.parent for path in folder.glob("*/timings.csv")), key=lambda run: (run.name[:4] != "one-", run))


def plot(name: str, folder: Path = PUBLISHED) -> None:
    """One SVG: a bar for each configuration, stage below stage."""
    column, unit, scale = FIGURES[name]
    with open(folder / "evaluation.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row[column] and row["stage"] != "all"]
    title = f"{name}: {unit}. Clusters were emulated on one computer."
    drawn = [(f"{row['stage']} {row['configuration'].rpartition('-')[0]}", float(row[column]) / scale,
              f"{float(row[column]) / scale:.3g}") for row in rows]
    content = plots.bars(title, drawn).split("<svg", 1)[1].rsplit("</div>", 1)[0]
    caption = f'<svg xmlns="http://www.w3.org/2000/svg" color="black" {content}'
    (folder / f"{name}.svg").write_text(caption)


if __name__ == "__main__":
    what, *paths = sys.argv[1:]
    if what == "publish":
        publish(*map(Path, paths))
    else:
        plot(*paths)
