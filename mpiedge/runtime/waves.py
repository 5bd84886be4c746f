"""The end of a run of the queue: how idle ranks find out that no task exists anywhere any more."""

import numpy as np


class Waves:
    """Detects that no rank computes, no task waits and no grant is in flight (Mattern 1987, the four-counter method).

    A rank enters wave k (a non-blocking allreduce of its grants sent and received in this run) only when it is idle:
    its deque is empty and it computes nothing. Wave k ends when all have entered; only then does a rank enter k + 1.

    Claim 1: two successive waves with sums S = R = S' = R' mean that the run is over. Between the last entry into wave
    k and the first entry into k + 1 lies an instant T. The counters only grow, so R <= R(T) <= S(T) <= S'. Equality
    gives R(T) = S(T): no grant is in flight at T. It also gives that no rank received a grant between its two entries;
    it was idle at the first, and only a grant makes an idle rank active, so it is idle at T. All are idle and nothing
    is in flight: no task exists anywhere.
    Claim 2: one wave with S = R = 0 is enough. A grant is sent by a rank that has a task. No rank had sent one when it
    entered, and it was idle then; the first grant after an entry would need an earlier grant. So there was none ever.
    All ranks see the same sums and so decide alike. The waves end: a rank that computes enters later, grants take
    finite time, and as idle ranks send no grants, the sums stop changing once the last task is done.
    """

    def __init__(self, world, comm):
        from mpi4py import MPI

        self._sum = MPI.SUM
        self._comm = comm
        self._request = None
        self._before = None
        self.ended = 0  # waves so far

    def finished(self, run) -> bool:
        """Local: one step of the waves by an idle rank; True once the run is over."""
        if self._request is None:
            self._mine = np.array([run.grants_sent, run.grants_received], np.int64)
            self._sums = np.empty(2, np.int64)
            self._request = self._comm.Iallreduce(self._mine, self._sums, self._sum)
        if not self._request.Test():
            return False
        self._request = None
        self.ended += 1
        sent, received = self._sums.tolist()
        over = sent == received and (sent == 0 or self._before == (sent, received))
        self._before = sent, received
        return over
