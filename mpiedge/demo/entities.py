"""The clean record of every entity: what a paper is before any dirt, as a pure function of the seed and its number."""

import numpy as np

from . import words
from .draw import Draw

AREA_NAMES = list(words.AREAS)
# The class of entity e is CLASS_PATTERN[e % 20]: fixed shares, and a member of a class is found without a search.
CLASS_PATTERN = np.array([0, 1, 2, 0, 3, 1, 4, 0, 2, 5, 1, 0, 3, 2, 4, 1, 0, 5, 3, 2])
MEMBERS = [np.flatnonzero(number == CLASS_PATTERN) for number in range(len(AREA_NAMES))]

SAME_AREA_LINKS = 0.76  # share of citations drawn inside the area; by chance one in six of the others falls there too
OWN_TITLE_WORD = 0.63  # chance that the topic word of a title comes from the paper's own area
OWN_KEYWORD = 0.39
OWN_VENUE = 0.38
LINKS_SHARE = (0.15, 0.40, 0.28, 0.12, 0.05)  # share of papers with 0, 1, 2, 3, 4 citations drawn
MAX_LINKS = len(LINKS_SHARE) - 1

VENUES, CITIES, ZIPS = 120, 90, 420


def _make_words(draw: Draw, name: str, count: int, syllables: int) -> list[str]:
    """`count` different capitalised words made of syllables."""
    picks = draw.below(name, np.arange(count * 20 * syllables), len(words.SYLLABLES)).reshape(-1, syllables)
    made = dict.fromkeys("".join(words.SYLLABLES[index] for index in pick).capitalize() for pick in picks)
    return list(made)[:count]


class Entities:
    """Local: the small tables behind the planted dependencies and the clean columns of any set of entities."""

    def __init__(self, draw: Draw):
        self.draw = draw
        self.topic_words = list(words.AREAS.values())
        self.adjectives, self.nouns = words.ADJECTIVES, words.NOUNS
        self.names = _make_words(draw, "names", 4000, 3)
        cities = _make_words(draw, "cities", CITIES, 2)
        self.cities = [city + ("ville", " Springs", "burg", "ão", "stad", "")[i % 6] for i, city in enumerate(cities)]
        self.country_of_city = draw.below("country", np.arange(CITIES), len(words.COUNTRIES))
        # The first 90 zip codes visit each city once; about one code in five begins with a zero.
        codes = draw.bits("zip", np.arange(ZIPS * 3)) % np.uint64(50_000)
        self.zips = [f"{code:05d}" for code in dict.fromkeys(codes.tolist())][:ZIPS]
        self.city_of_zip = np.arange(ZIPS) % CITIES
        topics = [self.topic_words[i % 6][i // 6].capitalize() for i in range(VENUES)]  # the area of venue i is i % 6
        kinds = ("Journal of {} Research", "Conference on {} Methods", "{} Letters", "Workshop on {} in Practice")
        self.venues = [kinds[i // 6 % 4].format(topic) for i, topic in enumerate(topics)]
        self.publisher_of_venue = draw.below("publisher", np.arange(VENUES), len(words.PUBLISHERS))

    def area(self, entity: np.ndarray) -> np.ndarray:
        """Class number of each entity."""
        return CLASS_PATTERN[entity % len(CLASS_PATTERN)]

    def columns(self, entity: np.ndarray) -> dict[str, list[str]]:
        """The clean cells of the entities, without the id: every cell as text, dates and years as ISO 8601."""
        draw, area = self.draw, self.area(entity)
        venue = self._leaning("venue", entity, area, OWN_VENUE) + 6 * draw.below("venue row", entity, VENUES // 6)
        code = draw.below("place", entity, ZIPS)
        city = self.city_of_zip[code]
        # More papers in later years: the square root of a uniform draw leans to the end of 1990..2025.
        day = np.datetime64("1990-01-01") + np.floor(np.sqrt(draw.uniform("day", entity)) * 13_000).astype("m8[D]")
        published = day.astype(str).tolist()
        result = {
            "title": self._titles(entity, area),
            "authors": self._authors(entity),
            "venue": [self.venues[i] for i in venue],
            "publisher": [words.PUBLISHERS[i] for i in self.publisher_of_venue[venue]],
            "year": [text[:4] for text in published],
            "published": published,
            "city": [self.cities[i] for i in city],
            "zip": [self.zips[i] for i in code],
            "country": [words.COUNTRIES[i] for i in self.country_of_city[city]],
            "area": [AREA_NAMES[i] for i in area],
        }
        for number in range(1, 6):
            topic = self._leaning(f"keyword {number}", entity, area, OWN_KEYWORD)
            picks = draw.below(f"keyword word {number}", entity, 20)
            result[f"keyword_{number}"] = [self.topic_words[t][p] for t, p in zip(topic.tolist(), picks.tolist())]
        return result

    def links(self, entity: np.ndarray, entities: int) -> tuple[np.ndarray, np.ndarray]:
        """Cited entities of each entity: (int64 array of shape (n, MAX_LINKS), bool array: which of them exist)."""
        draw = self.draw
        count = np.searchsorted(np.cumsum(LINKS_SHARE), draw.uniform("links", entity), side="right")
        place = entity[:, None] * MAX_LINKS + np.arange(MAX_LINKS)
        other = draw.below("link area", place, len(AREA_NAMES))
        area = np.where(draw.uniform("link same", place) < SAME_AREA_LINKS, self.area(entity)[:, None], other)
        # Some papers are cited far more often than others: a power of a uniform draw leans to the first blocks.
        blocks = -(-entities // len(CLASS_PATTERN))
        block = np.floor(draw.uniform("link block", place) ** 1.5 * blocks).astype(np.int64)
        sizes = np.array([len(members) for members in MEMBERS])
        members = np.zeros((len(MEMBERS), sizes.max()), np.int64)
        for row, positions in zip(members, MEMBERS):
            row[: len(positions)] = positions
        cited = block * len(CLASS_PATTERN) + members[area, draw.below("link member", place, sizes[area])]
        exists = (np.arange(MAX_LINKS) < count[:, None]) & (cited < entities) & (cited != entity[:, None])
        for column in range(1, MAX_LINKS):  # a paper cites another one once
            same = cited[:, :column] == cited[:, column : column + 1]
            exists[:, column] &= ~(same & exists[:, :column]).any(axis=1)
        return cited, exists

    def _leaning(self, name, entity, area, own_share):
        """An area number per entity: its own with probability `own_share`, else any."""
        other = self.draw.below(name + " other", entity, len(AREA_NAMES))
        return np.where(self.draw.uniform(name + " own", entity) < own_share, area, other)

    def _titles(self, entity, area):
        draw = self.draw
        topic = self._leaning("title", entity, area, OWN_TITLE_WORD).tolist()
        picks = {
            "a": draw.below("title a", entity, len(self.adjectives)).tolist(),
            "b": draw.below("title b", entity, len(self.adjectives)).tolist(),
            "n": draw.below("title n", entity, len(self.nouns)).tolist(),
            "m": draw.below("title m", entity, len(self.nouns)).tolist(),
            "s": draw.below("title s", entity, len(self.names)).tolist(),
            "t": draw.below("title t", entity, 20).tolist(),
            "f": draw.below("title template", entity, len(words.TEMPLATES)).tolist(),
        }
        titles = []
        for t_area, a, b, n, m, s, t, f in zip(topic, *(picks[key] for key in "abnmstf")):
            title = words.TEMPLATES[f].format(
                a=self.adjectives[a], b=self.adjectives[b], n=self.nouns[n], m=self.nouns[m],
                s=self.names[s], t=self.topic_words[t_area][t],
            )  # fmt: skip
            titles.append(title[0].upper() + title[1:])
        return titles

    def _authors(self, entity):
        draw = self.draw
        count = 1 + draw.below("authors", entity, 4)
        place = entity[:, None] * 4 + np.arange(4)
        first = draw.below("first name", place, len(words.FIRST_NAMES)).tolist()
        last = draw.below("last name", place, len(words.LAST_NAMES)).tolist()
        return [
            "; ".join(f"{words.FIRST_NAMES[i]} {words.LAST_NAMES[j]}" for i, j in zip(firsts[:n], lasts[:n]))
            for n, firsts, lasts in zip(count.tolist(), first, last)
        ]
