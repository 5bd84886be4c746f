"""Published runs: the README's tables are what mpiedge-compare says of them now, and evaluation.csv says the same."""

import re
import shlex
import sys
from pathlib import Path

import pytest
from launching import PROJECT

from mpiedge.commands import compare as command
from mpiedge.report.compare import compare, group_runs
from mpiedge.report.energy import read_power
from mpiedge.report.read import read_run
from mpiedge.report.tables import to_csv

README = (PROJECT / "README.md").read_text("utf-8")
PUBLISHED = PROJECT / "results/published"
CALLS = re.findall(r"^\$ (mpiedge-compare .*results/published.*)\n((?:.+\n)+?)(?=```|\$ )", README, re.M)


@pytest.mark.parametrize(("call", "shown"), CALLS, ids=[call for call, _ in CALLS])
def test_tables_of_the_readme(call, shown, capsys, monkeypatch):
    """Each line below the command is one of its output now, in this order; long lines may be cut."""
    monkeypatch.chdir(PROJECT)
    words = [word for part in shlex.split(call)[1:]
             for word in (sorted(map(str, Path().glob(part))) if "*" in part else [part])]
    assert command.main(words) == 0
    said = iter(capsys.readouterr().out.splitlines())
    for line in filter(None, shown.splitlines()):
        assert any(line == other or (line.endswith(" ...") and other.startswith(line[:-4])) for other in said), line


def test_the_readme_compares_published_runs():
    """There is such a table, and no comparison of runs that are not published."""
    calls = re.findall(r"^\$ mpiedge-compare (.*)", README, re.M)
    assert calls and all("results/published" in call for call in calls)


def test_evaluation_csv():
    """evaluation.csv is what the published runs say, and every run of a cluster is labelled emulated."""
    sys.path.insert(0, str(PROJECT / "benchmarks"))
    try:
        from evaluation import compared, published
    finally:
        sys.path.pop(0)
    runs = [read_run(folder) for folder in published(PUBLISHED)]
    usual = [run for run in runs if not re.match(r"[a-z]+-\d+k?-", run.name)]
    said = (PUBLISHED / "evaluation.csv").read_text()
    assert said == to_csv(compared(PUBLISHED)) + "\n"
    assert said.startswith(to_csv(compare(group_runs(usual, read_power()))))
    for run in runs:
        clusters = {row["cluster"] or "" for rows in run.rows.values() for row in rows}
        assert run.name.startswith("one") or all(name.startswith("emulated") for name in clusters), run.name


def test_nothing_of_a_computer_is_published():
    """No absolute path in what is published."""
    for path in PUBLISHED.rglob("*"):
        if path.is_file():
            assert not re.search(r"(?<![\w.])/(tmp|home|root|work|usr)/", path.read_text("utf-8")), path
