"""What an unfinished stage has done so far, so that its next attempt goes on from there instead of beginning anew.

    RUN/.unfinished/index.json      what the stage was started with (as a digest), and its attempts
    RUN/.unfinished/DIGEST/         working parts, pieces of text files, and one file of records per attempt and rank

A record is a claim, written before a task is begun, or holds the result of a finished task and the checksums of the
files it wrote, and has a checksum itself. A result counts when that agrees, and all its files are there as they were
written; else the task is computed again.

Poison. Tasks that were claimed and not finished when an attempt ended may have ended it. They are computed last, one
after the other while the other ranks wait: then there is no doubt which it was, and it has its host's memory alone. One
that was tried three times is set aside: all the others are computed, and the stage ends with an error that names it.

Fencing. An attempt begins by sealing those before it: rank 0 notes how long their files are at this moment, and nobody
reads beyond. So a rank that was given up and wakes can add nothing to what counts: its records come too late, and the
files it writes lie in a folder whose name says what they were made from, so they are the same whoever writes them.
"""

import contextlib
import hashlib
import json
import os
import secrets
import struct
from collections import Counter
from dataclasses import dataclass

import numpy as np

from mpiedge import __version__
from mpiedge.errors import MpiedgeError, PoisonTask
from mpiedge.runtime import heartbeat
from mpiedge.runtime.root import on_root
from mpiedge.runtime.wire import WireError, pack, unpack
from mpiedge.store import fence
from mpiedge.store.layout import UNFINISHED
from mpiedge.store.run import write_json

INDEX = f"{UNFINISHED}/index.json"
PREFIX = struct.Struct("<IQ32s")
"""Of a record: bytes of the head (JSON: key, task, files), bytes of the packed result, SHA-256 of both."""
LARGEST_HEAD = 1 << 20
TRIES = 3
SHAPE_NOTHING = frozenset(("run", "memory", "threads", "scratch", "progress", "trace", "verbose", "quiet", "dry_run",
                           "time_limit"))


@dataclass(frozen=True)
class Record:
    """Where in a file of records the result of a task lies, and which files the task wrote: (path, bytes, SHA-256)."""

    path: str
    start: int
    head_bytes: int
    body_bytes: int
    checksum: bytes
    files: tuple[tuple[str, int, str], ...]


class Ledger:
    """The finished tasks of one stage: those of earlier attempts are recalled, those of this one are noted.

    resumed: whether earlier attempts left something; attempt: the name of this one.
    """

    def __init__(self, world, access, stage: str, args, inputs: list[str]):
        """Collective: goes on from an earlier attempt with the same flags and the same inputs, else begins anew.

        inputs: paths of the user's files, which rank 0 sees; they are the same while size and times of change are.
        """
        self._world, self._access = world, access
        self._calls: dict[str, int] = {}
        found = on_root(world, lambda: _begin(access.run, stage, args, inputs))
        self.resumed, self.attempt = found["resumed"], found["attempt"]
        access.unfinished = f"{UNFINISHED}/{found['digest'][:16]}"
        access.written = []
        self._own = f"{access.unfinished}/{self.attempt}-{world.rank}.records"
        self._records: dict[str, dict[tuple, Record]] = {}
        claimed = [self._scan(f"{access.unfinished}/{name}", size)
                   for name, size in (found["sealed"].items() if access.sees_run else ())]
        pardoned = found["pardoned"]
        begun = on_root(world, lambda: [claim for name, claim in zip(found["sealed"], claimed)
                                        if claim and name.rpartition("-")[0] not in pardoned])
        self._tries = Counter((call, tuple(task)) for call, task in begun)

    def name_call(self, key: str) -> str:
        """Local: tells repeated runs with one key apart: they come in the same order in every attempt."""
        self._calls[key] = self._calls.get(key, 0) + 1
        return f"{key} {self._calls[key]}"

    def recall(self, call: str, tasks: list[tuple]) -> tuple[set[tuple], list[tuple]]:
        """Collective: which of the tasks are finished, and the (task, result) that this rank has in its care.

        Shared: each rank checks and takes an equal part of the finished tasks; served: rank 0 takes all.
        """
        self._access.written = []
        if not self.resumed:
            return set(), []
        known = self._records.pop(call, {})
        wanted = [task for task in tasks if task in known]
        if self._access.mode == "shared":
            wanted = wanted[self._world.rank :: self._world.size]
        mine = [(task, result) for task in wanted for result in self._read(known[task])]
        numbers = {task: number for number, task in enumerate(tasks)}
        own = np.array([numbers[task] for task, _ in mine], np.int64)
        found = np.concatenate([message["found"] for message in self._world.allgather({"found": own})])
        return {tasks[number] for number in found.tolist()}, mine

    def in_doubt(self, call: str, tasks: list[tuple]) -> tuple[list[tuple], list[tuple]]:
        """Local: of these tasks, those to be computed one at a time, and those that are set aside; alike on all ranks.
        """
        doubtful = [task for task in tasks if 0 < self._tries[call, task] < TRIES]
        return doubtful, [task for task in tasks if self._tries[call, task] >= TRIES]

    def give_up(self, name: str, task: tuple) -> None:
        """Collective: raises the error of a task that was set aside; the next attempt tries it anew."""
        def pardon() -> None:
            index = json.loads((self._access.run / INDEX).read_bytes())
            write_json(self._access.run / INDEX, {**index, "pardoned": list(index["attempts"])})

        on_root(self._world, pardon)
        where = ", ".join(map(str, task))
        error = PoisonTask(f"{name}, task {where}", f"its rank died in it {TRIES} times; all other tasks are done",
                           "See whether its memory was enough and its rows are odd, and run the same line again")
        error.everywhere = True
        raise error

    def claim(self, call: str, task: tuple) -> None:
        """Local, before a task is begun: who it is that may end this rank."""
        self._append([call, task, None], b"")

    def release(self, call: str, task: tuple) -> None:
        """Local: a task has ended by an error that will be told: no question of what it was."""
        with contextlib.suppress(MpiedgeError, OSError):
            self._append([call, task, False], b"")

    def note(self, call: str, task: tuple, result) -> None:
        """Local, when a task is finished: its result, for attempts to come."""
        files, self._access.written = self._access.written, []
        self._append([call, task, files], pack(result).tobytes())

    def _append(self, head: list, body: bytes) -> None:
        head = json.dumps(head, separators=(",", ":")).encode()
        checksum = hashlib.sha256(head + body).digest()
        self._access.append(self._own, PREFIX.pack(len(head), len(body), checksum) + head + body)

    def _scan(self, path: str, size: int) -> list | None:
        """Local: learns where the results in a file are; ends at the first record that is cut or cannot be read.

        Returns the (call, task) that was claimed last and not finished, None when there is none.
        """
        claimed = None
        try:
            with open(self._access.run / path, "rb") as file:
                start = 0
                while start + PREFIX.size <= size:
                    head_bytes, body_bytes, checksum = PREFIX.unpack(file.read(PREFIX.size))
                    start += PREFIX.size
                    if head_bytes > LARGEST_HEAD or start + head_bytes + body_bytes > size:
                        break
                    call, task, files = json.loads(file.read(head_bytes))
                    claimed = [call, task] if files is None else None
                    if files is not None and files is not False:
                        files = tuple((str(name), int(length), str(mark)) for name, length, mark in files)
                        record = Record(path, start, head_bytes, body_bytes, checksum, files)
                        self._records.setdefault(call, {})[tuple(task)] = record
                    start += head_bytes + body_bytes
                    file.seek(start)
        except (OSError, ValueError, TypeError, struct.error):
            pass
        return claimed

    def _read(self, record: Record) -> list:
        """Local: [result], or [] when the record or a file of the task is not as it was written."""
        try:
            with open(self._access.run / record.path, "rb") as file:
                file.seek(record.start)
                data = file.read(record.head_bytes + record.body_bytes)
            if hashlib.sha256(data).digest() != record.checksum:
                return []
            for name, length, checksum in record.files:
                content = (self._access.run / name).read_bytes()
                if len(content) != length or hashlib.sha256(content).hexdigest() != checksum:
                    return []
            return [unpack(bytearray(data[record.head_bytes :]))]
        except (OSError, WireError):
            return []


def _begin(run, stage: str, args, inputs: list[str]) -> dict:
    """Local, on rank 0: seals the attempts before this one, or clears what they left when it was of other work."""
    digest = _digest(stage, args, inputs)
    attempts: dict = {}
    pardoned: list = []
    try:
        index = json.loads((run / INDEX).read_bytes())
        if index["digest"] == digest:
            attempts, pardoned = dict(index["attempts"]), list(index["pardoned"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    folder = run / UNFINISHED / digest[:16]
    if not attempts:
        fence.discard(run / UNFINISHED)
        fence.discard(run / stage)
    for name, sizes in attempts.items():
        if sizes is None:
            attempts[name] = {path.name: path.stat().st_size for path in sorted(folder.glob(f"{name}-*.records"))}
    attempt = heartbeat.attempt() or secrets.token_hex(6)
    write_json(run / INDEX, {"stage": stage, "digest": digest, "attempts": {**attempts, attempt: None},
                             "pardoned": pardoned})
    sealed = {name: size for sizes in attempts.values() for name, size in sizes.items()}
    return {"digest": digest, "attempt": attempt, "sealed": sealed, "resumed": bool(attempts),
            "pardoned": pardoned}


def _digest(stage: str, args, inputs: list[str]) -> str:
    """Local: what must agree for the work of an earlier attempt to count."""
    flags = {name: value for name, value in sorted(vars(args).items()) if name not in SHAPE_NOTHING}
    found = {}
    for path in inputs:
        about = os.stat(path)
        found[path] = [about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns]
    return hashlib.sha256(json.dumps([__version__, stage, flags, found], default=str).encode()).hexdigest()


def left_by(run, stage: str) -> bool:
    """Local: whether an unfinished attempt of this stage has left something to go on from."""
    try:
        return json.loads((run / INDEX).read_bytes())["stage"] == stage
    except (OSError, ValueError, KeyError, TypeError):
        return False
