"""mpiedge-doctor: every fault among hosts is found and named with a remedy; healthy hosts pass; no file stays."""

import copy
import json

import pytest

from mpiedge.store import host_profile
from mpiedge.supervise import host_facts
from mpiedge.supervise.doctor import BREAKS, NOTES, WARNS, examine, profile

HEALTHY = {
    "machine": "aarch64", "processor": "Pi", "library": "Open MPI v5.0.11", "launcher": "Open MPI 5.0.11", "torch": "",
    "versions": {"python": "3.11.2", "mpiedge": "0.1.0", "numpy": "2.1.0"}, "cores": 4, "load": 0.1,
    "memory_bytes": 4e9, "free_bytes": 3e9, "swap_used_bytes": 0, "governor": "ondemand", "throttled": [],
    "temperature": 50.0,
    "folder": {"path": "/r", "writable": True, "locks": True, "free_bytes": 1e10, "open_to_all": False},
    "sessions": [],
}  # fmt: skip


def cluster():
    """Two healthy hosts of two ranks each, and their job."""
    hosts = [copy.deepcopy(HEALTHY) | {"host": f"pi4-{place}", "ranks": [2 * place, 2 * place + 1], "addresses": [
        {"interface": "eth0", "address": f"10.0.0.{place}", "network": "10.0.0.0/24", "public": False}]}
        for place in range(2)]
    link = {"rank": 2, "host": "pi4-1", "latency_s": 1e-4, "bytes_per_s": 1e8, "clock_s": 0.01}
    speeds = [{"host": f"pi4-{rank // 2}", "speed": 100.0} for rank in range(4)]
    return hosts, {"library": "Open MPI v5.0.11", "launched": True, "size": 4, "size_hint": 4, "links": [link],
                   "sees": [True] * 4, "speeds": speeds}


def test_healthy_hosts():
    """Nothing but notes: launcher, shared folder, link, memory of each host, speed."""
    findings = examine(*cluster())
    assert {finding.level for finding in findings} == {NOTES}
    assert {finding.check for finding in findings} == {"launcher", "folder", "link", "memory", "speed"}


@pytest.mark.parametrize(("path", "value", "level", "check"), [
    (("job", "size"), 1, BREAKS, "launcher"),
    (("hosts", 0, "launcher"), "MPICH 4.2", BREAKS, "launcher"),
    (("hosts", 0, "launcher"), "Open MPI 4.1.4", WARNS, "launcher"),
    (("hosts", 0, "launcher"), "", WARNS, "launcher"),
    (("hosts", 1, "library"), "Open MPI v4.1.4", BREAKS, "library"),
    (("hosts", 1, "versions", "mpiedge"), "0.0.9", BREAKS, "versions"),
    (("hosts", 1, "versions", "numpy"), "", WARNS, "versions"),
    (("hosts", 1, "torch"), "crashed with SIGILL", BREAKS, "torch"),
    (("hosts", 0, "folder", "writable"), False, BREAKS, "folder"),
    (("hosts", 1, "folder", "locks"), False, WARNS, "folder"),
    (("hosts", 1, "folder", "open_to_all"), True, WARNS, "folder"),
    (("hosts", 1, "folder", "free_bytes"), 1e6, WARNS, "disk"),
    (("job", "sees"), [True, True, False, False], NOTES, "folder"),
    (("hosts", 1, "addresses", 0, "address"), "10.0.0.0", WARNS, "network"),
    (("hosts", 1, "addresses", 0, "network"), "10.9.0.0/24", WARNS, "network"),
    (("hosts", 1, "addresses", 0, "public"), True, WARNS, "network"),
    (("job", "links", 0, "bytes_per_s"), 1.1e7, WARNS, "link"),
    (("job", "links", 0, "latency_s"), 0.004, WARNS, "link"),
    (("job", "links", 0, "clock_s"), -90.0, WARNS, "clock"),
    (("hosts", 1, "free_bytes"), 1e8, BREAKS, "memory"),
    (("hosts", 1, "free_bytes"), 5e8, WARNS, "memory"),
    (("hosts", 1, "cores"), 1, WARNS, "slots"),
    (("hosts", 1, "swap_used_bytes"), 10**9, WARNS, "swap"),
    (("hosts", 1, "load"), 3.0, WARNS, "load"),
    (("hosts", 1, "governor"), "powersave", WARNS, "governor"),
    (("hosts", 1, "throttled"), ["undervoltage"], WARNS, "throttling"),
    (("hosts", 1, "sessions"), ["/tmp/ompi.7"], WARNS, "leftovers"),
    (("hosts", 1, "temperature"), 85.0, WARNS, "heat"),
    (("job", "speeds", 3, "speed"), 50.0, WARNS, "speed"),
])
def test_each_fault_is_found(path, value, level, check):
    """One fault among healthy hosts gives one finding more severe than a note (or that note), with a remedy."""
    hosts, job = cluster()
    place = {"hosts": hosts, "job": job}
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    findings = [finding for finding in examine(hosts, job) if finding.level != NOTES] or [
        finding for finding in examine(hosts, job) if finding.check == "folder"]
    assert [(finding.level, finding.check) for finding in findings] == [(level, check)]
    assert findings[0].remedy or level == NOTES


def test_torch_that_crashes(monkeypatch):
    """A torch that kills its process, as on processors without its instructions, is named by the signal."""
    monkeypatch.setattr(host_facts, "TORCH_TEST", "import os; os.kill(os.getpid(), 4)")
    assert host_facts._try_torch() == "crashed with SIGILL"
    monkeypatch.setattr(host_facts, "TORCH_TEST", "import torch_that_is_not_there")
    assert "No module named" in host_facts._try_torch()


def test_facts_of_a_raspberry_pi(tmp_path):
    """What the files of a Pi say: its model, undervoltage and a capped clock, heat."""
    for name, content in {"proc/device-tree/model": "Raspberry Pi 4 Model B\0", f"sys/{host_facts.THROTTLED}": "50003",
                          "sys/class/thermal/thermal_zone0/temp": "81500",
                          "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "powersave\n"}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    facts = host_facts.gather(tmp_path / "absent/run", tmp_path)
    assert facts["processor"] == "Raspberry Pi 4 Model B" and facts["governor"] == "powersave"
    assert facts["throttled"] == ["undervoltage", "clock capped"] and facts["temperature"] == 81.5
    assert facts["folder"]["path"] == str(tmp_path) and facts["folder"]["locks"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["proc", "sys"]


def test_two_ranks(mpirun, tmp_path):
    """Under mpirun: facts, a measured link, a shared folder; nothing is left in it."""
    run = tmp_path / "run"
    run.mkdir()
    done = mpirun(2, "python", "-m", "mpiedge.commands.doctor", "--json", "--run", run)
    found = json.loads(done.stdout)
    broken = [finding for finding in found["findings"] if finding["level"] == "break"]
    assert done.returncode == (3 if broken else 0), done.stderr
    assert len(found["hosts"]) == 1 and found["hosts"][0]["ranks"] == [0, 1]
    assert found["job"]["sees"] == [True, True] and len(found["job"]["speeds"]) == 2
    link = found["job"]["links"][0]
    assert 0 < link["latency_s"] < 1 and link["bytes_per_s"] > 1e6 and abs(link["clock_s"]) < 1
    assert list(run.iterdir()) == []
    kept = json.loads((tmp_path / "hosts.json").read_text())[found["hosts"][0]["host"]]
    assert kept["ranks"] == 2 and kept["speed"] > 0 and kept["bytes_per_s"] == link["bytes_per_s"]


def test_profile_of_the_hosts(tmp_path):
    """hosts.json keeps speeds by host, newer ones replace older; ranks get theirs with mean 1, if all are known."""
    run = tmp_path / "run"
    assert host_profile.speeds(run, ["pi4-0"]) is None
    hosts, job = cluster()
    job["speeds"][2]["speed"] = job["speeds"][3]["speed"] = 300.0
    host_profile.update(run, {"old": {"speed": 7.0}, "pi4-0": {"speed": 1.0}})
    host_profile.update(run, profile(hosts, job))
    assert host_profile.read(run)["pi4-1"] | {"latency_s": 0} == {
        "speed": 300.0, "ranks": 2, "cores": 4, "machine": "aarch64", "memory_bytes": 4e9, "latency_s": 0,
        "bytes_per_s": 1e8}
    assert host_profile.speeds(run, ["pi4-0", "pi4-0", "pi4-1", "pi4-1"]) == [0.5, 0.5, 1.5, 1.5]
    assert host_profile.speeds(run, ["pi4-0", "new"]) is None
    for damaged in ('{"pi4-0": {"speed": -1}}', '{"pi4-0": {"speed": "x"}}', '{"pi4-0": 3}', "[", "[1]"):
        host_profile.path(run).write_text(damaged)
        assert host_profile.speeds(run, ["pi4-0"]) is None


def test_a_stage_starts_from_the_profile(tmp_path, world, monkeypatch):
    """The queue of a stage begins with the speeds of hosts.json; a host that is not in it leaves all equal."""
    import argparse

    from mpiedge.stage import Stage

    args = argparse.Namespace(run=str(tmp_path / "run"), seed=0, memory=None, scratch=None, trace=False, quiet=True,
                              verbose=False, progress=0)
    asked = []
    monkeypatch.setattr(host_profile, "speeds", lambda run, hosts: asked.append((run, hosts)) or [2.5] * len(hosts))
    with Stage(world, args, "clean") as stage:
        assert list(stage.queue.speeds) == [2.5] * world.size
    assert asked == [(tmp_path / "run", [world.host])]
