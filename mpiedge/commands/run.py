"""mpiedge-run: a chain of stages under a supervisor that survives dying hosts."""

import argparse
import os
import sys
from pathlib import Path

from mpiedge import cli
from mpiedge.errors import UsageError

DEFAULT_TIMEOUT_S = 8.0
DEFAULT_FAILURES = 5

DESCRIPTION = """\
Launches mpirun for each stage and watches signs of life of every rank. A rank or host that dies, hangs or is cut off is
named and set aside, and the stage is launched again on what is left: train goes on from its checkpoint. A host that is
back takes part again from the next stage on. A stage is done when its manifest is committed; complete stages with the
same arguments and inputs are skipped, so the same line again resumes, also after the supervisor itself was stopped.
Common flags before the first STAGE are given to all stages. In a Slurm allocation without --hostfile, srun is used.
Instead of stages, one TOML file may be named: [[stage]] entries with name = "clean" and arguments = ["papers.csv"].
What was seen and done is written to supervisor.log and decisions.csv in the run folder."""

EXAMPLES = """\
mpiedge-run --hostfile hostfiles/pi.txt --run results/a clean papers.csv cites.csv -- profile -- train --label area
mpiedge-run -n 2 --run results/b --timeout 20 profile adult.csv
mpiedge-run --hostfile hostfiles/pi.txt --run results/c chain.toml"""


def build_parser():
    """The command line."""
    page = cli.parser("mpiedge-run", "Run stages one after the other, whatever dies meanwhile.",
                      description=DESCRIPTION, examples=EXAMPLES)
    page.usage = "mpiedge-run [options] --run DIR STAGE ARGS... [-- STAGE ARGS...]..."
    page.add_argument("--hostfile", metavar="FILE", help="the hosts, in Open MPI's form or MPICH's (default: this one)")
    page.add_argument("-n", "--ranks", type=int, metavar="RANKS",
                      help="ranks to start at most (default: all slots of the hosts; this host alone: its cores)")
    page.add_argument("--timeout", type=float, default=DEFAULT_TIMEOUT_S, metavar="SECONDS",
                      help=f"silence after which a rank counts as lost (default {DEFAULT_TIMEOUT_S:g})")
    page.add_argument("--max-failures", type=int, default=DEFAULT_FAILURES, metavar="K",
                      help=f"give up, with exit code 75, after more than K faults (default {DEFAULT_FAILURES})")
    page.add_argument("chain", nargs=argparse.REMAINDER, metavar="STAGE ARGS",
                      help="clean, profile, train or predict with their arguments; -- between two stages")
    return page


def run(args) -> int:
    """Local: reads the chain, finds hosts and launcher, supervises to the end."""
    from mpiedge.supervise import hosts, launch
    from mpiedge.supervise.chain import read_chain
    from mpiedge.supervise.supervisor import Supervisor

    folder = args.run or os.environ.get("MPIEDGE_RUN")
    if not folder:
        raise UsageError("--run", "is missing", "Name the run folder, so that the same line again can resume")
    if not 0.5 <= args.timeout < 1e6 or args.max_failures < 0 or (args.ranks is not None and args.ranks < 1):
        raise UsageError("--timeout, --max-failures, -n", "one of them makes no sense",
                         "Give at least 0.5 seconds, 0 faults and 1 rank")
    calls = read_chain(args.chain)
    if args.hostfile:
        found = hosts.read_hostfile(args.hostfile)
        os.environ.setdefault("MPIEDGE_CLUSTER", Path(args.hostfile).stem)
    else:
        found = hosts.slurm_hosts() or [hosts.Host("localhost", args.ranks or len(os.sched_getaffinity(0)))]
    launcher = launch.find_launcher(in_allocation=not args.hostfile and len(hosts.slurm_hosts()) > 0)
    supervisor = Supervisor(
        Path(folder), hosts.own_host_first(found), launcher, ranks=args.ranks, timeout_s=args.timeout,
        max_failures=args.max_failures, common=common_flags(args), quiet=args.quiet)
    return supervisor.run_chain(calls)


def common_flags(args) -> list[str]:
    """The common flags that were given, as words for every stage."""
    words = []
    for name, default in (("seed", 0), ("memory", None), ("threads", None), ("scratch", None), ("progress", None)):
        if getattr(args, name) != default:
            words += [f"--{name}", str(getattr(args, name))]
    return words + [f"--{name}" for name in ("trace", "verbose", "quiet") if getattr(args, name)]


def main(argv: list[str] | None = None) -> int:
    """Entry point of mpiedge-run."""
    return cli.main(build_parser(), run, argv, alone=True)


if __name__ == "__main__":
    sys.exit(main())
