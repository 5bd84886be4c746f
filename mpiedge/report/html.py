"""Pieces of a self-contained HTML page: no scripts, nothing from the network, every text escaped."""

import html

STYLE = """\
:root { color-scheme: light dark; --line: #8888; --soft: #8882; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 0 auto; padding: 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2rem; border-bottom: 1px solid var(--line); }
table { border-collapse: collapse; margin: .5rem 0; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { text-align: left; padding: .2rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
caption { text-align: left; padding: .2rem 0; }
.plot { overflow-x: auto; }
.plot svg { width: 100%; min-width: 34rem; height: auto; display: block; color: inherit; }
.verdict { font-size: 1.15rem; border-left: .3rem solid currentColor; padding-left: .8rem; }
ul.alerts li { margin: .3rem 0; } code, pre { font-size: .9rem; background: var(--soft); white-space: pre-wrap; }
pre { padding: .6rem; } summary { cursor: pointer; } footer { margin-top: 3rem; font-size: .85rem; }
@media (max-width: 640px) {
  thead { position: absolute; left: -100vw; } table, tbody, tr { display: block; }
  tr { border: 1px solid var(--line); margin: .5rem 0; }
  td { display: flex; gap: 1rem; justify-content: space-between; border-bottom: 0; }
  td::before { content: attr(data-label); font-weight: 600; flex: none; max-width: 45%; } td > * { min-width: 0; }
}
@media print {
  body { max-width: none; font-size: 11px; }
  details > * { display: block; }
  details::details-content { content-visibility: visible; display: block; height: auto; }
  h2, tr { break-after: avoid; }
}
"""


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
    """Local: a table that folds into cards on a phone; heads and cells are plain values."""
    head = "".join(f"<th scope=\"col\">{text(word)}</th>" for word in heads)
    body = "".join(
        "<tr>" + "".join(f'<td data-label="{text(word)}"><span>{text(value)}</span></td>'
                         for word, value in zip(heads, row)) + "</tr>\n" for row in rows)
    above = f"<caption>{text(caption)}</caption>" if caption else ""
    return f"<table>{above}<thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table>\n"


def folded(summary: str, content: str) -> str:
    """Local: content (HTML) behind a line to click."""
    return f"<details><summary>{text(summary)}</summary>\n{content}</details>\n"


def section(title: str, *content: str) -> str:
    """Local: a heading and what is below it (HTML); nothing when all of it is empty."""
    inside = "".join(content)
    return f"<section><h2>{text(title)}</h2>\n{inside}</section>\n" if inside else ""
