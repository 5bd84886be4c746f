"""Where a training goes on when a rank dies and the others go on without it (runtime/recovery.py): from their memory.

Weights, moments and the curve are the same on every rank, and change between two calls of MPI only. So when a call
fails, each rank that is left has them whole, as of the last step that it took. All go on with those of the rank that
has got furthest: nothing but the step under way is done again. What compression is to feed back (runtime/allreduce.py)
each rank has alone; of that another rank keeps a copy.

Question: whoever of those left has got furthest has taken step n. Has each of them its own part of what was lost up to
step n, and its copy of another's? Answer: yes. The step was taken with sums over all ranks, to which a rank adds its
numbers after it has kept both (`Trainer.run`). It keeps those of two steps, as n + 1 may be under way.
Question: a rank has died, and so has the one that kept its copy? Answer: then memory is not whole, and the checkpoint
on disk counts, as it does when nobody has taken a step.
"""

import time

from mpiedge.runtime.allreduce import joined
from mpiedge.training import checkpoint
from mpiedge.training.loop import State
from mpiedge.training.shares import note

STEPS = 2


class Mirror:
    """What a rank keeps of a training for the case that another one dies.

    mark: fingerprint of the training; size: of the world that trains; state: the trainer's own, which goes on changing;
    steps: by the last ones, by rank, what compression had lost: this rank's, and that of others as a copy.
    """

    def __init__(self, world, mark: str, state: State):
        """Collective. Message: the number of each rank's host."""
        self.size, self.mark, self.state = world.size, mark, state
        self.steps: dict[int, dict[str, dict]] = {}
        self.keeper = keeper(world.rank, [message["host"] for message in world.allgather({"host": world.node})])

    def keep(self, world, epoch: int, lost: dict) -> None:
        """Collective: keeps what this rank has lost up to a step. Message: a copy to another rank."""
        messages = [{} for _ in range(self.size)]
        messages[self.keeper] = kept = {str(world.rank): lost}
        for message in world.alltoall(messages):
            kept = kept | message
        self.steps[epoch] = kept
        for old in sorted(self.steps)[:-STEPS]:
            del self.steps[old]


def keeper(rank: int, hosts: list[int]) -> int:
    """Local: the rank that keeps the copy of this one: the next of another host, if there is one, else the next."""
    others = [(rank + step) % len(hosts) for step in range(1, len(hosts))]
    return next((other for other in others if hosts[other] != hosts[rank]), others[0])


def newest(world, mark: str) -> bytes | None:
    """Collective over the ranks that are left: the state of the one that has got furthest, as a checkpoint; None when
    it is not whole in their memory.

    Messages: how far each has got; what was lost, to the one that has got furthest; its checkpoint.
    """
    mirror = world.kept if isinstance(world.kept, Mirror) and world.kept.mark == mark else None
    own = {"epoch": 0, "rows": 0, "size": 0}
    if mirror:
        own = {"epoch": mirror.state.epoch, "rows": len(mirror.state.history), "size": mirror.size}
    found = world.allgather(own)
    furthest = max(range(world.size), key=lambda rank: (found[rank]["epoch"], found[rank]["rows"]))
    epoch, size = found[furthest]["epoch"], found[furthest]["size"]
    if not epoch:
        return None
    kept = mirror.steps.get(epoch, {}) if mirror and mirror.size == size else {}
    messages, image = world.gather(kept, furthest), None
    if messages is not None:
        lost = {rank: parts for message in messages for rank, parts in message.items()}
        whole = [lost.get(str(rank), {}) for rank in range(size)]
        if all(whole) or not any(whole):
            image = checkpoint.to_image(mirror.state, mark, joined(whole))
    return world.bcast(image, furthest)


def tell(stage, epoch: int, began_s: float) -> None:
    """Collective: says that training goes on without those that died, and how long it stood still."""
    world = stage.world
    took_s = time.perf_counter() - world.failed_s
    ranks = ", ".join(map(str, world.lost))
    did = f"goes on after epoch {epoch} with {world.size} of its ranks"
    stage.say(f"recover rank {ranks} has died: {did}, after {took_s:.2f} s")
    note(stage, began_s, f"rank {ranks} has died", did, f"training stood still for {took_s:.2f} s", world.lost[-1])
