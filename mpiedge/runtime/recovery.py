"""Going on in place when a rank dies: the others cut it out and run the stage again in their own processes.

mpirun ends a job that loses a rank, unless it is started `--with-ft ulfm` (Open MPI 5; mpiedge-run does so on one
host). Then a call that needs the dead rank raises on whoever makes it. That rank revokes the communicators of the job,
by which all calls of all the others raise too; those that are left agree on a smaller world (ULFM's Shrink) and run the
stage again. What was finished is in its ledger, or, of a training, in their memory (training/mirror.py): no more is
lost than the tasks in flight, or the step.

Question: can a rank that was cut out still act? Answer: no. On one host a rank counts as dead when the kernel has ended
its process; that of a rank that is only slow or stopped is alive, and the supervisor judges it.
Question: can the others wait for ever? Answer: no. Who does not have its smaller world within `LONGEST_S`, or does not
get it as another one dies meanwhile, ends itself, and who ends is lost for the others in turn; the supervisor launches
the stage anew when none is left.
"""

import gc
import os
import threading

from mpiedge.runtime import heartbeat, launcher, resources

LONGEST_S = 30.0  # a rank that computes notices nothing; the supervisor, where there is one, waits for it for less


def is_loss(error: BaseException | None) -> bool:
    """Local: whether an error is, or came of, a call of MPI that failed, as calls do that need a dead rank."""
    from mpi4py import MPI

    while error is not None:
        if isinstance(error, MPI.Exception):
            return True
        error = error.__cause__ or error.__context__
    return False


def finish(run, args, world) -> bool:
    """Collective: runs a stage; False when a rank has died and the others may go on without it.

    What the stage holds is free when this returns: no traceback keeps it. A complete stage does not begin again.
    """
    try:
        run(args, world)
    except Exception as error:
        if world.size == 1 or world.committed or not launcher.goes_on_without_dead() or not is_loss(error):
            raise
        return False
    return True


def without_the_dead(world):
    """Collective over the ranks that are left: their smaller world, of which the supervisor is told."""
    watch = threading.Timer(LONGEST_S, os._exit, (heartbeat.END_CODE,))
    watch.daemon = True
    watch.start()
    heartbeat.regroup()
    try:
        smaller = world.shrink()
    except Exception as error:
        if is_loss(error):
            os._exit(heartbeat.END_CODE)
        raise
    heartbeat.went_on(smaller.lost)
    watch.cancel()
    gc.unfreeze()  # what a training had frozen
    gc.collect()
    resources.return_freed()
    return smaller
