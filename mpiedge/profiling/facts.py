"""What is known exactly of a column's cells however many they are, as a few numbers that merge in any order."""

import numpy as np

from mpiedge.kernels import patterns
from mpiedge.profiling.numbers import Moments, read_numbers
from mpiedge.profiling.texts import Texts


class Facts:
    """Facts about the cells of a column that are not missing.

    Attributes: missing: the others; shortest, longest: in characters, None without cells; characters: of all cells;
    numeric, integers: whether all are; moments: of the numbers as long as all are.
    """

    def __init__(self, may_be_numbers: bool):
        self.missing = self.characters = 0
        self.shortest = self.longest = None
        self.numeric = self.integers = may_be_numbers
        self.moments = Moments()

    def add(self, texts: Texts, counts: np.ndarray) -> np.ndarray | None:
        """Local: packed strings, none of them empty, that occur `counts` times; as numbers if all so far are."""
        if not len(texts):
            return np.zeros(0) if self.numeric else None
        shortest, longest, characters = patterns.characters(texts.data, texts.length, counts)
        self._stretch(shortest, longest)
        self.characters += characters
        numbers = read_numbers(texts) if self.numeric else None
        if numbers is None:
            self.numeric = self.integers = False
            return None
        self.integers &= numbers[1]
        self.moments.add(numbers[0], counts)
        return numbers[0]

    def _stretch(self, shortest: int, longest: int) -> None:
        self.shortest = shortest if self.shortest is None else min(self.shortest, shortest)
        self.longest = longest if self.longest is None else max(self.longest, longest)

    def to_message(self) -> dict:
        """Local: what travels between ranks."""
        return {"missing": self.missing, "characters": self.characters, "shortest": self.shortest,
                "longest": self.longest, "numeric": self.numeric, "integers": self.integers,
                "moments": self.moments.to_message() if self.numeric else None}

    def merge(self, message: dict) -> None:
        """Local: adds what another rank knows."""
        self.missing += message["missing"]
        self.characters += message["characters"]
        if message["shortest"] is not None:
            self._stretch(message["shortest"], message["longest"])
        self.numeric &= message["numeric"]
        self.integers &= message["integers"]
        if self.numeric:
            self.moments.merge(message["moments"])

    @classmethod
    def merged(cls, messages: list[dict]) -> "Facts":
        """Local: the facts of all ranks."""
        facts = cls(True)
        for message in messages:
            facts.merge(message)
        return facts
