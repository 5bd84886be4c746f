"""Strings of several columns on their way to the ranks that own them, by hash: equal ones of a column meet there.

Many small arrays take long to cut and to pack, so what goes from one rank to another is one text for all columns.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from mpiedge.kernels import dictionary


class Arrived(NamedTuple):
    """Strings that came from all ranks, rank after rank, of each column after column.

    counts: how many of each column from each rank, int64 (ranks, columns); ids: the number of each string in the
    dictionary of its column (uint32); empty: that of the empty string of each column, -1 where none came; times: how
    often each string occurs, None when that did not come along.
    """

    counts: np.ndarray
    ids: np.ndarray
    empty: list[int]
    times: np.ndarray | None

    def sums(self, before: list[int], fresh: list[int]) -> list[np.ndarray]:
        """Local: how often the strings of each column occur (int64); before, fresh: the lowest number of those that
        came, and how many different ones did."""
        ends = np.cumsum(fresh)
        places = self.ids + for_each(ends - fresh - before, self.counts)
        every = np.bincount(places, self.times, ends[-1]).astype(np.int64)
        return [every[begin:end] for begin, end in pairwise([0, *ends.tolist()])]


def messages_of(dealt: dictionary.Dealt, counts: np.ndarray, times: np.ndarray | None) -> list[dict]:
    """Local: what goes to each rank. counts: how many strings of each column, int64 (ranks, columns); times: how often
    each string occurs, in the order of the parts that were dealt, or None."""
    times = None if times is None else narrow(times[dealt.numbers])
    bounds, text_bounds = (pairwise([0, *np.cumsum(one.sum(axis=1)).tolist()]) for one in (dealt.counts, dealt.sizes))
    return [{"counts": own, "text": dealt.text[text_begin:text_end], "length": dealt.length[begin:end],
             "times": None if times is None else times[begin:end]}
            for own, (begin, end), (text_begin, text_end) in zip(counts, bounds, text_bounds)]


def add_arrived(known: list, received: list[dict]) -> Arrived:
    """Local: adds what came from all ranks to the dictionaries of the columns, and empties `received`."""
    counts = np.array([message["counts"] for message in received])
    ids, empty = dictionary.add_columns(known, [message["text"] for message in received],
                                        [message["length"] for message in received], counts)
    times = [message["times"] for message in received]
    received.clear()
    return Arrived(counts, ids, empty, None if times[0] is None else np.concatenate(times))


def for_each(values, counts: np.ndarray) -> np.ndarray:
    """Local: of each string the value (int64) of its column; counts: strings (ranks, columns)."""
    return np.repeat(np.tile(np.asarray(values, np.int64), len(counts)), counts.ravel())


def narrow(numbers: np.ndarray) -> np.ndarray:
    """Local: the numbers in the smallest unsigned dtype that holds them."""
    return numbers.astype(np.min_scalar_type(int(numbers.max(initial=0))))
