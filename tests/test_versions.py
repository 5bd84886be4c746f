"""Versions of a thing are told from typing errors: by the pair, and by what most links of a table look like."""

import numpy as np
import pytest
from tables import MemoryStage, MemoryTable, OneRank

from mpiedge.cleaning.records import read_records
from mpiedge.cleaning.resolve import tell_things_apart
from mpiedge.cleaning.summaries import ColumnSummary
from mpiedge.cleaning.types import ColumnPlan
from mpiedge.cleaning.versions import NEVER, Versions, find_versions


def records_of(*rows):
    stage, names = MemoryStage(OneRank()), [f"c{place}" for place in range(len(rows[0]))]
    return read_records(stage, MemoryTable(names, [list(row) for row in rows]), names, None)[0]


@pytest.mark.parametrize("left, right, versions", [
    (("torpedo ale", "12"), ("torpedo ale", "16"), True),
    (("torpedo ale", "12"), ("torpedo ale (2011)", "12"), True),
    (("torpedo ale", "12"), ("torpedo ale", "12"), False),
    (("torpedo ale", "12"), ("torpedo ale", ""), False),
    (("torpedo ale", "1971-06-24"), ("torpedo ale", "1971-05-24"), True),
    (("torpedo ale", "19710624"), ("torpedo ale", "19710524"), False),
    (("torpedo ale", "12"), ("torpedos ale", "16"), False),
    (("black camera LN26A450", "x"), ("silver camera LN52A860", "x"), True),
    (("black camera LN26A450", "x"), ("silver camera", "x"), False),
])
def test_pairs(left, right, versions):
    """Numbers that differ by more than a slip make a version, words and single signs do not; codes do anywhere."""
    records = records_of(left, right, ("other thing", "77"), ("third", "78"))
    assert Versions(records).are(*records.codes[:2]) is versions
    weight = np.array([5.0])
    Versions(records).veto(weight, np.array([0]), np.array([1]))
    assert (weight[0] == NEVER) is np.bool_(versions)


@pytest.mark.parametrize("share, found", [(0.7, True), (0.3, False)])
def test_most_links_decide(share, found):
    """Numbers tell things apart where most links differ in them alone."""
    rows = [row for k in range(20) for row in (
        [f"name {chr(97 + k)}x", "10"], [f"name {chr(97 + k)}x" if k < 20 * share else f"name {chr(97 + k)}y", "25"])]
    records = records_of(*rows)
    assert (find_versions(OneRank(), records, np.arange(0, 40, 2), np.arange(1, 40, 2)) is not None) is found
    assert find_versions(OneRank(), records, np.arange(2), np.arange(2)) is None


def test_slips_that_are_none():
    """In one column numbers one sign apart in most links are house numbers: even a mistyped street does not matter."""
    rows = [[f"{number} street {chr(97 + k)}"] for k in range(20) for number in (200 + k, 205 + k)]
    records = records_of(*rows, ["200 stret a"])
    houses = find_versions(OneRank(), records, np.arange(0, 40, 2), np.arange(1, 40, 2))
    assert not houses.slips and houses.are(records.codes[1], records.codes[40])
    assert not houses.are(records.codes[0], records.codes[40])
    assert find_versions(OneRank(), records, np.arange(0, 40, 2), np.arange(0, 40, 2)) is None
    rows = [[f"{name}{letter} street {number}"] for k, letter in enumerate("abcdefghijklmnopqrst")
            for name, number in (("main", 200 + k), ("mian", 205 + k))]
    mistyped = records_of(*rows)
    assert find_versions(OneRank(), mistyped, np.arange(0, 40, 2), np.arange(1, 40, 2)) is None


@pytest.mark.parametrize("values, apart", [
    ([("Ann", "Berg"), ("Bob", "Carr")], False),
    ([(f"name{chr(97 + k % 25)}", f"family{chr(97 + k % 24)}") for k in range(400)], True),
    ([(f"name{chr(97 + k % 25)}", f"kind{chr(97 + k % 4)}") for k in range(400)], False),
    ([(f"name{chr(97 + k % 26)}{chr(97 + k // 26)}", "kind") for k in range(400)], True),
    ([(f"{7654321 + 7919 * k}", f"0{1234567 + 31 * k}", ("Berg", "Carr")[k % 2]) for k in range(400)], True),
    ([(f"{7654321 + 7919 * k}", f"{1234567 + 31 * (k % 40)}", ("Berg", "Carr")[k % 2]) for k in range(400)], False),
    ([(f"{7654321 + 7919 * k}", f"0{1234567 + 31 * k}", f"{k % 2}") for k in range(400)], False),
    ([(f"0xbf{7919 * k:06x}", f"0xbf{7907 * k:06x}") for k in range(400)], False),
    ([(f"0xbf{7919 * k:06x}", f"M\u00fcll{chr(97 + k % 26)}{chr(97 + k // 26)}r 12") for k in range(400)], True),
    ([(f"0xbf{7919 * k:06x}", f"\u5317\u4eac{chr(0x4e00 + k)}\u8def12\u53f7{k}\u5ba4") for k in range(400)], True),
])
def test_what_tells_things_apart(values, apart):
    """One column of many words, two in which rows seldom agree, or words beside two of long numbers; a few categories
    do not, nor do codes."""
    summaries = [ColumnSummary() for _ in values[0]]
    for summary, cells in zip(summaries, zip(*(values * 3 if len(values) < 3 else values))):
        summary.add(cells)
    plans = [ColumnPlan(name, kind="integer" if summary.forms["integer"] else "text")
             for name, summary in zip("abc", summaries)]
    assert tell_things_apart(plans, summaries) is apart
