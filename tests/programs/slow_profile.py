"""mpiedge-profile of which one rank started ten times as slowly as the others: `slow_profile.py RANK ARGUMENTS...`."""

import sys

from mpiedge.commands import profile
from mpiedge.runtime import launcher
from mpiedge.runtime.processor import Processor

if __name__ == "__main__":
    waited_s = 0.9 * (launcher.rank_hint() == int(sys.argv[1]))
    Processor.seconds = lambda self: (0.1, waited_s)
    sys.exit(profile.main(sys.argv[2:]))
