"""Components, average link and one-to-one links against plain versions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import MemoryStage

from mpiedge.cleaning import clusters
from mpiedge.cleaning.clusters import average_link, bounded_components, cluster, components
from mpiedge.cleaning.linkage import _merge_apart, one_to_one
from mpiedge.runtime.world import World

edges = st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=40)


def ends(pairs):
    flat = np.array(pairs, np.int32).reshape(-1, 2)
    return flat[:, 0], flat[:, 1]


@given(edges)
def test_components_are_those_of_a_plain_search(pairs):
    """Each record is labelled with the smallest record it can reach."""
    label = list(range(20))
    for _ in range(20):
        for a, b in pairs:
            label[a] = label[b] = min(label[a], label[b])
    assert components(*ends(pairs), 20).tolist() == label


def plain_average_link(strength):
    """Greedy joins of the strongest mean, computed anew each time."""
    groups = [[record] for record in range(len(strength))]
    while len(groups) > 1:
        means = [(np.mean([strength[i][j] for i in one for j in other]), -first, -second)
                 for first, one in enumerate(groups) for second, other in enumerate(groups) if first < second]
        best, first, second = max(means)
        if best < 0:
            break
        groups[-first] = sorted(groups[-first] + groups[-second])
        del groups[-second]
    label = np.empty(len(strength), np.int64)
    for group in groups:
        label[group] = min(group)
    return label


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 9), st.integers(0, 10_000))
def test_average_link_is_the_plain_one(records, seed):
    """The fast version joins as the plain one does, when no two means are equal."""
    strength = np.random.default_rng(seed).normal(0, 1, (records, records))
    strength = strength + strength.T
    assert average_link(strength.copy()).tolist() == plain_average_link(strength).tolist()


def test_average_link_breaks_a_chain():
    """Two groups hanging together by one strong pair stay apart; a group without a negative pair stays whole."""
    strength = np.full((6, 6), -4.0)
    strength[:3, :3] = strength[3:, 3:] = 3.0
    strength[2, 3] = strength[3, 2] = 2.5
    assert average_link(strength).tolist() == [0, 0, 0, 3, 3, 3]
    assert average_link(np.zeros((4, 4))).tolist() == [0, 0, 0, 0]


def test_large_components_are_cut(monkeypatch):
    """A component above the limit is cut by raising the threshold inside it, the others are left alone."""
    monkeypatch.setattr(clusters, "LARGEST_COMPONENT", 3)
    a, b = ends([(0, 1), (1, 2), (2, 3), (3, 4), (6, 7)])
    weight = np.array([3.0, 3.0, 0.5, 3.0, 0.1])
    label, cut = bounded_components(a, b, weight, 0.0, 8)
    assert label.tolist() == [0, 0, 0, 3, 3, 5, 6, 6] and cut == 1


def test_comparing_large_components_is_bounded(monkeypatch):
    """When the pairs inside all components are too many, the largest are cut at their weakest pairs."""
    monkeypatch.setattr(clusters, "COMPLETED_PAIRS", 20)
    monkeypatch.setattr(clusters, "LARGEST_COMPONENT", 8)
    monkeypatch.setattr(clusters, "SMALLEST_LIMIT", 2)
    a, b = ends([(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (8, 9)])
    label, cut = bounded_components(a, b, np.array([3, 3, 3, 0.5, 3, 3, 0.5]), 0.0, 10)
    assert label.tolist() == [0, 0, 0, 0, 4, 4, 4, 7, 8, 8] and cut == 1


def test_components_are_completed():
    """Pairs that no search found, and no others, are scored inside a component, and decide."""
    def score(a, b):
        assert not {*zip(a.tolist(), b.tolist())} & {*found}
        yield
        return np.where((a < 3) == (b < 3), 2.0, -8.0)

    found = [(3, 4), (0, 1), (7, 8), (1, 2), (2, 3), (4, 5)]
    a, b = ends(found)
    label, completed, facts = cluster(MemoryStage(World()), a, b, np.full(6, 1.0), 0.0, 10, score, 0.0)
    assert label.tolist() == [0, 0, 0, 3, 3, 3, 6, 7, 7, 9]
    assert len(completed[0]) == 7 and facts["largest_component"] == 6


def test_links_are_one_to_one():
    """Of several partners only the mutual best is linked; second bests raise the cut until false links are few."""
    draw = np.random.default_rng(1)
    true = [(number, 100 + number, 8 + draw.normal()) for number in range(100)]
    false = [(number, 100 + (number + shift) % 100, draw.normal() - 2) for number in range(100) for shift in (1, 7, 20)]
    a, b, weight = zip(*true, *false)
    rule = one_to_one(np.array(a), np.array(b), np.array(weight, np.float32), np.arange(200) < 100, 100, 100)
    linked = {(a[pair], b[pair]) for pair in rule.links}
    assert linked == {(number, 100 + number) for number in range(100)}
    assert rule.expected_f1 > 0.95 and rule.true_links == pytest.approx(100, abs=3)


def test_one_record_of_a_source_in_a_cluster():
    """Links through a third source never bring two records of one source together."""
    sources = np.array([0, 0, 1, 2])
    a, b = ends([(0, 2), (2, 3), (1, 3)])
    assert _merge_apart(a, b, np.array([0, 1, 2]), sources).tolist() == [0, 1, 0, 0]
