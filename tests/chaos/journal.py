"""What ranks wrote of their tasks while a run was disturbed, kept aside and checked afterwards, as Jepsen does.

Records of tasks (store/ledger.py) go when their stage is complete. They are linked into a folder of the journal as soon
as they appear, so that all that is ever added to them can be read in the end.
"""

import contextlib
import hashlib
import json
import os
import threading
from collections import Counter, defaultdict
from pathlib import Path

from mpiedge.store.ledger import INDEX, PREFIX

POLL_S = 0.02


class Journal:
    """Follows a run folder from another thread until `stop`."""

    def __init__(self, run: Path, folder: Path):
        self.run, self.folder = run, folder
        self.sealed: dict[str, int] = {}  # name of a file of records -> how much of it counts for later attempts
        folder.mkdir(parents=True)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        while not self._over.wait(POLL_S):
            self.look()

    def look(self) -> None:
        """Links what is new, and learns what was sealed."""
        for path in self.run.glob(".unfinished/*/*.records"):
            with contextlib.suppress(OSError):
                os.link(path, self.folder / f"{path.parent.name}-{path.name}")
        with contextlib.suppress(OSError, ValueError, KeyError):
            index = json.loads((self.run / INDEX).read_bytes())
            for sizes in filter(None, index["attempts"].values()):
                self.sealed.update({f"{index['digest'][:16]}-{name}": size for name, size in sizes.items()})

    def stop(self) -> None:
        """No more is followed."""
        self._over.set()
        self._thread.join()
        self.look()

    def records(self) -> dict[str, list[tuple]]:
        """(start, call, task, files, digest of the result) of each file of records."""
        return {path.name: list(read(path)) for path in sorted(self.folder.glob("*.records"))}

    def problems(self) -> list[str]:
        """What contradicts the promises: a task committed twice in one attempt, or again although an earlier attempt's
        result counted; two results of one task; more than one task in flight on a rank when it ended."""
        found, results, counted = [], defaultdict(set), Counter()
        for name, records in self.records().items():
            open_claims: set = set()
            for start, call, task, files, digest in records:
                if files is None:
                    open_claims.add((call, task))
                    continue
                open_claims.discard((call, task))
                if files is False:
                    continue
                key = name.partition("-")[0], call, task
                results[key].add((digest, json.dumps(files)))
                counted[key] += start < self.sealed.get(name, 1 << 62)
            if len(open_claims) > 1:
                found.append(f"{name}: {len(open_claims)} tasks were in flight on one rank")
        found += [f"{call} {task}: committed {times} times" for (_, call, task), times in counted.items() if times > 1]
        found += [f"{call} {task}: {len(different)} results" for (_, call, task), different in results.items()
                  if len(different) > 1]
        return found


def read(path: Path):
    """The whole records of a file; the last may be cut."""
    data, start = path.read_bytes(), 0
    while start + PREFIX.size <= len(data):
        head_bytes, body_bytes, checksum = PREFIX.unpack_from(data, start)
        end = start + PREFIX.size + head_bytes + body_bytes
        content = data[start + PREFIX.size : end]
        if end > len(data) or hashlib.sha256(content).digest() != checksum:
            return
        call, task, files = json.loads(content[:head_bytes])
        yield start, call, tuple(task), files, hashlib.sha256(content[head_bytes:]).hexdigest()
        start = end
