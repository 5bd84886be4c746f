"""Byte ranges of whole records."""

import csv
import io
import itertools
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpiedge.kernels import records as automaton
from mpiedge.store import ranges
from mpiedge.store.access import InputFile
from mpiedge.store.ranges import Dialect

SIGNS = st.sampled_from([b'"', b",", b"\n", b"\r", b"\r\n", b"a", b"bc", b'""', b"\\"])
CSV_BYTES = st.lists(SIGNS, max_size=60).map(b"".join)
STATES = st.integers(0, automaton.STATES - 1)


class OneRank:
    """A stage over bytes in memory: the queue runs each task at once."""

    def __init__(self, data: bytes):
        self.data = data
        self.file = InputFile("t.csv", "t.csv", len(data), True, 0)
        self.world = SimpleNamespace(is_root=True, bcast=lambda message: message)
        self.access = self.queue = self

    def read_bytes(self, file, start, stop):
        return self.data[start:stop]

    def run(self, tasks, work, name=""):
        return [(task, work(task)) for task in tasks]

    def gather(self, results):
        return results


def oracle(data: bytes) -> list[list[str]]:
    return [record for record in csv.reader(io.StringIO(data.decode(), newline="")) if record]


def in_ranges(data: bytes, dialect: Dialect, block_bytes: int) -> list[list[str]]:
    stage = OneRank(data)
    found = ranges.record_ranges(stage, stage.file, dialect, block_bytes)
    dialect = replace(dialect, data_start=0)
    parts = [ranges.read_records(stage, stage.file, item, dialect) for item in found]
    assert [len(part) for part in parts] == [item.records for item in found]
    assert [item.first_record for item in found] == list(itertools.accumulate([0] + [len(part) for part in parts]))[:-1]
    return [record for part in parts for record in part]


@settings(deadline=None, max_examples=300)
@given(data=CSV_BYTES, block_bytes=st.integers(1, 40))
def test_ranges_give_the_records_of_the_csv_module(data, block_bytes):
    """Cutting any bytes, however badly quoted, into ranges of any size gives the records that one reader gives."""
    assert in_ranges(data, Dialect(header=False, data_start=0), block_bytes) == oracle(data)


@settings(deadline=None, max_examples=200)
@given(data=CSV_BYTES, state=STATES, cut=st.integers(0, 60), escape=st.sampled_from([-1, 92]))
def test_automaton_equals_its_plain_version_and_joins(data, state, cut, escape):
    """The compiled scan equals the plain one from every state, and two joined halves equal the whole."""
    dialect = (44, 34, escape)
    whole = automaton.scan_plain(data, -1, dialect, state)
    assert np.array_equal(automaton.scan(data, -1, dialect, state), whole)
    assert np.array_equal(automaton.scan_every_state(data, -1, dialect)[state], whole)
    cut = min(cut, len(data))
    following = data[cut] if cut < len(data) else -1
    first = automaton.scan(data[:cut], following, dialect, state)
    second = automaton.scan(data[cut:], -1, dialect, int(first[automaton.STATE]), cut)
    assert np.array_equal(automaton.join(first, second), whole)


def test_header_mark_and_line_numbers():
    """The byte order mark and the header belong to no range, and each range knows the line it starts on."""
    data = b"\xef\xbb\xbf" + b'a,"b\nc"\n' + b"".join(b'%d,"x\ny"\n' % number for number in range(20))
    stage = OneRank(data)
    names, start = ranges.read_header(stage, stage.file, Dialect())
    assert names == ["a", "b\nc"] and data[start:start + 2] == b"0,"
    found = ranges.record_ranges(stage, stage.file, Dialect(), 32)
    assert len(found) > 3 and sum(item.records for item in found) == 20
    assert [item.first_line for item in found] == [3 + 2 * item.first_record for item in found]


@pytest.mark.parametrize("position", [0, 7, 450])
def test_quote_nobody_closes(position):
    """A stray quote that swallows the rest of the file is taken as a character; no other row changes."""
    lines = [b"%d,abc,%d\n" % (number, number * number) for number in range(500)]
    lines[position] = b'%d,"abc,5\n' % position
    stage = OneRank(b"".join(lines))
    dialect = Dialect(header=False)
    found, repaired = ranges.scan_records(stage, stage.file, dialect, 256, width=3)
    records = [record for item in found for record in ranges.read_records(stage, stage.file, item, repaired)]
    assert len(records) == 500 and all(len(record) == 3 for record in records)
    assert records[position][1] == '"abc' and len(repaired.literal_quotes) == 1


def test_long_quoted_text_is_no_stray_quote():
    """A quoted cell of a thousand lines of prose stays one cell."""
    data = b'id,text\n1,"' + b"some words\n" * 1000 + b'"\n2,short\n'
    stage = OneRank(data)
    found, repaired = ranges.scan_records(stage, stage.file, Dialect(), 512, width=2)
    records = [record for item in found for record in ranges.read_records(stage, stage.file, item, repaired)]
    assert [record[0] for record in records] == ["1", "2"] and not repaired.literal_quotes


def test_lines_that_are_not_utf8_are_read_as_cp1252():
    """One line in another encoding does not spoil the lines beside it."""
    assert ranges.decode("é,ü\n".encode() + "é€\n".encode("cp1252") + b"\x81\n", "utf-8") == "é,ü\né€\n\x81\n"


def test_cell_of_ten_megabytes():
    """A cell far larger than a block is one cell."""
    data = b'a,b\n1,"' + b"x" * 10_000_000 + b'"\n2,y\n'
    stage = OneRank(data)
    found = ranges.record_ranges(stage, stage.file, Dialect())
    records = [record for item in found for record in ranges.read_records(stage, stage.file, item, Dialect())]
    assert [len(record[1]) for record in records] == [10_000_000, 1]
