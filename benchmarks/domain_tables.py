"""Made-up publications, goods, music and films, the way two clerks, shops or archives would have written them.

Nothing is taken from real tables but words; every draw is seeded. Each table has known duplicates or links.
"""

import numpy as np
from domain_words import GIVEN, invented
from table_parts import derived, shuffled, typo

from mpiedge.demo.words import ADJECTIVES, NOUNS


def chance(draw, share: float) -> bool:
    """True for a share of the draws."""
    return draw.random() < share


def pick(draw, pool, power: float = 0.6):
    """One of a pool whose first are more frequent."""
    return pool[int(len(pool) * draw.random() ** (1 + power))]


def title(draw, words: int) -> str:
    """A made-up title."""
    pools = (ADJECTIVES, NOUNS)
    return " ".join(pools[place % 2][draw.integers(len(pools[place % 2]))] for place in range(words))


def digits(draw, count: int) -> str:
    """A number of so many digits."""
    return str(draw.integers(10 ** (count - 1), 10**count))


def garbled(draw, cell: str, share: float, empty: float = 0.0) -> str:
    """A cell left empty, mistyped or as it was."""
    return "" if chance(draw, empty) else typo(draw, cell) if chance(draw, share) else cell


def initials(name: str) -> str:
    """`Ann Berg` as `A. Berg`."""
    first, _, last = name.rpartition(" ")
    return " ".join([*(f"{part[0]}." for part in first.split()), last])


def short(draw, text: str, share: float) -> str:
    """A text with some of its words dropped, never all."""
    words = text.split()
    kept = [word for word in words if not chance(draw, share)]
    return " ".join(kept or words[:1])


def copied(draw, names, rows, write, share: float, sizes=(1,)):
    """Every row once, a share of them again (as often as drawn from `sizes`) as `write` writes it."""
    out, entity = [], []
    for number, row in enumerate(rows):
        again = int(draw.choice(sizes)) if chance(draw, share) else 0
        for copy in range(again + 1):
            out.append(write(row) if copy else list(row))
            entity.append(number)
    return shuffled(draw, names, out, entity)


def linked(draw, names, rows, write, only_a: float, only_b: float):
    """Two sources: some rows in one of them only; `write` writes those of source b."""
    out, entity = [], []
    for number, row in enumerate(rows):
        where = draw.random()
        if where >= only_b:
            out.append(["a", *row])
            entity.append(number)
        if where < only_b or where >= only_a + only_b:
            out.append(["b", *write(row)])
            entity.append(number)
    return shuffled(draw, ["source", *names], out, entity)


# ---- publications --------------------------------------------------------------------------------------------------

VENUES = [
    ("international conference on very large data bases", "vldb"),
    ("acm sigmod record", "sigmod record"),
    ("ieee transactions on knowledge and data engineering", "tkde"),
    ("acm transactions on database systems", "tods"),
    ("conference on management of data", "sigmod conference"),
    ("the vldb journal", "vldb j."),
]


def papers(draw, count: int):
    """Papers of authors who write several."""
    people = [f"{pick(draw, GIVEN['en'])} {invented(draw, 'en')}" for _ in range(count // 3)]
    rows = []
    for _ in range(count):
        authors = [people[draw.integers(len(people))] for _ in range(int(draw.integers(1, 5)))]
        rows.append(
            [
                title(draw, int(draw.integers(3, 9))),
                ", ".join(dict.fromkeys(authors)),
                VENUES[draw.integers(len(VENUES))][0],
                str(draw.integers(1994, 2004)),
            ]
        )
    return ["title", "authors", "venue", "year"], rows


def cite(draw, row):
    """A paper as a search engine lists it."""
    name, authors, venue, year = row
    authors = [initials(author).replace(". ", " ") for author in authors.split(", ")]
    if len(authors) > 2 and chance(draw, 0.3):
        authors = [*authors[:2], "..."]
    known = dict(VENUES)
    return [
        garbled(draw, short(draw, name, 0.05), 0.15),
        ", ".join(authors),
        "" if chance(draw, 0.25) else known[venue] if chance(draw, 0.6) else venue,
        "" if chance(draw, 0.4) else year,
    ]


@derived
def link_papers():
    """Papers of a bibliography and of a search engine."""
    draw = np.random.default_rng(101)
    names, rows = papers(draw, 3000)
    return linked(draw, names, rows, lambda row: cite(draw, row), 0.1, 0.6)


@derived
def paper_citations():
    """Papers cited in many ways, a few of them by very many."""
    draw = np.random.default_rng(102)
    names, rows = papers(draw, 300)
    return copied(draw, names, rows, lambda row: cite(draw, row), 0.7, (1, 1, 2, 3, 8, 20))


@derived
def books():
    """Books of two shops: the ISBN of editions differs, authors in any order, prices of each shop."""
    draw = np.random.default_rng(103)
    rows = []
    for _ in range(1200):
        name = title(draw, int(draw.integers(2, 6)))
        authors = ", ".join(
            f"{pick(draw, GIVEN['de'])} {invented(draw, 'de')}" for _ in range(int(draw.integers(1, 4)))
        )
        publisher = f"{invented(draw, 'de')} Verlag"
        for edition in range(int(draw.choice([1, 1, 1, 2, 3]))):
            rows.append(
                [
                    f"978{digits(draw, 10)}",
                    f"{name}, {edition + 1}. Auflage" if edition else name,
                    authors,
                    publisher,
                    str(1990 + edition * 3 + int(draw.integers(0, 20))),
                    f"{draw.integers(8, 90)}.90",
                ]
            )

    def sell(row):
        isbn, name, authors, publisher, year, _ = row
        authors = authors.split(", ")
        draw.shuffle(authors)
        return [
            "" if chance(draw, 0.4) else isbn,
            garbled(draw, name, 0.1),
            "; ".join(authors),
            publisher.replace(" Verlag", "") if chance(draw, 0.5) else publisher,
            garbled(draw, year, 0, 0.2),
            f"{draw.integers(8, 90)}.95",
        ]

    return linked(draw, ["isbn", "title", "authors", "publisher", "year", "price"], rows, sell, 0.4, 0.3)


# ---- goods ---------------------------------------------------------------------------------------------------------


def goods(draw, count: int):
    """Goods of brands in models and variants."""
    things = [title(draw, 2) for _ in range(60)]
    brands = [invented(draw, "en") for _ in range(50)]
    rows = []
    while len(rows) < count:
        brand, thing, letters = (
            pick(draw, brands),
            pick(draw, things),
            "".join(draw.choice(list("ABCDEFGHKLMPRSTX"), 2)),
        )
        for _ in range(int(draw.choice([1, 1, 2, 4]))):
            model = f"{letters}{digits(draw, 3)}{draw.choice(['', 'B', 'S', 'W'])}"
            words = " ".join(title(draw, 2) for _ in range(int(draw.integers(2, 9))))
            rows.append(
                [
                    f"{brand} {thing} {draw.integers(5, 60)} inch {model}",
                    words,
                    brand,
                    model,
                    f"{draw.integers(20, 900)}.99",
                ]
            )
    return ["name", "description", "brand", "model", "price"], rows[:count]


def resell(draw, row):
    """Goods as another shop lists them."""
    name, words, brand, model, price = row
    new = name.split()
    if chance(draw, 0.4):
        new.remove(model)
    if chance(draw, 0.3):
        new.append(title(draw, 2))
    if chance(draw, 0.3):
        new = [model, *[word for word in new if word != model]]
    name = short(draw, " ".join(new), 0.12)
    return [
        name,
        "" if chance(draw, 0.4) else short(draw, words, 0.5),
        garbled(draw, brand, 0, 0.5),
        "" if chance(draw, 0.5) else f"{model[:2]}-{model[2:]}" if chance(draw, 0.3) else model,
        "" if chance(draw, 0.3) else f"{float(price) * draw.uniform(0.8, 1.2):.2f}",
    ]


@derived
def link_goods():
    """Goods of two shops."""
    draw = np.random.default_rng(111)
    names, rows = goods(draw, 2000)
    return linked(draw, names, rows, lambda row: resell(draw, row), 0.3, 0.3)


@derived
def link_goods_titles():
    """Goods of two shops by name and price alone, one of them much larger."""
    draw = np.random.default_rng(112)
    _, rows = goods(draw, 3000)
    _, rows, entity = linked(draw, [], rows, lambda row: resell(draw, row), 0.05, 0.7)
    return ["source", "name", "price"], [[row[0], row[1], row[5]] for row in rows], entity


@derived
def software():
    """Software of two shops: versions, editions, publisher missing, prices differ."""
    draw = np.random.default_rng(113)
    rows = []
    for _ in range(500):
        maker, name = (
            f"{invented(draw, 'en')} {draw.choice(['software', 'systems', 'labs', ''])}".strip(),
            title(draw, 2),
        )
        for _ in range(int(draw.choice([1, 1, 2, 3]))):
            edition = draw.choice(["professional", "standard", "upgrade", "academic", "home", ""])
            rows.append(
                [
                    f"{maker.split()[0]} {name} {draw.integers(1, 12)}.0 {edition}".strip(),
                    " ".join(title(draw, 2) for _ in range(12)),
                    maker,
                    f"{draw.integers(10, 900)}.00",
                ]
            )

    def sell(row):
        name, words, maker, _ = row
        name = name.replace("professional", "pro").replace(".0", "" if chance(draw, 0.5) else ".0")
        return [
            short(draw, name, 0.06) + (" (win/mac)" if chance(draw, 0.3) else ""),
            short(draw, words, 0.6),
            garbled(draw, maker, 0, 0.8),
            f"{draw.integers(10, 900)}.99",
        ]

    return linked(draw, ["title", "description", "manufacturer", "price"], rows, sell, 0.2, 0.5)


@derived
def beers():
    """Beers of two sites: brewery, style and strength."""
    draw = np.random.default_rng(114)
    styles = ["american ipa", "imperial stout", "pale ale", "amber ale", "hefeweizen", "saison", "porter", "pilsner"]
    makers = [f"{invented(draw, 'en')} brewing company" for _ in range(250)]
    rows = [
        [
            f"{pick(draw, makers).split()[0]} {title(draw, int(draw.integers(1, 3)))} {styles[draw.integers(8)]}",
            "",
            "",
            f"{draw.uniform(3, 12):.1f} %",
        ]
        for _ in range(2500)
    ]
    for row in rows:
        row[1], row[2] = f"{row[0].split()[0]} brewing company", " ".join(row[0].split()[-2:])
    return linked(
        draw,
        ["beer", "brewery", "style", "abv"],
        rows,
        lambda row: [
            short(draw, row[0], 0.1),
            row[1].replace(" company", chance(draw, 0.5) * " co."),
            styles[draw.integers(8)] if chance(draw, 0.3) else row[2],
            row[3] if chance(draw, 0.7) else "",
        ],
        0.3,
        0.3,
    )


# ---- music and films -----------------------------------------------------------------------------------------------


@derived
def songs():
    """Songs of five archives that write numbers, lengths and artists each in its own way."""
    draw = np.random.default_rng(121)
    rows = []
    for _ in range(500):
        artist, album = f"{pick(draw, GIVEN['es'])} {invented(draw, 'es')}", title(draw, 2)
        year = str(draw.integers(1970, 2015))
        for track in range(int(draw.choice([1, 1, 3, 6]))):
            rows.append(
                [
                    str(track + 1),
                    title(draw, int(draw.integers(1, 4))),
                    str(draw.integers(90_000, 400_000)),
                    artist,
                    album,
                    year,
                    draw.choice(["English", "Spanish", "German"]),
                ]
            )

    def archive(row):
        number, name, length, artist, album, year, language = row
        seconds = int(length) // 1000
        kind = int(draw.integers(4))
        name = (name, f"{number.zfill(3)}-{name}", f"{artist} - {name}", f"{name} ({album})")[kind]
        return [
            number.zfill(2) if chance(draw, 0.5) else number,
            garbled(draw, name, 0.2),
            (length, f"{seconds // 60}:{seconds % 60:02}", str(seconds), "")[int(draw.integers(4))],
            "" if kind == 2 else garbled(draw, artist, 0.2, 0.1),
            garbled(draw, album, 0.1, 0.15),
            (year, "'" + year[2:], year[2:], "")[int(draw.integers(4))],
            (language, language[:3] + ".", "")[int(draw.integers(3))],
        ]

    return copied(
        draw, ["number", "title", "length", "artist", "album", "year", "language"], rows, archive, 0.5, (1, 2, 4)
    )


@derived
def discs():
    """Discs of which few are listed twice: artist, title, genre and all tracks."""
    draw = np.random.default_rng(122)
    rows = []
    for _ in range(2500):
        artist = f"{pick(draw, GIVEN['en'])} {invented(draw, 'en')}"
        for _ in range(int(draw.choice([1, 1, 1, 2, 4]))):
            rows.append(
                [
                    artist,
                    title(draw, int(draw.integers(1, 4))),
                    draw.choice(["rock", "jazz", "misc", "folk", "blues"]),
                    "" if chance(draw, 0.4) else str(draw.integers(1965, 2003)),
                    " | ".join(title(draw, int(draw.integers(1, 4))) for _ in range(int(draw.integers(6, 16)))),
                ]
            )

    def again(row):
        artist, name, genre, year, tracks = row
        if chance(draw, 0.3):
            first, _, last = artist.partition(" ")
            artist = f"{last}, {first}"
        tracks = " | ".join(garbled(draw, track, 0.1) for track in tracks.split(" | "))
        return [
            garbled(draw, artist, 0.2),
            garbled(draw, name, 0.2),
            genre if chance(draw, 0.6) else "data",
            year if chance(draw, 0.6) else "",
            tracks,
        ]

    return copied(draw, ["artist", "title", "genre", "year", "tracks"], rows, again, 0.03)


@derived
def link_films():
    """Films of two sites: original and translated titles, actors in part, years that are off by one."""
    draw = np.random.default_rng(123)
    rows = []
    for _ in range(3000):
        cast = [f"{pick(draw, GIVEN['en'])} {invented(draw, 'en')}" for _ in range(4)]
        rows.append(
            [
                title(draw, int(draw.integers(1, 4))),
                cast[0],
                ", ".join(cast[1:]),
                str(draw.integers(1930, 2015)),
                str(draw.integers(70, 180)),
            ]
        )
    return linked(
        draw,
        ["title", "director", "actors", "year", "minutes"],
        rows,
        lambda row: [
            title(draw, 2) if chance(draw, 0.1) else garbled(draw, row[0], 0.1),
            garbled(draw, row[1], 0.1, 0.2),
            ", ".join(row[2].split(", ")[::-1][: int(draw.integers(1, 4))]),
            str(int(row[3]) + int(draw.integers(-1, 2))),
            str(int(row[4]) + int(draw.integers(-3, 4))) if chance(draw, 0.7) else "",
        ],
        0.3,
        0.3,
    )
