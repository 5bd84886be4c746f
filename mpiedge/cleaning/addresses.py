"""Addresses of mail that are none: without their @, or with a word for it."""

import re

import numpy as np

from mpiedge.cleaning.spelling import Repairs

SHARE, LEAST_CELLS = 0.95, 50
"""Of the cells that are addresses, from which on all should be; cells of a column that tells."""
SURE, FLAG = 0.9, 0.85
LONGEST = 320
"""Characters of an address at most (RFC 3696); what is longer is something else."""
_PLAIN = r"(?:[^@\s,;<>()\"]+|\"[^\"]+\")@(?:[\w-]+(?:\.[\w-]+)+|localhost|\[[\da-fA-F.:]+\])"
_ADDRESS = re.compile(_PLAIN)
_LISTED = re.compile(rf"(?:mailto:)?{_PLAIN}(?:[,;\s]+{_PLAIN})*|[^@<>]*<{_PLAIN}>", re.IGNORECASE)
"""Several addresses, one with the name of whom it is of."""
_AT = re.compile(r"\s*[\[({]\s*at\s*[\])}]\s*|\s+at\s+", re.IGNORECASE)


def broken_addresses(values: list[str], counts: np.ndarray) -> Repairs:
    """Local: values that are no address in a column of such ones. values: the distinct ones, counts: how often each."""
    number = {value: times for value, times in zip(values, counts.tolist()) if value}
    wrong = [value for value in number if len(value) > LONGEST or not _LISTED.fullmatch(value.strip())]
    filled = sum(number.values())
    if filled < LEAST_CELLS or filled - sum(number[value] for value in wrong) < SHARE * filled:
        return {}
    told = {value: _AT.sub("@", value) for value in wrong if len(value) <= LONGEST}
    return {value: (right, "address", SURE) if _ADDRESS.fullmatch(right) else (None, "flag: no address", FLAG)
            for value, right in told.items()}
