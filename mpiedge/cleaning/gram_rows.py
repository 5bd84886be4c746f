"""The gram vectors of all documents as sparse rows: made once, by all ranks together, then read in pieces."""

import numpy as np

from mpiedge.cleaning.room import runs
from mpiedge.kernels import cosine

TASKS, LEAST_TASK, MOST_TASK = 64, 1024, 16_384  # the latter two: documents
BYTES = 6  # of a gram and its weight


class GramRows:
    """Rows of (gram number uint32, weight uint16) of the documents 0.., on every rank; large ones in mapped files."""

    def __init__(self, indptr: np.ndarray, grams: np.ndarray, weights: np.ndarray, room):
        self.indptr, self.grams, self.weights, self.room = indptr, grams, weights, room

    def __len__(self) -> int:
        return len(self.indptr) - 1

    def entries(self, start: int, stop: int) -> int:
        """Local: how many grams documents start..stop have in all."""
        return int(self.indptr[stop] - self.indptr[start])

    def block(self, start: int, stop: int):
        """Local: sparse rows (indptr from 0, grams, weights) of documents start..stop; no copy of the grams."""
        indptr = self.indptr[start:stop + 1]
        here = slice(int(indptr[0]), int(indptr[-1]))
        return indptr - indptr[0], self.grams[here], self.weights[here]


def make_rows(stage, texts, values, grams, budget: int, room) -> GramRows:
    """Collective: the rows of the documents `values`, with a budget of their rarest grams only.

    Messages: 6 bytes a gram to every host, in rounds small enough to be held beside everything else.
    """
    documents = len(values)
    step = int(np.clip(documents // TASKS, LEAST_TASK, MOST_TASK))
    own, own_weights, places = room.file(np.uint32), room.file(np.uint16), {}

    def work(task):
        parts = []
        stop = min(task[0] + step, documents)
        for start in range(task[0], stop, 1024):
            parts.append(cosine.vectors(texts, values[start:min(start + 1024, stop)], grams, budget))
            yield
        indptr, row_grams, row_weights = zip(*parts)
        places[task] = own.length
        own.write(np.concatenate(row_grams))
        own_weights.write(np.concatenate(row_weights))
        return {"length": np.concatenate([np.diff(part) for part in indptr]).astype(np.int32)}

    tasks = [(start,) for start in range(0, documents, step)]
    lengths = [message["length"] for _, message in stage.queue.gather(
        stage.queue.run(tasks, work, name="gram vectors"))]
    indptr = np.cumsum(np.concatenate([np.zeros(1, np.int64), *lengths]), dtype=np.int64)
    ends = indptr[np.minimum(np.arange(len(tasks) + 1) * step, documents)].tolist()
    mine = {number: places[task] for number, task in enumerate(tasks) if task in places}
    columns = zip(("gram", "weight"), (own.array(), own_weights.array()))
    return GramRows(indptr, *_gathered(stage, mine, ends, dict(columns), room), room)


def _gathered(stage, mine: dict[int, int], ends: list[int], columns: dict[str, np.ndarray], room) -> list[np.ndarray]:
    """Collective: the columns of all ranks, each as one array that the ranks of a host hold together.

    mine: where the items of which tasks begin in this rank's columns; ends: where those of each task begin and end in
    the arrays. Messages: see `make_rows`; none where all ranks are on one host.
    """
    world, sizes = stage.world, np.diff(ends).tolist()
    if world.size == 1:
        return list(columns.values())
    whole = {key: room.together(world, (ends[-1],), column.dtype) for key, column in columns.items()}
    own = {number: {key: column[place:place + sizes[number]] for key, column in columns.items()}
           for number, place in mine.items()}

    def write(number: int, message: dict) -> None:
        for key, array in whole.items():
            array[ends[number]:ends[number + 1]] = message[key]

    if world.nodes == 1:
        for number, message in own.items():
            write(number, message)
    else:
        for first, last in runs(sizes, room.round_bytes // BYTES):
            parts = [((number,), own[number]) for number in range(first, last) if number in own]
            for (number,), message in stage.queue.gather_hosts(parts):
                write(number, message)
    world.node_barrier()
    return list(whole.values())
