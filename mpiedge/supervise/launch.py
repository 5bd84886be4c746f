"""Command lines of the launchers, Open MPI, MPICH (Hydra) and Slurm; and a word with a host through the agent."""

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from mpiedge import __version__
from mpiedge.errors import EnvironmentProblem
from mpiedge.supervise.hosts import Host

OPEN_MPI, MPICH, SLURM = "Open MPI", "MPICH", "Slurm"
CALM = {  # as in bin/mpiedge-env.sh: more ranks than cores, cores shared out by mpiedge itself
    "PRTE_MCA_rmaps_default_mapping_policy": "slot:oversubscribe",
    "PRTE_MCA_hwloc_default_binding_policy": "none",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "OMPI_MCA_hwloc_base_binding_policy": "none",
    "OMPI_MCA_osc": "^ucx",
}
ROOT_MAY = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
AGENTS = ("PRTE_MCA_plm_ssh_agent", "OMPI_MCA_plm_rsh_agent", "HYDRA_LAUNCHER_EXEC")
ASK_POLL_S, LONGEST_STEP_S, LEAST_MORE_S = 0.05, 0.5, 0.5
"""Between two looks for answers. What lies between them beyond the second, this host stood still, and so did those that
answer if they are part of the same box: it does not count."""
FORWARDED = ("OMP_NUM_THREADS", "PYTHONPATH", "LD_LIBRARY_PATH")


@dataclass(frozen=True)
class Launcher:
    """A launcher that was found: its kind and the path of its program; outlives: whether it can leave the others alive
    when a rank dies."""

    kind: str
    path: str
    outlives: bool = False

    def command(self, hosts: list[Host], ranks: int, hostfile: Path, program: list[str], environment,
                in_place: bool = False) -> list[str]:
        """Local: the words that start `program` with `ranks` ranks on `hosts`; Slurm needs no hostfile.

        in_place: the program goes on by itself when a rank dies (runtime/recovery.py). Only on one host: when others
        are lost, or their links, Shrink may not return.
        """
        if self.kind == SLURM:
            names = ",".join(host.name for host in hosts)
            return [self.path, f"--ntasks={ranks}", f"--nodes={len(hosts)}", f"--nodelist={names}", "--overcommit",
                    "--kill-on-bad-exit=1", "--export=ALL", *program]
        if self.kind == MPICH:  # Hydra hands on the whole environment
            return [self.path, "-f", str(hostfile), "-n", str(ranks), *program]
        names = sorted(name for name in environment if name.startswith("MPIEDGE_") or name in FORWARDED)
        handed_on = [word for name in names for word in ("-x", name)]
        in_place &= self.outlives and ranks > 1 and [host.is_here for host in hosts] == [True]
        alive = ["--with-ft", "ulfm"] if in_place else []
        return [self.path, *alive, "--hostfile", str(hostfile), "-n", str(ranks), *handed_on, *program]


def find_launcher(in_allocation: bool = False) -> Launcher:
    """Local: srun in a Slurm allocation, else the mpirun beside this Python, else that of the PATH.

    Raises EnvironmentProblem when there is none.
    """
    if in_allocation and (srun := shutil.which("srun")):
        return Launcher(SLURM, srun)
    path = shutil.which("mpirun", path=os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", ""))))
    if path is None:
        raise EnvironmentProblem("mpirun", "there is none on the PATH", "Run `. bin/mpiedge-env.sh`, or bin/quickstart")
    said = subprocess.run([path, "--version"], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          env=launch_environment()).stdout
    version = re.search(r"\(Open MPI\) (\d+)\.", said)
    return Launcher(MPICH if "HYDRA" in said.upper() else OPEN_MPI, path, bool(version) and int(version[1]) >= 5)


def launch_environment(**more: str) -> dict[str, str]:
    """Local: this process's environment with the defaults mpirun needs; what is set already stays."""
    root = ROOT_MAY if os.geteuid() == 0 else {}
    return {**CALM, **root, **os.environ, **more}


def agent_words(wait_s: float) -> list[str]:
    """Local: the program that starts commands on other hosts: the one mpirun is told to use, else ssh."""
    for name in AGENTS:
        words = shlex.split(os.environ.get(name, "").split(" : ")[0])
        if words:
            return words
    # A host that is up takes the connection at once, however slow it is to answer then.
    return ["ssh", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={max(1, round(wait_s / 2))}"]


def ask(questions: dict[str, list[str]], wait_s: float, meanwhile=None,
        doubtful: frozenset[str] = frozenset()) -> dict[str, tuple[int | None, str]]:
    """Local: runs one command on each host at the same time; host -> (exit code, output), None after `wait_s`.

    meanwhile: called again and again, as beats want an answer during the wait too. doubtful: hosts that did not answer
    before: where there are others, they get little more than twice the time of these.
    """
    agent = agent_words(wait_s)
    running = {}
    for name, words in questions.items():
        command = words if Host(name, 1).is_here else [*agent, name, shlex.join(words)]
        try:
            running[name] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                             stderr=subprocess.STDOUT, text=True, errors="replace",
                                             start_new_session=True)
        except OSError as error:
            raise EnvironmentProblem(command[0], error.strerror or str(error), "Install it, or use one host") from error
    left_s, looked_s, sure = wait_s, time.monotonic(), running.keys() - doubtful
    while any(process.poll() is None for process in running.values()) and left_s > 0:
        if sure and all(running[name].poll() is not None for name in sure):
            left_s, sure = min(left_s, wait_s - left_s + LEAST_MORE_S), set()
        if meanwhile:
            meanwhile()
        time.sleep(ASK_POLL_S)
        now_s = time.monotonic()
        left_s, looked_s = left_s - min(now_s - looked_s, LONGEST_STEP_S), now_s
    answers = {}
    for name, process in running.items():
        if process.poll() is not None:
            answers[name] = process.returncode, process.communicate()[0].strip()
            continue
        answers[name] = None, "still no answer" if name in doubtful else f"no answer within {wait_s:g} s"
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.stdout.close()  # its other end may live on, on the host that does not answer
        process.wait()
    return answers


def check_hosts(hosts: list[Host], wait_s: float, meanwhile=None,
                doubtful: frozenset[str] = frozenset()) -> dict[str, str]:
    """Local: what is wrong with hosts, by name: no answer, no mpiedge there, or another version of it. See `ask`."""
    question = [sys.executable, "-c", "import mpiedge; print('mpiedge', mpiedge.__version__)"]
    faults = {}
    others = [host for host in hosts if not host.is_here]
    for name, (code, output) in ask({host.name: question for host in others}, wait_s, meanwhile, doubtful).items():
        last = output.splitlines()[-1] if output else f"exit code {code}"
        if code is None:
            faults[name] = last
        elif code or not last.startswith("mpiedge "):
            faults[name] = f"cannot start mpiedge there ({last[:120]})"
        elif last != f"mpiedge {__version__}":
            faults[name] = f"has {last}, this host has {__version__}"
    return faults


def process_state(host: str, pid: int, wait_s: float, meanwhile=None) -> str:
    """Local: the state of a process of a host (R, S, D, T...), "" when it is gone, "?" when the host is silent."""
    code, output = ask({host: ["cat", f"/proc/{pid}/stat"]}, wait_s, meanwhile)[host]
    if code is None or code == 255:
        return "?"
    return output.rpartition(")")[2].split()[0] if code == 0 and ")" in output else ""
