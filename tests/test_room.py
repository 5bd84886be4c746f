"""Arrays in mapped files hold what arrays in memory hold, and the search for duplicates does not notice."""

import numpy as np
import pytest
from tables import MemoryStage, MemoryTable, OneRank, people

from mpiedge.cleaning import records, room
from mpiedge.cleaning.duplicates import find_duplicates
from mpiedge.errors import EnvironmentProblem


@pytest.mark.parametrize("mapped_bytes", [0, 40, 1 << 20])
def test_growing_and_cutting(monkeypatch, mapped_bytes):
    """What was written is read, also after a cut, wherever it lies; pages given back are there again when read."""
    monkeypatch.setattr(room, "MAPPED_BYTES", mapped_bytes)
    place = room.Room(MemoryStage(OneRank(), budget_bytes=1))
    growing = place.file(np.int64)
    growing.write(np.arange(10))
    growing.cut(4)
    growing.write(np.arange(3))
    whole = growing.array()
    place.relax()
    assert whole.tolist() == [0, 1, 2, 3, 0, 1, 2]
    empty = place.file(np.int32)
    empty.write(np.zeros(0, np.int32))
    assert len(empty.array()) == 0 and place.array((0,), np.int32).shape == (0,)
    matrix = place.array((5, 2), np.int32)
    matrix[:] = np.arange(10).reshape(5, 2)
    place.give_back()
    assert place.copy(matrix, [1]).tolist() == [[1], [3], [5], [7], [9]]


def test_no_room(monkeypatch, tmp_path):
    """A folder that cannot be written to is named with a remedy."""
    place = room.Room(MemoryStage(OneRank()))
    (tmp_path / "file").write_text("")
    place.folder = str(tmp_path / "file")
    with pytest.raises(EnvironmentProblem, match="--scratch"):
        place.open()


def test_large_arrays_leave_memory_as_the_budget_shrinks():
    """An array is mapped from a twelfth of the budget on, never later than at 24 MiB."""
    assert room.mapped_bytes(120) == 10 and room.mapped_bytes(1 << 40) == room.MAPPED_BYTES
    assert isinstance(room.Room(MemoryStage(OneRank(), budget_bytes=120)).array((3,), np.int32).base, np.ndarray)
    assert room.Room(MemoryStage(OneRank())).array((3,), np.int32).base is None


def test_some_records():
    """A few rows alone hold the values they have in the whole table, column by column."""
    names, rows, _ = people(60, 2)
    rows = [["", *row] if place % 3 else [str(place), *row] for place, row in enumerate(rows)]
    table = MemoryTable(["number", *names], rows, 20)
    whole, _, _ = records.read_records(MemoryStage(OneRank()), table, ["number", *names], None)
    chosen = np.arange(1, whole.rows, 7)
    fetched = whole.some(chosen)
    while True:
        try:
            next(fetched)
        except StopIteration as end:
            few = end.value
            break
    for place, row in enumerate(chosen):
        for column in range(whole.width):
            one, other = whole.codes[row, column], few.codes[place, column]
            assert (one < 0) == (other < 0)
            assert one < 0 or whole.strings([one]) == few.strings([other])
            assert one < 0 or few.spans[column, 0] <= other < few.spans[column, 1]


def test_search_in_mapped_files(monkeypatch):
    """Mapped files, columns read in several passes and chunks dealt out in rounds change no bit of the result."""
    names, rows, _ = people(60, 2)
    rows = [[*row, ""] for row in rows]
    plain = find_duplicates(MemoryStage(OneRank()), MemoryTable([*names, "empty"], rows, 999))
    monkeypatch.setattr(room, "MAPPED_BYTES", 0)
    monkeypatch.setattr(records, "CELLS_PER_PASS", 2 * len(rows))
    monkeypatch.setattr(records, "CHUNKS_AT_ONCE", 2)
    mapped = find_duplicates(MemoryStage(OneRank(), budget_bytes=1), MemoryTable([*names, "empty"], rows, 20))
    assert (plain.cluster_id == mapped.cluster_id).all() and (plain.probability == mapped.probability).all()
    assert plain.summary == mapped.summary
