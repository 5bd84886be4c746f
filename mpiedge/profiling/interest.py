"""Which dependencies a person wants to see first: few columns, no key on the left, much repeated on the right.

A dependency that tells many cells matters, one whose left-hand side is nearly a key tells none (ranking by redundancy:
Wei & Link, ICDE 2019). With rows n and groups of equal left-hand sides g, `redundant` = n - g cells of the right-hand
side are told by other rows. The score is their share, times the share of rows in which nothing on the left is missing,
times how unlike the cells on the right are (one less the share of the most frequent), times 1 - g3, divided by the
columns on the left.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from mpiedge.kernels import bits
from mpiedge.profiling.evidence import share
from mpiedge.profiling.nodes import KEPT_BYTES, Nodes

WIDEST = 3
MOST_SETS = 200
"""Without an order to rank all: left-hand sides that are looked at, the smallest first, up to three columns."""

SAMPLE_ROWS = 4096
"""Rows, evenly spread, in which the best of them are found; the figures of these come from all rows."""

LEAST_REDUNDANCY = 0.1
"""Share of redundant rows from which on a dependency is shown on the screen."""

TASK_SETS, TASK_NS = 256, 4e6
"""Left-hand sides of a task at most; about its work."""

PART_ROWS = 1 << 20
"""Rows whose left-hand sides are grouped at once, about."""

SLICE = 1 << 18
ROW_NS = 20.0


@dataclass(frozen=True)
class Ranked:
    """The best dependencies of a table, best first; arrays of one length.

    index: place among the dependencies given; score; redundant: rows whose right-hand side another row tells; covered:
    rows in which no column on the left is missing.
    """

    index: np.ndarray
    score: np.ndarray
    redundant: np.ndarray
    covered: np.ndarray


def rank(lhs: np.ndarray, rhs: np.ndarray, g3: np.ndarray | None, codes: list[np.ndarray], missing: list[int | None],
         many: int, everything: bool, world=None, queue=None) -> Ranked:
    """Collective: the `many` best dependencies (0: all); lhs, rhs in the order of `output.sorted_sets`.

    codes, missing: of each column, with the code of its missing cells; the same on every rank. everything: weigh all of
    them on all rows, shared on the queue; otherwise the best of the smallest left-hand sides in a sample are weighed.
    """
    rows = len(codes[0]) if codes else 0
    if rows < 2 or not len(rhs):
        return nothing()
    chosen = np.arange(len(rhs)) if everything else _promising(lhs, rhs, codes, many, world, queue)
    used = np.flatnonzero(bits.unpack(np.bitwise_or.reduce(lhs[chosen], axis=0)[None], len(codes))[0]).tolist()
    nodes = Nodes(codes, sorted({*used, *rhs[chosen].tolist()}), world)
    groups, covered = _weigh(lhs[chosen], nodes, missing, world, queue)
    sizes = bits.sizes(lhs[chosen])
    score = (1 - groups / rows) * (covered / rows) * variety(nodes)[rhs[chosen]] / np.maximum(sizes, 1)
    score[sizes == 0] = 0.0  # a constant: known without any other column
    if g3 is not None:
        score *= 1 - g3[chosen]
    best = np.lexsort((chosen, -score))[: many or None]
    return Ranked(chosen[best], score[best], rows - groups[best], covered[best])


def estimate_bytes(rows: int, distinct: list[float]) -> float:
    """Local: what ranking takes: the counts of a column, and a part of the rows with all its columns and partitions."""
    part = min(rows, 2 * PART_ROWS)
    return 4.0 * max(distinct, default=0.0) + part * (5.0 * len(distinct) + 48) + min(
        KEPT_BYTES, 6.0 * rows * len(distinct))


def variety(nodes: Nodes) -> np.ndarray:
    """Local: one less the share of the most frequent value, by column."""
    return 1 - np.array(nodes.largest) / nodes.rows


def _promising(lhs, rhs, codes, many: int, world, queue) -> np.ndarray:
    """Collective: the dependencies that look best in a sample of the rows, among the first of up to three columns."""
    sizes = bits.sizes(lhs[: 20 * MOST_SETS + len(codes)])  # small sets come first, of no column once per column
    head = np.flatnonzero((sizes > 0) & (sizes <= WIDEST))[: 20 * MOST_SETS]
    if not len(head):
        return head
    _, first, of = np.unique(lhs[head], axis=0, return_index=True, return_inverse=True)
    head = head[np.isin(of.ravel(), np.argsort(first, kind="stable")[:MOST_SETS])]
    nodes = Nodes([column[:: -(-len(column) // SAMPLE_ROWS)] for column in codes])
    groups, _ = _weigh(lhs[head], nodes, [None] * len(codes), world, queue)
    score = (1 - groups / nodes.rows) * variety(nodes)[rhs[head]] / sizes[head]
    best = np.lexsort((head, -score))[: 2 * many]
    return np.sort(head[best[score[best] > 0]])


def nothing() -> Ranked:
    """Local: a ranking of no dependencies."""
    return Ranked(*[np.empty(0, kind) for kind in (np.int64, np.float64, np.int64, np.int64)])


def _weigh(lhs, nodes: Nodes, missing, world=None, queue=None) -> tuple[np.ndarray, np.ndarray]:
    """Collective: groups of equal left-hand sides, and rows without a missing cell there, of every dependency.

    In long tables rows are cut by the value of the most selective column of a left-hand side: groups lie in one part
    each, and both figures are sums over the parts.
    """
    sets, of = np.unique(lhs, axis=0, return_inverse=True)
    order = nodes.in_order(sets)
    sets = sets[order]
    members = list(bits.members(sets, nodes.columns))
    parts = 1 << (-(-nodes.rows // PART_ROWS) - 1).bit_length()
    most = max(1, min(TASK_SETS, int(TASK_NS * parts / (nodes.rows * ROW_NS))))

    def work(task):
        begin, end, part = task
        used = sorted({column for columns in members[begin:end] for column in columns})
        chosen, rows = slice(None), nodes
        if parts > 1 and used:
            chosen = _rows_of_part(nodes.codes[nodes.most_selective(members[begin])], part, parts)
            rows = nodes.part(chosen, used)
        filled = {column: nodes.codes[column][chosen] != missing[column]
                  for column in used if missing[column] is not None}
        groups, covered = np.empty(end - begin, np.int64), np.full(end - begin, rows.rows)
        for index, (columns, node) in enumerate(zip(members[begin:end], rows.walk(sets[begin:end]))):
            groups[index] = rows.rows - len(node.rows) + len(node.starts) - 1
            there = [filled[column] for column in columns if column in filled]
            if there:
                covered[index] = np.count_nonzero(np.logical_and.reduce(there))
            yield None
        return {"groups": groups, "covered": covered}

    tasks = [(begin, end, part) for begin, end in _cuts(members, nodes if parts > 1 else None, most)
             for part in range(parts if members[begin] else 1)]
    results, shared = share(world, queue, tasks, work,
                            lambda task: (task[1] - task[0]) * nodes.rows / parts * ROW_NS, name="rank")
    figures = {"groups": np.zeros(len(sets), np.int64), "covered": np.zeros(len(sets), np.int64)}
    for (begin, end, _), message in queue.gather(results) if shared else results:
        for name, figure in figures.items():
            figure[begin:end] += message[name]
    place = np.argsort(order)[of.ravel()]
    return figures["groups"][place], figures["covered"][place]


def _cuts(members: list[tuple[int, ...]], nodes: Nodes | None, most: int) -> list[tuple[int, int]]:
    """Local: ranges of at most so many sets in their order; with `nodes`, of one most selective column each."""
    heads = [nodes.most_selective(columns) if nodes and columns else bool(columns) - 1 for columns in members]
    edges = [0]
    for index in range(1, len(members)):
        if heads[index] != heads[index - 1] or index - edges[-1] == most:
            edges.append(index)
    return list(pairwise([*edges, len(members)])) if members else []


def _rows_of_part(codes: np.ndarray, part: int, parts: int) -> np.ndarray:
    """Local: the rows whose code ends in the bits of `part`."""
    mask = min(parts - 1, np.iinfo(codes.dtype).max)
    if part > mask:
        return np.zeros(0, np.int64)
    return np.concatenate([begin + np.flatnonzero((codes[begin : begin + SLICE] & mask) == part)
                           for begin in range(0, len(codes), SLICE)])
