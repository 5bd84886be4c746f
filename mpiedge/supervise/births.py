"""What tells a process from a later one with the same number, also where the clock is set in between."""

from pathlib import Path

STARTED = 19  # of the fields of /proc/PID/stat behind the name: ticks from the start of the system


def birth(pid: int) -> str:
    """Local: which start of the system a process belongs to and when since then it began; "" when it is gone."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[STARTED]}"
    except OSError:
        return ""
