"""In which encoding a file is written, judged from its first bytes."""

import codecs

from mpiedge.store.ranges import BYTE_ORDER_MARKS

WESTERN_FAMILIES = ("cp125", "iso8859", "latin", "mac", "cp85", "cp4", "cp77", "cp86", "hp_")
OTHER_SCRIPTS = ("cp1251", "cp1253", "iso8859_5", "iso8859_7")
CENTRAL_EUROPE = ("Polish", "Czech", "Slovak", "Hungarian", "Romanian", "Croatian", "Slovene")


def find_encoding(head: bytes) -> str:
    """The encoding of a file from its first bytes: by mark, pattern of NUL bytes, validity, or letters."""
    for mark, name in sorted(BYTE_ORDER_MARKS, key=lambda entry: -len(entry[0])):
        if head.startswith(mark):
            return name
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if len(head) > 3 and max(even, odd) > 0.2 * len(head) and 4 * min(even, odd) < max(even, odd):
        return "utf-16-le" if odd > even else "utf-16-be"
    valid, invalid = 0, 0
    for line in head.splitlines()[:-1] or [head]:
        if not line.isascii():
            try:
                line.decode()
                valid += 1
            except UnicodeDecodeError:
                invalid += 1
    if invalid <= 0.5 * (valid + invalid):
        return "utf-8"   # single lines in another encoding are read as cp1252
    return _legacy_encoding(head)


def _legacy_encoding(head: bytes) -> str:
    from charset_normalizer import from_bytes

    best = from_bytes(head[:32768], cp_exclusion=["utf_7"]).best()
    found = best.encoding if best else "cp1252"
    if not keeps_ascii(found):
        return "cp1252"
    # Western text is cp1252 far more often than its many near relatives, which differ in a few signs.
    central = found == "cp1250" and best.language in CENTRAL_EUROPE
    if found.startswith(WESTERN_FAMILIES) and found not in OTHER_SCRIPTS and not central:
        return "cp1252"
    return codecs.lookup(found).name


def keeps_ascii(encoding: str) -> bool:
    """Whether there is such an encoding, and ASCII characters are single bytes in it that stand for themselves."""
    try:
        return bytes(range(32, 127)).decode(encoding) == bytes(range(32, 127)).decode("ascii")
    except (LookupError, UnicodeDecodeError):
        return False
