"""Lists of numbers of all ranks on every rank, without a description: quicker than messages where they are short."""

import numpy as np

from mpiedge.runtime.carrying import carries

PLAIN_BYTES = 4 << 20
"""More bytes of all ranks go as messages, which save memory and links (world.py)."""


@carries
def gather_lists(world, own: np.ndarray) -> list[np.ndarray]:
    """Collective: the arrays of all ranks in rank order: any number of rows, one dtype and one width.

    Messages: how many bytes each rank has (all-gather), and these (all-gather)."""
    own = np.ascontiguousarray(own)
    if world.size == 1:
        return [own]
    lengths = np.empty(world.size, np.int64)
    world.wait(world.comm.Iallgather(np.array([own.nbytes], np.int64), lengths))
    total = int(lengths.sum())
    if total > PLAIN_BYTES:
        return [np.asarray(one, own.dtype).reshape(-1, *own.shape[1:]) for one in world.allgather(own)]
    together = np.empty(total, np.uint8)
    world.wait(world.comm.Iallgatherv(own.reshape(-1).view(np.uint8), [together, lengths]))
    world.bytes_sent += own.nbytes * (world.size - 1)
    world.bytes_recv += total - own.nbytes
    ends = np.cumsum(lengths).tolist()
    return [together[end - length : end].view(own.dtype).reshape(-1, *own.shape[1:])
            for end, length in zip(ends, lengths.tolist())]
