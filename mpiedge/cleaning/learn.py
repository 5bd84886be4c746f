"""What a fair sample of a table's rows tells of its wrong cells, step by step.

What is learnt of a column is a map of wrong values (`learn_values`), and of pairs of columns the rules that hold
between them (`learn_rules`).
"""

import numpy as np

from mpiedge.cleaning.companions import doubt_other_things
from mpiedge.cleaning.defaults import find_defaults
from mpiedge.cleaning.known import Known
from mpiedge.cleaning.learn_marks import learn_marks
from mpiedge.cleaning.learn_rows import learn_rows
from mpiedge.cleaning.learn_rules import learn_rules
from mpiedge.cleaning.learn_values import learn_values, mended
from mpiedge.cleaning.names import names_things
from mpiedge.cleaning.types import ColumnPlan
from mpiedge.cleaning.working import sample_rows

SAMPLE_BYTES = 8_000_000
"""Text of the rows that are learnt from: all of a small table, else those with the smallest hashes."""
LEAST_ROWS = 50
VALUE_BYTES = 140
"""Memory of a value in a dictionary and its inverse."""


def estimate_bytes(rows: int, columns: int, row_bytes: float, distinct: list[float], in_work: float) -> float:
    """Local: what a rank holds while it learns of a table, and then of the rows that are `in_work`.

    Dictionaries of the different values; the sample as text, twice while it is gathered, codes of all its cells and
    what they stand for, and one column as strings. distinct: different values of each column, as far as known.
    """
    sampled = min(rows, SAMPLE_BYTES / max(1.0, row_bytes))
    values = sum(min(sampled, number) for number in distinct)
    return VALUE_BYTES * values + max(2 * sampled * row_bytes + sampled * (60 + 16 * columns), in_work) + 10e6


def learn(stage, table, plans: list[ColumnPlan], given: list[dict], said: dict | None, steps) -> Known:
    """Collective: what the sampled rows of a table tell; with a plan, only the rules and repairs it names.

    Rules of a plan without a confidence are as those that are given.
    """
    planned = None if said is None else said.get("rule", [])
    given = given + [rule for rule in planned or [] if "confidence" not in rule]
    known = Known([column.name for column in table.columns])
    if table.rows < LEAST_ROWS or not {"rules", "typos"} & set(steps):
        return known
    codes, numbers = _sample(stage, table, known, given)
    open_ = [place for place, plan in enumerate(plans) if not plan.key and not names_things(plan.name)]
    known.keys = {place for place, plan in enumerate(plans) if plan.key}
    wanted = None if said is None else {(entry["column"], entry["by"]) for entry in said.get("mend", [])}
    if "typos" in steps:
        codes = learn_marks(stage, known, codes, numbers, plans, open_, wanted)
        counts = [np.bincount(column, minlength=len(values)) for column, values in zip(codes, known.values)]
        if said is None:
            learn_values(stage, known, counts, plans, open_)
            doubt_other_things(known, codes, counts)
        for entry in (said or {}).get("repair", []):
            known.repairs.setdefault(known.names.index(entry["column"]), {})[entry["before"]] = (
                entry["after"] or None, entry["rule"], float(entry["confidence"]))
        codes = [mended(known, place, column) for place, column in enumerate(codes)]
    if "rules" in steps:
        pairs = None if said is None else {(entry["column"], entry["by"], entry.get("with", entry.get("at_most")))
                                           for entry in said.get("mend", [])}
        able = [place for place in open_ if wanted is None or (known.names[place], "sources") in wanted]
        learn_rows(stage, known, codes, plans, open_, able, lambda place, by, other=None: pairs is None or (
            known.names[place], by, None if other is None else known.names[other]) in pairs)
        counts = [np.bincount(column, minlength=len(values)) for column, values in zip(codes, known.values)]
        known.defaults = [found for found in find_defaults(codes[:len(known.names)], known.values, open_)
                          if said is None or (known.names[found.column], "default") in wanted]
        for found in known.defaults:   # it says nothing of the other columns
            column = codes[found.column]
            codes[found.column] = np.where(column == known.code_of(found.column)[found.value], 0, column)
        learn_rules(stage, known, codes, counts, plans, open_, planned)
    return known


def _sample(stage, table, known: Known, given: list[dict]) -> tuple[list[np.ndarray], np.ndarray]:
    """Collective: fills the values of `known`; returns the codes of the sampled rows per column, their numbers.
    """
    for rule in given:
        places = [known.names.index(name) for name in rule["lhs"] if name in known.names]
        if rule["rhs"] not in known.names or len(places) != len(rule["lhs"]):
            continue
        if len(places) > 1:
            known.joined.append(places)
        lhs = places[0] if len(places) == 1 else len(table.columns) + len(known.joined) - 1
        known.given.add((lhs, known.names.index(rule["rhs"])))
    sample, numbers = sample_rows(stage, table, min(1.0, SAMPLE_BYTES / max(1, table.text_bytes)))
    codes = []
    for place in range(len(table.columns) + len(known.joined)):
        known.values.append(())
        if place < len(table.columns):
            codes.append(known.take(place, *sample.coded(place)))
            continue
        whole = [known.column(at, codes[at]) for at in known.joined[place - len(table.columns)]]
        codes.append(known.encode(place, ["\x1f".join(row) if all(row) else "" for row in zip(*whole)]))
    return codes, numbers
