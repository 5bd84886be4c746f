"""What the tests of training share: programs in this process, their CSV files, and small inputs."""

import csv

import numpy as np
from graphs import planetoid_files


def in_process(program, world, *words):
    """Runs a program inside this process; its named errors come through."""
    program.run(program.build_parser().parse_args([str(word) for word in words]), world)


def rows_of(path):
    """A CSV file as a list of dicts."""
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def curve(run):
    """The epochs of a run without times and bytes."""
    return [tuple(row.values())[:5] for row in rows_of(run / "metrics.csv")]


def write_planetoid(folder):
    """A small Planetoid folder."""
    for name, data in planetoid_files(nodes=60, columns=12, train=9, test=20)[0].items():
        (folder / name).write_bytes(data)
    return folder


def write_tables(folder):
    """papers.csv and cites.csv: areas follow the words and the citations; a third of the areas is missing."""
    random = np.random.default_rng(1)
    areas = ["Logic", "Optics", "Soil"]
    words = [["proof", "axiom", "lemma"], ["lens", "laser", "prism"], ["clay", "humus", "sand"]]
    area = random.integers(0, 3, 150)
    with open(folder / "papers.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "title", "year", "area"])
        for row, code in enumerate(area):
            title = " ".join([random.choice(words[code]), random.choice(np.concatenate(words)), f"part{row % 30}"])
            writer.writerow([f"P{row:04d}", title, 1990 + row % 25, areas[code] if row % 3 else ""])
    with open(folder / "cites.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["citing", "cited"])
        for row, code in enumerate(area):
            alike = random.choice(np.flatnonzero(area == code), 3)
            writer.writerows([f"P{row:04d}", f"P{other:04d}"] for other in alike)
    return folder
