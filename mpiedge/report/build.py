"""The page of a run, put together."""

import shlex
from collections import Counter

from mpiedge import __version__
from mpiedge.report import findings, overview, plots
from mpiedge.report.energy import Power, stage_energy
from mpiedge.report.figures import stage_figures
from mpiedge.report.html import page, section, table, text
from mpiedge.report.read import DECISIONS, Run, read_table

MOST_DECISIONS = 200
MOST_BYTES, MOST_TIMELINE_BYTES = 350_000, 800_000
"""Of one of the sections that grow with the tables, and of the one that grows with the ranks: 2 MB in all."""

VERSIONS = ("mpiedge", "python", "numpy", "h5py", "mpi", "git_commit", "seed", "access")


def build(run: Run, power: Power) -> str:
    """Local: the whole page as HTML."""
    figures = {stage: stage_figures(stage, run.rows[stage]) for stage in run.stages if stage in run.rows}
    energies = {stage: stage_energy(figures[stage], run.rows[stage], power, _about(run, stage).get("started"))
                for stage in figures}
    body = [
        plots.patterns(),
        f"<h1>Run {text(run.name)}</h1>\n",
        f'<p class="verdict">{text(overview.verdict(run, figures))}</p>\n',
        overview.alerts(run, figures, energies),
        overview.stage_table(run, figures),
        fit("What clean changed", findings.cleaning(run)),
        fit("Profile", findings.profile(run)),
        fit("Model", findings.training(run)),
        fit("Time of the ranks", overview.timeline(run, figures), MOST_TIMELINE_BYTES),
        overview.memory(run, figures),
        overview.traffic(run, figures),
        overview.energy(run, figures, energies, power),
        decisions(run),
        provenance(run),
        f"<footer>Written by mpiedge-report {text(__version__)} from the files of the run folder.</footer>",
    ]
    return page(f"mpiedge run {run.name}", "".join(body))


def fit(title: str, content: str, most: int = MOST_BYTES) -> str:
    """Local: a section, or a word that it is too large for a page below 2 MB."""
    if len(content.encode("utf-8", "replace")) <= most:
        return content
    return section(title, "<p>Left out, as it would make the page too large: see the files of the run folder.</p>")


def _about(run: Run, stage: str) -> dict:
    about = run.about.get(stage)
    return about if isinstance(about, dict) else {}


def decisions(run: Run) -> str:
    """Local: what supervisor and stages saw and did; columns without a cell are left out."""
    rows = read_table(run.folder / DECISIONS, MOST_DECISIONS) if run.folder else []
    if not rows:
        return ""
    names = [name for name in rows[0] if any(row.get(name) for row in rows)]
    cells = [[moment(row[name]) if name == "time" else findings.short(row.get(name)) for name in names] for row in rows]
    return section("Decisions while it ran", table([name.replace("since_s", "after s") for name in names], cells))


def moment(time) -> str:
    """Local: 2026-11-22 05:16:09 of a time as ISO 8601 says it."""
    return findings.short(time)[:19].replace("T", " ")


def provenance(run: Run) -> str:
    """Local: versions, hosts, and the lines to run it again."""
    lines, rows = [], []
    for stage in run.stages:
        about = _about(run, stage)
        if about:
            lines.append(again(stage, about))
            hosts = about.get("hosts")
            names = list(dict.fromkeys(map(str, hosts))) if isinstance(hosts, list) else []
            rows.append((stage, moment(about.get("started")), findings.short(", ".join(names)),
                         *(findings.short(about.get(name)) for name in VERSIONS)))
    if not rows:
        return ""
    heads = ("stage", "started", "hosts", *(name.replace("_", " ") for name in VERSIONS))
    return section("How it came about", "<p>To run it again:</p>\n<pre>", text_lines(lines), "</pre>\n",
                   table(heads, rows))


def text_lines(lines: list[str]) -> str:
    """Local: escaped, one below the other."""
    return "\n".join(text(line) for line in lines)


def again(stage: str, about: dict) -> str:
    """Local: the line that started a stage: the program by its name, mpirun where there were several ranks."""
    try:
        words = shlex.split(str(about.get("argv", "")))
    except ValueError:
        words = []
    return launcher(about) + shlex.join([f"mpiedge-{stage}", *words[1:]])


def launcher(about: dict) -> str:
    """Local: mpirun with the hosts and the ranks of each, in their order; nothing for a program that ran alone."""
    hosts = about.get("hosts")
    counts = Counter(map(str, hosts)) if isinstance(hosts, list) else Counter()
    if counts.total() < 2:
        return ""
    if len(counts) == 1:
        return f"mpirun -n {counts.total()} "
    flag = "-hosts" if "mpich" in str(about.get("mpi")).lower() else "-host"
    return shlex.join(["mpirun", flag, ",".join(f"{name}:{count}" for name, count in counts.items())]) + " "
