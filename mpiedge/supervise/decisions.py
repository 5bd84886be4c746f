"""What the supervisor saw and what it did: supervisor.log for people, decisions.csv for programs."""

import os
import sys
import time
from pathlib import Path

from mpiedge.store import decisions

LOG = "supervisor.log"


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
        decisions.append(self.run, since_s=f"{time.monotonic() - self._started_s:.1f}", stage=self.stage,
                         attempt=self.attempt, host=host, rank=rank, saw=saw, did=did)

    def _log(self, text: str) -> None:
        with open(self.run / LOG, "a", encoding="utf-8") as file:
            file.write(f"{decisions.now()} [{os.getpid()}] {text}\n")
