"""The run folder: where it lies, what is complete in it, and the manifest that says so."""

import contextlib
import errno
import fcntl
import json
import os
import stat
import time
from datetime import datetime
from pathlib import Path
from shlex import quote

from mpiedge.errors import EnvironmentProblem, InputError, StoreError
from mpiedge.runtime import heartbeat
from mpiedge.store.layout import KINDS, MANIFEST, RUN_FILE, TIMINGS
from mpiedge.store.parts import write_atomic

RESULTS = "results"
TEXT_SIZE = 3  # of parts, which are compressed
LOCK_WAIT_S = 3.0
"""How long a stage waits for the run folder: a job that was killed may need a moment to die."""


def choose_run(given: str | None, needs: str | None) -> tuple[Path, str]:
    """The run folder to use and how it was chosen: argument, `$MPIEDGE_RUN`, or the newest in `results/` whose stage
    `needs` is complete, else a new one there. `needs` None always makes a new one unless one is named."""
    if given:
        return Path(given), "given"
    if os.environ.get("MPIEDGE_RUN"):
        return Path(os.environ["MPIEDGE_RUN"]), "from $MPIEDGE_RUN"
    if needs:
        newest = newest_run(needs)
        if newest:
            return newest, f"the newest run with a complete {needs}"
    return _new_folder(Path(RESULTS) / datetime.now().strftime("%Y-%m-%dT%H-%M-%S")), "new"


def _new_folder(wanted: Path) -> Path:
    """`wanted`, or with a number behind it when another run was started in the same second."""
    folder, number = wanted, 1
    while folder.exists():
        number += 1
        folder = wanted.with_name(f"{wanted.name}-{number}")
    return folder


def newest_run(needs: str) -> Path | None:
    """The folder in `results/` whose manifest of stage `needs` was committed last; None when there is none."""
    manifests = [path for path in Path(RESULTS).glob(f"*/{needs}/{MANIFEST}") if path.is_file()]
    return max(manifests, key=lambda path: (path.stat().st_mtime_ns, str(path))).parent.parent if manifests else None


def clean_bytes(given: str | None) -> int:
    """Local: about the size of a run's clean tables as text. Raises InputError where there are none."""
    tables = read_manifest(choose_run(given, "clean")[0], "clean")["tables"].values()
    return sum(TEXT_SIZE * part["bytes"] for table in tables for part in table["parts"])


def create_run(folder: Path) -> None:
    """Make the run folder; an EnvironmentProblem names what forbids it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise EnvironmentProblem(folder, error.strerror or str(error), "Choose another folder with --run") from error


def lock_run(folder: Path):
    """Local, on a rank that sees the run: takes the run folder for one stage; returns the open file that holds it.

    The lock lies on timings.csv, which is appended to and never replaced. It ends with the file or the process; where
    the file system knows no locks, there is none. Raises EnvironmentProblem when another job keeps the folder.
    """
    path = folder / TIMINGS
    try:
        file = open(path, "a")  # noqa: SIM115 - stays open as long as the stage works
    except OSError as error:
        raise EnvironmentProblem(path, error.strerror or str(error), "Choose another folder with --run") from error
    end = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                return file
        if time.monotonic() > end:
            if heartbeat.job():
                return file  # a frozen rank may hold the lock for ever; it is fenced, see runtime/heartbeat.py
            file.close()
            raise EnvironmentProblem(folder, "another program is at work in this run folder",
                                     "Wait until it is done, or choose another folder with --run")
        time.sleep(0.1)


def require_kept(folder: Path, lock) -> None:
    """Local: EnvironmentProblem when the run folder is not the one any more that `lock` was taken in."""
    with contextlib.suppress(OSError):
        if os.path.samestat(os.fstat(lock.fileno()), os.stat(folder / TIMINGS)):
            return
    raise EnvironmentProblem(folder, "was removed or unmounted while the stage was at work", "Run the same line again")


def drop_temporaries(folder: Path, stage: str) -> None:
    """Remove the half-written files that a killed run left in the run folder and the stage's (under the lock only)."""
    for place in (folder, folder / stage):
        for path in place.glob(".*.tmp"):
            with contextlib.suppress(OSError):
                path.unlink()


def rerun(stage: str, folder: Path) -> str:
    """The command that makes a stage of a run complete, as the remedy of an error."""
    return f"Run mpiedge-{stage} {'TABLE.csv... ' if stage == 'clean' else ''}--run {quote(str(folder))}"


def read_manifest(folder: Path, stage: str) -> dict:
    """The manifest of a complete stage, its parts' sizes checked.

    Raises StoreError with the command that mends it: the stage is absent, unfinished, or a part is missing or cut.
    """
    remedy = rerun(stage, folder)
    path = folder / stage / MANIFEST
    try:
        manifest = json.loads(path.read_bytes())
        for name, table in manifest["tables"].items():
            _check_entry(name, table)
        parts = [part for table in manifest["tables"].values() for part in table["parts"]]
        files = [(folder / stage / part["file"], part["bytes"]) for part in parts]
    except FileNotFoundError:
        raise StoreError(folder, f"stage {stage} is not complete", remedy) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(path, f"the manifest cannot be read ({error})", remedy) from error
    for file, size in files:
        if not file.is_file():
            raise StoreError(file, "the part is missing", remedy)
        if file.stat().st_size != size:
            raise StoreError(file, f"the part has {file.stat().st_size} bytes instead of {size}", remedy)
    return manifest


def _check_entry(name: str, table: dict) -> None:
    """ValueError, KeyError or TypeError when a table's entry in a manifest is not what `Stage.commit` writes."""
    if any(column["kind"] not in KINDS or not isinstance(column["name"], str) for column in table["columns"]):
        raise ValueError(f"a column of {name} has no name or no known kind")
    for part in table["parts"]:
        if not (isinstance(part["file"], str) and isinstance(part["sha256"], str)):
            raise ValueError(f"a part of {name} has no file or no checksum")
    if table["rows"] != sum(part["rows"] for part in table["parts"]):
        raise ValueError(f"the rows of {name} are not those of its parts")


def write_json(path: Path, value) -> None:
    """Write JSON atomically, keys in the order given, so that equal values give equal bytes.

    Bytes of a file name that are no text become JSON's own escapes.
    """
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomic(path, text.encode("utf-8", "backslashreplace"))


def record_start(folder: Path, stage: str, about: dict) -> None:
    """Note in `run.json` how a stage was started (argv, hosts, versions, seed); earlier stages stay in it."""
    path = folder / RUN_FILE
    try:
        history = json.loads(path.read_bytes()) if path.exists() else {}
    except ValueError:
        history = {}
    if not isinstance(history, dict):
        history = {}
    history[stage] = about
    write_json(path, history)


def open_input(path: str) -> tuple[int, bytes]:
    """Size in bytes and first bytes of a user's file.

    InputError when it is missing, a folder, a pipe or a device, unreadable or empty.
    """
    source = Path(path)
    if source.is_dir():
        raise InputError(path, "is a folder", "Give a CSV file")
    try:
        if not stat.S_ISREG(os.stat(source).st_mode):   # to open a pipe is to wait for a writer
            raise InputError(path, "is a pipe or a device, which can be read only once", "Write it to a file first")
        with open(source, "rb") as file:
            head = file.read(4)
            size = file.seek(0, os.SEEK_END)
    except FileNotFoundError:
        raise InputError(path, "no such file", "Check the path") from None
    except OSError as error:
        raise InputError(path, error.strerror or str(error), "Check the file's permissions") from error
    if size == 0:
        raise InputError(path, "the file is empty", "Give a CSV with a header line and rows")
    return size, head


def read_text_file(path: Path) -> str:
    """Text of a file of the run folder; StoreError when it cannot be read."""
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(path, f"cannot be read ({error})", "Run the stage that wrote it again") from error
