"""Tables of different things whose rows are much alike: campuses of a school, winners of a race."""

import numpy as np
import pytest
from tables import MemoryStage, MemoryTable

from mpiedge.cleaning.duplicates import find_duplicates
from mpiedge.cleaning.twins import renamed
from mpiedge.runtime.world import World


@pytest.fixture(scope="module")
def stage():
    return MemoryStage(World())


def word(draw) -> str:
    return "".join(draw.choice(list("bdfgklmnprst" if place % 2 else "aeiou")) for place in range(8))


def campuses(draw) -> tuple[list[str], list[list[str]]]:
    """Schools, some of them in several towns; what they earn and whom they employ is counted together."""
    rows = []
    for number in range(150):
        name, state = f"{word(draw)} school", word(draw)[:2]
        together = [str(draw.integers(10_000, 90_000)), str(draw.integers(50, 5000)), str(draw.integers(5, 900))]
        rows += [[str(number * 10 + place), f"{name} {word(draw)}", state, *together]
                 for place in range(draw.integers(2, 5) if number % 5 == 0 else 1)]
    return ["unit", "name", "state", "earnings", "working", "waiting"], rows


def winners(draw) -> tuple[list[str], list[list[str]]]:
    """Who won a race in which year; some won it often."""
    runners = [[f"{word(draw)} {word(draw)}", draw.choice(["Finland", "Kenya", "Japan", "Canada"])] for _ in range(70)]
    rows = [["men" if place % 2 else "women", str(1900 + place // 2), *runners[draw.integers(0, 70)],
             f"0{draw.integers(2, 4)}:{draw.integers(10, 60)}:{draw.integers(10, 60)}"] for place in range(200)]
    return ["event", "year", "winner", "country", "time"], rows


def payments(draw) -> tuple[list[str], list[list[str]]]:
    """What an office paid to whom: a few suppliers, often paid on one day, and an amount with a comma for thousands."""
    paid_for = [f"{word(draw)} {word(draw)}" for _ in range(30)]
    suppliers = [[f"{word(draw)} {word(draw)} limited", draw.choice(paid_for), word(draw)] for _ in range(40)]
    rows = [[f"{place // 7 + 1:02}/01/2011", *suppliers[int(40 * draw.random()**2)], str(51_000_809 + 31 * place),
             f"{draw.integers(25, 900)},{draw.integers(0, 1000):03}.{draw.integers(0, 100):02}"]
            for place in range(190)]
    return ["date", "supplier", "type", "area", "transaction", "amount"], rows


def pools(draw) -> tuple[list[str], list[list[str]]]:
    """Swimming pools of clubs; where a club has two, they mostly are of different kinds."""
    rows = []
    for _ in range(250):
        club = [f"{word(draw)} {word(draw)}", f"{draw.integers(1, 99) * 100} {word(draw)} road",
                str(40_200 + draw.integers(0, 50))]
        kinds = ["swimming pool"] if draw.random() < 0.6 else [
            "swimming pool", "swimming pool" if draw.random() < 0.3 else "wading pool"]
        rows += [[kind, str(draw.integers(29_000, 99_000)), *club] for kind in kinds]
    return ["kind", "permit", "club", "address", "zip"], rows


@pytest.mark.parametrize("table", [campuses, winners, payments, pools])
def test_different_things_with_much_in_common_stay(stage, table):
    """Rows that agree in numbers and not in names, or in nothing but one name, are different things; it is asked."""
    names, rows = table(np.random.default_rng(2))
    found = find_duplicates(stage, MemoryTable(names, rows))
    assert len(set(found.cluster_id.tolist())) == len(rows)
    assert found.summary["columns_that_differ_by_record"] and found.questions


def families(draw) -> tuple[list[str], list[list[str]]]:
    """People who live together; some are entered twice."""
    rows = []
    for _ in range(150):
        home = [word(draw), f"{draw.integers(1, 999)} {word(draw)} street", word(draw)]
        for _ in range(draw.integers(1, 4)):
            born = f"{draw.integers(1940, 2010)}-{draw.integers(1, 13):02}-{draw.integers(1, 29):02}"
            person = [word(draw), born, *home]
            rows += [person, [*person[:2], home[0][:-1], *home[1:]]] if draw.random() < 0.2 else [person]
    return ["given", "born", "family", "street", "town"], rows


def test_matches_beyond_what_tells_twins_apart_are_none(stage, monkeypatch):
    """Where many more pairs match than agree in the columns that tell twins apart, nothing is merged but asked."""
    names, rows = families(np.random.default_rng(3))
    found = find_duplicates(stage, MemoryTable(names, rows))
    assert found.summary["twin_columns"] == ["given", "born"]
    assert 20 < len(rows) - len(set(found.cluster_id.tolist())) < 80
    monkeypatch.setattr("mpiedge.cleaning.attempt.MOST_UNTOLD", 0.5)
    found = find_duplicates(stage, MemoryTable(names, rows))
    assert len(set(found.cluster_id.tolist())) == len(rows) and found.questions


def test_other_words_are_told_from_slips():
    """Towns that take each other's place are other words; slips, initials and words left out are none."""
    one = ["south university montgomery", "john smith", "j smith", "smith corp", "atomic mass constant"]
    other = ["south university savannah", "jonh smith", "john smith", "smith", "unified atomic mass unit"]
    assert [renamed([a], [b]) for a, b in zip(one, other)] == [1, 0, 0, 0, 1]
    assert renamed([], []) == 0 and renamed(one, other) == 0.4
