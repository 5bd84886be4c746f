"""Versions: records alike in all their words whose numbers are different, as years, sizes and model numbers are.

A typist damages one sign of a number here and there; a catalogue lists the same thing in several sizes, years and
models. One such pair cannot be told from the other, but all links together can: where most of them differ in numbers
that no slip of a finger explains, numbers tell things apart in this table, and such pairs are no matches.
"""

import numpy as np
from rapidfuzz.distance import DamerauLevenshtein

NEVER = -1000.0
SAMPLE = 2000  # links looked at, evenly spaced
LEAST_SHARE = 0.5
LEAST_LINKS = 5
SHORTEST_SLIP = 3  # a number of fewer signs has no sign to spare: 12 and 16 are two numbers
SHORTEST_CODE = 4  # signs of a number that names a thing wherever it stands
DOUBT = -10.0  # weights below this need no veto
PIECE, REMEMBERED = 1024, 100_000  # pairs whose words are made at once, and texts whose words are kept


class Versions:
    """Tells pairs of records that are two versions of a thing.

    slips: whether a number may differ from its like by a slip of the finger; without, it counts as another one.
    """

    def __init__(self, records, slips: bool = True):
        self.records, self.slips = records, slips
        self._words: dict[int, frozenset[str]] = {}

    def words(self, value: int) -> frozenset[str]:
        """Local: the words of a value."""
        if value not in self._words:
            self._words[value] = frozenset(self.records.strings(np.array([value]))[0].split(" "))
        return self._words[value]

    def pairs(self, left: np.ndarray, right: np.ndarray):
        """Local, a generator: the codes of both sides of pairs of records; their words are made for many at once."""
        for start in range(0, len(left), PIECE):
            ours, theirs = (self.records.codes[side[start:start + PIECE]] for side in (left, right))
            differ = (ours >= 0) & (theirs >= 0) & (ours != theirs)
            values = np.unique(np.append(ours[differ], theirs[differ]))
            if len(self._words) > REMEMBERED:
                self._words.clear()
            self._words.update((value, frozenset(text.split(" ")))
                               for value, text in zip(values.tolist(), self.records.strings(values)))
            yield from zip(ours, theirs)

    def are(self, left: np.ndarray, right: np.ndarray) -> bool:
        """Local: whether two records (codes per column) differ as versions do.

        Either all words without digits agree and some number differs by more than a slip, or both have, in a column of
        several words, a code of their own.
        """
        numbers_only, different = True, False
        differ = np.flatnonzero((left >= 0) & (right >= 0) & (left != right))
        for a, b in zip(left[differ].tolist(), right[differ].tolist()):
            a, b = self.words(a), self.words(b)
            mine, others = a - b, b - a
            if not mine and not others:
                continue
            codes = [word for word in mine if _has_digit(word)]
            other_codes = [word for word in others if _has_digit(word)]
            apart = self._apart(codes, other_codes)
            long = [word for word in codes if len(word) >= SHORTEST_CODE]
            other_long = [word for word in other_codes if len(word) >= SHORTEST_CODE]
            if long and other_long and len(a) > 1 and len(b) > 1 and self._apart(long, other_long):
                return True
            if not self.slips and codes and other_codes:
                return True
            numbers_only &= len(codes) == len(mine) and len(other_codes) == len(others)
            different |= apart
        return numbers_only and different

    def differ_in_numbers_alone(self, a: int, b: int) -> bool:
        """Local: whether two values (codes) have all words without digits in common, and each a number of its own."""
        mine, others = self.words(a) - self.words(b), self.words(b) - self.words(a)
        return bool(mine and others) and all(map(_has_digit, mine | others))

    def _apart(self, codes: list[str], others: list[str]) -> bool:
        """Whether some code has no partner on the other side from which it differs by a slip."""
        return any(not any(self.slips and _slip(code, other) for other in theirs)
                   for mine, theirs in ((codes, others), (others, codes)) for code in mine)

    def veto(self, weight: np.ndarray, left: np.ndarray, right: np.ndarray) -> None:
        """Local: takes the weight of pairs (record numbers) that are versions, in place."""
        doubtful = np.flatnonzero(weight > DOUBT)
        for pair, codes in zip(doubtful.tolist(), self.pairs(left[doubtful], right[doubtful])):
            if self.are(*codes):
                weight[pair] = NEVER


def find_versions(world, records, left: np.ndarray, right: np.ndarray) -> Versions | None:
    """Collective: looks at a sample of the links (record numbers); None where numbers do not tell things apart.

    In a single column, where no column of numbers can be looked at alone (`twins`), slips are none where links that
    differ in nothing but such numbers are more frequent than links whose numbers agree: they are house numbers, say.
    Messages: a sum of three counts.
    """
    if len(left) < LEAST_LINKS:
        return None
    sample = np.linspace(0, len(left) - 1, min(len(left), SAMPLE)).astype(np.int64)
    lenient, strict = Versions(records), Versions(records, slips=False)
    mine = sample[world.rank::world.size]
    left, right = left[mine], right[mine]
    seen, any_number, alone = sum(lenient.are(*codes) for codes in lenient.pairs(left, right)), 0, 0
    if records.width == 1:
        any_number = sum(strict.are(*codes) for codes in strict.pairs(left, right))
        alone = sum(strict.differ_in_numbers_alone(*one, *other) for one, other in strict.pairs(left, right))
    seen, any_number, alone = world.sum(np.array([seen, any_number, alone])).tolist()
    if alone > len(sample) - any_number and records.width == 1:
        return strict
    return lenient if seen >= LEAST_SHARE * len(sample) else None


def _has_digit(word: str) -> bool:
    return not word.isalpha() and any(symbol.isdigit() for symbol in word)


def _slip(code: str, other: str) -> bool:
    return (min(len(code), len(other)) >= SHORTEST_SLIP
            and DamerauLevenshtein.distance(code, other, score_cutoff=1) <= 1)
