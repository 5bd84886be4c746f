"""Whether rows are equal by chance: in a table of few values, such as a survey, equal rows are different things.

If equal rows came about by chance, there would be many pairs of rows that agree in all but one column as well: of the
pairs that agree in the others, a share as large as that of any two cells of the column agrees in it too. Copies of rows
leave no such pairs behind. Nor do they where columns depend on one another (the prices of a town all change together):
there as many rows would agree in most of what they tell, and not in all, as in all. And where rows differ in nothing
but one measured number more often than in nothing, measurements are repeated, and some give the same number twice.
"""

import re
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
MOST_TOLD = 0.7
"""Rows that agree in so much of what they tell, each column by how seldom two of its cells agree, are nearly equal."""
MOST_ASKED, LEAST_ASKED, COMPARED = 300, 20, 20_000_000
"""Rows with an equal one that are compared with all others: as many as make so many comparisons of rows."""
MULTIPLIER = 0x9E3779B97F4A7C15
NOTHING = re.compile(r"[+-]?0+(?:[.,]0*)?")
FRACTION = re.compile(r"[+-]?[0-9]*\.[0-9]*[1-9][0-9]*(?:[eE][+-]?[0-9]+)?")


def equal_by_chance(stage, table, alike: list[float], cluster: np.ndarray) -> bool:
    """Collective: whether the equal rows of a table are best explained by chance; the same on every rank.

    table: has columns, rows, chunk_rows and read(chunk); alike: per column the share of pairs of rows that agree in it:
    columns of which it is the same (a value and its logarithm) are looked at as one; cluster: int64 (rows,), the first
    row equal to each. Reads the table again, up to three times. Messages: as `first_equal_rows`, for each of up to
    MOST_COLUMNS columns, and hashes of the cells of up to MOST_ASKED rows.
    """
    equal, groups = pairs_of(cluster), {}
    if not equal:
        return False
    for place, share in enumerate(alike):
        groups.setdefault(share, []).append(place)
    if len(groups) == 1 or np.prod(list(groups)) * table.rows * (table.rows - 1) / 2 >= LEAST_SHARE * equal:
        return True  # as many as if the columns had nothing to do with each other
    able = sorted((share for share in groups if LEAST_ALIKE <= share <= MOST_ALIKE), reverse=True)[:MOST_COLUMNS]
    if able and _explained(stage, table, groups, able, equal):
        return True
    return _often_nearly_equal(stage, table, groups, cluster)


def _explained(stage, table, groups: dict[float, list[int]], able: list[float], equal: int) -> bool:
    """Collective: whether pairs that agree in all but one column are as many as chance would leave beside the equal
    ones; able: the shares of the columns looked at."""
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


def _often_nearly_equal(stage, table, groups: dict[float, list[int]], cluster: np.ndarray) -> bool:
    """Collective: whether the rows that have an equal one have as many that are nearly equal, or differ from as many in
    one measured number alone. Messages: the hashes of up to MOST_ASKED rows, to every rank."""
    twice = np.flatnonzero(np.bincount(cluster, minlength=table.rows)[cluster] > 1)
    number = int(np.clip(COMPARED // table.rows, LEAST_ASKED, MOST_ASKED))
    asked = twice[np.unique(np.linspace(0, len(twice) - 1, number).astype(np.int64))]
    starts = np.concatenate([[0], np.cumsum(table.chunk_rows)])
    chunks = [(chunk,) for chunk in range(len(table.chunk_rows))]

    def looked_up(task):
        (chunk,) = task
        here = asked[(asked >= starts[chunk]) & (asked < starts[chunk + 1])] - starts[chunk]
        cells = table.read(chunk) if len(here) else {}
        columns = [cells[column.name][here] for column in table.columns] if len(here) else []
        yield
        return {"hashes": np.array([_hashes(column, place) for place, column in enumerate(columns)],
                                   np.uint64).reshape(len(table.columns), len(here)),
                "fractions": np.array([[bool(FRACTION.fullmatch(cell)) for cell in column.tolist()]
                                       for column in columns], bool).reshape(len(table.columns), len(here))}

    found = [message for _, message in stage.queue.gather(stage.queue.run(chunks, looked_up, name="rows asked"))]
    hashes = np.concatenate([message["hashes"] for message in found], axis=1)
    measured = 2 * np.concatenate([message["fractions"] for message in found], axis=1).sum(axis=1) > len(asked)
    told = np.array([-np.log(max(share, 1 / table.rows**2)) for share in groups])
    told /= told.sum()

    def compared(task):
        cells = table.read(task[0])
        agreeing = np.zeros((len(asked), len(cells[table.columns[0].name])), np.float32)
        differing = np.zeros(agreeing.shape, np.int16)
        numbers = np.zeros(agreeing.shape, np.int16)
        for (share, places), much in zip(groups.items(), told):
            here = np.ones(agreeing.shape, bool)
            for place in places:
                here &= hashes[place][:, None] == _hashes(cells[table.columns[place].name], place)[None]
                yield
            agreeing += np.float32(much) * here
            differing += ~here
            numbers += ~here & bool(share > 0 and measured[places].all())
        nearly = (differing > 0) & (agreeing >= MOST_TOLD)
        return {"counts": np.array([np.count_nonzero(nearly), np.count_nonzero((differing == 1) & (numbers == 1))])}

    done = stage.queue.gather(stage.queue.run(chunks, compared, name="rows nearly equal"))
    counts = sum((message["counts"] for _, message in done), np.zeros(2, np.int64))
    sizes = np.bincount(cluster, minlength=table.rows)[cluster[asked]]
    return bool(counts.max() >= (sizes - 1).sum())


def say_nothing(cells: list[np.ndarray]) -> np.ndarray:
    """Local: which rows (bool) hold nothing but blanks and zeros: they are of no thing that could be another's."""
    nothing = np.ones(len(cells[0]) if cells else 0, bool)
    for column in cells:
        of_value = {cell: not cell.strip() or bool(NOTHING.fullmatch(cell)) for cell in set(column.tolist())}
        nothing &= np.fromiter(map(of_value.__getitem__, column.tolist()), bool, len(column))
    return nothing


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
