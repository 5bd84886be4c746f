"""Letters between ranks: sent without waiting, handled by name whenever the receiver polls, counted on both sides."""

import time

import numpy as np

from mpiedge import errors
from mpiedge.runtime.wire import pack, unpack
from mpiedge.runtime.world import PIECE_BYTES

TAG_LETTER, TAG_PIECE = 1, 2
PIECE_TAGS = 1000  # long letters under way at the same time are told apart by their tags
REPLY = "reply"


class Mail:
    """Two-sided messages on a communicator of their own; nothing here blocks and no rank needs to be expected.

    sent, received: letters handed over and handled so far; when their sums over all ranks agree while no rank sends,
    nothing is in flight. A rank answers only when it polls: `poll` is called by the work queue between time slices, by
    `request` while it waits for its reply (so two ranks that ask one another both get their answers), and by every wait
    of a collective call of `World`.
    """

    def __init__(self, world):
        """Collective: takes a communicator of its own and serves letters while `world` waits."""
        from mpi4py import MPI

        self._mpi = MPI
        self.world = world
        self.comm = world.duplicate()
        self.sent = self.received = 0
        self._handlers = {REPLY: self._take_reply}
        self._leaving: list[tuple] = []  # (request, buffer): the buffer must live until the request is complete
        self._arriving: list[tuple] = []  # (request, buffer, source)
        self._replies: dict[int, list] = {}
        self._next_request = 0
        world.while_waiting = self.poll

    def handle(self, kind: str, handler) -> None:
        """Local: letters of this kind are given to handler(source, message); what it returns answers a `request`."""
        self._handlers[kind] = handler

    def send(self, target: int, kind: str, message=None) -> None:
        """Local: sends without waiting. To this rank itself: the handler is called at once."""
        if target == self.world.rank:
            self._handlers[kind](target, message)
        else:
            self._post(target, [kind, None, message])

    def request(self, target: int, kind: str, message=None):
        """Local: the answer of target's handler; polls while it waits. Named errors of the handler are raised here."""
        if target == self.world.rank:
            return self._handlers[kind](target, message)
        self._next_request += 1
        number = self._next_request
        self._replies[number] = None
        self._post(target, [kind, number, message])
        start = time.perf_counter()
        pause = self.world.pause(longest_s=0.002)
        while self._replies[number] is None:
            if not self.poll():
                pause.rest()
        self.world.wait_s += time.perf_counter() - start
        answer, error = self._replies.pop(number)
        if error:
            raise getattr(errors, error[0])(*error[1:])
        return answer

    def poll(self) -> int:
        """Local: handles what has arrived; returns the number of letters handled."""
        if self._leaving:
            self._leaving = [entry for entry in self._leaving if not entry[0].Test()]
        status = self._mpi.Status()
        while found := self._next(status):
            buffer = self.world.space(status.Get_count(self._mpi.BYTE))
            # Non-blocking: a long letter moves only while its sender polls, which may be a time slice away.
            self._arriving.append((found.Irecv(buffer), buffer, status.Get_source()))
        handled = 0
        if self._arriving:
            arriving, self._arriving = self._arriving, []
            complete = []
            for entry in arriving:
                (complete if entry[0].Test() else self._arriving).append(entry)
            for _, buffer, source in complete:  # a handler may poll: what is taken out here is not seen by that poll
                self.world.bytes_recv += buffer.size
                self._deliver(source, unpack(buffer))
                handled += 1
        return handled

    def _next(self, status):
        """Local: the next letter that has arrived, or None.

        Open MPI moves messages on after a look that finds nothing, so one look sees only what came before the last."""
        sought = self._mpi.ANY_SOURCE, TAG_LETTER, status
        return self.comm.Improbe(*sought) or self.comm.Improbe(*sought)

    def _deliver(self, source: int, letter: list) -> None:
        kind, number, message = letter
        if kind == "pieces":
            size, tag = message
            whole = self.world.space(size)
            pieces = range(0, size, PIECE_BYTES)
            self.world.wait(*(self.comm.Irecv(whole[at : at + PIECE_BYTES], source, tag) for at in pieces))
            self.world.bytes_recv += size
            kind, number, message = unpack(whole)
        self.received += 1
        if number is None or kind == REPLY:
            self._handlers[kind](source, message if kind != REPLY else [number, message])
            return
        try:
            answer = [self._handlers[kind](source, message), None]
        except errors.MpiedgeError as error:
            answer = [None, [type(error).__name__, error.subject, error.cause, error.remedy]]
        self._post(source, [REPLY, number, answer])

    def _take_reply(self, source: int, reply: list) -> None:
        number, answer = reply
        self._replies[number] = answer

    def _post(self, target: int, letter: list) -> None:
        buffer = pack(letter)
        self.sent += 1
        self.world.bytes_sent += buffer.size
        if buffer.size <= PIECE_BYTES:
            self._leaving.append((self.comm.Isend(buffer, target, TAG_LETTER), buffer))
            return
        tag = TAG_PIECE + self.sent % PIECE_TAGS
        notice = pack(["pieces", None, [buffer.size, tag]])
        self.world.bytes_sent += notice.size
        self._leaving.append((self.comm.Isend(notice, target, TAG_LETTER), notice))
        for at in range(0, buffer.size, PIECE_BYTES):
            piece = buffer[at : at + PIECE_BYTES]
            self._leaving.append((self.comm.Isend(piece, target, tag), piece))

    def gather_counts(self, *more: float) -> np.ndarray:
        """Collective: one row per rank of (sent, received, *more) as float64, once no letter is in flight.

        Assumption: a rank that calls this has the answers to all its requests and sends nothing of its own accord until
        it returns; it still answers. Each round gathers the counts without blocking, letters are handled meanwhile.

        Question: the counts are read at different times, so can their sums agree while a letter is in flight?
        Answer: no. (1) A letter that wants no answer was sent before its sender read its count; it adds 1 to the sum of
        `sent`, and 1 to `received` only if it arrived before its receiver read. (2) A request and its answer were
        complete when the asking rank read its counts, so that rank counts one sent and one received; the answering
        rank counts both (it read later) or neither (it read before): balanced either way. Hence sent - received is the
        number of letters of (1) not yet counted as received, and zero means that all have arrived.
        All ranks see the same table and leave in the same round; they poll in each round, so all letters arrive.
        """
        while True:
            mine = np.array([self.sent, self.received, *more], np.float64)
            table = np.empty((self.world.size, mine.size), np.float64)
            self.world.wait(self.comm.Iallgather(mine, table))
            if table[:, 0].sum() == table[:, 1].sum():
                return table
