"""What one row says for its cluster: each column's most frequent value, among equals the most complete."""

from collections import Counter

import numpy as np

from mpiedge.cleaning.summaries import mix

SEPARATOR = "\x00"  # no cell holds it
ODD = "surrogatepass"


def survive(values: list[str]) -> tuple[str, float]:
    """Local: the value of a column for a cluster, and the share of the filled cells that hold it.

    values: the cells of the members in row order, "" = missing. The most frequent filled value wins; of equally
    frequent ones the longest (an abbreviation loses to what it stands for), then the one that comes first.
    """
    filled = [value for value in values if value]
    if not filled:
        return "", 1.0
    counts = Counter(filled)  # keeps the order of first occurrence, and max the first of equals
    value = max(counts, key=lambda one: (counts[one], len(one)))
    return value, counts[value] / len(filled)


class Merged:
    """What surviving rows take over from others: little beside a table, but too much for objects of Python.

    row: int64 ascending; length: bytes of each row's line in text (uint8): names, values and confidences by turns.
    """

    def __init__(self, row=(), length=(), text=()):
        order = np.argsort(np.array(row, np.int64), kind="stable")
        length = np.array(length, np.int64)
        self._row = np.array(row, np.int64)[order]
        self._stop = np.cumsum(length)[order]
        self._start = self._stop - length[order]
        self._text = np.array(text, np.uint8)

    def __len__(self) -> int:
        return len(self._row)

    def between(self, first: int, stop: int) -> dict[int, dict[str, tuple[str, float]]]:
        """Local: the cells that change in rows [first, stop): row -> column -> (value, confidence)."""
        return {int(self._row[place]): self._cells(place)
                for place in range(*np.searchsorted(self._row, (first, stop)).tolist())}

    def _cells(self, place: int) -> dict[str, tuple[str, float]]:
        line = str(self._text[self._start[place]:self._stop[place]].tobytes(), "utf-8", ODD).split(SEPARATOR)
        return {name: (value, float(share)) for name, value, share in zip(line[::3], line[1::3], line[2::3])}


def merge_clusters(stage, table, cluster: np.ndarray, kept: list[str]) -> Merged:
    """Collective: what the first row of each cluster takes over from the others.

    cluster: int64 (rows,), the first row of each row's cluster. kept: columns that stay as they are in the first row
    (keys, sources). Returns the cells that change, the same on every rank. Messages: each row of a cluster of two and
    more to the rank its cluster falls to, then the cells that change to every rank.
    """
    shared = np.bincount(cluster, minlength=table.rows)[cluster] > 1
    first = np.concatenate([[0], np.cumsum(table.chunk_rows)])
    names = [column.name for column in table.columns if column.name not in kept]

    def work(task):
        rows = np.flatnonzero(shared[first[task[0]]:first[task[0] + 1]])
        if not len(rows) or not names:
            return None
        cells = table.read(task[0], names)
        lines = [SEPARATOR.join(row).encode("utf-8", ODD) for row in zip(*(cells[name][rows] for name in names))]
        return rows + first[task[0]], lines

    tasks = [(chunk,) for chunk in range(len(table.chunk_rows))]
    rows, before = [np.zeros(0, np.int64)], []
    for _, found in stage.queue.run(tasks, work, name="survivors"):
        if found is not None:
            rows.append(found[0])
            before += found[1]
    mine, lines = [], []
    for row, members in _deal(stage, np.concatenate(rows), before, cluster):
        members = [str(line, "utf-8", ODD).split(SEPARATOR) for line in members]
        won = {name: survive(list(values)) for name, values in zip(names, zip(*members))}
        new = [part for name, old in zip(names, members[0]) if won[name][0] != old
               for part in (name, won[name][0], repr(won[name][1]))]
        if new:
            mine.append(row)
            lines.append(SEPARATOR.join(new).encode("utf-8", ODD))
    told = stage.world.allgather({"row": np.array(mine, np.int64), "text": np.frombuffer(b"".join(lines), np.uint8),
                                  "length": np.array([len(line) for line in lines], np.int64)})
    return Merged(*(np.concatenate([message[key] for message in told]) for key in ("row", "length", "text")))


def _deal(stage, rows: np.ndarray, lines: list[bytes], cluster: np.ndarray):
    """Collective: yields (first row, lines of all members in row order) of the clusters that fall to this rank; to a
    faster one fall more of them."""
    world = stage.world
    ends = np.cumsum(stage.queue.speeds)
    owner = np.searchsorted(ends[:-1], mix(cluster[rows].astype(np.uint64)) / 2.0**64 * ends[-1], side="right")
    length = np.array([len(line) for line in lines], np.int64)
    sent = [{"row": rows[owner == rank], "length": length[owner == rank],
             "text": np.frombuffer(b"".join(lines[place] for place in np.flatnonzero(owner == rank)), np.uint8)}
            for rank in range(world.size)]
    lines.clear()
    received = world.alltoall(sent)
    row = np.concatenate([message["row"] for message in received])
    length = np.concatenate([message["length"] for message in received])
    text = np.concatenate([message["text"] for message in received])
    del sent, received
    start = np.cumsum(length) - length
    order = np.lexsort((row, cluster[row]))
    bounds = np.flatnonzero(np.diff(cluster[row[order]], prepend=-1, append=-1))
    for low, high in zip(bounds[:-1].tolist(), bounds[1:].tolist()):
        yield int(row[order[low]]), [text[start[place]:start[place] + length[place]].tobytes()
                                     for place in order[low:high].tolist()]
