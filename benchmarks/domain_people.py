"""Made-up companies, places and people of several languages, as `domain_tables` makes publications and goods."""

import numpy as np
from domain_tables import chance, copied, digits, garbled, linked, papers, pick, short, title
from domain_words import CITIES, CYRILLIC, FORMS, GIVEN, HAN, SURNAMES, TRADES, invented
from table_parts import derived, shuffled

# ---- companies, addresses, restaurants -----------------------------------------------------------------------------


def street(draw, language: str) -> str:
    """A street and a number as the country writes it."""
    name, number = invented(draw, language), draw.integers(1, 200)
    return {
        "de": f"{name}straße {number}",
        "fr": f"{number} boulevard de {name}",
        "en": f"{number} {name} street",
        "es": f"calle {name} {number}",
    }[language]


def shorter_street(text: str) -> str:
    """The same street with the usual abbreviations."""
    for long, brief in (("straße", "str."), ("boulevard", "bd"), (" street", " st."), ("calle", "c/")):
        text = text.replace(long, brief)
    return text


@derived
def companies():
    """German companies and their subsidiaries: legal forms, telephones and tax numbers written in several ways."""
    draw = np.random.default_rng(131)
    rows = []
    for _ in range(900):
        name, trade, town = invented(draw, "de"), draw.choice(TRADES["de"]), pick(draw, CITIES["de"])
        for branch in range(int(draw.choice([1, 1, 1, 2, 3]))):
            rows.append(
                [
                    f"{name} {trade if not branch else draw.choice(TRADES['de'])} {draw.choice(FORMS['de'])}",
                    street(draw, "de"),
                    digits(draw, 5),
                    town,
                    f"0{digits(draw, 3)} {digits(draw, 6)}",
                    f"DE{digits(draw, 9)}",
                ]
            )

    def clerk(row):
        name, where, code, town, phone, tax = row
        for form, brief in (
            ("Gesellschaft mit beschränkter Haftung", "GmbH"),
            ("GmbH & Co. KG", "GmbH"),
            (" e.K.", ""),
        ):
            name = name.replace(form, brief) if chance(draw, 0.7) else name
        phone = f"+49 {phone[1:]}" if chance(draw, 0.5) else phone.replace(" ", "/")
        return [
            garbled(draw, name, 0.2),
            shorter_street(garbled(draw, where, 0.15)),
            garbled(draw, code, 0.1),
            town,
            "" if chance(draw, 0.3) else phone,
            "" if chance(draw, 0.6) else tax,
        ]

    return copied(draw, ["firma", "strasse", "plz", "ort", "telefon", "ust_id"], rows, clerk, 0.35, (1, 1, 2))


@derived
def addresses():
    """Addresses in France: neighbours share everything but the number."""
    draw = np.random.default_rng(132)
    rows = []
    for _ in range(700):
        number, _, way = street(draw, "fr").partition(" ")
        town, code = pick(draw, CITIES["fr"]), digits(draw, 5)
        for house in range(int(draw.choice([1, 2, 4]))):
            rows.append([str(int(number) + 2 * house), way, code, town])
    return copied(
        draw,
        ["numero", "voie", "code_postal", "commune"],
        rows,
        lambda row: [
            row[0] + ("bis" if chance(draw, 0.05) else ""),
            shorter_street(garbled(draw, row[1], 0.3)),
            garbled(draw, row[2], 0.05, 0.1),
            row[3].upper() if chance(draw, 0.5) else garbled(draw, row[3], 0.2),
        ],
        0.3,
    )


@derived
def restaurants_twice():
    """Restaurants of two guides, telephones and kinds written differently."""
    draw = np.random.default_rng(133)
    kinds = ["italian", "french", "thai", "american", "mexican", "indian", "seafood", "steakhouses"]
    rows = [
        [
            f"{draw.choice(['cafe', 'chez', 'la', 'the', ''])} {title(draw, int(draw.integers(1, 3)))}".strip(),
            street(draw, "en"),
            pick(draw, CITIES["en"]),
            f"{digits(draw, 3)}-{digits(draw, 3)}-{digits(draw, 4)}",
            kinds[draw.integers(8)],
        ]
        for _ in range(900)
    ]
    return copied(
        draw,
        ["name", "addr", "city", "phone", "type"],
        rows,
        lambda row: [
            garbled(draw, short(draw, row[0], 0.08), 0.1),
            shorter_street(row[1]) + (" at main st." if chance(draw, 0.3) else ""),
            row[2] if chance(draw, 0.7) else pick(draw, CITIES["en"]),
            row[3].replace("-", "/", 1),
            kinds[draw.integers(8)],
        ],
        0.15,
    )


@derived
def link_places():
    """Villages of two gazetteers: names in two spellings, coordinates that differ a little."""
    draw = np.random.default_rng(134)
    rows = [
        [
            invented(draw, "fr"),
            pick(draw, CITIES["fr"]),
            f"{draw.uniform(42, 51):.5f}",
            f"{draw.uniform(-4, 8):.5f}",
            str(draw.integers(50, 9000)),
        ]
        for _ in range(2500)
    ]
    return linked(
        draw,
        ["name", "region", "lat", "lon", "population"],
        rows,
        lambda row: [
            garbled(draw, row[0], 0.3) + draw.choice(["", "", "-sur-mer", " (village)"]),
            garbled(draw, row[1], 0, 0.3),
            f"{float(row[2]) + draw.normal(0, 0.002):.4f}",
            f"{float(row[3]) + draw.normal(0, 0.002):.4f}",
            str(int(int(row[4]) * draw.uniform(0.9, 1.1))) if chance(draw, 0.6) else "",
        ],
        0.3,
        0.3,
    )


# ---- people in several languages -----------------------------------------------------------------------------------


def people(draw, count: int, language: str):
    """People: given name, family name, birth, town, street, telephone."""
    rows = [
        [
            pick(draw, GIVEN[language]),
            pick(draw, SURNAMES[language]) if chance(draw, 0.6) else invented(draw, language),
            f"{draw.integers(1, 29):02}.{draw.integers(1, 13):02}.{draw.integers(1930, 2005)}",
            pick(draw, CITIES[language]),
            street(draw, language),
            f"0{digits(draw, 9)}",
        ]
        for _ in range(count)
    ]
    return ["given", "family", "born", "town", "street", "phone"], rows


def retyped(draw, row, share: float = 0.25, empty: float = 0.1):
    """Every cell mistyped or emptied on its own."""
    return [garbled(draw, cell, share, empty) for cell in row]


@derived
def people_sparse():
    """Spanish people with 40 % of all cells missing."""
    draw = np.random.default_rng(141)
    names, rows = people(draw, 1500, "es")
    names, rows, entity = copied(draw, names, rows, lambda row: retyped(draw, row, 0.1), 0.4, (1, 2))
    return (
        names,
        [["" if chance(draw, 0.4) and place else cell for place, cell in enumerate(row)] for row in rows],
        entity,
    )


@derived
def people_russian():
    """People written in Cyrillic letters, some copies with a nickname or a patronymic cut."""
    draw = np.random.default_rng(142)
    given, family, towns = CYRILLIC
    fathers = [f"{name}ович" for name in given]
    rows = [
        [
            f"{pick(draw, family)}{draw.choice(['ов', 'ев', 'ин', 'ский'])}",
            pick(draw, given),
            pick(draw, fathers),
            f"{draw.integers(1940, 2005)}-{draw.integers(1, 13):02}-{draw.integers(1, 29):02}",
            pick(draw, towns),
            f"ул. {pick(draw, family)}а, д. {draw.integers(1, 120)}",
        ]
        for _ in range(1500)
    ]
    letters = "абвгдежзиклмнопрстуя"

    def slip(cell):
        place = int(draw.integers(1, len(cell)))
        return cell[:place] + letters[draw.integers(len(letters))] + cell[place + 1 :]

    def clerk(row):
        row = [slip(cell) if chance(draw, 0.2) else cell for cell in row]
        row[2] = row[2][0] + "." if chance(draw, 0.4) else row[2]
        row[5] = "" if chance(draw, 0.3) else row[5].replace("ул. ", "улица ").replace(", д.", "")
        return row

    return copied(draw, ["фамилия", "имя", "отчество", "дата", "город", "адрес"], rows, clerk, 0.3, (1, 1, 2))


@derived
def people_chinese():
    """People written in Han characters: names of two or three, addresses, employers and telephones."""
    draw = np.random.default_rng(143)
    family, given, towns, streets, works = HAN
    rows = [
        [
            pick(draw, family) + "".join(draw.choice(list(given), int(draw.integers(1, 3)))),
            f"{pick(draw, towns)}{draw.choice(streets)}路{draw.integers(1, 500)}号",
            f"1{digits(draw, 10)}",
            "".join(draw.choice(list(given), 2)) + draw.choice(works),
        ]
        for _ in range(1500)
    ]

    def clerk(row):
        name, where, phone, work = row
        name = name[:-1] + draw.choice(list(given)) if chance(draw, 0.2) else name
        return [
            name,
            where[2:] if chance(draw, 0.3) else where,
            garbled(draw, phone, 0.2, 0.2),
            "" if chance(draw, 0.3) else work.replace("有限公司", "公司"),
        ]

    return copied(draw, ["姓名", "地址", "电话", "单位"], rows, clerk, 0.3)


@derived
def patients():
    """Patients by numbers: card, insurance, telephone, zip, birth; initials for a name."""
    draw = np.random.default_rng(144)
    rows = [
        [
            digits(draw, 8),
            digits(draw, 10),
            "".join(draw.choice(list("ABCDEFGHJKLMNPRSTW"), 2)),
            digits(draw, 8)[:1].replace("0", "1") + digits(draw, 3),
            f"{draw.integers(1930, 2010)}{draw.integers(1, 13):02}{draw.integers(1, 29):02}",
            digits(draw, 5),
            digits(draw, 9),
            pick(draw, SURNAMES["en"]),
        ]
        for _ in range(2000)
    ]
    return copied(
        draw,
        ["card", "insurance", "initials", "ward", "born", "zip", "phone", "name"],
        rows,
        lambda row: [
            garbled(draw, row[0], 0.1, 0.4),
            garbled(draw, row[1], 0.2, 0.2),
            row[2],
            digits(draw, 4),
            *retyped(draw, row[4:7], 0.15),
            garbled(draw, row[7], 0.2),
        ],
        0.3,
        (1, 1, 2),
    )


@derived
def voters():
    """Voters by few columns: name, age, town and zip."""
    draw = np.random.default_rng(145)
    rows = [
        [
            pick(draw, GIVEN["en"]),
            pick(draw, SURNAMES["en"]) if chance(draw, 0.5) else invented(draw, "en"),
            invented(draw, "en")[:1],
            str(draw.integers(18, 95)),
            pick(draw, CITIES["en"]),
            f"27{digits(draw, 3)}",
        ]
        for _ in range(5000)
    ]
    return copied(
        draw, ["first", "last", "middle", "age", "city", "zip"], rows, lambda row: retyped(draw, row, 0.15, 0.03), 0.2
    )


@derived
def link_customers():
    """Customers of two firms: other telephones and streets for those who moved, nicknames, e-mail in one only."""
    draw = np.random.default_rng(146)
    names, rows = people(draw, 3000, "de")
    rows = [
        [*row, f"{row[0].lower()}.{row[1].lower()}@{draw.choice(['web.de', 'gmx.de', 'mail.com'])}"] for row in rows
    ]

    def other(row):
        row = retyped(draw, row, 0.1, 0.08)
        if chance(draw, 0.3):
            row[3:6] = [pick(draw, CITIES["de"]), street(draw, "de"), f"0{digits(draw, 9)}"]
        row[0] = row[0][:3] if chance(draw, 0.15) else row[0]
        return row

    return linked(draw, [*names, "email"], rows, other, 0.35, 0.35)


@derived
def people_of_history():
    """20,000 records of 2,500 people: a dozen of each, names in four columns, birth places that go with postcodes."""
    draw = np.random.default_rng(147)
    jobs = [title(draw, 1) for _ in range(80)]
    towns = [(invented(draw, "en"), digits(draw, 5)) for _ in range(250)]
    rows = []
    for _ in range(2500):
        town, code = pick(draw, towns)
        rows.append(
            [
                pick(draw, GIVEN["en"]),
                pick(draw, SURNAMES["en"]) if chance(draw, 0.6) else invented(draw, "en"),
                f"{draw.integers(1500, 1900)}-{draw.integers(1, 13):02}-{draw.integers(1, 29):02}",
                town,
                code,
                pick(draw, jobs),
            ]
        )

    def written(row):
        first, last, born, town, code, job = row
        first, last = garbled(draw, first, 0.12), garbled(draw, last, 0.12)
        if chance(draw, 0.06):
            first, last = last, first
        return [
            f"{first} {last}",
            first,
            last,
            garbled(draw, born, 0.1, 0.08),
            garbled(draw, town, 0, 0.08),
            garbled(draw, code, 0.05, 0.15),
            garbled(draw, job, 0, 0.2),
        ]

    out = [(written(row), number) for number, row in enumerate(rows) for _ in range(int(draw.integers(1, 16)))]
    return shuffled(
        draw,
        ["full_name", "first", "last", "born", "birth_place", "postcode", "occupation"],
        [row for row, _ in out],
        [number for _, number in out],
    )


# ---- one column ----------------------------------------------------------------------------------------------------


@derived
def one_column_addresses():
    """Addresses as one text."""
    _, rows, entity = addresses()
    return ["address"], [[" ".join(filter(None, row))] for row in rows], entity


@derived
def one_column_titles():
    """Titles of papers, some of them twice."""
    draw = np.random.default_rng(151)
    _, rows = papers(draw, 2500)
    return copied(
        draw, ["title"], [row[:1] for row in rows], lambda row: [garbled(draw, short(draw, row[0], 0.08), 0.3)], 0.2
    )


@derived
def link_one_column():
    """Names of companies in two lists."""
    names, rows, entity = companies()
    seen, out, kept = {}, [], []
    for row, key in zip(rows, entity):
        if seen.get(key, 0) < 2:
            out.append(["ab"[seen.get(key, key % 2) % 2 if key in seen else key % 2], row[0]])
            kept.append(key)
            seen[key] = 2 if key in seen else 1 - key % 2
    return ["source", names[0]], out, kept
