"""Plots of what benchmarks/profiling.py measured."""

from pathlib import Path

DRAWN = ("compare", "rows", "columns", "ranks", "quotas")


def draw(what: str, found: list[dict], path: Path) -> None:
    """Bars for `compare`, a curve over the growing figure for the others."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    lines = [line for line in found if line.get("runs")]
    if not lines:
        return
    figure, axes = pyplot.subplots(figsize=(9, 5))
    if what == "compare":
        _bars(axes, [line for line in lines if line["kind"] == "fd"])
    else:
        across = {"rows": "rows", "columns": "columns"}.get(what, "ranks")
        for table in dict.fromkeys(line["table"] for line in lines):
            mine = [line for line in lines if line["table"] == table]
            values = [line[across] if across in line else int(line["program"].rpartition("-")[2]) for line in mine]
            clock = "wall" if across == "ranks" else "cpu"
            for name in (f"discovery_{clock}_s", f"whole_{clock}_s"):
                axes.plot(values, [line[name] for line in mine], marker="o", label=f"{table}: {name}")
        axes.set_xlabel(across)
        axes.set_ylabel("seconds")
        if across != "ranks":
            axes.set_xscale("log")
            axes.set_yscale("log")
        axes.legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def _bars(axes, lines: list[dict]) -> None:
    """Discovery CPU seconds of every program, grouped by table."""
    tables = list(dict.fromkeys(line["table"] for line in lines))
    programs = list(dict.fromkeys(line["program"] for line in lines))
    for number, program in enumerate(programs):
        mine = {line["table"]: line["discovery_cpu_s"] for line in lines if line["program"] == program}
        places = [place + number / (len(programs) + 1) for place, table in enumerate(tables) if table in mine]
        axes.bar(places, list(mine.values()), width=1 / (len(programs) + 1), label=program)
    axes.set_yscale("log")
    axes.set_ylabel("discovery, CPU seconds")
    axes.set_xticks(range(len(tables)), tables, rotation=40, ha="right", fontsize="small")
    axes.legend(fontsize="small")
