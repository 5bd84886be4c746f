"""Tables of any size to measure with, the same for the same seed: TPC-H's lineitem, and columns with planted rules.

    python benchmarks/tables.py lineitem --rows 6000000 OUT.csv
    python benchmarks/tables.py planted --rows 300000 --columns 16 OUT.csv

lineitem: the columns, value ranges and dependencies of TPC-H's table at scale rows / 6,000,000 (about 120 bytes a row;
keys, prices, dates, flags, quoted comments). planted: column j has about 4, 9, 21 ... values up to one per 50 rows;
every third column is told by the two before it, but for a few cells.
"""

import argparse
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)  # here is a queue.py, which would hide the library's

import numpy as np  # noqa: E402

CHUNK = 50_000
"""Orders (or rows) made together; part of what the seed means."""

LINEITEM = ("l_orderkey,l_partkey,l_suppkey,l_linenumber,l_quantity,l_extendedprice,l_discount,l_tax,l_returnflag,"
            "l_linestatus,l_shipdate,l_commitdate,l_receiptdate,l_shipinstruct,l_shipmode,l_comment")
INSTRUCTIONS = ["DELIVER IN PERSON", "COLLECT COD", "NONE", "TAKE BACK RETURN"]
MODES = ["REG AIR", "AIR", "RAIL", "SHIP", "TRUCK", "MAIL", "FOB"]
WORDS = ("furiously slyly carefully blithely quickly fluffily ironic final regular express special pending bold even "
         "silent unusual foxes ideas theodolites pinto beans instructions dependencies excuses platelets asymptotes "
         "courts dolphins multipliers sauternes warthogs frets dinos attainments somas accounts packages requests "
         "deposits sleep wake are cajole haggle nag use boost affix detect integrate about above according to across "
         "after against along among around at atop before between into near the. , : - ?")
FIRST_DAY, LAST_DAY = (np.datetime64(day) for day in ("1992-01-01", "1998-08-02"))
TODAY = np.datetime64("1995-06-17")


def main():
    """Write the table."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("kind", choices=["lineitem", "planted"])
    options.add_argument("--rows", type=int, default=60_000)
    options.add_argument("--columns", type=int, default=16, help="of a planted table")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("out", type=Path)
    arguments = options.parse_args()
    with open(arguments.out, "wb") as file:
        for text in (lineitem if arguments.kind == "lineitem" else planted)(arguments):
            file.write(text)


def lineitem(arguments):
    """The text of the table in pieces, the header first."""
    yield LINEITEM.encode() + b"\n"
    words = np.random.default_rng(arguments.seed).choice(WORDS.split(), 300_000).tolist()
    pool = np.frombuffer(" ".join(words).encode(), np.uint8)
    parts = max(200, arguments.rows // 30)
    left, chunk = arguments.rows, 0
    while left > 0:
        columns = _lines(np.random.default_rng([arguments.seed, 1 + chunk]), chunk * CHUNK, parts, pool)
        yield _csv([column[:left] for column in columns])
        left, chunk = left - len(columns[0]), chunk + 1


def _lines(random, first_order: int, parts: int, pool: np.ndarray) -> list[np.ndarray]:
    """The lines of CHUNK orders, as columns of fixed-width bytes."""
    lines = random.integers(1, 8, CHUNK)
    order = np.repeat(first_order + np.arange(CHUNK), lines)
    count = len(order)
    ordered = np.repeat(FIRST_DAY + random.integers(0, (LAST_DAY - FIRST_DAY).astype(int), CHUNK), lines)
    number = np.arange(count) - np.repeat(np.cumsum(lines) - lines, lines) + 1
    part, quantity = random.integers(1, parts + 1, count), random.integers(1, 51, count)
    suppliers = max(10, parts // 20)
    supplier = (part + random.integers(0, 4, count) * (suppliers // 4 + (part - 1) // suppliers)) % suppliers + 1
    price = quantity * (90_000 + part // 10 % 20_001 + 100 * (part % 1000))
    shipped = ordered + random.integers(1, 122, count)
    committed, received = ordered + random.integers(30, 91, count), shipped + random.integers(1, 31, count)
    returned = np.where(received <= TODAY, np.where(random.random(count) < 0.5, b"R", b"A"), b"N")
    length = random.integers(10, 44, count)
    begin = random.integers(0, len(pool) - 64, count)
    comment = np.full((count, 46), 0, np.uint8)
    comment[:, 0] = comment[np.arange(count), length + 1] = ord('"')
    inside = np.arange(43) < length[:, None]
    comment[:, 1:44][inside] = pool[begin[:, None] + np.arange(43)][inside]
    return [_text(order // 8 * 32 + order % 8 + 1), _text(part), _text(supplier), _text(number), _text(quantity),
            _decimal(price), _decimal(random.integers(0, 11, count)), _decimal(random.integers(0, 9, count)), returned,
            np.where(shipped > TODAY, b"O", b"F"), _text(shipped), _text(committed), _text(received),
            random.choice(np.array(INSTRUCTIONS, "S"), count), random.choice(np.array(MODES, "S"), count),
            comment.view("S46")[:, 0]]


def planted(arguments):
    """The text of the table in pieces, the header first."""
    width = arguments.columns
    yield (",".join(f"c{column}" for column in range(width)) + "\n").encode()
    most = max(4, arguments.rows // 50)
    values = np.geomspace(4, most, width).astype(np.int64)
    for first in range(0, arguments.rows, CHUNK):
        random = np.random.default_rng([arguments.seed, first // CHUNK])
        count = min(CHUNK, arguments.rows - first)
        columns: list[np.ndarray] = []
        for column in range(width):
            drawn = random.integers(0, values[column], count)
            if column % 3 == 2:
                told = (columns[-1] * 7919 + columns[-2] * 104_729) % values[column]
                drawn = np.where(random.random(count) < 1e-5, drawn, told)
            columns.append(drawn)
        yield _csv([_text(column) for column in columns])


def _text(values: np.ndarray) -> np.ndarray:
    """Numbers or days as fixed-width bytes."""
    return values.astype("S10" if values.dtype.kind == "M" else f"S{len(str(values.max(initial=0)))}")


def _decimal(cents: np.ndarray) -> np.ndarray:
    """Whole cents as text with two digits after the point."""
    whole, rest = _text(cents // 100), cents % 100
    digits = np.stack([rest // 10 + ord("0"), rest % 10 + ord("0")], 1).astype(np.uint8)
    return np.char.add(np.char.add(whole, b"."), digits.view("S2")[:, 0])


def _csv(columns: list[np.ndarray]) -> bytes:
    """Rows of fixed-width cells, their padding dropped."""
    pieces = []
    for index, column in enumerate(columns):
        pieces.append(np.ascontiguousarray(column).view(np.uint8).reshape(len(column), -1))
        pieces.append(np.full((len(column), 1), ord("," if index + 1 < len(columns) else "\n"), np.uint8))
    text = np.concatenate(pieces, axis=1).reshape(-1)
    return text[text != 0].tobytes()


if __name__ == "__main__":
    main()
