"""The run folder reached in both ways: every rank opens files, or only rank 0 does and bytes travel."""

import gzip
import os

import numpy as np
import pytest

from mpiedge.errors import InputError
from mpiedge.runtime.mail import Mail
from mpiedge.runtime.queue import Queue
from mpiedge.runtime.root import on_root
from mpiedge.store.access import Access
from mpiedge.store.tables import Column, Table


@pytest.fixture(params=["shared", "served"])
def access(request, world, tmp_path_factory, monkeypatch):
    """Access to a folder of rank 0, and the queue beside it."""
    monkeypatch.setenv("MPIEDGE_ACCESS", request.param)
    folder = on_root(world, lambda: str(tmp_path_factory.mktemp("run")))
    mail = Mail(world)
    access = Access(world, mail, folder)
    access.queue = Queue(world, mail)
    return access


def test_parts_written_by_any_rank_are_read_by_any_rank(world, access):
    """Every part comes back whole to whichever rank asks, whoever wrote it, with the same checksum at any rank count."""
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
    on_root(world, lambda: open(path, "wb").write(data) and None)
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
    on_root(world, lambda: open(path, "wb").write(gzip.compress(b"a,b\n1,2\n" * 100)) and None)
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
