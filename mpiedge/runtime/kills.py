"""Whether the kernel ends processes of a host for want of memory; needs nothing that may not be installed."""

import re
from pathlib import Path


def memory_kills(vmstat: str | None = None) -> int | None:
    """Local: how many processes the kernel of this host has ended so far for want of memory; None where it does not
    say. vmstat: the text of another host's /proc/vmstat."""
    if vmstat is None:
        try:
            vmstat = Path("/proc/vmstat").read_text()
        except OSError:
            return None
    found = re.search(r"^oom_kill (\d+)$", vmstat, re.MULTILINE)
    return int(found[1]) if found else None
