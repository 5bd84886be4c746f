"""The supervisor's judgements: hostfiles, launch lines, silence, notices, chains; no job is started here."""

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from mpiedge import __version__, stage
from mpiedge.commands import profile
from mpiedge.errors import InputError, Stopped, UsageError
from mpiedge.runtime import heartbeat, resources
from mpiedge.runtime.heartbeat import REGROUP
from mpiedge.supervise import births, chain, hosts, job, launch, supervisor, watch
from mpiedge.supervise.job import read_notices
from mpiedge.supervise.watch import Listener, Table


def test_hostfiles_of_both_forms(tmp_path):
    """`name slots=N`, `name:N`, plain and repeated names with comments give the same hosts."""
    forms = ("a slots=2 # old\nb slots=1 max_slots=4\n", "a:2\nb:1\n", "# two\na\nb\na\n")
    for number, text in enumerate(forms):
        (tmp_path / f"{number}").write_text(text)
        assert hosts.read_hostfile(str(tmp_path / f"{number}")) == [hosts.Host("a", 2), hosts.Host("b", 1)]


@pytest.mark.parametrize("line", ["-oProxyCommand=evil slots=1", "a;reboot", "a b", "$(x):2", "a slots=0",
                                  "a slots=two", "a slots=-1", ""])
def test_names_that_are_no_hosts_are_refused(tmp_path, line):
    """A hostfile cannot bring options or shell words into a command line; a file without a host is refused too."""
    (tmp_path / "hosts").write_text(line + "\n")
    with pytest.raises(InputError):
        hosts.read_hostfile(str(tmp_path / "hosts"))


def test_a_slurm_allocation():
    """The short forms of Slurm's node list and task counts are spelt out."""
    found = hosts.slurm_hosts({"SLURM_JOB_NODELIST": "n[08-10,12],gpu1", "SLURM_TASKS_PER_NODE": "4(x3),2,1"})
    assert [(host.name, host.slots) for host in found] == [("n08", 4), ("n09", 4), ("n10", 4), ("n12", 2), ("gpu1", 1)]
    assert hosts.slurm_hosts({}) == []


def test_launch_lines():
    """Each launcher gets its own words: hosts, ranks, and the variables that must reach the ranks."""
    two = [hosts.Host("a", 2), hosts.Host("b", 1)]
    environment = {"MPIEDGE_SUPERVISOR": "x", "HOME": "/root", "OMP_NUM_THREADS": "1"}
    lines = {kind: launch.Launcher(kind, "/bin/start").command(two, 3, Path("h"), ["prog"], environment)
             for kind in (launch.OPEN_MPI, launch.MPICH, launch.SLURM)}
    assert lines[launch.OPEN_MPI] == ["/bin/start", "--hostfile", "h", "-n", "3", "-x", "MPIEDGE_SUPERVISOR", "-x",
                                      "OMP_NUM_THREADS", "prog"]
    assert lines[launch.MPICH] == ["/bin/start", "-f", "h", "-n", "3", "prog"]
    assert {"--ntasks=3", "--nodes=2", "--nodelist=a,b", "--kill-on-bad-exit=1"} < set(lines[launch.SLURM])
    assert hosts.hostfile_text(two, mpich=True) == "a:2\nb:1\n"
    assert hosts.hostfile_text(two, mpich=False) == "a slots=2\nb slots=1\n"


def beat(rank: int, **changes) -> dict:
    """A beat of a rank that works."""
    working = {"host": "h", "pid": 1, "phase": "read", "steps": 1, "waiting": False, "unheard_s": 0.0}
    return {"rank": rank, **working, **changes}


def test_silence_is_noticed_and_named():
    """A rank that beats no more, never began, or hears nothing is suspected, with its host; one that is done is not."""
    table = Table(["a", "a", "b", "b"], timeout_s=10)
    for rank, more in ((0, {}), (1, {"exit": 0}), (2, {"unheard_s": 11.0})):
        assert table.note(beat(rank, **more))
    assert not table.note(beat(4))
    now = time.monotonic()
    assert {(fault.rank, fault.host) for fault in table.suspects(now)} == {(2, "b")}
    assert {fault.rank for fault in table.suspects(now + 11)} == {0, 2}
    assert {fault.rank for fault in table.suspects(now + 31)} == {0, 2, 3}


def test_a_supervisor_that_was_stopped_blames_nobody():
    """What was not heard, or not answered, while the supervisor itself stood still is no fault until it is again."""
    table = Table(["a", "b"], timeout_s=10)
    for rank, more in ((0, {}), (1, {"unheard_s": 60.0})):
        table.note(beat(rank, **more))
    now = time.monotonic() + 5
    table.excuse(60, now + 60)
    assert table.suspects(now + 60 + 4) == []
    assert {fault.rank for fault in table.suspects(now + 60 + 6)} == {0, 1}
    for _ in range(9):  # with no more than half of the processor it does not wait for ever
        table.excuse(2, now + 2)
        now += 4
    assert 0 in {fault.rank for fault in table.suspects(now + 60)}


def test_a_standstill_is_noticed():
    """All ranks beat and all wait for ever: after 30 timeouts that is a fault; one that computes is none."""
    for waiting, expected in ((True, 1), (False, 0)):
        table = Table(["a", "b"], timeout_s=1)
        for _ in range(2):
            table.note(beat(0, waiting=True))
            table.note(beat(1, waiting=waiting))
        table.progress_s -= 31
        table.note(beat(1, waiting=waiting))
        assert len(table.suspects(time.monotonic())) == expected


def test_a_rank_that_computes_notices_nothing(monkeypatch):
    """Where a process is gone and those that noticed wait for one that computes, the job goes on; not where it waits,
    too, nor where nobody has noticed, nor a while after all have."""
    monkeypatch.setattr(job, "GONE_S", 0.05)
    cases = ({0: {}, 1: {}}, True), ({0: {"phase": REGROUP}, 1: {}}, False), (
        {0: {"phase": REGROUP}, 1: {"waiting": True}}, True), ({0: {"phase": REGROUP}, 1: {"phase": REGROUP}}, False)
    for told, ends in cases:
        watched = job.Job.__new__(job.Job)
        watched.in_place, watched.told, watched.gone_s, watched.computed_s = True, set(), {}, 0.0
        watched.table = table = Table(["a", "a", "a"], timeout_s=10)
        for rank, pid in enumerate((os.getpid(), os.getpid(), 1 << 30)):
            table.note(beat(rank, pid=pid))
        assert watched._look_for_lost() == []
        for rank, changes in told.items():
            table.note(beat(rank, pid=os.getpid(), **changes))
        time.sleep(0.06)
        assert bool(watched._look_for_lost()) == ends
    watched.gone_s = {2: time.monotonic() - job.AGREE_S}
    assert watched._look_for_lost()
    watched.computed_s = time.monotonic()  # that one notices only now gives all a while to agree
    assert watched._look_for_lost() == []


def test_notices_of_the_launchers():
    """Open MPI's and MPICH's notices of dead ranks and lost hosts name the host as the hostfile does."""
    said = ("prterun noticed that process rank 3 with PID 77 on node pi2 exited on\nsignal 9 (Killed).\n"
            "  HNP daemon   : [prterun-head-7@0,0] on node head\n  Remote daemon: [prterun-head-7@0,2] on node pi3\n"
            "=   PID 123 RUNNING AT pi1\n=   EXIT CODE: 9\n")
    faults = read_notices(said, ["pi1", "pi2.local", "pi3"], {123: 5})
    assert [(fault.host, fault.rank, fault.host_lost) for fault in faults] == [
        ("pi2.local", 3, False), ("pi3", None, True), ("pi1", 5, False)]


def test_a_rank_is_ended_for_want_of_memory(world, tmp_path, monkeypatch):
    """The count of a host tells it from other deaths; ranks plan with half their memory then, and say so."""
    table = Table(["a", "a", "b"], timeout_s=1)
    for rank, kills in ((0, 3), (1, 3), (2, None)):
        table.note(beat(rank, memory_kills=kills))
    ended = job.Job.__new__(job.Job)
    ended.table, ended.listener, ended.streams = table, None, []
    for count, expected in ((3, [False, False]), (4, [True, False])):
        monkeypatch.setattr(job, "ask", lambda hosts, *_, count=count: {
            name: (0, f"nr_free_pages 7\noom_kill {count}\n") for name in hosts})
        faults = [watch.Fault("a", 1, "killed by signal 9"), watch.Fault("b", 2, "killed by signal 9")]
        ended._look_for_memory(faults)
        assert [fault.memory for fault in faults] == expected
    assert str(faults[0]) == "rank 1 on host a: killed by signal 9; the host was out of memory"
    monkeypatch.setattr(launch, "check_hosts", lambda *_: {})
    chief = supervisor.Supervisor(tmp_path, [hosts.Host("a", 2)], launch.Launcher(launch.OPEN_MPI, "/bin/false"),
                                  ranks=None, timeout_s=5, max_failures=9, common=[], quiet=True)
    chief._judge(chain.make_call("profile", []), chief.listed, job.Outcome(1, faults[:1], None, ""))
    assert chief.memory_share == 0.5
    args = profile.build_parser().parse_args(["--run", str(tmp_path / "run"), "--memory", "500MB"])
    monkeypatch.setenv(resources.MEMORY_SHARE, "0.5")
    assert stage.Stage(world, args, "profile").own_budget_bytes == 250_000_000


def test_a_job_is_asked_to_end_before_it_is_ended(tmp_path, monkeypatch):
    """A supervisor that is stopped sends SIGUSR1 and waits: programs save what they have; then nothing is left, nor the
    folder of the launcher."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    class Stopping(watch.Listener):
        def take(self, *_):
            if (tmp_path / "ready").exists():
                (tmp_path / "ready").unlink()
                raise Stopped("run", "stopped")

    script = "mkdir ompi.$$; trap 'sleep .3; touch saved; exit 75' USR1; touch ready; while :; do sleep .02; done"
    started = job.Job(["sh", "-c", f"cd {tmp_path}; {script}"], dict(os.environ), "job", Stopping(True),
                      Table(["a"], 5), None, silent_hosts=None)
    with pytest.raises(Stopped):
        started.watch()
    assert (tmp_path / "saved").exists() and started.process.returncode == 75
    assert not list(tmp_path.glob("ompi.*"))


def test_what_is_left_is_told_from_what_has_its_number(monkeypatch):
    """An mpirun that was left is known again after the clock was set; another process with its number is spared."""
    left = subprocess.Popen(["sleep", "60"], start_new_session=True)
    born = births.birth(left.pid)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert not job.end_left_over(left.pid, births.birth(os.getpid())) and left.poll() is None
    assert job.end_left_over(left.pid, born)
    assert births.birth(left.pid) == ""


def test_chains(tmp_path):
    """Words with -- and a TOML file give the same calls; what makes no sense is refused."""
    text = '[[stage]]\nname = "clean"\narguments = ["a.csv"]\n[[stage]]\nname = "profile"\n'
    (tmp_path / "chain.toml").write_text(text)
    words = ["clean", "a.csv", "--", "mpiedge-profile"]
    assert chain.read_chain(words) == chain.read_chain([str(tmp_path / "chain.toml")])
    (tmp_path / "text.toml").write_text('[[stage]]\nname = "clean"\narguments = "a.csv"\n')
    with pytest.raises(InputError, match="arguments are no list"):
        chain.read_chain([str(tmp_path / "text.toml")])
    for wrong in ([], ["clen"], ["clean", "--run", "x"], ["profile", "--dry-run"]):
        with pytest.raises(UsageError):
            chain.read_chain(wrong)
    assert chain.read_chain(["profile", "t.csv", "--verify", "a -> b"])[0].folder == "verify"


def test_a_fenced_rank_may_not_commit(tmp_path, monkeypatch):
    """A rank whose job is no longer named in the run folder, or that does not see the file, is refused."""
    link = Listener(only_here=True).link("job-1", 10)
    assert heartbeat.Link.from_text(link.to_text()) == link
    heartbeat.check_fence(tmp_path)  # without a supervisor: nothing
    monkeypatch.setattr(heartbeat, "_heart", heartbeat.Heart(link))
    (tmp_path / heartbeat.JOB_FILE).write_text(json.dumps({"job": "job-1"}))
    heartbeat.check_fence(tmp_path)
    (tmp_path / heartbeat.JOB_FILE).write_text(json.dumps({"job": "job-2"}))
    with pytest.raises(Stopped):
        heartbeat.check_fence(tmp_path)
    (tmp_path / heartbeat.JOB_FILE).unlink()
    with pytest.raises(InputError):
        heartbeat.check_fence(tmp_path)
    heartbeat.farewell(0)


def test_what_is_left_of_the_hosts(tmp_path, monkeypatch):
    """Lost hosts go, ranks that waited for them are not blamed; a host that answers loses a slot, its last one late."""
    from mpiedge.supervise.job import Outcome
    from mpiedge.supervise.supervisor import Supervisor
    from mpiedge.supervise.watch import Fault

    listed = [hosts.Host("a", 2), hosts.Host("b", 1), hosts.Host("c", 1)]
    call = chain.make_call("profile", [])
    silent: set[str] = set()
    monkeypatch.setattr(launch, "check_hosts", lambda hosts, *_: {h.name: "mute" for h in hosts if h.name in silent})

    def left(*faults: Fault) -> dict:
        supervisor = Supervisor(tmp_path, listed, launch.Launcher(launch.OPEN_MPI, "/bin/false"), ranks=None,
                                timeout_s=5, max_failures=9, common=[], quiet=True)
        for fault in faults:
            supervisor._judge(call, listed, Outcome(1, [fault] if isinstance(fault, Fault) else fault, None, ""))
        return supervisor.slots

    died = [Fault("a", 0, "killed"), Fault("b", 2, "killed"), Fault("b", 2, "killed")]
    assert left(died[0]) == {"a": 1, "b": 1, "c": 1}
    assert left(died[1]) == {"a": 2, "b": 1, "c": 1}
    assert left(died[1], died[2]) == {"a": 2, "b": 0, "c": 1}
    late = [Fault(name, rank, "late", unstarted=True) for rank, name in enumerate("aabc")]
    assert left(list(late)) == {"a": 2, "b": 1, "c": 1}
    silent.add("c")
    assert left(list(late)) == {"a": 2, "b": 1, "c": 0}
    ended = Fault("b", 2, "silent for 9 s; the process is gone")
    assert left([ended]) == {"a": 2, "b": 1, "c": 0}  # seen before the loss of c, with which it ended
    silent.clear()
    with_it = [ended, Fault("c", 3, "the host does not answer", host_lost=True)]
    assert left(with_it, with_it) == {"a": 2, "b": 1, "c": 0}
    with pytest.raises(Stopped):
        left(*[Fault("c", 3, "killed")] * 10)


@pytest.mark.parametrize("went_on", [True, False])
def test_too_little_memory_for_those_that_are_left(tmp_path, monkeypatch, went_on):
    """What is too much for ranks that go on without a dead one is launched again, for all; else it is final."""
    monkeypatch.setattr(launch, "check_hosts", lambda *_: {})
    chief = supervisor.Supervisor(tmp_path, [hosts.Host("a", 3)], launch.Launcher(launch.OPEN_MPI, "/bin/false"),
                                  ranks=None, timeout_s=5, max_failures=0, common=[], quiet=True)
    ended = job.Outcome(4, [], (4, "memory: the work would need 3 GB"), "", went_on)
    with pytest.raises(Stopped if went_on else supervisor.GivenUp):
        chief._judge(chain.make_call("train", []), chief.listed, ended)
    assert chief.slots == {"a": 3} and chief.failures == went_on


def test_the_last_host_is_lost(tmp_path, monkeypatch):
    """When no host is left, all are asked again: those that are back take part, and without any the run stops."""
    from mpiedge.supervise.supervisor import Supervisor
    from mpiedge.supervise.watch import Fault

    listed = [hosts.Host("a", 2), hosts.Host("b", 1)]
    silent = {"a"}
    monkeypatch.setattr(launch, "check_hosts", lambda hosts, *_: {h.name: "mute" for h in hosts if h.name in silent})
    supervisor = Supervisor(tmp_path, listed, launch.Launcher(launch.OPEN_MPI, "/bin/false"), ranks=None, timeout_s=5,
                            max_failures=9, common=[], quiet=True)
    for name in "ab":
        supervisor._reduce(Fault(name, None, "mute", host_lost=True))
    assert supervisor._usable() == [hosts.Host("b", 1)]
    silent.add("b")
    supervisor._reduce(Fault("b", None, "mute", host_lost=True))
    with pytest.raises(Stopped, match="no host is left"):
        supervisor._usable()


def test_a_box_that_stood_still_waits_on_for_answers(monkeypatch):
    """Time in which the asking process itself was stopped is no silence of the host it asks."""
    asked_s = time.monotonic()
    stops = iter([60.0])

    def sleep(seconds: float) -> None:
        nonlocal asked_s
        asked_s += next(stops, seconds)

    monkeypatch.setattr(launch, "time", SimpleNamespace(monotonic=lambda: asked_s, sleep=sleep))
    began_s = asked_s
    monkeypatch.setenv(launch.AGENTS[0], "tail -f /dev/null")
    assert launch.ask({"far.away": ["/dev/null"]}, 5.0)["far.away"] == (None, "no answer within 5 s")
    assert 64 < asked_s - began_s < 66


AGENT = """\
#!/bin/sh
case $1 in
    down) exec sleep 60;;
    unknown) echo "ssh: Could not resolve hostname $1" >&2; exit 255;;
    older) echo "mpiedge 0.0.1";;
    bare) echo "ModuleNotFoundError: No module named 'mpiedge'" >&2; exit 1;;
    *) echo "mpiedge %s";;
esac
"""


def test_hosts_that_cannot_take_part_are_named(tmp_path, monkeypatch):
    """Down, unknown, with another version, without mpiedge: what is wrong with each is told together, in one wait."""
    (tmp_path / "agent").write_text(AGENT % __version__)
    (tmp_path / "agent").chmod(0o755)
    monkeypatch.setenv(launch.AGENTS[0], str(tmp_path / "agent"))
    names = ("down", "unknown", "older", "bare", "fine", "localhost")
    assert launch.check_hosts([hosts.Host(name, 1) for name in names], 2.0) == {
        "down": "no answer within 2 s",
        "unknown": "cannot start mpiedge there (ssh: Could not resolve hostname unknown)",
        "older": f"has mpiedge 0.0.1, this host has {__version__}",
        "bare": "cannot start mpiedge there (ModuleNotFoundError: No module named 'mpiedge')",
    }
    began_s = time.monotonic()
    known = [hosts.Host(name, 1) for name in ("down", "fine")]
    assert launch.check_hosts(known, 40.0, doubtful=frozenset(("down",))) == {"down": "still no answer"}
    assert time.monotonic() - began_s < 30  # as it was down before, it is not waited for in vain again
