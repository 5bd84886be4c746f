"""HDF5 that is cut, altered, empty or of strangers is refused in one line, before anything of it is believed."""

import hashlib
import random
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

from mpiedge.errors import InputError, StoreError
from mpiedge.profiling import pause
from mpiedge.profiling.encode import EncodedColumn, EncodedTable
from mpiedge.store.parts import build_image, read_image

MUTATIONS = 200
NAMES = ["text", "number"]


@pytest.fixture(scope="module")
def image() -> bytes:
    """A part with text and numbers."""
    words = np.empty(500, dtype=object)
    words[:] = [f"word {number % 17}" for number in range(500)]
    return build_image({"text": words, "number": np.arange(500) % 7, "none": np.zeros(0)})


def mutate(image: bytes, how: str, draw: random.Random) -> bytes:
    """One damage."""
    if how == "cut":
        return image[: draw.randrange(len(image))]
    altered = bytearray(image)
    for _ in range(draw.choice((1, 1, 2, 8))):
        altered[draw.randrange(len(image))] ^= 1 << draw.randrange(8)
    return bytes(altered)


def refused(image: bytes, **options) -> bool:
    """Whether reading raises a StoreError of one line (False: it is read); anything else fails the test."""
    try:
        read_image(image, **options)
    except StoreError as error:
        remedy = "Write it anew" if options.get("foreign") else "Run the stage that wrote it again"
        assert "\n" not in str(error) and remedy in str(error)
        return True
    return False


@pytest.mark.parametrize("how", ["cut", "altered"])
def test_damaged_parts(image, how):
    """With the checksum of the manifest every damage is noticed, without it most; a StoreError is all there is."""
    draw, checksum = random.Random(how), hashlib.sha256(image).hexdigest()
    assert not refused(image, checksum=checksum)
    noticed = 0
    for _ in range(MUTATIONS):
        damaged = mutate(image, how, draw)
        assert damaged == image or refused(damaged, checksum=checksum)
        noticed += refused(damaged, foreign=True)
    assert noticed > MUTATIONS // 10


def test_long_text_needs_a_checksum():
    """Text of variable length, where an altered bit can keep HDF5 busy for ever, is read only if its bytes are vouched
    for."""
    image = build_image({"long": np.array(["x" * 2000, ""], dtype=object)})
    assert not refused(image, checksum=hashlib.sha256(image).hexdigest())
    assert refused(image, foreign=True)


@pytest.mark.parametrize("content", [b"", b"\x00" * 5000, b"\x89HDF\r\n\x1a\n", b"a,b\n1,2\n"])
def test_what_is_no_hdf5(tmp_path, content):
    """Empty files and files of another kind."""
    (tmp_path / "part.h5").write_bytes(content)
    with pytest.raises(StoreError, match=r"part\.h5: cannot be read"):
        read_image(tmp_path / "part.h5")


STRANGE = ("external link", "soft link", "virtual", "external storage", "filter", "size", "chunk", "compound",
           "reference", "group")


def add_strange(file, kind: str, elsewhere: str, draw: random.Random) -> None:
    """A member called `number` that only looks like a dataset of numbers."""
    rows = draw.randrange(1, 1000)
    if kind == "external link":
        file["number"] = h5py.ExternalLink(elsewhere, "secret")
    elif kind == "soft link":
        file["number"] = h5py.SoftLink("/text")
    elif kind == "virtual":
        layout = h5py.VirtualLayout((rows,), np.int64)
        layout[:] = h5py.VirtualSource(elsewhere, "secret", (rows,))
        file.create_virtual_dataset("number", layout)
    elif kind == "external storage":
        file.create_dataset("number", (rows,), np.uint8, external=[(elsewhere, 0, rows)])
    elif kind == "filter":
        file.create_dataset("number", data=np.arange(rows), chunks=True, compression="lzf")
    elif kind == "size":
        file.create_dataset("number", (draw.randrange(1 << 33, 1 << 50),), np.int64, chunks=(8192,), compression="gzip")
    elif kind == "chunk":
        file.create_dataset("number", (0,), np.int64, chunks=(draw.randrange(1 << 20, 1 << 28),), maxshape=(None,))
    elif kind == "compound":
        file.create_dataset("number", (rows,), np.dtype([("a", "i8"), ("b", "f4")]))
    elif kind == "reference":
        file.create_dataset("number", (rows,), h5py.ref_dtype)
    else:
        file.create_group("number")


@pytest.mark.parametrize("kind", STRANGE)
def test_strange_files(tmp_path, kind):
    """Links, other files, unknown filters, sizes that are declared only, and other types are named and not followed."""
    draw = random.Random(kind)
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["secret"] = np.arange(1000)
    for number in range(MUTATIONS // len(STRANGE)):
        path = tmp_path / f"{number}.h5"
        with h5py.File(path, "w") as file:
            file["text"] = np.arange(3)
            add_strange(file, kind, str(secret), draw)
        with pytest.raises(StoreError, match="number"):
            read_image(path, NAMES)
        with pytest.raises(StoreError, match="number"):
            read_image(path.read_bytes())


def test_damaged_searches(world, tmp_path):
    """What an interrupted search left counts as it was written or not at all, and a warning says so."""
    told = []
    stage = SimpleNamespace(world=world, run=tmp_path, warn=told.append)
    table = EncodedTable("t", ["a"], [None], 4, [EncodedColumn(np.arange(4, dtype=np.uint8), 4, None, None)])
    searches = pause.Searches(stage, [table])
    searches.put("exact", table, {"sets": np.arange(300, dtype=np.uint64).reshape(-1, 1), "rows": np.array(4)})
    searches.save()
    file, draw = tmp_path / pause.FILE, random.Random(6)
    image = file.read_bytes()
    known = pause.Searches(stage, [table]).get("exact", table)
    assert int(known["rows"]) == 4 and known["sets"].sum() == 44850 and told == []
    for how in ("cut", "altered"):
        for _ in range(MUTATIONS):
            damaged = mutate(image, how, draw)
            if damaged != image:
                file.write_bytes(damaged)
                assert pause.Searches(stage, [table]).get("exact", table) is None
                assert "cannot be read: the search starts anew" in told.pop()


def test_damaged_checkpoints():
    """A checkpoint carries its own checksum: every alteration and every cut is noticed."""
    from mpiedge.training import checkpoint
    from mpiedge.training.loop import State

    weights = np.arange(300, dtype=np.float32)
    state = State(weights, weights, weights, weights, epoch=3, best_epoch=2, best_loss=1.0, history=[[1.0, 2.0]])
    image = checkpoint.to_image(state, "mark", {})
    assert checkpoint.from_image(image)[1] == "mark"
    draw = random.Random(5)
    for how in ("cut", "altered"):
        for _ in range(MUTATIONS):
            damaged = mutate(image, how, draw)
            if damaged != image:
                with pytest.raises(InputError, match="the checkpoint is damaged"):
                    checkpoint.from_image(damaged)
