"""Arrays that the ranks of a host share: written by one, seen by all, without a trace in any folder."""

import os
from itertools import pairwise

import numpy as np
import pytest

from mpiedge.errors import EnvironmentProblem
from mpiedge.runtime import shared
from mpiedge.runtime.shared import shared_array


@pytest.mark.parametrize("on_disk", [False, True])
def test_what_one_rank_writes_all_ranks_of_the_host_see(world, shared_tmp_path, on_disk):
    """Each rank fills its share of the rows; after the barrier every rank has all of them, and no file has a name."""
    array = shared_array(world, (1000, 3), np.uint16, folder=shared_tmp_path / "new" if on_disk else None)
    assert array.shape == (1000, 3) and array.dtype == np.uint16 and not array.any()
    world.node_barrier()
    array[world.node_rank :: world.node_size] = world.node_rank + 1
    world.node_barrier()
    expected = np.arange(1000) % world.node_size + 1
    assert (array == expected[:, None]).all()
    assert not on_disk or os.listdir(shared_tmp_path / "new") == []


@pytest.mark.parametrize("missing", ["nothing", "room", "pages"])
def test_a_large_array_is_shared_with_and_without_huge_pages(world, monkeypatch, missing):
    """Shares of any size, the last of less than a page; what is written is there again after it was left."""
    if missing == "room":
        monkeypatch.setattr(shared.Pages, "take", lambda pages, begin, end: False)
    if missing == "pages":
        monkeypatch.setattr(shared, "Pages", _no_pages)
    size = shared.HUGE_BYTES + (1 << 21) + 12_345
    array = shared_array(world, size, np.uint8)
    first, last = (size * rank // world.node_size for rank in (world.node_rank, world.node_rank + 1))
    assert not array[first:last].any()
    array[first:last] = world.node_rank + 1
    world.node_barrier()
    shared.leave_to_kernel(array)
    edges = [size * rank // world.node_size for rank in range(world.node_size + 1)]
    assert all((array[begin:end] == rank + 1).all() for rank, (begin, end) in enumerate(pairwise(edges)))


def _no_pages(file, size):
    raise OSError("none")


def test_memory_without_room_falls_back_to_a_file(world, monkeypatch, shared_tmp_path):
    """Where no memory can be shared, the same array lies in a file of the temporary folder."""
    monkeypatch.setattr(shared, "_map_memory", lambda world, size: None)
    monkeypatch.setattr(shared.tempfile, "gettempdir", lambda: str(shared_tmp_path))
    array = shared_array(world, 10, np.int64)
    array[world.node_rank] = 7
    world.node_barrier()
    assert (array[: world.node_size] == 7).all() and os.listdir(shared_tmp_path) == []


def test_a_file_without_room_is_an_error_on_every_rank(world, monkeypatch, shared_tmp_path):
    """When the bytes cannot be reserved there is a named error, and no file is left."""
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shared.os, "posix_fallocate", full)
    with pytest.raises(EnvironmentProblem, match="no room for"):
        shared_array(world, 1000, np.int64, folder=shared_tmp_path)
    world.node_barrier()
    assert os.listdir(shared_tmp_path) == []


def test_empty_arrays(world):
    """No bytes need no file."""
    assert shared_array(world, (0, 4), np.uint8).shape == (0, 4)

