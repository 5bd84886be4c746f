"""When each phase ran on each rank, as a timeline that chrome://tracing and Perfetto show (Trace Event Format)."""

import json
import time

LARGEST = 200_000  # events a rank keeps; the rest of a very long run is left out


class Trace:
    """The calls of phases on this rank, in the order they ended; times by the host's clock, in microseconds."""

    def __init__(self):
        self._offset_s = time.time() - time.perf_counter()
        self.calls: list[tuple[str, str, float, float]] = []

    def add(self, name: str, kind: str, start_s: float, stop_s: float) -> None:
        """Local: a call of a phase from `start_s` to `stop_s` (perf_counter)."""
        if len(self.calls) < LARGEST:
            self.calls.append((name, kind, (start_s + self._offset_s) * 1e6, (stop_s - start_s) * 1e6))

    def gather(self, world, stage: str) -> list[dict]:
        """Collective: the events of all ranks on rank 0, one process per rank; an empty list elsewhere."""
        about = {"name": "process_name", "ph": "M", "pid": world.rank, "tid": 0,
                 "args": {"name": f"rank {world.rank} on {world.host}"}}
        events = [{"name": name, "cat": kind, "ph": "X", "ts": round(start, 1), "dur": round(length, 1),
                   "pid": world.rank, "tid": 0, "args": {"stage": stage}} for name, kind, start, length in self.calls]
        gathered = world.gather([about, *events])
        return [event for events in gathered or [] for event in events]


def join(earlier: str, events: list[dict]) -> str:
    """Local: the text of trace.json with `events` after those of earlier stages; an unreadable one begins anew."""
    try:
        before = json.loads(earlier)["traceEvents"]
    except (ValueError, KeyError, TypeError):
        before = []
    return json.dumps({"traceEvents": [*before, *events], "displayTimeUnit": "ms"}, separators=(",", ":")) + "\n"
