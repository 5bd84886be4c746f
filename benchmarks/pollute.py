"""Sound tables damaged by a seeded generator: one damage (or three) per file, in the ways that files really break."""

import random

DAMAGES = ("none", "delimiter missing", "delimiter too many", "stray quote", "foreign delimiter", "broken row",
           "truncated last row", "three damages", "preamble", "footnote", "second table", "nul bytes",
           "mixed line ends", "two quotes opened")


def write(rows, delimiter=",") -> list[str]:
    """The lines of a table, cells quoted where they must be."""
    return [delimiter.join(_cell(cell, delimiter) for cell in row) for row in rows]


def _cell(cell: str, delimiter: str) -> str:
    return f'"{cell}"'.replace('"', '""')[1:-1] if any(sign in cell for sign in (delimiter, '"', "\n", "\r")) else cell


def damaged(rows, damage: str, seed: int) -> bytes:
    """The CSV of a table (header first) with one kind of damage; the table wanted is always `rows` itself."""
    dice = random.Random(f"{seed} {damage}")
    lines = write(rows)
    places = list(range(2, len(lines) - 1))
    dice.shuffle(places)
    for kind, place in zip(_kinds(damage, dice), places):
        _damage(lines, rows, place, kind, dice)
    text = "\n".join(lines) + "\n"
    if damage == "nul bytes":
        text = text.replace("a", "a\x00", 3)
    elif damage == "mixed line ends":
        text = "".join(line + dice.choice(("\n", "\r\n")) for line in lines)
    return text.encode()


def _kinds(damage: str, dice) -> list[str]:
    return (dice.sample(DAMAGES[1:6], 3) if damage == "three damages" else ["quote opened"] * 2
            if damage == "two quotes opened" else [damage])


def _damage(lines, rows, place, kind, dice) -> None:
    cells = rows[place]
    width = len(cells)
    cut = dice.randrange(width - 1)
    if kind == "delimiter missing":
        lines[place] = ",".join(write([cells[:cut]])[:1] * bool(cut) + [write([[cells[cut] + cells[cut + 1]]])[0]]
                                + write([cells[cut + 2:]])[:1] * bool(cells[cut + 2:]))
    elif kind == "delimiter too many":
        lines[place] = write([[*cells[:cut], "", *cells[cut:]]])[0]
    elif kind == "stray quote":
        lines[place] = ",".join(write([[cell]])[0] + ('"' if index == cut and '"' not in cell else "")
                                for index, cell in enumerate(cells))
    elif kind == "quote opened" and '"' not in cells[cut] and "," not in cells[cut]:
        lines[place] = ",".join('"' * (index == cut) + write([[cell]])[0] for index, cell in enumerate(cells))
    elif kind == "foreign delimiter":
        lines[place] = write([cells], ";")[0]
    elif kind == "broken row":
        lines[place] = "\n".join(write([cells[:cut + 1], cells[cut + 1:]]))
    elif kind == "truncated last row":
        lines[-1] = write([rows[-1][:max(1, width - dice.randrange(1, 3))]])[0]
    elif kind == "preamble":
        lines[:0] = ["List of the office", "", "as of 2019"][:dice.randrange(1, 4)]
    elif kind == "footnote":
        lines += ["", "Source: the office", "* provisional"][:dice.randrange(2, 4)]
    elif kind == "second table":
        lines += ["", "code,meaning", "1,good", "2,fair", "3,poor"]


def wanted(rows, damage: str, seed: int) -> list[list[str]]:
    """The table a perfect reader finds: a stray quote stays as a character, cut cells are missing."""
    dice = random.Random(f"{seed} {damage}")
    places = list(range(2, len(rows) - 1))
    dice.shuffle(places)
    rows = [list(row) for row in rows]
    for kind, place in zip(_kinds(damage, dice), places):
        width = len(rows[place])
        cut = dice.randrange(width - 1)
        if kind == "stray quote" and '"' not in rows[place][cut]:
            rows[place][cut] += '"'
        elif kind == "quote opened" and '"' not in rows[place][cut] and "," not in rows[place][cut]:
            rows[place][cut] = '"' + rows[place][cut]
        elif kind == "truncated last row":
            keep = max(1, width - dice.randrange(1, 3))
            rows[-1][keep:] = [""] * (width - keep)
    return rows
