"""Arrays that all ranks of a host map together, in memory or in a file; nothing is left of them after any end."""

import mmap
import os
import secrets
import tempfile
from pathlib import Path

import numpy as np

from mpiedge.errors import EnvironmentProblem
from mpiedge.kernels.pages import Pages
from mpiedge.runtime import resources

LOOK_BYTES = 1 << 22
"""Arrays below this are made without a look at the memory that is free."""

HUGE_BYTES = 1 << 22
"""Arrays from this on numpy puts into huge pages."""


def shared_array(world, shape, dtype, *, folder=None) -> np.ndarray:
    """Collective: an array of zeros that the ranks of a host hold once, together; every one may write to it.

    Without `folder` it lies in memory (on a host with one rank it is an ordinary array); where that has no room, and
    with `folder`, in a file that is mapped: pages the kernel may write out and drop. Neither has a name once all ranks
    have mapped it, so it ends with the last rank that does, however that ends. What one rank writes the others see
    after `world.node_barrier()`. Raises EnvironmentProblem where the file has no room.

    Ranks of a host give the same shape and dtype; hosts may give different ones, but all must call.
    """
    shape = (shape,) if np.isscalar(shape) else tuple(shape)
    dtype = np.dtype(dtype)
    count = int(np.prod(shape, dtype=np.int64))
    size = count * dtype.itemsize
    if count == 0 or (folder is None and world.node_size == 1):
        if size < HUGE_BYTES:
            return np.zeros(shape, dtype)
        array = np.empty(shape, dtype)
        array[...] = 0
        return array
    mapped = _map_memory(world, size) if folder is None else None
    if mapped is None:
        mapped = _map_file(world, size, Path(folder or tempfile.gettempdir()))
    return np.asarray(mapped)[:size].view(dtype).reshape(shape)


def file_array(shape, dtype, folder) -> np.ndarray:
    """Local: an array of zeros in a mapped file of `folder`, without a name. Raises EnvironmentProblem."""
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            os.posix_fallocate(file.fileno(), 0, size)  # a page without room would kill the process
            mapped = mmap.mmap(file.fileno(), size)
    except OSError as error:
        raise _no_room(folder, size, error) from error
    return np.frombuffer(mapped, dtype).reshape(shape)


def stored(array: np.ndarray, folder) -> np.ndarray:
    """Local: a copy of the array in a mapped file of `folder`, without a name; the array itself where that is None.

    Raises EnvironmentProblem.
    """
    if folder is None or not array.nbytes:
        return array
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            array.tofile(file)
            file.flush()
            mapped = mmap.mmap(file.fileno(), array.nbytes)
    except OSError as error:
        raise _no_room(folder, array.nbytes, error) from error
    return np.frombuffer(mapped, array.dtype).reshape(array.shape)


def _no_room(folder, size: int, error: OSError) -> EnvironmentProblem:
    return EnvironmentProblem(folder, f"there is no place for {size:,} bytes ({error.strerror or error})",
                              "Free space or choose another folder with --scratch")


def leave_to_kernel(array: np.ndarray) -> None:
    """Local: pages of a mapped file need not count as this rank's memory until they are touched again."""
    memory = array
    while isinstance(memory, np.ndarray):
        memory = memory.base
    memory = memory.obj if isinstance(memory, memoryview) else memory
    if isinstance(memory, mmap.mmap):
        memory.madvise(mmap.MADV_DONTNEED)
    elif hasattr(memory, "leave"):
        memory.leave()


def _map_memory(world, size: int) -> Pages | mmap.mmap | None:
    """Collective over a host: memory without a name, which the others open through the leader's open file."""
    file = -1
    share = -(-size // world.node_size)
    fits = hasattr(os, "memfd_create") and (share < LOOK_BYTES or share <= resources.available_bytes())
    if world.node_rank == 0 and fits:
        try:
            file = os.memfd_create("mpiedge")
            os.ftruncate(file, size)
        except OSError:
            fits = False
    return _map(world, file, f"/proc/{os.getpid()}/fd/{file}", size, fits, _share_of_memory)


def _map_file(world, size: int, folder: Path) -> mmap.mmap:
    """Collective over a host: a file of the folder, without a name as soon as all ranks have opened it."""
    file, path, problem = -1, folder / f"{secrets.token_hex(8)}.shared", None
    if world.node_rank == 0:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            os.ftruncate(file, size)
        except OSError as error:
            problem = error
    try:
        mapped = _map(world, file, str(path), size, problem is None, _share_of_file)
    finally:
        if file >= 0:
            path.unlink(missing_ok=True)
    if mapped is None:
        cause = problem.strerror if problem else f"there is no room for {resources.format_size(size)}"
        raise EnvironmentProblem(folder, cause, "Free space or choose another folder with --scratch")
    return mapped


def _map(world, file: int, path: str, size: int, fits: bool, map_share) -> Pages | mmap.mmap | None:
    """Collective over a host: maps the leader's open `file`, which is found at `path`; None where one rank cannot.

    Every rank reserves its share of the bytes before any is touched: a page without room would kill the process. A path
    may lead elsewhere (ranks in separate containers), so the numbers of the file are compared. map_share(file, size,
    begin, end): maps the file and reserves [begin, end) of it, or raises OSError.
    """
    about = {"path": path, "file": list(os.fstat(file)[1:3])} if file >= 0 else None
    about = world.node_bcast(about)
    mapped = None
    try:
        if about and fits:
            file = file if file >= 0 else os.open(about["path"], os.O_RDWR)
            fits = list(os.fstat(file)[1:3]) == about["file"]
            begin, end = (size * rank // world.node_size for rank in (world.node_rank, world.node_rank + 1))
            mapped = map_share(file, size, begin, end) if fits else None
    except OSError:
        pass
    finally:
        everyone = world.node_all(mapped is not None)
        if file >= 0:
            os.close(file)
    return mapped if everyone else None


def _share_of_file(file: int, size: int, begin: int, end: int) -> mmap.mmap:
    """Local: see `_map`; a file on a disk, of which no page is taken before it is needed."""
    if end > begin:
        os.posix_fallocate(file, begin, end - begin)
    return mmap.mmap(file, size)


def _share_of_memory(file: int, size: int, begin: int, end: int) -> Pages | mmap.mmap:
    """Local: see `_map`; memory, of which this rank takes its share at once."""
    try:
        mapped = Pages(file, size)
    except OSError:
        return _share_of_file(file, size, begin, end)
    if not mapped.take(begin, end) and end > begin:
        os.posix_fallocate(file, begin, end - begin)
    return mapped
