"""What a person reads on the terminal: what was found, what was changed with examples, and where it lies."""

import time
from collections import Counter
from shlex import quote

from mpiedge.cleaning.duration import estimate_s
from mpiedge.cleaning.listing import UNSURE_PAIRS
from mpiedge.runtime.resources import format_size

STARTED = time.perf_counter()
WIDEST_EXAMPLE = 32
DELIMITERS = {"\t": "tab", " ": "blank", "\x1f": "unit separator"}


def inputs(stage, sources) -> None:
    """Local: one line per input file."""
    for source in sources:
        dialect, structure = source.structure.dialect, source.structure
        rows = sum(item.records for item in source.ranges)
        sign = DELIMITERS.get(dialect.delimiter, dialect.delimiter)
        stage.say(f"input   {source.path} ({count(rows, 'row')}, {count(structure.width, 'column')}, "
                  f"{format_size(source.file.size)}, {source.encoding}, delimiter {sign})")
        notes = list(structure.notes)
        if structure.preamble:
            notes.append(f"{count(len(structure.preamble), 'line')} before the header set aside")
        if structure.footnotes:
            notes.append(f"{count(len(structure.footnotes), 'line')} below the table set aside")
        if dialect.literal_quotes:
            notes.append(f"{count(len(dialect.literal_quotes), 'quote')} nobody closes taken as plain characters")
        for note in notes:
            stage.say(f"        {note}")


def memory(stage, budget: dict[str, float]) -> None:
    """Local: the memory plan of a dry run."""
    parts = ", ".join(f"{name} {format_size(size)}" for name, size in budget.items())
    stage.say(f"memory  would hold {format_size(sum(budget.values()))} per rank besides the programs ({parts})")


def duration(stage, sources, surveys, steps) -> None:
    """Local: how long the whole would take, for a dry run."""
    look_s = stage.timings.phases["survey", "compute"].wall_s
    parts = estimate_s(look_s, [(source.file.size, found.rows) for source, found in zip(sources, surveys)], steps)
    rows = sum(found.rows for found in surveys)
    told = ", ".join(f"{name} {_span(part)}" for name, part in parts.items())
    stage.say(f"time    would take about {_span(sum(parts.values()))} ({told}), at "
              f"{rows / max(look_s, 1e-6):,.0f} rows a second in the first look")


def decisions(stage, sources, surveys, plans) -> None:
    """Local: what would be done to each column, for a dry run."""
    for source, found, columns in zip(sources, surveys, plans):
        stage.say(f"{source.name:7} {count(found.rows, 'row')} to keep, {found.rejects:,} to reject, "
                  f"{found.repairs:,} repaired")
        for plan in columns:
            stage.say(f"        {plan.name:20} {plan.kind:8}{' key' * plan.key} {_intentions(plan)}".rstrip())
    stage.say("dry run nothing was written")


def _span(seconds: float) -> str:
    """ "0.4 s", "35 s", "12 min", "2.5 h"."""
    if seconds < 120:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _intentions(plan) -> str:
    wishes = [f"null words {' '.join(plan.null_words)}"] if plan.null_words else []
    wishes += [count(len(plan.spellings), "spelling")] if plan.spellings else []
    wishes += [f"dates to {plan.date_style}"] if plan.date_style else []
    wishes += ["trim"] if plan.trim else []
    wishes += ["number formats"] if plan.ungroup or plan.drop_zeros or plan.one_mark else []
    return ", ".join([*wishes, *([f"{plan.missing:,} blank"] if plan.missing else [])])


def results(stage, sources, surveys, plans, references, resolutions, outcome) -> None:
    """Collective: tables, changes with examples, totals."""
    for table, source in enumerate(sources):
        _table(stage, source, surveys[table], plans[table], resolutions[table], outcome["tallies"][table],
               sum(part["rows"] for part in outcome["tables"][source.name]["parts"]))
    for ref in references:
        target = sources[ref.target].name
        stage.say(f"link    {sources[ref.table].name}.{plans[ref.table][ref.column].name} -> {target}."
                  f"{next(plan.name for plan in plans[ref.target] if plan.key)}")
    peak = stage.peak_bytes()
    planned = f" (planned {stage.planned_bytes / 1e6:.0f} MB)" if stage.planned_bytes else ""
    rows_in = sum(int(found.total_rows.sum()) for found in surveys)
    rows_out = sum(part["rows"] for entry in outcome["tables"].values() for part in entry["parts"])
    stage.say(f"done    {count(rows_in, 'row')} in, {rows_out:,} out in {time.perf_counter() - STARTED:.1f} s | "
              f"peak memory {peak / 1e6:.0f} MB per rank{planned}")
    stage.say(f"files   {stage.run}/clean/: " + ", ".join(f"{source.name}.csv" for source in sources)
              + ", what was changed in *.changes.csv")
    stage.say(f"next    mpiedge-profile --run {quote(str(stage.run))}")


def _table(stage, source, found, plans, resolution, tally, rows_out: int) -> None:
    kept = rows_out + found.rejects == int(found.total_rows.sum())
    kinds = Counter(plan.kind for plan in plans)
    key = next((f", key {plan.name}" for plan in plans if plan.key), "")
    stage.say(f"table   {source.name}: {count(int(found.total_rows.sum()), 'row')} in, {rows_out:,} out ("
              + ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items())) + f"{key}){_touched(tally)}")
    if found.rejects:
        stage.say(f"        {count(found.rejects, 'row')} rejected: see {source.name}.rejects.csv")
    if resolution.duplicates:
        what = "like another one" if resolution.how == "similar" else "equal to another one"
        stage.say(f"        {count(resolution.duplicates, 'row')} {what}"
                  f"{' (kept)' if kept else ' merged into it'}: see {source.name}.clusters.csv")
    if chance := resolution.summary.get("equal_by_chance"):
        stage.say(f"        {count(chance, 'row')} equal to another one stay: of so few values many agree by chance")
    _searched(stage, resolution)
    by_rule: dict[str, list] = {}
    for (column, rule), number in tally.counts.items():
        by_rule.setdefault(rule, []).append((-number, column))
    for rule, entries in sorted(by_rule.items(), key=lambda item: (sum(number for number, _ in item[1]), item[0])):
        total = -sum(number for number, _ in entries)
        column = min(entries)[1]
        examples = "; ".join(example(before, after if column else before)
                             for _, before, after in tally.examples[column, rule])
        where = f"{column}: " if len(entries) == 1 else f"{column} and {len(entries) - 1} more: "
        stage.say(f"        {total:>9,} {rule:28} {where if column else ''}{examples}")


def _touched(tally) -> str:
    """How much was changed and flagged, of all rules together."""
    flagged = sum(number for (_, rule), number in tally.counts.items() if rule.startswith("flag"))
    changed = tally.counts.total() - flagged
    told = [f"{count(changed, 'change')}"] * (changed > 0) + [f"{flagged:,} flagged"] * (flagged > 0)
    return f": {', '.join(told)}" if told else ""


def _searched(stage, resolution) -> None:
    """How many pairs were compared, how many matches may have been missed by that, and what the search is unsure of."""
    summary = resolution.summary
    recall = summary.get("candidate_recall") or {}
    if recall.get("share") is not None:
        pairs, matches = count(summary["candidates"], "pair"), count(recall["matches"], "match", "matches")
        stage.say(f"        {pairs} compared; {100 * recall['share']:.1f} % of the {matches} of "
                  f"{count(recall['records'], 'record')} compared with all others are among them")
    notes = [f"not compared, as most alike rows differ there: {', '.join(left_out)}"
             for left_out in (summary.get("columns_that_differ_by_record"),) if left_out]
    notes += ["only one column of text to compare"] if summary.get("one_column") else []
    notes += [f"links expected to be right and complete to {100 * link['expected_f1']:.0f} % only"
              for link in summary.get("links", ()) if link["review"]]
    notes += [text for text, *_ in resolution.questions if not text.endswith(UNSURE_PAIRS)]
    for note in notes:
        stage.say(f"        unsure: {note} (--review lists pairs to be answered)")


def example(before: str, after: str) -> str:
    """Local: "'12.0 oz' -> '12'", of long texts the part in which they differ; a flagged cell alone."""
    if before == after:
        return _short(before)
    same = next((place for place, pair in enumerate(zip(before, after)) if pair[0] != pair[1]), 0)
    start = max(0, same - WIDEST_EXAMPLE // 2) if max(len(before), len(after)) > WIDEST_EXAMPLE else 0
    return f"{_short(before, start)} -> {_short(after, start)}"


def _short(text: str, start: int = 0) -> str:
    shown = " ".join(text[start:start + 4 * WIDEST_EXAMPLE].split())
    return repr("…" * (start > 0) + (shown if len(shown) <= WIDEST_EXAMPLE else shown[:WIDEST_EXAMPLE - 1] + "…"))


def count(number: int, thing: str, things: str = "") -> str:
    """ "1 row", "5,000 rows", "2 matches"."""
    return f"{number:,} {thing if number == 1 else things or thing + 's'}"
