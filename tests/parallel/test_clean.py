"""Cleaning by several ranks gives every byte that one rank gives, with a shared folder or without."""

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from mpiedge.cleaning import reading, survey
from mpiedge.commands import clean
from mpiedge.demo.generate import write_demo
from mpiedge.errors import Stopped
from mpiedge.runtime.root import on_root
from mpiedge.runtime.world import World
from mpiedge.stage import Stage
from mpiedge.store.layout import UNFINISHED
from mpiedge.store.ledger import PREFIX, Ledger

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
    """All files of the stage, parts and manifest too, are those of one rank; damaged rows are tasks of their own."""
    monkeypatch.setenv("MPIEDGE_ACCESS", mode)
    monkeypatch.setattr(reading, "BLOCK_BYTES", BLOCK_BYTES)
    monkeypatch.setattr(survey, "MOST_AT_ONCE", 0)
    run(world, demo, shared_tmp_path)
    world.barrier()
    found = on_root(world, lambda: digests(shared_tmp_path))
    assert found == alone and "papers.csv" in found and not any("working" in name for name in found)
    assert len([name for name in found if name.startswith("part-papers-")]) > 4


@pytest.fixture(scope="module")
def finished_later(world, demo, tmp_path_factory):
    """A run folder whose stage was cut off before the end, with a record altered and a piece lost, and was run again:
    exactly what was missing has been computed anew."""
    folder = Path(on_root(world, lambda: str(tmp_path_factory.mktemp("cut"))))
    computed = []
    note = Ledger.note
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MPIEDGE_ACCESS", "served" if world.size == 3 else "shared")
        patch.setattr(reading, "BLOCK_BYTES", BLOCK_BYTES)
        patch.setattr(survey, "MOST_AT_ONCE", 0)
        patch.setattr(Ledger, "note", lambda ledger, *rest: computed.append(rest[:2]) or note(ledger, *rest))
        with pytest.MonkeyPatch.context() as cut:
            cut.setattr(Stage, "commit", stop)
            with pytest.raises(Stopped):
                run(world, demo, folder)
        every = int(world.sum(np.array([len(computed)]))[0])
        computed.clear()
        kept = on_root(world, lambda: damage(folder / UNFINISHED))
        run(world, demo, folder)
        assert int(world.sum(np.array([len(computed)]))[0]) == every - kept
    return folder


def test_a_next_attempt_does_the_rest(world, alone, finished_later):
    """After an attempt that was cut off and its continuation every byte is that of one undisturbed rank."""
    assert on_root(world, lambda: digests(finished_later)) == alone
    assert on_root(world, lambda: (finished_later / UNFINISHED).exists()) is False


def test_rows_add_up_and_references_follow(world, demo, finished_later):
    """Rows in = rows out + merged + rejected, and every citation names a paper that is still there."""
    clean_folder = finished_later / "clean"

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


def stop(*_, **__):
    """Raises, on every rank, what ends a job without a commit."""
    error = Stopped("test", "is cut off here")
    error.everywhere = True
    raise error


def damage(folder: Path) -> int:
    """Cuts every file of records in the middle of one, alters a record, removes a piece; how many results stay."""
    stay = 0
    for number, path in enumerate(sorted(folder.glob("*/*.records"))):
        data, starts, heads = path.read_bytes(), [0], []
        while starts[-1] < len(data):
            head, body, _ = PREFIX.unpack_from(data, starts[-1])
            first = starts[-1] + PREFIX.size
            heads.append(data[first : first + head])
            starts.append(first + head + body)
        whole = len(heads) * 3 // 4
        cut = bytearray(data[: starts[whole] + 50])
        results = [place for place, head in enumerate(heads[:whole]) if not head.endswith(b"null]")]
        good = {place for place in results if b"papers.changes.csv/000000" not in heads[place]}
        if number == 0:
            altered = results[len(results) // 2]
            cut[starts[altered + 1] - 1] ^= 1
            good.discard(altered)
        path.write_bytes(cut)
        stay += len(good)
    next(folder.glob("*/clean/papers.changes.csv/000000")).unlink()
    return stay
