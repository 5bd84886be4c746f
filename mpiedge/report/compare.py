"""Several runs beside each other: time with its spread, efficiency, memory, traffic, energy, and whether they agree."""

import math
import statistics
from dataclasses import dataclass, field

from mpiedge.report.answer import Answer, answer
from mpiedge.report.energy import Energy, Power, stage_energy
from mpiedge.report.figures import Figures, stage_figures
from mpiedge.report.read import STAGES, Run

NO_CONFIGURATION = ("run", "quiet", "verbose", "progress", "trace", "scratch")
"""Flags that do not tell one configuration from another."""

ALL = "all"


@dataclass
class Cell:
    """One stage of one configuration, with the runs of it, one entry per run in each list."""

    configuration: str
    stage: str
    runs: list[str] = field(default_factory=list)
    figures: list[Figures] = field(default_factory=list)
    energies: list[Energy] = field(default_factory=list)
    answers: list[Answer | None] = field(default_factory=list)
    complete: list[bool | None] = field(default_factory=list)
    clusters: set[str] = field(default_factory=set)

    @property
    def elapsed_s(self) -> float:
        """Mean over the runs."""
        return statistics.fmean(figures.elapsed_s for figures in self.figures)

    @property
    def spread_s(self) -> float | None:
        """Sample standard deviation over the runs; None for a single one."""
        return statistics.stdev(figures.elapsed_s for figures in self.figures) if len(self.figures) > 1 else None

    def mean(self, name: str) -> float | None:
        """The mean of a figure over the runs; None unless all have it."""
        values = [getattr(figures, name) for figures in self.figures]
        return None if None in values else statistics.fmean(values)

    @property
    def joules(self) -> float | None:
        """Mean energy; None unless it is known of all runs."""
        values = [energy.joules for energy in self.energies]
        return None if None in values else statistics.fmean(values)


def group_runs(runs: list[Run], power: Power) -> list[list[Cell]]:
    """Local: for each configuration, in the order of its first run, its cells in the order of the stages.

    Runs are of one configuration when their stages were started with the same flags on the same hosts by the same
    commit; runs that are timings alone, when the stages, the cluster and the ranks are the same.
    """
    groups: dict[tuple, list[Run]] = {}
    for run in runs:
        groups.setdefault(_configuration(run), []).append(run)
    return [[_cell(members, stage, power) for stage in members[0].stages if stage in members[0].rows]
            for members in groups.values()]


def _configuration(run: Run) -> tuple:
    parts = []
    for stage in run.stages:
        about = run.about.get(stage)
        if isinstance(about, dict) and isinstance(about.get("config"), dict):
            own = str(about["config"].get("run"))
            config = {name: value for name, value in about["config"].items() if name not in NO_CONFIGURATION}
            parts.append((stage, str(config).replace(f"'{own}/", "'RUN/"), str(about.get("hosts")),
                          str(about.get("access")), str(about.get("mpiedge")), str(about.get("git_commit")),
                          stage in run.rows))
        else:
            rows = run.rows.get(stage, [])
            parts.append((stage, *sorted({(row["cluster"] or "", row["host"] or "", row["rank"]) for row in rows})))
    return tuple(parts)


def _cell(runs: list[Run], stage: str, power: Power) -> Cell:
    cell = Cell(runs[0].name, stage)
    for run in runs:
        figures = stage_figures(stage, run.rows[stage])
        about = run.about.get(stage)
        started = about.get("started") if isinstance(about, dict) else None
        cell.runs.append(run.name)
        cell.figures.append(figures)
        cell.energies.append(stage_energy(figures, run.rows[stage], power, started))
        cell.answers.append(answer(run, stage))
        cell.complete.append(stage in run.manifests if run.folder else None)
        cell.clusters |= {row["cluster"] or "" for row in run.rows[stage]}
    return cell


@dataclass(frozen=True)
class Line:
    """A row of the table. ratio: elapsed/that of the reference; ratio_spread as first-order error propagation gives it,
    None for single runs. answer: same, differs, unknown, incomplete, or reference."""

    configuration: str
    stage: str
    n: int
    ranks: int | None
    hosts: int | None
    elapsed_s: float
    elapsed_spread_s: float | None
    ratio: float | None
    ratio_spread: float | None
    load_balance: float | None
    communication_efficiency: float | None
    parallel_efficiency: float | None
    peak_rss_mb: float | None
    bytes_sent: float | None
    energy_j: float | None
    energy_method: str
    quality: str
    answer_hash: str
    answer: str
    cluster: str


def compare(groups: list[list[Cell]]) -> list[Line]:
    """Local: the rows, stage by stage, the reference (the first configuration) first; then all shared stages together.

    `all` sums, for each configuration, the stages that it shares with the reference, and only those of the reference.
    """
    reference = {cell.stage: cell for cell in groups[0]}
    lines = []
    for stage in dict.fromkeys([*STAGES, *(cell.stage for cells in groups for cell in cells)]):
        lines += [_line(cell, reference.get(stage)) for cells in groups for cell in cells if cell.stage == stage]
    if len(reference) > 1:
        lines += [_total(cells, reference, lines) for cells in groups]
    return lines


def _line(cell: Cell, base: Cell | None) -> Line:
    ratio, spread = _ratio(cell, base) if base else (None, None)
    found = next((found for found in cell.answers if found), None)
    return Line(
        cell.configuration, cell.stage, len(cell.runs), cell.figures[0].ranks, cell.figures[0].hosts, cell.elapsed_s,
        cell.spread_s, ratio, spread, cell.mean("load_balance"), cell.mean("communication_efficiency"),
        cell.mean("parallel_efficiency"), cell.mean("peak_rss_mb"), cell.mean("bytes_sent"), cell.joules,
        "+".join(sorted({energy.method for energy in cell.energies})) if cell.joules is not None else "",
        found.text if found else "", (found.hash or "") if found else "", _verdict(cell, base),
        "+".join(sorted(cell.clusters)),
    )  # fmt: skip


def _ratio(cell: Cell, base: Cell) -> tuple[float | None, float | None]:
    if base.elapsed_s <= 0:
        return None, None
    ratio = cell.elapsed_s / base.elapsed_s
    if cell.spread_s is None or base.spread_s is None or cell is base or cell.elapsed_s <= 0:
        return ratio, None
    return ratio, ratio * math.hypot(cell.spread_s / cell.elapsed_s, base.spread_s / base.elapsed_s)


def _verdict(cell: Cell, base: Cell | None) -> str:
    if False in cell.complete or not all(figures.ok for figures in cell.figures):
        return "incomplete"
    wanted = next((found for found in base.answers if found), None) if base else None
    if wanted is None or None in cell.answers:
        return "reference" if cell is base else "unknown"
    if not all(found.same_as(wanted) for found in cell.answers):
        return "differs"
    return "reference" if cell is base else "same"


def _total(cells: list[Cell], reference: dict[str, Cell], lines: list[Line]) -> Line:
    shared = [cell for cell in cells if cell.stage in reference]
    elapsed = sum(cell.elapsed_s for cell in shared)
    base = sum(reference[cell.stage].elapsed_s for cell in shared)
    own = [line for line in lines if line.configuration == cells[0].configuration and line.stage in reference]
    verdicts = {line.answer for line in own}
    if len(shared) < len(reference):
        verdicts.add("incomplete")
    worst = next((word for word in ("incomplete", "differs", "unknown", "same") if word in verdicts), "reference")
    joules = [cell.joules for cell in shared]
    memory = [line.peak_rss_mb for line in own]
    traffic = [line.bytes_sent for line in own]
    return Line(
        cells[0].configuration, ALL, min((len(cell.runs) for cell in shared), default=0), None,
        max((figures.hosts for cell in shared for figures in cell.figures), default=None), elapsed, None,
        elapsed / base if base > 0 else None, None, None, None, None,
        max(memory) if memory and None not in memory else None,
        sum(traffic) if traffic and None not in traffic else None,
        sum(joules) if joules and None not in joules else None,
        "+".join(sorted({line.energy_method for line in own})) if joules and None not in joules else "",
        "", "", worst, "+".join(sorted(set().union(*(cell.clusters for cell in shared)))),
    )  # fmt: skip


def notes(lines: list[Line]) -> list[str]:
    """Local: what has to stand below the table: which runs were emulated, and the break-even."""
    emulated = dict.fromkeys(line.configuration for line in lines if "emulated" in line.cluster)
    words = [f"emulated: {', '.join(emulated)}: hosts emulated on one computer, no time is one of real hosts"]
    return [*(words if emulated else []), *break_even(lines)]


def break_even(lines: list[Line]) -> list[str]:
    """Local: how many hosts of each configuration would equal those of the reference, and at what energy.

    It takes for granted that more hosts would do the same work in proportionally less time, which no cluster quite
    does: so it is the least number. Energy then stays what it is. Only where the energy of both is known.
    """
    whole = [line for line in lines if line.stage == ALL] or lines
    told = []
    for line in whole[1:]:
        base = whole[0]
        known = None not in (line.energy_j, base.energy_j)
        if known and line.stage == base.stage and line.ratio and line.hosts:
            guessed = " (estimated)" if "estimated" in line.energy_method + base.energy_method else ""
            needed = math.ceil(line.hosts * line.ratio - 1e-9)
            told.append(f"break-even: at least {needed} hosts like the {line.hosts} of {line.configuration} would be "
                        f"as fast as the {base.hosts} of {base.configuration}, with {line.energy_j:.0f} J against "
                        f"{base.energy_j:.0f} J{guessed}")
    return told


def failures(lines: list[Line], factor: float) -> list[str]:
    """Local: why a comparison does not pass: slower than `factor` times the reference, another answer, or unfinished.

    Time is judged on all shared stages together: single stages may be too short to judge.
    """
    found = []
    whole = [line for line in lines if line.stage == ALL] or lines
    for line in whole:
        if line.ratio is not None and line.ratio > factor:
            found.append(f"{line.configuration}: {line.ratio:.2f} times the reference's time, more than {factor:g}")
    for line in lines:
        if line.stage != ALL and line.answer in ("differs", "incomplete"):
            found.append(f"{line.configuration}: {line.stage} {line.answer}")
    return found
