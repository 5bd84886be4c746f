"""The joint file `store.h5`: one virtual dataset per column over all parts, so that plain h5py sees whole tables.

A missing file under a virtual dataset reads silently as fill values, which is why stages go through the manifest;
the joint file is for people and other programs.
"""

import os
from pathlib import Path

import h5py

from mpiedge.store.layout import JOINT_FILE, dataset_name
from mpiedge.store.parts import LIBRARY_VERSIONS, sync_folder

LARGEST_ATTRIBUTE = 60_000
"""Bytes; HDF5 keeps attributes below 64 KiB. A table with more column names goes without the attribute."""


def write_joint(run: Path, stage: str, tables: dict) -> None:
    """Local, on a rank that sees the run: adds the tables of a stage to `store.h5`; other stages stay as they are.

    tables: name -> {"columns": [Column...], "parts": [info...]}.
    """
    target = run / JOINT_FILE
    temporary = run / f".{JOINT_FILE}.tmp"
    with h5py.File(temporary, "w", libver=LIBRARY_VERSIONS) as joint:
        if target.exists():
            with h5py.File(target, "r") as before:
                for other in sorted(set(before) - {stage}):
                    before.copy(before[other], joint, name=other)
        group = joint.create_group(stage)
        for name, table in sorted(tables.items()):
            _add_table(group.create_group(dataset_name(name)), run, stage, table)
        joint.flush()
    with open(temporary, "rb") as file:
        os.fsync(file.fileno())
    os.replace(temporary, target)
    sync_folder(run)


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
        properties.set_virtual(target, f"{stage}/{part['file']}".encode(), name.encode(), source)
        first += part["rows"]
    kind = h5py.h5t.py_create(dtype, logical=True)
    h5py.h5d.create(group.id, name.encode(), kind, h5py.h5s.create_simple((rows,)), properties)


def _dtypes(path: Path) -> dict:
    with h5py.File(path, "r") as file:
        return {name: file[name].dtype for name in file}


def _copy_mixed(group, run: Path, stage: str, name: str, parts: list[dict], rows: int) -> None:
    """A column with over-long text in some parts only is stored in two forms, which no virtual dataset can join."""
    target = group.create_dataset(name, shape=(rows,), dtype=h5py.string_dtype("utf-8"))
    first = 0
    for part in parts:
        with h5py.File(run / stage / part["file"], "r") as file:
            target[first:first + part["rows"]] = file[name].asstr()[:]
        first += part["rows"]
