"""Counts of changes and their examples."""

from itertools import permutations

from mpiedge.cleaning.report import example
from mpiedge.cleaning.tally import Tally


def test_examples_show_where_texts_differ():
    """Of long texts the part that differs is shown, short and flagged ones as they are."""
    long = "heart attack patients given aspirin at arrival or "
    assert example("12 oz", "12") == "'12 oz' -> '12'" and example("a  b", "a  b") == "'a b'"
    shown = example(long + "latex", long + "later")
    assert shown.count("latex") == shown.count("later") == 1 and len(shown) < 80


def test_examples_are_different_and_the_first():
    """However the parts of a table merge, the counts and the first two different changes are the same."""
    changes = [(3, "x", "y"), (1, "x", "y"), (2, "a", "b"), (0, "n", "m"), (1, "a", "b")]

    def tally(part) -> Tally:
        found = Tally()
        for row, before, after in part:
            found.add(row, "city", "typo", before, after)
        return found

    for order in permutations(changes):
        whole = tally(order[:2])
        for part in (order[2:4], order[4:]):
            whole.absorb(tally(part).to_message())
        assert whole.counts["city", "typo"] == 5
        assert whole.examples["city", "typo"] == [(0, "n", "m"), (1, "a", "b")]
