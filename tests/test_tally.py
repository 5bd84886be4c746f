"""Counts of changes and their examples."""

from itertools import permutations

from mpiedge.cleaning.tally import Tally


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
