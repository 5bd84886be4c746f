"""Cleaning of pandas data frames: a frame in, a clean one and its changes out.

The work is done by the program in a process of its own, so that MPI is never started in the caller's.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas
import tomli_w

from mpiedge.cleaning.cells import FALSE_WORDS, TRUE_WORDS
from mpiedge.cleaning.rules import load_toml
from mpiedge.errors import InputError, MpiedgeError

WRITING = {"encoding": "utf-8", "delimiter": ",", "quote": '"', "escape": "", "header": True, "header_lines": 1,
           "preamble_lines": 0}
"""How a frame is written for the program, whatever its columns are called."""


@dataclass(frozen=True)
class Cleaned:
    """What `clean` made of a data frame.

    frame: the clean table, typed, with the columns and the index labels of the rows that are kept. changes: row (number
    in the input), column, rule, before, after, confidence. rejects: line, reason, text. clusters: row, cluster_id, for
    rows that are not rejected. summary: as in summary.json. plan: the text of plan.toml.
    """

    frame: pandas.DataFrame
    changes: pandas.DataFrame
    rejects: pandas.DataFrame
    clusters: pandas.DataFrame
    summary: dict
    plan: str


def clean(frame: pandas.DataFrame, *, id: str | None = None, steps: str | Sequence[str] | None = None,
          keep_duplicates: bool = False, min_confidence: float | None = None, plan: str | None = None) -> Cleaned:
    """Local: cleans a data frame as mpiedge-clean does a file; the options are its flags, plan the text of a plan.toml.
    steps: a list of them, or with commas between them.

    Missing values (None, NaN, NaT, "") are blank cells. Raises InputError for a frame without columns or rows or with
    two columns of one name, and MpiedgeError with what the program says.
    """
    names = [str(name) for name in frame.columns]
    if not names or not len(frame) or len(set(names)) < len(names) or not all(name.strip() for name in names):
        raise InputError("frame", "has no rows, no columns, or columns without a name of their own",
                         "Give a frame with rows and a different name for each column")
    with tempfile.TemporaryDirectory(prefix="mpiedge-") as folder:
        table, run = Path(folder, "frame.csv"), Path(folder, "run")
        frame.to_csv(table, index=False, header=names, lineterminator="\n", encoding="utf-8")
        wanted = steps if isinstance(steps, str) else ",".join(steps or [])
        flags = [*(["--id", id] if id is not None else []), *(["--steps", wanted] if wanted else []),
                 *(["--keep-duplicates"] if keep_duplicates else []),
                 *(["--min-confidence", str(min_confidence)] if min_confidence is not None else [])]
        Path(folder, "plan.toml").write_text(_with_writing(plan or ""), encoding="utf-8")
        flags += ["--plan", str(Path(folder, "plan.toml"))]
        command = [sys.executable, "-m", "mpiedge.commands.clean", str(table), "--run", str(run), "-q", *flags]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise MpiedgeError("clean", (done.stderr.strip().splitlines() or ["the program ended"])[-1].rstrip("."))
        return _read(frame, names, run / "clean")


def _with_writing(plan: str) -> str:
    """A plan that says how the frame's file is written, too; one that is no TOML as it is, so that the program says so.
    """
    try:
        said = load_toml(plan)
        said.setdefault("tables", {}).setdefault("frame", {}).update(WRITING)
    except (ValueError, AttributeError):
        return plan
    return tomli_w.dumps(said)


def _read(frame: pandas.DataFrame, names: list[str], folder: Path) -> Cleaned:
    text = {name: pandas.read_csv(folder / f"frame.{name}.csv", dtype=str, keep_default_na=False)
            for name in ("changes", "rejects", "clusters")}
    changes = text["changes"].astype({"row": int, "confidence": float})
    clusters = text["clusters"].astype(int)
    found = pandas.read_csv(folder / "frame.csv", dtype=str, keep_default_na=False, encoding="utf-8")
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    if list(found.columns) != names:
        raise InputError("frame", f"was read with the columns {', '.join(map(str, found.columns))}"[:200],
                         "Give columns names that cannot be taken for cells")
    kinds = summary["tables"]["frame"]["columns"]
    found = pandas.DataFrame({name: _typed(found[name], kinds[name]) for name in names})
    kept = clusters["row"].to_numpy()
    if len(found) < len(kept):
        kept = kept[clusters["row"] == clusters["cluster_id"]]
    found.columns, found.index = frame.columns, frame.index[kept]
    return Cleaned(found, changes, text["rejects"].astype({"line": int}), clusters, summary,
                   (folder / "plan.toml").read_text(encoding="utf-8"))


def _typed(cells: pandas.Series, kind: str) -> pandas.Series:
    """The cells as what they are, if all of them can be read as that, else as text."""
    cells = cells.mask(cells == "", None)
    try:
        if kind in ("integer", "decimal"):
            numbers = pandas.to_numeric(cells)
            return numbers.astype("Int64" if kind == "integer" else "float64")
        if kind == "date":
            return pandas.to_datetime(cells, format="ISO8601")
        if kind == "boolean":
            return cells.map(_truth, na_action="ignore").astype("boolean")
    except (ValueError, TypeError):
        pass
    return cells


def _truth(cell: str) -> bool:
    """Whether a cell says yes. ValueError where it says neither yes nor no."""
    word = cell.strip().lower()
    if word not in TRUE_WORDS | FALSE_WORDS:
        raise ValueError(cell)
    return word in TRUE_WORDS
