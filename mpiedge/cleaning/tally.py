"""Changes counted by column and rule, with examples, for what people read of a run."""

from collections import Counter
from dataclasses import dataclass, field

EXAMPLES = 2


@dataclass
class Tally:
    """Changes counted by (column, rule), with examples of each; merges to the same whole in any order.

    examples: (column, rule) -> [(row, before, after)], the EXAMPLES different ones that come first, in order of rows.
    """

    counts: Counter = field(default_factory=Counter)
    examples: dict[tuple[str, str], list[tuple[int, str, str]]] = field(default_factory=dict)

    def add(self, row: int, column: str, rule: str, before: str, after: str) -> None:
        """Local: count one change."""
        self.counts[column, rule] += 1
        known = self.examples.setdefault((column, rule), [])
        if len(known) < EXAMPLES or row < known[-1][0]:
            self._remember(column, rule, (row, before, after))

    def _remember(self, column: str, rule: str, *found: tuple[int, str, str]) -> None:
        first: dict[tuple[str, str], int] = {}
        for row, before, after in sorted([*self.examples.get((column, rule), []), *found]):
            first.setdefault((before, after), row)
        self.examples[column, rule] = [(row, *pair) for pair, row in list(first.items())[:EXAMPLES]]

    def merge(self, world) -> None:
        """Collective: afterwards every rank has the counts of all. Messages: this rank's counts to every rank."""
        message = self.to_message()
        self.counts, self.examples = Counter(), {}
        for other in world.allgather(message):
            self.absorb(other)

    def to_message(self) -> list:
        """All there is, for `absorb`."""
        return [[*key, number, self.examples[key]] for key, number in self.counts.items()]

    def absorb(self, message: list) -> None:
        """Local: counts in what another tally says."""
        for column, rule, number, examples in message:
            self.counts[column, rule] += number
            self._remember(column, rule, *map(tuple, examples))

    def by_rule(self) -> dict[str, int]:
        """Rule -> changes, all columns together, sorted by rule."""
        totals: Counter[str] = Counter()
        for (_, rule), number in self.counts.items():
            totals[rule] += number
        return dict(sorted(totals.items()))
