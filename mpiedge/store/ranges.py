"""CSV files as byte ranges that start and stop between records, so that any rank can read any of them alone."""

import codecs
import csv
import io
import itertools
import re
import secrets
from dataclasses import dataclass, replace
from typing import NamedTuple

from mpiedge.kernels import records as automaton
from mpiedge.runtime.root import on_root
from mpiedge.store.access import Access, InputFile

BLOCK_BYTES = 1 << 18
MOST_QUOTED_LINES = 400
"""A quoted cell with more lines than this is looked at: a quote nobody closes swallows rows up to the next quote."""
MOST_STRAY_QUOTES = 1000
LINE_END = re.compile(rb"[\r\n]")
BYTE_ORDER_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be"),
                    (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
C1 = re.compile("[\x80-\x9f]")
C1_AS_CP1252 = {code: bytes([code]).decode("cp1252") for code in range(0x80, 0xA0)
                if code not in (0x81, 0x8D, 0x8F, 0x90, 0x9D)}
STAND_INS = b"\x1a\x1e\x1d\x1c\x1b\x19"

csv.field_size_limit(2**31 - 1)


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is written.

    quotechar "": quotes are plain characters. encoding: one in which ASCII bytes stand for themselves ("utf-8": lines
    that are not valid UTF-8 are read as cp1252). data_start: byte where the rows begin; None: after the byte order mark
    and, with `header`, the first record. literal_quotes: bytes where a quote looks like an opening one and is none.
    """

    delimiter: str = ","
    quotechar: str = '"'
    escapechar: str | None = None
    encoding: str = "utf-8"
    header: bool = True
    skip_initial_space: bool = False
    data_start: int | None = None
    literal_quotes: tuple[int, ...] = ()

    @property
    def codes(self) -> tuple[int, int, int]:
        """Delimiter, quote and escape as the automaton wants them."""
        return tuple(ord(sign) if sign else -1 for sign in (self.delimiter, self.quotechar, self.escapechar))


class RecordRange(NamedTuple):
    """Bytes [start, stop) hold `records` records; the first is row `first_record`, on line `first_line` (from 1)."""

    start: int
    stop: int
    first_record: int
    records: int
    first_line: int


# -- Collective ------------------------------------------------------------------------------------------------------

def read_head(stage, file: InputFile, size: int, start: int = 0) -> bytes:
    """Collective: bytes [start, start + size) of the file, on every rank."""
    return bytes(on_root(stage.world, lambda: stage.access.read_bytes(file, start, start + size)))


def as_utf8(stage, file: InputFile, encoding: str) -> InputFile:
    """Collective: a UTF-8 copy, in the scratch folder, of a file with wider characters (UTF-16, UTF-32)."""
    def transcode() -> dict:
        stage.access.scratch.mkdir(parents=True, exist_ok=True)
        target = stage.access.scratch / f"{secrets.token_hex(4)}.utf8"
        with (open(file.path, encoding=encoding, errors="replace", newline="") as source,
              open(target, "w", encoding="utf-8", errors="replace", newline="") as copy):
            while block := source.read(1 << 20):
                copy.write(block.removeprefix("\ufeff") if copy.tell() == 0 else block)
        return {"path": str(target), "size": target.stat().st_size, "modified_ns": target.stat().st_mtime_ns}

    made = on_root(stage.world, transcode)
    everywhere = stage.access.visible_everywhere(made["path"], made["size"])
    return replace(file, **made, everywhere=everywhere)


def read_header(stage, file: InputFile, dialect: Dialect) -> tuple[list[str], int]:
    """Collective: the cells of the first record and the byte after it (the byte order mark is skipped)."""
    size = BLOCK_BYTES
    while True:
        head = read_head(stage, file, size)
        start = 3 if head.startswith(codecs.BOM_UTF8) else 0
        following = head[-1] if size < file.size else -1   # the last byte only looks ahead, unless the file ends here
        body = head[start:-1] if size < file.size else head[start:]
        first = body.lstrip(b"\r\n")  # blank lines are no record
        blank = len(body) - len(first)
        out = automaton.scan(first, following, dialect.codes, automaton.START_RECORD, start + blank)
        stop = int(out[automaton.FIRST_CUT])
        if stop >= 0 or size >= file.size:
            stop = stop if stop >= 0 else file.size
            text = decode(head[start + blank:stop], dialect.encoding)
            return next(csv_reader(text, dialect), []), stop
        size *= 4


def record_ranges(stage, file: InputFile, dialect: Dialect, block_bytes: int = BLOCK_BYTES) -> list[RecordRange]:
    """Collective: ranges of whole records, about `block_bytes` each, for any number of ranks the same; no header.

    Every block of the file is scanned as a queue task from each state it may start in; walking through the answers then
    gives the true state at each border. A range is cut off where the first record that ends in the next block ends.
    Messages: one small array per block, to every rank.
    """
    return scan_records(stage, file, dialect, block_bytes)[0]


def scan_records(stage, file: InputFile, dialect: Dialect, block_bytes: int = BLOCK_BYTES,
                 width: int | None = None) -> tuple[list[RecordRange], Dialect]:
    """Collective: `record_ranges`; with `width` (cells of a usual row), quotes that swallow whole rows are found too.

    Such a quote opens a cell that never closes, or closes after hundreds of lines, while the lines inside are rows of
    `width` cells themselves. It becomes one of `literal_quotes` of the dialect returned; its block is scanned again.
    """
    if dialect.data_start is None:
        start = read_header(stage, file, dialect)[1] if dialect.header else _mark_bytes(stage, file)
        dialect = replace(dialect, data_start=start)
    blocks = range(dialect.data_start // block_bytes, -(-file.size // block_bytes))
    scans = _scan_blocks(stage, file, dialect, block_bytes, blocks)
    ranges, suspect = _walk(scans, file, dialect, block_bytes)
    judged: set[int] = set()
    while width and suspect >= 0 and suspect not in judged and len(judged) < MOST_STRAY_QUOTES:
        judged.add(suspect)
        if not _swallows_rows(_lines_after(stage, file, suspect), dialect, width):
            break
        dialect = replace(dialect, literal_quotes=(*dialect.literal_quotes, suspect))
        block = suspect // block_bytes
        scans.update(_scan_blocks(stage, file, dialect, block_bytes, [block]))
        ranges, suspect = _walk(scans, file, dialect, block_bytes)
    first_line = 1 + _lines(stage, file, dialect.data_start)
    return [item._replace(first_line=item.first_line + first_line) for item in ranges], dialect


def _mark_bytes(stage, file: InputFile) -> int:
    return 3 if read_head(stage, file, 3) == codecs.BOM_UTF8 else 0


def _lines(stage, file: InputFile, stop: int) -> int:
    return len(read_head(stage, file, stop).splitlines()) if stop else 0


def _scan_blocks(stage, file, dialect, block_bytes, blocks) -> dict:
    def work(task):
        start = max(task[0] * block_bytes, dialect.data_start)
        stop = min((task[0] + 1) * block_bytes, file.size)
        data = stage.access.read_bytes(file, start, stop + 1)
        following = data[stop - start] if len(data) > stop - start else -1
        data = _without_literal_quotes(data[:stop - start], start, dialect, b"x")
        return {"scan": automaton.scan_every_state(data, following, dialect.codes, start)}

    done = stage.queue.run([(block,) for block in blocks], work, name="record borders")
    return {task[0]: result["scan"] for task, result in stage.queue.gather(done)}


def _walk(scans, file, dialect, block_bytes) -> tuple[list[RecordRange], int]:
    """The ranges, and the quote that opened the cell with the most lines if it is suspiciously long (else -1)."""
    cuts = [(dialect.data_start, 0, 0)]
    total = None
    for block in sorted(scans):
        every = scans[block]
        state = automaton.START_RECORD if total is None else int(total[automaton.STATE])
        scan = every[state]
        if total is not None and scan[automaton.FIRST_CUT] >= 0:
            cuts.append((int(scan[automaton.FIRST_CUT]), int(total[automaton.RECORDS] + scan[automaton.RECORDS_TO_CUT]),
                         int(total[automaton.LINES] + scan[automaton.LINES_TO_CUT])))
        total = scan if total is None else automaton.join(total, scan)
    if total is None:
        return [], -1
    open_record = total[automaton.STATE] not in (automaton.START_RECORD, automaton.AFTER_CR)
    records = int(total[automaton.RECORDS]) + int(open_record)
    cuts.append((file.size, records, int(total[automaton.LINES])))
    ranges = [RecordRange(here[0], there[0], here[1], there[1] - here[1], here[2])
              for here, there in itertools.pairwise(cuts) if there[1] > here[1]]
    suspect = -1
    if total[automaton.STATE] in (automaton.IN_QUOTED, automaton.ESCAPED_IN_QUOTED):
        suspect = int(total[automaton.OPENED])
    elif total[automaton.LONGEST] > MOST_QUOTED_LINES:
        suspect = int(total[automaton.LONGEST_AT])
    return ranges, suspect


def _lines_after(stage, file: InputFile, start: int) -> bytes:
    """Collective: what follows the line in which a byte stands, however long that is, from its end on."""
    while start < file.size:
        end = LINE_END.search(read_head(stage, file, BLOCK_BYTES, start))
        if end:
            return read_head(stage, file, BLOCK_BYTES, start + end.start())
        start += BLOCK_BYTES
    return b""


def _swallows_rows(data: bytes, dialect: Dialect, width: int) -> bool:
    """Whether most lines after the one with the quote have the delimiters of a row of their own."""
    lines = [line for line in data.splitlines()[1:-1] or data.splitlines()[1:] if line.strip()]
    whole = sum(line.count(dialect.delimiter.encode()) == width - 1 for line in lines)
    return width > 1 and bool(lines) and 2 * whole >= len(lines)


# -- Local, inside queue.run -----------------------------------------------------------------------------------------

def read_text(access: Access, file: InputFile, record_range: RecordRange, dialect: Dialect) -> tuple[str, str]:
    """Local: the text of a range, and the character that stands in it for a quote that opens nothing ("" = none)."""
    start, stop = record_range[:2]
    return text_of(access.read_bytes(file, start, stop), start, dialect)


def text_of(data: bytes, start: int, dialect: Dialect) -> tuple[str, str]:
    """Local: `read_text` of bytes that begin at `start`."""
    stand_in = b""
    if any(start <= place < start + len(data) for place in dialect.literal_quotes):
        stand_in = next(bytes([byte]) for byte in STAND_INS if byte not in data)
        data = _without_literal_quotes(data, start, dialect, stand_in)
    return decode(data, dialect.encoding), stand_in.decode()


def read_records(access: Access, file: InputFile, record_range: RecordRange, dialect: Dialect) -> list[list[str]]:
    """Local: the records of one range, as the csv module reads them; blank lines are none, NUL bytes are dropped."""
    text, stand_in = read_text(access, file, record_range, dialect)
    records = [record for record in csv_reader(text, dialect) if record]
    if stand_in:
        records = [[cell.replace(stand_in, dialect.quotechar) for cell in record] for record in records]
    return records


def _without_literal_quotes(data: bytes, start: int, dialect: Dialect, stand_in: bytes) -> bytes:
    places = [place - start for place in dialect.literal_quotes if start <= place < start + len(data)]
    if not places:
        return data
    changed = bytearray(data)
    for place in places:
        changed[place:place + 1] = stand_in
    return bytes(changed)


def csv_reader(lines, dialect: Dialect):
    """A reader of the csv module, with `line_num`, over text or its lines (with their ends)."""
    lines = io.StringIO(lines, newline="") if isinstance(lines, str) else lines
    quoting = csv.QUOTE_MINIMAL if dialect.quotechar else csv.QUOTE_NONE
    return csv.reader(lines, delimiter=dialect.delimiter, quotechar=dialect.quotechar or None,
                      quoting=quoting, escapechar=dialect.escapechar, skipinitialspace=dialect.skip_initial_space)


def decode(data: bytes, encoding: str) -> str:
    """Text of whole lines; in UTF-8, a line that is not valid is read as cp1252. NUL bytes are dropped.

    Control characters U+0080 to U+009F are cp1252 that somebody took for Latin-1: they become what was meant.
    """
    data = data.replace(b"\x00", b"")
    if encoding != "utf-8":
        return data.decode(encoding, "replace")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = "".join(_decode_line(line) for line in data.splitlines(keepends=True))
    return text.translate(C1_AS_CP1252) if b"\xc2" in data and C1.search(text) else text


def _decode_line(line: bytes) -> str:
    for encoding in ("utf-8", "cp1252"):
        try:
            return line.decode(encoding)
        except UnicodeDecodeError:
            pass
    return line.decode("latin-1")
