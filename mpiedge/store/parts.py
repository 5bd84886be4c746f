"""One part: a small HDF5 file built whole in memory, so that it is written (or sent) in one piece.

The image of a part depends on its arrays alone (no time stamps), so equal chunks give equal bytes on every host.
"""

import contextlib
import hashlib
import io
import os
from pathlib import Path

import h5py
import numpy as np

from mpiedge.errors import EnvironmentProblem, StoreError
from mpiedge.store import fence
from mpiedge.store.filters import filtered
from mpiedge.store.layout import HDF5_CHUNK_BYTES, WIDEST_FIXED_TEXT, dataset_name

LIBRARY_VERSIONS = ("earliest", "v110")
"""The oldest forms: readable everywhere, and newer forms of groups would store the time, so equal data would differ."""


FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}
DECODED_CELLS = 1024
"""Short texts that are decoded together."""

MOST_EXPANSION = 1100
"""No gzip stream grows by more."""

DAMAGE = (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError, OverflowError)
"""What h5py raises when bytes of a file were altered, depending on where."""


def to_stored(values: np.ndarray) -> np.ndarray:
    """Arrays as HDF5 keeps them: object arrays of str become fixed-width UTF-8, wide ones stay variable-length.

    Arrays of bytes (dtype S) are taken for UTF-8.
    """
    values = np.asarray(values)
    if values.dtype.kind == "S":
        return np.ascontiguousarray(values).view(h5py.string_dtype("utf-8", values.itemsize))
    if values.dtype.kind == "U":
        values = values.astype(object)
    if values.dtype != object:
        return values
    cells = values.tolist()
    if max(map(len, cells), default=0) <= WIDEST_FIXED_TEXT:
        encoded = [_encoded(cell) for cell in cells]
        width = max(map(len, encoded), default=1) or 1
        if width <= WIDEST_FIXED_TEXT:
            return np.array(encoded, dtype=h5py.string_dtype("utf-8", width))
    # Cell by cell: a column of huge cells is not there twice.
    return np.array([_encoded(cell).decode("utf-8", "replace") for cell in cells], dtype=h5py.string_dtype("utf-8"))


def _encoded(cell: str) -> bytes:
    return cell.encode("utf-8", "surrogateescape").replace(b"\x00", b"")


def from_stored(values: np.ndarray) -> np.ndarray:
    """The inverse of `to_stored`: text as an object array of str, numbers as they are."""
    if values.dtype.kind not in "SO":
        return values
    cells, decoded = values.tolist(), np.empty(len(values), dtype=object)
    if values.dtype.kind == "S":
        for first in range(0, len(cells), DECODED_CELLS):
            some = cells[first : first + DECODED_CELLS]
            decoded[first : first + DECODED_CELLS] = _decoded(some)
    else:
        decoded[:] = [cell.decode("utf-8", "replace") if isinstance(cell, bytes) else cell for cell in cells]
    return decoded


def _decoded(cells: list[bytes]) -> list[str]:
    """Local: short texts, in one call where none holds the byte that is put between them."""
    texts = b"\0".join(cells).decode("utf-8", "replace").split("\0")
    return texts if len(texts) == len(cells) else [cell.decode("utf-8", "replace") for cell in cells]


def build_image(arrays: dict[str, np.ndarray], attributes: dict | None = None, compress: bool = True) -> bytes:
    """The bytes of an HDF5 file with one one-dimensional (or any-dimensional) dataset per array.

    Chunks of at most 512 KiB, gzip-1 + fletcher32 (variable-length text: unfiltered, HDF5 cannot). Whole numbers are
    shuffled, as they share their high bytes, and text of one length, as days; other text, and decimals of few digits,
    become larger and slower by that. `compress` False leaves all of that out, for parts that are soon read and dropped.
    """
    with h5py.File("part", "w", driver="core", backing_store=False, libver=LIBRARY_VERSIONS) as file:
        for name, values in arrays.items():
            stored = to_stored(values)
            _add_dataset(file.id, dataset_name(name).encode(), stored, compress)
        for key, value in (attributes or {}).items():
            file.attrs[key] = value
        file.flush()
        return file.id.get_file_image()


def _add_dataset(file, name: bytes, values: np.ndarray, compress: bool) -> None:
    values = np.ascontiguousarray(values)
    shuffle = values.dtype.kind in "iu" or (values.dtype.kind == "S" and _fills(values))
    dataset, rows = _new_dataset(file, name, values.dtype, values.shape, compress, shuffle)
    if rows:
        for first in range(0, len(values), rows):
            place = (first, *[0] * (values.ndim - 1))
            dataset.write_direct_chunk(place, filtered(values[first : first + rows], rows, shuffle))
    elif values.size:
        dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, values)


def _fills(values: np.ndarray) -> bool:
    """Whether nearly all texts of fixed width reach to the last byte."""
    last = values.reshape(-1).view(np.uint8)[values.itemsize - 1 :: values.itemsize]
    return np.count_nonzero(last) > 0.9 * len(last)


def _new_dataset(file, name: bytes, dtype: np.dtype, shape: tuple[int, ...], compress: bool, shuffle: bool):
    """(dataset, rows of its chunks: 0 where it is not filtered). Low-level calls: `create_dataset` takes as long as the
    compression of a few thousand cells."""
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_obj_track_times(False)
    rows = 0
    if compress and shape and all(shape) and dtype.kind != "O":
        row_bytes = max(1, dtype.itemsize * int(np.prod(shape[1:], dtype=np.int64)))
        rows = max(1, min(shape[0], HDF5_CHUNK_BYTES // row_bytes))
        properties.set_chunk((rows, *shape[1:]))
        if shuffle:
            properties.set_shuffle()
        properties.set_deflate(1)
        properties.set_fletcher32()
    kind = h5py.h5t.py_create(dtype, logical=True)
    space = h5py.h5s.create_simple(shape) if shape else h5py.h5s.create(h5py.h5s.SCALAR)
    return h5py.h5d.create(file, name, kind, space, properties), rows


def sealed(image: bytes) -> bytes:
    """The bytes of a file that nobody else vouches for, with their SHA-256 behind them, which HDF5 does not mind."""
    return image + hashlib.sha256(image).digest()


def unsealed(data: bytes) -> bytes:
    """The inverse of `sealed`. Raises ValueError when the bytes are not as they were written."""
    size = max(0, len(data) - hashlib.sha256().digest_size)
    if hashlib.sha256(data[:size]).digest() != data[size:]:
        raise ValueError("the checksum differs")
    return data[:size]


def describe(file_name: str, image: bytes, rows: int) -> dict:
    """What the manifest keeps of a part."""
    return {"file": file_name, "rows": rows, "bytes": len(image), "sha256": hashlib.sha256(image).hexdigest()}


def write_atomic(path: Path, data: bytes, durable: bool = True) -> None:
    """Write a file so that it is whole or absent: temporary name, fsync, rename, fsync of the folder.

    `durable` False leaves out the fsyncs, for what need not survive a power cut.
    """
    temporary = fence.temporary_for(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
        if durable:
            sync_folder(path.parent)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        fence.require()
        raise no_room(path, len(data), error) from error


def no_room(path: Path, size: int, error: OSError, flag: str = "--run") -> EnvironmentProblem:
    """The error of a file of `size` bytes that could not be written."""
    cause = f"{size:,} bytes could not be written ({error.strerror or error})"
    return EnvironmentProblem(path, cause, f"Free space or choose another folder with {flag}")


class GrowingFile:
    """A file that is written piece by piece and is there, whole, only after `finish`; otherwise as `write_atomic`."""

    def __init__(self, path: Path):
        self.path, self.temporary = path, fence.temporary_for(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.temporary.unlink(missing_ok=True)

    def add(self, data: bytes) -> None:
        """Appends. Raises EnvironmentProblem."""
        try:
            with open(self.temporary, "ab") as file:
                file.write(data)
        except OSError as error:
            self.temporary.unlink(missing_ok=True)
            fence.require()
            cause = error.strerror or str(error)
            raise EnvironmentProblem(self.path, cause, "Free space or choose another --run folder") from error

    def discard(self) -> None:
        """Gives up what was written."""
        self.temporary.unlink(missing_ok=True)

    def finish(self) -> None:
        """Puts the file in its place."""
        self.add(b"")
        with open(self.temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(self.temporary, self.path)
        sync_folder(self.path.parent)


class _Unfailing(io.FileIO):
    """A file that HDF5, which crashes on a full disk, writes without errors: the first is kept in `problem`."""

    problem: OSError | None = None

    def write(self, data) -> int:
        """All of the bytes; nothing once there was a problem."""
        view, done = memoryview(data).cast("B"), 0
        try:
            while done < len(view) and self.problem is None:
                done += super().write(view[done:])
        except OSError as error:
            self.problem = error
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        """To so many bytes; nothing once there was a problem."""
        try:
            return super().truncate(size) if self.problem is None else size
        except OSError as error:
            self.problem = error
            return size


@contextlib.contextmanager
def open_to_write(path: Path, mode: str):
    """An open HDF5 file. mode: "w" for a new one, "r+" to change one. Raises EnvironmentProblem: there is no room."""
    with _Unfailing(path, "w+" if mode == "w" else mode) as disk:
        try:
            with h5py.File(disk, mode) as file:
                yield file
        except (OSError, RuntimeError):  # of bytes that are not there
            if disk.problem is None:
                raise
        if disk.problem is not None:
            raise EnvironmentProblem(path, f"it could not be written ({one_line(disk.problem)})",
                                     "Free space or choose another --scratch folder") from disk.problem


class GrowingImage:
    """As `build_image`, but in a file, and arrays of numbers may come range by range; it is there, whole, only after
    `finish`. Every method raises EnvironmentProblem where the file has no room."""

    def __init__(self, path: Path, attributes: dict):
        self.path, self.temporary = path, fence.temporary_for(path)
        with self._kept_whole():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._disk = _Unfailing(self.temporary, "w+")
            self._file = h5py.File(self._disk, "w", libver=LIBRARY_VERSIONS)
            for key, value in attributes.items():
                self._file.attrs[key] = value

    def add(self, name: str, values: np.ndarray) -> None:
        """A whole array."""
        with self._kept_whole():
            _add_dataset(self._file.id, dataset_name(name).encode(), to_stored(values), True)

    def put(self, name: str, first: int, values: np.ndarray, rows: int) -> None:
        """Rows from `first` on of an array of `rows`."""
        key = dataset_name(name)
        with self._kept_whole():
            if key not in self._file:
                shape = rows, *values.shape[1:]
                _new_dataset(self._file.id, key.encode(), values.dtype, shape, True, values.dtype.kind in "iu")
            self._file[key][first : first + len(values)] = values

    def finish(self) -> None:
        """Puts the file in its place."""
        with self._kept_whole():
            self._file.close()
            self._check()
            os.fsync(self._disk.fileno())
            self._disk.close()
            os.replace(self.temporary, self.path)
            sync_folder(self.path.parent)

    @contextlib.contextmanager
    def _kept_whole(self):
        try:
            yield
            self._check()
        except (OSError, RuntimeError) as error:  # h5py says either
            with contextlib.suppress(OSError, RuntimeError, AttributeError):
                self._file.close()
            with contextlib.suppress(OSError, AttributeError):
                self._disk.close()
            self.temporary.unlink(missing_ok=True)
            fence.require()
            raise EnvironmentProblem(self.path, f"it could not be written ({one_line(error)})",
                                     "Free space or choose another --run folder") from error

    def _check(self) -> None:
        if self._disk.problem is not None:
            raise self._disk.problem


def sync_folder(folder: Path) -> None:
    """Make renames in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def open_image(image: bytes):
    """Local: the bytes of an HDF5 file as an open file. What h5py raises when they are damaged is in DAMAGE."""
    options = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    options.set_fapl_core(backing_store=False)
    options.set_file_image(image)
    with h5py.File(h5py.h5f.open(b"part", h5py.h5f.ACC_RDONLY, options)) as file:
        yield file


def plain_dataset(file, name: str) -> h5py.Dataset:
    """Local: a dataset that holds all it shows: no link, no other file, no filter of unknown code, no declared size
    that its stored bytes cannot fill. ValueError or KeyError else."""
    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        raise ValueError(f"{name} is a link to elsewhere")
    dataset = file[name]
    if not isinstance(dataset, h5py.Dataset):
        raise ValueError(f"{name} is no dataset")
    if dataset.is_virtual or dataset.external:
        raise ValueError(f"{name} lies in other files")
    if dataset.dtype.kind not in "biufSO" or (dataset.dtype.kind == "O" and not h5py.check_string_dtype(dataset.dtype)):
        raise ValueError(f"{name} holds neither numbers nor text")
    creation = dataset.id.get_create_plist()
    filters = {creation.get_filter(number)[0] for number in range(creation.get_nfilters())}
    if not filters <= FILTERS:
        raise ValueError(f"{name} needs a filter that is not used here")
    largest = max(dataset.nbytes, int(np.prod(dataset.chunks or (0,), dtype=np.float64)) * dataset.dtype.itemsize)
    if largest > MOST_EXPANSION * dataset.id.get_storage_size():
        raise ValueError(f"{name} declares {largest:,} bytes, which are not in the file")
    return dataset


def read_image(source: Path | bytes, names: list[str] | None = None, rows: slice = slice(None),
               subject: Path | str | None = None, checksum: str | None = None,
               foreign: bool = False) -> dict[str, np.ndarray]:
    """Arrays of a part from a file or its bytes. `names` None reads all. Text comes as object arrays of str.

    checksum: the SHA-256 that its bytes must have. foreign: nothing vouches for them, so no text of variable length is
    read: one altered bit there can keep HDF5 busy for ever. Raises StoreError, about `subject`, when the file is
    missing, altered or damaged, lacks a dataset, or holds something else than plain datasets.
    """
    subject = subject or ("part" if isinstance(source, bytes) else source)
    remedy = "Write it anew, or copy it again" if foreign else "Run the stage that wrote it again"
    try:
        image = source if isinstance(source, bytes) else source.read_bytes()
        if checksum is not None and hashlib.sha256(image).hexdigest() != checksum:
            raise StoreError(subject, "the file was altered after it was written", remedy)
        with open_image(image) as file:
            wanted = list(file) if names is None else [dataset_name(name) for name in names]
            datasets = [plain_dataset(file, name) for name in wanted]
            if foreign and any(dataset.dtype.kind == "O" for dataset in datasets):
                raise ValueError("text of variable length is not read from such files")
            return {key: from_stored(dataset[rows] if dataset.ndim else dataset[()])
                    for key, dataset in zip(wanted if names is None else names, datasets)}
    except DAMAGE as error:
        cause = "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read ({one_line(error)})"
        raise StoreError(subject, cause, remedy) from error


def one_line(error: Exception) -> str:
    """The beginning of what an error says."""
    return " ".join(str(error).split())[:80]
