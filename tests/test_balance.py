"""When training moves nodes from a rank that is slow."""

from types import SimpleNamespace

import numpy as np
import pytest

from mpiedge.training.balance import CAUTION, Balance, Uneven, uneven

WORK = np.full(4, 1000.0)


def seen(times, spread=0.02, epochs=40):
    """The first epoch after which something is uneven, and what, when the last rank takes `times` as long."""
    random = np.random.default_rng(1)
    busy_s = random.lognormal(0, spread, (epochs, 4)) * np.array([1, 1, 1, times])
    for epoch in range(1, epochs + 1):
        for found in uneven(busy_s[:epoch], WORK):
            return epoch, found
    return None, None


@pytest.mark.parametrize(("times", "after"), [(4, 2), (2, 3), (1.4, 6), (1.25, 12)])
def test_the_slower_the_sooner(times, after):
    """A rank four times as slow is found after two epochs, a little slowness after twelve, each with its speed."""
    epoch, found = seen(times)
    assert (epoch, found.rank, found.epochs) == (after, 3, after)
    np.testing.assert_allclose(found.speeds[0] / found.speeds[3], times, rtol=0.1)
    assert found.ideal_s == pytest.approx(4 / (3 + 1 / times), rel=0.1)


def test_chance_moves_nothing():
    """Ranks that are alike but scatter by a tenth in each epoch stay as they are."""
    assert seen(1, spread=0.1, epochs=200) == (None, None)
    assert seen(1.05) == (None, None)


@pytest.mark.parametrize(("typical_ms", "watched", "pays"), [(7.5, 12, False), (7.5, 100, False), (750, 12, True),
                                                            (20, 12, False), (20, 30, True)])
def test_what_is_hardly_worth_a_line(typical_ms, watched, pays):
    """Nodes stay where epochs are so short that their moving could save no second; 200 epochs of two ranks are left."""
    balance = Balance.__new__(Balance)
    balance.cost_s, balance.doubt = 0.02, CAUTION
    balance.trainer = SimpleNamespace(state=SimpleNamespace(epoch=100, best_epoch=100), validation_nodes=9,
                                      settings=SimpleNamespace(epochs=300, patience=200))
    typical = np.array([5.5, typical_ms]) / 1000
    assert balance._pays(Uneven(1, watched, typical, 1 / typical, 0.0065), 0.0065) == pays
