"""Rare values that are no slips: what comes with them comes with nothing else, and not with what they look like.

Iceland stands once in a table with a hundred rows of Ireland, and beside it ISL, which stands nowhere else; beside
Ireland always stands IRL. One hand does not slip twice in a row: Iceland is another country.
"""

import numpy as np

from mpiedge.cleaning.known import Known

LEAST_RIGHT, RIGHT_SHARE = 3, 0.9
"""Rows of the common value, and the share of them that one value of the other column must have."""
MOST_COMMON, MOST_ALONE = 0.5, 0.02
"""Share of the rows with the commonest value of the other column, and with values as rare as the companion."""
DOUBTFUL = 0.7


def doubt_other_things(known: Known, codes: list[np.ndarray], counts: list[np.ndarray]) -> None:
    """Local: misspelt values of `known` that come with a value of their own are only flagged. codes: of the sampled
    rows, counts: how often each occurs."""
    for place, repairs in known.repairs.items():
        code_of = known.code_of(place)
        typos = {code_of[wrong]: wrong for wrong, (right, rule, _) in repairs.items()
                 if rule == "typo" and right in code_of}
        if not typos:
            continue
        order = np.argsort(codes[place], kind="stable")
        ends = np.concatenate([[0], np.cumsum(counts[place])])
        others = [other for other in range(len(known.names)) if other != place and
                  counts[other][1:].max(initial=0) <= MOST_COMMON * len(order)]
        for code, wrong in typos.items():
            right = code_of[repairs[wrong][0]]
            mine, usual = order[ends[code]:ends[code + 1]], order[ends[right]:ends[right + 1]]
            if len(usual) >= LEAST_RIGHT and any(
                    _comes_along(codes[other], counts[other], mine, usual) and
                    known.values[other][codes[other][mine[0]]] not in known.repairs.get(other, {}) for other in others):
                repairs[wrong] = (None, "flag: typo", DOUBTFUL)


def _comes_along(codes: np.ndarray, counts: np.ndarray, mine: np.ndarray, usual: np.ndarray) -> bool:
    """Whether a column has one value in some rows and nowhere else, another one in (nearly) all of the usual rows, and
    few values that are as rare."""
    value = codes[mine[0]] if len(mine) else 0
    if not value or counts[value] != len(mine) or (codes[mine] != value).any():
        return False
    if np.bincount(codes[usual]).max() < RIGHT_SHARE * len(usual):
        return False
    return bool(counts[counts <= len(mine)].sum() <= MOST_ALONE * len(codes) + len(mine))
