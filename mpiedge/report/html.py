"""Pieces of a self-contained HTML page: no scripts, nothing from the network, every text escaped."""

import html
import re

STYLE = """\
:root { color-scheme: light dark; --line: #8888; --soft: #8882; }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 0 auto; padding: 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; } h3 { font-size: 1rem; margin: 1.5rem 0 .3rem; }
h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid var(--line); }
p { max-width: 50rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: .5rem 0; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { text-align: left; padding: .2rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
th { vertical-align: bottom; }
th, td { overflow-wrap: normal; } .long { overflow-wrap: anywhere; }
.number { text-align: right; } td.number { white-space: nowrap; }
caption { text-align: left; padding: .2rem 0; overflow-wrap: normal; }
.plot { overflow-x: auto; }
.plot svg { width: 100%; height: auto; display: block; color: inherit; }
.verdict { font-size: 1.15rem; border-left: .3rem solid currentColor; padding-left: .8rem; }
ul.alerts li { margin: .3rem 0; max-width: 50rem; }
code, pre { font-size: .9rem; background: var(--soft); white-space: pre-wrap; } pre { padding: .6rem; }
summary { cursor: pointer; padding: .15rem 0; } footer { margin-top: 3rem; font-size: .85rem; }
@media screen and (max-width: 640px) {
  .cards thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  .cards, .cards caption, .cards tbody, .cards tr { display: block; }
  .cards tr { border: 1px solid var(--line); border-radius: .3rem; margin: .5rem 0; padding: .2rem 0; }
  .cards td { display: flex; gap: 1rem; justify-content: space-between; border-bottom: 0; padding: .1rem .6rem; }
  .cards td::before { content: attr(data-label); flex: none; max-width: 45%; opacity: .75; }
  .cards td:first-child { font-weight: 600; }
  .cards td > * { min-width: 0; overflow-wrap: anywhere; text-align: right; white-space: normal; }
}
@media print {
  body { max-width: none; font-size: 11px; padding: 0; }
  .wide, .plot { overflow: visible; } .plot svg { min-width: 0 !important; }
  details > * { display: block; }
  details::details-content { content-visibility: visible; display: block; height: auto; }
  h2, h3, summary { break-after: avoid; } tr, .plot { break-inside: avoid; }
}
"""

LONGEST_WORD = 24
"""Longer words may be broken anywhere in a cell; others never are."""

PHONE_SIGNS, SIGNS_BETWEEN = 44, 2.6
"""What fits beside each other on a phone; the space between two columns in the same unit."""

NUMBER = re.compile(r"""
    [-~]?[\d,]*\.?\d+(e[-+]?\d+)?(\ ±\ [\d.]+)?            # 1,234.5   ~12   0.98 ± 0.02
    (\ ?(%|s|min|h|[kMGT]?B|[kM]?J|W|g))?(\ \d+\ (s|min))?   # 45.1 kJ   4 min 5 s
    (\ \(n=1\))? | -?""", re.X)


def page(title: str, body: str) -> str:
    """Local: a whole page. title is text; body is HTML that is escaped already."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{html.escape(title)}</title>\n<style>\n{STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def text(value) -> str:
    """Local: any value as escaped text; None is empty. Control characters become visible spaces' width."""
    raw = "" if value is None else str(value)
    return html.escape("".join(letter if letter.isprintable() else " " for letter in raw))


def table(heads, rows, caption: str = "") -> str:
    """Local: a table; heads and cells are plain values. Columns of numbers stand to the right.

    Where it is too wide for a phone, its rows become cards there.
    """
    heads, rows = [_word(head) for head in heads], [[_word(value) for value in row] for row in rows]
    columns = [[row[place] for row in rows if place < len(row)] for place in range(len(heads))]
    numbers = [all(NUMBER.fullmatch(cell) for cell in column) for column in columns]
    width = sum(max([len(word) for word in head.split()] + [min(len(cell), LONGEST_WORD) for cell in column] + [0])
                + SIGNS_BETWEEN for head, column in zip(heads, columns))
    head = "".join(f'<th scope="col" class="{_kind(word, number)}">{text(word)}</th>'
                   for word, number in zip(heads, numbers))
    body = "".join(
        "<tr>" + "".join(f'<td class="{_kind(cell, number)}" data-label="{text(word)}"><span>{text(cell)}</span></td>'
                         for word, number, cell in zip(heads, numbers, row)) + "</tr>\n" for row in rows)
    above = f"<caption>{text(caption)}</caption>" if caption else ""
    form = "cards" if width > PHONE_SIGNS else "narrow"
    return (f'<div class="wide"><table class="{form}">{above}<thead><tr>{head}</tr></thead><tbody>\n{body}</tbody>'
            "</table></div>\n")


def _word(value) -> str:
    """A cell as text: whole numbers in groups of three digits, nothing for None."""
    return "" if value is None else f"{value:,}" if type(value) is int else str(value)


def _kind(cell: str, number: bool) -> str:
    """The class of a cell."""
    if number:
        return "number"
    return "long" if any(len(word) > LONGEST_WORD for word in cell.split()) else "text"


def folded(summary: str, content: str) -> str:
    """Local: content (HTML) behind a line to click."""
    return f"<details><summary>{text(summary)}</summary>\n{content}</details>\n"


def section(title: str, *content: str) -> str:
    """Local: a heading and what is below it (HTML); nothing when all of it is empty."""
    inside = "".join(content)
    return f"<section><h2>{text(title)}</h2>\n{inside}</section>\n" if inside else ""
