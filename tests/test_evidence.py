"""Evidence kernels: compiled with and without intrinsics, and the plain versions, all against the definition."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpiedge.kernels import bits, evidence, native, partition
from mpiedge.kernels.evidence import PlainEvidence
from mpiedge.profiling.evidence import group_or, minimal_sets
from mpiedge.profiling.needs import estimate_bytes
from mpiedge.profiling.rounds import cut_pairs, even_ranges
from mpiedge.profiling.whole import WholeTable

needs_native = pytest.mark.skipif(native.library is None, reason="the kernels are not compiled")


def difference(codes, first, second):
    """The set of columns in which two rows differ, by definition."""
    return frozenset(column for column, values in enumerate(codes) if values[first] != values[second])


def as_sets(masks, columns):
    """Masks as a set of sets of columns."""
    return {frozenset(one) for one in bits.members(masks, columns)}


def make(kind, codes, cardinality):
    """Evidence over the given codes with the widest columns first in the tile, as the kernels ask for."""
    order = sorted(range(len(codes)), key=lambda column: -evidence.needed_bytes(cardinality[column]))
    narrow = [partition.narrow(codes[column], cardinality[column]) for column in order]
    limits = [cardinality[column] for column in order]
    if kind == "plain":
        return PlainEvidence(narrow, order, len(codes), limits)
    return evidence.NativeEvidence(narrow, order, len(codes), limits, portable=kind == "portable")


def random_codes(rng, rows, columns, large):
    """Columns with few values, stretched over one to four bytes so that rows differ in one byte plane only."""
    codes, cardinality = [], []
    for _ in range(columns):
        step = int(rng.choice([1, 1, 1, 255, 256, 257, 65536, 1 << 24])) if large else 1
        values = rng.integers(0, int(rng.integers(1, 5)), rows) * step
        codes.append(values.astype(np.int64))
        cardinality.append(4 * step + 1)
    return codes, cardinality


@needs_native
@pytest.mark.parametrize("kind", ["intrinsics", "portable", "plain"])
@pytest.mark.parametrize("columns", [1, 5, 15, 16, 17, 24, 25, 31, 40, 63, 64, 65, 130])
@pytest.mark.parametrize("large", [False, True])
def test_pairs_find_every_difference_set(kind, columns, large):
    """All pairs of a partition give exactly the difference sets of these pairs, for every tile layout."""
    rng = np.random.default_rng([columns, large])
    codes, cardinality = random_codes(rng, 40, columns, large)
    found = make(kind, codes, cardinality)
    node = partition.Partition(rng.permutation(40).astype(np.int32), np.array([0, 2, 4, 7, 9, 40], np.int32), 999)
    found.pairs(node)
    clusters = [node.rows[a:b] for a, b in itertools.pairwise(node.starts)]
    expected = {difference(codes, i, j) for rows in clusters for i, j in itertools.combinations(rows, 2)}
    assert as_sets(found.masks(), columns) == expected - {frozenset()}
    violated = found.star(node)
    union = frozenset().union(*(difference(codes, rows[0], other) for rows in clusters for other in rows[1:]))
    assert as_sets(violated[None], columns) == {union}


@needs_native
@pytest.mark.parametrize("kind", ["intrinsics", "portable", "plain"])
def test_large_clusters_are_compared_in_blocks(kind):
    """A cluster larger than the buffer of gathered rows, cut at any positions, loses no pair."""
    rng = np.random.default_rng(1)
    rows = 5000 if kind != "plain" else 300
    codes, cardinality = random_codes(rng, rows, 12, False)
    whole = make(kind, codes, cardinality)
    whole.pairs(partition.whole(rows))
    pieces = make(kind, codes, cardinality)
    for first, last in [(0, 1), (1, 17), (17, rows // 2), (rows // 2, rows)]:
        pieces.pairs(partition.whole(rows), first, last)
    assert as_sets(whole.masks(), 12) == as_sets(pieces.masks(), 12)
    distinct = np.unique(np.array(codes), axis=1)
    expected = {difference(distinct, i, j) for i, j in itertools.combinations(range(min(200, distinct.shape[1])), 2)}
    assert expected <= as_sets(whole.masks(), 12)


@needs_native
@given(seed=st.integers(0, 2**32), rows=st.integers(2, 60), columns=st.sampled_from([3, 20, 30, 70]))
@settings(max_examples=30, deadline=None)
def test_window_compares_neighbours_with_equal_codes(seed, rows, columns):
    """The window finds the difference sets of each row and the latest earlier row with the same code, in its range."""
    codes, cardinality = random_codes(np.random.default_rng(seed), rows, columns, True)
    start, stop = sorted(np.random.default_rng(seed).integers(0, rows + 1, 2).tolist())
    expected = set()
    for j in range(start, stop):
        earlier = [i for i in range(start, j) if codes[1][i] == codes[1][j]]
        if earlier:
            expected.add(difference(codes, earlier[-1], j))
    for kind in ("intrinsics", "portable", "plain"):
        found = make(kind, codes, cardinality)
        found.window(1, np.zeros(cardinality[1], np.int32), start, stop)
        assert as_sets(found.masks(), columns) == expected - {frozenset()}


@needs_native
@pytest.mark.parametrize("columns", [10, 40, 100])
def test_many_masks_are_kept_once(columns):
    """Added masks are kept once each, in any number, and known ones are not found again."""
    rng = np.random.default_rng(columns)
    masks = bits.pack(rng.random((6000, columns)) < 0.5)
    codes = [np.arange(2) for _ in range(columns)]
    for kind in ("intrinsics", "plain"):
        found = make(kind, codes, [2] * columns)
        found.add(masks)
        found.add(masks[::-1])
        assert as_sets(found.masks(), columns) == as_sets(masks, columns) - {frozenset()}
        assert found.count == len(as_sets(masks, columns) - {frozenset()})
        assert len(found.masks(found.count - 3)) == 3


def clusters_of(node):
    """A partition as a set of sets of rows."""
    return {frozenset(node.rows[a:b].tolist()) for a, b in itertools.pairwise(node.starts)}


@given(seed=st.integers(0, 2**32), rows=st.integers(1, 80),
       limits=st.lists(st.integers(1, 400), min_size=2, max_size=4))
@settings(max_examples=60, deadline=None)
def test_partitions_hold_the_rows_that_agree(seed, rows, limits):
    """A column's partition, refined by more columns, holds exactly the groups of rows that agree on all of them."""
    rng = np.random.default_rng(seed)
    sizes = [limit * scale for limit, scale in zip(limits, (1, 200, 1, 1))]
    codes = [partition.narrow(rng.integers(0, limit, rows), size) for limit, size in zip(limits, sizes)]
    node = partition.single(codes[0], sizes[0])
    for used in range(1, len(codes) + 1):
        groups = {}
        for row in range(rows):
            groups.setdefault(tuple(int(column[row]) for column in codes[:used]), []).append(row)
        expected = {frozenset(group) for group in groups.values() if len(group) > 1}
        assert clusters_of(node) == expected
        assert node.pairs == sum(len(group) * (len(group) - 1) // 2 for group in expected)
        if used < len(codes):
            plain = partition.refine_plain(node, codes[used])
            node = partition.refine(node, codes[used], sizes[used])
            assert clusters_of(plain) == clusters_of(node)
            assert plain.pairs == node.pairs
    at_once = partition.refine_by_all(partition.single(codes[0], sizes[0]), codes[1:])
    assert clusters_of(at_once) == expected and at_once.pairs == node.pairs


@given(seed=st.integers(0, 2**32), rows=st.integers(1, 300), values=st.sampled_from([1, 2, 60, 256]),
       kind=st.sampled_from(["u1", "u2", "u4"]), parts=st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_shares_of_a_partition_are_the_whole(seed, rows, values, kind, parts):
    """The clusters that several ranks take of a partition, put together again, are that partition."""
    codes = np.random.default_rng(seed).integers(0, values, rows).astype(kind)
    node = partition.single(codes, values)
    joined = partition.join([partition.part(codes, *one) for one in even_ranges(values, parts)])
    assert np.array_equal(joined.rows, node.rows) and np.array_equal(joined.starts, node.starts)
    assert joined.pairs == node.pairs


@given(sizes=st.lists(st.integers(2, 300), max_size=12), most=st.integers(1, 5000))
def test_ranges_of_pairs_cover_a_partition(sizes, most):
    """The ranges of positions cover a partition once, and hold at most the wished pairs and one row's more."""
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    pairs = sum(size * (size - 1) // 2 for size in sizes)
    ranges = cut_pairs(starts, most)
    assert [position for a, b in ranges for position in range(a, b)] == list(range(starts[-1]))
    cluster = np.repeat(starts[:-1], np.diff(starts))
    earlier = np.arange(starts[-1]) - cluster
    assert sum(earlier) == pairs
    assert all(earlier[a:b].sum() <= most + 300 for a, b in ranges)


@given(seed=st.integers(0, 2**32), columns=st.integers(1, 140), rows=st.integers(0, 50))
@settings(max_examples=30)
def test_masks_turn_into_members_and_back(seed, columns, rows):
    """pack, unpack, members and unique agree for any number of columns."""
    matrix = np.random.default_rng(seed).random((rows, columns)) < 0.3
    masks = bits.pack(matrix)
    assert np.array_equal(bits.unpack(masks, columns), matrix)
    assert bits.members(masks, columns) == [tuple(np.flatnonzero(row)) for row in matrix]
    assert as_sets(bits.unique(masks), columns) == as_sets(masks, columns)
    assert len(bits.unique(masks)) == len(as_sets(masks, columns))
    assert all(np.array_equal(bits.mask_of(np.flatnonzero(row), columns), mask) for row, mask in zip(matrix, masks))
    assert np.array_equal(bits.sizes(masks), matrix.sum(axis=1))


def test_grouping_and_minimal_sets():
    """group_or joins the values of equal keys, and minimal_sets drops supersets."""
    keys, values = group_or(np.array([[3], [1], [3]], np.uint64), np.array([[1, 4], [2, 0], [8, 0]], np.uint64))
    assert keys.tolist() == [[1], [3]]
    assert values.tolist() == [[2, 0], [9, 4]]
    assert minimal_sets(np.array([[7], [1], [6], [14], [6]], np.uint64)).tolist() == [[1], [6]]


def test_many_duplicate_rows_are_dropped():
    """Tables with many equal rows keep one of each, and say that there are duplicates."""
    base = np.arange(100) % 30
    table = WholeTable([base, base // 7, np.full(100, 3)])
    assert table.duplicates
    assert table.kept_rows == 30
    assert table.constant == [2]
    assert not WholeTable([np.arange(5), np.zeros(5, int)]).duplicates


def test_sparse_and_wide_codes_are_numbered_again():
    """Codes far above the number of rows count as values, not as a table size."""
    table = WholeTable([np.array([10**12, 5, 10**12, 7]), np.arange(4)])
    assert table.cardinality[0] == 3
    assert table.pairs[0] == 1


def test_estimate_grows_with_the_table():
    """The estimate grows with rows and columns and stays near 32 bytes per row and tile for narrow tables."""
    small, large = estimate_bytes(300_000, [50] * 16), estimate_bytes(600_000, [50] * 16)
    assert small < large < 2.5 * small
    assert 20e6 < small < 60e6
    assert estimate_bytes(300_000, [50] * 100) > small
