"""When training moves nodes from a rank that is slow."""

from types import SimpleNamespace

import numpy as np
import pytest

from mpiedge.training import balance as balancing
from mpiedge.training.balance import Balance, Promise, Uneven, uneven
from mpiedge.training.shares import by_speed

WORK, CALLS = np.full(4, 0.25), 0.01


def seen(times, spread=0.02, epochs=40):
    """The first epoch after which something is uneven, and what, when the last rank takes `times` as long."""
    random = np.random.default_rng(1)
    busy_s = random.lognormal(0, spread, (epochs, 4)) * np.array([1, 1, 1, times])
    for epoch in range(1, epochs + 1):
        for found in uneven(busy_s[:epoch], WORK, CALLS):
            return epoch, found
    return None, None


def test_one_stalled_epoch_moves_nothing():
    """A rank that is stopped for the time of 25 epochs is no slow rank afterwards."""
    for stalled in range(1, 20):
        busy_s = np.random.default_rng(stalled).lognormal(0, 0.02, (40, 4))
        busy_s[stalled, 2] = 25
        assert not [found for epoch in range(1, 41) for found in uneven(busy_s[:epoch], WORK, CALLS)]


@pytest.mark.parametrize(("times", "after"), [(4, 2), (2, 3), (1.6, 4), (1.4, 6), (1.25, 12), (1.12, 24)])
def test_the_slower_the_sooner(times, after):
    """A rank four times as slow is found after two epochs, a little slowness after twelve or more."""
    epoch, found = seen(times)
    assert (epoch, found.rank, found.epochs) == (after, 3, after)
    np.testing.assert_allclose(found.speeds[0] / found.speeds[3], times, rtol=0.1)
    assert found.ideal_s == pytest.approx(4 / (3 + 1 / times), rel=0.1)


def test_who_is_not_slow_keeps_its_share():
    """After two epochs only the slow rank has another speed: what the others differ by is chance."""
    busy_s = np.array([[0.9, 1.2, 1.0, 4.0], [1.2, 1.0, 0.9, 4.0]])
    (found,) = uneven(busy_s, WORK, CALLS)
    assert np.ptp(found.speeds[:3]) < 1e-12 and found.speeds[3] < 0.3 * found.speeds[0]


def test_chance_moves_nothing():
    """Ranks that are alike but scatter by a tenth or a fifth in each epoch stay as they are."""
    assert seen(1, spread=0.1, epochs=200) == (None, None)
    assert seen(1, spread=0.2, epochs=200) == (None, None)
    assert seen(1.05) == (None, None)


def test_calls_weigh_more_on_a_slow_rank():
    """Of two ranks with 2 : 1 of the speed the slower gets less than a third, as both make the same calls; where these
    take all its time it gets nothing; all end together."""
    speeds = np.array([2.0, 1.0])
    np.testing.assert_allclose(by_speed(speeds, 0), [2 / 3, 1 / 3])
    values = by_speed(speeds, 0.1)
    np.testing.assert_allclose(values, [0.7, 0.3])
    assert np.ptp((values + 0.1) / speeds) < 1e-12
    assert by_speed(speeds, 2).tolist() == [1, 0]


@pytest.mark.parametrize(("typical_ms", "watched", "pays"), [(7.5, 12, False), (7.5, 100, False), (750, 12, True),
                                                            (20, 12, False), (20, 30, True)])
def test_what_is_hardly_worth_a_line(typical_ms, watched, pays):
    """Nodes stay where epochs are so short that their moving could save no second; 200 epochs of two ranks are left."""
    balance = Balance.__new__(Balance)
    balance.doubt = 1.0
    balance.trainer = SimpleNamespace(state=SimpleNamespace(epoch=100, best_epoch=100), validation_nodes=9,
                                      settings=SimpleNamespace(epochs=300, patience=200))
    typical = np.array([5.5, typical_ms]) / 1000
    assert balance._pays(Uneven(1, watched, typical, 1 / typical, 0.0065), 0.0065, cost_s=0.02) == pays


@pytest.mark.parametrize(("walls", "doubt"), [((70, 260, 250, 600, 80, 75), 1), ((70, 260, 250, 600, 240, 245), 2)])
def test_a_promise_that_is_not_kept_makes_the_next_one_harder(monkeypatch, walls, doubt):
    """What a change brought is the difference of whole epochs, the one of the move left out; half must come true."""
    said, noted = [], []
    monkeypatch.setattr(balancing, "note", lambda *words: noted.append(words[3]))
    balance = Balance.__new__(Balance)
    balance.stage, balance.began_s, balance.doubt, balance.first = SimpleNamespace(say=said.append), 0.0, 1.0, 4
    balance.trainer = SimpleNamespace(wall_s=[*(wall / 1000 for wall in walls), np.nan])
    balance.promise = Promise(3, slice(1, 3), 0.25, 0.08)
    balance._compare(0.07)
    assert balance.doubt == doubt and balance.promise is None
    assert f"an epoch takes {np.mean(walls[4:]):.1f} ms instead of 255.0" in said[0]
    assert noted == ["kept them" if doubt == 1 else "kept them; the next ones must bring twice as much"]
