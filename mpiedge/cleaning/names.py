"""What the name of a column says of it."""

import re

CODE_NAMES = frozenset((
    "zip", "zipcode", "postcode", "postal", "plz", "phone", "telephone", "tel", "fax", "mobile", "ssn", "isbn", "issn",
    "ean", "iban", "code", "barcode", "sku", "imei", "uuid", "guid"))
ID_NAMES = frozenset(("id", "ids", "key", "uid", "uuid", "guid", "identifier", "pk", "recid", "rowid", "index"))


def words_of(name: str) -> list[str]:
    """The words of a column name: "SocSec_id" -> ["soc", "sec", "id"]."""
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", name)]
