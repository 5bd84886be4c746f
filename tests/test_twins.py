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


@pytest.mark.parametrize("table", [campuses, winners])
def test_different_things_with_much_in_common_stay(stage, table):
    """Rows that agree in numbers and not in names, or in nothing but one name, are different things; it is asked."""
    names, rows = table(np.random.default_rng(2))
    found = find_duplicates(stage, MemoryTable(names, rows))
    assert len(set(found.cluster_id.tolist())) == len(rows)
    assert found.summary["columns_that_differ_by_record"] and found.questions


def test_other_words_are_told_from_slips():
    """Towns that take each other's place are other words; slips, initials and words left out are none."""
    one = ["south university montgomery", "john smith", "j smith", "smith corp", "atomic mass constant"]
    other = ["south university savannah", "jonh smith", "john smith", "smith", "unified atomic mass unit"]
    assert [renamed([a], [b]) for a, b in zip(one, other)] == [1, 0, 0, 0, 1]
    assert renamed([], []) == 0 and renamed(one, other) == 0.4
