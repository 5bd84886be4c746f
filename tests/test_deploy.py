"""bin/mpiedge-deploy: a line per host; the same versions, or a failure that says what differs."""

import json
import os
import sys
from pathlib import Path

import pytest

from mpiedge.supervise import deploy

SSH = """#!/bin/sh
[ "$1" = dead ] && { echo "ssh: connect to host dead: No route to host" >&2; exit 255; }
cd ROOT/$1 && shift && exec sh -c "$*"
"""
QUICKSTART = """#!/bin/sh
[ -f .venv/installed ] && { echo "install is complete"; exit; }
[ -f ../no-venv ] && { echo "quickstart: python3 lacks the venv module" >&2; exit 1; }
mkdir -p .venv/bin && cp "$PIP_CONSTRAINT" .venv/used && touch .venv/installed
printf '#!/bin/sh\nexec PYTHON "$@"\n' > .venv/bin/python && chmod +x .venv/bin/python
"""


@pytest.fixture
def hosts(tmp_path, monkeypatch):
    """A checkout with a quickstart that installs nothing, and folders that a shell takes for other hosts."""
    agent, home = tmp_path / "ssh", tmp_path / "home"
    agent.write_text(SSH.replace("ROOT", str(tmp_path)))
    (home / "bin").mkdir(parents=True)
    (home / "results").mkdir()
    (home / "bin/quickstart").write_text(QUICKSTART.replace("PYTHON", sys.executable))
    for path in (agent, home / "bin/quickstart"):
        path.chmod(0o755)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("PRTE_MCA_plm_ssh_agent", str(agent))
    return tmp_path


def told(hosts, names, needed, folder="mpiedge"):
    """The lines of all hosts by their names, and how many failed."""
    lines = []
    failed = deploy.deploy(hosts / "home", names, folder, needed, list(needed), 60, lines.append)
    return dict(line.split(": ", 1) for line in lines), failed


def test_hosts_get_checkout_and_versions(hosts):
    """A new host gets files and pins, then it is complete, until another pin is wanted; a dead host is named."""
    needed = {name: deploy.pins()[name] for name in ("numpy", "pytest")}
    lines, failed = told(hosts, ["a", "dead"], needed)
    assert failed == 1 and lines["dead"] == "failed: ssh: connect to host dead: No route to host"
    assert lines["a"].startswith("installed: Python 3.") and "2 packages as here" in lines["a"]
    assert (hosts / "a/mpiedge/.venv/used").read_text() == "".join(f"{name}=={needed[name]}\n" for name in needed)
    assert not (hosts / "a/mpiedge/results").exists()
    assert told(hosts, ["a"], needed)[0]["a"].startswith("was complete")
    assert told(hosts, ["a"], needed | {"h5py": deploy.pins()["h5py"]})[0]["a"].startswith("installed")


def test_failures_are_one_line(hosts):
    """What the installation says, and versions that differ all the same."""
    lines, failed = told(hosts, ["a"], {"numpy": "0.0.1", "no-such-package": "1"})
    assert failed == 1 and lines["a"].startswith("failed: it has ") and "instead of 0.0.1" in lines["a"]
    (hosts / "b/no-venv").touch()
    lines, failed = told(hosts, ["b"], {})
    assert failed == 1 and lines["b"] == "failed: quickstart: python3 lacks the venv module"


def test_a_shared_folder_is_left_alone(hosts):
    """A host that sees this host's folder gets nothing unpacked over it."""
    (hosts / "home/.venv/bin").mkdir(parents=True)
    (hosts / "home/.venv/bin/python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (hosts / "home/.venv/bin/python").chmod(0o755)
    lines, failed = told(hosts, ["a"], {}, str(hosts / "home"))
    assert failed == 0 and lines["a"].startswith("shares this folder")
    assert not (hosts / "home/constraints.txt").exists()


def test_the_program(hosts, capsys):
    """Exit codes: 3 for a hostfile that is none, 1 with a host that failed; names are checked before any ssh."""
    assert deploy.main([str(hosts / "absent")]) == 3
    assert len(capsys.readouterr().err.splitlines()) == 1
    (hosts / "hosts.txt").write_text("-oProxyCommand=x\n")
    assert deploy.main([str(hosts / "hosts.txt")]) == 3
    (hosts / "hosts.txt").write_text("dead slots=2\n")
    assert deploy.main([str(hosts / "hosts.txt"), "--to", "x"]) == 1
    assert "0 of 1 hosts" in capsys.readouterr().out


def test_questions_are_answered_by_any_python():
    """What is asked on a host prints JSON with versions, and names what is missing."""
    import subprocess

    done = subprocess.run([sys.executable, "-c", deploy.ASK, "numpy", "none-such"], capture_output=True, text=True)
    found = json.loads(done.stdout)
    assert found["none-such"] == "missing" and found["numpy"] == deploy.pins()["numpy"]
    assert {"numpy", "torch", "mpi4py"} <= set(deploy.needed(deploy.pins()))
    assert os.access(Path(deploy.HOME) / "bin/mpiedge-deploy", os.X_OK)
