"""What the name of a column says of it."""

import re

CODE_NAMES = frozenset((
    "zip", "zipcode", "postcode", "postal", "plz", "phone", "telephone", "tel", "fax", "mobile", "ssn", "isbn", "issn",
    "ean", "iban", "code", "barcode", "sku", "imei", "uuid", "guid"))
ID_NAMES = frozenset(("id", "ids", "key", "uid", "uuid", "guid", "identifier", "pk", "recid", "rowid", "index"))
OTHER_WORDS = ("paid", "acid", "bid", "covid", "fluid", "grid", "humid", "kid", "liquid", "oid", "solid", "valid",
               "donkey", "hockey", "monkey", "turkey", "whiskey")
"""Ends of names that end as those of ids do."""


def words_of(name: str) -> list[str]:
    """The words of a column name: "SocSec_id" -> ["soc", "sec", "id"]."""
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", name)]


def names_things(column: str) -> bool:
    """Whether a column is called an id or a key: such cells have no redundancy by which they could be judged."""
    name = column.partition("(")[0].strip()   # what stands in brackets is a unit or a type
    word = name.lower()
    return bool(ID_NAMES & set(words_of(name))) or (word.endswith(("id", "key")) and not word.endswith(OTHER_WORDS))
