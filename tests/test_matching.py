"""Levels of agreement, the fit of their weights and what guards it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import OneRank

from mpiedge.cleaning.matching import (
    MISSING_LEVEL,
    dependence_discount,
    fit,
    generic_shape,
    level_vectors,
    prevalence_cut,
    tally,
)
from mpiedge.cleaning.similarity import MISSING, Scale, random_pairs, scale_of
from mpiedge.cleaning.twins import check_twins
from mpiedge.kernels import expectation
from mpiedge.kernels.expectation import LEVELS, expected, expected_plain, pack


class Halves:
    """Two ranks in one process: sums what `fit` asks for with the sums of the other half, computed the same way."""

    def __init__(self, others):
        self.others = iter(others)

    def sum(self, array):
        return array + next(self.others)


def sample(pairs=3000, matches=300, seed=0):
    """Levels of three independent columns: matches mostly equal, others by chance."""
    draw = np.random.default_rng(seed)
    levels = draw.choice([0, 1, 2, 3], (3, pairs), p=[0.5, 0.3, 0.15, 0.05]).astype(np.uint8)
    levels[:, :matches] = draw.choice([3, 2, MISSING], (3, matches), p=[0.8, 0.1, 0.1])
    chance = draw.choice([0, 1, 2, 3], (3, 5000), p=[0.55, 0.3, 0.14, 0.01]).astype(np.uint8)
    return levels, chance, np.array([3, 3, 3])


def test_levels_follow_the_cuts():
    """A similarity's level counts the cut points below it; equality is on top; the lower half of chance is level 0."""
    scale = Scale(np.float32(0.2), np.array([0.3, 0.6], np.float32))
    values = np.array([0, 0.2, 0.25, 0.3, 0.31, 0.6, 0.61, 0.9999, 1], np.float32)
    assert scale.levels(values).tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(0, 1, width=32), max_size=50))
def test_scale_is_sound(values):
    """Cut points ascend and stay below equality, whatever the sample, and equality is always the top level."""
    scale = scale_of(np.array(values, np.float32))
    assert (np.diff(scale.cuts) > 0).all() and (scale.cuts < 0.9999).all()
    assert scale.levels(np.ones(1, np.float32))[0] == scale.top


@pytest.mark.parametrize("columns, pairs", [(3, 0), (1, 511), (9, 1500)])
def test_expected_matches_by_the_kernel_and_by_numpy(columns, pairs):
    """Both versions have the same bits, missing cells and sure pairs included."""
    draw = np.random.default_rng(pairs)
    levels = draw.choice([0, 1, 2, 3, 14, MISSING], (columns, pairs)).astype(np.uint8)
    counts, ratio, rows = draw.integers(1, 9, pairs), draw.normal(0, 9, (columns, LEVELS)), pack(levels)
    ratio[:, 3] = 900.0
    sums = expected(rows, counts, ratio, -9.0)
    assert sums.tobytes() == expected_plain(rows, counts, ratio, -9.0).tobytes()
    assert sums[-1] == sums[:LEVELS].sum()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(expectation, "_library", None)
        assert (pack(levels) == rows).all()


def test_fit_finds_the_matches():
    """Agreement in all columns comes out as evidence for, chance levels as evidence against."""
    levels, chance, tops = sample()
    weights = fit(OneRank(), [level_vectors(levels)], chance, tops, 1000, 1000 * 999 / 2)
    total = weights.log_odds + weights.evidence(levels)
    assert np.mean(total[:300] > 0) > 0.75 and np.mean(total[300:] > 0) < 0.02
    assert weights.evidence(np.full((3, 1), MISSING, np.uint8))[0] == 0


def test_fit_has_the_same_bits_however_the_pairs_are_spread():
    """Sums of rounded probabilities are exact: blocks in any cut and order give the very same weights."""
    levels, chance, tops = sample()
    whole = fit(OneRank(), [level_vectors(levels)], chance, tops, 1000, 1000 * 999 / 2)
    cuts = [(pack(levels[:, start:start + 37]), np.ones(len(levels[0, start:start + 37]), np.int64))
            for start in range(0, 3000, 37)][::-1]
    assert (fit(OneRank(), cuts, chance, tops, 1000, 1000 * 999 / 2).ratio == whole.ratio).all()
    recorded = []

    class Recorder(OneRank):
        def sum(self, array):
            recorded.append(array.copy())
            return array

    fit(Recorder(), [level_vectors(levels)], chance, tops, 1000, 1000 * 999 / 2)
    assert all(np.isfinite(array).all() for array in recorded)


def test_ranks_without_pairs_take_part():
    """A rank without any candidates sums like the others."""
    levels, chance, tops = sample()
    whole = fit(OneRank(), [level_vectors(levels)], chance, tops, 1000, 1000 * 999 / 2)
    sums = []

    class Recorder(OneRank):
        def sum(self, array):
            sums.append(array.copy())
            return array

    fit(Recorder(), [level_vectors(levels)], chance, tops, 1000, 1000 * 999 / 2)
    assert (fit(Halves(sums), [], chance, tops, 1000, 1000 * 999 / 2).ratio == whole.ratio).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 20), st.integers(0, 60), st.integers(0, 5))
def test_level_vectors_count_every_pair(columns, pairs, seed):
    """Distinct vectors and their counts tally to the same sums as the pairs one by one."""
    draw = np.random.default_rng(seed)
    levels = draw.choice([0, 1, 2, 8, MISSING], (columns, pairs)).astype(np.uint8)
    vectors, counts = level_vectors(levels)
    assert counts.sum() == pairs
    everyone = expected(vectors, counts, np.zeros((columns, LEVELS)), np.inf)[:-1].reshape(columns, LEVELS)
    everyone[:, MISSING_LEVEL] = 0
    assert (everyone == tally(levels, np.ones(pairs))).all()


def test_copied_column_shares_its_evidence():
    """A column stored twice counts half each; independent columns keep all of theirs."""
    levels, chance, tops = sample()
    twice, chance_twice = np.vstack([levels, levels[:1]]), np.vstack([chance, chance[:1]])
    weights = fit(OneRank(), [level_vectors(twice)], chance_twice, np.append(tops, 3), 1000, 499_500)
    discount = dependence_discount(OneRank(), weights, chance_twice)
    assert discount == pytest.approx([0.5, 1, 1, 0.5], abs=0.02)


def test_prevalence_moves_the_cut():
    """Where few records have a good partner the cut is high, where all have one it is slightly below even odds."""
    best = np.full(1000, -10.0)
    best[:100] = 20.0
    assert prevalence_cut(best) > 4
    assert -1 <= prevalence_cut(np.full(1000, 20.0)) < 0


def test_twins_are_told_from_running_numbers():
    """A column that agrees in a few links only makes a twin class; one that never agrees is named to be left out."""
    draw = np.random.default_rng(0)
    tops = np.full(4, 6)
    chance = draw.choice(7, (4, 5000), p=[0.5, 0.3, 0.1, 0.05, 0.03, 0.01, 0.01]).astype(np.uint8)
    links = np.full((4, 400), 6, np.uint8)
    links[2:] = draw.choice(5, (2, 400), p=[0.5, 0.3, 0.1, 0.06, 0.04])
    check = check_twins(links, chance, tops, [False] * len(tops))
    assert check.columns == [2, 3] and check.ratio is None
    links[2:, :60] = 6
    check = check_twins(links, chance, tops, [False] * len(tops))
    evidence = check.evidence(links)
    assert check.equal == 60 and (evidence[:60] > 2).all() and (evidence[60:] < 2).all()
    links[2:] = 6
    assert check_twins(links, chance, tops, [False] * len(tops)) is None


def test_links_that_agree_less_than_chance_are_parts():
    """A column in which links agree less often than random pairs do says that they are parts of a whole; sources, in
    which no link agrees, do not."""
    draw = np.random.default_rng(0)
    tops = np.array([2, 6])
    chance = np.stack([draw.choice([0, 2], 5000, p=[0.4, 0.6]), draw.choice(5, 5000)]).astype(np.uint8)
    for agreeing, suspect in ((0.4, True), (0.6, False), (0.0, False)):
        links = np.stack([np.where(draw.random(300) < agreeing, 2, 0), np.full(300, 6)]).astype(np.uint8)
        check = check_twins(links, chance, tops, [False, False])
        assert (check is not None) == suspect
        assert check is None or (check.columns == [0] and check.agreeing == 0 and check.ratio is None)


def test_near_numbers_are_other_numbers():
    """Whole numbers that are near to each other in most links (the next house) are suspect; names as near are not."""
    draw = np.random.default_rng(0)
    tops = np.full(2, 6)
    chance = draw.choice(7, (2, 5000), p=[0.5, 0.3, 0.1, 0.05, 0.03, 0.01, 0.01]).astype(np.uint8)
    links = np.full((2, 400), 6, np.uint8)
    links[1, 80:] = draw.choice([1, 2, 3], 320)
    assert check_twins(links, chance, tops, [False, False]) is None
    check = check_twins(links, chance, tops, [False, True])
    assert check.columns == [1] and check.equal == 80
    assert (check.evidence(links)[:80] > 0).all() and (check.evidence(links)[80:] < 0).all()


def test_generic_shape_sums_to_one():
    """The shape of m before any data is a distribution over the levels that exist."""
    shape = generic_shape(np.array([2, 8]))
    assert shape.sum(axis=1) == pytest.approx([1, 1]) and shape[0, 3:].sum() == 0


def test_random_pairs_are_pairs():
    """Random pairs never pair a record with itself; of a small table they are all pairs; sources stay apart."""
    a, b = random_pairs(5000, 0, None)
    assert len(a) == 60_000 and (a != b).all() and max(a.max(), b.max()) < 5000
    assert len(random_pairs(20, 0, None)[0]) == 190
    sources = (np.arange(5000) < 100).astype(np.uint8)
    a, b = random_pairs(5000, 0, sources)
    assert (sources[a] != sources[b]).all() and len(a) > 1000


def test_unlike_names_are_twins():
    """Where names tell twins apart, rows of unlike names are never one record; numbers alone may differ."""
    draw = np.random.default_rng(0)
    tops = np.full(4, 6)
    chance = draw.choice(7, (4, 5000), p=[0.5, 0.3, 0.1, 0.05, 0.03, 0.01, 0.01]).astype(np.uint8)
    links = np.full((4, 400), 6, np.uint8)
    links[2:] = draw.choice(5, (2, 400), p=[0.5, 0.3, 0.1, 0.06, 0.04])
    links[2:, :60] = 6
    check = check_twins(links, chance, tops, [False] * len(tops))
    pairs = np.array([[6, 6, 2, 6], [6, 6, 3, 6], [6, 6, 6, 4], [6, 6, 255, 6]], np.uint8).T
    before = check.evidence(pairs)
    check.tell_by_names([2], tops)
    assert check.evidence(pairs)[0] < -100 and (check.evidence(pairs)[1:] == before[1:]).all()


def test_neighbours_are_equal_nowhere():
    """Where most links are near in all columns and equal in none, those that are equal somewhere tell the others
    apart; if they are no more than chance explains they do not."""
    draw = np.random.default_rng(0)
    tops = np.full(2, 6)
    chance = draw.choice(7, (2, 5000), p=[0.5, 0.3, 0.1, 0.05, 0.03, 0.019, 0.001]).astype(np.uint8)
    links = draw.choice([4, 5], (2, 400)).astype(np.uint8)
    assert check_twins(links, chance, tops, [False, False]) is None
    links[:, :80] = 6
    check = check_twins(links, chance, tops, [False, False])
    assert check.columns == [] and check.equal == 80
    assert (check.evidence(links)[:80] > 0).all() and (check.evidence(links)[80:] < 0).all()
    chance[1, :1000] = 6
    assert check_twins(links, chance, tops, [False, False]) is None


def test_columns_of_few_values_tell_twins_together():
    """Strength and form, each equal in a fifth of all pairs: links that agree in both far more often than random pairs
    do tell medicines of one name apart; if they do not, the columns just vary."""
    draw = np.random.default_rng(0)
    tops = np.array([6, 2, 2])
    chance = np.stack([draw.choice(7, 5000, p=[0.5, 0.3, 0.1, 0.05, 0.03, 0.01, 0.01]),
                       *draw.choice([0, 2], (2, 5000), p=[0.8, 0.2])]).astype(np.uint8)
    links = np.stack([np.full(400, 6), *draw.choice([0, 2], (2, 400), p=[0.8, 0.2])]).astype(np.uint8)
    assert check_twins(links, chance, tops, [False] * 3) is None
    links[1:, :100] = 2
    check = check_twins(links, chance, tops, [False] * 3)
    together = (links[1:] == 2).all(axis=0)
    assert check.columns == [1, 2] and not check.certain
    assert (check.evidence(links)[together] > 0).all() and (check.evidence(links)[~together] < 0).all()
