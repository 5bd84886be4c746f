"""Arrays that all ranks make parts of, and that the ranks of a host then hold together."""

import numpy as np

from mpiedge.cleaning.room import runs


def put_together(stage, mine: dict[int, int], ends: list[int], columns: dict[str, np.ndarray],
                 room) -> list[np.ndarray]:
    """Collective: the columns of all ranks, each as one array that the ranks of a host hold together.

    mine: where this rank's columns hold which parts, in ascending order; ends: where each part begins and ends in the
    whole arrays. Messages: each part to the first rank of every host, in rounds small enough to be held beside
    everything else; none where all ranks are on one host.
    """
    world, sizes = stage.world, np.diff(ends).tolist()
    if world.size == 1:
        return list(columns.values())
    whole = {key: room.together(world, (ends[-1],), column.dtype) for key, column in columns.items()}
    own = {number: {key: column[place:place + sizes[number]] for key, column in columns.items()}
           for number, place in mine.items()}

    def write(number: int, message: dict) -> None:
        for key, array in whole.items():
            array[ends[number]:ends[number + 1]] = message[key]

    if world.nodes == 1:
        for number, message in own.items():
            write(number, message)
    else:
        for first, last in runs(sizes, room.round_bytes // sum(column.itemsize for column in columns.values())):
            parts = [((number,), own[number]) for number in range(first, last) if number in own]
            for (number,), message in stage.queue.gather_hosts(parts):
                write(number, message)
    world.node_barrier()
    return list(whole.values())
