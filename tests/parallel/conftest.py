"""Every rank runs the same tests together; rank 0 reports, and a failure on any rank ends the job at once."""

import functools
import os
import sys
import traceback
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.errors import HypothesisException

from mpiedge.runtime import launcher
from mpiedge.runtime.mail import Mail
from mpiedge.runtime.queue import Queue
from mpiedge.runtime.world import World

# All ranks must draw the same examples: no randomness, no database, and nothing that depends on how long it took.
settings.register_profile(
    "ranks", derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck), print_blob=False,
    max_examples=100 if launcher.size_hint() == 1 else 40,
)
settings.load_profile("ranks")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    """Each rank has a temporary folder of its own (pytest empties the one it is given)."""
    if config.option.basetemp:
        config.option.basetemp = f"{config.option.basetemp}{launcher.rank_hint()}"


def pytest_sessionstart(session):
    """Ranks other than 0 write their reports to nowhere."""
    reporter = session.config.pluginmanager.getplugin("terminalreporter")
    if launcher.rank_hint() and reporter is not None:
        reporter._tw._file = open(os.devnull, "w")  # noqa: SIM115 - open until the process ends


def pytest_collection_modifyitems(items):
    """A failing example ends the job where it fails: other ranks take no part in the search for a simpler one."""
    if launcher.size_hint() == 1:
        return
    for item in items:
        handle = getattr(getattr(item, "obj", None), "hypothesis", None)
        if handle is not None and not hasattr(handle.inner_test, "ends_job"):
            handle.inner_test = _ending_job(handle.inner_test, item)


def _ending_job(test, item):
    @functools.wraps(test)
    def run(*args, **kwargs):
        try:
            return test(*args, **kwargs)
        except HypothesisException:
            raise  # an unsatisfied assumption, which all ranks meet together
        except Exception as error:
            examples = ", ".join(f"{name}={value!r}" for name, value in kwargs.items() if name != "world")
            _end(item, f"{''.join(traceback.format_exception(error))}\nexample: {examples}")

    run.ends_job = True
    return run


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """A rank that failed says so itself (its test, its rank) and ends the job, so that no rank waits for it."""
    report = (yield).get_result()
    if report.failed and launcher.size_hint() > 1:
        _end(item, report.longreprtext)


def _end(item, text: str):
    world = World.current
    if world is None:
        os._exit(1)
    if world.speaks_for_error():
        capture = item.config.pluginmanager.getplugin("capturemanager")
        if capture is not None:
            capture.suspend_global_capture(in_=True)
        print(f"\n{item.nodeid} failed on rank {world.rank} of {world.size}:\n{text}", file=sys.stderr, flush=True)
    world.abort(1)


@pytest.fixture
def on_two_hosts(world, monkeypatch):
    """The world as if every other rank were on a second host; with fewer than three ranks as it is."""
    if world.size < 3:
        yield world
        return
    node = world.comm.Split(world.rank % 2, world.rank)
    leaders = world.comm.Split(0 if node.rank == 0 else 1, world.rank)
    told = {"_node": node, "_leaders": leaders, "_nodes": np.arange(world.size) % 2, "node": world.rank % 2, "nodes": 2,
            "node_rank": node.rank, "node_size": node.size, "node_ranks": list(range(world.rank % 2, world.size, 2)),
            "bytes_sent": 0, "bytes_recv": 0}
    for name, value in told.items():
        monkeypatch.setattr(world, name, value)
    yield world
    node.Free()
    leaders.Free()


@pytest.fixture(scope="module")
def queue(world):
    """One work queue for all tests of a file: runs follow one another as in a stage."""
    return Queue(world, Mail(world))


@pytest.fixture
def shared_tmp_path(world, tmp_path):
    """One temporary folder that all ranks see (rank 0's own)."""
    return Path(world.bcast(str(tmp_path)))
