"""Wrong cells: typos, noise, patterns and broken rules are put right; what is sound stays."""

import csv
import random
from pathlib import Path

import numpy as np
import pytest

from mpiedge.cleaning import dependencies, typos
from mpiedge.cleaning.companions import doubt_other_things
from mpiedge.cleaning.known import Known
from mpiedge.cleaning.patterns import broken_patterns
from mpiedge.commands import clean, profile


def repairs_of(cells: list[str]) -> dict:
    values = sorted(set(cells))
    counts = np.array([cells.count(value) for value in values])
    by_ways = [typos.find_by(way, values, counts, True) for way in range(len(typos.WAYS))]
    return typos.find_repairs(values, counts, True, by_ways)


def test_rare_spellings_go_to_the_common_one():
    """A letter changed, dropped, added or swapped is undone where the right value is common."""
    dice = random.Random(2)
    cells = [dice.choice(["Birmingham", "Huntsville", "Montgomery", "Tuscaloosa"]) for _ in range(200)]
    wrong = {"Birminxham": "Birmingham", "Huntsvile": "Huntsville", "Mongtomery": "Montgomery",
             "Tuscalooosa": "Tuscaloosa"}
    found = repairs_of(cells + list(wrong))
    assert {value: right for value, (right, _, _) in found.items()} == wrong


def test_codes_and_numbers_are_no_typos_of_each_other():
    """Values that differ by digits, or by an edit that is usual in the column, are different things."""
    assert not repairs_of([f"route {number}" for number in range(1, 40) for _ in range(1 + 9 * (number < 20))])
    states = ["al_pn-2", "ak_pn-2", "al_pn-3", "ak_pn-3", "al_ami-1", "ak_ami-1"]
    assert not repairs_of([state for state in states for _ in range(9)] + ["ar_pn-2", "ar_pn-3"])


def test_short_words_are_no_typos_of_each_other():
    """Grades, letters that count and codes of three letters stay; words around them are put right."""
    assert not repairs_of(["A"] * 300 + ["A+"] * 12 + ["A-"] * 9 + ["B"] * 200 + ["B+"] * 8)
    assert not repairs_of([f"{place} Ward {letter}" for place in ("Long Lake", "Cold Creek", "Red Rock")
                           for letter, often in zip("ABCDE", (9, 1, 4, 1, 1)) for _ in range(often)])
    assert not repairs_of(["World War II"] * 6 + ["World War I"] * 2 + ["Civil War"] * 5)
    assert not repairs_of(["n"] * 900 + ["y"] * 200 + ["nk"] * 17)
    wrong = ["Not Applcable", "Nt Applicable", "NotApplicable"]
    found = repairs_of(["Not Applicable"] * 60 + ["Applicable"] * 40 + wrong)
    assert {value: right for value, (right, *_) in found.items()} == dict.fromkeys(wrong, "Not Applicable")


def test_a_sign_between_digits_belongs_to_the_number():
    """`21-2` is not 212; a sign too many beside one is dropped."""
    cells = [f"P.A. {number}" for number in range(100, 300)] + [f"P.A. {row % 90 + 10}-{row % 7}" for row in range(200)]
    found = repairs_of([*cells, "P.A. 2-12-5", "P.A.. 177"])
    assert found["P.A.. 177"][0] == "P.A. 177" and found["P.A. 2-12-5"][0] is None


def test_noise_on_a_constant():
    """Different numbers scattered over a constant become the constant; numbers far from it are flagged; zeros stay, and
    a limit that no number exceeds."""
    near, far = [f"{number}.7" for number in range(7, 17)], [f"{number}.5" for number in range(7, 307, 30)]
    for others, right in ((near, "12.5"), (far, None)):
        found = repairs_of(["12.5"] * 90 + others)
        assert {repair[0] for repair in found.values()} == {right} and len(found) == 10
    assert not repairs_of(["0"] * 90 + [f"{number}.7" for number in range(10)])
    assert not repairs_of(["52"] * 90 + [str(week) for week in range(40, 52)])


def test_numbers_of_any_length_and_letters_at_an_end():
    """Where numbers have one to three digits one of four is none of three; a letter at an end tells things apart."""
    cells = [f"{number} patients" for number in [7, 45, 125, 125, 125, 125, 101, 88]] * 12
    assert "1295 patients" not in repairs_of([*cells, "1295 patients"])
    found = repairs_of([*(f"E{number}" for number in range(100, 300)), "E107N", "E1.08"])
    assert found["E107N"][0] is None
    values, counts = [*(f"E{number}" for number in range(100, 300)), "E107N"], np.array([5] * 200 + [1])
    assert broken_patterns(values, counts)["E107N"][0] is None
    assert (found.get("E1.08") or (None,))[0] is None
    days = [f"2020-{day % 12 + 1:02}-{day % 28 + 1:02}" for day in range(300)]
    assert repairs_of([*days, "2020-1b1-30"])["2020-1b1-30"][0] == "2020-11-30"


def codes_of(columns):
    found = []
    for column in columns:
        inverse = {"": 0}
        found.append((np.array([inverse.setdefault(cell, len(inverse)) for cell in column]), list(inverse)))
    return found


def test_a_rule_finds_what_breaks_it():
    """Where zip decides city, a city of another zip is voted down; where chance decides, nothing is."""
    dice = random.Random(3)
    zips = [dice.choice(["01234", "10117", "80331"]) for _ in range(300)]
    city = {"01234": "Ulm", "10117": "Berlin", "80331": "Munich"}
    cities = [city[code] for code in zips]
    cities[5], cities[50] = "Paris", "Rome"
    (left, _), (right, values) = codes_of([zips, cities])
    rule = dependencies.mine(0, 1, left, right, 0, 0)
    found = dependencies.judge([rule], {0: left, 1: right}, values)
    assert [(row, values[code]) for row, code, *_ in found] == [(row, city[zips[row]]) for row in (5, 50)]
    assert all(confidence > 0.9 for _, _, confidence, *_ in found) and rule.lift > 0.95
    chance, _ = codes_of([[dice.choice("abc") for _ in range(300)]])[0]
    assert dependencies.best_rules([dependencies.mine(0, 1, chance, right, 0, 0)]) == []


def test_two_stories_of_a_row_are_only_told():
    """Of two classes that nearly always agree nothing tells which is wrong; what the best rule says stays."""
    dice = random.Random(5)
    schools = [dice.randrange(30) for _ in range(600)]
    columns = [[f"s{school}" for school in schools], [("town", "country", "coast")[school % 3] for school in schools]]
    columns.append(list(columns[1]))
    for row in (7, 70, 270):
        columns[2][row] = columns[1][row - 1] if columns[1][row - 1] != columns[1][row] else "none"
    (school, _), (first, _), (second, values) = codes_of(columns)
    codes = {0: school, 1: first, 2: second}
    found = dependencies.judge([dependencies.mine(1, 2, first, second, 0, 0)], codes, values)
    assert {row: weak for row, *_, weak in found} == {row: columns[2][row] != "none" for row in (7, 70, 270)}
    found = dependencies.judge([dependencies.mine(0, 2, school, second, 0, 0)], codes, values)
    assert [(row, weak) for row, *_, weak in found] == [(7, False), (70, False), (270, False)]


@pytest.mark.parametrize("beside, doubted", [("ISL", True), ("IRL", False), ("FRA", False), ("", False)])
def test_a_value_with_a_companion_is_another_thing(beside, doubted):
    """Iceland beside ISL is not Ireland, which stands beside IRL; beside a code that others have it may be a slip."""
    teams = ["Ireland"] * 60 + ["France"] * 60 + ["Spain"] * 60 + ["Iceland"]
    beside_all = ["IRL"] * 60 + ["FRA"] * 60 + ["ESP"] * 60 + [beside]
    known = Known(["team", "code"])
    known.values, known.repairs = [(), ()], {0: {"Iceland": ("Ireland", "typo", 0.9)}}
    codes = [known.encode(place, column) for place, column in enumerate([teams, beside_all])]
    doubt_other_things(known, codes, [np.bincount(column, minlength=len(values)) for column, values in
                                      zip(codes, known.values)])
    assert (known.repairs[0]["Iceland"][0] is None) == doubted


@pytest.mark.parametrize("wrong, street, sure", [("Spain; France", "p0", False), ("France", "p0", True),
                                                 ("France", "p30", False)])
def test_cells_that_break_a_rule_and_may_be_right(wrong, street, sure):
    """A list that holds what the rule says, and a cell that another rule bears out, are doubtful."""
    towns, lands = ([names[row // 200] for row in range(600)] for names in ("abc", ("Spain", "France", "Italy")))
    streets = [f"p{row // 10}" for row in range(600)]
    lands[5], streets[5] = wrong, street
    (town, _), (by, _), (land, values) = codes_of([towns, streets, lands])
    rules = [dependencies.mine(0, 2, town, land, 0, 0), dependencies.mine(1, 2, by, land, 0, 0)]
    rules[1].lift = rules[0].lift - 0.01
    found = dependencies.judge(rules if street == "p30" else rules[:1], {0: town, 1: by, 2: land}, values)
    assert [(row, confidence > 0.8) for row, _, confidence, *_ in found] == [(5, sure)]


@pytest.fixture(scope="module")
def shops(tmp_path_factory) -> Path:
    """A table with three wrong cells."""
    dice = random.Random(4)
    city = {"01234": "Ulmstadt", "10117": "Berlin", "80331": "Munich"}
    rows = [(number, code, city[code], dice.choice(["bakery", "butcher", "grocery"]))
            for number in range(300) for code in [dice.choice(list(city))]]
    rows[7] = (7, rows[7][1], "Paris", rows[7][3])
    rows[9] = (*rows[9][:3], "butchxr")
    rows[11] = (11, rows[11][1], rows[11][2][:-1] + "x", rows[11][3])
    path = tmp_path_factory.mktemp("shops") / "shops.csv"
    path.write_text("id,zip,city,trade\n" + "".join(f"{','.join(map(str, row))}\n" for row in rows))
    return path


def cleaned(path: Path, run: Path, *flags: str):
    assert clean.main([str(path), "--run", str(run), "-q", "--keep-duplicates", *flags]) == 0
    texts = [(run / f"clean/shops{kind}.csv").read_text().splitlines() for kind in ("", ".changes")]
    return [list(csv.reader(text))[1:] for text in texts]


def test_wrong_cells_of_a_table(shops, tmp_path):
    """All three are put right and listed; with --min-confidence 1 they stay as they are and are listed as flags."""
    rows, changes = cleaned(shops, tmp_path / "run")
    places = [(change[0], change[1]) for change in changes]
    assert places == [("7", "city"), ("9", "trade"), ("11", "city")] and rows[9][3] == "butcher"
    assert len({(row[1], row[2]) for row in rows}) == 3
    rows, flags = cleaned(shops, tmp_path / "strict", "--min-confidence", "1")
    assert rows[9][3] == "butchxr" and [(flag[0], flag[1]) for flag in flags] == places
    assert all(flag[2].startswith("flag: ") and flag[3] == flag[4] for flag in flags)


def test_rules_of_a_file(shops, tmp_path, capfd):
    """A rule that is given is obeyed without other evidence; a file without rules is an error of one line."""
    (tmp_path / "rules.toml").write_text('[[rule]]\nlhs = ["zip"]\nrhs = "city"\n')
    _, changes = cleaned(shops, tmp_path / "run", "--rules", str(tmp_path / "rules.toml"), "--steps", "rules")
    assert [(change[0], change[2]) for change in changes] == [("7", "rule: zip -> city"), ("11", "rule: zip -> city")]
    (tmp_path / "none.jsonl").write_text("[]\n")
    with pytest.raises(SystemExit) as end:
        clean.main([str(shops), "--run", str(tmp_path / "bad"), "--rules", str(tmp_path / "none.jsonl")])
    assert end.value.code == 3 and "holds no rules" in capfd.readouterr().err


def test_dependencies_that_profile_found_are_rules(shops, tmp_path):
    """Dependencies with an error, as profile writes them, repair the cells that break them."""
    assert profile.main([str(shops), "--fd", "--error", "0.01", "-q", "--run", str(tmp_path / "run")]) == 0
    found = tmp_path / "run/profile/fds.jsonl"
    assert '"lhs": ["zip"], "rhs": "city", "g3": 0.006' in found.read_text()
    _, changes = cleaned(shops, tmp_path / "clean", "--rules", str(found), "--steps", "rules")
    assert [change[:3:2] for change in changes] == [["7", "rule: zip -> city"], ["11", "rule: zip -> city"]]


def test_plan_read_back(shops, tmp_path, capfd):
    """The plan of a run does the same again; without its rules and one repair, less is done; a damaged one is told."""
    first = cleaned(shops, tmp_path / "run")
    plan = (tmp_path / "run/clean/plan.toml").read_text()
    assert cleaned(shops, tmp_path / "again", "--plan", str(tmp_path / "run/clean/plan.toml")) == first
    assert (tmp_path / "again/clean/plan.toml").read_text() == plan
    edited = tmp_path / "edited.toml"
    edited.write_text(plan.replace('after = "butcher"', 'after = "baker"').replace('"rules", ', "").replace(
        '    "rules",\n', ""))
    rows, changes = cleaned(shops, tmp_path / "less", "--plan", str(edited))
    assert rows[9][3] == "baker" and ("7", "city") not in [(change[0], change[1]) for change in changes]
    for damaged in ("steps = [", 'steps = ["wash"]\n[tables.shops]', '[[tables.shops.columns]]\nname = "town"',
                    '[[tables.shops.columns]]\nname = "city"\ntrim = 3', "tables = 3",
                    '[tables.shops]\ndelimiter = ";;"', '[tables.shops]\nencoding = "none"',
                    '[tables.shops]\nencoding = "utf-16"', '[tables.shops]\nheader_lines = 500',
                    '[tables.shops]\nheader = true\npreamble_lines = 301', '[tables.shops]\nescape = "a"',
                    '[tables.shops]\ndelimiter = ";"\nquote = ";"', "least_sure_fill = 2\n[tables.shops]"):
        edited.write_text(damaged)
        with pytest.raises(SystemExit) as end:
            clean.main([str(shops), "--run", str(tmp_path / "bad"), "--plan", str(edited)])
        assert end.value.code == 3 and capfd.readouterr().err.count("\n") == 1, damaged
    edited.write_text('[tables.shops]\ndelimiter = ","\nheader = true\n')   # all but how it is written decided anew
    assert cleaned(shops, tmp_path / "read", "--plan", str(edited)) == first


def test_undo(shops, tmp_path):
    """All rules undone give the input back; one rule undone changes only its own cells."""
    _, changes = cleaned(shops, tmp_path / "run")
    run = tmp_path / "run/clean"
    for rules in ({changes[0][2]}, {change[2] for change in changes}):
        assert clean.main(["--run", str(tmp_path / "run"), "--undo", ",".join(rules), "-q"]) == 0
        found, now, old = (list(csv.reader(path.read_text().splitlines())) for path in
                           (run / "shops.undone.csv", run / "shops.csv", shops))
        expected = [list(row) for row in now]
        for row, column, rule, before, _, _ in changes:
            if rule in rules:
                expected[int(row) + 1][now[0].index(column)] = before
        assert found == expected and found != now
    assert found == old
