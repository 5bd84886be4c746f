"""The report in a real browser, on a desk and on a phone: nothing overflows, nothing is cut, every plot is drawn."""

import json
import shutil
import time

import browser
import pytest
from launching import PROJECT
from test_report import make

from mpiedge.commands import compare, report

DESK, PHONE = 1280, 390
pytestmark = pytest.mark.skipif(bool(browser.missing()), reason=f"{browser.missing()} is not installed")

OVERFLOW = """
document.querySelectorAll('details').forEach(each => each.open = true);
const wide = document.documentElement.scrollWidth > window.innerWidth;
const out = [...document.body.querySelectorAll('*')].filter(each => !each.closest('.plot > *, thead')
    && !(each.closest('.wide') && !each.matches('.wide')))
    .filter(each => each.getBoundingClientRect().right > window.innerWidth + 1
                    || each.getBoundingClientRect().left < -1);
return [wide, ...out.map(each => each.outerHTML.slice(0, 200))];
"""
BROKEN_WORDS = """
return [...document.querySelectorAll('th, td.text, td.number, caption')].filter(each => {
    const words = each.textContent.trim(), range = document.createRange();
    range.selectNodeContents(each.querySelector('span') || each);
    const lines = new Set([...range.getClientRects()].map(line => Math.round(line.bottom)));
    return words && lines.size > words.split(/[\\s-]+/).length;
}).map(each => each.textContent);
"""
PLOTS = """
return [...document.querySelectorAll('.plot svg')].map(each => {
    const box = each.getBoundingClientRect(), title = each.querySelector('title').textContent;
    const around = each.closest('section');
    const marks = [...each.querySelectorAll('path, rect, polyline')].filter(mark => {
        const size = mark.getBoundingClientRect();
        return size.width > 0 || size.height > 0;
    });
    const letters = [...each.querySelectorAll('text')].map(word => {
        const size = word.getBoundingClientRect();
        return [size.left < box.left - 2 || size.right > box.right + 2, word.textContent];
    });
    return {title, drawn: box.width > 100 && box.height > 10 && marks.length > 0, tables:
            around.querySelectorAll('table').length, cut: letters.filter(each => each[0]).map(each => each[1])};
});
"""
TITLES = "return [...document.querySelectorAll('h2, h3')].map(each => each.textContent);"
HIDDEN_IN_PRINT = """
document.querySelectorAll('details').forEach(each => each.open = false);
return [...document.querySelectorAll('details table')].filter(each => each.getBoundingClientRect().height < 1).length;
"""


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """A browser."""
    with browser.Browser(tmp_path_factory.mktemp("profile")) as window:
        yield window


@pytest.fixture(params=[DESK, PHONE])
def window(request, opened):
    """Its window in each width."""
    opened.command("Emulation.setDeviceMetricsOverride", width=request.param, height=900, deviceScaleFactor=1,
                   mobile=request.param == PHONE)
    opened.width = request.param
    return opened


@pytest.fixture(scope="module")
def run(runs, tmp_path_factory):
    """A run on the demo data with clean, profile and train on two ranks."""
    return shutil.copytree(runs[2, "shared"], tmp_path_factory.mktemp("run") / "two")


def look(window, page):
    """Opens a page and checks what holds for any of them."""
    window.open(page)
    assert window.run("return window.innerWidth") == window.width
    assert window.run(OVERFLOW) == [False]
    assert window.run(BROKEN_WORDS) == []
    assert [line for line in window.console() if line["level"] != "INFO"] == []
    for plot in window.run(PLOTS):
        assert plot["drawn"] and plot["tables"] and not plot["cut"], plot


def test_demo_run(window, run):
    """The page of a real run is built fast and small, and shows all of its parts; printed, nothing is folded away."""
    start = time.process_time()
    assert report.main([str(run), "-q"]) == 0
    assert time.process_time() - start < 10 and (run / "report.html").stat().st_size < 2_000_000
    look(window, run / "report.html")
    titles = window.run(TITLES)
    assert {"Attention", "Stages", "What clean changed", "Profile", "Model", "Loss", "Accuracy", "Confusion matrix",
            "Time of the ranks", "Memory", "Traffic and steals", "Energy", "How it came about"} <= set(titles)
    assert any(title.startswith("Functional dependencies: the") for title in titles)
    words = window.run("return document.body.innerText")
    for part in ("Complete.", "Gradients of the training", "mpirun -n 2", "→"):
        assert part in words, part
    drawn = [plot["title"] for plot in window.run(PLOTS)]
    assert {"loss", "accuracy", "clean: time of each rank", "profile: time of each rank", "train: time of each rank",
            "Largest peak of any rank", "Sent by all ranks inside phases"} <= set(drawn)
    window.command("Emulation.setEmulatedMedia", media="print")
    assert window.run(HIDDEN_IN_PRINT) == 0
    window.command("Emulation.setEmulatedMedia", media="")


def emulated_runs():
    """One published run of each emulated cluster: names of folders."""
    names = sorted(path.parent.name for path in (PROJECT / "results/published").glob("*/timings.csv"))
    return list({name.partition("-")[0]: name for name in names if not name.startswith("one-")}.values())


@pytest.mark.parametrize("name", emulated_runs())
def test_runs_of_many_ranks(window, tmp_path, name):
    """The page of a run on an emulated cluster of a dozen ranks and more has a lane for each, and fits."""
    page, start = tmp_path / "many.html", time.process_time()
    assert report.main([str(PROJECT / "results/published" / name), "-o", str(page), "-q"]) == 0
    assert time.process_time() - start < 10 and page.stat().st_size < 2_000_000
    look(window, page)
    drawn = [plot["title"] for plot in window.run(PLOTS)]
    assert {f"{stage}: time of each rank" for stage in ("clean", "profile", "train")} <= set(drawn)
    assert "emulated" in window.run("return document.body.innerText")


@pytest.mark.parametrize("name", ["x" * 300, "many words in a name of a column " * 9])
def test_long_names(window, tmp_path, name):
    """Cells and names without end are cut or broken, never wider than the window."""
    make(tmp_path, name, name)
    columns = [{"name": name, "type": "text", "rows": 4, "top": [{"value": name, "count": 1}]}] * 3
    (tmp_path / "profile/columns.json").write_text(json.dumps({name: columns}))
    assert report.main([str(tmp_path), "-q"]) == 0
    look(window, tmp_path / "report.html")


@pytest.mark.parametrize("alike", [False, True])
def test_comparison(window, run, tmp_path, capsys, alike):
    """The table of mpiedge-compare --html fits too, of single runs and of several with their spread."""
    other = shutil.copytree(run, tmp_path / "other") if alike else run / "timings.csv"
    assert compare.main([str(run), str(other), "--html"]) == 0
    (tmp_path / "compare.html").write_text(capsys.readouterr().out)
    look(window, tmp_path / "compare.html")
