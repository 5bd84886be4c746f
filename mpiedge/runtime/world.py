"""The ranks of a job as one object: messages without pickles, waiting without burning a core, one end for all."""

import collections
import contextlib
import os
import socket
import sys
import time

import numpy as np

from mpiedge.runtime import launcher, resources
from mpiedge.runtime.carrying import Carried, carries
from mpiedge.runtime.processor import Processor
from mpiedge.runtime.wire import pack, unpack

PIECE_BYTES = 256 << 20  # MPI counts are 32 bit in many installations: larger buffers travel in pieces
TOGETHER_BYTES = 64 << 20  # up to here one gathering call, above it pieces from rank to rank
SMALL_BYTES = 64 << 10  # non-blocking broadcasts of more move one small segment with each look at them
SPIN_S = 0.0003  # a wait this short is polled, a longer one sleeps
SLEEP_SHARE = 0.1  # sleep at most this share of the time already waited, so waking late costs at most as much
LONGEST_SLEEP_S = 0.01
ERROR_GRACE_S = 0.4
LONGEST_ERROR_WAIT_S = 2.0
TAG_PIECE = 1

_abandoned: list[list] = []
"""Requests that failed as a rank died, and arrays of sums then under way: MPI may still write there."""


class World:
    """All ranks of the job (a duplicate of COMM_WORLD); the same path with one rank and without mpirun.

    comm: mpi4py communicator, for upper-case (buffer) calls only; rank, size; host: host name; node: number of the
    host in order of its lowest rank; node_rank, node_size: among the ranks of the same host; threads: cores this rank
    should use; bytes_sent, bytes_recv: payload counted at the calls of this class and its users; wait_s: seconds
    spent in collective calls, waiting for other ranks and their bytes; carried: what else messages cost (carrying.py);
    committed: whether the stage is complete; lost: those of the ranks that were launched which have died (recovery.py);
    kept: what a stage keeps in memory for that case; failed_s: when calls failed for it, by `time.perf_counter`;
    resting: what is known of those that sit out (team.py), outer: the world that has them; start: seconds this process
    computed, and waited for a processor, before MPI: the same work on every rank. World.current is the one made last.
    """

    current = None
    start = (0.0, 0.0)

    def __init__(self, threads: int | None = None, ranks=None, resting: list[dict] = ()):
        """Collective: starts MPI if need be, duplicates the communicator, groups the ranks by host.

        ranks: their communicator, by default COMM_WORLD; resting: of each rank that was launched and sits out.
        """
        import mpi4py

        if "mpi4py.MPI" not in sys.modules:
            World.start = Processor().seconds()
            mpi4py.rc.thread_level = "serialized"
            # Open MPI's OFI transport serves one-sided calls only, none of which are made here; closing it sleeps 1 s.
            os.environ.setdefault("OMPI_MCA_btl", "^ofi")
        from mpi4py import MPI

        self._mpi = MPI
        self._asked_threads, self._ranks = threads, ranks or MPI.COMM_WORLD
        self._made: list = []  # all communicators of this world
        self._sums = collections.deque(maxlen=2)  # the last that were started, and their arrays
        self.comm = self.duplicate()
        self._errors = self.duplicate()  # of its own, so that word of an error is never mistaken for data
        self.rank, self.size = self.comm.Get_rank(), self.comm.Get_size()
        self.is_root = self.rank == 0
        self.host = os.environ.get("MPIEDGE_HOST") or socket.gethostname()
        self.bytes_sent = self.bytes_recv = 0
        self.wait_s, self.carried = 0.0, Carried()
        self.resting, self.outer = list(resting), None
        self.committed, self.lost = False, self._missing()
        self.kept, self.failed_s = None, 0.0
        self._words: list | None = None
        self.while_waiting = _nothing  # Mail puts its poll here; returns how much was done
        self._node = self.comm.Split_type(MPI.COMM_TYPE_SHARED, key=self.rank)
        self._made.append(self._node)
        self.node_rank, self.node_size = self._node.Get_rank(), self._node.Get_size()
        first = np.array([self.rank], np.int64)
        self._node.Bcast(first, 0)
        firsts = np.empty(self.size, np.int64)
        self.comm.Allgather(first, firsts)
        self.node_ranks = np.flatnonzero(firsts == first[0]).tolist()
        self._nodes = np.searchsorted(np.unique(firsts), firsts)  # of each rank
        self.node, self.nodes = int(self._nodes[self.rank]), len(np.unique(firsts))
        self._leaders = self._ranks.Split(0 if self.node_rank == 0 else MPI.UNDEFINED, self.rank)
        if self.node_rank == 0:
            self._made.append(self._leaders)
        self.threads = resources.share_cores(self.node_size, threads)
        World.current = self

    # ---- communicators -----------------------------------------------------------------------------------------------

    def duplicate(self):
        """Collective: a communicator of these ranks for messages of one kind."""
        self._made.append(self._ranks.Dup())
        return self._made[-1]

    def shrink(self) -> "World":
        """Collective over the ranks that are left: a world of them alone, once calls have failed (recovery.py).

        Messages: Revoke, by which the calls of all others on the communicators of this world fail, and Shrink.
        """
        failed_s = time.perf_counter()
        for comm in self._made:
            comm.Revoke()
        _abandoned.append(list(self._sums))
        smaller = World(self._asked_threads, self._ranks.Shrink())
        smaller.kept, smaller.failed_s = self.kept, failed_s
        return smaller

    def without(self, resting: list[dict]) -> "World | None":
        """Collective: a world of the other ranks, None on one of these; resting: of each its number as `rank`, ..."""
        rests = self.rank in {known["rank"] for known in resting}
        others = self.comm.Split(self._mpi.UNDEFINED if rests else 0, self.rank)
        if rests:
            return None
        smaller = World(self._asked_threads, others, resting)
        smaller.outer = self
        return smaller

    def dismiss(self) -> None:
        """Collective: tells the ranks that sit out, if any, that the stage is over."""
        if self.outer:
            self.outer.barrier()

    def _missing(self) -> list[int]:
        """Local: the ranks that were launched and neither are in this world nor sit out."""
        launched = self._mpi.COMM_WORLD.Get_group()
        here = launched.Translate_ranks(None, self._ranks.Get_group())
        resting = {known["rank"] for known in self.resting}
        return [rank for rank, place in enumerate(here) if place == self._mpi.UNDEFINED and rank not in resting]

    @property
    def is_alone(self) -> bool:
        """Whether this process is the whole job, as far as it lives."""
        return self.size == 1 and self.outer is None

    # ---- waiting -------------------------------------------------------------------------------------------------

    def pause(self, longest_s: float = LONGEST_SLEEP_S) -> "Pause":
        """Local: the back-off of a loop that waits for other ranks; it also notices when one of them failed."""
        return Pause(longest_s, self._heed)

    def wait(self, *requests) -> None:
        """Local: until the requests are complete; serves letters meanwhile (mail.py) and sleeps as `Pause` says."""
        requests = list(requests)
        Request = self._mpi.Request
        start = time.perf_counter()
        pause = self.pause()
        try:
            while not Request.Testall(requests):
                if not self.while_waiting():
                    pause.rest()
        except self._mpi.Exception:
            _abandoned.append(requests)
            raise
        self.wait_s += time.perf_counter() - start

    def test(self, *requests) -> bool:
        """Local: whether the requests are complete; gives MPI a moment to move them on."""
        return self._mpi.Request.Testall(list(requests))

    def start_sum(self, array: np.ndarray) -> list:
        """Collective: starts to turn `array` (contiguous) into its sum over the ranks; the requests to wait for.

        The caller keeps the array until then: MPI holds no reference to it.
        """
        if self.size == 1:
            return []
        self._count(array.nbytes, array.nbytes)
        # In place Open MPI sends whole arrays up a tree of ranks and down again: less work, but four times the time
        # where links are slow. Else each rank adds up a part.
        own = array.copy() if self.nodes > 1 else array
        step, in_place = PIECE_BYTES // array.itemsize, self._mpi.IN_PLACE
        requests = [self.comm.Iallreduce(in_place if own is array else piece, target, self._mpi.SUM)
                    for piece, target in zip(_pieces(own.reshape(-1), step), _pieces(array.reshape(-1), step))]
        self._sums.append((requests, own, array))
        return requests

    def barrier(self) -> None:
        """Collective: returns when every rank has called it; waiting ranks sleep (MPI's own barrier spins)."""
        if self.size > 1:
            self.wait(self.comm.Ibarrier())

    # ---- messages: dict of arrays and JSON-able values, see wire.py ------------------------------------------------

    @carries
    def bcast(self, message=None, root: int = 0):
        """Collective: root's message on every rank. Messages: its length, then pieces of at most 256 MiB."""
        buffer = pack(message) if self.rank == root else None
        length = np.array([0 if buffer is None else buffer.size], np.int64)
        self.wait(self.comm.Ibcast(length, root))
        if buffer is None:
            buffer = self.space(length[0])
        self._bcast(buffer, root)
        return unpack(buffer)

    @carries
    def gather(self, message, root: int = 0):
        """Collective: on root the messages of all ranks in rank order, None elsewhere."""
        mine = pack(message)
        lengths = self._lengths(mine.size)
        if lengths.sum() <= TOGETHER_BYTES:
            together = self.space(lengths.sum()) if self.rank == root else None
            self.wait(self.comm.Igatherv(mine, [together, lengths] if self.rank == root else None, root))
            self._count(mine.size if self.rank != root else 0, lengths.sum() - mine.size if self.rank == root else 0)
            return [unpack(part) for part in _cut(together, lengths)] if self.rank == root else None
        if self.rank != root:
            self.wait(*self._post(mine, root, send=True))
            return None
        messages = []
        for source in range(self.size):  # one after the other: root holds no second copy of everything
            if source == root:
                messages.append(unpack(mine))
                continue
            buffer = self.space(lengths[source])
            self.wait(*self._post(buffer, source, send=False))
            messages.append(unpack(buffer))
        return messages

    @carries
    def allgather(self, message) -> list:
        """Collective: the messages of all ranks in rank order, on every rank."""
        mine = pack(message)
        lengths = self._lengths(mine.size)
        if SMALL_BYTES < lengths.sum() <= TOGETHER_BYTES and 1 < self.nodes < self.size:
            return self._allgather_by_host(mine, lengths)
        if lengths.sum() <= TOGETHER_BYTES:
            together = self.space(lengths.sum())
            self.wait(self.comm.Iallgatherv(mine, [together, lengths]))
            self._count(mine.size * (self.size - 1), lengths.sum() - mine.size)
            return [unpack(part) for part in _cut(together, lengths)]
        messages = []
        for root in range(self.size):
            buffer = mine if root == self.rank else self.space(lengths[root])
            self._bcast(buffer, root)
            messages.append(unpack(buffer))
        return messages

    @carries
    def gather_hosts(self, message) -> list | None:
        """Collective: the messages of all ranks in rank order, on the first rank of each host; None elsewhere."""
        mine = pack(message)
        lengths = self._lengths(mine.size)
        if lengths.sum() > TOGETHER_BYTES:
            messages = self.allgather(message)
            return messages if self.node_rank == 0 else None
        together = self._gather_hosts(mine, lengths)
        return None if together is None else self._in_order(together, lengths)

    def _gather_hosts(self, mine: np.ndarray, lengths: np.ndarray) -> np.ndarray | None:
        """Collective: what all ranks have, host by host, on the first rank of each host; None elsewhere.

        Messages: to the first rank of a host, and among these all that their hosts have."""
        of_hosts = np.bincount(self._nodes, lengths).astype(np.int64)
        if self.node_rank > 0:
            self.wait(self._node.Igatherv(mine, None))
            self._count(mine.size, 0)
            return None
        together = self.space(lengths.sum())
        own = list(_cut(together, of_hosts))[self.node]
        self.wait(self._node.Igatherv(mine, [own, lengths[self.node_ranks]]))
        self.wait(self._leaders.Iallgatherv(self._mpi.IN_PLACE, [together, of_hosts]))
        self._count(own.size * (self.nodes - 1), together.size - mine.size)
        return together

    def _allgather_by_host(self, mine: np.ndarray, lengths: np.ndarray) -> list:
        """Collective: as `allgather`; each message crosses the link of a host once, however many ranks it has.

        Messages: as of `_gather_hosts`, and from the first rank of a host all to its ranks."""
        together = self._gather_hosts(mine, lengths)
        if together is not None:
            self.wait(*(self._node.Isend(together, other) for other in range(1, self.node_size)))
            self._count(together.size * (self.node_size - 1), 0)
        else:
            together = self.space(lengths.sum())
            self.wait(self._node.Irecv(together, 0))
            self._count(0, together.size)
        return self._in_order(together, lengths)

    def _in_order(self, together: np.ndarray, lengths: np.ndarray) -> list:
        """Local: the messages, in rank order, of ranks that lie host by host."""
        order = np.argsort(self._nodes, kind="stable")  # ranks of a host beside each other
        parts = dict(zip(order.tolist(), _cut(together, lengths[order])))
        return [unpack(parts[rank]) for rank in range(self.size)]

    @carries
    def alltoall(self, messages: list) -> list:
        """Collective: messages[d] goes to rank d; returns what came from each rank, in rank order.

        One object that goes to several ranks is packed once."""
        if len(messages) != self.size:
            raise ValueError(f"{len(messages)} messages for {self.size} ranks")
        different = {id(message): message for message in messages}
        packed_once = {key: pack(message) for key, message in different.items()}
        packed = [packed_once[id(message)] for message in messages]
        out = np.array([buffer.size for buffer in packed], np.int64)
        incoming = np.empty(self.size, np.int64)
        self.wait(self.comm.Ialltoall(out, incoming))
        received = [packed[self.rank] if s == self.rank else self.space(incoming[s]) for s in range(self.size)]
        requests = []
        for step in range(1, self.size):
            source, target = (self.rank - step) % self.size, (self.rank + step) % self.size
            requests += self._post(received[source], source, send=False)
            requests += self._post(packed[target], target, send=True)
        self.wait(*requests)
        return [unpack(buffer) for buffer in received]

    # ---- among the ranks of one host (shared.py) ---------------------------------------------------------------------

    def node_barrier(self) -> None:
        """Collective over the ranks of a host: returns when each of them has called it."""
        if self.node_size > 1:
            self.wait(self._node.Ibarrier())

    def node_bcast(self, message=None):
        """Collective over the ranks of a host: the small message of the lowest of them on each."""
        if self.node_size == 1:
            return message
        buffer = pack(message) if self.node_rank == 0 else None
        length = np.array([0 if buffer is None else buffer.size], np.int64)
        self.wait(self._node.Ibcast(length, 0))
        buffer = np.empty(int(length[0]), np.uint8) if buffer is None else buffer
        self.wait(self._node.Ibcast(buffer, 0))
        return unpack(buffer)

    def node_all(self, truth: bool) -> bool:
        """Collective over the ranks of a host: whether it is true on each of them."""
        if self.node_size == 1:
            return truth
        every = np.array([truth], np.int64)
        self.wait(self._node.Iallreduce(self._mpi.IN_PLACE, every, self._mpi.MIN))
        return bool(every[0])

    # ---- numbers ---------------------------------------------------------------------------------------------------

    def sum(self, array) -> np.ndarray:
        """Collective: elementwise sum over the ranks. Floats only where the last bit may depend on the rank count."""
        return self._reduce(array, self._mpi.SUM)

    def max(self, array) -> np.ndarray:
        """Collective: elementwise maximum over the ranks."""
        return self._reduce(array, self._mpi.MAX)

    def min(self, array) -> np.ndarray:
        """Collective: elementwise minimum over the ranks."""
        return self._reduce(array, self._mpi.MIN)

    @carries
    def _reduce(self, array, operation) -> np.ndarray:
        sent = np.ascontiguousarray(array)
        if sent.dtype == bool:
            sent = sent.astype(np.int64)
        if self.size == 1:
            return sent.copy()
        result = np.empty_like(sent)
        step = PIECE_BYTES // sent.itemsize
        for piece, target in zip(_pieces(sent.reshape(-1), step), _pieces(result.reshape(-1), step)):
            self.wait(self.comm.Iallreduce(piece, target, operation))
        self._count(sent.nbytes, sent.nbytes)
        return result

    # ---- the end ---------------------------------------------------------------------------------------------------

    def speaks_for_error(self) -> bool:
        """Local: called once by a rank that failed; True when this rank should print the error's line.

        Of ranks that fail alike at about the same time the lowest speaks. Each failing rank sends word to all others
        (tag 0 of a communicator of its own), then waits a moment for word from the others; rank 0 need not wait,
        unless another failed before it. A rank that hears of a lower one that failed waits to be ended by it, and
        goes on without speaking when nobody does that (the lower rank may hang).
        """
        self._send_word()
        start = time.monotonic()
        heard: set[int] = set()
        while self.size > 1:
            status = self._mpi.Status()
            while self._errors.Iprobe(self._mpi.ANY_SOURCE, 0, status):
                self._errors.Recv(np.empty(1, np.uint8), status.Get_source(), 0)
                heard.add(status.Get_source())
            if any(other < self.rank for other in heard):
                time.sleep(LONGEST_ERROR_WAIT_S)  # touching MPI no more, see _heed
                return False
            if time.monotonic() - start > ERROR_GRACE_S or (self.rank == 0 and not heard):
                return True
            time.sleep(0.01)
        return True

    def abort(self, code: int):
        """Local: ends all ranks of the job; mpirun returns `code`. Does not return.

        Open MPI 5 ends a job when a rank exits with an error, and says so in one short notice that no setting of it
        silences; after MPI_Abort there are two long ones. With other MPIs only MPI_Abort is sure to end the others.
        """
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):  # a closed pipe must not keep the job alive
                stream.flush()
        if (self.outer or self).nodes > 1:
            # Ranks of other hosts see a closed connection before they are ended: let word arrive first.
            self._send_word()
            end = time.monotonic() + ERROR_GRACE_S
            while not self._mpi.Request.Testall(self._words) and time.monotonic() < end:
                time.sleep(0.001)
            time.sleep(3 * LONGEST_SLEEP_S)
        if code == 0 or not (self.is_alone or launcher.ends_job_on_error()):
            self._mpi.COMM_WORLD.Abort(code)
        os._exit(code)

    def _send_word(self) -> None:
        """Local: tells all other ranks that this one failed."""
        if self._words is None:
            others = [rank for rank in range(self.size) if rank != self.rank]
            self._words = [self._errors.Isend(np.zeros(1, np.uint8), other, 0) for other in others]
            if self.outer:
                self.outer._send_word()
                self._words += self.outer._words

    def _heed(self) -> None:
        """Local: a waiting rank that hears that another failed touches MPI no more, and is ended by it.

        (MPI would notice the closed connection, and end this rank with a code and a message of its own.)
        """
        if self._words is None and self._errors.Iprobe(self._mpi.ANY_SOURCE, 0):
            time.sleep(2 * LONGEST_ERROR_WAIT_S)
            self.abort(1)

    # ---- helpers ---------------------------------------------------------------------------------------------------

    def _lengths(self, length: int) -> np.ndarray:
        mine, lengths = np.array([length], np.int64), np.empty(self.size, np.int64)
        self.wait(self.comm.Iallgather(mine, lengths))
        return lengths

    def space(self, length: int) -> np.ndarray:
        """Local: room for a message of `length` bytes; MemoryError before the attempt when the host has not as much."""
        length = int(length)
        if length > TOGETHER_BYTES and length > resources.available_bytes():
            raise MemoryError(f"a message of {resources.format_size(length)} does not fit the memory of {self.host}")
        return np.empty(length, np.uint8)

    def _bcast(self, buffer: np.ndarray, root: int) -> None:
        if buffer.size <= SMALL_BYTES:
            self.wait(self.comm.Ibcast(buffer, root))
        else:
            self.barrier()
            start = time.perf_counter()
            for piece in _pieces(buffer, PIECE_BYTES):
                self.comm.Bcast(piece, root)
            self.wait_s += time.perf_counter() - start
        if self.rank == root:
            self._count(buffer.size * (self.size - 1), 0)
        else:
            self._count(0, buffer.size)

    def _post(self, buffer: np.ndarray, other: int, send: bool) -> list:
        """Local: non-blocking sends or receives of the pieces; messages of one pair with one tag keep their order."""
        call = self.comm.Isend if send else self.comm.Irecv
        requests = [call(piece, other, TAG_PIECE) for piece in _pieces(buffer, PIECE_BYTES)]
        self._count(buffer.size if send else 0, 0 if send else buffer.size)
        return requests

    def _count(self, sent: int, received: int) -> None:
        self.bytes_sent += int(sent)
        self.bytes_recv += int(received)


def _nothing() -> int:
    return 0


class Pause:
    """Back-off of a waiting rank: yields the core for 0.3 ms, then sleeps a tenth of the time waited, at most 10 ms."""

    def __init__(self, longest_s: float, watch):
        self.longest_s, self.watch = longest_s, watch
        self.restart()

    def restart(self) -> None:
        """Local: something has come, and more may follow at once."""
        self.start = time.perf_counter()

    def rest(self) -> None:
        """Local: one step of the wait."""
        waited = time.perf_counter() - self.start
        if waited < SPIN_S:
            os.sched_yield()
        else:
            self.watch()
            time.sleep(min(self.longest_s, SLEEP_SHARE * waited))


def _pieces(flat: np.ndarray, step: int):
    return (flat[start : start + step] for start in range(0, flat.size, step))


def _cut(together: np.ndarray, lengths: np.ndarray):
    ends = np.cumsum(lengths)
    return (together[end - length : end] for end, length in zip(ends, lengths))
