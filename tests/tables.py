"""Small tables in memory and a stage to search them for duplicates, the same for one rank and for many."""

import contextlib
import csv
from collections import Counter
from types import GeneratorType

import numpy as np

from mpiedge.runtime.mail import Mail
from mpiedge.runtime.queue import Queue
from mpiedge.store.tables import Column


class MemoryTable:
    """Rows of text cells, given as lists, read in chunks like a table of the store."""

    def __init__(self, names, rows, chunk=512):
        self.name, self.columns, self.rows = "t", [Column(name) for name in names], len(rows)
        self.chunk_rows = [min(chunk, len(rows) - start) for start in range(0, len(rows), chunk)]
        self._rows, self._chunk = rows, chunk

    def read(self, chunk, columns=None):
        """Local: object arrays of str of one chunk."""
        rows = self._rows[chunk * self._chunk:(chunk + 1) * self._chunk]
        names = [column.name for column in self.columns]
        cells = {}
        for name in names if columns is None else columns:
            cells[name] = np.empty(len(rows), object)
            cells[name][:] = [row[names.index(name)] for row in rows]
        return cells


class OneRank:
    """A job of one rank without MPI; also its queue: tasks in the given order."""

    size, rank, ledger, speeds = 1, 0, None, np.ones(1)
    nodes, node_size, node_rank, node_ranks = 1, 1, 0, (0,)

    def sum(self, array):
        return array

    min = sum

    def node_barrier(self):
        pass

    def allgather(self, message):
        return [message]

    def alltoall(self, messages):
        return messages

    def run(self, tasks, work, **_):
        return [(task, self._result(work(task))) for task in tasks]

    def own(self, tasks, cost):
        return tasks

    def gather(self, results):
        return sorted(results, key=lambda pair: pair[0])

    gather_hosts = gather

    def _result(self, result):
        if isinstance(result, GeneratorType):
            try:
                while True:
                    next(result)
            except StopIteration as end:
                return end.value
        return result


class MemoryStage:
    """What the search asks of a stage: ranks, queue, memory, seed and (silent) phases."""

    def __init__(self, world, budget_bytes=300 << 20, seed=0):
        self.world, self.budget_bytes, self.seed = world, budget_bytes, seed
        self.queue = world if isinstance(world, OneRank) else Queue(world, Mail(world))

    @contextlib.contextmanager
    def phase(self, name, kind="compute"):
        yield


def read_csv(path, without=()):
    """(names, rows) of a CSV, without some columns."""
    with open(path, newline="", encoding="utf-8") as file:
        names, *rows = csv.reader(file)
    kept = [place for place, name in enumerate(names) if name not in without]
    return [names[place] for place in kept], [[row[place] for place in kept] for row in rows]


def pair_f1(cluster, entity) -> float:
    """F1 over all pairs of rows in one cluster against all pairs of one entity."""
    def pairs(keys):
        return sum(count * (count - 1) // 2 for count in Counter(keys).values())

    cluster, entity = list(cluster), list(entity)
    return 2 * pairs(zip(cluster, entity)) / max(pairs(cluster) + pairs(entity), 1)


def people(entities: int, copies: int, seed: int = 0):
    """(names, rows, entity of each row): made-up people, each `copies` times more with one damaged cell."""
    draw = np.random.default_rng(seed)
    syllables = ["ba", "den", "ka", "lor", "mi", "nus", "ro", "sta", "tel", "vin"]

    def word(count):
        return "".join(draw.choice(syllables) for _ in range(count)).capitalize()

    rows, entity = [], []
    for number in range(entities):
        row = [word(2), word(3), f"{draw.integers(1, 200)} {word(3)} street", word(2),
               f"19{draw.integers(10, 99)}-{draw.integers(1, 12):02d}-{draw.integers(1, 28):02d}"]
        for copy in range(copies + 1):
            damaged = list(row)
            if copy:
                cell = int(draw.integers(0, 5))
                place = int(draw.integers(0, len(row[cell]) - 1))
                damaged[cell] = row[cell][:place] + row[cell][place + 1] + row[cell][place] + row[cell][place + 2:]
            rows.append(damaged)
            entity.append(number)
    order = draw.permutation(len(rows))
    return (["given", "family", "address", "town", "born"], [rows[place] for place in order],
            [entity[place] for place in order])
