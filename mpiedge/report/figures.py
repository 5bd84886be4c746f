"""The figures of one stage from its rows of timings.csv.

The efficiencies are those of POP (Performance Optimisation and Productivity, pop-coe.eu): load balance = mean/max of
useful compute over the ranks, communication efficiency = max useful compute/elapsed, parallel efficiency = their
product. Useful compute is the wall time of the rows of kind compute.
"""

from dataclasses import dataclass

from mpiedge.runtime.telemetry import KINDS


@dataclass(frozen=True)
class Figures:
    """One stage: times in s, memory in 10^6 bytes, traffic in bytes; None where timings.csv does not say.

    elapsed_s: from the moment the stage was opened to the end of its last phase, on the slowest rank; the start of
    Python and of MPI comes before it. seconds: sum over all ranks by kind of time. ok: no phase failed.
    """

    stage: str
    ranks: int
    hosts: int
    elapsed_s: float
    compute_s: dict[int, float]
    seconds: dict[str, float]
    peak_rss_mb: float | None
    bytes_sent: int | None
    tasks_done: int | None
    tasks_stolen: int | None
    ok: bool

    @property
    def load_balance(self) -> float | None:
        """Mean/max useful compute over the ranks; None without any."""
        most = max(self.compute_s.values(), default=0.0)
        return sum(self.compute_s.values()) / len(self.compute_s) / most if most > 0 else None

    @property
    def communication_efficiency(self) -> float | None:
        """Max useful compute/elapsed; None without any."""
        most = max(self.compute_s.values(), default=0.0)
        return min(1.0, most / self.elapsed_s) if most > 0 and self.elapsed_s > 0 else None

    @property
    def parallel_efficiency(self) -> float | None:
        """Load balance times communication efficiency."""
        if self.load_balance is None or self.communication_efficiency is None:
            return None
        return self.load_balance * self.communication_efficiency

    def share(self, kind: str) -> float:
        """The share of one kind in the time of all ranks inside phases."""
        whole = sum(self.seconds.values())
        return self.seconds[kind] / whole if whole > 0 else 0.0


def stage_figures(stage: str, rows: list[dict]) -> Figures:
    """Local: the figures of one attempt of a stage."""
    ranks = sorted({row["rank"] for row in rows})
    inside = {rank: sum(row["wall_s"] for row in rows if row["rank"] == rank) for rank in ranks}
    compute = {rank: sum(row["wall_s"] for row in rows if row["rank"] == rank and row["kind"] == "compute")
               for rank in ranks}
    return Figures(
        stage=stage,
        ranks=len(ranks),
        hosts=len({row["host"] for row in rows}),
        elapsed_s=max(max(inside.values()), max(_end_s(row) for row in rows)),
        compute_s=compute,
        seconds={kind: sum(row["wall_s"] for row in rows if row["kind"] == kind) for kind in KINDS},
        peak_rss_mb=_fold(max, rows, "peak_rss_mb"),
        bytes_sent=_fold(sum, rows, "bytes_sent"),
        tasks_done=_fold(sum, rows, "tasks_done"),
        tasks_stolen=_fold(sum, rows, "tasks_stolen"),
        ok=all(row["status"] in (None, "ok") for row in rows),
    )


def _end_s(row: dict) -> float:
    """When a row's time was over at the earliest; waiting is noted at its end, so its start_s is no start."""
    return row["start_s"] + (row["wall_s"] if row["kind"] != "wait" else 0.0)


def _fold(how, rows: list[dict], name: str):
    known = [row[name] for row in rows if row[name] is not None]
    return how(known) if known else None
