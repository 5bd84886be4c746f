"""Minimal difference sets and minimal hitting sets, compiled and plain, against their definitions."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mpiedge.kernels import bits, hitting


def drain(search):
    """The result of a generator, and how often it paused."""
    pauses = 0
    while True:
        try:
            next(search)
            pauses += 1
        except StopIteration as end:
            return end.value, pauses


def minimal_by_definition(edges, columns, largest):
    """All minimal hitting sets by trying every set of columns."""
    found = []
    for size in range(min(columns, largest) + 1):
        for chosen in map(set, itertools.combinations(range(columns), size)):
            if all(chosen & edge for edge in edges) and not any(smaller <= chosen for smaller in found):
                found.append(chosen)
    return {frozenset(one) for one in found}


@given(seed=st.integers(0, 2**32), columns=st.integers(1, 9), count=st.integers(0, 12),
       shift=st.sampled_from([0, 58, 100]),
       largest=st.sampled_from([1, 2, 3, 200]), budget=st.sampled_from([1, 1 << 17]))
@settings(max_examples=150, deadline=None)
def test_hitting_sets_match_their_definition(seed, columns, count, shift, largest, budget):
    """The enumeration finds every minimal hitting set up to the size limit once, in one go or in slices."""
    rng = np.random.default_rng(seed)
    edges = [set(np.flatnonzero(rng.random(columns) < rng.uniform(0.2, 0.9)).tolist()) for _ in range(count)]
    edges = [edge for edge in edges if edge and not any(other < edge for other in edges if other)]
    masks = [bits.mask_of({v + shift for v in edge}, columns + shift) for edge in edges]
    masks = bits.unique(np.array(masks, np.uint64).reshape(-1, bits.words_for(columns + shift)))
    expected = minimal_by_definition(edges, columns, largest)
    for search in (hitting.minimal_hitting_sets(masks, largest, budget),
                   hitting.minimal_hitting_sets_plain(masks, largest)):
        found, _ = drain(search)
        members = [frozenset(v - shift for v in one) for one in bits.members(found, columns + shift)]
        assert len(members) == len(set(members))
        assert set(members) == expected
    parts, tasks = [], [()]
    while tasks:  # every branch that a search leaves to others is searched by itself
        search = hitting.minimal_hitting_sets(masks, largest, budget, tasks.pop(), cut=1)
        while True:
            try:
                tasks += next(search)
            except StopIteration as end:
                parts.append(end.value)
                break
    members = [frozenset(v - shift for v in one) for one in bits.members(np.concatenate(parts), columns + shift)]
    assert sorted(map(sorted, members)) == sorted(map(sorted, expected))
    for path in [(a,) for a in range(columns)] + [(0, a) for a in range(columns)]:
        found = [bits.unique(drain(search)[0]) for search in (
            hitting.minimal_hitting_sets(masks, largest, budget, path),
            hitting.minimal_hitting_sets_plain(masks, largest, path))]
        assert np.array_equal(*found)


def test_long_searches_pause():
    """A search beyond its budget pauses and still ends with everything: 2^10 ways to hit ten disjoint pairs."""
    edges = np.array([[3 << (2 * i)] for i in range(10)], np.uint64)
    found, pauses = drain(hitting.minimal_hitting_sets(edges, None, 50))
    assert len(found) == 1024
    assert pauses > 10 or hitting._library is None
    assert drain(hitting.minimal_hitting_sets_plain(edges, 64))[1] > 0


@given(seed=st.integers(0, 2**32), columns=st.sampled_from([4, 7, 70]), count=st.integers(0, 60))
@settings(max_examples=80, deadline=None)
def test_minimal_evidence_matches_its_definition(seed, columns, count):
    """A set is kept for exactly the right-hand sides for which no other set with that column lies inside it."""
    rng = np.random.default_rng(seed)
    matrix = rng.random((count, columns)) < rng.uniform(0.1, 0.9, (count, 1))
    masks = bits.pack(matrix[matrix.any(axis=1)])
    all_sets = {frozenset(one) for one in bits.members(masks, columns)}
    needed = {one: frozenset(a for a in one if not any(other < one and a in other for other in all_sets))
              for one in all_sets}
    expected = {one: use for one, use in needed.items() if use}
    everything, some = np.full(masks.shape[1], ~np.uint64(0)), bits.mask_of(range(0, columns, 2), columns)
    for rights in (everything, some, ~some):  # each rank looks at some right-hand sides only
        numbers, use = hitting.minimal_for(masks, rights)
        plain_numbers, plain_use = hitting.minimal_for_plain(masks, rights)
        assert numbers.tolist() == plain_numbers.tolist() and np.array_equal(use, plain_use)
        got = dict(zip(map(frozenset, bits.members(masks[numbers], columns)), bits.members(use, columns)))
        wanted = set(bits.members(rights[None], columns)[0])
        assert got == {one: tuple(sorted(use & wanted)) for one, use in expected.items() if use & wanted}
    sets, use = hitting.minimal_evidence(masks)
    got = dict(zip(map(frozenset, bits.members(sets, columns)), map(frozenset, bits.members(use, columns))))
    assert got == expected
    # What is minimal among some of the sets and what is among the others: those of both are found from these alone.
    some, more = hitting.minimal_evidence(masks[::2]), hitting.minimal_evidence(masks[1::2])
    every, rights = np.concatenate([some[0], more[0]]), np.concatenate([some[1], more[1]])
    for minimal_for in (hitting.minimal_for, hitting.minimal_for_plain):
        both = hitting.ordered(every, *minimal_for(every, rights))
        assert np.array_equal(both[0], sets) and np.array_equal(both[1], use)


@given(seed=st.integers(0, 2**32), columns=st.sampled_from([3, 64, 65, 200]), count=st.integers(0, 300))
@settings(max_examples=40, deadline=None)
def test_sets_are_sorted_and_told_apart(seed, columns, count):
    """Both orders of sets are those of the plain version, equal sets included; absent finds what is not known."""
    rng = np.random.default_rng(seed)
    masks = bits.pack(rng.random((count, columns)) < rng.choice([0.0, 0.05, 0.5, 1.0], (count, 1)))
    masks = masks[rng.integers(0, max(count, 1), count)]
    for by_columns in (False, True):
        assert np.array_equal(bits.order(masks, by_columns), bits.order_plain(masks, by_columns))
    assert bits.counts(masks)[:columns].tolist() == bits.unpack(masks, columns).sum(axis=0).tolist()
    some, known = (bits.unique(masks[rng.random(count) < 0.6]) for _ in range(2))
    there = {one.tobytes() for one in known}
    assert bits.absent(some, known).tolist() == [one.tobytes() not in there for one in some]


@given(seed=st.integers(0, 2**32), columns=st.sampled_from([6, 80]))
@settings(max_examples=40, deadline=None)
def test_covered_means_holding_a_closed_set(seed, columns):
    """covered says for each set whether one of the closed sets lies inside it."""
    rng = np.random.default_rng(seed)
    sets, closed = bits.pack(rng.random((30, columns)) < 0.7), bits.pack(rng.random((4, columns)) < 2 / columns)
    expected = [any(not (small & ~one).any() for small in closed) for one in sets]
    assert hitting.covered(sets, closed).tolist() == expected
