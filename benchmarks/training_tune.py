"""--tune beside a full grid: every setting trained to its end, a process each; what the choice costs, how good it is.

CPU seconds leave out what a training of one epoch takes: the start of the program, and reading the graph. Those of
--tune also leave out the training with the chosen setting that follows.
"""

import itertools
from pathlib import Path

from benchmarks import training_runs as runs

GRIDS = {"cora": ((), 120, {"lr": (0.005, 0.01, 0.05), "hidden": (16, 64), "dropout": (0.2, 0.5, 0.8)}),
         "amazon_photo": (("--split", "60/20/20"), 60, {"lr": (0.01, 0.03), "hidden": (16, 64),
                                                        "dropout": (0.2, 0.5, 0.8)})}  # fmt: skip
"""Of every graph: flags, epochs, and the values of each setting."""


def compare(name: str, graph: Path, seed: int, limit_s: float) -> dict | None:
    """A line for one graph and seed; None when a run fails."""
    flags, epochs, grid = GRIDS[name]

    def train(count: int, *more) -> dict | None:
        return runs.mpiedge(graph, 1, *flags, "--epochs", count, *more, seed=seed, limit_s=limit_s)

    settings = [dict(zip(grid, values)) for values in itertools.product(*grid.values())]
    found = [train(epochs, *(word for setting, value in chosen.items() for word in (f"--{setting}", value)))
             for chosen in settings]  # fmt: skip
    text = ",".join(f"{setting}={','.join(map(str, values))}" for setting, values in grid.items())
    tuned = train(epochs, "--tune", text)
    start = train(1)
    if None in (*found, tuned, start):
        return None
    costs = [run["whole_cpu_s"] - start["whole_cpu_s"] for run in found]
    chosen = next(place for place, setting in enumerate(settings)
                  if all(tuned[{"lr": "learning_rate"}.get(key, key)] == value for key, value in setting.items()))
    best = max(range(len(found)), key=lambda place: found[place]["val_accuracy"])
    cost = tuned["whole_cpu_s"] - start["whole_cpu_s"] - costs[chosen]
    line = {"graph": name, "seed": seed, "settings": len(settings), "grid_cpu_s": sum(costs), "tune_cpu_s": cost,
            "share": cost / sum(costs)}  # fmt: skip
    for way, place in (("grid", best), ("tune", chosen)):
        line |= {f"{way}_{role}": found[place][f"{role}_accuracy"] for role in ("val", "test")}
        line[f"{way}_setting"] = " ".join(f"{key} {value}" for key, value in settings[place].items())
    print(f"{name:13} seed {seed}: {cost:.1f} CPU s, {100 * line['share']:.0f} % of all {len(settings)} settings; test "
          f"{100 * line['tune_test']:.1f} % ({line['tune_setting']}), of the best by validation "
          f"{100 * line['grid_test']:.1f} % ({line['grid_setting']})", flush=True)  # fmt: skip
    return line
