"""Wrong cells of the working tables: learnt from a fair sample of the rows, put right chunk by chunk.

What is learnt of a column is a map of wrong values (`typos`), and of pairs of columns the rules that hold between them
(`dependencies`). A cell whose right value is not sure enough stays as it is and is listed as a flag.
"""

import re
from dataclasses import replace
from functools import cache

import numpy as np

from mpiedge.cleaning import dependencies, noise, typos
from mpiedge.cleaning.cells import form_of
from mpiedge.cleaning.changes import csv_lines
from mpiedge.cleaning.claims import Claims, find_claims
from mpiedge.cleaning.defaults import find_defaults
from mpiedge.cleaning.known import Known, judge_chunk
from mpiedge.cleaning.leaks import Leak, find_leaks
from mpiedge.cleaning.marks import judge_columns, look_at_column
from mpiedge.cleaning.names import ID_NAMES, words_of
from mpiedge.cleaning.rowwise import Rowwise, find_rowwise
from mpiedge.cleaning.sequences import Sequence, find_sequence
from mpiedge.cleaning.spelling import Repairs
from mpiedge.cleaning.tally import Tally
from mpiedge.cleaning.types import ColumnPlan
from mpiedge.cleaning.working import WorkingTable, changes_file, mended_name, sample_rows, sampled_column

SAMPLE_BYTES = 8_000_000
"""Text of the rows that are learnt from: all of a small table, else those with the smallest hashes."""
LEAST_ROWS = 50
MOST_PAIRS = 10_000
"""Pairs of columns between which rules are looked for: in a wider table chance finds more rules than there are, so only
those that are given are tried."""
MOST_DISTINCT = 0.9
CLASS_SHARE, FEW_CLASSES = 0.01, 5
"""A column of fewer values that are not rare is one of classes."""
VALUE_BYTES = 140
"""Memory of a value in a dictionary and its inverse."""
OTHER_WORDS = ("paid", "acid", "bid", "covid", "fluid", "grid", "humid", "kid", "liquid", "oid", "solid", "valid",
               "donkey", "hockey", "monkey", "turkey", "whiskey")
"""Ends of names that end as those of ids do."""
DAY = re.compile(r"\d{4}[-/.]\d\d?[-/.]\d\d?(?!\d)|\d\d?[-/.]\d\d?[-/.]\d{2,4}(?!\d)")


def estimate_bytes(rows: int, columns: int, row_bytes: float, distinct: list[float], in_work: float) -> float:
    """Local: what a rank holds while it learns of a table, and then of the rows that are `in_work`.

    Dictionaries of the different values; the sample as text, twice while it is gathered, codes of all its cells and
    what they stand for, and one column as strings. distinct: different values of each column, as far as known.
    """
    sampled = min(rows, SAMPLE_BYTES / max(1.0, row_bytes))
    values = sum(min(sampled, number) for number in distinct)
    return VALUE_BYTES * values + max(2 * sampled * row_bytes + sampled * (60 + 16 * columns), in_work) + 10e6


def mend(stage, tables, plans: list[list[ColumnPlan]], steps, given: list[dict], min_confidence: float,
         said: list[dict | None]) -> tuple[list[Tally], list[Known]]:
    """Collective: finds wrong cells and rewrites the working tables; the changes of chunk i are piece 3 i + 1.

    given: rules {"table", "lhs": [names], "rhs"}. said: per table what a plan says, None without one. Returns the
    changes and what was learnt. Messages: the sampled rows and what was learnt, to every rank.
    """
    mine = [[rule for rule in given if rule.get("table", table.title) == table.title] for table in tables]
    known = [learn(stage, *rest, steps) for rest in zip(tables, plans, mine, said)]
    tallies = [Tally() for _ in tables]

    def work(task):
        table, chunk = task
        found, source = known[table], tables[table]
        if found.says_nothing:
            stage.access.write_piece(changes_file(source.title), 3 * chunk + 1, b"")
            return {"tally": [], "mended": None}
        cells = source.read(chunk)
        columns = [cells[column.name].tolist() for column in source.columns]
        yield
        numbers = source.numbers(chunk)
        changes = judge_chunk(found, columns, numbers, min_confidence)
        listed = [(int(numbers[row]), found.names[column], rule, before, after, confidence)
                  for row, column, rule, before, after, confidence in changes]
        tally = Tally()
        for row, column, rule, before, after, _ in listed:
            tally.add(row, column, rule, before, after)
        stage.access.write_piece(changes_file(source.title), 3 * chunk + 1, csv_lines(listed))
        yield
        part = stage.access.write_part(stage.access.unfinished, mended_name(source.name), chunk,
                                       WorkingTable.arrays(columns)) if listed else {"sha256": None}
        return {"tally": tally.to_message(), "mended": part["sha256"]}

    def take(task, message):
        tallies[task[0]].absorb(message["tally"])
        return message["mended"]

    tasks = [(table, chunk) for table, source in enumerate(tables) for chunk in range(len(source.chunk_rows))]
    done = stage.queue.run(tasks, work, name="cells judged", kept="cells", take=take)
    for (table, chunk), checksum in stage.queue.gather(done):
        if checksum:
            tables[table].mended.add(chunk)
            tables[table].checksums[chunk] = checksum
    for tally in tallies:
        tally.merge(stage.world)
    for found in known:  # the dictionaries have served; duplicates need the room
        found.values, found.inverse = [], []
    return tallies, known


# -- learning --------------------------------------------------------------------------------------------------------

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
    open_ = [place for place, plan in enumerate(plans) if not plan.key and not _names_things(plan.name)]
    known.keys = {place for place, plan in enumerate(plans) if plan.key}
    wanted = None if said is None else {(entry["column"], entry["by"]) for entry in said.get("mend", [])}
    if "typos" in steps:
        codes = _learn_marks(stage, known, codes, numbers, plans, open_, wanted)
        counts = [np.bincount(column, minlength=len(values)) for column, values in zip(codes, known.values)]
        if said is None:
            _learn_typos(stage, known, counts, plans, open_)
        for entry in (said or {}).get("repair", []):
            known.repairs.setdefault(known.names.index(entry["column"]), {})[entry["before"]] = (
                entry["after"] or None, entry["rule"], float(entry["confidence"]))
        codes = [_mended(known, place, column) for place, column in enumerate(codes)]
    if "rules" in steps:
        pairs = None if said is None else {(entry["column"], entry["by"], entry.get("with", entry.get("at_most")))
                                           for entry in said.get("mend", [])}
        able = [place for place in open_ if wanted is None or (known.names[place], "sources") in wanted]
        _learn_rows(stage, known, codes, plans, open_, able, lambda place, by, other=None: pairs is None or (
            known.names[place], by, None if other is None else known.names[other]) in pairs)
        counts = [np.bincount(column, minlength=len(values)) for column, values in zip(codes, known.values)]
        measured = {place for place, plan in enumerate(plans) if plan.kind in ("decimal", "integer", "date")
                    or _is_dated(known.values[place])}
        known.defaults = [found for found in find_defaults(codes[:len(known.names)], known.values, open_)
                          if said is None or (known.names[found.column], "default") in wanted]
        for found in known.defaults:   # it says nothing of the other columns
            column = codes[found.column]
            codes[found.column] = np.where(column == known.inverse[found.column][found.value], 0, column)
        fractions = {place for place, plan in enumerate(plans) if plan.kind == "decimal"}
        _learn_rules(stage, known, codes, counts, open_, measured, fractions, planned)
    return known


def _learn_marks(stage, known: Known, codes, numbers: np.ndarray, plans, open_, wanted) -> list[np.ndarray]:
    """Collective: marks, cells run together and sequences; returns the codes of the sampled rows without them.

    wanted: (column, by) of a plan, None without one.
    """
    def may(place: int, by: str) -> bool:
        return wanted is None or (known.names[place], by) in wanted

    columns = range(len(known.names))

    def look(task):
        (place,) = task
        return look_at_column(known.values[place], np.bincount(codes[place], minlength=len(known.values[place])))

    told = stage.queue.gather(stage.queue.run([(place,) for place in open_], look, cost=_letters(known), learn=False,
                                              name="marks looked for", kept="marks"))
    found = judge_columns({task[0]: message for task, message in sorted(told, key=lambda pair: pair[0])})
    known.marks.tails = {place: mark for place, mark in found.tails.items() if may(place, "mark")}
    known.marks.doubled = {place for place in found.doubled if may(place, "doubled quote")}
    known.marks.markup = {place for place in found.markup if may(place, "markup")}
    known.marks.templates = {place: form for place, form in found.templates.items() if may(place, "usual form") and
                             plans[place].kind == "text"}
    cells = cache(lambda: _cells(known, codes))   # by ranks that have something to look for
    leaks = len(known.names)

    def work(task):
        (place,) = task
        if place == leaks:
            return [leak.to_message() for leak in find_leaks(cells(), [at for at in open_ if plans[at].kind == "text"])]
        found = find_sequence(cells()[place], numbers, plans[place].day_first)
        return found and found.to_message()

    able = [place for place in columns if may(place, "sequence")]
    done = dict(stage.queue.gather(stage.queue.run([(place,) for place in [*able, leaks]], work,
                                                   name="sequences looked for", kept="sequences")))
    known.leaks = [leak for leak in map(Leak.from_message, done.pop((leaks,))) if may(leak.of, "run together")]
    known.sequences = {place: Sequence(**message) for (place,), message in sorted(done.items()) if message}
    if known.says_nothing:
        return codes
    judge_chunk(replace(known, rules={}, repairs={}), cells(), numbers, 0.0)
    for place, column in enumerate(cells()):
        if place in known.marks.columns or place in known.sequences or any(
                place in (leak.of, leak.into) for leak in known.leaks):
            codes[place] = known.encode(place, column)
    return codes


def _names_things(column: str) -> bool:
    """Whether a column is called an id or a key: such cells have no redundancy by which they could be judged."""
    name = column.partition("(")[0].strip()   # what stands in brackets is a unit or a type
    word = name.lower()
    return bool(ID_NAMES & set(words_of(name))) or (word.endswith(("id", "key")) and not word.endswith(OTHER_WORDS))


def _is_dated(values: list[str]) -> bool:
    """Whether most values are times of day or begin with a day, whatever follows."""
    some = [value for value in values[:1000] if value]
    return sum(bool(DAY.match(value) or form_of(value) == "time") for value in some) > 0.8 * len(some)


def _sample(stage, table, known: Known, given: list[dict]) -> tuple[list[np.ndarray], np.ndarray]:
    """Collective: fills values and inverse of `known`; returns the codes of the sampled rows per column, their numbers.
    """
    for rule in given:
        places = [known.names.index(name) for name in rule["lhs"] if name in known.names]
        if rule["rhs"] not in known.names or len(places) != len(rule["lhs"]):
            continue
        if len(places) > 1:
            known.joined.append(places)
        lhs = places[0] if len(places) == 1 else len(table.columns) + len(known.joined) - 1
        known.given.add((lhs, known.names.index(rule["rhs"])))
    parts = sample_rows(stage, table, min(1.0, SAMPLE_BYTES / max(1, table.text_bytes)))
    codes = []
    for place in range(len(table.columns) + len(known.joined)):
        if place < len(table.columns):
            cells = sampled_column(parts, place)
        else:
            whole = [[known.values[at][code] for code in codes[at].tolist()] for at in
                     known.joined[place - len(table.columns)]]
            cells = ["\x1f".join(row) if all(row) else "" for row in zip(*whole)]
        known.values.append([])
        known.inverse.append({})
        codes.append(known.encode(place, cells))
    return codes, np.concatenate([np.zeros(0, np.int64), *(part["numbers"] for part in parts)])


def _learn_rows(stage, known: Known, codes, plans, open_, sourced: list[int], may) -> None:
    """Collective: what the sources of a table agree on, and what the cells of a row say of each other.

    One rank finds each: what few others wait for takes longest on the slowest, and logarithms may differ between hosts.
    """
    def work(task):
        if task[0]:
            return find_rowwise(_cells(known, codes), plans, open_, may).to_message()
        names = [place for place, plan in enumerate(plans) if plan.kind == "text" and not plan.key]
        found = find_claims(codes[: len(known.names)], known.values, sourced, names)
        return {"found": found.to_message() if found else None}

    (_, claims), (_, rowwise) = stage.queue.gather(stage.queue.run([(0,), (1,)], work, name="rows compared",
                                                                   kept="rows"))
    known.claims = Claims.from_message(claims["found"]) if claims["found"] else None
    known.rowwise = Rowwise.from_message(rowwise, plans)


def _cells(known: Known, codes) -> list[list[str]]:
    """The sampled cells of every column."""
    return [[known.values[place][code] for code in codes[place].tolist()] for place in range(len(known.names))]


def _learn_typos(stage, known: Known, counts, plans, open_) -> None:
    is_text = [plan.kind == "text" for plan in plans]

    def work(task):
        place, way = task
        return _pack(typos.find_by(way, known.values[place], counts[place], is_text[place]))

    def gather(work, tasks, kept) -> dict[tuple[int, ...], Repairs]:
        done = stage.queue.gather(stage.queue.run(tasks, work, cost=_letters(known), learn=False, name="values judged",
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
            return _pack(noise.with_wildcard(known.values[place], counts[place], sign, known.repairs.get(place, {})))

        for (place,), found in gather(again, [(place,) for place in open_], "wildcards").items():
            if found:
                known.repairs[place] = {**known.repairs.get(place, {}), **found}
        for found in known.repairs.values():
            for value in [value for value, (_, rule, _) in found.items() if rule == "pattern" and sign in value]:
                found[value] = (None, "flag: noise character", 0.6)


def _letters(known: Known):
    """The cost of a task whose first number is a column: the letters of its different values. The longest begin first,
    on the fastest ranks."""
    letters = [sum(map(len, values)) for values in known.values]
    return lambda task: letters[task[0]] + 1


def _pack(repairs: Repairs) -> dict:
    return {"wrong": list(repairs), "right": [right for right, _, _ in repairs.values()],
            "rule": [rule for _, rule, _ in repairs.values()],
            "confidence": [confidence for _, _, confidence in repairs.values()]}


def _unpack(message: dict) -> Repairs:
    return {wrong: (right, rule, confidence) for wrong, right, rule, confidence in zip(
        message["wrong"], message["right"], message["rule"], message["confidence"])}


def _mended(known: Known, place: int, codes: np.ndarray) -> np.ndarray:
    """Codes of a column after its repairs (a value that is new keeps the old code)."""
    translation = np.arange(len(known.values[place]))
    for wrong, (right, rule, _) in known.repairs.get(place, {}).items():
        if rule != "lost value" and wrong in known.inverse[place] and right in known.inverse[place]:
            translation[known.inverse[place][wrong]] = known.inverse[place][right]
    return translation[codes]


def _learn_rules(stage, known: Known, codes, counts, open_, measured: set[int], fractions: set[int],
                 planned) -> None:
    """Collective: the rules between columns. Numbers and dates determine each other by accident, and so does a number
    one of few classes: no such rules, nor any by what is measured to fractions."""
    chosen = None if planned is None else {(*rule["lhs"], rule["rhs"]) for rule in planned}
    rows = len(codes[0])
    distinct = [int(np.count_nonzero(number)) for number in counts]
    left = [place for place in range(len(codes)) if 1 < distinct[place] <= 0.5 * rows]
    right = [place for place in open_ if 1 < distinct[place] <= MOST_DISTINCT * rows]
    classes = {place for place in right if np.count_nonzero(counts[place] >= CLASS_SHARE * rows) < FEW_CLASSES}
    if len(left) * len(right) > MOST_PAIRS:
        right = sorted({rhs for _, rhs in known.given} & set(right))
        left = sorted({lhs for lhs, _ in known.given} & set(left))

    def rules_for(rhs: int, wanted=None):
        able = [lhs for lhs in left if lhs != rhs and not _holds(known, lhs, rhs) and (
            (lhs, rhs) in known.given or not (lhs in fractions or (
                lhs in measured and (rhs in measured or rhs in classes)))) and (
            (lhs, rhs) in known.given or chosen is None or (lhs < len(known.names)
            and (known.names[lhs], known.names[rhs]) in chosen))]
        found = [dependencies.mine(lhs, rhs, codes[lhs], codes[rhs], 0, 0) for lhs in able
                 if wanted is None or lhs in wanted]
        return [rule for rule in found if rule is not None]

    def work(task):
        (rhs,) = task
        given = [lhs for lhs, target in sorted(known.given) if target == rhs]
        if given:
            rules = rules_for(rhs, given)
        else:
            rules = dependencies.best_rules([rule for rule in rules_for(rhs) if rule.lhs < len(known.names)])
        every = dict(enumerate(codes))
        found = dependencies.judge(rules, every, known.values[rhs], bool(given),
                                   "" in known.repairs.get(rhs, {})) if rules else []
        if not found or len(found) > dependencies.MOST_CHANGED * rows:
            return None
        used = sorted({lhs for *_, lhs, _ in found})
        return {"lhs": [rule.lhs for rule in rules], "used": used,
                "excused": dependencies.excused([row for row, *_ in found], every, rhs)}

    done = stage.queue.gather(stage.queue.run([(rhs,) for rhs in right], work, name="rules mined", kept="rules"))
    for task, result in sorted(done, key=lambda pair: pair[0]):
        if result is not None:
            rhs = task[0]
            known.rules[rhs] = sorted(rules_for(rhs, result["lhs"]), key=lambda rule: (-rule.lift, rule.lhs))
            known.excused[rhs] = [tuple(pair) for pair in result["excused"]]


def _holds(known: Known, lhs: int, rhs: int) -> bool:
    """Whether a joined column holds the rhs itself."""
    return lhs >= len(known.names) and rhs in known.joined[lhs - len(known.names)]
