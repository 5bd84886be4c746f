"""What other programs left in texts: tags, entities, and UTF-8 that was read as Latin letters."""

import html
import re

_TAG = re.compile(r"</?(?:a|b|br|div|em|font|h[1-6]|i|li|ol|p|small|span|strong|sub|sup|td|tr|u|ul)(?:\s[^<>]*)?/?>",
                  re.I)
_ENTITY = re.compile(r"&(?:#\d{1,6}|#x[0-9a-f]{1,5}|[a-z]{2,8});", re.I)
_MISREAD = re.compile("[\u00c2\u00c3\u00c4\u00c5\u00e2][\u0080-\u00bf\u0152-\u02dc\u2013-\u2122]")


def plain_text(cell: str) -> str:
    """Local: a cell without markup and misread letters; the same cell where there are none."""
    text = _TAG.sub(" ", cell) if "<" in cell else cell
    if "&" in text and _ENTITY.search(text):
        text = html.unescape(text)
    if text != cell:
        text = " ".join(text.split())
    return _read_again(text) if not text.isascii() and _MISREAD.search(text) else text


def _read_again(text: str) -> str:
    for encoding in ("cp1252", "latin-1"):
        try:
            return text.encode(encoding).decode("utf-8")
        except UnicodeError:
            continue
    return text
