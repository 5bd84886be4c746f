"""The curve of a training for TensorBoard: event files in the run folder. Needs the package tensorboard."""

import importlib.util
import time
from pathlib import Path

from mpiedge.errors import UsageError
from mpiedge.training.files import EPOCH_COLUMNS

FOLDER = "tensorboard"


def check() -> None:
    """Local, alike where the same is installed: UsageError without the package tensorboard."""
    if importlib.util.find_spec("tensorboard") is None:
        raise UsageError("--tensorboard", "the package tensorboard is not installed",
                         "Install it (pip install 'mpiedge[tensorboard]')")


class Board:
    """Within the block `add` notes an epoch; events reach the disk every few seconds and at the end."""

    def __init__(self, run: Path):
        self.folder = run / FOLDER

    def __enter__(self) -> "Board":
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self.writer = EventFileWriter(str(self.folder))
        return self

    def __exit__(self, *_) -> None:
        self.writer.close()

    def add(self, row: list[float]) -> None:
        """Local: an epoch as a row of EPOCH_COLUMNS; unknown figures are left out."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=name, simple_value=value) for name, value in zip(EPOCH_COLUMNS[1:], row[1:])
                  if value == value]
        self.writer.add_event(Event(wall_time=time.time(), step=int(row[0]), summary=Summary(value=values)))
