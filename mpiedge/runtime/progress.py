"""A line that says how far the work is, how fast, and how long it will take."""

import contextlib
import sys

SHORT_WORK_S = 0.5  # work that is done by then shows no line


def progress(world, total: int | None, unit: str, every_s: float | None = None, label: str = ""):
    """Local: a progress line (context manager with `.update(n)`), shown by rank 0 only.

    total: number of units, None when unknown; every_s: seconds between updates (--progress), 0 for no line at all.
    Without `every_s` the line is shown only when stderr is a terminal; with it also in a log file, a line an update.
    """
    terminal = sys.stderr.isatty()
    hidden = not world.is_root or every_s == 0 or (every_s is None and not terminal)
    if hidden:
        return _Hidden()
    from tqdm import tqdm  # where a line is shown only: the import takes a tenth of a short program's time

    tqdm.monitor_interval = 0  # no helper thread beside MPI; lines are checked at each update instead (miniters=1)
    interval_s = every_s or 0.2
    return tqdm(
        total=total, unit=f" {unit}", desc=label or None, file=_Terminal() if terminal else _Log(),
        mininterval=interval_s, maxinterval=max(10.0, interval_s), miniters=1, leave=False,
        dynamic_ncols=terminal, ncols=None if terminal else 100, delay=min(SHORT_WORK_S, interval_s),
    )  # fmt: skip


class _Hidden(contextlib.AbstractContextManager):
    """A line that is not shown."""

    total = None

    def __exit__(self, *error) -> None:
        self.close()

    def update(self, count: float = 1) -> None:
        """Local: nothing."""

    def close(self) -> None:
        """Local: nothing."""


class _Terminal:
    """stderr, looked up at each write (tests and tools replace it)."""

    def write(self, text: str) -> None:
        sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()

    def isatty(self) -> bool:
        return sys.stderr.isatty()

    def fileno(self) -> int:
        return sys.stderr.fileno()


class _Log(_Terminal):
    """stderr that is a file: each update is a line of its own instead of overwriting the last."""

    def write(self, text: str) -> None:
        text = text.strip("\r\n ")
        if text:
            sys.stderr.write(text + "\n")
