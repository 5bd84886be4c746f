"""A counter that the ranks of a host hold together."""

from mpiedge.kernels.pages import next_number
from mpiedge.runtime.shared import shared_array


class Counter:
    """Numbers from 0 on, each of which is given to one rank of a host, whoever asks first.

    Needs the compiled kernels (`kernels.pages.can_count`)."""

    def __init__(self, world):
        """Collective over a host."""
        self._number = shared_array(world, (1,), "int64")

    def below(self, end: int):
        """Local: a generator of the numbers below `end` that are given to this rank."""
        while (number := next_number(self._number)) < end:
            yield number
