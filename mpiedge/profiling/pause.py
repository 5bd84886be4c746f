"""A search that is ended early by Ctrl-C, a signal or a time limit, and what it knows, kept in the run folder."""

import hashlib
import io
import os
import signal
import threading
import time
import zipfile

import numpy as np

from mpiedge.errors import Stopped
from mpiedge.profiling.anytime import State
from mpiedge.profiling.encode import EncodedTable
from mpiedge.runtime.root import on_root
from mpiedge.store import fence
from mpiedge.store.parts import write_atomic

FILE = "profile-search.npz"
"""In the run folder itself: the folder of the stage is emptied when results are written."""

CHECKSUM_BYTES = 64
EVERY_S = 5.0
"""Between two times a long search is saved."""

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
RUNNING_S = 0.2
"""Who was asked so shortly before a SIGCONT had not been stopped."""


class Interruption:
    """Within the block, the first Ctrl-C or request to end is a question's answer, not an exception; calling it asks.

    It is open for a whole stage: it is asked while tables are read and searched; what is left afterwards is done.
    limit_s: seconds from `began_s` (of time.perf_counter) until the answer is yes, None for never. A second signal
    interrupts as always. Away from the main thread, where signals cannot be caught, only the limit counts.

    Open MPI 5 announces the end of its job, such as after Ctrl-C, by SIGCONT to ranks that were never stopped; SIGTERM
    follows after .25 s and SIGKILL after .45 s, so that the first of them counts.
    """

    def __init__(self, limit_s: float | None, began_s: float):
        self._end_s = None if limit_s is None else began_s + limit_s
        self.signalled = self._announced = False
        self._asked_s = float("-inf")
        self._before: dict = {}

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is threading.main_thread():
            numbers = (*SIGNALS, signal.SIGCONT) if "PRTE_LAUNCHED" in os.environ else SIGNALS
            self._before = {number: signal.signal(number, self._take) for number in numbers}
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _take(self, number, frame) -> None:
        if number == signal.SIGCONT:
            self._announced |= not self.signalled and time.perf_counter() < self._asked_s + RUNNING_S
        elif self.signalled and not self._announced:
            raise KeyboardInterrupt
        else:
            self._announced = False
        self.signalled |= number != signal.SIGCONT or self._announced

    def end_before_search(self, stage) -> None:
        """Collective: raises Stopped on every rank when one got a signal before there was anything to save."""
        if stage.world.max(np.array([self.signalled], np.int64))[0]:
            error = Stopped(stage.run, "the job was told to end before anything was found",
                            "Run the same line again to start anew")
            error.everywhere = True
            raise error

    def __call__(self) -> bool:
        """Local: whether the search is to end."""
        self._asked_s = time.perf_counter()
        return self.signalled or (self._end_s is not None and time.perf_counter() >= self._end_s)


class Searches:
    """What searches of tables know, as arrays by table and kind of search, the same on every rank."""

    def __init__(self, stage, tables: list[EncodedTable]):
        """Collective: reads what an earlier run of this stage left about these very tables; nothing else counts."""
        self._stage, self._tables, self._saved_s = stage, tables, time.perf_counter()
        self._digests: dict[str, str] = {}
        self._known = on_root(stage.world, self._read)
        self.resumed = len(self._known) > 0

    def _read(self) -> dict:
        try:
            content = (self._stage.run / FILE).read_bytes()
            data, checksum = content[:-CHECKSUM_BYTES], content[-CHECKSUM_BYTES:]
            if _checksum(data) != checksum:
                raise ValueError("altered")
            with np.load(io.BytesIO(data)) as file:
                arrays = {name: file[name] for name in file.files}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile):
            self._stage.warn(f"{self._stage.run / FILE} cannot be read: the search starts anew")
            return {}
        known: dict = {}
        for table in self._tables:
            mine = self._digest(table)
            for name, array in arrays.items():
                kind, digest, field = name.split("/")
                if digest == mine:
                    known.setdefault(f"{kind}/{table.name}", {})[field] = array
        return known

    def _digest(self, table: EncodedTable) -> str:
        if table.name not in self._digests:
            self._digests[table.name] = fingerprint(table)
        return self._digests[table.name]

    def get(self, kind: str, table: EncodedTable) -> dict | None:
        """Local: the arrays of a search, None when there are none."""
        return self._known.get(f"{kind}/{table.name}")

    def put(self, kind: str, table: EncodedTable, state: State | dict[str, np.ndarray]) -> None:
        """Local: what a search left, for `save`."""
        self._known[f"{kind}/{table.name}"] = state.arrays() if isinstance(state, State) else state

    def save(self) -> None:
        """Collective: writes what is known into the run folder."""
        on_root(self._stage.world, self._write)

    def save_now_and_then(self, kind: str, table: EncodedTable, state) -> None:
        """Local: between two rounds of a search rank 0 saves what all know when the last time is long ago; state: a
        function giving it."""
        if self._stage.world.is_root and time.perf_counter() >= self._saved_s + EVERY_S:
            self.put(kind, table, state())
            self._write()

    def _write(self) -> None:
        digests = {table.name: self._digest(table) for table in self._tables}
        arrays = {f"{kind}/{digests[name]}/{field}": array for key, fields in self._known.items()
                  for kind, name in [key.split("/", 1)] for field, array in fields.items()}
        data = io.BytesIO()
        np.savez_compressed(data, **arrays)
        write_atomic(self._stage.run / FILE, data.getvalue() + _checksum(data.getvalue()))
        self._saved_s = time.perf_counter()

    def forget(self) -> None:
        """Collective: nothing is left to go on with."""
        on_root(self._stage.world, lambda: fence.discard(self._stage.run / FILE))


def _checksum(data: bytes) -> bytes:
    """Local: what stands behind the archive; those who read archives do not mind it."""
    return hashlib.sha256(data).hexdigest().encode()


def fingerprint(table: EncodedTable) -> str:
    """Local: a digest of all cells of a table as codes: equal tables, read alike, have the same."""
    digest = hashlib.sha256()
    for codes in table.codes:
        digest.update(f"{codes.dtype.str} {len(codes)} ".encode())
        digest.update(np.ascontiguousarray(codes).data)
    return digest.hexdigest()
