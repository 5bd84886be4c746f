"""Energy counters of the processors (RAPL), where Linux lets this process read them: mostly x86, mostly as root."""

import re
from pathlib import Path

PLACE = Path("/sys/class/powercap")
METHOD = "rapl"


class Counters:
    """The counters of all processor packages of this host and of their memory; counts from when it is made.

    Graphics and single cores lie inside a package and are not counted twice. Disk, network and power supply are not in
    it, nor is what other programs used taken out.
    """

    def __init__(self, place: Path = PLACE):
        """Local: finds what can be read; nothing in most virtual machines and on ARM."""
        self._zones = [zone for zone in sorted(place.glob("intel-rapl:*")) if _counts(zone)]
        self._last = {zone: energy for zone in self._zones if (energy := _read(zone / "energy_uj")) is not None}
        self._sum_uj = 0

    def joules(self) -> float | None:
        """Local: joules of the host since the counters were made; None where there are none.

        A counter starts anew at its range, after minutes at the earliest at full power: ask more often than that, or
        the figure is too small.
        """
        if not self._last:
            return None
        for zone, before in self._last.items():
            now = _read(zone / "energy_uj")
            if now is None:
                return None
            self._sum_uj += now - before if now >= before else now - before + (_read(zone / "max_energy_range_uj") or 0)
            self._last[zone] = now
        return self._sum_uj / 1e6


def _counts(zone: Path) -> bool:
    """Whether a zone is a package (intel-rapl:0) or its memory (intel-rapl:0:1 with the name dram)."""
    if re.fullmatch(r"intel-rapl:\d+", zone.name):
        return _name(zone).startswith("package")  # psys, the whole board, would count packages twice
    return _name(zone) == "dram"


def _name(zone: Path) -> str:
    try:
        return (zone / "name").read_text().strip()
    except OSError:
        return ""


def _read(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
