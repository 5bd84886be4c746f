"""The emulated cluster: profiles and limits by themselves; hosts, faults and clean-up where root may make them."""

import contextlib
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from launching import launch_environment

from mpiedge.errors import EnvironmentProblem, InputError, UsageError
from mpiedge.supervise import cluster, emulation, groups
from mpiedge.supervise.hosts import Host, read_hostfile
from mpiedge.supervise.profiles import fit, read_profile

PROFILE = '[default]\ncores = 1\nspeed = 1.0\nmemory = "1GB"\nlink = "1Gbit"\n'


@pytest.mark.parametrize(("name", "cores", "memory_gb"), [("pi", 48, 64), ("commodity", 36, 34), ("server", 384, 384)])
def test_profiles_fit_their_hostfiles(name, cores, memory_gb):
    """Every shipped profile names only hosts of its hostfile and adds up to the cores and memory it stands for."""
    path = Path(__file__).parent.parent / "hostfiles" / f"{name}.txt"
    machines = read_profile(name, read_hostfile(str(path)))
    assert sum(machine.cores for machine in machines) == cores
    assert sum(machine.memory_bytes for machine in machines) == memory_gb * 1e9


def test_a_cluster_is_scaled_to_the_box(tmp_path):
    """The sum of what hosts get stays within the box, in time and memory; a small cluster is not scaled."""
    (tmp_path / "p.toml").write_text(PROFILE)
    machines = read_profile(str(tmp_path / "p.toml"), [Host(name, 1) for name in "abcd"])
    scale = fit(machines, 2, 2 << 30)
    assert scale.time * 4 <= 2 and scale.memory * 4e9 <= 2 << 30
    assert scale.tell() == "cores and links run at 1/2.1, memory at 1/2.7"
    assert fit(machines, 16, 64 << 30).tell() == "as fast as the real ones, all memory"


@pytest.mark.parametrize("text", ["", "[default]\ncores = 1\n", PROFILE.replace("1.0", "0"),
                                  PROFILE.replace("1GB", "x"), PROFILE.replace("1Gbit", "fast")])
def test_nonsense_in_a_profile_is_refused(tmp_path, text):
    """A profile that lacks something or means nothing is a named error."""
    (tmp_path / "p.toml").write_text(text)
    with pytest.raises(InputError):
        read_profile(str(tmp_path / "p.toml"), [Host("a", 1)])


@pytest.mark.parametrize("version_2", [True, False])
def test_limits_of_both_control_group_versions(tmp_path, monkeypatch, version_2):
    """Half a core and 100 MB are written to the files of version 1 and of version 2."""
    monkeypatch.setattr(groups, "ROOT", tmp_path)
    if version_2:
        (tmp_path / "cgroup.controllers").write_text("cpu memory")
    else:
        (tmp_path / "cpu").mkdir()
        (tmp_path / "memory").mkdir()
    group = groups.Group("g")
    group.create(0.5, 100_000_000)
    group.add(7)
    written = {str(path.relative_to(tmp_path)): path.read_text() for path in tmp_path.glob("**/g/*")}
    expected = {"g/cpu.max": "5000 10000", "g/cpu.weight": "50", "g/memory.max": "100000000",
                "g/cgroup.procs": "7"} if version_2 else {
        "cpu/g/cpu.cfs_period_us": "10000", "cpu/g/cpu.cfs_quota_us": "5000", "cpu/g/cpu.shares": "512",
        "cpu/g/cgroup.procs": "7", "memory/g/memory.limit_in_bytes": "100000000", "memory/g/cgroup.procs": "7"}
    assert written == expected
    assert group.pids() == [7]


HEAR = """
import os, signal
signal.signal(signal.SIGCONT, lambda *_: os.write(1, b"woken\\n"))
os.write(1, b"ready\\n")
while True:
    signal.pause()
"""


def test_only_who_was_stopped_is_woken(tmp_path, monkeypatch):
    """Of two processes the one that runs hears nothing: a search would end at a SIGCONT, as at Open MPI's."""
    monkeypatch.setattr(groups, "ROOT", tmp_path)
    (tmp_path / "cgroup.controllers").touch()
    group = groups.Group("g")
    group.create(1.0, 100_000_000)
    processes = [subprocess.Popen([sys.executable, "-I", "-S", "-c", HEAR], stdout=subprocess.PIPE, text=True)
                 for _ in range(2)]
    try:
        runs, stopped = processes
        assert [one.stdout.readline() for one in processes] == ["ready\n"] * 2
        stopped.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, stopped.pid, os.WSTOPPED | os.WNOWAIT)
        monkeypatch.setattr(group, "pids", lambda: [one.pid for one in processes])
        group.wake()
        assert stopped.stdout.readline() == "woken\n"
        runs.terminate()
        assert runs.stdout.read() == ""
    finally:
        for one in processes:
            one.kill()
            one.communicate()


@pytest.fixture
def emulator(tmp_path):
    """emulate(*words) -> (process, token) starts mpiedge-emulate with three equal hosts; skips with the reason."""
    words = [sys.executable, "-m", "mpiedge.commands.emulate"]
    if os.geteuid() != 0 or any(shutil.which(tool) is None for tool in ("ip", "tc", "unshare", "nsenter")):
        pytest.skip("an emulated cluster needs root, iproute2 and util-linux")
    (tmp_path / "hosts").write_text("west\ncentre\neast\n")
    (tmp_path / "p.toml").write_text(PROFILE)
    command = [*words, str(tmp_path / "hosts"), "--profile", str(tmp_path / "p.toml"), "--"]
    started = {}

    def emulate(*more: str) -> tuple[subprocess.Popen, str]:
        process = subprocess.Popen([*command, *more], env=launch_environment(), stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        said = ""
        while not (up := re.search(r"cluster (\w+) is up", said)):
            line = process.stderr.readline()
            said += line
            if not line and process.wait() == 3:
                pytest.skip(f"no emulated cluster here: {said.strip().splitlines()[-1]}")
            assert line, said
        started[up[1]] = process
        return process, up[1]

    yield emulate
    for process in started.values():
        process.kill()
        process.communicate()
    subprocess.run([*words, "clean"], env=launch_environment(), check=True, capture_output=True)
    assert [left_over(token) for token in started] == [[]] * len(started)


def left_over(token: str) -> list[str]:
    """What is there of an emulation: processes, bridge and cables, control groups, folder."""
    names = [groups.Group(f"mpiedge-emulate-{token}-{number}") for number in (1, 2, 3)]
    found = [str(folder) for group in names for folder in group.folders if folder.exists()]
    found += [link.name for link in Path("/sys/class/net").glob(f"mpe{token}*")]
    found += [str(folder) for folder in Path("/run/mpiedge-emulate").glob(token)]
    return found + hosts_alive(token)


def hosts_alive(token: str) -> list[str]:
    """The first processes of an emulation's hosts."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = entry.read_bytes().split(b"\0")
            if b"serve" in words and f"/run/mpiedge-emulate/{token}".encode() in words:
                found.append(str(entry))
    return found


def order(*words: str) -> str:
    """Gives an order to a running cluster."""
    done = subprocess.run([sys.executable, "-m", "mpiedge.commands.emulate", *words], env=launch_environment(),
                          capture_output=True, text=True, timeout=120)
    return done.stdout + done.stderr


def test_hosts_are_apart_and_go_with_the_emulator(emulator):
    """Hosts have names and processes of their own; after kill -9 of the emulator none is left and `clean` tidies up."""
    script = 'echo $(hostname) $($PRTE_MCA_plm_ssh_agent centre "hostname; ls -d /proc/[0-9]* | wc -l"); sleep 600'
    process, token = emulator("sh", "-c", script)
    assert process.stdout.readline().split()[:2] == ["head", "centre"]
    assert order("--cluster", token, "slow", "west", "4x") == "emulated: west is at 0.25 of its speed\n"
    assert "a hostfile, -- and a command are needed" in order("explode", "west")
    assert "names no host of this cluster" in order("--cluster", token, "kill", "north")
    assert len(hosts_alive(token)) >= 4
    process.send_signal(signal.SIGKILL)
    process.communicate()
    end = time.monotonic() + 60
    while hosts_alive(token) and time.monotonic() < end:
        time.sleep(0.1)
    assert hosts_alive(token) == []
    assert "clusters that were left behind are removed" in order("clean")
    assert left_over(token) == []


def test_what_tells_nothing_of_itself_is_swept_once_it_is_old(tmp_path, monkeypatch):
    """A folder without a state, or with half of one, goes with bridge and groups; one that has just begun stays."""
    monkeypatch.setattr(cluster, "STATE", tmp_path)
    ran = []
    monkeypatch.setattr(cluster, "_run", lambda *words: ran.append(words))
    for name, state in (("aa0001", None), ("aa0002", '{"pid": 1'), ("aa0003", None)):
        (tmp_path / name).mkdir()
        if state:
            (tmp_path / name / "state.json").write_text(state)
        if name != "aa0003":
            os.utime(tmp_path / name, (1e9, 1e9))
    assert cluster.sweep() == 2
    assert [path.name for path in tmp_path.iterdir()] == ["aa0003"]
    assert [words[-1] for words in ran] == ["mpeaa0001", "mpeaa0002"]


LISTEN = """
import socket
here = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
here.bind(("", 5005))
print("ready", flush=True)
while True:
    print(here.recv(99).decode(), flush=True)
"""
SEND = """
import socket, sys
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(sys.argv[2].encode(), (sys.argv[1], 5005))
"""


def test_a_link_is_cut_in_one_direction(emulator, tmp_path):
    """What a host sends is lost and what it is sent arrives, or the other way round; mended, both arrive."""
    machines = read_profile(str(tmp_path / "p.toml"), read_hostfile(str(tmp_path / "hosts")))
    with cluster.Cluster("emulated-p", machines, fit(machines, 2, 2 << 30), [], lambda text: None) as made:
        def start(name: str, script: str, *words: str) -> subprocess.Popen:
            command = [*made.inside(made.hosts[name]), sys.executable, "-I", "-S", "-c", script, *words]
            return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

        listeners = {name: start(name, LISTEN) for name in ("west", "east")}
        try:
            assert all(one.stdout.readline() == "ready\n" for one in listeners.values())
            for number, (orders, arrives) in enumerate([([], "we"), (["cut west out"], "w"),
                                                        (["mend west", "cut west in"], "e"), (["mend west"], "we")]):
                for words in orders:
                    made.order(words.split())
                for sender, receiver in (("east", "west"), ("west", "east")):
                    host = made.hosts[receiver]
                    start(sender, SEND, f"{made.subnet}.{host.number}", f"{number} from {sender}").wait()
                    if receiver[0] in arrives:
                        assert listeners[receiver].stdout.readline() == f"{number} from {sender}\n"
        finally:
            for one in listeners.values():
                one.kill()
                one.communicate()


def test_an_order_is_for_one_cluster(emulator):
    """Of two clusters with the same hosts only the one that is named obeys; without a name neither does."""
    tokens = [emulator("sleep", "600")[1] for _ in range(2)]
    for words in (["kill", "centre"], ["list"]):
        with pytest.raises(UsageError, match="for which of the emulated clusters"):
            emulation.send_order(words)
    assert emulation.send_order(["kill", "centre"], tokens[0]) == "centre is dead"
    states = [emulation.send_order(["list"], token) for token in tokens]
    assert ["centre dead" in state for state in states] == [True, False]
    with pytest.raises(EnvironmentProblem, match="no emulated cluster 0 runs here"):
        emulation.send_order(["list"], "0")


def test_a_host_dies_and_the_run_goes_on(emulator, tmp_path, mpirun):
    """A host loses power while mpiedge-run cleans on three: it is named, two go on, the files are the same."""
    assert mpirun(0, "mpiedge-demo", "--rows", "300", "--out", tmp_path / "demo").returncode == 0
    tables = [str(tmp_path / "demo/papers.csv"), str(tmp_path / "demo/cites.csv")]
    assert mpirun(0, "mpiedge-clean", *tables, "--run", tmp_path / "undisturbed").returncode == 0
    run = tmp_path / "run"
    supervised = [sys.executable, "-m", "mpiedge.commands.run", "--hostfile", str(tmp_path / "hosts")]
    process, token = emulator(*supervised, "--timeout", "4", "--run", str(run), "clean", *tables)
    while "3 ranks on 3 hosts" not in (line := process.stdout.readline()):
        assert line, process.stderr.read()
    assert emulation.send_order(["kill", "centre"], token) == "centre is dead"
    out, err = process.communicate(timeout=400)
    assert process.returncode == 0, err
    attempts = [line for line in out.splitlines() if ", attempt " in line]
    assert attempts and "centre" not in attempts[-1]
    assert "centre is set aside" in (run / "decisions.csv").read_text()
    clusters = {line.split(",")[1] for line in (run / "timings.csv").read_text().splitlines()[1:]}
    assert clusters == {"emulated-p"}
    sums = [{path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (folder / "clean").iterdir()}
            for folder in (run, tmp_path / "undisturbed")]
    assert sums[0] == sums[1]
