"""Tables in which many sources tell of the same things."""

import random

import numpy as np

from mpiedge.cleaning.claims import Claims, find_claims, key_of
from mpiedge.commands import clean

SOURCES = 12


def told(wrong: float = 0.25, blank: float = 0.1, notation: bool = True, seed: int = 1):
    """(rows, truth): site, flight, departure and gate, told by sites of which some are often wrong."""
    dice = random.Random(seed)
    rows, truth = [], []
    for flight in range(40):
        fact = [f"{1 + flight * 7 % 12}:{flight * 13 % 60:02d} p.m.", f"Gate {flight + 3}{'ABC'[flight % 3]}"]
        rumour = [f"{1 + flight * 5 % 12}:{59 - flight} p.m.", f"Gate {flight + 4}{'BCA'[flight % 3]}"]
        for site in range(SOURCES):
            cells = [other if dice.random() < 2 * wrong * site / SOURCES else one for one, other in zip(fact, rumour)]
            if notation and site == 3:
                cells[0] = "12/02/2011 " + cells[0]
            cells = ["" if dice.random() < blank else cell for cell in cells]
            rows.append([f"site {site}", f"F-{flight:03d}", *cells])
            truth.append([f"site {site}", f"F-{flight:03d}", *fact])
    return rows, truth


def coded(rows):
    """Codes (0 = blank) and values of each column."""
    codes, values = [], []
    for column in zip(*rows):
        known = {"": 0}
        codes.append(np.array([known.setdefault(cell, len(known)) for cell in column]))
        values.append(list(known))
    return codes, values


def test_the_better_sources_win():
    """Nearly all cells that are changed become right, blank ones and other notations as well, on any host alike."""
    rows, truth = told()
    found = find_claims(*coded(rows), [2, 3], [0, 2, 3])
    assert (found.entity, found.source, sorted(found.facts)) == (1, 0, [2, 3])
    found = Claims.from_message(found.to_message())
    columns = [list(column) for column in zip(*rows)]
    changes = found.judge(columns)
    right = [value == truth[row][column] for row, column, value, sure in changes if sure >= 0.8]
    wrong = sum(one != other for mine, theirs in zip(rows, truth) for one, other in zip(mine, theirs))
    assert len(right) > 0.9 * wrong and sum(right) > 0.98 * len(right)
    assert all(columns[column][row] != value for row, column, value, _ in changes)


def test_tables_that_are_no_claims():
    """Where all is tidy, where columns hold few values that all share, and where nobody differs, nothing is found."""
    tidy, _ = told(blank=0, notation=False)
    assert find_claims(*coded(tidy), [2, 3], [0, 2, 3]) is None
    rows, _ = told()
    opinions = [[site, flight, cell and ["yes", "no"][len(cell) % 2], gate and gate[-1]]
                for site, flight, cell, gate in rows]
    assert find_claims(*coded(opinions), [2, 3], [0, 2, 3]) is None
    agreed, _ = told(wrong=0)
    assert find_claims(*coded(agreed), [2, 3], [0, 2, 3]) is None
    assert find_claims(*coded(rows), [2, 3], [3]) is None  # no column can hold names of sources


def test_what_a_value_says():
    """Notations of one time of day, and of one text, say the same."""
    assert len({key_of(value) for value in ("7:10 a.m.", "12/02/2011 07:10 AM", "Dec 2 7:10a", "7:10:00")}) == 1
    assert key_of("12:05 a.m.") == "0:05" and key_of("7:10 p.m.") == "19:10"
    assert key_of("ACM Press.") == key_of("acm-press") != key_of("ACM")
    assert key_of("7:10 to 8:20") != key_of("7:10") and key_of("*") == "*"


def test_a_table_of_claims_is_cleaned(tmp_path):
    """The program puts them right, says by what, and a run by its plan gives the same."""
    rows, truth = told()
    path, lines = tmp_path / "flights.csv", [",".join(["src", "flight", "departs", "gate"])]
    path.write_text("\n".join(lines + [",".join(row) for row in rows]) + "\n")
    for run, more in (("one", []), ("two", ["--plan", str(tmp_path / "one/clean/plan.toml")])):
        assert clean.main([str(path), "--run", str(tmp_path / run), "--keep-duplicates", "-q", *more]) == 0
    cleaned = [line.split(",") for line in (tmp_path / "one/clean/flights.csv").read_text().splitlines()[1:]]
    assert sum(one == other for one, other in zip(cleaned, truth)) > 0.95 * len(truth)
    assert "sources of flight" in (tmp_path / "one/clean/flights.changes.csv").read_text()
    assert 'by = "sources"' in (tmp_path / "one/clean/plan.toml").read_text()
    for name in ("flights.csv", "flights.changes.csv"):
        assert (tmp_path / "one/clean" / name).read_bytes() == (tmp_path / "two/clean" / name).read_bytes()
