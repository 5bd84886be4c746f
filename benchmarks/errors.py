"""Wrong cells by their kind: which of them are found and which put right, on made-up tables of many domains.

    python benchmarks/errors.py [--only films,claims] [--seeds N] [--show]

Every table is cleaned without any configuration, in this process; found: changed or flagged, mended: as in truth.
False: cells noted that were right, of all cells noted; harm: cells changed in the same table without errors.
"""

import argparse
import csv
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

import error_tables
import numpy as np
import scores
from cleaning import REPAIR_STEPS, Bench


def main():
    """One line per table, then one per kind of error."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--only", default=",".join(error_tables.TABLES), help="tables, separated by commas")
    options.add_argument("--seeds", type=int, default=1, help="tables of each domain")
    options.add_argument("--show", action="store_true", help="what was noted falsely, by rule, with examples")
    arguments = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        for name in arguments.only.split(","):
            for seed in range(arguments.seeds):
                measure(bench, name, seed, arguments.show)


def measure(bench, name: str, seed: int, show: bool) -> None:
    """Clean one table with its errors and without them."""
    names, wrong, truth, kinds = error_tables.dirty(np.random.default_rng(seed), error_tables.TABLES[name])
    noted, rules, after = clean(bench, f"{name}{seed}", names, wrong)
    changed = {(row, place) for row, cells in enumerate(after) for place, cell in enumerate(cells)
               if cell != wrong[row][place]}
    noted |= changed
    right = {(row, place) for row, place in changed if after[row][place] == truth[row][place]}
    found = scores.precision_recall(len(noted & set(kinds)), len(noted), len(kinds))
    mended = scores.precision_recall(len(right), len(changed), len(kinds))
    _, rules_sound, sound = clean(bench, f"{name}{seed}sound", names, truth)
    harm = sum(a != b for old, new in zip(truth, sound) for a, b in zip(old, new))
    print(f"{name:12} seed {seed}   detection {found[0]:.3f}/{found[1]:.3f}/{found[2]:.3f}   repair "
          f"{mended[0]:.3f}/{mended[1]:.3f}/{mended[2]:.3f}   harm {harm} changed, {len(rules_sound) - harm} flagged "
          f"of {len(truth) * len(names)}   {bench.took():.1f} s", flush=True)
    tally = defaultdict(Counter)
    for cell, kind in kinds.items():
        tally[f"{kind} ({names[cell[1]]})"].update(all=1, found=cell in noted, mended=cell in right)
    for kind, counts in tally.items():
        print(f"    {kind:36} {counts['all']:4}   found {counts['found'] / counts['all']:.2f}   "
              f"mended {counts['mended'] / counts['all']:.2f}")
    if show:
        _show(names, wrong, truth, kinds, rules)
        _show(names, truth, truth, {}, rules_sound)


def clean(bench, title: str, names, rows):
    """(cells noted, {cell: (rule, after, confidence)}, rows after)."""
    path = bench.scratch / f"{title}.csv"
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([names, *rows])
    table, changes = bench.clean(path, *REPAIR_STEPS)
    if len(table) != len(rows) + 1:
        raise SystemExit(f"{title}: {len(table) - 1} of {len(rows)} rows came back")
    rules = {(int(row), names.index(column)): (rule, after, confidence)
             for row, column, rule, _, after, confidence in changes}
    return set(rules), rules, table[1:]


def _show(names, wrong, truth, kinds, rules) -> None:
    false = defaultdict(list)
    total = Counter()
    for (row, place), (rule, after, sure) in rules.items():
        total[names[place], rule] += 1
        if (row, place) not in kinds:
            false[names[place], rule].append(f"{wrong[row][place]} > {after} ({sure})")
        elif after not in (truth[row][place], wrong[row][place]):
            false[names[place], f"{rule} [{kinds[row, place]}]"].append(
                f"{wrong[row][place]} > {after}, not {truth[row][place]} ({sure})")
    for (column, rule), cells in sorted(false.items(), key=lambda item: -len(item[1])):
        print(f"      false {len(cells)} of {total[column, rule]} {column}, {rule}: {'; '.join(cells[:4])}")


if __name__ == "__main__":
    main()
