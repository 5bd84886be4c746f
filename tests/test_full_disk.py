"""A disk that is full, read-only or gone: one clear error, nothing half written, and on from there with room."""

import hashlib
import os
import shutil
import subprocess

import numpy as np
import pytest

from mpiedge.cleaning import reading
from mpiedge.commands import clean
from mpiedge.demo.generate import write_demo
from mpiedge.errors import EnvironmentProblem, StoreError
from mpiedge.store.ledger import Ledger
from mpiedge.store.parts import GrowingImage, open_to_write


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A small demo table."""
    folder = tmp_path_factory.mktemp("demo")
    write_demo(str(folder), 300, 5)
    return folder


@pytest.fixture
def disk(tmp_path):
    """A disk of its own with too little room; `remount` changes it."""
    if os.geteuid():
        pytest.skip("mounting a disk needs root")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(tmp_path)], capture_output=True)
    if done.returncode:
        pytest.skip("nothing can be mounted here")
    yield tmp_path
    subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def remount(disk, options: str) -> None:
    """Other room, or no writing."""
    subprocess.run(["mount", "-o", f"remount,{options}", str(disk)], check=True)


def run(world, demo, folder) -> int:
    """Cleans the formats of a table; how many tasks were computed."""
    computed = []
    note = Ledger.note
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "BLOCK_BYTES", 8192)
        patch.setattr(Ledger, "note", lambda *rest: computed.append(rest[1:3]) or note(*rest))
        clean.run(clean.build_parser().parse_args(
            [str(demo / "papers.csv"), "--run", str(folder), "-q", "--steps", "structure,types,formats"]), world)
    return len(computed)


def digests(folder) -> dict[str, str]:
    """Checksum of each file of the stage."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (folder / "clean").iterdir()}


def test_a_full_disk(world, demo, disk, tmp_path_factory):
    """The error has path and bytes, no half file and no manifest is there. A disk that is read-only is told at once.
    With room, what was done is not done again."""
    good = tmp_path_factory.mktemp("good")
    every = run(world, demo, good)
    with pytest.raises(EnvironmentProblem, match=r"/run/.*: [\d,]+ bytes could not be written \(No space left"):
        run(world, demo, disk / "run")
    names = [path.name for path in disk.rglob("*")]
    assert "manifest.json" not in names and not any(name.endswith(".tmp") for name in names)
    remount(disk, "ro")
    with pytest.raises(EnvironmentProblem, match=r"/run: Read-only file system"):
        run(world, demo, disk / "run")
    remount(disk, "rw,size=32m")
    assert 0 < run(world, demo, disk / "run") < every
    assert digests(disk / "run") == digests(good)


def test_a_run_folder_that_is_removed(world, demo, tmp_path, monkeypatch):
    """What was in it is missed in one line, and the same line again makes all of it anew."""
    claim, begun = Ledger.claim, []
    monkeypatch.setattr(Ledger, "claim", lambda *rest: claim(*rest) or begun.append(1) or len(begun) != 20 or
                        shutil.rmtree(tmp_path / "run"))
    with pytest.raises((StoreError, EnvironmentProblem), match=str(tmp_path)):
        run(world, demo, tmp_path / "run")
    assert run(world, demo, tmp_path / "run")
    assert (tmp_path / "run/clean/manifest.json").exists()


@pytest.mark.parametrize("room", ["4k", "16k", "40k", "100k"])
def test_no_room_for_a_file_that_grows(disk, room):
    """Wherever the room ends, the error is one line, the file is gone and the process lives (HDF5 alone crashes)."""
    remount(disk, f"size={room}")
    values = np.random.default_rng(0).random((2000, 16), np.float32)
    with pytest.raises(EnvironmentProblem, match=r"model.h5: it could not be written .*No space left on device"):
        image = GrowingImage(disk / "model.h5", {"config": "{}"})
        image.add("node_id", np.array([f"node {row}" for row in range(2000)], dtype=object))
        for first in range(0, 2000, 100):
            image.put("node_1", first, values[first : first + 100], 2000)
        image.finish()
    assert not list(disk.iterdir())


@pytest.mark.parametrize("mode", ["w", "r+"])
def test_no_room_for_a_block(disk, mode):
    """A file of several groups that is new, or that is changed: one line, and the process lives."""
    remount(disk, "size=100k")
    with open_to_write(disk / "block.h5", "w") as file:
        file["few"] = np.arange(10)
    with pytest.raises(EnvironmentProblem, match=r"block.h5: it could not be written .*No space left on device"), \
            open_to_write(disk / "block.h5", mode) as file:
        for number in range(20):
            file.create_group(f"group {number}")["many"] = np.arange(3000)
