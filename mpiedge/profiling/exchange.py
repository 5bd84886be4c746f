"""Strings of columns meet at their owners: equal ones of all ranks get one code."""

from itertools import pairwise

import numpy as np

from mpiedge.kernels import dictionary
from mpiedge.profiling.dealing import add_arrived, for_each, messages_of, narrow
from mpiedge.profiling.local import BUCKETS
from mpiedge.profiling.spill import Spill
from mpiedge.profiling.texts import Texts


class MergedColumn:
    """One column on its way: the ids of this rank get codes, and strings of all ranks whose hash it owns are numbered.

    mapping: the code of each id (uint32), None when ids are codes already (one rank whose strings are all in one
    dictionary). times: how often each id occurs (uint32), None when nobody asks for that. owned: the owned strings;
    ranges: their codes, in their order, as (first, how many); counts: how often each occurs (int64), in parts.
    spilled: in which files the text, the lengths and the counts of those are that were owned in earlier exchanges, None
    where they stay in memory. distinct: codes that are in use. missing: that of the empty string, None when there is
    none or before it came.
    """

    def __init__(self, world, local, may_be_missing: bool, keep_values: bool, values_folder):
        self.local, self.may_be_missing, self.keep_values = local, may_be_missing, keep_values
        self.distinct, self.missing = 0, None
        self.direct = world.size == 1 and local.compared and not local.generations
        self.mapping = None if self.direct else np.empty(len(local), np.uint32)
        self.times = _times(local) if keep_values else None
        self.owned = local.dictionary if self.direct else dictionary.new()
        self.ranges: list[tuple[int, int]] = []
        self.counts: list[np.ndarray] = []
        self.done = 0  # owned strings that have codes
        self.spilled = tuple(Spill(values_folder) for _ in range(3)) if keep_values and values_folder else None

    def strings(self, first: int, stop: int) -> list[tuple[Texts, np.ndarray | slice]]:
        """Local: the strings of some buckets in parts, and which ids they have."""
        return [] if self.direct else self.local.strings(first, stop)

    def let_go(self) -> None:
        """Local: the strings are on their way, all of them: the dictionary they came from is not held besides."""
        if not self.direct:
            self.local.dictionary, self.times = dictionary.new(), None

    def expect(self) -> None:
        """Local: before strings come: no string of one exchange comes again in another, so none is looked for."""
        if not self.direct and (self.spilled or not self.keep_values):
            self.spill()
            self.owned, self.done = dictionary.new(), 0

    def spill(self) -> None:
        """Local: the owned strings and their counts go to their files, if they have any."""
        if self.spilled:
            for file, array in zip(self.spilled, [*self.owned.strings(), *self.counts]):
                file.append(array)
            self.counts = []

    def came(self, counts: np.ndarray | None, empty: int) -> tuple[int, int]:
        """Local: after strings have come; counts: how often the new ones occur; empty: the number of the empty string,
        or -1. Returns how many are new, and which of these is the empty one."""
        fresh = len(self.owned) - self.done
        if self.direct and self.may_be_missing:
            empty = next(iter(np.flatnonzero(self.owned.strings()[1] == 0).tolist()), -1)
        if self.keep_values:
            self.counts.append(self.times.astype(np.int64) if self.direct else counts)
        return fresh, empty - self.done if empty >= 0 else -1

    def number(self, rank: int, fresh: list[int], empty: list[int]) -> list[int]:
        """Local: the codes of the strings that are new on each rank follow those of the ranks before it: the first of
        each. fresh, empty: as of `came`, of every rank."""
        begins = []
        for new, place in zip(fresh, empty):
            if place >= 0:
                self.missing = self.distinct + place
            begins.append(self.distinct)
            self.distinct += new
        self.ranges.append((begins[rank], fresh[rank]))
        self.done = len(self.owned)
        return begins

    def values(self, number: np.ndarray) -> tuple[Texts, np.ndarray, np.ndarray]:
        """Local: the owned strings, their final codes and how often they occur; number: the final code of each."""
        parts = (number[begin : begin + count] for begin, count in self.ranges)
        if not self.spilled:
            return Texts(*self.owned.strings()), np.concatenate(list(parts)), np.concatenate(self.counts)
        self.spill()
        codes = Spill(self.spilled[0].folder)
        for part in parts:
            codes.append(part)
        text, lengths, counts = (one.mapped(kind) for one, kind in zip(self.spilled, (np.uint8, np.int32, np.int64)))
        return Texts(text, lengths), codes.mapped(number.dtype), counts

    def write(self, codes: np.ndarray, starts: dict[int, int]) -> None:
        """Local: the codes of this rank's rows, each in its place; starts: the first row of each block."""
        for order, ids in self.local.ids:
            start = starts[order]
            if self.mapping is None:
                codes[start : start + len(ids)] = ids
            else:
                dictionary.spread(self.mapping, ids, codes[start : start + len(ids)])
        self.local = self.mapping = None


def _times(local) -> np.ndarray:
    """Local: how often each id of a column occurs."""
    times = np.zeros(len(local), np.uint32)
    for _, ids in local.ids:
        dictionary.count(ids, times)
    return times


def exchange(world, merged: list[MergedColumn], owners: np.ndarray, first: int, stop: int) -> None:
    """Collective: the strings of the buckets [first, stop) of some columns get their codes.

    owners: as of `dictionary.part_owners`. Messages: strings and how often they occur to their owners, and back what
    numbers they have there and how many of these are new (all-to-all twice).
    """
    sent, numbers, counts, messages = _outgoing(world, merged, owners, first, stop)
    received = world.alltoall(messages)
    del messages
    replies = world.alltoall(_answers(merged, received))
    fresh, empty = (np.array([reply[name] for reply in replies]).T.tolist() for name in ("fresh", "empty"))
    begins = np.array([column.number(world.rank, *known) for column, *known in zip(merged, fresh, empty)], np.uint32)
    codes = np.empty(len(numbers), np.uint32)
    codes[numbers] = np.concatenate([reply["ids"] for reply in replies]) + np.repeat(begins.T.ravel(), counts.ravel())
    begin = 0
    for column, ids, many in sent:
        column.mapping[ids] = codes[begin : begin + many]
        begin += many


def _outgoing(world, merged, owners, first, stop) -> tuple[list[tuple], np.ndarray, np.ndarray, list[dict]]:
    """Local: which strings go out, as (column, ids, how many); the numbers of those to the first rank, then of those to
    the next; how many of each column each rank gets (ranks, columns); and the messages."""
    strings = [(place, texts, ids) for place, column in enumerate(merged) for texts, ids in column.strings(first, stop)]
    dealt = dictionary.deal([(texts.data, texts.length) for _, texts, _ in strings], owners, world.size)
    times = None
    if merged[0].keep_values:
        times = np.concatenate([np.zeros(0, np.uint32), *(merged[place].times[ids] for place, _, ids in strings)])
    counts = np.zeros((world.size, len(merged)), np.int64)
    for part, (place, _, _) in enumerate(strings):
        counts[:, place] += dealt.counts[:, part]
    sent = [(merged[place], ids, len(texts)) for place, texts, ids in strings]
    del strings
    for column in merged if stop - first == BUCKETS else []:
        column.let_go()
    return sent, dealt.numbers, counts, messages_of(dealt, counts, times)


def _answers(merged: list[MergedColumn], received: list[dict]) -> list[dict]:
    """Local: numbers the strings that came from every rank, and lets go of them: what each rank gets back."""
    for column in merged:
        column.expect()
    arrived = add_arrived([column.owned for column in merged], received)
    done = [column.done for column in merged]
    fresh = [0 if column.direct else len(column.owned) - column.done for column in merged]
    sums = arrived.sums(done, fresh) if merged[0].keep_values else [None] * len(merged)
    known = [column.came(*one) for column, *one in zip(merged, sums, arrived.empty)]
    about = {"fresh": [new for new, _ in known], "empty": [place for _, place in known]}
    ids, ends = narrow(arrived.ids - for_each(done, arrived.counts)), np.cumsum(arrived.counts.sum(axis=1)).tolist()
    return [{**about, "ids": ids[begin:end]} for begin, end in pairwise([0, *ends])]
