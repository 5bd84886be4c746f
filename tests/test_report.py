"""mpiedge-report: one page that stands alone, from whole, partial and hostile runs, with the numbers of every plot."""

import csv
import json
from html.parser import HTMLParser
from xml.etree import ElementTree

import h5py
import pytest
from test_compare import row, times

from mpiedge.commands import report as command
from mpiedge.report import plots
from mpiedge.report.build import again
from mpiedge.report.read import LONGEST_FIELD, bounded_fields
from mpiedge.runtime.telemetry import to_csv

EVIL = "</td><script>alert(1)</script><img src=http://x/ onerror=\"go()\">'`\x00\x1b[2J\u202e" + "x" * 500
VOID = {"meta", "br", "img", "link", "input"}


class Page(HTMLParser):
    """Collects the tags, their attributes and the text of a page; every tag has to be closed in order."""

    def __init__(self, content):
        super().__init__()
        self.open, self.tags, self.attributes, self.words = [], [], [], []
        self.feed(content)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        """A tag begins."""
        self.tags.append(tag)
        self.attributes += attributes
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        """A tag without content."""
        self.tags.append(tag)
        self.attributes += attributes

    def handle_endtag(self, tag):
        """A tag ends, the last one that began."""
        assert self.open.pop() == tag

    def handle_data(self, data):
        """Words."""
        self.words.append(data)


def make(folder, name="paper", cell="cell", stages=("clean", "profile", "train")):
    """A run with these complete stages whose names and cells are as given."""
    rows = [dict(found, stage=stage, host=cell, phase=cell, run_id=cell, peak_rss_mb=90.0)
            for stage in stages for found in times(4.0)]
    (folder / "timings.csv").write_text(to_csv(rows), errors="replace")
    about = {"argv": f"/x/clean.py '{name}.csv'", "hosts": [cell, cell], "config": {}, "started": "now", "seed": 0,
             "budget_bytes": 10**9}
    dump(folder / "run.json", {stage: about for stage in stages})
    for stage in stages:
        (folder / stage).mkdir()
        dump(folder / stage / "manifest.json", {"files": {}, "config": {"source": "t"}})
    if "clean" in stages:
        dump(folder / "clean/summary.json", {"tables": {"t": {
            "rows_in": 5, "rows_out": 4, "rows_merged": 1, "rows_rejected": 0, "changes": {cell: 2}, name: name}}})
        write(folder / "clean/t.changes.csv", ["row", "column", "rule", "before", "after", "confidence"],
              [[1, name, cell, cell, "new"]])
        write(folder / "clean/t.csv", ["id", "area"], [["1", cell], ["2", "B"], ["3", "B"]])
    if "profile" in stages:
        top = [{"value": cell, "count": 2}]
        dump(folder / "profile/columns.json", {name: [{"name": cell, "type": "text", "rows": 4, "top": top}]})
        dump(folder / "profile/fds.jsonl", {"table": name, "lhs": [cell], "rhs": cell, "g3": 0.0})
        dump(folder / "profile/uccs.jsonl", {"table": name, "columns": [cell]})
        dump(folder / "profile/inds.jsonl", {"lhs": [cell], "rhs": [cell]})
        dump(folder / "profile/summary.json", {"tables": {"t": {"fds": 7, "uccs": 1}}, "inds": 1})
    if "train" in stages:
        dump(folder / "train/summary.json", {"model": cell, "test_accuracy": 0.75, "macro_f1": 0.5, "epochs": 2})
        write(folder / "metrics.csv", ["epoch", "train_loss", "val_accuracy"], [[1, 1.5, 0.5], [2, 1.25, 0.75]])
        write(folder / "train/predictions.csv", ["id", "predicted", "probability"],
              [["1", cell, 0.9], ["2", "B", 0.9], ["3", cell, 0.6]])
        with h5py.File(folder / "train/model.h5", "w") as file:
            file.attrs["config"] = json.dumps({"label": "area", "key": "id"})
    write(folder / "decisions.csv", ["time", "saw"], [["0", cell]])
    return folder


def dump(path, value):
    """One line of JSON."""
    path.write_text(json.dumps(value) + "\n")


def write(path, heads, rows):
    """A CSV."""
    with open(path, "w", newline="", errors="replace") as file:
        csv.writer(file).writerows([heads, *rows])


def build(folder):
    """The page of a run, as the program writes it."""
    assert command.main([str(folder), "-q"]) == 0
    return (folder / "report.html").read_text("utf-8")


def test_the_bound_on_csv_fields_is_for_reports_only():
    """What else the process reads with the csv module keeps its own bound."""
    before = csv.field_size_limit()
    with bounded_fields():
        assert csv.field_size_limit() == LONGEST_FIELD
    assert csv.field_size_limit() == before


def test_whole_run(tmp_path):
    """Every part is there, its numbers are those of the files, and the line to run it again names the program."""
    content = build(make(tmp_path))
    page = Page(content)
    words = "\n".join(page.words)
    for title in ("Attention", "Stages", "What clean changed", "Profile", "Model", "Confusion matrix", "Memory",
                  "Time of the ranks", "Traffic and steals", "Decisions while it ran", "How it came about"):
        assert title in page.words, title
    for figure in ("Complete.", "7 FDs", "accuracy 0.750", "mpirun -n 2 mpiedge-clean paper.csv", "'cell' → 'new'"):
        assert figure in words, figure
    cells = [value for value in page.words if value.strip()]
    at = cells.index("share found")
    assert cells[at + 1 : at + 9] == ["B", "1", "1", "0.50", "cell", "0", "1", "1.00"]
    assert page.tags.count("svg") == 1 + 1 + 1 + 3 + 2 + 2 and page.tags.count("details") >= 6


def test_page_stands_alone(tmp_path):
    """No script, no address of anything to load, a viewport for phones, a policy that forbids the rest; below 2 MB."""
    content = build(make(tmp_path))
    page = Page(content)
    assert not {"script", "img", "link", "iframe", "object", "base", "form", "a"} & set(page.tags)
    assert not {"src", "href", "srcset"} & {name for name, _ in page.attributes}
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert ("name", "viewport") in page.attributes and "default-src 'none'" in content
    assert "url(" not in content.replace("url(#kind-", "")
    assert len(content.encode()) < 2_000_000
    for part in content.split("<svg")[1:]:
        ElementTree.fromstring("<svg" + part.split("</svg>")[0] + "</svg>")


def test_hostile_cells_stay_text(tmp_path):
    """Names, cells, hosts and flags that are HTML change nothing of the page but its words."""
    calm, wild = tmp_path / "calm", tmp_path / "wild"
    calm.mkdir(), wild.mkdir()
    plain, evil = Page(build(make(calm))), Page(build(make(wild, EVIL, EVIL)))
    assert evil.tags == plain.tags
    assert [name for name, _ in evil.attributes] == [name for name, _ in plain.attributes]
    assert any("<script>alert(1)" in words for words in evil.words)
    assert not any(letter in words for words in evil.words for letter in "\x00\x1b\u202e")


@pytest.mark.parametrize("stages", [("clean",), ("profile",), ("train",), ()])
def test_partial_runs(tmp_path, stages):
    """Any stage alone gives a page, and so do times without any complete stage."""
    make(tmp_path, stages=stages)
    (tmp_path / "timings.csv").write_text(to_csv([row("clean", 0, "compute", 0.0, 1.0, status="failed")]))
    words = "\n".join(Page(build(tmp_path)).words)
    assert ("Unfinished: clean did not complete." in words) == ("clean" not in stages)
    assert "A phase of clean failed." in words


def test_large_runs_stay_small(tmp_path):
    """A hundred ranks with many phases, and tables of many columns of hostile names, give a page below 2 MB."""
    make(tmp_path)
    rows = [row(stage, rank, "compute", float(phase), 1.0, phase=f"phase {phase}", host=f"host-{rank}")
            for stage in ("clean", "profile", "train") for rank in range(100) for phase in range(40)]
    (tmp_path / "timings.csv").write_text(to_csv(rows))
    columns = [{"name": "\"<&>'" * 20, "type": "text", "rows": 4}] * 500
    dump(tmp_path / "profile/columns.json", {f"table {number}": columns for number in range(30)})
    content = build(tmp_path)
    assert len(content.encode()) < 2_000_000
    assert content.count("Left out") == 1 and content.count("<title>99 host-99") == 3


def test_damaged_files_give_a_page(tmp_path):
    """What cut or foreign files tell is left out; the times, which are whole, are shown all the same."""
    make(tmp_path)
    told = {"Accuracy", "Confusion matrix", "What clean changed", "To run it again:"}

    def page() -> tuple[set, list]:
        read = Page(build(tmp_path))
        return {word.strip() for word in read.words}, read.tags

    assert told <= page()[0]
    tables = [path for path in tmp_path.rglob("*.csv") if path.name != "timings.csv"]
    whole = {path: path.read_bytes() for path in tables}
    for content in (b"\x89HDF\r\n\xff\0\n", None, b"name\nx\n"):  # foreign, with other heads, of another table
        for path in tables:
            path.write_bytes(whole[path].replace(b"before", b"befare") if content is None else content)
        assert {"What clean changed", "To run it again:"} <= page()[0]
    for path in tables:
        path.write_bytes(whole[path])
    damaged = []
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.name not in ("timings.csv", "manifest.json"):
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    damaged.append(page())
    for path in tmp_path.rglob("*.json*"):
        path.write_text('{"tables": [1], "train": 3, "clean": [], "t": {"a": 1}}')
    damaged.append(page())
    for words, tags in damaged:
        assert not told & words
        assert {"clean", "profile", "train"} <= words and "svg" in tags


def test_energy_of_a_run(tmp_path):
    """Hosts of the power table: joules, joules for each epoch, grams, and the sources; the estimate is called one."""
    make(tmp_path)
    rows = [dict(found, host="pi4-1", peak_rss_mb=90.0) for found in times(4.0)]
    (tmp_path / "timings.csv").write_text(to_csv([dict(found, stage="train") for found in rows]))
    words = "\n".join(Page(build(tmp_path)).words)
    joules = 5.0 * (2.6 + 4.6 * 2.0 / (5.0 * 4))
    cells = [word for word in words.splitlines() if word.strip()]
    at = cells.index("estimated")
    assert cells[at - 1 : at + 5] == [f"{joules:.0f} J", "estimated", f"{joules / 3.6e6 * 480:.3g} g",
                                      f"{joules / 5:.3g} W", f"{joules / 2:.2g} J", "epoch"]
    assert "top500-benchmark" in words and "Energy is estimated" in words and "emulated" not in words
    assert "whole run" not in words
    both = [dict(found, stage=stage) for stage in ("profile", "train") for found in rows]
    (tmp_path / "timings.csv").write_text(to_csv(both))
    cells = [word for word in "\n".join(Page(build(tmp_path)).words).splitlines() if word.strip()]
    at = cells.index("whole run")
    assert cells[at + 1 : at + 5] == [f"{2 * joules:.0f} J", "estimated", f"{2 * joules / 3.6e6 * 480:.3g} g",
                                      f"{joules / 5:.3g} W"]
    assert cells[cells.index("FD") - 1] == f"{joules / 7:.2g} J"
    (tmp_path / "timings.csv").write_text(to_csv([dict(found, stage="train", cluster="emulated-pi") for found in rows]))
    words = "\n".join(Page(build(tmp_path)).words)
    assert "1 emulated host" in words and "estimated for emulated hosts" in words


def test_plots():
    """Ticks are round and within; what is endless or missing is left out; a curve alone is no plot."""
    assert plots.ticks(22.0) == [0, 5, 10, 15, 20] and plots.ticks(0.0) == [0.0]
    drawn = plots.curves("t", [1.0, 2.0, 3.0], {"loss": [1.0, float("nan"), None], "other": [None] * 3}, "epoch")
    assert drawn.count("polyline") == 1 and "nan" not in drawn
    assert plots.curves("t", [], {}, "epoch") == ""


def test_alerts_of_heat_and_swap(tmp_path):
    """Epochs that become slower and a host that swapped are named, each with a remedy; steady epochs are not. The rank
    that computed longest is named with its host."""
    make(tmp_path)

    def told(slow):
        write(tmp_path / "metrics.csv", ["epoch", "train_loss", "wall_s"],
              [[epoch, 1.0, slow if epoch > 60 else 0.5] for epoch in range(1, 101)])
        return "\n".join(Page(build(tmp_path)).words)

    assert "the last epochs took" not in told(0.6)
    now = "2026-11-22T05:16:09.125+00:00"
    write(tmp_path / "decisions.csv", ["time", "stage", "attempt", "host", "rank", "saw", "did"],
          [[now, "clean", "", "pi4-3", "", "swapped 120 MB in and out", "nothing"],
           [now, "clean", "", "pi4-9", "7", "2.9 times slower than the fastest", "sits out"]])
    words = told(1.0)
    assert "the last epochs took 2.0 times" in words and "mpiedge-doctor" in words
    assert "clean: pi4-3 swapped 120 MB in and out. Use fewer ranks" in words
    assert "clean: rank 7 on pi4-9 sat out, 2.9 times slower than the fastest." in words
    assert "\n2026-11-22 05:16:09\n" in words and "\nattempt\n" not in words
    uneven = [row("clean", rank, "compute", 0.0, 2.0 + 6 * rank, host=f"pi4-{rank}") for rank in range(2)]
    (tmp_path / "timings.csv").write_text(to_csv(uneven))
    assert "load balance 0.62: rank 1 on pi4-1 computed 8 s, the ranks on average 5 s" in told(0.6)


def test_compression_and_steals(tmp_path):
    """The ratio of the gradients' compression, and for each rank the tasks it took from others."""
    make(tmp_path)
    dump(tmp_path / "train/summary.json", {"compress": "int8", "gradient_bytes_plain": 4000,
                                           "gradient_bytes_sent": 1000})
    rows = [row("clean", rank, "compute", 0.0, 1.0, tasks_done=5 + rank, tasks_stolen=2 * rank) for rank in range(2)]
    (tmp_path / "timings.csv").write_text(to_csv(rows))
    words = "\n".join(Page(build(tmp_path)).words)
    assert "compression int8: 1.0 kB sent, where 4.0 kB would have gone uncompressed, a ratio of 4.0" in words
    assert "5 (0 stolen)" in words and "6 (2 stolen)" in words


def test_line_to_run_it_again():
    """The launcher names hosts and ranks in the form of its library; a program alone has none."""
    about = {"argv": "/x/clean.py 'a b.csv'", "hosts": ["a", "a", "b"], "mpi": "Open MPI v5.0.11"}
    assert again("clean", about) == "mpirun -host a:2,b:1 mpiedge-clean 'a b.csv'"
    assert again("clean", about | {"mpi": "MPICH 5.0"}) == "mpirun -hosts a:2,b:1 mpiedge-clean 'a b.csv'"
    assert again("clean", about | {"hosts": ["a"]}) == "mpiedge-clean 'a b.csv'"


def test_no_run_is_one_line(tmp_path, capsys, monkeypatch):
    """A folder that is no run, and no run at all, end with one line and exit code 3."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MPIEDGE_RUN", raising=False)
    for words in ([str(tmp_path)], []):
        with pytest.raises(SystemExit) as end:
            command.main(words)
        assert end.value.code == 3
        assert len(capsys.readouterr().err.splitlines()) == 1
