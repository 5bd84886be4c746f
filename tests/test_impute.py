"""Missing cells: looked up, usual value, or left alone."""

import random

import numpy as np

from mpiedge.cleaning import coding, impute, predict, ridge
from mpiedge.cleaning.impute import Fill, PairCounts
from mpiedge.cleaning.summaries import ColumnSummary
from mpiedge.cleaning.survey import Survey
from mpiedge.cleaning.types import ColumnPlan, decide, is_key
from mpiedge.commands import clean
from mpiedge.kernels.columns import Columns


class OneRank:
    """A world of one rank."""

    def allgather(self, message):
        return [message]


def make_code(plan, cells):
    """How a column of these cells is encoded."""
    return coding.make_code(plan, *Columns.of([cells]).coded(0))


def planned(names, columns):
    """Plans, survey and sample of a small table given column by column."""
    summaries = []
    for column in columns:
        summary = ColumnSummary()
        summary.add(column)
        summaries.append(summary)
    rows = list(zip(*columns))
    survey = Survey(summaries, np.array([len(rows)]), np.array([len(rows)]),
                    sample=[(place, list(row)) for place, row in enumerate(rows)])
    plans = [decide(name, summary, is_key(name, summary)) for name, summary in zip(names, summaries)]
    return plans, survey, impute.canonical_sample(plans, survey)


def filled(names, columns):
    plans, survey, sample = planned(names, columns)
    counts = PairCounts(impute.find_determinants(plans, sample, survey.rows))
    counts.add(columns)
    counts.merge(OneRank())
    fills = impute.plan_fills(plans, survey, sample, counts)
    new = [list(column) for column in columns]
    changes = impute.apply(fills, new, names)
    return new, changes


def towns(rows: int = 200):
    dice = random.Random(3)
    zips = [dice.choice(["01234", "10117", "80331", "04109"]) for _ in range(rows)]
    city = {"01234": "Ulm", "10117": "Berlin", "80331": "Munich", "04109": "Leipzig"}
    return zips, [city[code] for code in zips]


def test_lookup_by_another_column():
    """A blank whose zip is known gets the city of that zip, with rule and confidence."""
    zips, cities = towns()
    new, changes = filled(["zip", "city"], [zips, ["" if row < 10 else city for row, city in enumerate(cities)]])
    assert new[1] == cities and len(changes) == 10
    assert all(rule == "missing: zip -> city" and confidence > 0.9 for _, _, rule, _, confidence in changes)


def test_mode_and_median():
    """Without a determinant, few-valued text gets its usual value and a number the median of its column."""
    dice = random.Random(4)
    color = [dice.choice(["red", "red", "red", "blue"]) for _ in range(100)]
    size = [f"{dice.gauss(10, 2):.1f}" for _ in range(99)]
    color[7], size = "", [*size, ""]
    new, changes = filled(["color", "size"], [color, size])
    assert new[0][7] == "red" and {rule for _, _, rule, _, _ in changes} == {"missing: mode", "missing: median"}
    assert new[1][-1] == sorted(size[:-1], key=float)[49]
    unique = [*(str(7 * row) for row in range(99)), ""]
    floats = [*(f"{7 * row}.0" for row in range(99)), ""]
    assert filled(["color", "weight", "float"], [["red"] * 100, unique, floats])[0][1:] == [unique, floats]
    measured = [*(repr(dice.gauss(0, 1e-8)) for _ in range(99)), ""]
    assert filled(["color", "current"], [color, measured])[0][1][-1] == sorted(measured[:-1], key=float)[49]


def test_keys_labels_and_free_text_are_left_alone():
    """Keys, columns missing in more than 40 % of the rows, and columns without a usual value keep their blanks."""
    rows = 300
    names = ["id", "area", "title", "brand_id"]
    columns = [[str(row) for row in range(rows)], ["" if row % 2 else "Theory" for row in range(rows)],
               ["" if row == 5 else f"title {row}" for row in range(rows)],
               ["" if row == 9 else str(row % 3) for row in range(rows)]]
    new, changes = filled(names, columns)
    assert new == columns and not changes


def test_numbers_of_things_have_no_middle():
    """Numbers of cards, some of them twice and some misspelt, get no median; prices, rounder or of any length, do."""
    dice = random.Random(6)
    cards = [str(dice.randint(10**7, 10**8 - 1)) for _ in range(200)]
    cards += [card if place % 5 else card[:3] + card[4:] for place, card in enumerate(cards[:80])]
    prices = [str(dice.randint(95, 900) * 10**4) for _ in range(280)]
    people = [str(100 * int(dice.lognormvariate(10, 1) / 100)) for _ in range(280)]
    columns = [["", *column[1:]] for column in (cards, prices, people)]
    new, _ = filled(["card", "price", "people"], columns)
    assert [column[0] == "" for column in new] == [True, False, False]


def test_chance_agreement_is_no_rule():
    """Two unrelated columns are no determinant of each other, nor is a constant's neighbour."""
    dice = random.Random(5)
    first = [dice.choice("abc") for _ in range(300)]
    second = [dice.choice(["x", "x", "x", "x", "y"]) if row > 3 else "" for row in range(300)]
    plans, survey, sample = planned(["first", "second"], [first, second])
    assert impute.find_determinants(plans, sample, survey.rows) == []


def test_lookups_see_what_was_there_before():
    """A value that was itself filled in decides nothing."""
    fills = [Fill(0, [], "a", "mode", 0.5), Fill(1, [(0, {"a": ("b", 0.9)})])]
    columns = [["", "a"], ["", ""]]
    changes = impute.apply(fills, columns, ["left", "right"])
    assert columns == [["a", "a"], ["", "b"]] and len(changes) == 2


def test_prediction_from_other_columns():
    """A linear relation is found and its error told; noise has no model; blanks are filled near the truth."""
    dice = random.Random(6)
    height = [f"{dice.gauss(170, 10):.1f}" for _ in range(300)]
    weight = [f"{0.9 * float(value) - 80 + dice.gauss(0, 1):.1f}" for value in height]
    noise = [f"{dice.gauss(0, 1):.1f}" for _ in range(300)]
    size = ["tall" if float(value) > 170 else "small" for value in height]
    columns = [height, ["", *weight[1:]], ["", *noise[1:]], ["", *size[1:]]]
    plans = planned(["height", "weight", "noise", "size"], columns)[0]
    codes = [make_code(*pair) for pair in zip(plans, columns)]
    read = [code.read(cells) for code, cells in zip(codes, columns)]
    found = [ridge.fit(codes, read, cells, place) for place, cells in enumerate(columns)]
    assert found[2] is None and 0.8 < found[1]["error"] < 1.5 < 7 < found[1]["usual_error"]
    assert found[3]["error"] < 0.15 < 0.4 < found[3]["usual_error"]
    guess = predict.Model(codes, 1, **found[1]).predict(columns, [0])
    assert abs(float(guess[0]) - float(weight[0])) < 4 and len(guess[0].split(".")[1]) == 1
    assert predict.Model(codes, 3, **found[3]).predict(columns, [0]) == [size[0]]


def test_predicted_numbers_are_as_long_as_others():
    """They have the decimals of nearly all others, but none that tell nothing; tiny ones are no zeros."""
    def decimals(cells: list[str]) -> int:
        return make_code(ColumnPlan("size", kind="decimal"), cells).decimals

    assert decimals([*(f"{row}.25" for row in range(99)), "8.500001"]) == 2
    assert decimals([repr(row / 7) for row in range(1, 99)]) == 6
    assert decimals([repr(row * 1e-8 / 7) for row in range(1, 99)]) == 14


def test_a_wide_table_is_predicted_in_little_room():
    """However many words its columns have, a row becomes few numbers; numbers beyond all bounds become none."""
    words = [f"w{number % 50}" for number in range(300)]
    codes = [make_code(ColumnPlan(f"c{place}"), words) for place in range(150)]
    coding.make_room(codes)
    assert 150 < sum(code.width for code in codes) <= coding.MOST_WIDTH
    assert codes[0].encode(codes[0].read(["w0", "w49", "other", ""])).shape == (4, codes[0].width)
    huge = make_code(ColumnPlan("huge", kind="decimal"), ["1e308", "-1e308", "2.5"] * 100)
    assert huge.width == 0 and huge.encode(huge.read(["1e308"])).shape == (1, 0)


def test_in_wide_tables_columns_are_compared_with_near_ones():
    """A column decides another beside it in a table of 1,000 columns with blanks, in bounded time."""
    zips, cities = towns()
    noise = [["", *(str(7 * row * place % 11) for row in range(1, 200))] for place in range(1, 999)]
    columns = [*noise[:499], zips, ["", *cities[1:]], *noise[499:]]
    plans, survey, sample = planned([f"c{place}" for place in range(len(columns))], columns)
    assert (499, 500) in impute.find_determinants(plans, sample, survey.rows)


def test_blanks_that_come_together_stay():
    """A column that is blank only where another one is has nothing that was lost."""
    dice = random.Random(7)
    bitter = ["" if row % 3 else dice.choice("abc") for row in range(300)]
    strength = ["" if row % 15 == 1 else dice.choice("xxy") for row in range(300)]
    new, changes = filled(["bitter", "strength"], [bitter, strength])
    assert new[1] == strength and not changes


def test_a_value_not_sure_enough_is_only_flagged():
    """Below the confidence asked for a blank stays blank and is listed."""
    fills = [Fill(0, [], "a", "mode", 0.5, least=0.6), Fill(1, [], "b", "mode", 0.7, least=0.6)]
    columns = [["", "a"], ["", "b"]]
    changes = impute.apply(fills, columns, ["left", "right"])
    assert columns == [["", "a"], ["b", "b"]]
    assert changes == [(0, 0, "flag: missing: mode", "", 0.5), (0, 1, "missing: mode", "b", 0.7)]


def test_the_usual_value_where_memory_is_tiny(tmp_path, capfd, monkeypatch):
    """Where predictions would not fit into memory, blanks get the usual value, and that is said."""
    dice = random.Random(5)
    sizes = [dice.gauss(50, 5) for _ in range(200)]
    lines = [f"{size:.2f},{'' if row % 10 == 3 else f'{2 * size + dice.gauss(0, 1):.0f}'}"
             for row, size in enumerate(sizes)]
    (tmp_path / "t.csv").write_text("\n".join(["size,weight", *lines, ""]))

    def rules(run: str) -> set[str]:
        assert clean.main([str(tmp_path / "t.csv"), "--run", str(tmp_path / run), "--keep-duplicates"]) == 0
        listed = (tmp_path / run / "clean/t.changes.csv").read_text().splitlines()[1:]
        return {line.split(",")[2] for line in listed}

    assert rules("enough") == {"missing: predicted"}
    monkeypatch.setattr(predict, "estimate_bytes", lambda *_: 1e15)
    assert rules("tiny") == {"missing: median"} and "too little to learn predictions" in capfd.readouterr().out


def test_a_plan_predicts_the_same_again(tmp_path):
    """Words that are too doubtful to be filled in help to predict numbers, with the plan of the run, too."""
    dice = random.Random(2)
    lines = []
    for _ in range(600):
        size = dice.randrange(100)
        word = "abcdefgh"[(size // 13 + dice.choice((0, 0, 0, 1, 2, 3, 4, 5, 6))) % 8]
        weight = f"{size + 20 * 'hcaegbfd'.index(word) + dice.gauss(0, 40):.2f}"
        word, weight = (cell if dice.random() > 0.1 else "" for cell in (word, weight))
        lines.append(f"{size},{word},{weight}\n")
    table, plan = tmp_path / "t.csv", tmp_path / "first/clean/plan.toml"
    table.write_text("size,word,weight\n" + "".join(lines))
    words = [str(table), "-q", "--keep-duplicates", "--run"]
    assert clean.main([*words, str(tmp_path / "first")]) == 0 and 'predict_first = [\n    "word",' in plan.read_text()
    assert clean.main([*words, str(tmp_path / "again"), "--plan", str(plan)]) == 0
    for name in ("t.csv", "t.changes.csv", "plan.toml"):
        assert (plan.parent / name).read_bytes() == (tmp_path / "again/clean" / name).read_bytes()
