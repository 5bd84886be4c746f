"""A plan.toml read back: what it says of a file, columns, rules and blanks is done instead of deciding that anew."""

from dataclasses import asdict, replace

from mpiedge.cleaning.encodings import keeps_ascii
from mpiedge.cleaning.rules import load_toml
from mpiedge.cleaning.types import ColumnPlan, missing
from mpiedge.errors import InputError
from mpiedge.runtime.root import on_root
from mpiedge.store.ranges import BYTE_ORDER_MARKS

FACTS = ("name", "missing", "unreadable", "distinct")
"""Of a column what is counted, not decided."""
KINDS = ("text", "integer", "decimal", "date", "boolean")
WRITTEN = {"encoding": str, "delimiter": str, "quote": str, "escape": str, "header": bool, "header_lines": int,
           "preamble_lines": int}
"""How a table is written."""
SIGNS, LINE_ENDS = ("delimiter", "quote", "escape"), "\r\n"
MOST_HEADER_LINES = 20
WIDE = tuple(name for _, name in BYTE_ORDER_MARKS)
"""Encodings of wide characters, which tell the order of their bytes."""
SHAPES = {"columns": ("name",), "fill": ("column", "look_up_by", "predict", "value"), "rule": ("lhs", "rhs"),
          "mend": ("column", "by"), "repair": ("column", "before", "after", "rule", "confidence")}


def read_plan(world, path: str | None, steps: tuple[str, ...]) -> dict:
    """Collective: the plan of a file, {} without one. Raises InputError for what is no plan; steps: those there are.

    tables: what it says of their columns; written: how they are written. A table of whose columns it says nothing is
    only read as it says.
    """
    return on_root(world, lambda: _read(path, steps)) if path else {}


def _read(path: str, steps: tuple[str, ...]) -> dict:
    try:
        with open(path, encoding="utf-8") as file:
            plan = load_toml(file.read())
        _check(plan, steps)
        plan["written"] = {name: {key: table[key] for key in WRITTEN if key in table}
                           for name, table in plan["tables"].items()}
        plan["tables"] = {name: table for name, table in plan["tables"].items() if "columns" in table}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(path, f"is no plan ({' '.join(str(error).split())[:100]})",
                         "Take the plan.toml of a run and change values in it") from error
    return plan


def _check(plan: dict, steps: tuple[str, ...]) -> None:
    unknown = set(plan.get("steps", [])) - set(steps)
    if unknown or not plan["tables"]:
        raise ValueError(f"no step {', '.join(sorted(map(str, unknown)))}" if unknown else "no tables")
    for name in ("min_confidence", "least_sure_fill"):
        if not (isinstance(plan.get(name, 0.8), (int, float)) and 0 <= plan.get(name, 0.8) <= 1):
            raise ValueError(f"{name} is no number from 0 to 1")
    plain = asdict(ColumnPlan("", day_first=False, unit=""))
    for name, table in plan["tables"].items():
        _check_written(name, table)
        for part, fields in SHAPES.items():
            for entry in table.get(part, []):
                lost = [key for key in fields if key not in entry]
                if lost:
                    raise ValueError(f"table {name}: a {part} entry without {lost[0]}")
        for entry in table.get("columns", []):
            for key, value in entry.items():
                if key not in plain or type(value) is not type(plain[key]):
                    raise ValueError(f"column {entry['name']}: {key} cannot be {value!r}")
            if entry.get("kind", "text") not in KINDS:
                raise ValueError(f"column {entry['name']}: no kind {entry['kind']}")
        if not all(isinstance(rule["lhs"], list) and isinstance(rule["rhs"], str) for rule in table.get("rule", [])):
            raise ValueError(f"table {name}: a rule needs a list lhs and a column rhs")
        if not all(isinstance(value, str) for entry in table.get("repair", []) for value in
                   [entry["column"], entry["before"], entry["after"], entry["rule"], str(float(entry["confidence"]))]):
            raise ValueError(f"table {name}: a repair entry that is not text")
        if not all(isinstance(value, str) for fill in table.get("fill", []) for value in
                   [fill["column"], fill["value"], *fill["look_up_by"]]):
            raise ValueError(f"table {name}: a fill entry that is not text")
        if not isinstance(table.get("predict_first", []), list):
            raise ValueError(f"table {name}: predict_first is no list of columns")


def _check_written(name: str, table: dict) -> None:
    for key, value in table.items():
        if key in WRITTEN and (type(value) is not WRITTEN[key] or not _can_be(key, value)):
            raise ValueError(f"table {name}: {key} cannot be {value!r}")
    signs = [table[key] for key in SIGNS if table.get(key)]
    if len(set(signs)) < len(signs):
        raise ValueError(f"table {name}: {' and '.join(key for key in SIGNS if table.get(key))} must differ")


def _can_be(key: str, value) -> bool:
    if key == "encoding":
        return value in WIDE or keeps_ascii(value)
    if key == "header_lines":
        return 1 <= value <= MOST_HEADER_LINES
    if key == "preamble_lines":
        return value >= 0
    if key in SIGNS and value:
        return len(value) == 1 and not value.isalnum() and value not in LINE_ENDS
    return key != "delimiter"


def of_table(plan: dict, name: str, columns: list[str]) -> dict | None:
    """What the plan says of a table, None where it says nothing. Raises InputError for columns that are not there."""
    table = plan.get("tables", {}).get(name)
    if table is None:
        return None
    named = [entry["name"] for entry in table.get("columns", [])]
    named += [name for fill in table.get("fill", []) for name in (fill["column"], *fill["look_up_by"])]
    named += [entry["column"] for entry in table.get("repair", [])] + table.get("predict_first", [])
    strange = [column for column in named if column not in columns]
    if strange:
        error = InputError("plan", f"table {name} has no column {strange[0]}", "Take a plan of the same tables")
        error.everywhere = True
        raise error
    return table


def columns_as_planned(table: dict | None, plans: list[ColumnPlan], summaries) -> list[ColumnPlan]:
    """The plans of the columns, decided by the plan where it speaks of them."""
    wanted = {entry["name"]: entry for entry in (table or {}).get("columns", [])}
    found = []
    for plan, summary in zip(plans, summaries):
        if plan.name not in wanted:
            found.append(plan)
            continue
        said = {key: value for key, value in wanted[plan.name].items() if key not in FACTS}
        new = replace(ColumnPlan(plan.name), **said)
        new.distinct = plan.distinct
        new.missing = missing(summary, new.null_words)
        new.unreadable = plan.unreadable if new.kind == plan.kind else summary.filled * (new.kind != "text")
        found.append(new)
    return found


def determinants(table: dict, plans: list[ColumnPlan]) -> list[tuple[int, int]]:
    """The pairs (determinant, column to fill) of a plan."""
    places = {plan.name: place for place, plan in enumerate(plans)}
    return [(places[name], places[fill["column"]]) for fill in table.get("fill", []) for name in fill["look_up_by"]]


def fills_as_planned(table: dict | None, plans: list[ColumnPlan], fills: list) -> list:
    """The fills that a plan leaves, with its usual values, and those that only help to predict them."""
    if table is None:
        return fills
    wanted = {entry["column"]: entry for entry in table.get("fill", [])}
    kept = [fill for fill in fills if plans[fill.column].name in {*wanted, *table.get("predict_first", [])}]
    for fill in kept:
        if plans[fill.column].name not in wanted:
            fill.helper, fill.value, fill.lookups = True, "", []
            continue
        said = wanted[plans[fill.column].name]
        fill.predict = bool(said["predict"])
        if said["value"] != fill.value:
            fill.value, fill.rule, fill.confidence = said["value"], "as planned" if said["value"] else "", 0.5
    return kept
