"""mpiedge-compare: efficiencies and ratios by hand, answers that differ are marked, energy by the stated model."""

import csv
import io
import json
import math
import statistics
from dataclasses import replace

import pytest

from mpiedge.commands import compare as command
from mpiedge.report.compare import break_even, compare, failures, group_runs
from mpiedge.report.energy import metered_joules, read_power
from mpiedge.report.figures import stage_figures
from mpiedge.report.read import read_run, read_runs, split_attempts
from mpiedge.runtime.telemetry import COLUMNS, to_csv


def row(stage, rank, kind, start_s, wall_s, **others):
    """A row of timings.csv with what a test needs."""
    return dict.fromkeys(COLUMNS) | {
        "run_id": "r", "cluster": "c", "stage": stage, "rank": rank, "host": f"pi4-{rank}", "phase": f"{kind} it",
        "kind": kind, "start_s": start_s, "wall_s": wall_s, "cpu_s": 0.0, "bytes_sent": 10, "status": "ok",
    } | others  # fmt: skip


def write_run(folder, rows, found, **config):
    """A run folder with these times and a complete profile that found `found` FDs."""
    (folder / "profile").mkdir(parents=True)
    (folder / "timings.csv").write_text(to_csv(rows))
    about = {"config": {"run": str(folder), **config}, "hosts": ["a"]}
    (folder / "run.json").write_text(json.dumps({"profile": about}))
    (folder / "profile/manifest.json").write_text(json.dumps({"files": {"profile/fds.jsonl": {"sha256": str(found)}}}))
    (folder / "profile/summary.json").write_text(json.dumps({"tables": {"t": {"fds": found, "uccs": 1}}, "inds": 0}))
    return folder


def times(compute_s):
    """A profile on two ranks, the second with half the compute."""
    return [row("profile", 0, "compute", 0.0, compute_s, cpu_s=2.0), row("profile", 0, "io", compute_s, 1.0),
            row("profile", 1, "compute", 0.0, compute_s / 2), row("profile", 1, "wait", compute_s / 2, compute_s / 2)]


def test_efficiencies_by_hand():
    """Load balance is mean/max, communication efficiency max/elapsed, parallel efficiency their product."""
    figures = stage_figures("profile", times(4.0))
    assert figures.elapsed_s == 5.0
    assert figures.load_balance == 3.0 / 4.0
    assert figures.communication_efficiency == 4.0 / 5.0
    assert math.isclose(figures.parallel_efficiency, 0.6)
    assert figures.bytes_sent == 40 and figures.peak_rss_mb is None


def test_waiting_is_noted_at_its_end():
    """The start of a row of waiting is the end of the first wait: it makes no stage longer."""
    rows = [row("predict", 0, "compute", 0.0, 2.0), row("predict", 1, "compute", 0.0, 0.1),
            row("predict", 1, "wait", 2.0, 1.9)]
    assert stage_figures("predict", rows).elapsed_s == 2.0


def test_last_attempt_counts():
    """Of a stage that failed and was run again only the last rows count, also when another stage lies between."""
    rows = [row("clean", 1, "compute", 0, 9.0, status="failed"), row("clean", 0, "compute", 0, 1.0),
            row("profile", 0, "compute", 0, 1.0), row("clean", 0, "compute", 0, 2.0),
            row("clean", 1, "compute", 0, 3.0)]
    attempts = list(split_attempts(rows))
    assert [stage for stage, _ in attempts] == ["clean", "clean", "profile", "clean"]
    assert [found["wall_s"] for found in dict(attempts)["clean"]] == [2.0, 3.0]


def test_ratio_and_spread(tmp_path):
    """Runs of one configuration become a line with mean, standard deviation and the error of the ratio."""
    folders = [write_run(tmp_path / f"r{place}", times(compute_s), 3, top=place // 2)
               for place, compute_s in enumerate((4.0, 4.4, 8.0, 9.0))]
    first, second = compare(group_runs([read_run(folder) for folder in folders], read_power()))
    assert (first.n, second.n, first.configuration, second.configuration) == (2, 2, "r0", "r2")
    assert math.isclose(second.ratio, 9.5 / 5.2)
    error = math.hypot(statistics.stdev((9, 10)) / 9.5, statistics.stdev((5, 5.4)) / 5.2)
    assert math.isclose(second.ratio_spread, 9.5 / 5.2 * error)
    assert (first.answer, second.answer) == ("reference", "same")


def test_another_answer_is_marked(tmp_path, capsys):
    """A faster run with another number of FDs is marked and fails the check; single runs say n=1."""
    right = write_run(tmp_path / "right", times(4.0), 3, top=1)
    wrong = write_run(tmp_path / "wrong", times(1.0), 4, top=2)
    assert command.main([str(right), str(wrong)]) == 0
    text = capsys.readouterr().out
    assert "DIFFERS" in text and "0.40 (n=1)" in text
    assert command.main([str(right), str(wrong), "--factor", "1.1"]) == 1
    assert "profile differs" in capsys.readouterr().err


def test_factor(tmp_path):
    """Slower than the factor fails, within it passes; a stage without a manifest is unfinished."""
    slow = write_run(tmp_path / "slow", times(4.4), 3, top=2)
    base = write_run(tmp_path / "base", times(4.0), 3, top=1)
    lines = compare(group_runs([read_run(base), read_run(slow)], read_power()))
    assert failures(lines, 1.1) == [] and len(failures(lines, 1.05)) == 1
    (slow / "profile/manifest.json").unlink()
    lines = compare(group_runs([read_run(base), read_run(slow)], read_power()))
    assert [line.answer for line in lines] == ["reference", "incomplete"]


@pytest.mark.parametrize("form", ["csv", "json", "markdown", "html"])
def test_forms(tmp_path, capsys, form):
    """Every form carries the same figures, and a hostile name stays text."""
    name = "a|<b>`"
    write_run(tmp_path / name, times(4.0), 3)
    assert command.main([str(tmp_path / name), f"--{form}"]) == 0
    text = capsys.readouterr().out
    if form in ("csv", "json"):
        line = json.loads(text)[0] if form == "json" else next(csv.DictReader(io.StringIO(text)))
        assert line["configuration"] == name and float(line["load_balance"]) == 0.75
    else:
        assert "<b>" not in text and "&lt;b&gt;" in text and "0.75" in text
    if form == "markdown":
        assert all(line.replace("\\|", "").count("|") == 15 for line in text.splitlines())


def test_energy_by_the_model(tmp_path):
    """Two hosts of the table: idle + (load - idle) x utilisation, the waiting one too; an unknown host gives none."""
    write_run(tmp_path / "r", times(4.0), 3)
    line = compare(group_runs(read_runs(str(tmp_path / "r")), read_power()))[0]
    assert math.isclose(line.energy_j, 5.0 * (2.6 + 4.6 * 2.0 / (5.0 * 4)) + 5.0 * 2.6)
    assert line.energy_method == "estimated"
    write_run(tmp_path / "s", [row("profile", 0, "compute", 0, 1.0, host="attic")], 3)
    assert compare(group_runs(read_runs(str(tmp_path / "s")), read_power()))[0].energy_j is None


def test_emulated_runs_are_called_so(tmp_path, capsys):
    """Below the table stands which runs were on emulated hosts."""
    run = write_run(tmp_path / "r", [dict(found, cluster="emulated-pi") for found in times(4.0)], 3)
    assert command.main([str(run)]) == 0
    assert "emulated: r: hosts emulated on one computer" in capsys.readouterr().out


def test_break_even(tmp_path):
    """Hosts times the ratio of times, rounded up; without the energy of both there is no such line."""
    base = write_run(tmp_path / "base", times(4.0), 3, top=1)
    slow = write_run(tmp_path / "slow", times(8.0), 3, top=2)
    lines = compare(group_runs([read_run(base), read_run(slow)], read_power()))
    assert break_even(lines) == ["break-even: at least 4 hosts like the 2 of slow would be as fast as the 2 of base, "
                                 f"with {lines[1].energy_j:.0f} J against {lines[0].energy_j:.0f} J (estimated)"]
    assert break_even([lines[0], replace(lines[1], energy_j=None)]) == []


def test_meter_comes_first(tmp_path):
    """A meter's readings are integrated between the moments of the run; readings that do not cover it give none."""
    readings = [(0.0, 10.0), (10.0, 20.0), (20.0, 20.0)]
    assert math.isclose(metered_joules(readings, 5.0, 15.0), 5 * 17.5 + 5 * 20)
    assert metered_joules(readings, 5.0, 21.0) is None
    run = write_run(tmp_path / "r", times(4.0), 3)
    about = json.loads((run / "run.json").read_text())
    about["profile"]["started"] = "1970-01-01T00:00:05+00:00"
    (run / "run.json").write_text(json.dumps(about))
    (tmp_path / "meter.csv").write_text("time,watts\n1970-01-01T00:00:00Z,10\n60,10\n")
    line = compare(group_runs(read_runs(str(run)), read_power(meter=str(tmp_path / "meter.csv"))))[0]
    assert (line.energy_method, line.energy_j) == ("meter", 50.0)


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", "run_id,cluster,stage\n"])
def test_no_run_is_one_line(tmp_path, capsys, content):
    """A file or folder that is no run ends with one line and exit code 3."""
    (tmp_path / "x.csv").write_text(content)
    for path in (tmp_path / "x.csv", tmp_path, tmp_path / "absent"):
        with pytest.raises(SystemExit) as end:
            command.main([str(path)])
        assert end.value.code == 3
        assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_run_without_times_is_named(tmp_path, capsys):
    """Beside a whole run, one whose timings.csv is gone cannot be compared: one line and exit code 3."""
    whole, gone = (write_run(tmp_path / name, times(4.0), 3) for name in ("whole", "gone"))
    (gone / "timings.csv").unlink()
    for words in ([whole, gone], [gone, whole]):
        with pytest.raises(SystemExit) as end:
            command.main([str(word) for word in words])
        assert end.value.code == 3
        assert "gone: has no times" in capsys.readouterr().err
