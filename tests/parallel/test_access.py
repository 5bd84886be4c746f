"""The run folder reached in both ways: every rank opens files, or only rank 0 does and bytes travel."""

import argparse
import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest

from mpiedge.errors import InputError, StoreError, UsageError
from mpiedge.runtime.mail import Mail
from mpiedge.runtime.queue import Queue
from mpiedge.runtime.root import on_root
from mpiedge.stage import Stage
from mpiedge.store.access import Access
from mpiedge.store.tables import Column, Table


@pytest.fixture(params=["shared", "served"])
def access(request, world, tmp_path_factory, monkeypatch):
    """Access to a folder of rank 0, and the queue beside it."""
    monkeypatch.setenv("MPIEDGE_ACCESS", request.param)
    folder = on_root(world, lambda: str(tmp_path_factory.mktemp("run")))
    mail = Mail(world)
    queue = Queue(world, mail)  # before anything waits: a rank that is ahead may ask for work
    access = Access(world, mail, folder)
    access.queue = queue
    return access


def test_parts_written_by_any_rank_are_read_by_any_rank(world, access):
    """Every part comes back whole to whichever rank asks, whoever wrote it, with the same checksum everywhere."""
    words = np.empty(3, dtype=object)
    words[:] = ["a", "ß", ""]

    def write(task):
        return access.write_part("clean", "t", task[0], {"word": words, "number": np.arange(3) + task[0]})

    tasks = [(index,) for index in range(7)]
    parts = [info for _, info in access.queue.gather(access.queue.run(tasks, write))]
    assert [part["file"] for part in parts] == [f"part-t-{index:06d}.h5" for index in range(7)]
    table = Table(access, "clean", "t", [Column("word"), Column("number", "integer")], parts)
    assert table.rows == 21

    def read(task):
        chunk = table.read(6 - task[0])
        return {"sum": int(chunk["number"].sum()), "words": chunk["word"].tolist()}

    found = access.queue.gather(access.queue.run(tasks, read))
    assert [result["sum"] for _, result in found] == [3 + 3 * (6 - index) for index in range(7)]
    assert all(result["words"] == ["a", "ß", ""] for _, result in found)


def test_bytes_of_an_input_and_pieces_of_an_output(world, access, tmp_path_factory):
    """A file read in ranges and written in pieces is the same file, whichever ranks did which piece."""
    data = bytes(range(256)) * 40
    path = on_root(world, lambda: str(tmp_path_factory.mktemp("input") / "data.bin"))
    on_root(world, lambda: Path(path).write_bytes(data) and None)
    file = access.input(path)
    assert file.size == len(data)

    def copy(task):
        access.write_piece("clean/copy.bin", task[0], access.read_bytes(file, task[0] * 1000, task[0] * 1000 + 1000))

    access.queue.run([(index,) for index in range(11)], copy)
    access.join_pieces("clean/copy.bin", 11, head=b"HEAD")
    found = on_root(world, lambda: (access.run / "clean/copy.bin").read_bytes() == b"HEAD" + data)
    assert found


def test_gzip_input_is_unpacked(world, access, tmp_path_factory):
    """A gzip file is read as what it holds; a cut one is an error on every rank."""
    path = on_root(world, lambda: str(tmp_path_factory.mktemp("input") / "data.csv.gz"))
    on_root(world, lambda: Path(path).write_bytes(gzip.compress(b"a,b\n1,2\n" * 100)) and None)
    file = access.input(path)
    assert file.size == 800
    results = access.queue.gather(access.queue.run([(0,)], lambda task: {"n": len(access.read_bytes(file, 0, 800))}))
    assert results[0][1]["n"] == 800
    on_root(world, lambda: os.truncate(path, 30))
    with pytest.raises(InputError, match="cannot be unpacked"):
        access.input(path)


def test_missing_input_is_an_error_on_every_rank(world, access):
    """Rank 0 looks, all ranks raise."""
    with pytest.raises(InputError, match="no such file"):
        access.input("nowhere/papers.csv")


def test_damaged_gzip_and_a_scratch_folder_elsewhere(world, monkeypatch, tmp_path_factory):
    """A gzip file whose middle is damaged is an error, and nothing stays in the scratch folder the user named."""
    monkeypatch.setenv("MPIEDGE_ACCESS", "shared")
    folder = on_root(world, lambda: str(tmp_path_factory.mktemp("run")))
    access = Access(world, Mail(world), f"{folder}/run", f"{folder}/scratch")

    def damaged():
        data = bytearray(gzip.compress(b"".join(b"%d,%d\n" % (row, row**2) for row in range(20_000))))
        data[1000:1040] = bytes(255 - byte for byte in data[1000:1040])
        with open(f"{folder}/data.csv.gz", "wb") as file:
            file.write(data)
        with open(f"{folder}/whole.csv.gz", "wb") as file:
            file.write(gzip.compress(b"a,b\n"))

    on_root(world, damaged)
    with pytest.raises(InputError, match="cannot be unpacked"):
        access.input(f"{folder}/data.csv.gz")
    assert access.input(f"{folder}/whole.csv.gz").size == 4
    assert len(on_root(world, lambda: os.listdir(f"{folder}/scratch"))) == 1
    on_root(world, access.drop_scratch)
    assert on_root(world, lambda: os.listdir(f"{folder}/scratch")) == []


def test_a_missing_part_is_told_alike(world, access):
    """Whoever reads a part that is gone gets the same StoreError, with the file and the remedy, in both modes."""
    def read(task):
        with pytest.raises(StoreError, match=r"clean/part-t-000000\.h5: .* Run the stage that wrote it again"):
            access.read_part("clean", "t", 0)
        return {"seen": True}

    assert len(access.queue.gather(access.queue.run([(index,) for index in range(8)], read))) == 8


def test_removing_a_table_spares_its_namesakes(world, access):
    """The parts of t go, those of t-x and t.y stay."""
    def write(task):
        access.write_part("clean", ["t", "t-x", "t.y", "t-000001"][task[0]], 0, {"n": np.arange(2)})

    access.queue.run([(index,) for index in range(4)], write)
    access.remove("clean", "t")
    found = on_root(world, lambda: sorted(os.listdir(access.run / "clean")))
    assert found == ["part-t-000001-000000.h5", "part-t-x-000000.h5", "part-t.y-000000.h5"]


def test_a_way_of_access_that_does_not_exist(world, monkeypatch, tmp_path):
    """A typing error in MPIEDGE_ACCESS is told, not passed over."""
    monkeypatch.setenv("MPIEDGE_ACCESS", "sharde")
    with pytest.raises(UsageError, match="MPIEDGE_ACCESS=sharde"):
        Access(world, Mail(world), tmp_path)


def test_a_stage_that_fails_half_way_is_not_complete(world, access, monkeypatch):
    """Run again over its own complete result, a failing stage leaves no manifest, no joint file and no scratch files;
    timings.csv tells of the failed phase. Run once more it is complete, and altering its part is noticed."""
    args = argparse.Namespace(run=str(access.run), seed=0, memory=None, scratch=None, progress=0, quiet=True,
                              verbose=False, trace=False)

    def work(stage, values):
        stage.plan(values=100)
        done = stage.queue.run([(0,), (1,)], lambda task: stage.access.write_part("clean", "t", task[0], {"n": values}))
        return [info for _, info in stage.queue.gather(done)]

    def commit(stage, values):
        stage.commit(tables={"t": {"columns": [Column("n", "integer")], "parts": work(stage, values)}}, summary={})

    with Stage(world, args, "clean") as stage:
        commit(stage, np.arange(3))
    with pytest.raises(ZeroDivisionError), Stage(world, args, "clean") as stage, stage.phase("write"):
        work(stage, np.arange(5))
        stage.access.write_text(".scratch/left", "over")
        raise ZeroDivisionError
    world.barrier()

    def look():
        rows = (access.run / "timings.csv").read_text().splitlines()
        assert all(len(row.split(",")) == 22 for row in rows)
        assert [row.split(",")[0] for row in rows].count("run_id") == 1
        left = [name for name in ("clean/manifest.json", "store.h5", ".scratch") if (access.run / name).exists()]
        return {"left": left, "failed": [row.split(",")[6] for row in rows if row.endswith(",failed")]}

    found = on_root(world, look)
    assert found["left"] == [] and set(found["failed"]) == {"write"}
    with Stage(world, args, "profile") as stage, pytest.raises(StoreError, match="not complete"):
        stage.manifest("clean")
    with Stage(world, args, "clean") as stage:
        commit(stage, np.arange(7))

    def alter():
        with open(access.run / "clean/part-t-000001.h5", "r+b") as file:
            file.seek(-1, os.SEEK_END)
            file.write(b"\x99")

    with Stage(world, args, "profile") as stage:
        assert stage.table("clean", "t").rows == 14
        on_root(world, alter)
        with pytest.raises(StoreError, match=r"part-t-000001\.h5.* altered .*Run mpiedge-clean"):
            stage.manifest("clean")
    started = on_root(world, lambda: json.loads((access.run / "run.json").read_bytes()))
    assert {"argv", "config", "hosts", "access", "seed", "mpiedge", "mpi", "git_commit"} <= set(started["clean"])
