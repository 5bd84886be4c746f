"""Parts, the joint file and the manifest: what is written comes back, and what is damaged is refused."""

import errno
import io
import json
import os
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mpiedge.store.run as run_module
from mpiedge.errors import EnvironmentProblem, InputError, StoreError
from mpiedge.kernels.fletcher import fletcher32, fletcher32_plain
from mpiedge.store.joint import forget_joint, write_joint
from mpiedge.store.layout import TIMINGS, WIDEST_FIXED_TEXT, dataset_name, part_file, table_name
from mpiedge.store.parts import build_image, describe, from_stored, read_image, write_atomic
from mpiedge.store.run import (
    choose_run,
    create_run,
    lock_run,
    open_input,
    read_manifest,
    record_start,
    require_kept,
    write_json,
)
from mpiedge.store.tables import Column, from_frame, to_arrays, to_frame

TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=20)


def text_array(values):
    """An object array of str."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def write_table(run, name, chunks, columns, stage="clean"):
    """Writes chunks as parts and a manifest; returns the manifest's entry of the table."""
    parts = []
    for index, arrays in enumerate(chunks):
        image = build_image(arrays)
        write_atomic(run / stage / part_file(name, index), image)
        parts.append(describe(part_file(name, index), image, len(next(iter(arrays.values())))))
    entry = {"rows": sum(part["rows"] for part in parts), "columns": [column.to_json() for column in columns],
             "parts": parts}
    write_json(run / stage / "manifest.json", {"stage": stage, "tables": {name: entry}})
    return {"columns": columns, "parts": parts}


@given(st.lists(TEXT, max_size=30), st.lists(st.integers(-(2**63), 2**63 - 1), max_size=30))
def test_a_part_comes_back_as_it_was(texts, numbers):
    """Text of any script and whole numbers survive the trip through a part, empty arrays too."""
    image = build_image({"text": text_array(texts), "number": np.array(numbers, dtype=np.int64)})
    arrays = read_image(image)
    assert arrays["text"].tolist() == texts
    assert arrays["number"].tolist() == numbers


@given(st.binary(max_size=3000), st.sampled_from([b"", b"\x00", b"\xff\xff" * 700]))
def test_checksums_of_the_kernel_and_of_plain_numpy_are_equal(data, behind):
    """Of even and odd numbers of bytes, of nothing but zeros and of sums that are folded to nothing."""
    assert fletcher32(data + behind) == fletcher32_plain(data + behind)


def test_hdf5_reads_chunks_that_libdeflate_packed():
    """Chunks that are not full, of numbers and of days, of two dimensions and of none; altered bytes are noticed."""
    draw = np.random.default_rng(2)
    arrays = {"whole": draw.integers(0, 99, 200_001), "odd": draw.random(70_001), "two": draw.random((30_001, 3)),
              "days": np.array([b"2020-01-%02d" % (row % 28 + 1) for row in range(60_001)]), "one": np.array(7),
              "none": np.zeros(0), "words": np.array([b"x" * (row % 30) for row in range(60_001)])}
    image = build_image(arrays)
    with h5py.File(io.BytesIO(image)) as file:
        for name, values in arrays.items():
            found = file[name][()] if values.ndim == 0 else file[name][:].astype(values.dtype)
            np.testing.assert_array_equal(found, values)
        assert file["days"].shuffle and not file["words"].shuffle
        place = file["odd"].id.get_chunk_info(0).byte_offset + 1000
    altered = bytearray(image)
    altered[place] ^= 1
    with h5py.File(io.BytesIO(bytes(altered))) as file, pytest.raises(OSError):
        file["odd"][:]


def test_equal_chunks_give_equal_bytes():
    """The image depends on the arrays alone, so checksums agree between hosts and runs."""
    arrays = {"a": text_array(["x", "ü"]), "b": np.array([1.5, np.nan])}
    first = build_image(arrays, {"kind": "text"})
    time.sleep(1.1)  # HDF5 would store times in seconds
    assert build_image(dict(arrays), {"kind": "text"}) == first


def test_a_long_cell_does_not_widen_the_column():
    """One cell of a megabyte is stored as it is, and the part stays near its size."""
    cells = text_array(["short"] * 1000 + ["x" * 1_000_000])
    image = build_image({"text": cells})
    assert len(image) < 2_000_000
    assert read_image(image)["text"].tolist() == cells.tolist()


def test_a_slash_in_a_column_name():
    """A column may be called anything, although HDF5 uses / for groups."""
    image = build_image({"km/h": np.array([1, 2]), ".": np.array([3, 4])})
    assert read_image(image, ["km/h", "."])["km/h"].tolist() == [1, 2]


def test_truncated_part_is_refused(tmp_path):
    """A part cut short raises StoreError with the file's name, never partial data."""
    image = build_image({"a": np.arange(100_000)})
    path = tmp_path / "part.h5"
    for size in (0, 10, len(image) // 2, len(image) - 1):
        path.write_bytes(image[:size])
        with pytest.raises(StoreError, match=r"part\.h5"):
            read_image(path)


def test_joint_file_is_plain_hdf5(tmp_path):
    """Parts of different text widths, also over-long ones, read as one table through h5py and pandas."""
    columns = [Column("t"), Column("n", "integer"), Column("long")]
    long = "y" * (WIDEST_FIXED_TEXT + 1)
    table = write_table(tmp_path, "papers", [
        {"t": text_array(["a", "bc"]), "n": np.array([1, 2]), "long": text_array(["s", "s"])},
        {"t": text_array(["äöü"]), "n": np.array([3]), "long": text_array([long])},
    ], columns)
    write_joint(tmp_path, "clean", {"papers": table})
    first = (tmp_path / "store.h5").read_bytes()
    time.sleep(1.1)
    write_joint(tmp_path, "clean", {"papers": table})
    assert (tmp_path / "store.h5").read_bytes() == first, "the file must not remember when it was written"
    write_joint(tmp_path, "profile", {})
    with h5py.File(tmp_path / "store.h5") as file:
        frame = to_frame(file, "clean", "papers")
    assert frame["t"].tolist() == ["a", "bc", "äöü"]
    assert frame["n"].tolist() == [1, 2, 3]
    assert frame["long"].tolist() == ["s", "s", long]


def test_frames_go_in_and_out():
    """A pandas frame becomes typed columns: numbers stay numbers, missing text becomes the empty cell."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1, 2], "b": [0.5, None], "c": ["x", None], "d": [True, False]})
    columns, arrays = from_frame(frame)
    assert [column.kind for column in columns] == ["integer", "decimal", "text", "boolean"]
    assert arrays["c"].tolist() == ["x", ""] and arrays["d"].tolist() == ["true", "false"]
    assert np.isnan(arrays["b"][1])


def test_bytes_that_are_no_utf8():
    """Of fixed-width text each cell is decoded as by itself, what cannot be becomes U+FFFD: cut sequences at its end,
    zeros inside it, more cells than are decoded together."""
    cells = [b"a", b"", b"\xc3", b"b\x00c", b"\xe2\x82", b"\x80x", "é€".encode(), b"\xf0\x9f\x98"] * 300
    expected = [cell.decode("utf-8", "replace") for cell in cells]
    for some in (cells, [cell for cell in cells if b"\x00" not in cell], [], [b""]):
        found = from_stored(np.array(some, "S5"))
        assert found.dtype == object and found.tolist() == [cell.decode("utf-8", "replace") for cell in some]
    assert expected[2] == expected[4][-1] == "\ufffd"


def test_typed_arrays_of_canonical_text():
    """Whole numbers stay exact when none is missing and become NaN-able when one is."""
    columns = [Column("a", "integer"), Column("b", "integer", {"missing": True}), Column("c", "decimal")]
    cells = {"a": text_array(["9007199254740993"]), "b": text_array([""]), "c": text_array(["1.5"])}
    arrays = to_arrays(columns, cells)
    assert arrays["a"].tolist() == [9007199254740993]
    assert np.isnan(arrays["b"][0]) and arrays["c"].tolist() == [1.5]


def test_manifest_tells_what_is_wrong(tmp_path):
    """No manifest, a missing part, a cut part and a broken manifest each raise StoreError with the remedy."""
    with pytest.raises(StoreError, match=r"not complete\. Run mpiedge-clean"):
        read_manifest(tmp_path, "clean")
    table = write_table(tmp_path, "t", [{"a": np.arange(10)}], [Column("a", "integer")])
    assert read_manifest(tmp_path, "clean")["tables"]["t"]["parts"] == table["parts"]
    part = tmp_path / "clean" / table["parts"][0]["file"]
    part.write_bytes(part.read_bytes()[:-1])
    with pytest.raises(StoreError, match="bytes instead of"):
        read_manifest(tmp_path, "clean")
    part.unlink()
    with pytest.raises(StoreError, match="missing"):
        read_manifest(tmp_path, "clean")
    (tmp_path / "clean/manifest.json").write_text("{")
    with pytest.raises(StoreError, match="cannot be read"):
        read_manifest(tmp_path, "clean")


def test_inputs_that_cannot_be_read(tmp_path):
    """A missing file, a folder, an empty file and one that fails when it is read are named with what to do."""
    if Path("/proc/self/mem").exists():  # fails to be read from its start, for root as well
        with pytest.raises(InputError, match=r"/proc/self/mem: .*error.* permissions"):
            open_input("/proc/self/mem")
    with pytest.raises(InputError, match="no such file"):
        open_input(str(tmp_path / "none.csv"))
    with pytest.raises(InputError, match="is a folder"):
        open_input(str(tmp_path))
    (tmp_path / "empty.csv").write_bytes(b"")
    with pytest.raises(InputError, match="empty"):
        open_input(str(tmp_path / "empty.csv"))


def test_a_run_folder_that_cannot_be_made(tmp_path):
    """A file where the folder should be is an EnvironmentProblem that names it."""
    (tmp_path / "run").write_text("")
    with pytest.raises(EnvironmentProblem, match="run"):
        create_run(tmp_path / "run")


def test_the_newest_complete_run_is_found(tmp_path, monkeypatch):
    """Argument, environment, newest complete run, new run: in this order."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MPIEDGE_RUN", raising=False)
    assert choose_run(None, "clean")[1] == "new"
    for name in ("a", "b"):
        write_json(tmp_path / "results" / name / "clean/manifest.json", {})
    assert choose_run(None, "clean")[0].name == "b"
    assert choose_run(None, "train")[1] == "new"
    monkeypatch.setenv("MPIEDGE_RUN", "elsewhere")
    assert str(choose_run(None, "clean")[0]) == "elsewhere"
    assert str(choose_run("named", "clean")[0]) == "named"


@pytest.mark.parametrize(("path", "name"), [("a/papers.csv", "papers"), ("x.csv.gz", "x"), ("my table.tsv", "my_table"),
                                            (".csv", "table"), ("a.b.csv", "a.b")])
def test_table_names(path, name):
    """A table is called like its file, in characters that are safe in every file system."""
    assert table_name(path) == name


@settings(deadline=None)  # hosts are slow and busy
@given(st.lists(st.text("/∕⁄·.a", max_size=4), min_size=2, max_size=20, unique=True))
def test_no_two_columns_share_a_dataset(names):
    """Names that differ only in signs HDF5 gives a meaning to stay apart, and every name is one HDF5 can store."""
    assert len(set(map(dataset_name, names))) == len(names)
    arrays = {name: np.array([number]) for number, name in enumerate(names)}
    assert {name: values[0] for name, values in read_image(build_image(arrays), names).items()} == {
        name: number for number, name in enumerate(names)}


def test_a_damaged_joint_file_is_written_anew(tmp_path):
    """A commit rebuilds store.h5 from the manifests: junk in its place does no harm, unfinished stages are left out."""
    chunks, columns = [{"a": np.arange(3)}], [Column("a", "integer")]
    write_table(tmp_path, "t", chunks, columns)
    write_table(tmp_path, "u", chunks, columns, stage="broken")
    (tmp_path / "broken/manifest.json").write_text("{")
    (tmp_path / "store.h5").write_bytes(b"junk")
    write_joint(tmp_path, "other", {"v": write_table(tmp_path, "v", chunks, columns, stage="other")})
    with h5py.File(tmp_path / "store.h5") as file:
        assert sorted(file) == ["clean", "other"]
        assert file["clean/t/a"][:].tolist() == file["other/v/a"][:].tolist() == [0, 1, 2]


def test_a_joint_file_over_changing_parts_goes_away(tmp_path):
    """Parts about to be replaced are not shown any more: they would read as blanks."""
    write_joint(tmp_path, "clean", {"t": write_table(tmp_path, "t", [{"a": np.arange(3)}], [Column("a", "integer")])})
    forget_joint(tmp_path, "profile")
    assert (tmp_path / "store.h5").exists()
    forget_joint(tmp_path, "clean")
    assert not (tmp_path / "store.h5").exists()


def test_a_full_disk_leaves_nothing_half_written(tmp_path, monkeypatch):
    """When the disk is full, part and joint file keep their old content, no temporary file stays, the cause is told."""
    table = write_table(tmp_path, "t", [{"a": np.arange(3)}], [Column("a", "integer")])
    (tmp_path / "clean/file").write_bytes(b"old")

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(EnvironmentProblem, match="No space left on device"):
        write_atomic(tmp_path / "clean/file", b"new")
    with pytest.raises(EnvironmentProblem, match="No space left on device"):
        write_joint(tmp_path, "clean", {"t": table})
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "clean/file").read_bytes() == b"old"


def test_one_stage_at_a_time(tmp_path, monkeypatch):
    """A run folder that another program holds is refused; when that one has ended, it is free."""
    monkeypatch.setattr(run_module, "LOCK_WAIT_S", 0.2)
    holder = lock_run(tmp_path)
    with pytest.raises(EnvironmentProblem, match="another program is at work"):
        lock_run(tmp_path)
    holder.close()
    lock_run(tmp_path).close()


def test_two_new_runs_in_one_second(tmp_path, monkeypatch):
    """A new run never takes the folder of one that was started in the same second."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MPIEDGE_RUN", raising=False)
    folders = set()
    for _ in range(3):
        folder = choose_run(None, None)[0]
        create_run(folder)
        folders.add(folder)
    assert len(folders) == 3


def test_run_file_survives_junk_and_strange_names(tmp_path):
    """run.json that is no object is replaced, and file names that are no text are kept in JSON's escapes."""
    (tmp_path / "run.json").write_text("[1]")
    record_start(tmp_path, "clean", {"argv": "a\udcff.csv"})
    assert json.loads((tmp_path / "run.json").read_bytes()) == {"clean": {"argv": "a\udcff.csv"}}


@pytest.mark.parametrize("change", [
    lambda manifest: manifest.update(tables=[]),
    lambda manifest: manifest.pop("tables"),
    lambda manifest: manifest["tables"]["t"].update(rows=11),
    lambda manifest: manifest["tables"]["t"]["parts"][0].pop("sha256"),
    lambda manifest: manifest["tables"]["t"]["columns"][0].update(kind="tensor"),
    lambda manifest: manifest["tables"]["t"]["parts"].append(None),
])
def test_an_altered_manifest_is_refused(tmp_path, change):
    """A manifest that is JSON but not what a stage writes is a StoreError with the remedy, never a defect."""
    write_table(tmp_path, "t", [{"a": np.arange(10)}], [Column("a", "integer")])
    path = tmp_path / "clean/manifest.json"
    manifest = json.loads(path.read_bytes())
    change(manifest)
    path.write_text(json.dumps(manifest))
    with pytest.raises(StoreError, match=r"cannot be read .* Run mpiedge-clean"):
        read_manifest(tmp_path, "clean")


@given(st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), min_size=1, max_size=20))
def test_altered_bytes_of_a_part_are_no_defect(changes):
    """Whatever bytes of a part are altered, reading gives arrays or a StoreError, nothing else."""
    image = bytearray(build_image({"text": text_array(["a", "b"]), "number": np.arange(2)}))
    for place, value in changes:
        image[place % len(image)] = value
    try:
        arrays = read_image(bytes(image))
    except StoreError as error:
        assert error.remedy
    else:
        assert all(isinstance(values, np.ndarray) for values in arrays.values())


@pytest.mark.parametrize("again", [False, True])
def test_a_removed_run_folder_is_not_committed_to(tmp_path, again):
    """A folder that was removed while a stage held it is named, also when another one stands in its place."""
    with lock_run(tmp_path) as held:
        require_kept(tmp_path, held)
        (tmp_path / TIMINGS).rename(tmp_path / "elsewhere")
        if again:
            (tmp_path / TIMINGS).write_text("")
        with pytest.raises(EnvironmentProblem, match=f"{tmp_path}: was removed or unmounted"):
            require_kept(tmp_path, held)
