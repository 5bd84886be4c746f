"""Quality of cleaning on tables whose truth is known: structure, wrong cells, missing cells, and harm to clean tables.

    python benchmarks/cleaning.py --data DIR [--only structure,polluted,repair,impute,harm] [--every N]
    python benchmarks/cleaning.py --data DIR --only peers [--every N]
    python benchmarks/cleaning.py --scale 10000,100000,500000,5000000 [--only plain,demo,duplicates] [--ranks N]

DIR holds structure/NAME/{csv,clean}/*.csv, repair/[KIND/]NAME/{dirty,clean}.csv and impute/NAME/{complete,...}.csv;
archives in it (tar.xz) are unpacked aside. Every table is cleaned without any configuration, in this process, at one
rank; times are CPU seconds. peers: other programs (pip install -e .[bench]) and mpiedge on the same files, each in one
process for all files of a set.
"""

import argparse
import contextlib
import io
import json
import sys
import tarfile
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

import pollute
import scores

from mpiedge.commands import clean
from mpiedge.store.layout import table_name

AREAS = ("structure", "polluted", "repair", "impute", "harm")
REPAIR_STEPS = ("--keep-duplicates", "--steps", ",".join(step for step in clean.STEPS
                                                         if step not in ("duplicates", "impute")))
IMPUTE_STEPS = ("--keep-duplicates", "--steps", ",".join(step for step in clean.STEPS if step != "duplicates"))
NAMES = {"polluted_files": "polluted (given)", "survey_sample": "real files"}


class Bench:
    """Cleans tables in a scratch folder; seconds: CPU of all of them."""

    def __init__(self, scratch: Path):
        self.scratch, self.number, self.seconds = scratch, 0, 0.0

    def clean(self, path: Path, *flags: str):
        """(rows of the clean table with its header, rows of its changes), None for what could not be cleaned."""
        self.number += 1
        run = self.scratch / f"run-{self.number}"
        start, told = time.process_time(), io.StringIO()
        try:
            with contextlib.redirect_stderr(told):
                clean.main([str(path), "--run", str(run), "-q", *flags])
        except SystemExit as end:
            if end.code not in (3, None, 0):
                print(f"{path}: {told.getvalue().strip()[-300:]}", file=sys.stderr)
            return None
        finally:
            self.seconds += time.process_time() - start
        table = run / "clean" / f"{table_name(str(path))}.csv"
        return scores.read_csv(table), scores.read_csv(table.with_name(f"{table.stem}.changes.csv"))[1:]

    def took(self) -> float:
        """CPU seconds since the last call."""
        seconds, self.seconds = self.seconds, 0.0
        return seconds


def main():
    """Measure every area asked for and print one line per set."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--data", type=Path, help="folder with structure/, repair/ and impute/")
    options.add_argument("--scale", metavar="ROWS", help="instead: time and memory of tables with so many rows")
    options.add_argument("--ranks", type=int, default=2, help="ranks of --scale, each below 300 MB")
    options.add_argument("--only", default=",".join(AREAS), help="areas, separated by commas")
    options.add_argument("--every", type=int, default=1, metavar="N", help="only each N-th file of structure sets")
    options.add_argument("--show", action="store_true", help="name the tables that are not right")
    arguments = options.parse_args()
    if arguments.scale:
        scale(arguments)
        return
    if arguments.data is None:
        options.error("--data or --scale is needed")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        data = unpack(arguments.data, Path(folder))
        for area in arguments.only.split(","):
            globals()[f"measure_{area}"](bench, data, arguments)


def scale(arguments) -> None:
    """Time and memory against the rows."""
    sys.path[0] = str(Path(__file__).resolve().parent.parent)   # here is a queue.py, which would hide the library's
    from benchmarks import cleaning_scale

    kinds = [kind for kind in arguments.only.split(",") if kind in cleaning_scale.TABLES] or list(cleaning_scale.TABLES)
    with tempfile.TemporaryDirectory() as folder:
        cleaning_scale.compare(Path(folder), [int(rows) for rows in arguments.scale.split(",")], kinds,
                               arguments.ranks, 7200)


def unpack(data: Path, folder: Path) -> list[Path]:
    """The folders to look into: the data, and what its archives hold."""
    unpacked = folder / "unpacked"
    for archive in sorted(data.rglob("*.tar.xz")):
        with tarfile.open(archive) as file:
            file.extractall(unpacked, filter="data")
    return [data, unpacked]


def measure_structure(bench, data, arguments):
    """Files with a known table: exactly right, and F1 over cells."""
    for folder in sorted(path.parent for place in data for path in place.rglob("csv") if path.is_dir()):
        found, wrong = defaultdict(list), []
        for path in sorted((folder / "csv").iterdir())[::arguments.every]:
            table = bench.clean(path, "--steps", "structure")
            score = scores.structure(table[0] if table else [], scores.read_csv(folder / "clean" / path.name))
            for name, value in score.items():
                found[name].append(value)
            wrong += [path.name] * (not score["exact"])
        line(NAMES.get(folder.name, folder.name), found, bench, len(found["exact"]))
        tell(arguments, wrong)


def measure_polluted(bench, data, arguments):
    """Sound tables of the repair and impute sets, 25 to 150 rows each, damaged by a seeded generator."""
    tables = [path for place in data for path in sorted([*place.rglob("clean.csv"), *place.rglob("complete.csv")])]
    for damage in pollute.DAMAGES:
        found, wrong = defaultdict(list), []
        for seed, path in enumerate(tables[::max(1, arguments.every)]):
            rows = scores.read_csv(path)[:25 + 37 * seed % 126]
            target = bench.scratch / f"{damage.replace(' ', '_')}_{seed}.csv"
            target.write_bytes(pollute.damaged(rows, damage, seed))
            table = bench.clean(target, "--steps", "structure")
            score = scores.structure(table[0] if table else [], pollute.wanted(rows, damage, seed))
            for name, value in score.items():
                found[name].append(value)
            wrong += [f"{path.parent.parent.name}/{path.parent.name}"] * (not score["exact"])
        line(damage, found, bench, len(found["exact"]))
        tell(arguments, wrong)


def measure_repair(bench, data, arguments):
    """Wrong cells: detection (changed or flagged) and repair; sure: share of right ones where confidence >= .9."""
    sets = defaultdict(list)
    for place in data:
        for path in sorted(place.rglob("dirty.csv")):
            alone = (place / "repair") == path.parent.parent
            sets[path.parent.name if alone else path.parent.parent.name].append(path)
    for name, paths in sets.items():
        total, sure, by_rule = Counter(), Counter(), defaultdict(Counter)
        for path in paths:
            dirty, truth = scores.read_csv(path), scores.read_csv(path.with_name("clean.csv"))
            table = bench.clean(path, *REPAIR_STEPS)
            if not table or len(table[0]) != len(dirty):
                print(f"        {path}: {len(table[0]) if table else 0} of {len(dirty)} rows came back")
                total["wrong"] += sum(a != b for old, new in zip(dirty, truth) for a, b in zip(old, new))
                continue
            noted = judge(table[1], dirty, truth, sure, by_rule)
            total += scores.repair(dirty[1:], table[0][1:], truth[1:], noted)
        detect = scores.precision_recall(total["noted_wrong"], total["noted"], total["wrong"])
        mend = scores.precision_recall(total["right"], total["changed"], total["wrong"])
        print(f"{name:20} detection {detect[0]:.3f}/{detect[1]:.3f}/{detect[2]:.3f}   repair "
              f"{mend[0]:.3f}/{mend[1]:.3f}/{mend[2]:.3f}   sure {sure['right']}/{sure['all']}   "
              f"{bench.took():6.1f} s", flush=True)
        steps = sorted(key[1] for key in sure if key[0] == "changes")
        print("        right by confidence   " + "   ".join(
            f"{step:.2f}: {sure['right', step] / sure['changes', step]:.2f} of {sure['changes', step]}"
            for step in steps), flush=True)
        if arguments.show:
            for rule, counts in sorted(by_rule.items(), key=lambda item: -item[1]["all"]):
                print(f"        {rule:50} {counts['all']:6} found {counts['wrong']:6} wrong {counts['right']:6} mended")


def judge(changes, dirty, truth, sure, by_rule) -> set:
    """Cells noted in changes.csv; counts per rule and among changes with a confidence of .9 or more."""
    noted = set()
    for row, column, rule, before, after, confidence in changes:
        if not column or column not in dirty[0]:
            continue
        at, place = int(row), dirty[0].index(column)
        if at + 1 >= len(truth) or place >= min(len(truth[at + 1]), len(dirty[at + 1])):
            continue   # no cell of the truth
        noted.add((at, place))
        wanted = truth[at + 1][place]
        kind = rule.split(":")[0] if not rule.startswith("flag") else rule
        by_rule[kind]["all"] += 1
        by_rule[kind]["wrong"] += dirty[at + 1][place] != wanted
        by_rule[kind]["right"] += after == wanted and before != after
        if float(confidence) >= 0.9 and before != after:
            sure["all"] += 1
            sure["right"] += after == wanted
        if before != after:
            step = min(int(float(confidence) * 20) / 20, 0.95)
            sure["changes", step] += 1
            sure["right", step] += after == wanted
    return noted


def measure_impute(bench, data, arguments):
    """Masked cells: RMSE over z-scored numbers, accuracy over words."""
    for folder in sorted(path.parent for path in data[0].rglob("complete.csv")):
        truth = scores.read_csv(folder / "complete.csv")[1:]
        for path in sorted(folder.glob("m*.csv")):
            dirty, table = scores.read_csv(path)[1:], bench.clean(path, *IMPUTE_STEPS)
            score = scores.imputation(dirty, table[0][1:], truth)
            print(f"{folder.name + ' ' + path.stem:20} RMSE {score['rmse']:.3f}   accuracy {score['accuracy']:.3f}   "
                  f"filled {score['filled']:.3f}   {bench.took():6.1f} s", flush=True)


def measure_harm(bench, data, arguments):
    """Clean tables: cells that were changed though they were right, of all cells."""
    total = Counter()
    tables = [path for place in data for path in sorted([*place.rglob("clean.csv"), *place.rglob("complete.csv")])
              if path.parent.name != "clean"]
    for path in tables:
        before, found = scores.read_csv(path), bench.clean(path, *IMPUTE_STEPS)
        after = found[0] if found else []
        changed = Counter()
        for _, column, rule, old, new, _ in found[1] if found else []:
            changed[f"{rule.split(':')[0]} ({column})"] += old != new
            total["flags"] += old == new
        lost = abs(len(before) - len(after))
        cells = sum(map(len, before))
        pairs = zip(before, after) if not lost else []
        number = sum(a != b for old, new in pairs for a, b in zip(old, new)) or changed.total()
        total.update(tables=1, cells=cells, changed=number, lost=lost, touched=number + lost > 0)
        if arguments.show and (number or lost):
            print(f"        {path.parent.parent.name}/{path.parent.name}: {number} of {cells} cells, {lost} rows; "
                  f"{dict(changed.most_common(4))}")
    print(f"{'harm':20} {total['changed']} of {total['cells']} cells changed, {total['flags']} flagged, {total['lost']}"
          f" rows lost in {total['touched']} of {total['tables']} clean tables   {bench.took():6.1f} s", flush=True)


def measure_peers(bench, data, arguments):
    """Structure and missing cells by other programs beside mpiedge: quality, CPU and wall seconds, peak memory."""
    sys.path[0] = str(Path(__file__).resolve().parent.parent)   # here is a queue.py, which would hide the library's
    from benchmarks import cleaning_peers, measure

    for kind, name, pairs in peer_sets(data, arguments.every):
        listed = bench.scratch / "files.json"
        listed.write_text(json.dumps([str(path) for path, _ in pairs]))
        for place, program in enumerate(cleaning_peers.PROGRAMS[kind]):
            out = bench.scratch / f"{name}-{place}".replace(" ", "_")
            out.mkdir()
            done = measure.run([sys.executable, cleaning_peers.__file__, program, kind, listed, out], 3600)
            if done is None:
                continue   # not installed: measure has said so
            scored = defaultdict(list)
            for number, (path, truth) in enumerate(pairs):
                found = out / f"{number}.csv"
                rows = scores.read_csv(found) if found.exists() else []
                wanted = scores.read_csv(truth)
                score = scores.structure(rows, wanted) if kind == "structure" else scores.imputation(
                    scores.read_csv(path)[1:], rows[1:] or scores.read_csv(path)[1:], wanted[1:])
                for key, value in score.items():
                    scored[key].append(value)
            took = json.loads(done["out"].splitlines()[-1])
            means = "   ".join(f"{key} {sum(values) / len(values):.3f}" for key, values in scored.items())
            print(f"{name:20} {program:12} {means}   {len(pairs)} files   {took['cpu_s']:.1f} CPU s "
                  f"({took['start_cpu_s']:.1f} to start), {took['wall_s']:.1f} s wall, {took['rss_mb']:.0f} MB, "
                  f"{took['failed']} failed", flush=True)


def peer_sets(data, every: int):
    """(structure or impute, name, [(file, its truth)]) of each set."""
    for folder in sorted(path.parent for place in data for path in place.rglob("csv") if path.is_dir()):
        yield "structure", NAMES.get(folder.name, folder.name), [
            (path, folder / "clean" / path.name) for path in sorted((folder / "csv").iterdir())[::every]]
    for folder in sorted(path.parent for path in data[0].rglob("complete.csv")):
        for path in sorted(folder.glob("m*.csv")):
            yield "impute", f"{folder.name} {path.stem}", [(path, folder / "complete.csv")]


def line(name, found, bench, files) -> None:
    """Print the mean of each score."""
    means = "   ".join(f"{key} {sum(values) / len(values):.3f}" for key, values in found.items())
    print(f"{name:20} {means}   {files} files   {bench.took():6.1f} s", flush=True)


def tell(arguments, wrong) -> None:
    """With --show, the names of what is not right."""
    if arguments.show and wrong:
        print("        " + " ".join(wrong))


if __name__ == "__main__":
    main()
