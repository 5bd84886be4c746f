"""Tables that cannot be decided without a person: F1 over pairs before and after twenty answers.

    python benchmarks/duplicate_answers.py --data DIR [--only NAME] [--answers N] [--rounds K]

DIR holds the real tables, as for duplicates.py. Each table is searched with --review; the first N questions about its
pairs are answered by the truth, and it is searched again with --labels. With more rounds the questions of the search
with answers are answered too, so that N is for each round.
"""

import argparse
import csv
import subprocess
import sys
import tempfile
from pathlib import Path

import domain_people  # noqa: F401 (registers its tables)
import domain_tables  # noqa: F401
import duplicate_tables  # noqa: F401
import numpy as np
import table_parts as tables
from duplicates import STEPS, write_table

from mpiedge.demo.score import pair_scores

UNDECIDED = ("products", "moved", "songs", "people_sparse", "works_of_one_author", "name_three_times")


def replaced(name: str, columns: tuple[str, ...], share: float, seed: int):
    """A real table in which some columns of most later records of an entity are those of another one."""
    draw = np.random.default_rng(seed)
    names, rows, entity = real_table(name)
    places, seen, out = [names.index(column) for column in columns], set(), []
    for row, key in zip(rows, entity):
        row = list(row)
        if key in seen and draw.random() < share:
            other = rows[int(draw.integers(len(rows)))]
            for place in places:
                row[place] = other[place]
        seen.add(key)
        out.append(row)
    return names, out, entity


def real_table(name: str):
    """A real table without its column of sources."""
    names, rows, entity = tables.real(name)
    return tables.columns((names, rows, entity), [one for one in names if one != "source"])


def winners():
    """Who won a race in which year; the table is of persons, of whom some are listed with every year that they won."""
    draw = np.random.default_rng(73)
    people = [[tables.title(draw, 2), tables.title(draw, 1)] for _ in range(150)]
    order = draw.integers(0, len(people), 400)
    rows = [[("men", "women")[place % 2], str(1850 + place // 2), *people[person],
             f"0{draw.integers(2, 4)}:{draw.integers(10, 60)}:{draw.integers(10, 60)}"]
            for place, person in enumerate(order)]
    return ["event", "year", "winner", "club", "time"], rows, [" ".join(people[person]) for person in order]


def all_tables() -> dict:
    """The tables by name, each a function that makes it."""
    made = {"restaurant, 70 % of addresses wrong": lambda: replaced("restaurant", ("address",), 0.7, 71),
            "fake_1000, 85 % of city and e-mail wrong": lambda: replaced("fake_1000", ("city", "email"), 0.85, 72),
            "products of two shops in one table": lambda: real_table("abt_buy"),
            "winners over the years, as persons": winners}
    return made | {name: tables.DERIVED[name] for name in UNDECIDED}


def main():
    """Print a line for each table."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--data", type=Path, required=True, help="folder of the real tables and their truth")
    options.add_argument("--only", nargs="*", help="only tables with one of these in their names")
    options.add_argument("--answers", type=int, default=20)
    options.add_argument("--rounds", type=int, default=1)
    arguments = options.parse_args()
    tables.folder = arguments.data
    print(f"{'table':44}{'rows':>7}{'before':>9}{'answers':>9}{'same':>6}{'after':>8}")
    for name, make in all_tables().items():
        if arguments.only and not any(part in name for part in arguments.only):
            continue
        names, rows, entity = make()
        with tempfile.TemporaryDirectory() as scratch:
            write_table(Path(scratch) / "table.csv", names, rows)
            said: dict[tuple, bool] = {}
            f1 = []
            for number in range(arguments.rounds + 1):
                cluster, asked = search(Path(scratch), f"run{number}", said)
                f1.append(pair_scores(cluster, entity)["f1"])
                new = [pair for pair in dict.fromkeys(asked) if pair not in said][:arguments.answers]
                if number < arguments.rounds:
                    said |= {(one, other): entity[one] == entity[other] for one, other in new}
        print(f"{name:44}{len(rows):7}{f1[0]:9.3f}{len(said):9}{sum(said.values()):6}"
              + "".join(f"{one:8.3f}" for one in f1[1:]), flush=True)


def search(scratch: Path, run: str, said: dict[tuple, bool]) -> tuple[list[int], list[tuple]]:
    """Runs the program with what was said of pairs; returns the cluster of each row and the pairs it asks about."""
    labels = scratch / "labels.csv"
    with labels.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["row_a", "row_b", "answer"],
                                    *([*pair, "same" if same else "different"] for pair, same in said.items())])
    done = subprocess.run([sys.executable, "-m", "mpiedge.commands.clean", scratch / "table.csv", "--run",
                           scratch / run, "-q", "--keep-duplicates", "--id", "rec_id", "--review", "--steps",
                           STEPS, *(["--labels", labels] if said else [])], check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        sys.exit(f"mpiedge-clean ended with {done.returncode}")
    with (scratch / run / "clean/table.clusters.csv").open(newline="", encoding="utf-8") as file:
        cluster = [int(row["cluster_id"]) for row in csv.DictReader(file)]
    with (scratch / run / "clean/review.csv").open(newline="", encoding="utf-8") as file:
        return cluster, [(int(row["row_a"]), int(row["row_b"])) for row in csv.DictReader(file)]


if __name__ == "__main__":
    main()
