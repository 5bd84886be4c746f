"""Plots as inline SVG that can be read without colour: kinds differ by pattern, curves by dashes, all are labelled."""

import math

from mpiedge.report.html import text

WIDTH, NARROW, LEFT, BAR = 720, 480, 120, 14
"""The narrow ones fit a phone; the Gantt charts, which do not, are scrolled there."""

LEAST_BAR = 60
"""Of the longest bar, however long the words beside it are."""

LEAST_REM, MOST_REM = 0.046, 0.078
"""For a unit of a plot's width: below the one letters are too small, beyond the other larger than the text around."""

LETTER = 7.2
"""More than the width of most letters."""
DASHES = ("", "6 3", "2 2", "8 3 2 3")
PATTERNS = {
    "compute": '<rect width="6" height="6" fill="currentColor" opacity=".75"/>',
    "communicate": '<path d="M0 6L6 0" stroke="currentColor" stroke-width="1.6"/>',
    "io": '<path d="M0 0H6M0 3H6" stroke="currentColor" stroke-width="1.2"/>',
    "wait": '<circle cx="3" cy="3" r="1" fill="currentColor"/>',
    "idle": "",
}
MOST_POINTS = 400


def patterns() -> str:
    """Local: the patterns of the kinds, once for a page."""
    inside = "".join(f'<pattern id="kind-{kind}" width="6" height="6" patternUnits="userSpaceOnUse">{mark}</pattern>'
                     for kind, mark in PATTERNS.items())
    return (f'<svg width="0" height="0" style="position:absolute" aria-hidden="true"><defs>{inside}</defs></svg>\n')


def _svg(height: float, title: str, inside: str, width: float = WIDTH) -> str:
    return (f'<div class="plot"><svg viewBox="0 0 {width:g} {height:g}" role="img" font-size="11" fill="currentColor" '
            f'style="min-width:{width * LEAST_REM:.1f}rem;max-width:{width * MOST_REM:.1f}rem" '
            f'font-family="system-ui, sans-serif"><title>{text(title)}</title>\n{inside}</svg></div>\n')


def _label(x: float, y: float, words, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text(words)}</text>\n'


def ticks(most: float, count: int = 5) -> list[float]:
    """Local: round numbers from 0 to at most `most`, about `count` of them."""
    if not 0 < most < math.inf:
        return [0.0]
    step = 10 ** math.floor(math.log10(most / count))
    step *= next(factor for factor in (1, 2, 5, 10) if most / (step * factor) <= count)
    return [place * step for place in range(int(most / step + 1e-9) + 1)]


def gantt(title: str, lanes: list[tuple[str, list[tuple[float, float, str]]]]) -> str:
    """Local: lanes of (label, bars), a bar being (start, length, kind) in s; one path for each lane and kind."""
    end = max((start + length for _, bars in lanes for start, length, _ in bars), default=0.0) or 1.0
    scale = (WIDTH - LEFT - 20) / end
    drawn, bottom = [], 4 + len(lanes) * (BAR + 4)
    for second in ticks(end):
        x = LEFT + second * scale
        drawn.append(f'<path d="M{x:.1f} 0V{bottom}" stroke="currentColor" opacity=".2"/>\n')
        drawn.append(_label(x, bottom + 12, f"{second:g} s", "middle"))
    for place, (name, bars) in enumerate(lanes):
        y = 4 + place * (BAR + 4)
        drawn.append(_label(LEFT - 6, y + BAR - 3, name, "end"))
        for kind in PATTERNS:
            own = [(start * scale, length * scale) for start, length, found, in bars if found == kind]
            path = "".join(f"M{LEFT + x:.1f} {y}h{width:.1f}v{BAR}h{-width:.1f}z" for x, width in own if width > 0.3)
            if path:
                words = f"{name}, {kind}: {sum(width for _, width in own) / scale:.3f} s"
                drawn.append(f'<path d="{path}" fill="url(#kind-{kind})" stroke="currentColor" stroke-width=".6">'
                             f"<title>{text(words)}</title></path>\n")
    return _svg(bottom + 18, title, "".join(drawn))


def legend() -> str:
    """Local: what the patterns of the Gantt charts mean."""
    drawn = []
    for place, kind in enumerate(PATTERNS):
        drawn.append(f'<rect x="{LEFT + place * 120}" y="2" width="26" height="{BAR}" fill="url(#kind-{kind})" '
                     'stroke="currentColor" stroke-width=".6"/>\n')
        drawn.append(_label(LEFT + place * 120 + 32, BAR - 1, kind))
    return _svg(BAR + 6, "Patterns of the bars: filled is compute, slanted lines communicate, dots wait, level lines "
                "io, empty idle", "".join(drawn))


def arrows(title: str, links: list[tuple[str, str]]) -> str:
    """Local: a graph of (from, to): the sources on the left, the targets on the right, each name once a side.

    Targets stand at the mean height of their sources, so that few lines cross.
    """
    lefts = list(dict.fromkeys(left for left, _ in links))
    heights: dict[str, list[int]] = {}
    for left, right in links:
        heights.setdefault(right, []).append(lefts.index(left))
    rights = sorted(heights, key=lambda name: sum(heights[name]) / len(heights[name]))
    middle = LETTER * max(map(len, lefts)) + 6
    end = middle + 130
    row, width = 22, end + 12 + LETTER * max(map(len, rights))
    bottom = row * max(len(lefts), len(rights)) + 8
    at = {0: {name: (place + .5) * bottom / len(lefts) for place, name in enumerate(lefts)},
          1: {name: (place + .5) * bottom / len(rights) for place, name in enumerate(rights)}}
    drawn = [_label(middle - 6, y + 4, name, "end") for name, y in at[0].items()]
    drawn += [_label(end + 12, y + 4, name) for name, y in at[1].items()]
    for left, right in links:
        a, b = at[0][left], at[1][right]
        drawn.append(f'<path d="M{middle} {a:.1f}C{middle + 60} {a:.1f} {end - 70} {b:.1f} {end - 6} {b:.1f}" '
                     'fill="none" stroke="currentColor" opacity=".7"/>\n')
    drawn += [f'<path d="M{end - 7} {y - 4:.1f}L{end + 2} {y:.1f}L{end - 7} {y + 4:.1f}z"/>\n' for y in at[1].values()]
    return _svg(bottom, title, "".join(drawn), width)


def bars(title: str, rows: list[tuple[str, float, str]], limit: float | None = None, limit_name: str = "") -> str:
    """Local: one bar for each (label, value, words beside it), and a line at the limit."""
    most = max([value for _, value, _ in rows] + [limit or 0.0]) or 1.0
    beside = min(max([LETTER * len(words) for *_, words in rows] + [110]), NARROW - LEFT - LEAST_BAR)
    scale = (NARROW - LEFT - beside) / most
    drawn, bottom = [], 4 + len(rows) * (BAR + 6)
    for place, (name, value, words) in enumerate(rows):
        y = 4 + place * (BAR + 6)
        drawn.append(_label(LEFT - 6, y + BAR - 3, name, "end"))
        drawn.append(f'<rect x="{LEFT}" y="{y}" width="{max(0.5, value * scale):.1f}" height="{BAR}" opacity=".7"/>\n')
        drawn.append(_label(LEFT + value * scale + 5, y + BAR - 3, words))
    if limit:
        x = LEFT + limit * scale
        drawn.append(f'<path d="M{x:.1f} 0V{bottom}" stroke="currentColor" stroke-dasharray="4 3"/>\n')
        drawn.append(_label(x, bottom + 12, limit_name, "end"))
    return _svg(bottom + (18 if limit else 2), title, "".join(drawn), NARROW)


def curves(title: str, across: list[float], lines: dict[str, list[float | None]], x_name: str) -> str:
    """Local: lines over a common x, each named at its end and with dashes of its own; None leaves a gap."""
    values = [value for line in lines.values() for value in line if value is not None and math.isfinite(value)]
    if not values or not across:
        return ""
    height, right = 200, NARROW - 115
    top, low, last = max(values) or 1.0, min(0.0, *values), max(across) or 1.0
    drawn = []
    for value in ticks(top):
        y = 10 + (height - 40) * (1 - (value - low) / ((top - low) or 1.0))
        drawn.append(f'<path d="M50 {y:.1f}H{right}" stroke="currentColor" opacity=".2"/>\n')
        drawn.append(_label(45, y + 4, f"{value:g}", "end"))
    for value in ticks(last):
        drawn.append(_label(50 + (right - 50) * value / last, height - 12, f"{value:g}", "middle"))
    drawn.append(_label(right + 30, height - 12, x_name))
    taken: list[float] = []
    step = max(1, math.ceil(len(across) / MOST_POINTS))
    for place, (name, line) in enumerate(lines.items()):
        points = [(50 + (right - 50) * x / last, 10 + (height - 40) * (1 - (value - low) / ((top - low) or 1.0)))
                  for x, value in list(zip(across, line))[::step] if value is not None and math.isfinite(value)]
        if not points:
            continue
        dash = DASHES[place % len(DASHES)]
        drawn.append(f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}" fill="none" '
                     f'stroke="currentColor" stroke-width="1.5" stroke-dasharray="{dash}"/>\n')
        y = points[-1][1] + 4
        while any(abs(y - other) < 12 for other in taken):
            y += 12
        taken.append(y)
        drawn.append(_label(right + 8, y, f"{name} {'- -' if dash else '—'}"))
    return _svg(height, title, "".join(drawn), NARROW)
