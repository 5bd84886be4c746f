"""How a run went: the verdict, what calls for attention, time, memory, traffic, steals and energy of its stages."""

import contextlib
import statistics

from mpiedge.report import plots
from mpiedge.report.answer import answer
from mpiedge.report.energy import Energy, Power
from mpiedge.report.figures import Figures
from mpiedge.report.html import folded, section, table, text
from mpiedge.report.read import DECISIONS, METRICS, Run, read_table
from mpiedge.report.tables import joules
from mpiedge.runtime.resources import format_size
from mpiedge.runtime.telemetry import KINDS

MOST_RANKS, MOST_PHASES = 128, 100
SHORT_S = 1.0
"""Stages that took less are too short to complain about their efficiency."""

WAITING, BALANCE, FULL = 0.3, 0.8, 0.8
DRIFT, LEAST_EPOCHS = 1.5, 40
MOST_EPOCHS, MOST_DECISIONS = 100_000, 200


def verdict(run: Run, figures: dict[str, Figures]) -> str:
    """Local: the sentence on top."""
    missing = [stage for stage in run.stages if stage not in run.manifests]
    done = [stage for stage in run.stages if stage in run.manifests]
    state = f"Unfinished: {', '.join(missing)} did not complete. " if missing and run.folder else "Complete. "
    if figures:
        ranks, hosts = (max(getattr(found, name) for found in figures.values()) for name in ("ranks", "hosts"))
        whole = sum(found.elapsed_s for found in figures.values())
        kind = "emulated host" if emulated(run) else "host"
        state += f"{', '.join(figures)} took {duration(whole)} on {count(ranks, 'rank')} of {count(hosts, kind)}. "
    found = [f"{stage}: {told.text}" for stage in done if (told := answer(run, stage))]
    return state + ("; ".join(found) + "." if found else "")


def emulated(run: Run) -> bool:
    """Local: whether any stage ran on emulated hosts, as the name of the cluster says."""
    return any((row["cluster"] or "").startswith("emulated") for rows in run.rows.values() for row in rows)


def duration(seconds: float) -> str:
    """Local: 0.58 s, 22.2 s, 3 min 5 s or 2 h 3 min."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min {int(seconds % 60)} s"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60)} min"


def count(number: int, thing: str) -> str:
    """Local: 1 rank, 2 ranks."""
    return f"{number:,} {thing}" + ("" if number == 1 else "s")


def budget_bytes(run: Run, stage: str) -> int | None:
    """Local: the memory budget of a rank, where run.json says so."""
    about = run.about.get(stage)
    budget = about.get("budget_bytes") if isinstance(about, dict) else None
    return budget if isinstance(budget, int) and budget > 0 else None


def alerts(run: Run, figures: dict[str, Figures], energies: dict[str, Energy]) -> str:
    """Local: what a person should look at, each with what to do."""
    found = []
    for stage in run.stages:
        if run.folder and stage not in run.manifests:
            found.append(f"{stage} is not complete. Run the same line again: it goes on from what is saved.")
        if run.attempts.get(stage, 0) > 1:
            found.append(f"{stage} was started {run.attempts[stage]} times; the figures are those of the last start.")
    for stage, told in figures.items():
        if not told.ok:
            found.append(f"A phase of {stage} failed.")
        if told.elapsed_s >= SHORT_S:
            lost = told.share("wait") + told.share("idle")
            if told.ranks > 1 and lost > WAITING:
                found.append(f"{stage}: ranks waited or idled {lost:.0%} of the time. Fewer ranks may be as fast.")
            if told.load_balance is not None and told.load_balance < BALANCE:
                found.append(f"{stage}: load balance {told.load_balance:.2f}: {busiest(run, stage, told)}.")
        budget = budget_bytes(run, stage)
        if budget and told.peak_rss_mb and told.peak_rss_mb * 1e6 > FULL * budget:
            found.append(f"{stage}: peak memory is {told.peak_rss_mb * 1e6 / budget:.0%} of the budget. "
                         "Give more with --memory, or use more hosts.")
    for row in read_table(run.folder / DECISIONS, MOST_DECISIONS) if run.folder else []:
        if row.get("saw", "").startswith("swapped"):
            found.append(f"{row.get('stage')}: {row.get('host')} {row.get('saw')}. Use fewer ranks there, or a smaller "
                         "--memory.")
        elif row.get("did") == "sits out":
            found.append(f"{row.get('stage')}: rank {row.get('rank')} on {row.get('host')} sat out, {row.get('saw')}.")
    found += drift(run)
    if emulated(run):
        found.append("The hosts were emulated on one computer: no time here is one of real hosts.")
    if any(energy.method.startswith("estimated") and energy.joules is not None for energy in energies.values()):
        found.append("Energy is estimated from a power table, not measured.")
    rejected = sum(table.get("rows_rejected") or 0 for table in _tables(run))
    if rejected:
        found.append(f"{count(rejected, 'row')} of the input could not be read and are listed in clean/*.rejects.csv.")
    return section("Attention", '<ul class="alerts">', *(f"<li>{text(line)}</li>" for line in found), "</ul>"
                   ) if found else ""


def busiest(run: Run, stage: str, told: Figures) -> str:
    """Local: which rank computed longest, where, and how long all did on average."""
    rank = max(told.compute_s, key=told.compute_s.get)
    host = next((row["host"] for row in run.rows[stage] if row["rank"] == rank and row["host"]), "")
    mean_s = sum(told.compute_s.values()) / len(told.compute_s)
    where = f" on {host}" if host else ""
    return f"rank {rank}{where} computed {duration(told.compute_s[rank])}, the ranks on average {duration(mean_s)}"


def drift(run: Run) -> list[str]:
    """Local: whether the epochs of the training became slower, as they do on hosts that get hot."""
    rows = read_table(run.folder / METRICS, MOST_EPOCHS) if run.folder else []
    times = []
    for row in rows[1:]:
        with contextlib.suppress(KeyError, ValueError):
            times.append(float(row["wall_s"]))
    if len(times) < LEAST_EPOCHS:
        return []
    quarter = len(times) // 4
    first, last = (statistics.median(part) for part in (times[:quarter], times[-quarter:]))
    if first <= 0 or last < DRIFT * first:
        return []
    return [f"train: the last epochs took {last / first:.1f} times as long as the first: a host got hot, or it had "
            "other work. mpiedge-doctor tells which."]


def _tables(run: Run) -> list[dict]:
    tables = (run.summaries.get("clean") or {}).get("tables")
    return [table for table in tables.values() if isinstance(table, dict)] if isinstance(tables, dict) else []


def stage_table(run: Run, figures: dict[str, Figures]) -> str:
    """Local: one line for each stage."""
    rows = []
    for stage, told in figures.items():
        rows.append((stage, "complete" if stage in run.manifests else "not complete", duration(told.elapsed_s),
                     told.ranks, told.hosts, ratio(told.load_balance), ratio(told.communication_efficiency),
                     ratio(told.parallel_efficiency), f"{told.peak_rss_mb or 0:.0f} MB",
                     format_size(told.bytes_sent or 0), told.tasks_done, told.tasks_stolen))
    heads = ("stage", "state", "elapsed", "ranks", "hosts", "load balance", "communication efficiency",
             "parallel efficiency", "peak memory", "sent", "tasks", "stolen")
    note = ("Load balance = mean/max compute over the ranks, communication efficiency = max compute/elapsed, parallel "
            "efficiency = their product (POP). Times begin when the stage opens the run folder.")
    return section("Stages", table(heads, rows), f"<p>{text(note)}</p>") if rows else ""


def ratio(value: float | None) -> str:
    """Local: two digits, or a dash."""
    return "-" if value is None else f"{value:.2f}"


def timeline(run: Run, figures: dict[str, Figures]) -> str:
    """Local: a Gantt chart of the ranks for each stage, and its numbers."""
    parts = []
    for stage, told in figures.items():
        ranks = sorted(told.compute_s)[:MOST_RANKS]
        lanes, rows = [], []
        for rank in ranks:
            own = [row for row in run.rows[stage] if row["rank"] == rank]
            lanes.append((f"{rank} {own[0]['host'] or ''}"[:18], _one_after_the_other(own)))
            sums = {kind: sum(row["wall_s"] for row in own if row["kind"] == kind) for kind in KINDS}
            rows.append((rank, own[0]["host"], *(f"{sums[kind]:.3f}" for kind in KINDS),
                         f"{max((row['peak_rss_mb'] or 0) for row in own):.0f}",
                         sum(row["bytes_sent"] or 0 for row in own), sum(row["tasks_done"] or 0 for row in own),
                         sum(row["tasks_stolen"] or 0 for row in own), sum(row["steal_requests"] or 0 for row in own)))
        heads = ("rank", "host", *(f"{kind} s" for kind in KINDS), "peak MB", "bytes sent", "tasks", "stolen",
                 "steal requests")
        more = f"<p>The first {MOST_RANKS} of {told.ranks} ranks.</p>" if told.ranks > MOST_RANKS else ""
        parts.append(f"<h3>{text(stage)}</h3>\n{plots.gantt(f'{stage}: time of each rank', lanes)}{more}"
                     + folded(f"{stage}: numbers of each rank", table(heads, rows))
                     + folded(f"{stage}: its phases", phases(run.rows[stage], told.ranks)))
    note = ("A phase that was entered many times is one bar at its first start, as long as all its calls together; "
            "bars that would overlap stand one after the other. Where there is no bar, the time belongs to no phase.")
    return section("Time of the ranks", plots.legend(), f"<p>{text(note)}</p>", *parts) if parts else ""


def phases(rows: list[dict], ranks: int) -> str:
    """Local: the mean and largest time of the ranks in each phase and kind, in the order the phases began."""
    found: dict[tuple, list[dict]] = {}
    for row in sorted(rows, key=lambda row: row["start_s"]):
        found.setdefault((row["phase"], row["kind"]), []).append(row)
    return table(("phase", "kind", "mean s of a rank", "most s of a rank", "bytes sent"), [
        (phase, kind, f"{sum(row['wall_s'] for row in own) / ranks:.3f}", f"{max(row['wall_s'] for row in own):.3f}",
         sum(row["bytes_sent"] or 0 for row in own)) for (phase, kind), own in list(found.items())[:MOST_PHASES]])


def _one_after_the_other(rows: list[dict]) -> list[tuple[float, float, str]]:
    """Bars by the start of their phase; waiting comes after it, as its own start_s is the end of the first wait."""
    begins: dict[str | None, float] = {}
    for row in rows:
        begins[row["phase"]] = min(begins.get(row["phase"], row["start_s"]), row["start_s"])
    placed, end = [], 0.0
    for row in sorted(rows, key=lambda row: (begins[row["phase"]], row["kind"] == "wait", row["start_s"])):
        start = max(end, begins[row["phase"]])
        placed.append((start, row["wall_s"], row["kind"] if row["kind"] in KINDS else "idle"))
        end = start + row["wall_s"]
    return placed


def memory(run: Run, figures: dict[str, Figures]) -> str:
    """Local: peak memory of each stage against the budget."""
    known = {stage: told.peak_rss_mb for stage, told in figures.items() if told.peak_rss_mb}
    if not known:
        return ""
    budgets = {stage: budget_bytes(run, stage) for stage in known}
    least = min((budget for budget in budgets.values() if budget), default=None)
    rows = [(stage, peak, f"{peak:.0f} MB") for stage, peak in known.items()]
    limit = least / 1e6 if least and least / 1e6 < 20 * max(known.values()) else None
    numbers = [(stage, f"{peak:.1f}", f"{budgets[stage] / 1e6:.0f}" if budgets[stage] else "not recorded",
                f"{peak * 1e6 / budgets[stage]:.0%}" if budgets[stage] else "-") for stage, peak in known.items()]
    told = "" if limit or not least else (f"<p>The budget of a rank, {format_size(least)}, is far beyond: more than "
                                          f"{int(least / 1e6 / max(known.values()))} times the largest peak.</p>")
    return section("Memory", plots.bars("Largest peak of any rank", rows, limit, "budget of a rank"), told,
                   folded("numbers", table(("stage", "peak of a rank, MB", "budget of a rank, MB", "share"), numbers)))


def traffic(run: Run, figures: dict[str, Figures]) -> str:
    """Local: what the ranks sent, how far gradients were compressed, and the tasks that idle ranks took from others."""
    rows = [(stage, float(told.bytes_sent), format_size(told.bytes_sent)) for stage, told in figures.items()
            if told.bytes_sent]
    if not rows:
        return ""
    numbers = [(stage, told.bytes_sent, told.tasks_done, told.tasks_stolen) for stage, told in figures.items()]
    return section("Traffic and steals", plots.bars("Sent by all ranks inside phases", rows), compression(run),
                   folded("numbers", table(("stage", "bytes sent", "tasks done", "tasks stolen"), numbers)),
                   *(steals(stage, run.rows[stage]) for stage, told in figures.items() if told.tasks_stolen))


def compression(run: Run) -> str:
    """Local: a sentence on the gradients of the training; empty where nothing is known of them."""
    summary = run.summaries.get("train") or {}
    plain, sent = summary.get("gradient_bytes_plain"), summary.get("gradient_bytes_sent")
    if not (isinstance(plain, int) and isinstance(sent, int) and sent > 0):
        return ""
    return (f"<p>Gradients of the training, compression {text(summary.get('compress'))}: {format_size(sent)} sent, "
            f"where {format_size(plain)} would have gone uncompressed, a ratio of {plain / sent:.1f}.</p>\n")


def steals(stage: str, rows: list[dict]) -> str:
    """Local: for each rank of a stage the tasks it did, and how many of them it had stolen."""
    told = {}
    for row in rows:
        done, stolen, host = told.get(row["rank"], (0, 0, ""))
        told[row["rank"]] = (done + (row["tasks_done"] or 0), stolen + (row["tasks_stolen"] or 0),
                             host or row["host"] or "")
    told = dict(sorted(told.items())[:MOST_RANKS])
    drawn = [(f"{rank} {host}"[:18], float(done), f"{done:,} ({stolen:,} stolen)")
             for rank, (done, stolen, host) in told.items()]
    return (f"<h3>{text(stage)}: tasks of each rank</h3>" + plots.bars(f"{stage}: tasks done by each rank", drawn)
            + folded(f"{stage}: numbers of the tasks", table(("rank", "host", "tasks done", "stolen"), [
                (rank, host, done, stolen) for rank, (done, stolen, host) in told.items()])))


def energy(run: Run, figures: dict[str, Figures], energies: dict[str, Energy], power: Power) -> str:
    """Local: joules and CO2 equivalents with what they rest on; hosts of which nothing is known are named."""
    rows = [(stage, joules(found.joules), found.method, f"{power.grams(found.joules):.3g} g",
             f"{found.joules / figures[stage].elapsed_s:.3g} W", *_each(run, stage, found.joules))
            for stage, found in energies.items() if found.joules is not None and figures[stage].elapsed_s > 0]
    known = [(figures[stage].elapsed_s, found) for stage, found in energies.items() if found.joules is not None]
    if len(known) > 1 and len(known) == len(energies):
        whole, seconds = sum(found.joules for _, found in known), sum(elapsed for elapsed, _ in known)
        rows.append(("whole run", joules(whole), " + ".join(dict.fromkeys(found.method for _, found in known)),
                     f"{power.grams(whole):.3g} g", f"{whole / seconds:.3g} W" if seconds > 0 else "", "", ""))
    unknown = sorted({host for found in energies.values() for host in found.unknown})
    notes = [f"{power.grams_per_kwh:g} g CO2e per kWh ({power.grid_source})."] if rows else []
    notes += sorted({source for found in energies.values() if found.joules is not None for source in found.sources})
    if any(found.method.startswith("estimated") for found in energies.values()) and rows:
        notes.append("Estimated: idle + (load - idle) x utilisation for each host, waiting hosts included. This does "
                     "not show that one computer is greener than another.")
    if any(found.method == "measured" for found in energies.values()):
        notes.append("Measured: by the counters of the processors (RAPL), processor and memory, no more.")
    if unknown:
        notes.append(f"No estimate for {', '.join(unknown[:20])}: not in the power table. Give one with --power.")
    heads = ("stage", "energy", "method", "CO2e", "mean power", "for each", "")
    return section("Energy", table(heads, rows) if rows else "",
                   *(f"<p>{text(note)}</p>" for note in notes))


def _each(run: Run, stage: str, energy_j: float) -> tuple[str, str]:
    """Energy for an epoch, a dependency or a row, and which of them."""
    found = {"train": ("epoch", "epochs"), "predict": ("row", "rows")}.get(stage)
    summary = run.summaries.get(stage) or {}
    if found:
        thing, number = found[0], summary.get(found[1])
    else:
        tables = summary.get("tables")
        key = {"clean": "rows_in", "profile": "fds"}.get(stage)
        thing = {"clean": "row", "profile": "FD"}.get(stage, "")
        number = sum(table.get(key) or 0 for table in tables.values()) if isinstance(tables, dict) else None
    return (joules(energy_j / number), thing) if isinstance(number, int) and number > 0 else ("", "")
