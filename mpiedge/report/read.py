"""What a run folder, or timings.csv alone, says of a run: read leniently, as a run may be half done, old or damaged."""

import contextlib
import csv
import itertools
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from mpiedge.errors import InputError
from mpiedge.runtime.telemetry import COLUMNS
from mpiedge.store.layout import MANIFEST, RUN_FILE, TIMINGS
from mpiedge.store.run import RESULTS

STAGES = ("clean", "profile", "train", "predict")
METRICS, DECISIONS = "metrics.csv", "decisions.csv"
LONGEST_FIELD = 1 << 24
WHOLE_NUMBERS = ("rank", "calls", "items", "bytes_sent", "bytes_recv", "tasks_done", "tasks_stolen", "steal_requests")
DECIMALS = ("start_s", "wall_s", "cpu_s", "peak_rss_mb", "energy_j")


@dataclass
class Run:
    """One run. rows: of timings.csv by stage, the last attempt of each; a number that is unknown is None.

    folder: None for a CSV alone; about: run.json; manifests, summaries: by stage, absent where a stage is incomplete.
    attempts: how often each stage stands in timings.csv.
    """

    name: str
    folder: Path | None
    rows: dict[str, list[dict]] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    about: dict = field(default_factory=dict)
    manifests: dict[str, dict] = field(default_factory=dict)
    summaries: dict[str, dict] = field(default_factory=dict)

    @property
    def stages(self) -> list[str]:
        """Stages with times or a result, in the order of the work."""
        found = dict.fromkeys([*self.rows, *self.manifests])
        return sorted(found, key=lambda stage: (STAGES.index(stage) if stage in STAGES else len(STAGES), stage))


def read_runs(path: str) -> list[Run]:
    """Local: the run of a folder, or those of a timings CSV (one per run_id, in their order). Raises InputError."""
    place = Path(path)
    if place.is_dir():
        return [read_run(place)]
    by_run: dict[str, list[dict]] = {}
    for row in read_timings(place):
        by_run.setdefault(row["run_id"] or place.stem, []).append(row)
    if not by_run:
        raise InputError(path, "has no rows", "Give a run folder or its timings.csv")
    runs = []
    for name, rows in by_run.items():
        attempts = list(split_attempts(rows))
        runs.append(Run(name, None, dict(attempts), _count(attempts)))
    return runs


def read_run(folder: Path) -> Run:
    """Local: the run of a folder. Raises InputError when it is none."""
    attempts = list(split_attempts(read_timings(folder / TIMINGS))) if (folder / TIMINGS).is_file() else []
    run = Run(folder.resolve().name, folder, dict(attempts), _count(attempts), read_json(folder / RUN_FILE))
    for stage in STAGES:
        manifest = read_json(folder / stage / MANIFEST)
        if manifest:
            run.manifests[stage] = manifest
            run.summaries[stage] = read_json(folder / stage / "summary.json")
    if not run.rows and not run.manifests:
        raise InputError(folder, "is no run: it has neither timings.csv nor a complete stage",
                         "Name a folder that mpiedge-clean, -profile or -train wrote, such as results/mine")
    return run


@contextlib.contextmanager
def bounded_fields(longest: int = LONGEST_FIELD):
    """Local: meanwhile a CSV field of more than `longest` bytes is an error; what the process allows else stays."""
    before = csv.field_size_limit(longest)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def read_timings(path: Path) -> list[dict]:
    """Local: the rows of a timings CSV, numbers as numbers, empty cells as None. Raises InputError."""
    rows = []
    try:
        with open(path, newline="", encoding="utf-8", errors="replace") as file, bounded_fields():
            reader = csv.DictReader(line.replace("\0", "") for line in file)
            missing = [name for name in COLUMNS[:12] if name not in (reader.fieldnames or [])]
            if missing:
                raise InputError(path, f"is no timings.csv: it lacks the column {missing[0]}",
                                 "Give a run folder or its timings.csv")
            for row in reader:
                with contextlib.suppress(ValueError):  # the last line of a rank that was killed may be cut
                    rows.append(_typed(row))
    except (OSError, csv.Error) as error:
        raise InputError(path, getattr(error, "strerror", None) or str(error), "Check the path") from error
    return rows


def _typed(row: dict) -> dict:
    typed = {name: row.get(name) or None for name in COLUMNS}
    for names, kind in ((WHOLE_NUMBERS, int), (DECIMALS, float)):
        typed |= {name: kind(typed[name]) for name in names if typed[name] is not None}
    if typed["rank"] is None or typed["start_s"] is None or typed["wall_s"] is None or not typed["stage"]:
        raise ValueError
    return typed


def split_attempts(rows: list[dict]):
    """Local: (stage, rows) of each attempt, in the order of the file, which is only ever appended to.

    An attempt that ended well is one block with rising ranks; failing ranks add theirs in any order. So a new attempt
    begins where the stage changes, the rank falls, or a rank's phase and kind comes again.
    """
    for stage, block in itertools.groupby(rows, key=lambda row: row["stage"]):
        attempt: list[dict] = []
        seen = set()
        for row in block:
            key = row["rank"], row["phase"], row["kind"]
            if attempt and (key in seen or row["rank"] < attempt[-1]["rank"]):
                yield stage, attempt
                attempt, seen = [], set()
            attempt.append(row)
            seen.add(key)
        yield stage, attempt


def _count(attempts: list[tuple[str, list[dict]]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for stage, _ in attempts:
        counts[stage] = counts.get(stage, 0) + 1
    return counts


def read_json(path: Path) -> dict:
    """Local: the object in a JSON file; empty when there is none that can be read."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        value = json.loads(path.read_bytes())
        if isinstance(value, dict):
            return value
    return {}


def read_lines(path: Path, most: int) -> tuple[list[dict], int]:
    """Local: the first `most` objects of a JSON lines file, and how many lines there are; ([], 0) without the file."""
    objects, count = [], 0
    with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
        for count, line in enumerate(file, 1):
            if count <= most:
                with contextlib.suppress(ValueError, RecursionError):
                    objects.append(json.loads(line))
    return [value for value in objects if isinstance(value, dict)], count


def read_table(path: Path, most: int) -> list[dict]:
    """Local: the first `most` rows of a CSV with a header; an empty list without the file or where it is damaged."""
    rows = []
    with (contextlib.suppress(OSError, csv.Error), bounded_fields(),
          open(path, newline="", encoding="utf-8", errors="replace") as file):
        for row in itertools.islice(csv.DictReader(line.replace("\0", "") for line in file), most):
            rows.append({name: value or "" for name, value in row.items() if name is not None})
    return rows


def read_named_runs(paths: list[str]) -> list[Run]:
    """Local: the runs of several folders and CSVs, each path once, with names that differ. Raises InputError."""
    unique = {str(Path(path).resolve()): path for path in reversed(paths)}
    found = [(path, run) for path in reversed(unique.values()) for run in read_runs(path)]
    names = [run.name for _, run in found]
    for path, run in found:
        if names.count(run.name) > 1:
            run.name = f"{path}:{run.name}" if run.folder is None else path
    return [run for _, run in found]


def choose_finished_run(given: str | None) -> Path:
    """Local: the folder given, else `$MPIEDGE_RUN`, else the one in results/ written to last. Raises InputError."""
    given = given or os.environ.get("MPIEDGE_RUN")
    if given:
        return Path(given)
    found = [path for name in (TIMINGS, RUN_FILE) for path in Path(RESULTS).glob(f"*/{name}")]
    if not found:
        raise InputError(RESULTS, "holds no run", "Name a run folder, such as results/mine")
    return max(found, key=lambda path: (path.stat().st_mtime_ns, str(path))).parent
