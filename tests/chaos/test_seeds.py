"""A few seeds of the chaos drivers; by hand: python tests/chaos/driver.py --seeds 50, tests/chaos/mutations.py."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from driver import FAULTS, Bench, try_case
from journal import Journal
from launching import launch_environment

from mpiedge.store.ledger import INDEX, PREFIX
from mpiedge.store.run import write_json


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """Undisturbed results of small tables."""
    return Bench(tmp_path_factory.mktemp("chaos"), 200, ["clean", "profile"])


@pytest.mark.parametrize(("stage", "seed"), [("profile", 0), ("clean", 4)])
def test_a_disturbed_run_ends_as_an_undisturbed_one(bench, stage, seed):
    """A rank of four is killed; a whole box stands still for a while, and then rank 0 is killed."""
    row = try_case(bench, stage, seed, [fault for fault in FAULTS if fault != "disk-full"])
    assert row["wrong"] == "" and row["exits"].split()[-1] == "0"


def test_the_journal_sees_what_it_is_for(tmp_path):
    """A task committed twice, two results of one task and two tasks in flight on a rank are told; a record that came
    after its file was sealed, and what was told to have failed, are not."""
    def record(task: int, files, body: bytes = b"") -> bytes:
        head = json.dumps(["call", [task], files]).encode()
        return PREFIX.pack(len(head), len(body), hashlib.sha256(head + body).digest()) + head + body

    folder = tmp_path / "run/.unfinished/0123456789abcdef"
    folder.mkdir(parents=True)
    journal = Journal(tmp_path / "run", tmp_path / "journal")
    good = record(1, None) + record(1, [], b"a") + record(2, None) + record(2, False) + record(3, None)
    (folder / "one-0.records").write_bytes(good)
    journal.look()
    write_json(tmp_path / "run" / INDEX, {"digest": "0123456789abcdef" * 4, "attempts": {
        "one": {"one-0.records": len(good)}, "two": None}})
    with open(folder / "one-0.records", "ab") as file:
        file.write(record(3, [], b"c"))  # too late
    again = record(3, None) + record(3, [], b"c") + record(2, None) + record(2, [], b"b")
    (folder / "two-0.records").write_bytes(again)
    journal.stop()
    assert journal.problems() == []
    journal = Journal(tmp_path / "run", tmp_path / "another")
    (folder / "two-1.records").write_bytes(record(1, None) + record(4, None) + record(2, [], b"B"))
    journal.stop()
    assert journal.problems() == ["0123456789abcdef-two-1.records: 2 tasks were in flight on one rank",
                                  "call (2,): committed 2 times", "call (2,): 2 results"]


def test_damaged_files(tmp_path):
    """HDF5 that was cut, altered, emptied or replaced is made again, or refused in one line by what reads it."""
    words = [sys.executable, Path(__file__).with_name("mutations.py"), "--first", "1", "--count", "3", "--rows", "100",
             "--readers", "profile,go-on,chunks", "--out", tmp_path / "cases.csv"]
    done = subprocess.run(words, env=launch_environment(), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr + (tmp_path / "cases.csv").read_text()
