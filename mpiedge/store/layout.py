"""Every file name, dataset name and dtype of a run folder, in one place."""

import re

CHUNK_ROWS = 8192
"""Rows of a chunk where the writer is free to choose; a constant, so that no output depends on ranks or memory."""

MANIFEST = "manifest.json"
JOINT_FILE = "store.h5"
RUN_FILE = "run.json"
TIMINGS = "timings.csv"
TRACE = "trace.json"
UNFINISHED = ".unfinished"
"""Folder of what a stage has done and not committed, see store/ledger.py."""
JOBS = ".jobs"
"""Folder of the jobs that may change the run folder, see store/fence.py."""
KINDS = ("text", "integer", "decimal", "date", "boolean")
TEXT_KINDS = ("text", "date", "boolean")
WIDEST_FIXED_TEXT = 1024
"""Bytes. Text columns with a longer cell are stored as variable-length strings, else one cell would widen all."""

HDF5_CHUNK_BYTES = 512 * 1024
STAGES = ("clean", "profile", "train")


def part_file(table: str, index: int) -> str:
    """Name of the part file that holds chunk `index` of a table."""
    return f"part-{table}-{index:06d}.h5"


def table_name(path: str) -> str:
    """The name of the table in a CSV file: its stem without `.csv` and `.gz`, other characters than
    letters, digits, `_`, `-` and `.` replaced by `_`."""
    stem = re.sub(r"(\.(csv|tsv|txt))?(\.gz)?$", "", path.replace("\\", "/").rsplit("/", 1)[-1], flags=re.IGNORECASE)
    return re.sub(r"[^\w.-]", "_", stem) or "table"


def dataset_name(column: str) -> str:
    """The HDF5 name of a column: `/` separates groups there, so it becomes U+2215, and `.` alone a middle dot.

    Different columns get different names: U+2215 itself is written after U+2044, and U+2044 twice.
    """
    name = column.replace("⁄", "⁄⁄").replace("∕", "⁄∕").replace("/", "∕")
    return f"·{name}" if name in ("", ".", "..") or name.startswith("·") else name
