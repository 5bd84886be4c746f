"""Made-up tables of many domains with known wrong cells, each of a named kind, as people and programs make them.

A table is (columns, rows as dictionaries, errors); an error is (kind, share of the rows, function), the function gets
a draw and a row and returns the cells that become wrong. Nothing is taken from real tables; every draw is seeded.
"""

from datetime import date, timedelta

from domain_tables import chance, pick, title
from domain_words import CITIES, FORMS, GIVEN, SURNAMES, invented
from table_parts import typo

STATES = {"CA": ("California", ["Oakland", "Fresno", "San Diego", "Pasadena"], "310"),
          "NY": ("New York", ["Albany", "Buffalo", "Yonkers"], "212"),
          "TX": ("Texas", ["Austin", "El Paso", "Dallas", "Houston"], "512"),
          "GA": ("Georgia", ["Atlanta", "Savannah"], "404"), "NV": ("Nevada", ["Las Vegas", "Reno"], "702"),
          "WA": ("Washington", ["Seattle", "Tacoma", "Spokane"], "206")}
MAKES = {"Toyota": ["Corolla", "Camry", "Yaris"], "Ford": ["Focus", "Fiesta", "Mondeo"], "BMW": ["X5", "320i", "M3"],
         "Honda": ["Civic", "Accord", "Jazz"], "Volvo": ["V70", "XC90"], "Fiat": ["Panda", "Punto"]}


def day(draw, first: int, last: int) -> date:
    """A day of the years from first to last."""
    return date(first, 1, 1) + timedelta(days=int(draw.integers(365 * (last - first + 1))))


def name(draw, language: str = "en") -> str:
    """A person."""
    return f"{pick(draw, GIVEN[language])} {pick(draw, SURNAMES[language])}"


def slip(column):
    """A mistyped cell."""
    return lambda draw, row: {column: typo(draw, row[column])}


def shout(column):
    """A cell in capitals or without any."""
    return lambda draw, row: {column: row[column].upper() if chance(draw, 0.5) else row[column].lower()}


def padded(column):
    """A cell with blanks around or within it."""
    return lambda draw, row: {column: [f" {row[column]}", f"{row[column]}  ", row[column].replace(" ", "  ") + " "][
        draw.integers(3)]}


def swapped(one, other):
    """Two cells of a row that changed places."""
    return lambda draw, row: {one: row[other], other: row[one]} if row[one] != row[other] else {}


def lost(column, *words):
    """A cell with a word for nothing, which is blank in truth."""
    return lambda draw, row: ({column: words[draw.integers(len(words))]}, {column: ""})


def replaced(column, pool):
    """A cell with another value of the same kind."""
    def other(draw, row):
        value = pool[draw.integers(len(pool))]
        return {column: value} if value != row[column] else {}
    return other


def films(draw, rows=2000):
    """Films: durations, numbers with thousands, lists and dates in mixed notations."""
    people = [name(draw) for _ in range(300)]
    genres, countries = ["Drama", "Comedy", "Action", "Horror", "Romance", "Thriller"], ["USA", "UK", "France", "India"]
    names = ["id", "title", "year", "release_date", "director", "actors", "genre", "country", "duration", "rating",
             "votes"]
    out = []
    for number in range(rows):
        when = day(draw, 1960, 2015)
        out.append(dict(zip(names, (
            f"tt{number + 10000}", title(draw, 3).title(), str(when.year), f"{when.day} {when:%B} {when.year}",
            pick(draw, people), ",".join(pick(draw, people) for _ in range(3)),
            ",".join(sorted({pick(draw, genres) for _ in range(2)})), pick(draw, countries),
            f"{draw.integers(75, 190)} min", f"{draw.integers(20, 90) / 10:.1f}", str(draw.integers(1001, 90000))))))

    def hours(draw, row):
        minutes = int(row["duration"].split()[0])
        return {"duration": f"{minutes // 60} hr. {minutes % 60} min."}

    return names, out, [
        ("duration", .03, hours), ("thousands", .03, lambda _, row: {"votes": f"{int(row['votes']):,}"}),
        ("date", .02, lambda _, row: {"release_date": _iso(row["release_date"])}),
        ("typo", .02, slip("country")), ("typo list", .02, slip("genre")), ("case", .02, shout("country")),
        ("order of list", .03, lambda _, row: {"genre": ",".join(row["genre"].split(",")[::-1])}
         if "," in row["genre"] else {}),
        ("unit", .02, lambda _, row: {"rating": f"{row['rating']}/10"}),
        ("null word", .02, lost("rating", "N/A", "-")),
        ("other year", .01, lambda draw, row: {"year": str(int(row["year"]) + int(draw.integers(5, 30)))})]


def _iso(text: str) -> str:
    from datetime import datetime
    return datetime.strptime(text, "%d %B %Y").date().isoformat()


def restaurants(draw, rows=1500):
    """Restaurants: a zip code tells city and state, telephone numbers have one form."""
    names = ["name", "address", "city", "state", "zip", "phone", "cuisine"]
    zips = [(f"{first}{draw.integers(1000, 9999)}", city, state, area)
            for first, (state, (_, cities, area)) in enumerate(STATES.items(), 1) for city in cities for _ in range(6)]
    cuisines = ["Italian", "French", "American", "Chinese", "Mexican", "Seafood", "Steakhouses"]
    out = []
    for _ in range(rows):
        code, city, state, area = zips[draw.integers(len(zips))]
        out.append(dict(zip(names, (
            f"{invented(draw, 'fr')} {pick(draw, ['Cafe', 'Grill', 'House', 'Bistro'])}",
            f"{draw.integers(1, 9999)} {invented(draw, 'en')} {pick(draw, ['St.', 'Ave.', 'Blvd.'])}", city, state,
            code, f"{area}-{draw.integers(200, 999)}-{draw.integers(1000, 9999)}", pick(draw, cuisines)))))

    def phone(draw, row):
        area, one, two = row["phone"].split("-")
        return {"phone": [f"({area}) {one}-{two}", f"{area}/{one}-{two}", f"{area} {one} {two}",
                          f"{area}.{one}.{two}"][draw.integers(4)]}

    return names, out, [
        ("typo", .03, slip("city")), ("typo", .02, slip("cuisine")),
        ("other state", .02, replaced("state", list(STATES))),
        ("long state", .02, lambda _, row: {"state": STATES[row["state"]][0]}),
        ("phone", .03, phone), ("zip digit lost", .02, lambda draw, row: {"zip": row["zip"][:4]}),
        ("case", .02, shout("city")), ("blanks", .02, padded("cuisine")),
        ("swapped", .01, swapped("city", "state")),
        ("abbreviated", .02, lambda _, row: {"cuisine": row["cuisine"][:4] + "."})]


def readings(draw, rows=3000):
    """Readings of sensors: outliers, sentinels, other units, misplaced points; the room follows from the sensor."""
    names = ["time", "sensor", "room", "temperature", "humidity", "voltage"]
    rooms = {f"S{number:02d}": pick(draw, ["Kitchen", "Lab North", "Lab South", "Office", "Hall"]) for number in
             range(1, 25)}
    out = []
    for number in range(rows):
        sensor = list(rooms)[number % 24]
        warm = 20 + 4 * (number % 24) / 24 + 2 * draw.standard_normal()
        out.append(dict(zip(names, (
            f"2021-03-{1 + number // 144:02d} {number // 6 % 24:02d}:{number % 6 * 10:02d}:00", sensor, rooms[sensor],
            f"{warm:.1f}", f"{min(99, 45 - (warm - 22) * 2 + 3 * draw.standard_normal()):.1f}",
            f"{2.6 + .1 * draw.standard_normal():.3f}"))))
    return names, out, [
        ("sentinel", .02, lambda _, row: ({"temperature": "-999"}, {"temperature": ""})),
        ("sentinel", .01, lambda _, row: ({"humidity": "9999.0"}, {"humidity": ""})),
        ("fahrenheit", .02, lambda _, row: {"temperature": f"{float(row['temperature']) * 1.8 + 32:.1f}"}),
        ("point", .01, lambda _, row: {"humidity": row["humidity"].replace(".", "")}),
        ("thousandfold", .01, lambda _, row: {"voltage": f"{float(row['voltage']) * 1000:.0f}"}),
        ("unit", .01, lambda _, row: {"temperature": f"{row['temperature']} C"}),
        ("decimal comma", .01, lambda _, row: {"humidity": row["humidity"].replace(".", ",")}),
        ("typo", .02, slip("room")), ("other room", .01, replaced("room", sorted(set(rooms.values()))))]


def claims(draw, rows=2000):
    """Claims of an insurance: days and amounts in order, makes follow from models, implicit blanks."""
    names = ["policy", "holder", "born", "sex", "make", "model", "begin", "end", "incident", "reported", "claimed",
             "paid", "state"]
    out = []
    for _number in range(rows):
        make = pick(draw, list(MAKES))
        begin = day(draw, 2010, 2018)
        end = begin + timedelta(days=365 * int(draw.integers(1, 4)))
        incident = begin + timedelta(days=int(draw.integers(1, (end - begin).days)))
        claimed = int(draw.gamma(2, 1500)) + 50
        out.append(dict(zip(names, (
            f"P{draw.integers(10**6, 10**7)}", name(draw), str(day(draw, 1940, 1995)), pick(draw, ["M", "F"], 0), make,
            pick(draw, MAKES[make]), str(begin), str(end), str(incident),
            str(incident + timedelta(days=int(draw.integers(0, 40)))), str(claimed),
            str(int(claimed * (1 if chance(draw, .5) else draw.random()))), pick(draw, list(STATES))))))

    def later(draw, row):
        return {"end": str(date.fromisoformat(row["begin"]) - timedelta(days=int(draw.integers(5, 900))))}

    def early(draw, row):
        return {"reported": str(date.fromisoformat(row["incident"]) - timedelta(days=int(draw.integers(3, 200))))}

    return names, out, [
        ("order", .01, later), ("order", .01, early),
        ("order", .01, lambda draw, row: {"paid": str(int(int(row["claimed"]) * (1.2 + 3 * draw.random())))}),
        ("swapped days", .01, swapped("begin", "end")), ("implicit blank", .02, lost("born", "1900-01-01")),
        ("implicit blank", .02, lost("claimed", "99999")), ("implicit blank", .02, lost("sex", "?", "-")),
        ("typo", .02, slip("make")), ("typo", .02, slip("model")), ("other make", .01, replaced("make", list(MAKES))),
        ("swapped", .01, swapped("make", "model")), ("case", .01, shout("model")),
        ("date", .01, lambda _, row: {"incident": date.fromisoformat(row["incident"]).strftime("%m/%d/%Y")})]


def goods(draw, rows=1500):
    """Goods of a shop: units behind numbers, money, percents, markup left in texts."""
    names = ["sku", "title", "category", "brand", "weight", "price", "vat", "stock"]
    brands = [invented(draw, "de") for _ in range(25)]
    kinds = ["Garden", "Kitchen & Home", "Toys", "Office Supplies", "Sports"]
    out = [dict(zip(names, (f"A-{draw.integers(10000, 99999)}", title(draw, 2).title(), pick(draw, kinds),
                            pick(draw, brands), f"{draw.integers(5, 400) * 10} g",
                            f"{draw.integers(99, 9999) / 100:.2f}",
                            pick(draw, ["19%", "7%"]), str(draw.integers(0, 300))))) for _ in range(rows)]
    return names, out, [
        ("unit", .03, lambda _, row: {"weight": row["weight"].replace(" g", "g")}),
        ("unit", .03, lambda _, row: {"weight": row["weight"].replace(" g", " grams")}),
        ("other unit", .03, lambda _, row: {"weight": f"{int(row['weight'].split()[0]) / 1000:g} kg"}),
        ("money", .04, lambda _, row: {"price": f"${row['price']}"}),
        ("decimal comma", .02, lambda _, row: {"price": row["price"].replace(".", ",")}),
        ("percent", .03, lambda _, row: {"vat": f"{int(row['vat'][:-1]) / 100:.2f}"}),
        ("markup", .02, lambda draw, row: {"title": [f"<b>{row['title']}</b>", f"{row['title']}<br>",
                                                     f"{row['title']}&nbsp;"][draw.integers(3)]}),
        ("entity", .02, lambda _, row: {"category": row["category"].replace("&", "&amp;")}
         if "&" in row["category"] else {}),
        ("typo", .03, slip("brand")), ("case", .02, shout("category")), ("blanks", .02, padded("brand")),
        ("negative", .02, lambda _, row: {"stock": "-" + row["stock"]} if row["stock"] != "0" else {})]


def players(draw, rows=2000):
    """Players over seasons: a club has one league, city and stadium; a player one birthday and place."""
    names = ["player", "born", "birthplace", "position", "club", "city", "stadium", "league", "season", "height",
             "weight"]
    leagues = ["Premier League", "La Liga", "Serie A", "Bundesliga"]
    clubs = [(f"{city} {pick(draw, ['FC', 'United', 'Rovers', 'City'])}", city, f"{invented(draw, 'en')} Park",
              leagues[number % 4]) for number, city in enumerate(CITIES["en"] + CITIES["de"] + CITIES["es"])]
    people = [(f"{pick(draw, GIVEN['es'])} {invented(draw, 'en')}", str(day(draw, 1975, 1998)), invented(draw, "fr"),
               pick(draw, ["Goalkeeper", "Defender", "Midfielder", "Forward"]), str(draw.integers(165, 200)),
               str(draw.integers(60, 95))) for _ in range(rows // 5)]
    out = []
    for number in range(rows):
        who, club = people[number // 5], clubs[draw.integers(len(clubs))]
        out.append(dict(zip(names, (*who[:4], *club, f"20{5 + number % 5:02d}/{6 + number % 5:02d}", *who[4:]))))
    return names, out, [
        ("other league", .02, replaced("league", leagues)), ("other city", .02, replaced("city", CITIES["en"])),
        ("other stadium", .02, replaced("stadium", [club[2] for club in clubs])),
        ("other birthplace", .02, replaced("birthplace", [who[2] for who in people])),
        ("other position", .02, replaced("position", ["Goalkeeper", "Defender", "Midfielder", "Forward"])),
        ("typo", .02, slip("club")), ("typo", .02, slip("stadium")), ("typo", .02, slip("birthplace")),
        ("other day", .02, lambda draw, row: {"born": str(day(draw, 1975, 1998))}),
        ("swapped", .01, swapped("height", "weight")), ("swapped", .01, swapped("club", "stadium")),
        ("height", .01, lambda _, row: {"height": f"{int(row['height']) / 100:.2f}"})]


def staff(draw, rows=1500):
    """Staff: codes of departments, hire and leave, least and most pay, abbreviations and capitals."""
    names = ["employee", "email", "department", "code", "manager", "hired", "left", "pay_min", "pay_max", "city"]
    parts = [(part, f"{part[:2].upper()}{draw.integers(10, 99)}", name(draw, "de")) for part in
             ["Marketing", "Research", "Production", "Purchasing", "Human Resources", "Finance", "Logistics",
              "Legal Affairs"]]
    out = []
    for number in range(rows):
        who, part = name(draw, "de"), parts[draw.integers(len(parts))]
        hired, least = day(draw, 1990, 2015), int(draw.integers(20, 60)) * 1000
        gone = str(hired + timedelta(days=int(draw.integers(100, 3000)))) if chance(draw, .4) else ""
        out.append(dict(zip(names, (
            who, f"{who.lower().replace(' ', '.')}{number}@example.com", *part, str(hired), gone,
            str(least), str(least + int(draw.integers(1, 40)) * 500), pick(draw, CITIES["de"])))))
    short = {"Marketing": "Mktg", "Research": "Res.", "Production": "Prod.", "Human Resources": "HR"}
    return names, out, [
        ("order", .02, swapped("pay_min", "pay_max")),
        ("order", .02, lambda draw, row: {"left": str(date.fromisoformat(row["hired"]) - timedelta(
            days=int(draw.integers(10, 2000))))} if row["left"] else {}),
        ("abbreviated", .03, lambda _, row: {"department": short[row["department"]]} if row["department"] in short
         else {}),
        ("case", .03, shout("department")), ("blanks", .03, padded("city")), ("typo", .02, slip("manager")),
        ("typo", .02, slip("city")), ("other code", .01, replaced("code", [part[1] for part in parts])),
        ("at lost", .01, lambda _, row: {"email": row["email"].replace("@", " at ")}),
        ("umlaut", .02, lambda _, row: {"city": row["city"].encode().decode("latin-1")})]


def articles(draw, rows=1500):
    """Articles: a journal has one abbreviation and ISSN; pages, volumes and days in one notation."""
    names = ["title", "language", "journal", "abbreviation", "issn", "volume", "issue", "pages", "created", "authors"]
    journals = []
    for _ in range(120):
        words = title(draw, 3).title().split()
        journals.append((" ".join(words), " ".join(f"{word[:4]}." for word in words),
                         f"{draw.integers(1000, 9999)}-{draw.integers(1000, 9999)}"))
    out = []
    for _ in range(rows):
        first, made = int(draw.integers(1, 1500)), day(draw, 1995, 2014)
        out.append(dict(zip(names, (
            title(draw, 6).capitalize(), pick(draw, ["eng", "fre", "ger", "spa"], 3), *pick(draw, journals),
            str(draw.integers(1, 80)), str(draw.integers(1, 12)), f"{first}-{first + draw.integers(3, 15)}",
            f"{made.month}/{made.day}/{made.year % 100:02d}", ", ".join(name(draw) for _ in range(2))))))
    return names, out, [
        ("typo", .03, slip("journal")), ("typo", .02, slip("language")),
        ("other issn", .02, replaced("issn", [journal[2] for journal in journals])),
        ("issn form", .02, lambda _, row: {"issn": row["issn"].replace("-", "")}),
        ("date", .03, lambda _, row: {"created": "20{2}-{0:0>2}-{1:0>2}".format(*row["created"].split("/"))}),
        ("pages", .02, lambda _, row: {"pages": row["pages"].replace("-", "--")}),
        ("order", .02, lambda _, row: {"pages": "-".join(row["pages"].split("-")[::-1])}),
        ("blank abbreviation", .02, lambda _, row: {"abbreviation": ""}),
        ("long language", .02, lambda _, row: {"language": "English"} if row["language"] == "eng" else {}),
        ("braces", .02, lambda _, row: {"authors": '{"' + row["authors"] + '"}'})]


def firms(draw, rows=1200):
    """Firms: legal forms spelt out, codes of countries, cells that slipped into the neighbouring column."""
    names = ["firm", "form", "street", "city", "country", "code", "employees", "revenue", "founded"]
    lands = {"de": ("Germany", "DE"), "es": ("Spain", "ES"), "fr": ("France", "FR"), "en": ("United Kingdom", "GB")}
    out = []
    for _ in range(rows):
        land = pick(draw, list(lands))
        out.append(dict(zip(names, (
            invented(draw, land), pick(draw, FORMS["de"]), f"{invented(draw, land)} {draw.integers(1, 200)}",
            pick(draw, CITIES[land]), *lands[land], str(int(draw.lognormal(4, 1))), f"{draw.lognormal(1, 1):.2f}",
            str(draw.integers(1900, 2015))))))
    return names, out, [
        ("moved", .02, lambda _, row: {"city": "", "country": row["city"]}),
        ("swapped", .02, swapped("city", "country")), ("code as country", .02, lambda _, row: {"country": row["code"]}),
        ("other country", .02, replaced("country", [land[0] for land in lands.values()])),
        ("typo", .02, slip("city")), ("typo", .02, slip("country")), ("case", .02, shout("city")),
        ("year", .02, lambda draw, row: {"founded": row["founded"][:3]}),
        ("year", .01, lambda draw, row: {"founded": str(2100 + int(draw.integers(800)))}),
        ("outlier", .01, lambda _, row: {"employees": str(int(row["employees"]) * 100000)}),
        ("null word", .03, lost("revenue", "n/a", "--", "unknown"))]


TABLES = {table.__name__: table for table in (films, restaurants, readings, claims, goods, players, staff, articles,
                                              firms)}


def dirty(draw, table):
    """(columns, dirty rows, true rows, {(row, column): kind}) of a table."""
    names, rows, errors = table(draw)
    truth = [[row[name] for name in names] for row in rows]
    wrong = [list(row) for row in truth]
    kinds = {}
    for kind, share, damage in errors:
        for number in draw.permutation(len(rows))[:round(share * len(rows))].tolist():
            found = damage(draw, rows[number])
            cells, right = found if isinstance(found, tuple) else (found, {})
            places = {names.index(column): value for column, value in cells.items()}
            if any((number, place) in kinds for place in places):
                continue
            for place, value in places.items():
                wrong[number][place] = value
                truth[number][place] = right.get(names[place], truth[number][place])
                if wrong[number][place] != truth[number][place]:
                    kinds[number, place] = kind
    return names, wrong, truth, kinds
