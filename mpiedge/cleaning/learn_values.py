"""Wrong values of single columns: what each way of finding them says, one task a column and way."""

import numpy as np

from mpiedge.cleaning import noise, typos
from mpiedge.cleaning.known import Known
from mpiedge.cleaning.spelling import Repairs
from mpiedge.cleaning.types import ColumnPlan


def learn_values(stage, known: Known, counts: list[np.ndarray], plans: list[ColumnPlan], open_: list[int]) -> None:
    """Collective: the repairs of the open columns, from how often each of their values occurs."""
    is_text = [plan.kind == "text" for plan in plans]
    letters = known.cost_by_letters()

    def cost(task) -> float:
        return letters(task) * (typos.cost_of(task[1]) if len(task) > 1 else 1.0)

    def work(task):
        place, way = task
        return _pack(typos.find_by(way, known.values[place].all(), counts[place], is_text[place]))

    def gather(work, tasks, kept) -> dict[tuple[int, ...], Repairs]:
        done = stage.queue.gather(stage.queue.run(tasks, work, cost=cost, learn=False, name="values judged",
                                                  kept=kept))
        return {task: _unpack(result) for task, result in done}

    places, ways = [place for place in open_ if len(known.values[place]) > 2], range(len(typos.WAYS))
    told = gather(work, [(place, way) for place in places for way in ways], "values")
    found = {place: typos.find_repairs(known.values[place], counts[place], is_text[place],
                                       [told[place, way] for way in ways]) for place in places}
    known.repairs = {place: repairs for place, repairs in found.items() if repairs}
    sign = noise.noise_character([found for _, found in sorted(known.repairs.items())])
    if sign:
        def again(task):
            (place,) = task
            repairs = known.repairs.get(place, {})
            return _pack(noise.with_wildcard(known.values[place].all(), counts[place], sign, repairs))

        for (place,), found in gather(again, [(place,) for place in open_], "wildcards").items():
            if found:
                known.repairs[place] = {**known.repairs.get(place, {}), **found}
        for found in known.repairs.values():
            for value in [value for value, (_, rule, _) in found.items() if rule == "pattern" and sign in value]:
                found[value] = (None, "flag: noise character", 0.6)


def mended(known: Known, place: int, codes: np.ndarray) -> np.ndarray:
    """Local: codes of a column after its repairs (a value that is new keeps the old code)."""
    repairs = {wrong: right for wrong, (right, rule, _) in known.repairs.get(place, {}).items() if rule != "lost value"}
    if not repairs:
        return codes
    translation, code_of = np.arange(len(known.values[place])), known.code_of(place)
    for wrong, right in repairs.items():
        if wrong in code_of and right in code_of:
            translation[code_of[wrong]] = code_of[right]
    return translation[codes]


def _pack(repairs: Repairs) -> dict:
    return {"wrong": list(repairs), "right": [right for right, _, _ in repairs.values()],
            "rule": [rule for _, rule, _ in repairs.values()],
            "confidence": [confidence for _, _, confidence in repairs.values()]}


def _unpack(message: dict) -> Repairs:
    return {wrong: (right, rule, confidence) for wrong, right, rule, confidence in zip(
        message["wrong"], message["right"], message["rule"], message["confidence"])}
