"""What the supervisor saw and what it did: supervisor.log for people, decisions.csv for programs."""

import csv
import os
import sys
import time
from datetime import datetime
from pathlib import Path

COLUMNS = ("time", "since_s", "stage", "attempt", "host", "rank", "saw", "did")
LOG, TABLE = "supervisor.log", "decisions.csv"


class Decisions:
    """Both files of one supervisor, appended to; what is decided also goes to the screen unless quiet."""

    def __init__(self, run: Path, quiet: bool):
        self.run, self.quiet = run, quiet
        self.stage, self.attempt = "", 0
        self._started_s = time.monotonic()

    def say(self, text: str) -> None:
        """Local: a line on the screen and in the log."""
        if not self.quiet:
            print(text, flush=True)
        self._log(text)

    def note(self, fault, did: str, *, aloud: bool = True) -> None:
        """Local: a row and a line: what was seen of a host or rank, and what is done about it; aloud: on stderr too."""
        host, rank = getattr(fault, "host", None), getattr(fault, "rank", None)
        saw = getattr(fault, "cause", str(fault))
        if aloud:
            print(f"mpiedge-run: {self.stage}: {fault}: {did}", file=sys.stderr, flush=True)
        self._log(f"{self.stage} attempt {self.attempt}: {fault}: {did}")
        path = self.run / TABLE
        new = not path.exists()
        with open(path, "a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            if new:
                writer.writerow(COLUMNS)
            writer.writerow([_now(), f"{time.monotonic() - self._started_s:.1f}", self.stage, self.attempt, host or "",
                             "" if rank is None else rank, saw, did])

    def _log(self, text: str) -> None:
        with open(self.run / LOG, "a", encoding="utf-8") as file:
            file.write(f"{_now()} [{os.getpid()}] {text}\n")


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="milliseconds")
