"""What the cells of one row say of each other, and what the sources of a table agree on."""

from mpiedge.cleaning.claims import Claims, find_claims
from mpiedge.cleaning.known import Known
from mpiedge.cleaning.rowwise import Rowwise, find_rowwise


def learn_rows(stage, known: Known, codes, plans, open_, sourced: list[int], may) -> None:
    """Collective: what the sources of a table agree on, and what the cells of a row say of each other.

    One rank finds each: what few others wait for takes longest on the slowest, and logarithms may differ between hosts.
    """
    def work(task):
        if task[0]:
            return find_rowwise(known.cells(codes), plans, open_, may).to_message()
        names = [place for place, plan in enumerate(plans) if plan.kind == "text" and not plan.key]
        found = find_claims(codes[: len(known.names)], known.values, sourced, names)
        return {"found": found.to_message() if found else None}

    (_, claims), (_, rowwise) = stage.queue.gather(stage.queue.run([(0,), (1,)], work, learn=False,
                                                                   name="rows compared", kept="rows"))
    known.claims = Claims.from_message(claims["found"]) if claims["found"] else None
    known.rowwise = Rowwise.from_message(rowwise, plans)
