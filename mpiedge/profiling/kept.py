"""Encoded tables that an unfinished profile keeps in the run folder, so that its next attempt need not read them again.

Kept as results in the ledger, which vouches by checksums that they are as they were written, and by its digest that
inputs and flags agree (store/ledger.py):

    ATTEMPT codes T C    piece -> the codes of some rows of column C of table T
    ATTEMPT values T C   piece -> some distinct values of the column: text, lengths, codes, counts
    tables               written last: the attempt, and per column what `EncodedColumn` says and how many pieces it has

An attempt goes by the pieces of the one that wrote `tables` last: others may have cut the values in another way. Tables
that were read quickly are not kept: reading them again takes no longer; nor are those with columns that were sketched.
"""

import shutil
import time

import numpy as np

from mpiedge.kernels import dictionary
from mpiedge.profiling.encode import EncodedColumn, EncodedTable, Values, shared_arrays
from mpiedge.profiling.texts import Texts
from mpiedge.runtime.root import on_root
from mpiedge.runtime.shared import leave_to_kernel, stored
from mpiedge.store.ledger import left_by

WORTH_S = 5.0
"""Tables are kept that took longer to read and encode."""

PIECE = 1 << 18
"""Codes, or a quarter as many values, of a piece."""

TOGETHER = 8
"""Pieces that are read at once."""

TABLES = "tables"


class Damaged(Exception):
    """Something of what was kept is not as it was written; known on every rank."""


class Kept:
    """The encoded tables of one stage, from an earlier attempt or for a later one."""

    def __init__(self, stage, inputs: list[str]):
        """Collective: goes on from an earlier attempt where there is one. inputs: paths of what the tables come from.
        """
        self._stage, self._inputs, self._began_s = stage, inputs, time.perf_counter()
        self._recalled = False
        if on_root(stage.world, lambda: left_by(stage.run, stage.name)):
            stage.go_on(inputs)

    def recall(self, sources: list, plan, owners: np.ndarray) -> list[EncodedTable] | None:
        """Collective: the tables as an earlier attempt encoded them, None where they have to be read.

        plan: of plan.py; owners: as of `encode.merge`. Messages: every piece, from the rank that reads it to all.
        """
        stage = self._stage
        if stage.queue.ledger is None or not stage.queue.ledger.resumed:
            return None
        try:
            about = next(self._results(TABLES, 1))[1]
            tables = [self._table(f"{about['attempt']} %s {number}", source, one, plan, owners)
                      for number, (source, one) in enumerate(zip(sources, about["tables"], strict=True))]
        except Damaged:
            return None
        self._recalled = True
        return tables

    def keep(self, tables: list[EncodedTable]) -> None:
        """Collective: writes the tables where that is worth it and the run folder has room to spare.

        Messages: where ranks do not see the run folder, their values to rank 0.
        """
        stage, world = self._stage, self._stage.world
        texts = sum(len(column.values.texts.data) + 16 * len(column.values.codes)
                    for table in tables for column in table.columns if column.values)
        size = int(world.sum(np.array([texts]))[0]) + sum(codes.nbytes for table in tables for codes in table.codes)
        took_s = float(world.max(np.array([time.perf_counter() - self._began_s]))[0])
        sketched = any(column.sketch for table in tables for column in table.columns)
        if self._recalled or sketched or took_s < WORTH_S or not on_root(
                world, lambda: shutil.disk_usage(stage.run).free > 2 * size):
            return
        if stage.queue.ledger is None:
            stage.go_on(self._inputs)
        attempt = stage.queue.ledger.attempt
        about = [{"rows": table.rows, "columns": [self._keep(f"{attempt} %s {number} {index}", column)
                                                  for index, column in enumerate(table.columns)]}
                 for number, table in enumerate(tables)]
        world.barrier()
        if world.is_root:
            self._note(TABLES, 0, {"attempt": attempt, "tables": about})

    def _keep(self, name: str, column: EncodedColumn) -> dict:
        """Collective: writes one column; what is to be known of it."""
        world, shared = self._stage.world, self._stage.access.mode == "shared"
        starts = range(0, len(column.codes), PIECE)
        for piece, start in enumerate(starts):
            if world.rank == (piece % world.size if shared else 0):
                self._note(name % "codes", piece, {"codes": column.codes[start : start + PIECE]})
        values = 0
        if column.values is not None:
            slices = list(column.values.texts.parts(PIECE // 4))
            counts = [message["slices"] for message in world.allgather({"slices": len(slices)})]
            values, first = sum(counts), sum(counts[: world.rank])
            for round_ in range(max(counts)):
                message = _values_message(column.values, *slices[round_]) if round_ < len(slices) else None
                if shared:
                    if message is not None:
                        self._note(name % "values", first + round_, message)
                    continue
                for rank, received in enumerate(world.gather(message) or []):
                    if received is not None:
                        self._note(name % "values", sum(counts[:rank]) + round_, received)
        return {"distinct": column.distinct, "missing": column.missing, "kind": column.codes.dtype.str,
                "codes": len(starts), "values": values, "valued": column.values is not None}

    def _note(self, call: str, piece: int, message: dict) -> None:
        """Local: a piece goes into the ledger, under a name for every few of them, which are read together."""
        self._stage.queue.ledger.note(f"{call} {piece // TOGETHER}", (piece,), message)

    def _results(self, call: str, count: int):
        """Collective: yields (piece, result) of all pieces in order, a few at a time; raises Damaged without one."""
        world, ledger = self._stage.world, self._stage.queue.ledger
        for first in range(0, count, TOGETHER):
            pieces = [(piece,) for piece in range(first, min(first + TOGETHER, count))]
            found, mine = ledger.recall(f"{call} {first // TOGETHER}", pieces)
            if len(found) < len(pieces):
                raise Damaged
            every = world.allgather([[piece, result] for (piece,), result in mine])
            yield from sorted((one for part in every for one in part), key=lambda one: one[0])

    def _table(self, name: str, source, about: dict, plan, owners: np.ndarray) -> EncodedTable:
        """Collective: one table; every host gets the codes of all rows, every rank the values it owns."""
        world, columns, codes_folder = self._stage.world, [], plan.codes_folder
        arrays = shared_arrays(world, [(about["rows"], np.dtype(one["kind"])) for one in about["columns"]],
                               codes_folder)
        for index, (one, codes) in enumerate(zip(about["columns"], arrays)):
            start = 0
            for piece, result in self._results(f"{name % 'codes'} {index}", one["codes"]):
                part = result["codes"]
                if piece % world.node_size == world.node_rank:
                    codes[start : start + len(part)] = part
                start += len(part)
            values = None
            if one["valued"]:
                own = [_own_values(world, owners, result)
                       for _, result in self._results(f"{name % 'values'} {index}", one["values"])]
                values = _joined(own, plan.values_folder)
            columns.append(EncodedColumn(codes, one["distinct"], one["missing"], values))
            if codes_folder is not None:
                leave_to_kernel(codes)
        world.node_barrier()
        return EncodedTable(source.name, source.columns, source.kinds, about["rows"], columns,
                            codes_folder is not None)


def _values_message(values: Values, begin: int, end: int, texts: Texts) -> dict:
    """Local: the distinct values [begin, end) of a rank's share, which are `texts`."""
    return {**texts.to_message(), "codes": values.codes[begin:end], "counts": values.counts[begin:end]}


def _own_values(world, owners: np.ndarray, message: dict) -> Values:
    """Local: those of some values whose hash this rank owns, as `encode.merge` leaves them."""
    texts = Texts.from_message(message)
    mine = np.flatnonzero(dictionary.owners_of(dictionary.hashes(texts.data, texts.length), owners) == world.rank)
    return Values(texts.take(mine), message["codes"][mine], message["counts"][mine])


def _joined(parts: list[Values], folder) -> Values:
    """Local: the shares of all pieces as one."""
    texts = Texts.joined([part.texts for part in parts])
    codes = np.concatenate([np.empty(0, np.uint32), *(part.codes for part in parts)])
    counts = np.concatenate([np.empty(0, np.int64), *(part.counts for part in parts)])
    return Values(Texts(stored(texts.data, folder), stored(texts.length, folder)), stored(codes, folder),
                  stored(counts, folder))
