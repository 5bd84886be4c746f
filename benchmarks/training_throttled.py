"""Four ranks, one of them slowed to a quarter: from the start, or in mid-run; with parts dealt out anew and without.

The ideal is the epoch of four ranks of full speed, times their speed over the speed that is left.
"""

import statistics
import tempfile
import threading
from pathlib import Path

from benchmarks import quotas
from benchmarks import training_runs as runs

RANKS, SPEED, SLOWED = 4, 0.4, 4
PERIOD_US = 10_000  # as a slow host is slow all the time, not fast at the start of every tenth of a second
EPOCHS = 50
LATER = 15  # epochs before the slowing in mid-run
NEAR = 1.3  # times the ideal count as reached
SEVERAL = 5  # epochs whose median counts


def compare(graph: Path, repeats: int, limit_s: float) -> list[dict]:
    """A line for each run: epochs and seconds until an epoch is near the ideal, and what it takes from then on.

    What comes of a rank that is left alone is measured once."""
    lines = []
    for repeat in range(repeats):
        full = _run(graph, limit_s, "equal")
        if full is None:
            continue
        usual_s = statistics.median(full["walls"][runs.WARM :])
        ideal_s = usual_s * RANKS / (RANKS - 1 + 1 / SLOWED)
        print(f"nobody slowed: {1e3 * usual_s:.0f} ms an epoch; ideal with one slowed: {1e3 * ideal_s:.0f} ms",
              flush=True)  # fmt: skip
        for case, flags in (("start", ("--shares", "equal", "--no-rebalance")), ("start", ()),
                            ("mid-run", ("--no-rebalance",)), ("mid-run", ())):  # fmt: skip
            found = None if flags and repeat else _run(graph, limit_s, case, *flags)
            if found:
                lines.append(_line(case, flags, found, usual_s, ideal_s))
    return lines


def _run(graph: Path, limit_s: float, case: str, *flags) -> dict | None:
    """Figures of one run, with the seconds of every epoch (walls) and the rows of decisions.csv (decisions)."""
    slow = SPEED / SLOWED
    first = [SPEED] * (RANKS - 1) + [slow if case == "start" else SPEED]
    with tempfile.TemporaryDirectory() as scratch, quotas.groups(tuple(first), PERIOD_US) as before:
        folder, over = Path(scratch, "run"), threading.Event()
        later = threading.Thread(target=_slow_later, args=(folder, lambda: before.change(RANKS - 1, slow), over))
        if case == "mid-run":
            later.start()
        lasting = ("--epochs", EPOCHS, "--patience", EPOCHS, "--checkpoint-every", LATER)
        found = runs.mpiedge(graph, RANKS, *lasting, *flags, before=before(), limit_s=limit_s, keep=folder)
        over.set()
        if found is None:
            return None
        rows = runs.rows_of(folder / "decisions.csv") if (folder / "decisions.csv").is_file() else []
        walls = [float(row["wall_s"]) for row in runs.rows_of(folder / "metrics.csv")]
        return found | {"walls": walls, "decisions": rows}


def _slow_later(folder: Path, slow, over: threading.Event) -> None:
    """Calls slow() once the first checkpoint is there, with the curve so far."""
    while not (folder / "metrics.csv").exists():
        if over.wait(0.02):
            return
    slow()


def _line(case: str, flags: tuple, found: dict, usual_s: float, ideal_s: float) -> dict:
    """Figures of a case; prints them and what was decided."""
    walls, slowed = found["walls"][:-1], 0  # the last has no step
    if case == "mid-run":
        usually = statistics.median(walls[runs.WARM : LATER])
        slowed = next((epoch for epoch in range(LATER, len(walls)) if walls[epoch] > 1.5 * usually), LATER)
    near = next((epoch for epoch in range(slowed, len(walls) - SEVERAL + 1) if walls[epoch] <= NEAR * ideal_s
                 and statistics.median(walls[epoch : epoch + SEVERAL]) <= NEAR * ideal_s), None)  # fmt: skip
    after = walls[slowed if near is None else near :] or [usual_s]
    took = None if near is None else sum(walls[slowed:near])
    line = {"slowed": case, "rebalanced": "--no-rebalance" not in flags, "usual_s": usual_s, "ideal_s": ideal_s,
            "slowed_at": slowed, "epochs_until_near": None if near is None else near - slowed,
            "seconds_until_near": took, "epoch_wall_s": statistics.median(after),
            "of_ideal": statistics.median(after) / ideal_s, "changes": len(found["decisions"])}  # fmt: skip
    how = "dealt out anew" if line["rebalanced"] else "left alone"
    reached = "never near" if near is None else f"near after {near - slowed} epochs ({took:.1f} s)"
    print(f"slowed in {case} (epoch {slowed}), {how}: {reached}; then {1e3 * line['epoch_wall_s']:.0f} ms an epoch, "
          f"{line['of_ideal']:.2f} times the ideal", flush=True)  # fmt: skip
    for row in found["decisions"]:
        print(f"    {row['since_s']} s: {row['saw']}: {row['did']}: {row['brought']}", flush=True)
    return line
