"""timings.csv: what is in it, and that its times add up."""

import csv
import io
import time
from types import SimpleNamespace

import pytest

from mpiedge.runtime import telemetry
from mpiedge.runtime.carrying import Carried
from mpiedge.runtime.progress import progress
from mpiedge.runtime.telemetry import COLUMNS, Timings, to_csv

HEADER = (
    "run_id,cluster,stage,rank,host,machine,phase,kind,calls,start_s,wall_s,cpu_s,items,bytes_sent,bytes_recv,"
    "tasks_done,tasks_stolen,steal_requests,peak_rss_mb,energy_j,energy_method,status"
)


@pytest.fixture
def ranks():
    """A stand-in for a world of one rank whose counters the test moves."""
    world = SimpleNamespace(rank=3, host="pi4-3", bytes_sent=0, bytes_recv=0, wait_s=0.0, carried=Carried(),
                            is_root=True)
    world.gather = lambda message: [message]
    return world


def by_phase(timings) -> dict:
    """The rows by (phase, kind)."""
    return {(row["phase"], row["kind"]): row for row in timings.rows()}


def test_columns_are_the_documented_ones(ranks):
    """The header is fixed, a row has every column, and a second stage's rows come without header."""
    timings = Timings(ranks, "clean", run_id="a", cluster="pi")
    with timings.phase("read", "io"):
        pass
    lines = to_csv(timings.rows()).splitlines()
    assert lines[0] == HEADER == ",".join(COLUMNS)
    assert len(lines) == 2 and lines[1].startswith("a,pi,clean,3,pi4-3,")
    assert to_csv(timings.rows(), header=False).splitlines() == lines[1:]


def test_unknown_is_empty_never_zero(ranks):
    """Counts nobody made are empty cells; a count of zero is written as 0."""
    timings = Timings(ranks, "clean")
    with timings.phase("read", "io") as phase:
        phase.add(items=0)
    row = next(csv.DictReader(io.StringIO(to_csv(timings.rows()))))
    assert row["items"] == "0" and row["bytes_sent"] == "0"
    unknown = ("tasks_done", "tasks_stolen", "steal_requests", "energy_j", "energy_method")
    assert [row[name] for name in unknown] == [""] * 5
    assert row["status"] == "ok" and float(row["peak_rss_mb"]) > 1


def test_repeated_phases_add_up(ranks):
    """One row per phase and kind: calls, items, bytes and times are summed."""
    timings = Timings(ranks, "train")
    for _ in range(3):
        with timings.phase("exchange", "communicate") as phase:
            ranks.bytes_sent += 10
            ranks.bytes_recv += 7
            phase.add(items=2)
            time.sleep(0.01)
        ranks.bytes_sent += 1000  # outside: charged to no phase
    row = by_phase(timings)["exchange", "communicate"]
    assert (row["calls"], row["items"], row["bytes_sent"], row["bytes_recv"]) == (3, 6, 30, 21)
    assert 0.03 <= row["wall_s"] < 0.3


def test_nested_phases_and_waits_are_told_apart(ranks):
    """A phase's own row leaves out inner phases, idle time, waits and messages, so the rows add up to the whole."""
    timings = Timings(ranks, "train")
    start = time.perf_counter()
    with timings.phase("outer"):
        time.sleep(0.02)
        with timings.phase("inner", "io"):
            time.sleep(0.03)
        with timings.idle():
            time.sleep(0.04)
        time.sleep(0.06)
        ranks.wait_s, ranks.carried = 0.05, Carried(0.01, 0.001)
    elapsed = time.perf_counter() - start
    rows = by_phase(timings)
    assert rows["inner", "io"]["wall_s"] >= 0.03
    assert rows["outer", "idle"]["wall_s"] >= 0.04
    assert rows["outer", "wait"]["wall_s"] == pytest.approx(0.05)
    assert rows["outer", "wait"]["calls"] is None and rows["outer", "wait"]["cpu_s"] is None
    assert rows["outer", "communicate"]["wall_s"] == pytest.approx(0.01)
    assert rows["outer", "communicate"]["cpu_s"] == pytest.approx(0.001)
    assert rows["outer", "communicate"]["calls"] is None and rows["outer", "communicate"]["bytes_sent"] is None
    assert sum(row["wall_s"] for row in rows.values()) == pytest.approx(elapsed, abs=0.01)
    assert 0.015 < rows["outer", "compute"]["wall_s"] < elapsed - 0.03 - 0.04 - 0.06 + 0.01


def test_processor_time_is_that_of_the_phase(ranks):
    """A sleeping phase uses none, a computing one about its wall time."""
    timings = Timings(ranks, "profile")
    with timings.phase("sleep"):
        time.sleep(0.05)
    with timings.phase("compute"):
        end = time.process_time() + 0.05
        while time.process_time() < end:
            pass
    rows = by_phase(timings)
    assert rows["sleep", "compute"]["cpu_s"] < 0.03 < rows["compute", "compute"]["cpu_s"]


def test_a_failed_phase_says_so(ranks):
    """An exception passes through and the row's status is failed."""
    timings = Timings(ranks, "clean")
    with pytest.raises(KeyError), timings.phase("read"):
        raise KeyError
    with timings.phase("write"):
        pass
    assert [row["status"] for row in timings.rows()] == ["failed", "ok"]


def test_kinds_are_fixed(ranks):
    """A kind of one's own is refused."""
    with pytest.raises(ValueError, match="communicate"), Timings(ranks, "clean").phase("x", "thinking"):
        pass


def test_name_of_the_cluster(monkeypatch):
    """MPIEDGE_CLUSTER, else mpirun's hostfile, else the host."""
    monkeypatch.setenv("MPIEDGE_CLUSTER", "kitchen")
    assert telemetry.cluster_name() == "kitchen"
    monkeypatch.delenv("MPIEDGE_CLUSTER")
    parent = SimpleNamespace(name=lambda: "prterun", cmdline=lambda: ["mpirun", "-hostfile", "hostfiles/pi.txt", "x"])
    monkeypatch.setattr(telemetry.psutil, "Process", lambda: SimpleNamespace(parents=lambda: [parent]))
    assert telemetry.cluster_name() == "pi"
    monkeypatch.setattr(telemetry.psutil, "Process", lambda: SimpleNamespace(parents=lambda: []))
    assert telemetry.cluster_name() == telemetry.platform.node()


@pytest.mark.parametrize(
    ("rank", "every_s", "shown"), [(0, None, False), (0, 0.01, True), (0, 0, False), (1, 0.01, False)]
)
def test_progress(ranks, capsys, rank, every_s, shown):
    """In a log only --progress brings lines, only from rank 0, each with its rate and on a line of its own."""
    ranks.rank, ranks.is_root = rank, rank == 0
    with progress(ranks, 4, "rows", every_s) as line:
        for _ in range(4):
            time.sleep(0.02)
            line.update(1)
    text = capsys.readouterr().err
    assert bool(text) == shown
    if shown:
        assert "rows/s" in text and "\r" not in text and "4/4" in text


def test_energy_of_counters(ranks, tmp_path, monkeypatch):
    """What the counters of packages and memory counted, past their range too, is shared by the times of the rows."""
    counters = {"intel-rapl:0": ("package-0", 900), "intel-rapl:0:0": ("core", 5), "intel-rapl:0:1": ("dram", 100),
                "intel-rapl:1": ("psys", 7)}
    for zone, (name, energy) in counters.items():
        (tmp_path / zone).mkdir()
        for file, content in (("name", name), ("energy_uj", energy), ("max_energy_range_uj", 1000)):
            (tmp_path / zone / file).write_text(f"{content}\n")
    monkeypatch.setattr(telemetry.rapl.Counters.__init__, "__defaults__", (tmp_path,))
    ranks.node_rank = 0
    timings = Timings(ranks, "train", cluster="pi")
    for name in ("read", "step"):
        with timings.phase(name):
            time.sleep(0.002)
    (tmp_path / "intel-rapl:0/energy_uj").write_text("400")
    (tmp_path / "intel-rapl:0:1/energy_uj").write_text("150")
    rows = timings.local_rows()
    assert sum(row["energy_j"] for row in rows) == pytest.approx(550e-6)
    assert all(row["energy_method"] == "rapl" and row["energy_j"] > 0 for row in rows)
    assert Timings(ranks, "train", cluster="emulated-pi").local_rows() == []
    ranks.node_rank = 1
    timings = Timings(ranks, "train")
    with timings.phase("read"):
        pass
    assert timings.local_rows()[0]["energy_j"] is None
