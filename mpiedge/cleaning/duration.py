"""How long a clean will take, from the time that the first look at all rows took on these ranks.

Every later pass reads the same rows on the same ranks, so it is counted in multiples of the first one.
"""

from mpiedge.cleaning.learn import SAMPLE_BYTES
from mpiedge.cleaning.predict import MOST_ROWS

PASSES = {"formats": 4.0, "write": 2.5, "one pass": 2.5, "mend": 1.5, "duplicates": 45.0}
"""CPU seconds over those of the first look, on demo tables of 10,000 to 5,000,000 rows; duplicates vary most."""
LEARN_RULES, LEARN_TO_PREDICT = 7.0, 2.0
"""The same over a first look at no more rows than are learnt from."""


def estimate_s(look_s: float, sizes: list[tuple[int, int]], steps) -> dict[str, float]:
    """Local: seconds for each part of the work. look_s: of the first look; sizes: (bytes, rows) of each table."""
    size, rows = sum(size for size, _ in sizes), sum(rows for _, rows in sizes)
    parts = {}
    if not {"rules", "typos", "duplicates", "impute"} & set(steps):
        return {"look": look_s, "write": look_s * PASSES["one pass"]}
    if {"rules", "typos"} & set(steps):
        sampled = sum(min(size, SAMPLE_BYTES) for size, _ in sizes) / max(1, size)
        parts["wrong cells"] = look_s * (LEARN_RULES * sampled + PASSES["mend"])
    if "duplicates" in steps:
        parts["duplicates"] = look_s * PASSES["duplicates"]
    if "impute" in steps:
        sampled = sum(min(count, MOST_ROWS) for _, count in sizes) / max(1, rows)
        parts["missing cells"] = look_s * LEARN_TO_PREDICT * sampled
    return {"look": look_s, "formats": look_s * PASSES["formats"], **parts, "write": look_s * PASSES["write"]}
