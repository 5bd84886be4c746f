"""Dependencies as sorted lines of JSON, built fast enough for hundreds of thousands of them."""

import json

import numpy as np

LINES_PER_PIECE = 20000


def sorted_sets(bits: np.ndarray, rhs: np.ndarray | None = None) -> np.ndarray:
    """Local: the order of column sets (uint64 words, column 0 the lowest bit): small sets first, then by their columns
    in table order, then by right-hand side."""
    flags = _flags(bits)
    size = flags.sum(axis=1)
    first_column_highest = np.packbits(flags, axis=1, bitorder="big").view(">u8")
    keys = [] if rhs is None else [rhs]
    keys += [~first_column_highest[:, word] for word in reversed(range(first_column_highest.shape[1]))]
    return np.lexsort([*keys, size])


def _flags(bits: np.ndarray) -> np.ndarray:
    words = np.ascontiguousarray(bits, dtype="<u8")
    return np.unpackbits(words.view(np.uint8), axis=1, bitorder="little")


def columns_of(bits: np.ndarray) -> list[list[int]]:
    """Local: the columns of each set, ascending."""
    rows, columns = np.nonzero(_flags(bits))
    ends = np.cumsum(np.bincount(rows, minlength=len(bits))).tolist()
    columns = columns.tolist()
    return [columns[begin:end] for begin, end in zip([0, *ends], ends)]


def _quoted(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)


def fd_lines(table: str, names: list[str], lhs: np.ndarray, rhs: np.ndarray, g3: np.ndarray | None = None) -> str:
    """Local: functional dependencies as lines of fds.jsonl, in the order given; g3: of each, None for 0."""
    quoted = [_quoted(name) for name in names]
    head = f'{{"table": {_quoted(table)}, "lhs": ['
    tails = [f'], "rhs": {name}, "g3": ' for name in quoted]
    errors = ["0.0}\n"] * len(rhs) if g3 is None else [f"{value!r}}}\n" for value in g3.tolist()]
    return "".join([head + ", ".join([quoted[column] for column in columns]) + tails[right] + error
                    for columns, right, error in zip(columns_of(lhs), rhs.tolist(), errors)])


def ucc_lines(table: str, names: list[str], sets: np.ndarray) -> str:
    """Local: unique column combinations as lines of uccs.jsonl, in the order given."""
    quoted = [_quoted(name) for name in names]
    head = f'{{"table": {_quoted(table)}, "columns": ['
    return "".join([head + ", ".join([quoted[column] for column in columns]) + "]}\n" for columns in columns_of(sets)])


def ind_lines(inclusions: list[tuple[list[str], list[str], float]]) -> str:
    """Local: inclusion dependencies between lists of qualified columns ("table.column") as lines of inds.jsonl; the
    number is the share of the distinct values on the left that occur on the right, left out where it is 1."""
    lines = []
    for lhs, rhs, coverage in inclusions:
        left, right = (", ".join(map(_quoted, side)) for side in (lhs, rhs))
        share = "" if coverage == 1 else f', "coverage": {coverage!r}'
        lines.append(f'{{"lhs": [{left}], "rhs": [{right}]{share}}}\n')
    return "".join(lines)


def write_lines(stage, relative: str, items: list[int], lines, head: str = "") -> None:
    """Collective: writes a file of lines; `lines(table, slice)` gives the text of some of a table's items, on any rank.

    items: how many each table has. head: what stands above the lines. 20,000 lines are one queue task.
    """
    pieces = [(table, begin) for table, count in enumerate(items) for begin in range(0, count, LINES_PER_PIECE)]
    index = {piece: number for number, piece in enumerate(pieces)}

    def work(task):
        text = lines(task[0], slice(task[1], min(task[1] + LINES_PER_PIECE, items[task[0]])))
        stage.access.write_piece(relative, index[task], text.encode())

    stage.queue.run(pieces, work, name="write")
    stage.access.join_pieces(relative, len(pieces), head.encode())
