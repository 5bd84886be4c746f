"""decisions.csv of a run folder: what was seen while it ran, what was done about it, and what that brought."""

import csv
from datetime import datetime
from pathlib import Path

COLUMNS = ("time", "since_s", "stage", "attempt", "host", "rank", "saw", "did", "brought")
TABLE = "decisions.csv"


def append(run: Path, **cells) -> None:
    """Local: adds one row; cells: by the names of COLUMNS, None and what is not given stay empty; since_s in seconds.

    One write per row, as the supervisor and a stage may both have something to say.
    """
    path = run / TABLE
    new = not path.exists()
    row = {"time": now(), **{name: "" if value is None else value for name, value in cells.items()}}
    with open(path, "a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(row)


def now() -> str:
    """Local: this moment for logs, to the millisecond, with the offset of the time zone."""
    return datetime.now().astimezone().isoformat(timespec="milliseconds")
