"""The gram vectors of all documents as sparse rows: made once, by all ranks together, then read in pieces."""

import numpy as np

from mpiedge.cleaning.together import put_together
from mpiedge.kernels import cosine

TASKS, LEAST_TASK, MOST_TASK = 64, 1024, 16_384  # the latter two: documents


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

    Messages: 6 bytes a gram to every host.
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
    return GramRows(indptr, *put_together(stage, mine, ends, dict(columns), room), room)
