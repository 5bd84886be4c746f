"""The joint file `store.h5`: one virtual dataset per column over all parts, so that plain h5py sees whole tables.

A missing file under a virtual dataset reads silently as fill values, which is why stages go through the manifest;
the joint file is for people and other programs.
"""

import os
from contextlib import suppress
from pathlib import Path

import h5py

from mpiedge.errors import EnvironmentProblem, StoreError
from mpiedge.store import fence
from mpiedge.store.layout import JOINT_FILE, MANIFEST, dataset_name
from mpiedge.store.parts import LIBRARY_VERSIONS, sync_folder
from mpiedge.store.run import read_manifest
from mpiedge.store.tables import Column

LARGEST_ATTRIBUTE = 60_000
"""Bytes; HDF5 keeps attributes below 64 KiB. A table with more column names goes without the attribute."""


def write_joint(run: Path, stage: str, tables: dict) -> None:
    """Local, on a rank that sees the run: writes `store.h5` anew: this stage's tables and those of all complete stages.

    tables: name -> {"columns": [Column...], "parts": [info...]}. Nothing is taken from an older joint file, which may
    be damaged. Raises EnvironmentProblem when it cannot be written.
    """
    target = run / JOINT_FILE
    temporary = fence.temporary_for(target)
    try:
        with h5py.File(temporary, "w", libver=LIBRARY_VERSIONS) as joint:
            for name, members in sorted({**_complete_stages(run), stage: tables}.items()):
                group = joint.create_group(name)
                for table, entry in sorted(members.items()):
                    _add_table(group.create_group(dataset_name(table)), run, name, entry)
            joint.flush()
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
        sync_folder(run)
    except (OSError, RuntimeError) as error:  # HDF5 tells of a full disk in either way
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        fence.require()
        cause = f"cannot be written ({str(error)[:80]})"
        raise EnvironmentProblem(target, cause, "Free space or choose another --run folder") from error


def forget_joint(run: Path, stage: str) -> None:
    """Local: removes `store.h5` if it may show parts of this stage, which are about to change; a commit brings it back.

    A virtual dataset over a part that is gone would read as blanks.
    """
    if any((run / stage).glob("part-*.h5")):
        fence.discard(run / JOINT_FILE)


def _complete_stages(run: Path) -> dict:
    """Stage -> tables, in the form `write_joint` takes, of every complete stage that has tables."""
    found = {}
    for path in run.glob(f"*/{MANIFEST}"):
        with suppress(StoreError):
            tables = read_manifest(run, path.parent.name)["tables"]
            found[path.parent.name] = {
                name: {"columns": [Column.from_json(entry) for entry in table["columns"]], "parts": table["parts"]}
                for name, table in tables.items()
            }  # fmt: skip
    return {stage: tables for stage, tables in found.items() if tables}


def _add_table(group, run: Path, stage: str, table: dict) -> None:
    parts = [part for part in table["parts"] if part["rows"]]
    rows = sum(part["rows"] for part in parts)
    names = [column.name for column in table["columns"]]
    if sum(len(name.encode()) + 16 for name in names) < LARGEST_ATTRIBUTE:
        group.attrs["columns"] = names
        group.attrs["kinds"] = [column.kind for column in table["columns"]]
    dtypes = [_dtypes(run / stage / part["file"]) for part in parts]
    for column in table["columns"]:
        name = dataset_name(column.name)
        kinds = [found[name] for found in dtypes]
        if not kinds:
            group.create_dataset(name, shape=(0,), dtype=h5py.string_dtype("utf-8", 1))
        elif len({dtype.kind for dtype in kinds}) > 1:
            _copy_mixed(group, run, stage, name, parts, rows)
        else:
            _add_virtual(group, stage, name, parts, max(kinds, key=lambda one: one.itemsize))


def _add_virtual(group, stage: str, name: str, parts: list[dict], dtype) -> None:
    """Low-level calls, because `create_virtual_dataset` cannot leave out the time of its creation."""
    rows = sum(part["rows"] for part in parts)
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_obj_track_times(False)
    first = 0
    for part in parts:
        target = h5py.h5s.create_simple((rows,))
        target.select_hyperslab((first,), (part["rows"],))
        source = h5py.h5s.create_simple((part["rows"],))
        properties.set_virtual(target, _plain(f"{stage}/{part['file']}"), _plain(name), source)
        first += part["rows"]
    kind = h5py.h5t.py_create(dtype, logical=True)
    h5py.h5d.create(group.id, name.encode(), kind, h5py.h5s.create_simple((rows,)), properties)


def _plain(name: str) -> bytes:
    """A name where HDF5 reads a format: there `%` stands for itself only when it is written twice."""
    return name.replace("%", "%%").encode()


def _dtypes(path: Path) -> dict:
    with h5py.File(path, "r") as file:  # low-level calls: there may be thousands of parts with hundreds of columns
        return {name: h5py.h5d.open(file.id, name.encode()).dtype for name in file}


def _copy_mixed(group, run: Path, stage: str, name: str, parts: list[dict], rows: int) -> None:
    """A column with over-long text in some parts only is stored in two forms, which no virtual dataset can join."""
    target = group.create_dataset(name, shape=(rows,), dtype=h5py.string_dtype("utf-8"))
    first = 0
    for part in parts:
        with h5py.File(run / stage / part["file"], "r") as file:
            target[first:first + part["rows"]] = file[name].asstr()[:]
        first += part["rows"]
