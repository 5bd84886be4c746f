"""The lines of Python in the README do what the README says."""

import re
from pathlib import Path

from mpiedge.demo.generate import write_demo

ROOT = Path(__file__).parent.parent


def test_three_lines_to_a_data_frame(tmp_path, monkeypatch, mpirun):
    """The README's three lines of h5py give the clean table as a data frame with the rows and columns of the CSV."""
    import pandas

    lines = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)[1]
    assert len(lines.strip().splitlines()) == 3
    run = re.search(r'"(.+?)/store\.h5"', lines)[1]
    write_demo(tmp_path / "demo", 200)
    tables = [tmp_path / "demo/papers.csv", tmp_path / "demo/cites.csv"]
    done = mpirun(0, "mpiedge-clean", *tables, "--run", tmp_path / run)
    assert done.returncode == 0, done.stderr
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(lines, names)
    frame, expected = names["papers"], pandas.read_csv(tmp_path / run / "clean/papers.csv", dtype=str)
    assert list(frame.columns) == list(expected.columns)
    assert len(frame) == len(expected) >= 180
    assert (frame["title"].astype(str) == expected["title"]).all()
