"""mpiedge-doctor: what would break or slow a run on these hosts, and what to do about it."""

import sys

from mpiedge import cli

REACH_S = 180.0

DESCRIPTION = """\
Run it alone for this host, and under the mpirun line of the job for all of them. Checks the launcher against the MPI
library, versions on all hosts, torch (in a child process, before MPI starts), memory, swap, disk, cores against slots,
governor, throttling, heat, clocks, addresses and links (latency and bandwidth from rank 0 to each host), whether the
run folder is shared, locked and closed to others, and how fast the hosts are. What it measured is kept in hosts.json in
the folder of the runs: the first shares of later runs are dealt out by these speeds. Exit code 3 when something would
break a run; hosts that cannot reach each other end it after some minutes."""

EXAMPLES = """\
mpiedge-doctor
mpirun -hostfile hostfiles/pi.txt mpiedge-doctor --run results/mine
mpirun -hostfile hostfiles/pi.txt mpiedge-doctor --json > hosts.json"""


def build_parser():
    """The command line."""
    page = cli.parser("mpiedge-doctor", "Check the hosts before a run.", description=DESCRIPTION, examples=EXAMPLES)
    page.add_argument("--json", action="store_true", help="print facts, measures and findings as JSON")
    return page


def prepare(args) -> None:
    """Local: what needs child processes, before MPI starts; and a clock that ends a job whose ranks do not meet."""
    import os
    import threading

    from mpiedge.runtime import launcher
    from mpiedge.supervise import host_facts

    args.before = host_facts.before_mpi()

    limit_s = REACH_S + host_facts.TORCH_S  # another host may still try its torch

    def give_up() -> None:
        print(f"mpiedge-doctor: ranks: the hosts did not reach each other within {limit_s:.0f} s. Look for a firewall "
              "between them, or name their network: mpirun --mca btl_tcp_if_include 192.168.1.0/24 ...",
              file=sys.stderr, flush=True)
        os._exit(3)

    args.watch = threading.Timer(limit_s, give_up)
    args.watch.daemon = True
    if launcher.rank_hint() == 0:
        args.watch.start()


def run(args, world) -> None:
    """Collective: gathers the facts of all hosts, measures links and speed, judges on rank 0."""
    import json
    from pathlib import Path

    from mpiedge import __version__
    from mpiedge.errors import EnvironmentProblem
    from mpiedge.runtime import launcher
    from mpiedge.runtime.resources import format_size
    from mpiedge.runtime.root import on_root
    from mpiedge.store.run import RESULTS
    from mpiedge.supervise import doctor, host_facts, links

    folder = Path(args.run or RESULTS)
    facts = host_facts.gather(folder) | {"host": world.host, "library": launcher.mpi_library(), **args.before}
    gathered = world.allgather({"node": world.node, "facts": facts})
    hosts = {message["node"]: dict(message["facts"], ranks=[]) for message in reversed(gathered)}
    for rank, message in enumerate(gathered):
        hosts[message["node"]]["ranks"].append(rank)
        hosts[message["node"]] |= {key: message["facts"][key] for key in host_facts.BEFORE if key in message["facts"]}
    hosts = [hosts[node] for node in sorted(hosts)]
    measured = links.ping(world)
    sees = links.sees_folder(world, Path(hosts[0]["folder"]["path"]))
    args.watch.cancel()
    world.barrier()
    speeds = world.allgather({"host": world.host, "speed": host_facts.speed()})
    job = {"library": facts["library"], "launched": launcher.launched(), "size": world.size,
           "size_hint": launcher.size_hint(), "links": measured, "sees": sees, "speeds": speeds}
    findings = doctor.examine(hosts, world.bcast(job if world.is_root else None))
    kept = on_root(world, lambda: keep_profile(folder if args.run else folder / "run", hosts, job))
    broken = [finding for finding in findings if finding.level == doctor.BREAKS]
    warned = [finding for finding in findings if finding.level == doctor.WARNS]
    if world.is_root and args.json:
        print(json.dumps({"mpiedge": __version__, "hosts": hosts, "job": job,
                          "findings": [vars(finding) for finding in findings]}, indent=1))
    elif world.is_root and not args.quiet:
        print(f"mpiedge-doctor {__version__} | ranks: {world.size}, hosts: {len(hosts)} | {facts['library']}")
        for host in hosts:
            print(f"host    {host['host']}: {host['processor']}, {host['cores']} cores, "
                  f"{format_size(host['memory_bytes'])}, ranks {', '.join(map(str, host['ranks']))}")
        for finding in findings:
            remedy = f". {finding.remedy}" if finding.remedy else ""
            print(f"{finding.level:7} {finding.check}: {finding.text}{remedy}")
        print(f"files   {kept}" if kept else "files   none: the measures could not be kept")
        print(f"done    would break a run: {len(broken)}, warnings: {len(warned)}")
    if broken:
        error = EnvironmentProblem(broken[0].check, broken[0].text, broken[0].remedy)
        error.everywhere = True
        raise error


def keep_profile(run, hosts: list[dict], job: dict) -> str | None:
    """Local: writes what later runs may start from; the path, or None where it cannot be written."""
    from mpiedge.errors import MpiedgeError
    from mpiedge.store import host_profile
    from mpiedge.supervise import doctor

    try:
        return str(host_profile.update(run, doctor.profile(hosts, job)))
    except (OSError, MpiedgeError):
        return None


def main(argv: list[str] | None = None) -> int:
    """Entry point of mpiedge-doctor."""
    return cli.main(build_parser(), run, argv, before=prepare)


if __name__ == "__main__":
    sys.exit(main())
