"""Keys from the evidence of dependencies, against their definition."""

import numpy as np
import pytest
from dependencies import SETTINGS, keys_by_definition, random_table, tune
from hypothesis import given, settings
from hypothesis import strategies as st

from mpiedge.kernels import bits
from mpiedge.profiling.fds import discover_fds
from mpiedge.profiling.uccs import discover_uccs


@given(seed=st.integers(0, 2**32), rows=st.integers(0, 40), columns=st.integers(1, 6),
       setting=st.sampled_from(list(SETTINGS)), largest=st.sampled_from([None, 1, 2, 3]))
@settings(max_examples=200, deadline=None)
def test_keys_match_their_definition(seed, rows, columns, setting, largest):
    """The minimal keys, up to the size limit, of random tables, whichever way the evidence was found."""
    table = random_table(seed, rows, columns)
    with pytest.MonkeyPatch.context() as patch:
        tune(patch, setting)
        found = discover_uccs(table, max_size=largest)
        again = discover_uccs(discover_fds(table), max_size=largest)
    assert np.array_equal(found, again)
    assert len(bits.members(found, columns)) == len(found)
    assert set(bits.members(found, columns)) == keys_by_definition(table, rows, 99 if largest is None else largest)


def test_no_key_with_equal_rows():
    """Two equal rows leave no key, even when every column takes many values."""
    values = np.arange(1000)
    values[999] = 0
    assert len(discover_uccs([values, values[::-1].copy() * 0 + values])) == 0
