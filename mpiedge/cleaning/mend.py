"""Wrong cells of the working tables: learnt from a fair sample of the rows, put right chunk by chunk.

What is learnt of a column is a map of wrong values (`typos`), and of pairs of columns the rules that hold between them
(`dependencies`). A cell whose right value is not sure enough stays as it is and is listed as a flag.
"""

import json
import re
import sys
from dataclasses import dataclass, field

import numpy as np

from mpiedge.cleaning import dependencies, typos
from mpiedge.cleaning.changes import csv_lines
from mpiedge.cleaning.types import ID_NAMES, ColumnPlan, words_of
from mpiedge.cleaning.working import Tally, WorkingTable, changes_file, mended_name, sample_rows, sampled_column
from mpiedge.errors import InputError

SAMPLE_BYTES = 8_000_000
"""Text of the rows that are learnt from: all of a small table, else those with the smallest hashes."""
LEAST_ROWS = 50
MOST_PAIRS = 10_000
"""Pairs of columns between which rules are looked for: in a wider table chance finds more rules than there are, so only
those that are given are tried."""
MOST_DISTINCT = 0.9
DAY = re.compile(r"\d{4}[-/.]\d\d?[-/.]\d\d?(?!\d)|\d\d?[-/.]\d\d?[-/.]\d{2,4}(?!\d)")


@dataclass
class Known:
    """What was learnt of a table.

    names: its columns; joined: further ones, the columns whose cells stand side by side for a rule that was given.
    values, inverse: per column the dictionary and its inverse. repairs: per column. rules: rhs -> rules; excused: rhs
    -> (column, code) where exceptions are legitimate; given: (lhs, rhs) of the rules that were given.
    """

    names: list[str]
    joined: list[list[int]] = field(default_factory=list)
    values: list[list[str]] = field(default_factory=list)
    inverse: list[dict[str, int]] = field(default_factory=list)
    repairs: dict[int, typos.Repairs] = field(default_factory=dict)
    rules: dict[int, list] = field(default_factory=dict)
    excused: dict[int, list] = field(default_factory=dict)
    given: set[tuple[int, int]] = field(default_factory=set)

    @property
    def says_nothing(self) -> bool:
        """Whether no cell can change."""
        return not self.rules and not any(self.repairs.values())

    def to_toml(self) -> dict:
        """What plan.toml says of it: rules between columns, and values that stand for others ("" = flagged only)."""
        rules = [{"lhs": [self.names[rule.lhs]], "rhs": self.names[rhs], "confidence": round(rule.confidence, 4)}
                 for rhs, rules in sorted(self.rules.items()) for rule in rules
                 if rule.lhs < len(self.names) and (rule.lhs, rhs) not in self.given]
        rules += [{"lhs": [self.names[place] for place in (self.joined[lhs - len(self.names)] if lhs >= len(self.names)
                                                           else [lhs])], "rhs": self.names[rhs]}
                  for lhs, rhs in sorted(self.given)]
        repairs = [{"column": self.names[place], "before": before, "after": after or "", "rule": rule,
                    "confidence": confidence}
                   for place, found in sorted(self.repairs.items()) for before, (after, rule, confidence) in
                   found.items()]
        return ({"rule": rules} if rules else {}) | ({"repair": repairs} if repairs else {})


def estimate_bytes(rows: int, columns: int, row_bytes: float) -> float:
    """What a rank holds while it learns of a table: the sample as text, its dictionaries, codes of all its cells."""
    sampled = min(rows, SAMPLE_BYTES / max(1.0, row_bytes))
    return 5 * min(SAMPLE_BYTES, rows * row_bytes) + sampled * columns * 30 + 10e6


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
            return {"tally": [], "mended": False}
        cells = source.read(chunk)
        columns = [cells[column.name].tolist() for column in source.columns]
        yield
        changes = judge_chunk(found, columns, min_confidence)
        numbers = source.numbers(chunk)
        listed = [(int(numbers[row]), found.names[column], rule, before, after, confidence)
                  for row, column, rule, before, after, confidence in changes]
        tally = Tally()
        for row, column, rule, before, after, _ in listed:
            tally.add(row, column, rule, before, after)
        stage.access.write_piece(changes_file(source.title), 3 * chunk + 1, csv_lines(listed))
        yield
        if listed:
            stage.access.write_part(stage.access.unfinished, mended_name(source.name), chunk,
                                    WorkingTable.arrays(columns))
        return {"tally": tally.to_message(), "mended": bool(listed)}

    def take(task, message):
        tallies[task[0]].absorb(message["tally"])
        return message["mended"]

    tasks = [(table, chunk) for table, source in enumerate(tables) for chunk in range(len(source.chunk_rows))]
    done = stage.queue.run(tasks, work, name="cells judged", kept="cells", take=take)
    for (table, chunk), is_mended in stage.queue.gather(done):
        if is_mended:
            tables[table].mended.add(chunk)
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
    codes = _sample(stage, table, known, given)
    counts = [np.bincount(column, minlength=len(values)) for column, values in zip(codes, known.values)]
    open_ = [place for place, plan in enumerate(plans) if not plan.key and not _names_things(plan.name)]
    if "typos" in steps:
        if said is None:
            _learn_typos(stage, known, counts, plans, open_)
        for entry in (said or {}).get("repair", []):
            known.repairs.setdefault(known.names.index(entry["column"]), {})[entry["before"]] = (
                entry["after"] or None, entry["rule"], float(entry["confidence"]))
        codes = [_mended(known, place, column) for place, column in enumerate(codes)]
    if "rules" in steps:
        measured = {place for place, plan in enumerate(plans) if plan.kind in ("decimal", "integer", "date")
                    or _is_dated(known.values[place])}
        _learn_rules(stage, known, codes, counts, open_, measured, planned)
    return known


def _names_things(column: str) -> bool:
    """Whether a column is called an id or a key: such cells have no redundancy by which they could be judged."""
    return bool(ID_NAMES & set(words_of(column))) or column.lower().endswith(("id", "key"))


def _is_dated(values: list[str]) -> bool:
    """Whether most values begin with a day, whatever follows."""
    some = [value for value in values[:1000] if value]
    return sum(bool(DAY.match(value)) for value in some) > 0.8 * len(some)


def _sample(stage, table, known: Known, given: list[dict]) -> list[np.ndarray]:
    """Collective: fills names, values and inverse of `known`; returns the codes of the sampled rows per column."""
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
        inverse: dict[str, int] = {"": 0}
        codes.append(np.fromiter((inverse.setdefault(cell, len(inverse)) for cell in cells), np.int64, len(cells)))
        known.values.append(list(inverse))
        known.inverse.append(inverse)
    return codes


def _learn_typos(stage, known: Known, counts, plans, open_) -> None:
    def work(task):
        (place,) = task
        return _pack(typos.find_repairs(known.values[place], counts[place], plans[place].kind == "text"))

    def gather(work, places) -> dict[int, typos.Repairs]:
        done = stage.queue.gather(stage.queue.run([(place,) for place in places], work, name="values judged",
                                                    kept="values"))
        return {task[0]: _unpack(result) for task, result in done if result["wrong"]}

    known.repairs = gather(work, [place for place in open_ if len(known.values[place]) > 2])
    sign = typos.noise_character([found for _, found in sorted(known.repairs.items())])
    if sign:
        def again(task):
            (place,) = task
            return _pack(typos.with_wildcard(known.values[place], counts[place], sign, known.repairs.get(place, {})))

        for place, found in gather(again, open_).items():
            known.repairs[place] = {**known.repairs.get(place, {}), **found}
        for found in known.repairs.values():
            for value in [value for value, (_, rule, _) in found.items() if rule == "pattern" and sign in value]:
                found[value] = (None, "flag: noise character", 0.6)


def _pack(repairs: typos.Repairs) -> dict:
    return {"wrong": list(repairs), "right": [right for right, _, _ in repairs.values()],
            "rule": [rule for _, rule, _ in repairs.values()],
            "confidence": [confidence for _, _, confidence in repairs.values()]}


def _unpack(message: dict) -> typos.Repairs:
    return {wrong: (right, rule, confidence) for wrong, right, rule, confidence in zip(
        message["wrong"], message["right"], message["rule"], message["confidence"])}


def _mended(known: Known, place: int, codes: np.ndarray) -> np.ndarray:
    """Codes of a column after its repairs (a value that is new keeps the old code)."""
    translation = np.arange(len(known.values[place]))
    for wrong, (right, _, _) in known.repairs.get(place, {}).items():
        if wrong in known.inverse[place] and right in known.inverse[place]:
            translation[known.inverse[place][wrong]] = known.inverse[place][right]
    return translation[codes]


def _learn_rules(stage, known: Known, codes, counts, open_, measured: set[int], planned) -> None:
    """Collective: the rules between columns. Numbers and dates determine each other by accident: no such rules."""
    chosen = None if planned is None else {(*rule["lhs"], rule["rhs"]) for rule in planned}
    rows = len(codes[0])
    distinct = [int(np.count_nonzero(number)) for number in counts]
    left = [place for place in range(len(codes)) if 1 < distinct[place] <= 0.5 * rows]
    right = [place for place in open_ if 1 < distinct[place] <= MOST_DISTINCT * rows]
    if len(left) * len(right) > MOST_PAIRS:
        right = sorted({rhs for _, rhs in known.given} & set(right))
        left = sorted({lhs for lhs, _ in known.given} & set(left))

    def rules_for(rhs: int, wanted=None):
        able = [lhs for lhs in left if lhs != rhs and not _holds(known, lhs, rhs) and (
            (lhs, rhs) in known.given or not {lhs, rhs} <= measured) and (
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
        found = dependencies.judge(rules, every, known.values[rhs], bool(given)) if rules else []
        if not found or len(found) > dependencies.MOST_CHANGED * rows:
            return None
        used = sorted({lhs for *_, lhs in found})
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


# -- putting right ---------------------------------------------------------------------------------------------------

def judge_chunk(known: Known, columns: list[list[str]], min_confidence: float) -> list[tuple]:
    """Local: changes the columns in place; returns (row, column, rule, before, after, confidence), in order of rows.

    A cell that is only flagged has its old value as `after`.
    """
    changes = {}
    for place, repairs in sorted(known.repairs.items()):
        cells = columns[place]
        for row, cell in enumerate(cells):
            if cell in repairs:
                right, rule, confidence = repairs[cell]
                sure = right is not None and confidence >= min_confidence
                rule = rule if sure or rule.startswith("flag") else f"flag: {rule}"
                changes[row, place] = (rule, cell, right if sure else cell, confidence)
                if sure:
                    cells[row] = right
    if known.rules:
        whole = columns + [["\x1f".join(row) for row in zip(*(columns[at] for at in places))]
                           for places in known.joined]
        used = {rule.lhs for rules in known.rules.values() for rule in rules} | set(known.rules)
        used |= {column for pairs in known.excused.values() for column, _ in pairs}
        codes = {place: np.fromiter((known.inverse[place].get(cell, -1) for cell in whole[place]), np.int64,
                                    len(columns[0])) for place in used}
        for rhs, rules in sorted(known.rules.items()):
            given = any((rule.lhs, rhs) in known.given for rule in rules)
            for row, code, confidence, lhs in dependencies.judge(rules, codes, known.values[rhs], given):
                if any(codes[column][row] == value for column, value in known.excused[rhs]):
                    continue
                before, after = columns[rhs][row], known.values[rhs][code]
                name = known.names[lhs] if lhs < len(known.names) else "+".join(
                    known.names[at] for at in known.joined[lhs - len(known.names)])
                rule = f"rule: {name} -> {known.names[rhs]}"
                sure = confidence >= min_confidence
                old = changes.get((row, rhs))
                first = old[1] if old else before
                changes[row, rhs] = (rule if sure else f"flag: {rule}", first, after if sure else before, confidence)
                if sure:
                    columns[rhs][row] = after
    return [(row, place, *change) for (row, place), change in sorted(changes.items())
            if change[0].startswith("flag") or change[1] != change[2]]


def read_rules(path: str) -> list[dict]:
    """Local: the rules of a file: fds.jsonl as mpiedge-profile writes it, or TOML with [[rule]] lhs and rhs.

    Raises InputError for a file that cannot be read or holds something else.
    """
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        found = ([json.loads(line) for line in text.splitlines() if line.strip()] if path.endswith(".jsonl")
                 else load_toml(text).get("rule", []))
        return [{**rule, "lhs": [rule["lhs"]] if isinstance(rule["lhs"], str) else list(rule["lhs"]),
                 "rhs": str(rule["rhs"])} for rule in found]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(path, f"holds no rules ({str(error)[:80]})",
                         "Give fds.jsonl of mpiedge-profile, or TOML with [[rule]] lhs = [...] rhs = ...") from error


def load_toml(text: str) -> dict:
    """Local: a TOML text as a dictionary."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    return tomllib.loads(text)
