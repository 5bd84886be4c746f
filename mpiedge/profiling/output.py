"""Dependencies as sorted lines of JSON, some thousands at a time: there may be millions."""

import json
from itertools import pairwise

import numpy as np

from mpiedge.kernels import bits
from mpiedge.kernels.lines import lines
from mpiedge.profiling.room import Room
from mpiedge.runtime.shared import leave_to_kernel

LINES_PER_PIECE = 20000
SORTED = 1 << 17
"""Dependencies sorted at once."""

REVERSED = np.packbits(np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)[:, ::-1], axis=1)[:, 0]
"""Bytes with their bits the other way round."""


def sorted_sets(sets: np.ndarray, rhs: np.ndarray | None = None) -> np.ndarray:
    """Local: the order of column sets (uint64 words, column 0 the lowest bit): small sets first, then by their columns
    in table order, then by right-hand side."""
    if rhs is None:
        return bits.order(sets, by_columns=True)
    by_right = np.argsort(rhs, kind="stable")
    return by_right[bits.order(sets[by_right], by_columns=True)]


def in_order(lhs: np.ndarray, rhs: np.ndarray | None, g3: np.ndarray | None, room: Room) -> list:
    """Local: column sets, with or without right-hand sides and errors, in the order of `sorted_sets`; long lists
    are sorted piece by piece, a piece being those whose sizes and first columns lie between two bounds."""
    if len(lhs) <= SORTED:
        order = sorted_sets(lhs, rhs)
        return [None if array is None else array[order] for array in (lhs, rhs, g3)]
    slices = [slice(begin, begin + SORTED) for begin in range(0, len(lhs), SORTED)]
    heads = room.empty(len(lhs), np.uint32)
    for part in slices:
        heads[part] = bits.sizes(lhs[part]).astype(np.uint32) << 16 | _first_columns(lhs[part])
    bounds = room.keep(heads.copy())
    bounds.sort()
    bounds = np.unique(bounds[::SORTED]).tolist()
    result = [None if array is None else room.empty(array.shape, array.dtype) for array in (lhs, rhs, g3)]
    filled = 0
    for low, high in pairwise([*bounds, 1 << 32]):
        chosen = [np.flatnonzero((heads[part] >= low) & (heads[part] < high)) + part.start for part in slices]
        chosen = np.concatenate(chosen)
        chosen = chosen[sorted_sets(lhs[chosen], None if rhs is None else rhs[chosen])]
        for array, ordered in zip((lhs, rhs, g3), result):
            if array is not None:
                ordered[filled : filled + len(chosen)] = array[chosen]
        filled += len(chosen)
    for ordered in result:
        leave_to_kernel(ordered)
    return result


def _first_columns(lhs: np.ndarray) -> np.ndarray:
    """Local: the first 16 columns of each set as a number, smaller for sets whose first columns come earlier."""
    flags = np.ascontiguousarray(lhs[:, 0] & np.uint64(0xFFFF)).astype("<u2").view(np.uint8).reshape(-1, 2)
    reversed_ = REVERSED[flags].astype(np.uint32)
    return 0xFFFF - (reversed_[:, 0] << 8 | reversed_[:, 1])


def _flags(sets: np.ndarray) -> np.ndarray:
    words = np.ascontiguousarray(sets, dtype="<u8")
    return np.unpackbits(words.view(np.uint8), axis=1, bitorder="little")


def columns_of(sets: np.ndarray) -> list[list[int]]:
    """Local: the columns of each set, ascending."""
    rows, columns = np.nonzero(_flags(sets))
    ends = np.cumsum(np.bincount(rows, minlength=len(sets))).tolist()
    columns = columns.tolist()
    return [columns[begin:end] for begin, end in zip([0, *ends], ends)]


def _quoted(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)


def fd_lines(table: str, names: list[str], lhs: np.ndarray, rhs: np.ndarray, g3: np.ndarray | None = None) -> bytes:
    """Local: functional dependencies as lines of fds.jsonl, in the order given; g3: of each, None for 0."""
    quoted = [_quoted(name).encode() for name in names]
    errors, which = ([0.0], None) if g3 is None else np.unique(g3, return_inverse=True)
    return lines(lhs, quoted, f'{{"table": {_quoted(table)}, "lhs": ['.encode(), b", ",
                 [b'], "rhs": %b, "g3": ' % name for name in quoted],
                 [f"{float(error)!r}}}\n".encode() for error in errors], rhs, which)


def ucc_lines(table: str, names: list[str], sets: np.ndarray) -> bytes:
    """Local: unique column combinations as lines of uccs.jsonl, in the order given."""
    return lines(sets, [_quoted(name).encode() for name in names],
                 f'{{"table": {_quoted(table)}, "columns": ['.encode(), b", ", [b"]}\n"], [b""])


def ind_lines(inclusions: list[tuple[list[str], list[str], float]]) -> str:
    """Local: inclusion dependencies between lists of qualified columns ("table.column") as lines of inds.jsonl; the
    number is the share of the distinct values on the left that occur on the right, left out where it is 1."""
    lines = []
    for lhs, rhs, coverage in inclusions:
        left, right = (", ".join(map(_quoted, side)) for side in (lhs, rhs))
        share = "" if coverage == 1 else f', "coverage": {coverage!r}'
        lines.append(f'{{"lhs": [{left}], "rhs": [{right}]{share}}}\n')
    return "".join(lines)


def write_lines(stage, relative: str, items: list[int], text_of, head: str = "") -> None:
    """Collective: writes a file of lines; `text_of(table, slice)` gives the bytes of some of a table's items.

    items: how many each table has. head: what stands above the lines. 20,000 lines are one queue task.
    """
    pieces = [(table, begin) for table, count in enumerate(items) for begin in range(0, count, LINES_PER_PIECE)]
    index = {piece: number for number, piece in enumerate(pieces)}

    def work(task):
        text = text_of(task[0], slice(task[1], min(task[1] + LINES_PER_PIECE, items[task[0]])))
        stage.access.write_piece(relative, index[task], text)

    stage.queue.run(pieces, work, name="write")
    stage.access.join_pieces(relative, len(pieces), head.encode())
