"""Encoded tables that a stage keeps come back the same to every rank, on one host or several, shared or served."""

import argparse
from types import SimpleNamespace

import numpy as np
import pytest
from encoding import encode_arrays
from test_profile import Apart

from mpiedge.kernels import dictionary
from mpiedge.profiling import kept
from mpiedge.profiling.encode import EncodedTable
from mpiedge.profiling.inds import discover_inds
from mpiedge.profiling.statistics import describe_columns
from mpiedge.runtime.mail import Mail
from mpiedge.store.access import Access
from mpiedge.store.ledger import Ledger


def attempt(world, run, apart: bool) -> SimpleNamespace:
    """What `Kept` needs of a stage."""
    access = Access(world, Mail(world), run)
    stage = SimpleNamespace(world=Apart(world) if apart else world, access=access, run=run, name="profile",
                            queue=SimpleNamespace(ledger=None))

    def go_on(inputs):
        stage.queue.ledger = Ledger(world, access, stage.name, argparse.Namespace(seed=0), inputs)

    stage.go_on = go_on
    return stage


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("access", ["shared", "served"])
@pytest.mark.parametrize("rows", [0, 700])
def test_tables_come_back(world, shared_tmp_path, monkeypatch, access, apart, rows):
    """Codes of every row and this rank's distinct values, in many pieces, in memory and in files."""
    monkeypatch.setenv("MPIEDGE_ACCESS", access)
    monkeypatch.setattr(kept, "WORTH_S", -1.0)
    monkeypatch.setattr(kept, "PIECE", 64)
    cells = [np.array([f"{row % few}" if row % 7 else "" for row in range(rows)] + [""], object)[:-1]
             for few in (3, 50, 10**6)]
    blocks = {order: [column[order * 100 : order * 100 + 100] for column in cells] for order in range(7)}
    mine = {order: block for order, block in blocks.items() if order % world.size == world.rank}
    stage = attempt(world, shared_tmp_path, apart)
    made = EncodedTable("t", ["a", "b", "c"], [None] * 3, *encode_arrays(stage.world, mine, 3))
    kept.Kept(stage, []).keep([made])
    source = SimpleNamespace(name="t", columns=made.names, kinds=made.kinds)
    owners = dictionary.part_owners(np.ones(world.size))
    for folder in (None,) if apart else (None, shared_tmp_path / "scratch"):
        later = attempt(world, shared_tmp_path, apart)
        folders = SimpleNamespace(codes_folder=folder, values_folder=folder)
        (table,) = kept.Kept(later, []).recall([source], folders, owners)
        assert (table.name, table.names, table.rows) == ("t", ["a", "b", "c"], rows)
        for column, expected in zip(table.columns, made.columns):
            assert (column.distinct, column.missing) == (expected.distinct, expected.missing)
            assert column.codes.dtype == expected.codes.dtype and np.array_equal(column.codes, expected.codes)
            both = [sorted(zip(one.values.texts.tolist(), one.values.codes.tolist(), one.values.counts.tolist()))
                    for one in (column, expected)]
            assert both[0] == both[1]
        found = [(discover_inds(world, [column.values for column in one.columns]),
                  describe_columns(world, [column.values for column in one.columns], [rows] * 3, [None] * 3))
                 for one in (table, made)]
        assert found[0] == found[1]
