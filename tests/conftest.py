"""What the tests share: the ranks, whole programs under mpirun, and real data where it is present."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from launching import PROJECT, launch_environment
from training_files import write_planetoid, write_tables

# No test fails because the host is busy.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

NOTICE = re.compile(r"^(?:-{60,}|={60,})\n.*?^(?:-{60,}|={60,})\n?", re.DOTALL | re.MULTILINE)


LONG_FILES = ("test_parallel.py", "test_storm.py", "test_memory.py", "test_train_program.py", "test_train_tables.py",
              "test_browser.py", "test_clean_program.py")  # fmt: skip
"""They begin first: else one of two workers does them while the other has nothing left."""


def pytest_collection_modifyitems(items):
    """The tests of long files first, the others in their order."""
    items.sort(key=lambda item: LONG_FILES.index(item.path.name) if item.path.name in LONG_FILES else len(LONG_FILES))


def run_group(command: list[str], *, timeout_s: float, env: dict, cwd=None) -> subprocess.CompletedProcess:
    """Runs a command in a process group of its own; after `timeout_s` the whole group is killed and the test fails.

    stderr comes without the framed notices that the launcher itself adds to a failed job; they are in `.notices`, and
    among what a failed test shows.
    """
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
        env=env, cwd=cwd, start_new_session=True,
    )  # fmt: skip
    try:
        out, err = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        _kill_group(process)
        out, err = process.communicate()
        pytest.fail(f"{' '.join(command)} was not done after {timeout_s} s\n{out[-5000:]}\n{err[-5000:]}")
    except BaseException:
        _kill_group(process)
        raise
    done = subprocess.CompletedProcess(command, process.returncode, out, NOTICE.sub("", err))
    done.notices = "".join(NOTICE.findall(err))
    if done.notices:
        print(f"{' '.join(command)} ended with {done.returncode}; the launcher's notices:\n{done.notices}")
    return done


def _kill_group(process: subprocess.Popen) -> None:
    """Launchers put ranks into groups of their own, so the descendants are collected before the group dies."""
    import psutil

    victims = []
    with contextlib.suppress(psutil.Error):
        victims = psutil.Process(process.pid).children(recursive=True)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for victim in victims:
        with contextlib.suppress(psutil.Error):
            victim.kill()


@pytest.fixture(scope="session")
def mpirun():
    """mpirun(n, program, *arguments, env={}, timeout_s=120, cwd=None) -> CompletedProcess with text output.

    n = 0 starts the program alone, without mpirun. Skips where there is no mpirun.
    """

    def run(n: int, *command, env=None, timeout_s: float = 120, cwd=None) -> subprocess.CompletedProcess:
        environment = launch_environment(env)
        words = [str(word) for word in command]
        if n:
            launcher = shutil.which("mpirun", path=environment["PATH"])
            if launcher is None:
                pytest.skip("there is no mpirun on this host")
            words = [launcher, "-n", str(n), *words]
        return run_group(words, timeout_s=timeout_s, env=environment, cwd=cwd)

    return run


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """A small demo data set."""
    from mpiedge.demo.generate import write_demo

    folder = tmp_path_factory.mktemp("demo")
    write_demo(folder, 400, seed=7)
    return folder


@pytest.fixture(scope="session")
def runs(demo, tmp_path_factory, mpirun):
    """(ranks, access) -> run folder of clean, profile and train without dropout; one job for each number of ranks."""
    folders = {}
    for ranks in (1, 2, 3, 4):
        folder, ways = tmp_path_factory.mktemp(f"runs-{ranks}"), ("shared", "served")
        done = mpirun(ranks, sys.executable, PROJECT / "tests/programs/pipeline.py", demo, folder, "20", *ways)
        assert done.returncode == 0, f"{ranks} ranks: {done.stdout[-3000:]}{done.stderr}"
        folders |= {(ranks, access): folder / access for access in ways}
    yield folders
    for run in folders.values():
        shutil.rmtree(run)


@pytest.fixture(scope="session")
def world():
    """The ranks of this test run: one alone, or those that mpirun started."""
    from mpiedge.runtime.world import World

    return World()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the project; skips where it is absent."""
    folder = Path(os.environ.get("MPIEDGE_TEST_DATA", PROJECT.parent / "shared/data"))
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} does not exist")
    return folder


@pytest.fixture(scope="session")
def planetoid(tmp_path_factory):
    """A small Planetoid folder."""
    return write_planetoid(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="session")
def tables(tmp_path_factory):
    """papers.csv and cites.csv: areas follow the words and the citations; a third of the areas is missing."""
    return write_tables(tmp_path_factory.mktemp("tables"))
