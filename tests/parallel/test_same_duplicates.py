"""Duplicates on several ranks: the bytes of one rank, whatever the ranks and the chunks."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from tables import MemoryStage, MemoryTable, OneRank, pair_f1, people

from mpiedge.cleaning.candidates import MOST_SUMMED, sum_counts
from mpiedge.cleaning.duplicates import find_duplicates
from mpiedge.cleaning.room import Room
from mpiedge.cleaning.sift import sift
from mpiedge.cleaning.union import union
from mpiedge.kernels.cosine import UNIT

FIELDS = ("cluster_id", "row_a", "row_b", "probability")


def search(stage, names, rows, chunk, **options):
    found = find_duplicates(stage, MemoryTable(names, rows, chunk), **options)
    reasons = None if found.reasons is None else found.reasons.tobytes()
    return found, (*(getattr(found, field).tobytes() for field in FIELDS), reasons, found.summary)


def test_counts_add_up_beyond_two_bytes(world):
    """Sums that exceed what two bytes hold are exact, whoever counted most."""
    most = MOST_SUMMED // world.size
    mine = np.array([0, world.rank, most, most + 1, MOST_SUMMED, 100_000, 70_000 * world.is_root], np.int32)
    assert sum_counts(world, mine).tolist() == world.sum(mine).tolist()


@pytest.mark.parametrize("documents, round_bytes", [(9000, 3e3), (9000, 1 << 20), (7, 1), (1, 1)])
@pytest.mark.parametrize("with_scores", [True, False])
def test_pairs_are_told_once(world, queue, documents, round_bytes, with_scores):
    """However many rounds it takes, every rank has each pair that some rank has found, from either side, in order."""
    dice, blocks = np.random.default_rng(documents), []
    for first in range(0, documents, 512):
        counts = dice.integers(4, size=min(512, documents - first)).astype(np.int32)
        neighbours = dice.integers(documents, size=counts.sum()).astype(np.int32)
        blocks.append(((first,), {"counts": counts, "neighbours": neighbours}))
    pairs = {}
    for (first,), message in blocks:
        query = np.repeat(np.arange(first, first + len(message["counts"])), message["counts"])
        low, high = np.minimum(query, message["neighbours"]), np.maximum(query, message["neighbours"])
        message["scores"] = (low * 7 + high).astype(np.int32)
        pairs.update(zip(zip(low.tolist(), high.tolist()), message["scores"].tolist()))
    stage = MemoryStage(world)
    stage.queue = queue
    room = Room(stage)
    room.round_bytes = round_bytes
    a, b, score = union(stage, blocks[world.rank::world.size], documents, with_scores, room)
    assert list(zip(a.tolist(), b.tolist())) == sorted(pairs)
    assert score.tolist() == ([pairs[pair] for pair in sorted(pairs)] if with_scores else [])


@pytest.mark.parametrize("documents", [1000, 100, 1])
@pytest.mark.parametrize("near_best", [True, False])
def test_pairs_that_stay(on_two_hosts, monkeypatch, documents, near_best):
    """Those with half the best score of one of their records, tile by tile, whatever part of them a rank looks at."""
    monkeypatch.setattr("mpiedge.cleaning.sift.TILE", 128)
    dice = np.random.default_rng(documents)
    a, b = np.triu_indices(documents, 1)
    some = np.sort(dice.permutation(len(a))[:20_000])
    a, b = a[some].astype(np.int32), b[some].astype(np.int32)
    score = dice.integers(UNIT, size=len(a)).astype(np.int32)
    best = [max(score[(a == one) | (b == one)], default=0) for one in range(documents)]
    kept = [pair for pair in zip(a.tolist(), b.tolist(), score.tolist()) if not near_best or (
        pair[2] > UNIT / 10 and pair[2] >= min(best[pair[0]], best[pair[1]]) // 2)]
    found = sift(on_two_hosts, (a, b, score), documents, near_best, Room(MemoryStage(on_two_hosts)))
    assert list(zip(*(part.tolist() for part in found))) == sorted(kept, key=lambda pair: (
        pair[1] // 128, pair[0] // 128))


def test_hosts_of_several_ranks(on_two_hosts):
    """What ranks of a host hold together is the same on each host."""
    names, rows, _ = people(60, 2)
    together = search(MemoryStage(on_two_hosts), names, rows, 50)[1]
    assert together == search(MemoryStage(OneRank()), names, rows, 999)[1]


@pytest.mark.parametrize("kind", ["people", "linkage", "one column", "equal rows", "three rows", "one row", "no row"])
def test_every_rank_has_the_result_of_one(world, kind):
    """Every rank gets the bytes a single rank computes without MPI, also with more ranks than rows."""
    names, rows, entity = people(60, 2)
    options = {}
    if kind == "linkage":
        names = [*names, "source"]
        rows = [[*row, "ab"[place % 2]] for place, row in enumerate(rows)]
        options["source_column"] = "source"
    elif kind == "one column":
        names, rows = ["text"], [[" ".join(row)] for row in rows]
    elif kind != "people":
        rows = {"equal rows": rows[:1] * 50, "three rows": rows[:3], "one row": rows[:1], "no row": []}[kind]
    found, together = search(MemoryStage(world), names, rows, 50, **options)
    assert together == search(MemoryStage(OneRank()), names, rows, 999, **options)[1]
    if kind in ("people", "one column"):
        assert pair_f1(found.cluster_id.tolist(), entity) > 0.95


def test_large_table_on_ranks(world, monkeypatch):
    """The search of rarest features, an index in several pieces and weights fitted by all ranks together give the bytes
    of one rank and one piece."""
    monkeypatch.setattr("mpiedge.cleaning.candidates.POSTINGS", 0)
    monkeypatch.setattr("mpiedge.cleaning.candidates.BUDGET", 200)
    names, rows, _ = people(120, 1)
    alone = search(MemoryStage(OneRank()), names, rows, 999)[1]
    monkeypatch.setattr("mpiedge.cleaning.candidates.INDEX_BLOCK", 64)
    monkeypatch.setattr("mpiedge.cleaning.candidates.QUERY_BLOCK", 32)
    monkeypatch.setattr("mpiedge.cleaning.scoring.GATHERED", 0)
    assert search(MemoryStage(world, budget_bytes=1), names, rows, 50)[1] == alone
