"""A training that is asked to stop: SIGUSR1 to a rank, or a file named `halt` in the run folder."""

import signal
import threading

HALT_FILE = "halt"
HALT = 1 << 20  # what a rank that was asked to stop adds to the sum in which others ask for a checkpoint


class Halt:
    """Within the block SIGUSR1 is noted and ends nothing; calling it asks whether this rank was told to stop."""

    def __init__(self, stage):
        self.stage, self.signalled, self._before = stage, False, None

    def __enter__(self) -> "Halt":
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGUSR1, self._take)
        return self

    def __exit__(self, *_) -> None:
        if self._before is not None:
            signal.signal(signal.SIGUSR1, self._before)

    def _take(self, number, frame) -> None:
        self.signalled = True

    def __call__(self) -> bool:
        """Local: whether a signal came, or on rank 0 whether the file is there."""
        return self.signalled or (self.stage.world.is_root and (self.stage.run / HALT_FILE).exists())
