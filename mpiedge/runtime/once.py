"""What all ranks compute together, kept for a later attempt: for long sums that are no tasks."""


def once(queue, kept: str, work):
    """Collective: the message that `work()` gives, which all ranks call together and get alike.

    kept: the name under which the ledger keeps it; a later attempt takes it from there instead of calling `work`, so
    that it must depend on inputs and flags alone. Message: what was kept, from the rank that reads it to all.
    """
    if queue.ledger is None:
        return work()
    call = queue.ledger.name_call(kept)
    finished, mine = queue.ledger.recall(call, [(0,)])
    if finished:
        found = queue.world.allgather([result for _, result in mine])
        return next(result for part in found for result in part)
    result = work()
    if queue.world.is_root:
        queue.ledger.note(call, (0,), result)
    return result
