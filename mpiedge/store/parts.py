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
from mpiedge.store.layout import HDF5_CHUNK_BYTES, WIDEST_FIXED_TEXT, dataset_name

LIBRARY_VERSIONS = ("earliest", "v110")
"""The oldest forms: readable everywhere, and newer forms of groups would store the time, so equal data would differ."""


DAMAGE = (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError, OverflowError)
"""What h5py raises when bytes of a file were altered, depending on where."""


def to_stored(values: np.ndarray) -> np.ndarray:
    """Arrays as HDF5 keeps them: object arrays of str become fixed-width UTF-8, wide ones stay variable-length."""
    values = np.asarray(values)
    if values.dtype.kind == "U":
        values = values.astype(object)
    if values.dtype != object:
        return values
    encoded = [value.encode("utf-8", "surrogateescape").replace(b"\x00", b"") for value in values.tolist()]
    width = max(map(len, encoded), default=1) or 1
    if width > WIDEST_FIXED_TEXT:
        return np.array([value.decode("utf-8", "replace") for value in encoded], dtype=h5py.string_dtype("utf-8"))
    return np.array(encoded, dtype=h5py.string_dtype("utf-8", width))


def from_stored(values: np.ndarray) -> np.ndarray:
    """The inverse of `to_stored`: text as an object array of str, numbers as they are."""
    if values.dtype.kind in "SO":
        text = [value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in values.tolist()]
        decoded = np.empty(len(text), dtype=object)
        decoded[:] = text
        return decoded
    return values


def build_image(arrays: dict[str, np.ndarray], attributes: dict | None = None) -> bytes:
    """The bytes of an HDF5 file with one one-dimensional (or any-dimensional) dataset per array.

    Chunks of at most 512 KiB, gzip-1 + shuffle + fletcher32 (variable-length text: unfiltered, HDF5 cannot).
    """
    with h5py.File("part", "w", driver="core", backing_store=False, libver=LIBRARY_VERSIONS) as file:
        for name, values in arrays.items():
            stored = to_stored(values)
            options = {}
            if stored.size and stored.ndim and stored.dtype != object:
                row_bytes = max(1, stored.itemsize * int(np.prod(stored.shape[1:], dtype=np.int64)))
                rows = max(1, min(len(stored), HDF5_CHUNK_BYTES // row_bytes))
                options = {"chunks": (rows, *stored.shape[1:]), "compression": "gzip", "compression_opts": 1,
                           "shuffle": True, "fletcher32": True}
            file.create_dataset(dataset_name(name), data=stored, dtype=stored.dtype, **options)
        for key, value in (attributes or {}).items():
            file.attrs[key] = value
        file.flush()
        return file.id.get_file_image()


def describe(file_name: str, image: bytes, rows: int) -> dict:
    """What the manifest keeps of a part."""
    return {"file": file_name, "rows": rows, "bytes": len(image), "sha256": hashlib.sha256(image).hexdigest()}


def write_atomic(path: Path, data: bytes, durable: bool = True) -> None:
    """Write a file so that it is whole or absent: temporary name, fsync, rename, fsync of the folder.

    `durable` False leaves out the fsyncs, for what need not survive a power cut.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
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
        raise no_room(path, len(data), error) from error


def no_room(path: Path, size: int, error: OSError, flag: str = "--run") -> EnvironmentProblem:
    """The error of a file of `size` bytes that could not be written."""
    cause = f"{size:,} bytes could not be written ({error.strerror or error})"
    return EnvironmentProblem(path, cause, f"Free space or choose another folder with {flag}")


class GrowingFile:
    """A file that is written piece by piece and is there, whole, only after `finish`; otherwise as `write_atomic`."""

    def __init__(self, path: Path):
        self.path, self.temporary = path, path.with_name(f".{path.name}.{os.getpid()}.tmp")
        path.parent.mkdir(parents=True, exist_ok=True)
        self.temporary.unlink(missing_ok=True)

    def add(self, data: bytes) -> None:
        """Appends. Raises EnvironmentProblem."""
        try:
            with open(self.temporary, "ab") as file:
                file.write(data)
        except OSError as error:
            self.temporary.unlink(missing_ok=True)
            cause = error.strerror or str(error)
            raise EnvironmentProblem(self.path, cause, "Free space or choose another --run folder") from error

    def finish(self) -> None:
        """Puts the file in its place."""
        self.add(b"")
        with open(self.temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(self.temporary, self.path)
        sync_folder(self.path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_image(source: Path | bytes, names: list[str] | None = None, rows: slice = slice(None),
               subject: Path | str | None = None) -> dict[str, np.ndarray]:
    """Arrays of a part from a file or its bytes. `names` None reads all. Text comes as object arrays of str.

    Raises StoreError, about `subject`, when the file is missing, damaged or lacks a dataset.
    """
    subject = subject or ("part" if isinstance(source, bytes) else source)
    try:
        with h5py.File(io.BytesIO(source) if isinstance(source, bytes) else source, "r") as file:
            wanted = list(file) if names is None else [dataset_name(name) for name in names]
            keys = wanted if names is None else names
            return {key: from_stored(file[name][rows] if file[name].ndim else file[name][()])
                    for key, name in zip(keys, wanted)}
    except DAMAGE as error:
        cause = "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read ({str(error)[:80]})"
        raise StoreError(subject, cause, "Run the stage that wrote it again") from error
