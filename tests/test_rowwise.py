"""Cells judged by their row and by the rest of their column: orders, limits, wrong columns; sound tables stay."""

import random

import numpy as np

from mpiedge.cleaning.limits import find_limits
from mpiedge.cleaning.misplaced import find_misplaced
from mpiedge.cleaning.orders import find_orders
from mpiedge.commands import clean


def as_numbers(_, cells):
    return np.array([float(cell) for cell in cells])


def orders_of(*columns):
    numbers = {place: np.array(column, float) for place, column in enumerate(columns)}
    return find_orders(numbers, dict.fromkeys(numbers, False), {place: ["day", str(place)] for place in numbers})


def blamed(orders, *columns):
    cells = [[str(value) for value in column] for column in columns]
    return [(row, place, after) for row, place, after, _, _ in orders.judge(cells, as_numbers)]


def test_order_between_columns():
    """begin <= middle <= end: an end before both others is to blame alone, a begin after the middle only with it."""
    dice = random.Random(1)
    begin = [dice.randrange(10_000) for _ in range(1000)]
    middle = [value + dice.randrange(1, 900) for value in begin]
    end = [value + dice.randrange(1, 900) for value in middle]
    end[3], end[7] = begin[3] - 400, begin[7] - 2000
    found = blamed(orders_of(begin, middle, end), begin, middle, end)
    assert found == [(3, 2, None), (7, 2, None)]
    end[3], end[7] = middle[3] + 5, middle[7] + 5
    middle[11] = begin[11] - 500
    assert {place for _, place, _ in blamed(orders_of(begin, middle), begin, middle)} == {0, 1}


def test_swapped_days_are_told_by_their_distance():
    """Contracts of one, two or three years whose days were swapped are put right."""
    dice = random.Random(2)
    begin = [dice.randrange(10_000) for _ in range(1000)]
    end = [value + 365 * dice.randrange(1, 4) for value in begin]
    begin[5], end[5] = end[5], begin[5]
    assert blamed(orders_of(begin, end), begin, end) == [(5, 0, str(end[5])), (5, 1, str(begin[5]))]


def test_growth_and_chance_are_no_orders():
    """Last year and this year, height and weight, and numbers without relation have no order."""
    draw = np.random.default_rng(3)
    last = draw.normal(100, 20, 2000)
    assert not orders_of(last, last + draw.normal(10, 5, 2000)).found
    assert not orders_of(draw.normal(70, 5, 2000), draw.normal(170, 5, 2000)).found
    assert not orders_of(draw.normal(0, 1, 2000), draw.normal(1, 1, 2000)).found


def test_orders_are_of_one_kind():
    """Fewer sales than inhabitants are no order, nor least pays that begin to exceed in a part of the table; payments
    that often equal the claims are one, and so are a low and a high."""
    draw = np.random.default_rng(6)
    low = np.round(draw.gamma(2, 1000, 1000))
    high = low + np.round(draw.gamma(1, 500, 1000))
    high[[5, 105]] = low[[5, 105]] - 900
    families, called = {0: False, 1: False}, {0: ["sales"], 1: ["people"]}
    assert not find_orders({0: low, 1: high}, families, called).found
    assert find_orders({0: low, 1: high}, families, {0: ["low"], 1: ["high"]}).found
    later = high.copy()
    later[900:906] = low[900:906] - 900
    assert not find_orders({0: low, 1: later}, families, {0: ["low"], 1: ["high"]}).found
    high[200:500] = low[200:500]
    assert find_orders({0: low, 1: high}, families, called).found


def test_limits():
    """Sentinels, thousandfold numbers and false signs are beyond the limits; heavy tails and bell curves have none."""
    draw = np.random.default_rng(4)
    warm = np.round(draw.normal(20, 1.5, 1000), 1)
    dirty = np.concatenate([warm, [-999.0] * 9, [2150.0]])
    assert find_limits(0, dirty, True, 1).judge(dirty) == list(range(1000, 1010))
    assert find_limits(0, np.append(warm, 204), True, 1).with_point("204") == "20.4"
    stock = draw.integers(0, 300, 1000).astype(float)
    stock[[5, 8]] *= -1
    stock[[5, 8]] -= 90
    codes = np.concatenate([draw.integers(30001, 30150, 1000), [32000] * 20, [32002] * 16, [32003] * 14]).astype(float)
    assert find_limits(0, codes, True, 0) is None
    assert find_limits(0, stock, True, 0).judge(stock) == [5, 8]
    for sound in (warm, draw.pareto(1, 3000), draw.standard_cauchy(3000), draw.lognormal(0, 2, 3000),
                  np.arange(1900, 2010, .5), draw.poisson(.3, 3000).astype(float)):
        assert find_limits(0, sound, True, 0) is None


def test_misplaced_cells():
    """Swapped cells change back, a cell beside its blank own column returns; names that are both given and family
    names stay."""
    dice = random.Random(5)
    land = {"Ulm": "Germany", "Lyon": "France", "Cork": "Ireland", "Graz": "Austria"}
    towns = [dice.choice(list(land)) for _ in range(300)]
    lands = [land[town] for town in towns]
    for row in (3, 4):
        towns[row], lands[row] = lands[row], towns[row]
    moved = [row for row in range(20, 60, 8)]
    for row in moved:
        towns[row], lands[row] = "", towns[row]
    (pair,) = find_misplaced([towns, lands], [0, 1])
    found = {(row, place): after for row, place, after, _, _ in pair.judge([towns, lands])}
    assert all(found[row, 0] == lands[row] and found[row, 1] == towns[row] for row in (3, 4))
    assert all(found[row, 0] == lands[row] and found[row, 1] is None for row in moved) and len(found) == 14
    names = ["James", "Taylor", "Kelly", "Anna", "Jordan", "Smith"]
    assert not find_misplaced([[dice.choice(names) for _ in range(300)] for _ in range(2)], [0, 1])


def test_a_plan_repeats_what_rows_tell(tmp_path):
    """Orders and cells in the wrong column are found again by the plan of a run, and left out when it leaves them out.
    """
    dice = random.Random(6)
    land = {"Ulm": "Germany", "Lyon": "France", "Cork": "Ireland"}
    rows = [[town, land[town], begin, begin + 365 * dice.randrange(1, 4)] for town in land for _ in range(100)
            for begin in [dice.randrange(10_000)]]
    for row in rows[5:9]:
        row[0], row[1], row[2], row[3] = row[1], row[0], row[3], row[2]
    path = tmp_path / "table.csv"
    path.write_text("\n".join(",".join(map(str, row)) for row in [["town", "land", "begin", "end"], *rows]))

    def changes(run: str, *flags: str) -> str:
        flags = (*flags, "--run", str(tmp_path / run), "-q", "--keep-duplicates")
        assert clean.main([str(path), "--steps", "types,typos,rules", *flags]) == 0
        return (tmp_path / run / "clean/table.changes.csv").read_text()

    first, plan = changes("first"), tmp_path / "first/clean/plan.toml"
    assert first.count("swapped") == 8 and first.count("order: begin <= end") == 8
    assert changes("again", "--plan", str(plan)) == first
    plan.write_text("".join(line for line in plan.read_text().splitlines(True) if '"order"' not in line))
    assert changes("fewer", "--plan", str(plan)).count("order") == 0
