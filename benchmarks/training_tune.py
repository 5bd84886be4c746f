"""--tune beside a full grid: the same choice where every setting is trained to its end; what it costs, how good it is.

CPU seconds are those of the choice alone: of the whole program less those of one that trains with the chosen setting
without choosing it.
"""

import sys
from pathlib import Path

from benchmarks import training_runs as runs

GRIDS = {"cora": ((), 120, {"lr": (0.005, 0.01, 0.05), "hidden": (16, 64), "dropout": (0.2, 0.5, 0.8)}),
         "amazon_photo": (("--split", "60/20/20"), 60, {"lr": (0.01, 0.03), "hidden": (16, 64),
                                                        "dropout": (0.2, 0.5, 0.8)})}  # fmt: skip
"""Of every graph: flags, epochs, and the values of each setting."""

ALL = ("import sys; from mpiedge.training import tune; tune.SHARES = (1,); from mpiedge.commands import train; "
       "sys.exit(train.main(sys.argv[2:]))")  # fmt: skip
"""mpiedge-train with one round only, in which every setting is trained to its end."""


def compare(name: str, graph: Path, seed: int, limit_s: float) -> dict | None:
    """A line for one graph and seed; None when a run fails."""
    flags, epochs, grid = GRIDS[name]
    text = ",".join(f"{setting}={','.join(map(str, values))}" for setting, values in grid.items())
    line = {"graph": name, "seed": seed}
    for way, before in (("grid", (sys.executable, "-c", ALL)), ("tune", ())):
        words = (*flags, "--epochs", epochs)
        found = runs.mpiedge(graph, 1, *words, "--tune", text, before=before, seed=seed, limit_s=limit_s)
        if found is None:
            return None
        chosen = {setting: found[{"lr": "learning_rate"}.get(setting, setting)] for setting in grid}
        setting = [word for pair in chosen.items() for word in (f"--{pair[0]}", pair[1])]
        alone = runs.mpiedge(graph, 1, *words, *setting, seed=seed, limit_s=limit_s)
        if alone is None:
            return None
        line |= {f"{way}_cpu_s": found["whole_cpu_s"] - alone["whole_cpu_s"], f"{way}_val": found["val_accuracy"],
                 f"{way}_test": found["test_accuracy"],
                 f"{way}_setting": " ".join(f"{key} {value}" for key, value in chosen.items())}  # fmt: skip
    line["share"] = line["tune_cpu_s"] / line["grid_cpu_s"]
    print(f"{name:13} seed {seed}: {line['tune_cpu_s']:.1f} CPU s, {100 * line['share']:.0f} % of all to the end",
          *(f"{way}: validation {100 * line[f'{way}_val']:.1f} %, test {100 * line[f'{way}_test']:.1f} % "
            f"({line[f'{way}_setting']})" for way in ("tune", "grid")), sep="; ", flush=True)  # fmt: skip
    return line
