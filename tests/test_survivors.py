"""What a merged row says: the most frequent value, then the most complete, then the first."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpiedge.cleaning.survivors import Merged, survive


@pytest.mark.parametrize("values, value, share", [
    (["a", "b", "b"], "b", 2 / 3),
    (["J. Doe", "Jane Doe"], "Jane Doe", 0.5),
    (["ab", "cd"], "ab", 0.5),
    (["", "x", ""], "x", 1.0),
    (["", ""], "", 1.0),
    ([], "", 1.0),
])
def test_vote(values, value, share):
    """Frequency first, length second, order third; missing cells have no vote."""
    assert survive(values) == (value, pytest.approx(share))


@given(st.lists(st.sampled_from(["", "a", "b", "cc"]), max_size=8))
def test_survivor_was_there(values):
    """The surviving value is one of the members' values, missing only if all are, and its share is its frequency."""
    value, share = survive(values)
    filled = [one for one in values if one]
    assert (value in filled) if filled else value == ""
    assert share == (filled.count(value) / len(filled) if filled else 1.0)


def test_cells_taken_over():
    """Each row gives back its own cells, whatever the order in which ranks told them; other rows give none."""
    lines = ["b\x00\ud800\x000.5".encode("utf-8", "surrogatepass"), b"a\x00\x001.0\x00c\x00x y\x000.25"]
    merged = Merged([7, 2], [len(line) for line in lines], np.frombuffer(b"".join(lines), np.uint8))
    two, seven = {"a": ("", 1.0), "c": ("x y", 0.25)}, {"b": ("\ud800", 0.5)}
    assert merged.between(2, 8) == {2: two, 7: seven} and merged.between(2, 7) == {2: two}
    assert len(merged) == 2 and not Merged()
    assert merged.between(3, 7) == merged.between(8, 9) == Merged().between(0, 9) == {}
