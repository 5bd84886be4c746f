"""Whether rows are equal by chance: in a table of few values, such as a survey, equal rows are different things.

If equal rows came about by chance, there would be many pairs of rows that agree in all but one column as well: of the
pairs that agree in the others, a share as large as that of any two cells of the column agrees in it too. Copies of rows
leave no such pairs behind.
"""

from hashlib import blake2b

import numpy as np

from mpiedge.cleaning.exact import first_equal_rows

LEAST_SHARE = 0.1
"""Of the equal pairs: when chance explains so many, it is held to explain all."""
LEAST_ALIKE, MOST_ALIKE = 0.005, 0.8
"""Share of equal pairs of cells in a column that can tell: in others there is too little chance, or too much."""
MUCH_ALIKE, MUCH_SHARE = 0.6, 0.5
"""From this share on a few changed copies would look like chance: it has to explain more of the equal pairs."""
MOST_COLUMNS = 12
"""Columns looked at, those with most chance first."""
MULTIPLIER = 0x9E3779B97F4A7C15


def equal_by_chance(stage, table, alike: list[float], cluster: np.ndarray) -> bool:
    """Collective: whether the equal rows of a table are best explained by chance; the same on every rank.

    table: has columns, rows, chunk_rows and read(chunk); alike: per column the share of pairs of rows that agree in it:
    columns of which it is the same (a value and its logarithm) are looked at as one; cluster: int64 (rows,), the first
    row equal to each. Reads the table again. Messages: as `first_equal_rows`, for each of up to MOST_COLUMNS columns.
    """
    equal, groups = pairs_of(cluster), {}
    if not equal:
        return False
    for place, share in enumerate(alike):
        groups.setdefault(share, []).append(place)
    if len(groups) == 1 or np.prod(list(groups)) * table.rows * (table.rows - 1) / 2 >= LEAST_SHARE * equal:
        return True  # as many as if the columns had nothing to do with each other
    able = sorted((share for share in groups if LEAST_ALIKE <= share <= MOST_ALIKE), reverse=True)[:MOST_COLUMNS]
    if not able:
        return False

    def work(task):
        cells = table.read(task[0])
        every = np.stack([_hashes(cells[column.name], place) for place, column in enumerate(table.columns)])
        yield
        whole = every.sum(axis=0, dtype=np.uint64)
        return np.stack([whole - every[groups[share]].sum(axis=0, dtype=np.uint64) for share in able])

    starts = np.concatenate([[0], np.cumsum(table.chunk_rows)])
    done = stage.queue.run([(chunk,) for chunk in range(len(table.chunk_rows))], work, name="rows all but equal")
    for number, share in enumerate(able):
        digests = [(int(starts[task[0]]), _digests(hashes[number])) for task, hashes in done]
        nearly = pairs_of(first_equal_rows(stage.world, digests, table.rows)) - equal
        if nearly * share / (1 - share) >= (LEAST_SHARE if share <= MUCH_ALIKE else MUCH_SHARE) * equal:
            return True
    return False


def pairs_of(cluster: np.ndarray) -> int:
    """Local: how many pairs of rows are in the same cluster."""
    sizes = np.bincount(cluster, minlength=1)
    return int((sizes * (sizes - 1) // 2).sum())


def _hashes(cells: np.ndarray, place: int) -> np.ndarray:
    """A 64-bit hash of each cell and its column."""
    of_value = {cell: int.from_bytes(blake2b(cell.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")
                for cell in set(cells.tolist())}
    hashes = np.fromiter(map(of_value.__getitem__, cells.tolist()), np.uint64, len(cells))
    hashes = hashes * np.uint64((MULTIPLIER * (2 * place + 1)) % (1 << 64))
    return hashes ^ (hashes >> np.uint64(29))


def _digests(hashes: np.ndarray) -> np.ndarray:
    """As 16 bytes each, of which the first names the rank."""
    return np.stack([hashes, np.zeros_like(hashes)], axis=1).view(np.uint8).reshape(-1, 16)
