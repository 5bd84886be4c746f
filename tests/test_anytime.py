"""Searches that are ended early: what they give is true and minimal, and a later one goes on to the full result."""

import os
import signal
import time

import numpy as np
import pytest
from dependencies import SETTINGS, random_table, tune
from hypothesis import given, settings
from hypothesis import strategies as st

from mpiedge.errors import InputError, StoreError
from mpiedge.profiling import hitting, pause
from mpiedge.profiling.anytime import State
from mpiedge.profiling.fds import discover_fds
from mpiedge.profiling.pause import Interruption
from mpiedge.profiling.uccs import discover_uccs


def after(calls):
    """A deadline that is reached when it was asked so many times."""
    left = iter(range(calls))
    return lambda: next(left, None) is None


@given(seed=st.integers(0, 2**32), rows=st.integers(0, 200), columns=st.integers(1, 10),
       setting=st.sampled_from(list(SETTINGS)), calls=st.integers(0, 40))
@settings(max_examples=100, deadline=None)
def test_what_an_ended_search_gives_is_true_and_it_can_go_on(tmp_path_factory, seed, rows, columns, setting, calls):
    """Wherever the search ends, its dependencies and keys are some of the minimal ones; resumed, it finds them all."""
    table = random_table(seed, rows, columns)
    expected, keys = discover_fds(table), discover_uccs(table)
    with pytest.MonkeyPatch.context() as patch:
        tune(patch, setting)
        patch.setattr(hitting, "FIRST_STEPS", 8)
        early = discover_fds(table, deadline=after(calls))
        early_keys = discover_uccs(table, deadline=after(calls))
        assert set(early) <= set(expected)
        assert set(map(tuple, early_keys.tolist())) <= set(map(tuple, keys.tolist()))
        assert early.partial or set(early) == set(expected)
        path = tmp_path_factory.mktemp("state") / "state.npz"
        early.state.save(path)
        later = discover_fds(table, state=State.load(path), deadline=lambda: False)
        later_keys = discover_uccs(table, state=early_keys.state or early.state)
    assert not later.partial
    assert np.array_equal(later.lhs, expected.lhs)
    assert np.array_equal(later.rhs, expected.rhs)
    assert np.array_equal(later_keys, keys)


def test_a_saved_search_belongs_to_its_table(tmp_path):
    """The state of another table, and a damaged file, are refused."""
    table, path = random_table(5, 100, 6), tmp_path / "state.npz"
    state = discover_fds(table).state
    with pytest.raises(InputError, match="another table"):
        discover_fds(random_table(6, 100, 6), state=state)
    state.save(path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(StoreError, match="cannot be read"):
        State.load(path)
    np.savez(path, rows=3)
    with pytest.raises(StoreError, match="cannot be read"):
        State.load(path)


def test_a_time_limit_in_seconds():
    """With no time at all a long table gives nothing but its constant columns, marked partial."""
    rng = np.random.default_rng(0)
    found = discover_fds([rng.integers(0, 50, 5000) for _ in range(5)] + [np.zeros(5000, int)], deadline=0)
    assert found.partial
    assert list(found) == [((), 5)]


def test_the_announcement_of_a_launcher_ends_a_search_once(monkeypatch):
    """SIGCONT ends a search that was not stopped, the SIGTERM that follows changes nothing, one more interrupts.

    After a real stop, and without such a launcher, SIGCONT means nothing.
    """
    monkeypatch.setenv("PRTE_LAUNCHED", "1")
    with Interruption(None, time.perf_counter()) as interruption:
        assert not interruption()
        os.kill(os.getpid(), signal.SIGCONT)
        assert interruption()
        os.kill(os.getpid(), signal.SIGTERM)
        assert interruption()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
    monkeypatch.setattr(pause, "RUNNING_S", 0.0)  # as if it had been asked long ago
    with Interruption(None, time.perf_counter()) as interruption:
        assert not interruption()
        os.kill(os.getpid(), signal.SIGCONT)
        assert not interruption()
    monkeypatch.undo()
    monkeypatch.delenv("PRTE_LAUNCHED", raising=False)
    with Interruption(None, time.perf_counter()) as interruption:
        assert not interruption()
        os.kill(os.getpid(), signal.SIGCONT)
        assert not interruption()
