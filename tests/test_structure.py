"""How a CSV file is written: encoding, dialect, header, and rows of a wrong width."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpiedge.cleaning.changes import csv_lines
from mpiedge.cleaning.encodings import find_encoding
from mpiedge.cleaning.fits import Fits, fit
from mpiedge.cleaning.header import unique_names
from mpiedge.cleaning.profiles import Profile
from mpiedge.cleaning.ragged import read_rows
from mpiedge.cleaning.repair import align
from mpiedge.cleaning.structure import find_structure
from mpiedge.store.ranges import decode

NAMES = ("id", "name", "city", "born", "height")


def people(rows: int = 60) -> list[list[str]]:
    """A small regular table: number, two texts, a date, a decimal."""
    dice = random.Random(1)
    first, cities = ("Ann", "Bob", "Carla", "Dmitri", "Eva"), ("Ulm", "New York", "São Paulo", "Lyon")
    return [[str(row), f"{dice.choice(first)} {dice.choice('ABCDEF')}.", dice.choice(cities),
             f"19{dice.randrange(40, 99)}-0{dice.randrange(1, 9)}-1{dice.randrange(0, 9)}",
             f"1.{dice.randrange(50, 99)}"] for row in range(1000, 1000 + rows)]


def written(rows, delimiter=",", header=NAMES, quote=False) -> str:
    lines = [list(header), *rows] if header else rows
    return "".join(delimiter.join(f'"{cell}"' if quote else cell for cell in line) + "\n" for line in lines)


def structure_of(data: bytes):
    return find_structure(data, "utf-8", whole=True)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("quote", [False, True])
@pytest.mark.parametrize("header", [NAMES, None])
def test_delimiter_quotes_and_header(delimiter, quote, header):
    """Delimiter, header and first row are found, quoted or not."""
    data = written(people(), delimiter, header, quote).encode()
    found = structure_of(data)
    assert found.dialect.delimiter == delimiter and found.dialect.header == bool(header) and found.width == 5
    assert found.names == (list(NAMES) if header else [f"column_{number}" for number in range(1, 6)])
    first = data[found.dialect.data_start:].decode().splitlines()[0]
    assert first.startswith('"1000"' if quote else "1000")


def test_words_of_one_column_are_no_cells():
    """Blanks part cells where all rows have as many; names of one, two and three words are one column."""
    one = structure_of(b"region\n" + b"East South Central\nPacific\nMountain\nNew England\n" * 12)
    assert one.names == ["region"] and one.dialect.delimiter != " "
    two = structure_of(b"when who\n" + b"09:10 Ann\n10:25 Bob\n" * 12)
    assert two.dialect.delimiter == " " and two.width == 2


def test_preamble_is_set_aside():
    """Lines above the header are no rows; their line numbers and text are kept."""
    found = structure_of(("Exported by hand\n\nfor the archive\n" + written(people())).encode())
    assert found.names == list(NAMES)
    assert found.preamble == [(1, "Exported by hand"), (3, "for the archive")]


@pytest.mark.parametrize("encoding, mark, expected", [
    ("utf-8", b"", "utf-8"), ("utf-8", b"\xef\xbb\xbf", "utf-8"), ("utf-16-le", b"\xff\xfe", "utf-16-le"),
    ("utf-16-be", b"", "utf-16-be"), ("utf-16-le", b"", "utf-16-le"), ("cp1252", b"", "cp1252")])
def test_encoding(encoding, mark, expected):
    """Encodings are told by mark, NUL bytes or validity."""
    assert find_encoding(mark + written(people()).encode(encoding)) == expected


def test_cyrillic_without_a_mark():
    """A legacy encoding of another script is read as letters of that script."""
    text = "город,имя\n" + "Новосибирск,Александр Петров\nМосква,Мария Иванова\n" * 30
    data = text.encode("cp1251")
    assert decode(data, find_encoding(data)) == text


def test_names_become_unique():
    """Empty and repeated header names are changed, and the change is noted."""
    names, notes = unique_names(["a", "a", "", "a_2"], 4)
    assert names == ["a", "a_2", "column_3", "a_2_2"] and len(notes) == 3


def rows_of(text: str):
    found = structure_of(written(people()).encode())
    return read_rows(text, "", 2, found)


def test_short_and_long_rows():
    """A cell too few is padded, a split text joined where the types leave one reading, and notes are rejected."""
    good = people()[0]
    lines = [",".join(good), ",".join(good[:4]), "1001,Bob, the second,Ulm,1950-01-11,1.70", "-- 60 rows", "1002,Eva",
             ",,,,", ",".join(NAMES), ",".join(good) + ",,"]
    rows = rows_of("\n".join(lines) + "\n")
    assert rows.cells == [good, [*good[:4], ""], ["1001", "Bob, the second", "Ulm", "1950-01-11", "1.70"], good]
    assert rows.places.tolist() == [0, 1, 2, 7] and rows.total == 8
    assert [(line, reason) for line, reason, _ in rows.rejects] == [
        (5, "1 cell instead of 5"), (6, "2 cells instead of 5"), (7, "no cell is filled"), (8, "the header line again")]
    assert [text for _, _, text in rows.rejects][:2] == ["-- 60 rows", "1002,Eva"]


def test_row_with_two_readings_is_rejected():
    """A comma too many between two texts could belong to either: such a row is not guessed at."""
    rows = rows_of("1001,Bob A.,Lyon,Paris,1950-01-11,1.70\n")
    assert not rows.cells and rows.rejects[0][1] == "6 cells instead of 5"


def test_missing_cell_in_the_middle():
    """A cell that is missing in front of typed columns leaves its place empty."""
    assert rows_of("1001,Bob A.,1950-01-11,1.70\n").cells == [] or \
        rows_of("1001,Bob A.,1950-01-11,1.70\n").cells[0][3:] == ["1950-01-11", "1.70"]


def test_stray_quote_that_swallows_three_lines():
    """Lines glued together by a quote at a cell's start are rows again."""
    body = people()
    text = written(body[:2], header=None) + f'{body[2][0]},"{",".join(body[2][1:])}\n' + written(body[3:5], header=None)
    rows = rows_of(text)
    assert len(rows.cells) == 5 and [row[0] for row in rows.cells] == [row[0] for row in body[:5]]
    assert rows.cells[2][1] == '"' + body[2][1]


def test_two_stray_quotes_far_apart():
    """Quotes of two rows glue neither the rows between them nor, where all rows hold quoted cells, the sample."""
    body = [[row[0], f"{row[1]}, Dr.", *row[2:]] for row in people()]
    lines = [f'{row[0]},"{row[1]}",{",".join(row[2:])}' for row in body]
    for place in (20, 41):
        lines[place] = ",".join([body[place][0], f'"{body[place][1]}"', f'"{body[place][2]}', *body[place][3:]])
        body[place][2] = f'"{body[place][2]}'
    text = "\n".join(lines) + "\n"
    found = structure_of((",".join(NAMES) + "\n" + text).encode())
    assert found.names == list(NAMES) and found.dialect.quotechar == '"'
    assert read_rows(text, "", 1, found).cells == body


def test_quote_that_doubles_the_closing_one():
    """A quote too many behind a quoted cell leaves its row, and the next one with a quoted cell, as they are."""
    body = people()
    lines = [f'{row[0]},{row[1]},"{row[2]}",{",".join(row[3:])}' for row in body]
    body[3][2], body[4][2] = "New York, N.Y.", "Paris, Texas"
    for place, more in ((3, '"'), (4, "")):
        lines[place] = f'{body[place][0]},{body[place][1]},"{body[place][2]}"{more},{",".join(body[place][3:])}'
    rows = read_rows("\n".join(lines) + "\n", "", 1, structure_of(written(people()).encode()))
    assert [row[0] for row in rows.cells] == [row[0] for row in body] and rows.cells[3][2] == 'New York, N.Y."'


def test_early_years_as_names():
    """Years before 1900 name columns too, if they rise."""
    rows = [[f"land {row}", *(f"{dice.random():.4f}" for _ in range(4))] for dice in [random.Random(3)]
            for row in range(30)]
    found = structure_of(written(rows, header=("name", "1850", "1870", "1900", "1950")).encode())
    assert found.names == ["name", "1850", "1870", "1900", "1950"]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\x00\ufeff"), max_size=8),
                         min_size=3, max_size=3), min_size=1, max_size=20), st.integers(0, 3))
def test_every_record_is_kept_or_rejected(rows, extra):
    """Whatever the text, rows read = rows kept + rows rejected, and kept rows have the table's width."""
    text = csv_lines(rows).decode() + "a,b\n" * extra
    found = structure_of(b"x,y,z\n" + text.encode())
    result = read_rows(text, "", 1, found)
    assert result.total == len(result.cells) + len(result.rejects)
    assert all(len(row) == found.width for row in result.cells)


@pytest.mark.parametrize("line, cells", [
    ('1001,"Bob A.,Lyon,1950-01-11,1.70', ["1001", '"Bob A.', "Lyon", "1950-01-11", "1.70"]),
    ("1001Bob A.,Lyon,1950-01-11,1.70", ["1001", "Bob A.", "Lyon", "1950-01-11", "1.70"]),
    ("1001,Bob A.,Lyon1950-01-11,1.70", ["1001", "Bob A.", "Lyon", "1950-01-11", "1.70"]),
    ("1001,Bob A.,Lyon,,1950-01-11,1.70", ["1001", "Bob A.", "Lyon", "1950-01-11", "1.70"]),
    ("1001;Bob A.;Lyon;1950-01-11;1.70", ["1001", "Bob A.", "Lyon", "1950-01-11", "1.70"]),
    ("1001,Bob A.,Lyon,1950-\n01-11,1.70", ["1001", "Bob A.", "Lyon", "1950-01-11", "1.70"])])
def test_damaged_rows_are_mended(line, cells):
    """A stray quote, a delimiter missing, too many or foreign, and a row broken in two become the row they were."""
    good = people()[:3]
    rows = rows_of(written(good[:2], header=None) + line + "\n" + written(good[2:], header=None))
    assert rows.cells == [*good[:2], cells, good[2]] and rows.total == 4 and not rows.rejects


def test_values_run_together_are_cut_where_one_is_known():
    """Of two numbers without a delimiter between, or of long text, the cut leaves a value that the column has."""
    profiles = [Profile() for _ in range(3)]
    for row in range(40):
        for profile, cell in zip(profiles, (f"{row}.0", "2022", f"2013-2017 estimate of five years, part {row % 3}")):
            profile.add(cell)
    end = "2013-2017 estimate of five years, part 1"
    assert align(["17.02022", end], ",", '"', profiles, False)[0][1] == ["17.0", "2022", end]
    assert align(["17.0", "2022" + end], ",", '"', profiles, False)[0][1] == ["17.0", "2022", end]


def test_numbers_run_together_are_cut_where_both_have_their_digits():
    """Of all cuts the one counts that leaves a decimal with as many digits as its column has."""
    profiles = [Profile() for _ in range(3)]
    for row in range(40):
        for profile, cell in zip(profiles, (f"{row % 9}.{10 + row}", str(row % 13), f"1.{row}")):
            profile.add(cell)
    assert align(["8.3312", "1.5"], ",", '"', profiles, False)[0][1] == ["8.33", "12", "1.5"]


def test_quoted_cells_run_together_are_cut_within_their_quotes():
    """The quotes around two cells without a delimiter between belong to neither."""
    profiles = [Profile() for _ in range(3)]
    for row in range(40):
        for profile, cell in zip(profiles, (str(10 + row), ("Lyon, FR", "Bari, IT")[row % 2], f"{row}.5")):
            profile.add(cell)
    assert align(['"33Lyon, FR"', "4.5"], ",", '"', profiles, False)[0][1] == ["33", "Lyon, FR", "4.5"]


def test_sound_rows_are_never_repaired():
    """Sound rows with quotes, delimiters and doubled quotes in cells stay as the csv module reads them."""
    cells = [[str(1000 + row), 'A "nice" man', 'x, y ""', "1950-01-11", '5"'] for row in range(9)]
    rows = rows_of(csv_lines(cells).decode())
    assert rows.cells == cells and not rows.repairs and not rows.rejects


def test_footnotes_and_a_further_table():
    """Lines below the table are set aside; a table behind a gap begins where it begins."""
    from mpiedge.cleaning.tail import find_tail

    found = structure_of(written(people()).encode())
    body = written(people(), header=None)
    notes = find_tail(body + "\nSource: the office\n* provisional\n", found, 1)
    assert notes.footnotes == [(61, "Source: the office"), (62, "* provisional")] and notes.more < 0
    more = find_tail(body + "\ncode,meaning\nx,good\ny,fair\n", found, 1)
    assert (more.lines, more.more) == (61, 61) and not more.footnotes
    assert find_tail(body, found, 1).lines == 60


def test_header_of_several_lines():
    """Groups of columns above their names and units below are joined; key and value, or a row of words, are not."""
    rows = b"".join(b"%s,%d,%d.5,%d\n" % (name.encode(), place, place, 9 - place) for place, name in enumerate("abcd"))
    found = find_structure(b",low,,wind\nplace,day,night,speed\n,C,C,m/s\n" + rows, "utf-8", True)
    assert found.names == ["place", "low day C", "low night C", "wind speed m/s"] and not found.preamble
    assert found.header_lines == 3
    for header in (b"place,,night,\n,day,,speed\n", b"Weather\nplace,,,\n,day,night,speed\n"):   # by turns
        assert find_structure(header + rows, "utf-8", True).names == ["place", "day", "night", "speed"]
    for above in (b"station,Bonn,,\n", b",low,,wind\n\n", b"lows,,,\n"):
        found = find_structure(above + b"place,day,night,speed\n" + rows, "utf-8", True)
        assert found.names == ["place", "day", "night", "speed"] and len(found.preamble) == 1, above
    for below in (b"e,closed,open,closed\n" + rows + b"f,closed,open,ill\n", b"e,,,closed\n" + rows, b"e,,,\n" + rows):
        assert find_structure(b"place,day,night,speed\n" + below, "utf-8", True).names[1] == "day"


def test_damaged_lines_left_open():
    """Lines that are left for later are all that reading needs: with them known, no line is fitted as it is read."""
    lines = written(people()).splitlines(keepends=True)
    for place in range(5, 50, 3):
        lines[place] = lines[place].replace(",", ";" if place % 2 else "", 5 if place % 2 else 1)
    lines[31:32] = [lines[31][:14] + "\n", lines[31][14:]]
    structure = find_structure("".join(lines).encode(), "utf-8", whole=True)
    body = "".join(lines[1:])
    whole, first = read_rows(body, "", 2, structure), read_rows(body, "", 2, structure, Fits(structure, most=0))
    assert len(whole.repairs) > 12 and not first.repairs and len(first.fits.open) >= len(whole.repairs)
    known = {line: fit(line[0], structure, line[1]) for line in first.fits.open}
    again = read_rows(body, "", 2, structure, Fits(structure, known, most=0))
    assert not again.fits.open and (again.cells, again.repairs) == (whole.cells, whole.repairs)


def test_what_is_told_of_a_file_is_not_found_anew():
    """A delimiter, a header and lines above it that a plan names; what it does not name is found."""
    data = b"made 2020\n2019;12,5;a\n2020;11,0;b\n2021;10,2;c\n"
    told = find_structure(data, "utf-8", True, {"delimiter": ",", "header": True, "preamble_lines": 1})
    assert told.dialect.delimiter == "," and told.names == ["2019;12", "5;a"]
    assert told.preamble == [(1, "made 2020")] and data[told.dialect.data_start:].startswith(b"2020;11")
    assert find_structure(data, "utf-8", True, {"quote": ""}).names == ["column_1", "column_2", "column_3"]
