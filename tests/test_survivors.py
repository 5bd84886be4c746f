"""What a merged row says: the most frequent value, then the most complete, then the first."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpiedge.cleaning.survivors import survive


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
