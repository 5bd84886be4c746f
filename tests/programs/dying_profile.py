"""mpiedge-profile in which a rank dies: `dying_profile.py PHASE RANK ARGUMENTS...`; keeps also what is read quickly.

PHASE: `kept`: when the tables are kept; `round`: before the second round of a search that saves all it finds at once;
`never`: nobody dies, and what is kept must be used, as reading would fail.
"""

import os
import signal
import sys

from mpiedge.commands import profile
from mpiedge.profiling import findings, kept, pause, sources
from mpiedge.runtime import launcher


def dying(function, after: int = 0):
    """The function, in which the rank dies when it has been called often enough."""
    calls = []

    def called(*arguments, **named):
        calls.append(arguments)
        if launcher.rank_hint() == rank and len(calls) > after:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **named)

    return called


def must_not_read(*_):
    """Stands in for reading."""
    raise AssertionError("the tables are read again")


if __name__ == "__main__":
    phase, rank = sys.argv[1], int(sys.argv[2])
    kept.WORTH_S = pause.EVERY_S = 0.0
    if phase == "kept":
        findings.discover = dying(findings.discover)
    elif phase == "round":
        findings.Rounds.tell = dying(findings.Rounds.tell, after=1)
    else:
        sources.read_tables = must_not_read
    sys.exit(profile.main(sys.argv[3:]))
