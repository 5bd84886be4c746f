"""Tables with known duplicates, made of real ones: each hides a difficulty that real tables have.

All draws are seeded, so that a table is the same wherever it is made.
"""

from collections import defaultdict

import numpy as np
from table_parts import (
    LETTERS,
    columns,
    damaged,
    derived,
    joined,
    one_each,
    real,
    shuffled,
    skewed,
    title,
    typo,
    with_copies,
)

# ---- the same evidence several times -------------------------------------------------------------------------------


@derived
def name_three_times():
    """People whose name is stored three times."""
    names, rows, entity = real("fake_1000")
    return ([*names, "full_name", "display_name"],
            [[*row, f"{row[0]} {row[1]}".strip(), f"{row[1]}, {row[0]}".strip(", ")] for row in rows], entity)


@derived
def thirty_columns():
    """Every column of a table of people three times, once in capitals, once cut."""
    names, rows, entity = real("febrl1")
    return ([f"{name}{suffix}" for suffix in ("", "_upper", "_key") for name in names],
            [[*row, *(cell.upper() for cell in row), *(cell[:6] for cell in row)] for row in rows], entity)


def hub_people(count: int, seed: int):
    """People of frequent names born in few places; the postcode follows from the place."""
    draw = np.random.default_rng(seed)
    _, base, _ = one_each("febrl4")
    given = sorted({row[1] for row in base if row[1]})[:400]
    family = sorted({row[2] for row in base if row[2]})[:1500]
    towns = sorted({(row[6], row[7], row[8]) for row in base if row[6] and row[7]})[:300]
    jobs = [title(draw, 2) for _ in range(120)]
    rows = []
    for first, last, town, born, job in zip(skewed(draw, given, count), skewed(draw, family, count, 0.7),
                                            [towns[k] for k in skewed(draw, range(len(towns)), count)],
                                            [towns[k] for k in skewed(draw, range(len(towns)), count)],
                                            skewed(draw, jobs, count)):
        date = f"{draw.integers(1930, 2000)}-{draw.integers(1, 13):02}-{draw.integers(1, 29):02}"
        rows.append([first, last, date, born[0], *town, job])
    return draw, ["given", "family", "born", "birth_place", "town", "postcode", "state", "occupation"], rows


@derived
def hubs_copied():
    """People of frequent names and places, the name stored three times."""
    draw, names, rows = hub_people(5000, 11)
    names, rows, entity = with_copies(draw, names, rows, 0.4, 2, (), (1, 1, 2, 4))
    return [*names, "full", "label"], [[*row, f"{row[0]} {row[1]}", f"{row[1]} {row[0]}"] for row in rows], entity


@derived
def hubs_50k():
    """50,000 people of frequent names, born in few places."""
    draw, names, rows = hub_people(33_000, 12)
    names, rows, entity = with_copies(draw, names, rows, 0.3, 2, (), (1, 1, 2, 3))
    return names, rows[:50_000], entity[:50_000]


# ---- nearly the same, and yet another thing ------------------------------------------------------------------------


def household_people(seed: int = 21):
    """Families of one surname, address and suburb."""
    draw = np.random.default_rng(seed)
    names, base, _ = columns(one_each("febrl4"), ["given_name", "surname", "street_number", "address_1", "suburb",
                                                  "postcode", "state", "date_of_birth"])
    rows, at = [], 0
    while at + 8 < len(base) and len(rows) < 2500:
        size = int(draw.choice([1, 2, 3, 4, 5]))
        home = base[at]
        rows += [[member[0], *home[1:7], member[7]] for member in base[at:at + size] if member[0]]
        at += size
    return draw, names, rows


@derived
def households():
    """Families, a fifth of the people twice."""
    draw, names, rows = household_people()
    return with_copies(draw, names, rows, 0.2)


def author_works(seed: int = 22):
    """Works of authors who write much for the same venues."""
    draw = np.random.default_rng(seed)
    _, base, _ = one_each("febrl4")
    rows = []
    for number in range(350):
        author = f"{base[number][1]} {base[number][2]}"
        venue, publisher = f"journal of {title(draw, 2)}", f"{base[number][6]} press"
        year = int(draw.integers(1970, 2015))
        rows += [[author, title(draw, int(draw.integers(3, 7))), venue, publisher, str(year + int(draw.integers(0, 6)))]
                 for _ in range(int(draw.integers(2, 12)))]
    return draw, ["author", "title", "venue", "publisher", "year"], rows


@derived
def works_of_one_author():
    """Works of authors, some of them twice."""
    draw, names, rows = author_works()
    return with_copies(draw, names, rows, 0.1)


def chain_branches(seed: int = 23):
    """Restaurants, half of them branches of chains in one city: the street and the phone differ."""
    draw = np.random.default_rng(seed)
    _, base, _ = one_each("restaurant")
    rows = []
    for number, (name, address, city, cuisine) in enumerate(base):
        for _ in range(1 if number % 3 else int(draw.integers(2, 9))):
            other = base[int(draw.integers(len(base)))][1] if number % 3 == 0 else address
            street = " ".join([str(draw.integers(1, 9000)), *other.split(" ")[1:]]) if number % 3 == 0 else other
            rows.append([name, street, city, f"{draw.integers(200, 999)}/{draw.integers(200, 999)}-"
                         f"{draw.integers(1000, 9999)}", cuisine])
    return draw, ["name", "address", "city", "phone", "cuisine"], rows


@derived
def branches_of_a_chain():
    """Branches of chains, some of them twice."""
    draw, names, rows = chain_branches()
    return with_copies(draw, names, rows, 0.15)


def product_variants(seed: int = 24):
    """Products in variants that differ in a number or a colour."""
    draw = np.random.default_rng(seed)
    rows = []
    for _ in range(350):
        brand, thing = title(draw, 1).capitalize(), title(draw, 2)
        series = "".join(draw.choice(list(LETTERS.upper()), 2))
        number = int(draw.integers(10, 900))
        for variant in range(int(draw.integers(1, 6))):
            colour = ("black", "silver", "white", "red", "blue")[variant % 5]
            rows.append([f"{brand} {thing} {series}{number + variant * 10} {colour}", brand,
                         f"{draw.integers(20, 900)}.99"])
    return draw, ["name", "brand", "price"], rows


@derived
def products():
    """Products in variants, some of them twice."""
    draw, names, rows = product_variants()
    return with_copies(draw, names, rows, 0.15, 1)


# ---- one text column, abbreviations --------------------------------------------------------------------------------


@derived
def one_column_people():
    """People as one text."""
    return joined(real("fake_1000"))


@derived
def one_column_restaurants():
    """Restaurants as one text."""
    return joined(real("restaurant"))


@derived
def one_column_references():
    """References as one text."""
    return joined(real("cora"))


@derived
def one_column_long():
    """Product descriptions as one long text, a third of them twice, edited."""
    draw = np.random.default_rng(31)
    _, base, _ = one_each("abt_buy")
    rows, entity = [], []
    for number, row in enumerate(row for row in base if len(row[2]) > 60):
        words = f"{row[1]} {row[2]}".split()
        rows.append([" ".join(words)])
        entity.append(number)
        if draw.random() < 0.33:
            kept = [typo(draw, word) if draw.random() < 0.05 else word for word in words if draw.random() > 0.15]
            cut = int(draw.integers(len(kept) // 2, len(kept) + 1))
            rows.append([" ".join(kept[:cut])])
            entity.append(number)
    return shuffled(draw, ["text"], rows, entity)


def shortened(draw, text: str) -> str:
    """A text with words cut, dropped and turned into initials."""
    words = text.split()
    out = []
    for word in words:
        chance = draw.random()
        out += [] if chance < 0.1 and len(words) > 2 else [word[:4]] if chance < 0.3 and len(word) > 5 else [word]
    if len(out) > 4 and draw.random() < 0.3:
        at = int(draw.integers(0, len(out) - 2))
        out[at:at + 2] = ["".join(word[0] for word in out[at:at + 2])]
    return " ".join(out)


@derived
def one_column_shortened():
    """Restaurants as one text, every copy with words cut, dropped and turned into initials."""
    draw = np.random.default_rng(32)
    names, rows, _ = joined(one_each("restaurant"))
    again = [place for place in range(len(rows)) if draw.random() < 0.4]
    return shuffled(draw, names, rows + [[shortened(draw, rows[place][0])] for place in again],
                    [*range(len(rows)), *again])


@derived
def abbreviations():
    """References whose copies abbreviate authors, venue and title."""
    draw, names, rows = author_works(33)
    rows = rows[::3]
    again = [place for place in range(len(rows)) if draw.random() < 0.4]
    copies = []
    for place in again:
        author, name, venue, publisher, year = rows[place]
        first, _, last = author.partition(" ")
        copies.append([f"{first[:1]}. {last}", shortened(draw, name),
                       " ".join(word[:4] + "." for word in venue.split() if word != "of"),
                       publisher.split()[0] if draw.random() < 0.5 else "", year])
    return shuffled(draw, names, rows + copies, [*range(len(rows)), *again])


# ---- few, many, moved ----------------------------------------------------------------------------------------------


@derived
def few_true_pairs():
    """5,000 people, 25 of them twice."""
    draw = np.random.default_rng(41)
    names, rows, _ = columns(one_each("febrl4"), real("febrl4")[0][1:])
    rows = list(rows)
    again = sorted(draw.choice(len(rows), 25, replace=False).tolist())
    return shuffled(draw, names, rows + [damaged(draw, rows[place], 3) for place in again], [*range(len(rows)), *again])


@derived
def skewed_clusters():
    """People of whom a few have up to two hundred records."""
    draw = np.random.default_rng(42)
    names, base, _ = columns(one_each("febrl4", 400), real("febrl4")[0][1:])
    rows, entity = [], []
    for number, row in enumerate(base):
        for copy in range(max(1, int(200 / (number + 1) ** 0.9))):
            rows.append(damaged(draw, row, 4) if copy else row)
            entity.append(number)
    return shuffled(draw, names, rows, entity)


@derived
def visits():
    """People at several visits: each has a running number and a date."""
    draw = np.random.default_rng(43)
    names, rows, entity = real("febrl3")
    return (["visit", *names, "visited"],
            [[str(500_000 + place), *row, f"2021-{draw.integers(1, 13):02}-{draw.integers(1, 29):02}"]
             for place, row in enumerate(rows)], entity)


@derived
def moved():
    """People of whom 70 % of the later records have another address."""
    draw = np.random.default_rng(44)
    names, rows, entity = real("febrl3")
    address = [names.index(name) for name in ("street_number", "address_1", "address_2", "suburb", "postcode", "state")]
    seen, out = set(), []
    for row, key in zip(rows, entity):
        row = list(row)
        if key in seen and draw.random() < 0.7:
            other = rows[int(draw.integers(len(rows)))]
            for place in address:
                row[place] = other[place]
        seen.add(key)
        out.append(row)
    return names, out, entity


@derived
def restaurants_60():
    """60 % of the restaurants."""
    names, rows, entity = real("restaurant")
    kept = np.flatnonzero(np.random.default_rng(45).random(len(rows)) < 0.6)
    return names, [rows[place] for place in kept], [entity[place] for place in kept]


# ---- two sources ---------------------------------------------------------------------------------------------------


@derived
def link_products_half():
    """Half of each source of products."""
    names, rows, entity = real("abt_buy")
    kept = np.flatnonzero(np.random.default_rng(51).random(len(rows)) < 0.5)
    return names, [rows[place] for place in kept], [entity[place] for place in kept]


@derived
def link_people_few():
    """A tenth of one source of people against all of the other, in four columns."""
    names, rows, entity = columns(real("febrl4"), ["source", "given_name", "surname", "suburb", "date_of_birth"])
    draw = np.random.default_rng(52)
    kept = [place for place, row in enumerate(rows) if row[0] == "b" or draw.random() < 0.1]
    return names, [rows[place] for place in kept], [entity[place] for place in kept]


@derived
def link_restaurants():
    """Restaurants as two sources, one record of an entity in each."""
    names, rows, entity = real("restaurant")
    count, out, of = defaultdict(int), [], []
    for row, key in zip(rows, entity):
        if count[key] < 2:
            source = "ab"[count[key]] if count[key] or len(out) % 2 else "a"
            out.append([source, *row])
            of.append(key)
        count[key] += 1
    return ["source", *names], out, of
