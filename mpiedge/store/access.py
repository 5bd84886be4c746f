"""Two ways to reach a run folder: *shared* (every rank opens files) and *served* (rank 0 does, bytes travel by MPI).

A start-up test chooses: rank 0 writes a token and every rank looks for it. `MPIEDGE_ACCESS=shared|served` overrules it.
Both ways move the same bytes, so they give the same results.

In served mode a rank asks rank 0 and waits while it goes on answering others; rank 0 answers whenever it polls, which
it does inside `queue.run` at every time slice. So the Local methods below belong inside `queue.run`; elsewhere use the
Collective ones.
"""

import contextlib
import gzip
import hashlib
import os
import re
import secrets
import shutil
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mpiedge.errors import InputError, StoreError, UsageError
from mpiedge.runtime.root import on_root
from mpiedge.store import fence
from mpiedge.store.layout import UNFINISHED, part_file
from mpiedge.store.parts import build_image, describe, no_room, read_image, sync_folder, write_atomic
from mpiedge.store.run import open_input, read_text_file

COPY_BYTES = 1 << 20
MAX_EXPANSION, ALWAYS_UNPACKED = 200, 1 << 30
"""A gzip file that grows by more than the one and to more than the other is refused: no table compresses like that."""


@dataclass(frozen=True)
class InputFile:
    """A user's file as the ranks reach it. `everywhere`: each rank can open it itself; `modified_ns`: when it was last
    written to, as rank 0 saw it."""

    name: str
    path: str
    size: int
    everywhere: bool
    modified_ns: int


class Access:
    """Reads and writes the run folder `run` on behalf of this rank.

    scratch: a folder of this run that rank 0 sees; scratch_here: one that this rank sees. unfinished, written: see
    store/ledger.py.
    """

    def __init__(self, world, mail, run: Path, scratch: str | None = None):
        """Collective: finds out who sees the folder."""
        self.world, self.mail, self.run = world, mail, Path(run)
        self.scratch = self._own_scratch(scratch) if scratch else self.run / ".scratch"
        self.mode = self._find_mode()
        self.sees_run = self.mode == "shared" or world.is_root
        self.scratch_here = self.scratch if self.sees_run else Path(scratch or tempfile.gettempdir())
        self.unfinished = UNFINISHED  # where working parts and pieces lie, in the run folder
        self.written: list[tuple[str, int, str]] | None = None  # a list: path, bytes and SHA-256 of what is written
        for kind in ("bytes", "part", "write", "append"):
            mail.handle(f"access.{kind}", getattr(self, f"_serve_{kind}"))

    def _own_scratch(self, folder: str) -> Path:
        """A folder for this run alone, with the same name each time, so that a later stage clears it after a crash."""
        place = os.path.realpath(self.run)
        return Path(folder) / f"mpiedge-{os.path.basename(place)}-{zlib.crc32(os.fsencode(place)):08x}"

    def _find_mode(self) -> str:
        # What rank 0's environment says holds for all: launchers do not pass every variable to every host.
        forced = on_root(self.world, lambda: os.environ.get("MPIEDGE_ACCESS", ""))
        if forced in ("shared", "served"):
            return forced
        if forced:
            error = UsageError(f"MPIEDGE_ACCESS={forced}", "there is no such way",
                               "Set it to shared or served, or not at all")
            error.everywhere = True
            raise error
        token = {"name": f".token-{secrets.token_hex(8)}"} if self.world.is_root else None
        token = self.world.bcast(token)
        path = self.run / token["name"]
        on_root(self.world, lambda: path.write_text(token["name"]) and None)
        own = path.with_name(f"{path.name}-{self.world.rank}")
        try:
            seen = path.read_text() == token["name"]
            own.write_text("")  # a folder that a rank sees but may not write to has to be served to it
            own.unlink()
        except OSError:
            seen = False
        everyone = bool(self.world.min(np.array([seen], dtype=np.int64))[0])
        on_root(self.world, lambda: path.unlink(missing_ok=True))
        return "shared" if everyone else "served"

    # -- a user's input ------------------------------------------------------------------------------------------

    def input(self, path: str) -> InputFile:
        """Collective: opens an input file; a gzip file is unpacked into the scratch folder first.

        Raises InputError on every rank when it is missing, a folder, unreadable, empty, or a damaged gzip file.
        """
        found = on_root(self.world, lambda: self._open_on_root(path))
        everywhere = self.visible_everywhere(found["path"], found["size"])
        return InputFile(path, found["path"], found["size"], everywhere, found["modified_ns"])

    def require_unchanged(self, file: InputFile) -> None:
        """Collective: InputError on every rank when an input file was written to since it was opened."""
        def check() -> None:
            with contextlib.suppress(OSError):  # gone: what was read of it stands
                found = os.stat(file.path)
                if (found.st_size, found.st_mtime_ns) != (file.size, file.modified_ns):
                    raise InputError(file.name, "the file changed while it was read",
                                     "Run again when nothing writes to it any more")

        on_root(self.world, check)

    def _open_on_root(self, path: str) -> dict:
        size, head = open_input(path)
        if head[:2] != b"\x1f\x8b":
            return {"path": os.path.abspath(path), "size": size, "modified_ns": os.stat(path).st_mtime_ns}
        self.scratch.mkdir(parents=True, exist_ok=True)
        target = self.scratch / f"{Path(path).name}.{secrets.token_hex(4)}.unpacked"
        limit = max(MAX_EXPANSION * size, ALWAYS_UNPACKED)
        written = 0
        try:
            with gzip.open(path, "rb") as source, open(target, "wb") as file:
                while block := self._unpack(source, path):
                    written += len(block)
                    if written > limit:
                        raise InputError(path, f"unpacks to more than {MAX_EXPANSION} times its size",
                                         "Unpack it yourself if you trust it")
                    file.write(block)
        except OSError as error:
            raise no_room(target, written, error, "--scratch") from error
        if written == 0:
            raise InputError(path, "the file is empty", "Give a CSV with a header line and rows")
        return {"path": str(target), "size": written, "modified_ns": target.stat().st_mtime_ns}

    @staticmethod
    def _unpack(source, path: str) -> bytes:
        try:
            return source.read(COPY_BYTES)
        except (EOFError, OSError, zlib.error) as error:
            raise InputError(path, f"cannot be unpacked ({error})", "Check the gzip file with gzip -t") from error

    def drop_scratch(self) -> None:
        """Local, on a rank that sees the run: removes what was unpacked."""
        fence.require()
        for folder in {self.scratch, self.run / ".scratch"}:
            shutil.rmtree(folder, ignore_errors=True)

    def drop_unfinished(self) -> None:
        """Local, on a rank that sees the run: removes working parts, pieces, and what a next attempt would go on from.
        """
        fence.discard(self.run / UNFINISHED)

    def visible_everywhere(self, path: str, size: int) -> bool:
        """Collective: whether every rank can open a file of rank 0 itself."""
        try:
            visible = self.mode == "shared" and os.path.getsize(path) == size
        except OSError:
            visible = False
        return bool(self.world.min(np.array([visible], dtype=np.int64))[0])

    # -- Local, inside queue.run ---------------------------------------------------------------------------------

    def read_bytes(self, file: InputFile, start: int, stop: int) -> bytes:
        """Local: bytes [start, stop) of an input file, fewer at its end."""
        if file.everywhere or self.world.is_root:
            return self._read_range(file.path, start, stop)
        reply = self.mail.request(0, "access.bytes", {"path": file.path, "start": start, "stop": stop})
        return np.asarray(reply["data"], dtype=np.uint8).tobytes()

    @staticmethod
    def _read_range(path: str, start: int, stop: int) -> bytes:
        try:
            with open(path, "rb") as file:
                file.seek(start)
                return file.read(max(0, stop - start))
        except OSError as error:
            raise InputError(path, error.strerror or str(error), "Check the file") from error

    def read_part(self, stage: str, table: str, index: int, names: list[str] | None = None,
                  rows: slice = slice(None), checksum: str | None = None) -> dict[str, np.ndarray]:
        """Local: arrays of one part; text as object arrays of str. checksum: its SHA-256. Raises StoreError."""
        path = self.run / stage / part_file(table, index)
        if self.sees_run:
            return read_image(path, names, rows, checksum=checksum)
        reply = self.mail.request(0, "access.part", {"path": f"{stage}/{path.name}"})
        return read_image(np.asarray(reply["data"], dtype=np.uint8).tobytes(), names, rows, path, checksum)

    def write_part(self, stage: str, table: str, index: int, arrays: dict[str, np.ndarray],
                   attributes: dict | None = None, compress: bool = True) -> dict:
        """Local: writes part `index` of a table whole or not at all; returns its entry for the manifest.

        compress False: for a part that this stage reads again and drops.
        """
        image = build_image(arrays, attributes, compress)
        entry = describe(part_file(table, index), image, len(next(iter(arrays.values()), ())))
        self._write(f"{stage}/{entry['file']}", image, checksum=entry["sha256"])
        return entry

    def write_piece(self, relative: str, index: int, data: bytes) -> None:
        """Local: writes piece `index` of the text file `relative`, to be joined later."""
        self._write(self._piece(relative, index), data, durable=False)

    def _piece(self, relative: str, index: int) -> str:
        return f"{self.unfinished}/{relative}/{index:06d}"

    def append(self, relative: str, data: bytes) -> None:
        """Local: adds to the end of a file of this rank; served, without waiting for rank 0."""
        if self.sees_run:
            self._add(relative, data)
        else:
            self.mail.send(0, "access.append", {"path": relative, "data": np.frombuffer(data, dtype=np.uint8)})

    def _add(self, relative: str, data: bytes) -> None:
        path = self.run / relative
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(path, "ab") as file:
                file.write(data)
        except OSError as error:
            raise no_room(path, len(data), error) from error

    def _write(self, relative: str, data: bytes, durable: bool = True, checksum: str | None = None) -> None:
        if self.written is not None:
            self.written.append((relative, len(data), checksum or hashlib.sha256(data).hexdigest()))
        if self.sees_run:
            write_atomic(self.run / relative, data, durable)
        else:
            message = {"path": relative, "durable": durable, "data": np.frombuffer(data, dtype=np.uint8)}
            self.mail.request(0, "access.write", message)

    # -- what rank 0 answers in served mode ----------------------------------------------------------------------

    def _serve_bytes(self, source: int, message: dict) -> dict:
        data = self._read_range(message["path"], message["start"], message["stop"])
        return {"data": np.frombuffer(data, dtype=np.uint8)}

    def _serve_part(self, source: int, message: dict) -> dict:
        try:
            return {"data": np.fromfile(self.run / message["path"], dtype=np.uint8)}
        except OSError as error:
            raise StoreError(self.run / message["path"], f"cannot be read ({error.strerror})",
                             "Run the stage that wrote it again") from error

    def _serve_append(self, source: int, message: dict) -> None:
        self._add(message["path"], np.asarray(message["data"], dtype=np.uint8).tobytes())

    def _serve_write(self, source: int, message: dict) -> dict:
        data = np.asarray(message["data"], dtype=np.uint8).tobytes()
        write_atomic(self.run / message["path"], data, message["durable"])
        return {}

    # -- Collective ----------------------------------------------------------------------------------------------

    def join_pieces(self, relative: str, count: int, head: bytes = b"") -> None:
        """Collective: joins pieces 0..count-1 in order, after `head`, into the file `relative` of the run folder."""
        def join():
            target = self.run / relative
            temporary = fence.temporary_for(target)
            pieces = [self.run / self._piece(relative, index) for index in range(count)]
            gone = next((piece for piece in pieces if not piece.exists()), None)
            if gone:
                raise StoreError(gone, "was removed while the stage was at work", "Run the same line again")
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with open(temporary, "wb") as file:
                    file.write(head)
                    for path in pieces:
                        with open(path, "rb") as piece:
                            shutil.copyfileobj(piece, file, COPY_BYTES)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(temporary, target)
                sync_folder(target.parent)
            except OSError as error:
                with contextlib.suppress(OSError):
                    temporary.unlink(missing_ok=True)
                fence.require()
                size = len(head) + sum(os.path.getsize(path) for path in pieces if path.exists())
                raise no_room(target, size, error) from error

        on_root(self.world, join)

    def write_text(self, relative: str, text: str) -> None:
        """Collective: rank 0 writes a small text file of the run folder atomically."""
        on_root(self.world, lambda: write_atomic(self.run / relative, text.encode()))

    def read_text(self, relative: str) -> str:
        """Collective: a small text file of the run folder, on every rank. Raises StoreError when it is missing."""
        return on_root(self.world, lambda: read_text_file(self.run / relative))

    def remove(self, stage: str, table: str | None = None) -> None:
        """Collective: removes the parts of a table (None: the whole stage folder with its manifest)."""
        def remove():
            folder = self.run / stage
            if table is None:
                fence.discard(folder)
            else:
                name = re.compile(re.escape(part_file(table, 0)).replace("000000", r"\d+"))
                for path in folder.glob("part-*.h5"):
                    if name.fullmatch(path.name):
                        fence.discard(path)
        on_root(self.world, remove)

