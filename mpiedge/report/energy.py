"""Energy of a stage: a meter's record if there is one, what the ranks read themselves, else an estimate that says so.

The estimate of a host is idle + (load - idle) x utilisation in watts, times the elapsed time of the stage, where
utilisation = processor time of its ranks/(elapsed x cores). A host that waits is counted too: it is switched on. Linear
in utilisation is the usual first approximation (Fan, Weber & Barroso, ISCA 2007); it knows nothing of the disk, the
switch and the power supply. An estimate never shows that one computer is greener than another.
"""

import csv
import fnmatch
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from mpiedge.errors import InputError
from mpiedge.report.figures import Figures

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

TABLE = Path(__file__).with_name("power.toml")
JOULES_PER_KWH = 3.6e6


@dataclass(frozen=True)
class Energy:
    """Joules of a stage on all its hosts, how they were found, and the hosts that nothing is known of.

    joules None: unknown. method: meter, measured (by the ranks), estimated, or estimated for emulated hosts: those that
    they stand for, had they taken the same time.
    """

    joules: float | None
    method: str
    sources: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True)
class Power:
    """The power table: machines by name, patterns of host names, grams of CO2 equivalents per kWh."""

    machines: dict[str, dict]
    hosts: dict[str, str]
    grams_per_kwh: float
    grid_source: str
    meter: list[tuple[float, float]] = field(default_factory=list)

    def machine(self, host: str) -> dict | None:
        """The machine of a host; None where no pattern fits."""
        name = next((name for pattern, name in self.hosts.items() if fnmatch.fnmatchcase(host, pattern)), None)
        return self.machines.get(name)

    def grams(self, joules: float) -> float:
        """Grams of CO2 equivalents of that much electricity from the grid."""
        return joules / JOULES_PER_KWH * self.grams_per_kwh


def read_power(path: str | None = None, meter: str | None = None) -> Power:
    """Local: the built-in table, below that of `path`; meter: a CSV `time,watts`. Raises InputError."""
    tables = [tomllib.loads(TABLE.read_text("utf-8"))]
    if path:
        try:
            tables.insert(0, tomllib.loads(Path(path).read_text("utf-8")))
        except (OSError, ValueError) as error:
            raise InputError(path, f"cannot be used as a power table ({error})",
                             "See mpiedge/report/power.toml") from error
    try:
        machines, hosts = {}, {}
        for table in tables:
            for name, entry in table.get("machines", {}).items():
                machines.setdefault(name, _machine(name, entry))
            for pattern, name in table.get("hosts", {}).items():
                hosts.setdefault(pattern, name)
        lost = [name for name in hosts.values() if name not in machines]
        if lost:
            raise ValueError(f"[hosts] names {lost[0]}, which is no machine")
        grid = next(table["grid"] for table in tables if "grid" in table)
        return Power(machines, hosts, float(grid["grams_per_kwh"]), str(grid.get("source", "no source given")),
                     _meter(meter) if meter else [])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(path or TABLE, f"cannot be used as a power table ({error})",
                         "See mpiedge/report/power.toml") from error


def _machine(name: str, entry: dict) -> dict:
    machine = {"name": name, **{key: float(entry[key]) for key in ("cores", "load_w", "idle_w")}}
    if not (machine["cores"] > 0 and 0 <= machine["idle_w"] <= machine["load_w"] < float("inf")):
        raise ValueError(f"{name} needs cores, and 0 <= idle_w <= load_w")
    return machine | {key: str(entry.get(key, "no source given")) for key in ("load_source", "idle_source")}


def _meter(path: str) -> list[tuple[float, float]]:
    """(seconds since 1970, watts) of a meter's CSV, whose times are such seconds or ISO 8601; sorted."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = sorted((_moment(row["time"]), float(row["watts"])) for row in csv.DictReader(file))
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise InputError(path, f"is no record of a meter ({error})",
                         "Give a CSV with the columns time (ISO 8601 or seconds since 1970) and watts") from error
    if len(rows) < 2:
        raise InputError(path, "has fewer than two readings", "Give the meter's readings from before to after the run")
    return rows


def _moment(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return datetime.fromisoformat(text.strip().replace("Z", "+00:00")).timestamp()


def metered_joules(readings: list[tuple[float, float]], start_s: float, end_s: float) -> float | None:
    """Local: the integral of the readings, straight lines between them; None unless they cover the whole time."""
    if not readings or readings[0][0] > start_s or readings[-1][0] < end_s:
        return None
    joules = 0.0
    for (left_s, left_w), (right_s, right_w) in pairwise(readings):
        a, b = max(left_s, start_s), min(right_s, end_s)
        if b > a:
            slope = (right_w - left_w) / (right_s - left_s)
            joules += (b - a) * (left_w + slope * ((a + b) / 2 - left_s))
    return joules


def stage_energy(figures: Figures, rows: list[dict], power: Power, started: str | None = None) -> Energy:
    """Local: the energy of one attempt of a stage. started: ISO 8601 time at which it was opened, for the meter."""
    if power.meter and started:
        start_s = _moment(started)
        joules = metered_joules(power.meter, start_s, start_s + figures.elapsed_s)
        if joules is not None:
            return Energy(joules, "meter")
    hosts = sorted({row["host"] or "" for row in rows})
    known = [row for row in rows if row["energy_j"] is not None]
    if {row["host"] or "" for row in known} == set(hosts):
        methods = sorted({row["energy_method"] or "unnamed" for row in known})
        return Energy(sum(row["energy_j"] for row in known), "measured", tuple(methods))
    joules, sources = 0.0, []
    unknown = [host for host in hosts if power.machine(host) is None]
    for host in hosts:
        machine = power.machine(host)
        if machine is None:
            continue
        cpu_s = sum(row["cpu_s"] or 0.0 for row in rows if row["host"] == host)
        busy = min(1.0, cpu_s / (figures.elapsed_s * machine["cores"])) if figures.elapsed_s > 0 else 0.0
        joules += figures.elapsed_s * (machine["idle_w"] + (machine["load_w"] - machine["idle_w"]) * busy)
        sources.append(f"{machine['name']}: {machine['idle_w']:g} to {machine['load_w']:g} W (load: "
                       f"{machine['load_source']}; idle: {machine['idle_source']})")
    emulated = any((row["cluster"] or "").startswith("emulated") for row in rows)
    method = "estimated for emulated hosts" if emulated else "estimated"
    return Energy(None if unknown else joules, method, tuple(dict.fromkeys(sources)), tuple(unknown))
