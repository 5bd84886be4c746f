"""Hundreds of small tables of every awkward kind, in memory and from CSV files to lines of JSON, by the definition."""

import csv
import json
import os

import numpy as np
import pytest
from dependencies import SETTINGS, dependencies_by_definition, keys_by_definition, random_table, tune
from hypothesis import given, settings
from hypothesis import strategies as st
from test_dependencies import share_all

from mpiedge.commands import profile
from mpiedge.kernels import bits
from mpiedge.profiling.fds import discover_fds
from mpiedge.profiling.uccs import discover_uccs
from mpiedge.runtime import launcher
from mpiedge.runtime.root import on_root

LARGEST_ROWS, MOST_COLUMNS = 24, 5
TABLES = int(os.environ.get("MPIEDGE_TEST_TABLES") or (100 if launcher.size_hint() == 1 else 10))
"""CSV files of each kind (missing cells equal each other, or none does); more ranks than cores make each one slow."""


def random_texts(seed: int) -> tuple[list[list[str]], int]:
    """The columns of a table as text, every second table with missing cells, and its number of rows."""
    rng = np.random.default_rng([seed, 1])
    rows, width = int(rng.integers(0, LARGEST_ROWS)), int(rng.integers(1, MOST_COLUMNS + 1))
    missing = rng.random((width, rows)) < (0.2 if seed % 2 else 0)
    codes = random_table(seed, rows, width)
    return [["" if hidden else f"v{code}" for code, hidden in zip(*both)] for both in zip(codes, missing)], rows


@st.composite
def cells(draw) -> list[list[str]]:
    """The columns of a table as text: constants, keys and columns of few values, cells missing, rows repeated."""
    rows = draw(st.integers(0, 9))
    few = st.lists(st.sampled_from(["", "a", "b", "c"]), min_size=rows, max_size=rows)
    constant = st.sampled_from(["", "a"]).map(lambda cell: [cell] * rows)
    key = st.permutations([f"v{row}" for row in range(rows)])
    columns = draw(st.lists(st.one_of(few, few, constant, key), min_size=1, max_size=4))
    again = draw(st.lists(st.integers(0, rows - 1), max_size=3)) if rows else []
    return [[*column, *[column[row] for row in again]] for column in columns]


def coded(columns: list[list[str]], unequal: bool) -> list[np.ndarray]:
    """Numbers that are equal where the cells count as equal."""
    made = []
    for column in columns:
        cells = [(cell, row if unequal and not cell else -1) for row, cell in enumerate(column)]
        seen: dict = {}
        made.append(np.array([seen.setdefault(cell, len(seen)) for cell in cells], np.int64))
    return made


def write_tables(folder, unequal: bool) -> dict[str, list[str]]:
    """Writes the CSV files; returns the lines that fds.jsonl and uccs.jsonl must have, by the definition."""
    expected: dict = {"fds": [], "uccs": []}
    for seed in range(TABLES):
        name, (columns, rows) = f"t{seed:03d}", random_texts(seed + TABLES * unequal)
        names = [f"c{column}" for column in range(len(columns))]
        with open(folder / f"{name}.csv", "w", newline="") as file:
            csv.writer(file, quoting=csv.QUOTE_ALL).writerows([names, *zip(*columns)])
        table = coded(columns, unequal)
        found = sorted((len(lhs), lhs, rhs) for lhs, rhs in dependencies_by_definition(table, rows))
        expected["fds"] += [json.dumps({"table": name, "lhs": [names[column] for column in lhs], "rhs": names[rhs],
                                        "g3": 0.0}) for _, lhs, rhs in found]  # fmt: skip
        keys = sorted((len(key), key) for key in keys_by_definition(table, rows))
        expected["uccs"] += [json.dumps({"table": name, "columns": [names[column] for column in key]})
                             for _, key in keys]  # fmt: skip
    return expected


@pytest.mark.parametrize("unequal", [False, True])
def test_random_tables_by_definition(world, shared_tmp_path, monkeypatch, unequal):
    """Every line of both files, in order, shared as shipped and served with all work cut into small shared tasks."""
    expected = on_root(world, lambda: write_tables(shared_tmp_path, unequal))
    tables = [str(shared_tmp_path / f"t{seed:03d}.csv") for seed in range(TABLES)]
    flags = ["--fd", "--ucc", "-q", "--delimiter", ",", *["--null-unequal"] * unequal]
    for access in ("shared", "served"):
        monkeypatch.setenv("MPIEDGE_ACCESS", access)
        if access == "served":
            tune(monkeypatch, "always expand and defer")
            share_all(monkeypatch)
        run = shared_tmp_path / access
        profile.run(profile.build_parser().parse_args([*tables, *flags, "--run", str(run)]), world)
        found = on_root(world, lambda run=run: {
            name: (run / f"profile/{name}.jsonl").read_text().splitlines() for name in expected})  # fmt: skip
        for name in expected:
            assert found[name] == expected[name], (access, name)


@given(columns=cells(), unequal=st.booleans(), setting=st.sampled_from(list(SETTINGS)),
       shared=st.sampled_from([False, False, False, True]), judge=st.integers(0, 3))  # fmt: skip
@settings(max_examples=500)
def test_five_hundred_tables_by_definition(world, queue, columns, unequal, setting, shared, judge):
    """Dependencies and keys of tables that hypothesis makes up, a quarter of them shared; one rank compares them."""
    table, rows = coded(columns, unequal), len(columns[0])
    with pytest.MonkeyPatch.context() as patch:
        tune(patch, setting)
        if shared:
            share_all(patch)
        found = discover_fds(table, world=world, queue=queue)
        keys = discover_uccs(table, world=world, queue=queue)
    if world.rank == judge % world.size:
        assert set(found) == dependencies_by_definition(table, rows)
        assert set(bits.members(keys, len(table))) == keys_by_definition(table, rows)
