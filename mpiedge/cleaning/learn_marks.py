"""Marks, cells run together and sequences: what is put right before values are compared."""

from dataclasses import replace
from functools import cache

import numpy as np

from mpiedge.cleaning.known import Known, judge_chunk
from mpiedge.cleaning.leaks import Leak, find_leaks
from mpiedge.cleaning.marks import judge_columns, look_at_column
from mpiedge.cleaning.sequences import Sequence, find_sequence


def learn_marks(stage, known: Known, codes, numbers: np.ndarray, plans, open_, wanted) -> list[np.ndarray]:
    """Collective: marks, cells run together and sequences; returns the codes of the sampled rows without them.

    wanted: (column, by) of a plan, None without one.
    """
    def may(place: int, by: str) -> bool:
        return wanted is None or (known.names[place], by) in wanted

    columns = range(len(known.names))

    def look(task):
        (place,) = task
        values = known.values[place].all()
        return look_at_column(values, np.bincount(codes[place], minlength=len(values)))

    letters = known.cost_by_letters()
    told = stage.queue.gather(stage.queue.run([(place,) for place in open_], look, cost=letters, learn=False,
                                              name="marks looked for", kept="marks"))
    found = judge_columns({task[0]: message for task, message in sorted(told, key=lambda pair: pair[0])})
    known.marks.tails = {place: mark for place, mark in found.tails.items() if may(place, "mark")}
    known.marks.doubled = {place for place in found.doubled if may(place, "doubled quote")}
    known.marks.markup = {place for place in found.markup if may(place, "markup")}
    known.marks.templates = {place: form for place, form in found.templates.items() if may(place, "usual form") and
                             plans[place].kind == "text"}
    cells, leaks = cache(lambda place: known.column(place, codes[place])), len(known.names)
    text = [at for at in open_ if plans[at].kind == "text"]

    def cost(task):
        return letters(task) if task[0] != leaks else 1 + sum(letters((at,)) for at in text)

    def work(task):
        (place,) = task
        if place == leaks:
            return [leak.to_message() for leak in find_leaks(dict(zip(text, map(cells, text))), text)]
        found = find_sequence(cells(place), numbers, plans[place].day_first)
        return found and found.to_message()

    able = [place for place in columns if may(place, "sequence")]
    done = dict(stage.queue.gather(stage.queue.run([(place,) for place in [*able, leaks]], work, cost=cost, learn=False,
                                                   name="sequences looked for", kept="sequences")))
    known.leaks = [leak for leak in map(Leak.from_message, done.pop((leaks,))) if may(leak.of, "run together")]
    known.sequences = {place: Sequence(**message) for (place,), message in sorted(done.items()) if message}
    if known.says_nothing:
        return codes
    changed = list(map(cells, columns))
    judge_chunk(replace(known, rules={}, repairs={}), changed, numbers, 0.0)
    for place, column in enumerate(changed):
        if place in known.marks.columns or place in known.sequences or any(
                place in (leak.of, leak.into) for leak in known.leaks):
            codes[place] = known.encode(place, column)
    return codes
