"""A comparison as text, CSV, JSON, Markdown or HTML."""

import csv
import html
import io
import json
from dataclasses import asdict, fields

from mpiedge.report.compare import ALL, Line, notes
from mpiedge.report.html import page, section, table, text
from mpiedge.report.plots import bars
from mpiedge.runtime.resources import format_size

HEADS = ("stage", "run", "n", "ranks", "elapsed", "ratio", "balance", "comm.", "parallel", "memory", "sent", "energy",
         "answer", "found")  # fmt: skip
LONGEST_LABEL = 18
"""Of a bar; of a longer name the end is shown, which differs more often than its beginning."""

NUMBERS = 12
"""The columns before `answer` but the first two stand to the right."""

EXPLANATION = (
    "ratio: elapsed/that of the reference (the first run); ± one standard deviation; n=1: a single run, no spread",
    "balance, comm., parallel: load balance = mean/max compute over the ranks; communication efficiency = max "
    "compute/elapsed; their product (POP)",
    "memory: largest peak of any rank; energy: ~ is an estimate from a power table, no measurement",
    "answer: same or differs from the reference's; files by their checksums, accuracies when more than .01 apart",
)


def cells(line: Line) -> list[str]:
    """Local: a row for people; unknown is -."""
    spread = f" ± {line.elapsed_spread_s:.2f}" if line.elapsed_spread_s is not None else ""
    if line.answer == "reference" and line.ratio is not None:
        ratio = "1"
    elif line.ratio is None:
        ratio = "-"
    else:
        single = "" if line.stage == ALL else " (n=1)" if line.n == 1 else ""
        ratio = f"{line.ratio:.2f}" + (f" ± {line.ratio_spread:.2f}" if line.ratio_spread is not None else single)
    answer = line.answer.upper() if line.answer in ("differs", "incomplete") else line.answer
    found = line.quality + (f" [{line.answer_hash}]" if line.answer_hash and line.stage in ("clean", "profile") else "")
    name = "".join(sign if sign.isprintable() else "?" for sign in line.configuration)
    return [
        line.stage, name, str(line.n), _or_dash(line.ranks, "{}"),
        f"{line.elapsed_s:.2f}{spread} s", ratio, _or_dash(line.load_balance, "{:.2f}"),
        _or_dash(line.communication_efficiency, "{:.2f}"), _or_dash(line.parallel_efficiency, "{:.2f}"),
        _or_dash(line.peak_rss_mb, "{:.0f} MB"), format_size(line.bytes_sent) if line.bytes_sent is not None else "-",
        "-" if line.energy_j is None else ("~" if "estimated" in line.energy_method else "") + joules(line.energy_j),
        answer, found,
    ]  # fmt: skip


def joules(energy_j: float) -> str:
    """Local: 0.45 J, 850 J, 42.6 kJ or 1.20 MJ."""
    for unit, size in (("MJ", 1e6), ("kJ", 1e3)):
        if energy_j >= size:
            return f"{energy_j / size:#.3g} {unit}".replace(". ", " ")
    return f"{energy_j:.0f} J" if energy_j >= 10 else f"{energy_j:.2g} J"


def _or_dash(value, form: str) -> str:
    return "-" if value is None else form.format(value)


def to_text(lines: list[Line]) -> str:
    """Local: columns for a terminal, and what they mean."""
    rows = [list(HEADS), *(cells(line) for line in lines)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(HEADS))]
    found = []
    for row in rows:
        aligned = [word.rjust(width) if 2 <= place < NUMBERS else word.ljust(width)
                   for place, (word, width) in enumerate(zip(row, widths))]
        found.append("  ".join(aligned).rstrip())
    return "\n".join([*found, "", *notes(lines), *EXPLANATION])


def to_csv(lines: list[Line]) -> str:
    """Local: one row per line with the names of `Line`, whole numbers; unknown is empty."""
    file = io.StringIO()
    writer = csv.DictWriter(file, [field.name for field in fields(Line)], lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: "" if value is None else value for name, value in asdict(line).items()} for line in lines)
    return file.getvalue().rstrip("\n")


def to_json(lines: list[Line]) -> str:
    """Local: a list of objects with the names of `Line`; unknown is null."""
    return json.dumps([asdict(line) for line in lines], indent=1, ensure_ascii=False, allow_nan=False)


def to_markdown(lines: list[Line]) -> str:
    """Local: a table for a README."""
    rows = [HEADS, ["---:" if 2 <= place < NUMBERS else "---" for place in range(len(HEADS))],
            *([_plain(word) for word in cells(line)] for line in lines)]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _plain(word: str) -> str:
    """No sign of Markdown or HTML."""
    return html.escape(word, quote=False).replace("\\", "\\\\").replace("|", "\\|").replace("`", "\\`")


def to_html(lines: list[Line]) -> str:
    """Local: a page of its own: for each stage its elapsed times as bars, and its lines without the stage's name."""
    parts = []
    for stage in dict.fromkeys(line.stage for line in lines):
        own = [line for line in lines if line.stage == stage]
        rows = [[word.removesuffix(" (n=1)") for word in cells(line)] for line in own]
        drawn = [(row[1][-LONGEST_LABEL:], line.elapsed_s, f"{row[4]}, {row[12]}") for row, line in zip(rows, own)]
        parts.append(section(stage if stage != ALL else "all shared stages together",
                             bars(f"{stage}: elapsed time of each run", drawn),
                             table(HEADS[1:], [row[1:] for row in rows])))
    below = "".join(f"<p>{text(line)}</p>\n" for line in (*notes(lines), *EXPLANATION))
    return page("mpiedge-compare", f"<h1>Comparison of runs</h1>\n{''.join(parts)}{below}")


FORMS = {"text": to_text, "csv": to_csv, "json": to_json, "markdown": to_markdown, "html": to_html}
