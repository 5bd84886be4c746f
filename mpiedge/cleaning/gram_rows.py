"""The gram vectors of all documents as sparse rows: made once, by all ranks together, then read in pieces."""

import numpy as np

from mpiedge.kernels import cosine

LEAST_ROUND, MOST_ROUND, TASKS_PER_ROUND = 1024, 262_144, 16  # documents
SAMPLE = 256


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

    Messages: 6 bytes a gram to every rank, in rounds small enough to be held beside everything else.
    """
    documents = len(values)
    sample = np.linspace(0, documents - 1, min(documents, SAMPLE)).astype(np.int64)
    typical = len(cosine.vectors(texts, values[sample], grams, budget)[1]) / max(len(sample), 1)
    step = int(np.clip(room.round_bytes / (6 * max(typical, 1)), LEAST_ROUND, MOST_ROUND)) // TASKS_PER_ROUND
    found, weights = room.file(np.uint32), room.file(np.uint16)
    lengths = [np.zeros(1, np.int64)]

    def work(task):
        parts = []
        stop = min(task[0] + step, documents)
        for start in range(task[0], stop, 1024):
            parts.append(cosine.vectors(texts, values[start:min(start + 1024, stop)], grams, budget))
            yield
        indptr, row_grams, row_weights = zip(*parts)
        return {"length": np.concatenate([np.diff(part) for part in indptr]).astype(np.int32),
                "gram": np.concatenate(row_grams), "weight": np.concatenate(row_weights)}

    for first in range(0, documents, step * TASKS_PER_ROUND):
        tasks = [(start,) for start in range(first, min(first + step * TASKS_PER_ROUND, documents), step)]
        for _, message in stage.queue.gather(stage.queue.run(tasks, work, name="gram vectors")):
            lengths.append(message["length"])
            found.write(message["gram"])
            weights.write(message["weight"])
    return GramRows(np.cumsum(np.concatenate(lengths), dtype=np.int64), found.array(), weights.array(),
                    room)
