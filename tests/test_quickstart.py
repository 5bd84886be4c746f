"""bin/quickstart says in one line what is missing."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TOOLS = ["bash", "env", "dirname", "cat", "cksum", "grep", "tail", "head", "id", "rm", "mkdir", "timeout"]

# A Python that passes as new enough; with NO_VENV it lacks the modules; its pip always fails.
FAKE = """#!/usr/bin/env bash
case "$*" in
    *ensurepip*) exit ${NO_VENV:-0} ;;
    *--version*) echo "Python 3.10.0" ;;
    *"-m venv"*) mkdir -p "${@: -1}/bin"; cat "$0" > "${@: -1}/bin/python"; chmod +x "${@: -1}/bin/python" ;;
    *"-m pip"*) echo "ERROR: No matching distribution found for torch"; exit 1 ;;
    *"import pip"*) [ -f "$0" ] ;;
esac
"""


@pytest.fixture
def bare(tmp_path):
    """A copy of the scripts and a PATH with a few tools and no Python: (folder, bin folder, environment)."""
    home, tools = tmp_path / "home", tmp_path / "tools"
    shutil.copytree(ROOT / "bin", home / "bin")
    (home / "mpiedge/kernels").mkdir(parents=True)
    (home / "mpiedge/kernels/a.c").write_text("")
    for name in ("setup.py", "pyproject.toml"):
        shutil.copy(ROOT / name, home)
    tools.mkdir()
    for tool in [*TOOLS, "chmod"]:
        (tools / tool).symlink_to(shutil.which(tool))
    return home, tools, {"PATH": str(tools), "HOME": str(tmp_path)}


def quickstart(home, environment, *arguments):
    return subprocess.run(
        [home / "bin/quickstart", *arguments], env=environment, capture_output=True, text=True, timeout=60
    )


def add_python(tools):
    (tools / "python3").write_text(FAKE)
    os.chmod(tools / "python3", 0o755)


def test_no_python(bare):
    """Without Python the one line says which one to install."""
    home, _, environment = bare
    done = quickstart(home, environment)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "no Python 3.10 or newer" in done.stderr


def test_no_venv_module(bare):
    """A Python without venv is named, with the package to install."""
    home, tools, environment = bare
    add_python(tools)
    done = quickstart(home, environment | {"NO_VENV": "1"})
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "python3 lacks the venv module" in done.stderr


def test_no_compiler_and_no_pip(bare):
    """A missing compiler is a warning; when pip fails, its error and its log are named."""
    home, tools, environment = bare
    add_python(tools)
    done = quickstart(home, environment)
    lines = done.stderr.splitlines()
    assert done.returncode == 1
    assert "warning: no C compiler" in lines[0]
    assert "No matching distribution found for torch" in lines[1]
    assert "pip failed, see" in lines[-1] and ".venv/install.log" in lines[-1]
    assert (home / ".venv/install.log").exists() and not list((home / ".venv").glob("installed*"))
