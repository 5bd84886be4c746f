"""Cleaning by several ranks gives every byte that one rank gives, with a shared folder or without."""

import csv
import hashlib
import json
from pathlib import Path

import pytest

from mpiedge.cleaning import reading
from mpiedge.commands import clean
from mpiedge.demo.generate import write_demo
from mpiedge.runtime.root import on_root
from mpiedge.runtime.world import World

ROWS, BLOCK_BYTES = 300, 8192


@pytest.fixture(scope="module")
def demo(world, tmp_path_factory):
    """The folder of a small demo data set."""
    folder = on_root(world, lambda: str(tmp_path_factory.mktemp("demo")))
    on_root(world, lambda: write_demo(folder, ROWS, 5))
    return Path(folder)


@pytest.fixture(scope="module")
def alone(world, demo, tmp_path_factory):
    """What rank 0 makes of it without the others, in small ranges: digests of all files."""
    from mpi4py import MPI

    def clean_alone() -> dict[str, str]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(reading, "BLOCK_BYTES", BLOCK_BYTES)
            patch.setattr(MPI, "COMM_WORLD", MPI.COMM_SELF)
            folder = tmp_path_factory.mktemp("alone")
            run(World(), demo, folder)
        World.current = world
        return digests(folder)

    return on_root(world, clean_alone)


def run(world, demo: Path, folder: Path, *flags: str):
    tables = [str(demo / "papers.csv"), str(demo / "cites.csv")]
    clean.run(clean.build_parser().parse_args([*tables, "--run", str(folder), "-q", *flags]), world)


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted((folder / "clean").iterdir())}


@pytest.mark.parametrize("mode", ["shared", "served"])
def test_same_bytes_as_one_rank(world, demo, alone, shared_tmp_path, monkeypatch, mode):
    """All files of the stage, parts and manifest too, are those of one rank."""
    monkeypatch.setenv("MPIEDGE_ACCESS", mode)
    monkeypatch.setattr(reading, "BLOCK_BYTES", BLOCK_BYTES)
    run(world, demo, shared_tmp_path)
    world.barrier()
    found = on_root(world, lambda: digests(shared_tmp_path))
    assert found == alone and "papers.csv" in found and not any("working" in name for name in found)
    assert len([name for name in found if name.startswith("part-papers-")]) > 4


def test_rows_add_up_and_references_follow(world, demo, shared_tmp_path, monkeypatch):
    """Rows in = rows out + merged + rejected, and every citation names a paper that is still there."""
    monkeypatch.setattr(reading, "BLOCK_BYTES", BLOCK_BYTES)
    run(world, demo, shared_tmp_path)
    world.barrier()

    clean_folder = shared_tmp_path / "clean"

    def read(path: Path) -> list[dict]:
        with open(path, encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def check() -> list:
        summary = json.loads((clean_folder / "summary.json").read_text())["tables"]
        for table in summary.values():
            assert table["rows_in"] == table["rows_out"] + table["rows_merged"] + table["rows_rejected"]
        papers = {row["id"] for row in read(clean_folder / "papers.csv")}
        assert len(papers) == summary["papers"]["rows_out"] < ROWS
        assert all(row["citing"] in papers and row["cited"] in papers for row in read(clean_folder / "cites.csv"))
        truth = {row["line"] for row in read(demo / "truth/rejects.csv")}
        return sorted(truth ^ {row["line"] for row in read(clean_folder / "papers.rejects.csv")})

    assert on_root(world, check) == []
