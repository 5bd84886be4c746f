"""mpiedge-emulate: a cluster of unequal hosts on one Linux box, to try a hostfile and its faults."""

import sys

from mpiedge import cli
from mpiedge.errors import UsageError

ORDERS = ("kill", "cut", "freeze", "slow", "mend", "list")

DESCRIPTION = """\
Makes one emulated host for each line of the hostfile and runs COMMAND on the console `head` of that cluster; with
--private, on the first host. mpirun and mpiedge-run reach the hosts through an emulated ssh, without any flag. Cores,
speed, memory and links come from a small TOML profile and are scaled down to what this box has; by how much is printed.
While it runs, from another terminal: kill HOST (power off), cut HOST (pull the cable; `in` or `out` after it: in that
direction only), freeze HOST (stop every process), slow HOST 4x, mend HOST (undo; a dead host starts again), list. Where
several clusters are up, --cluster says which one is meant. Root is needed. What was made is removed at the end; after
kill -9 by the next start or by `mpiedge-emulate clean`. No measurement of it is one of real hosts: every line it prints
begins with "emulated", and so does the cluster's name in timings.csv."""

EXAMPLES = """\
mpiedge-emulate hostfiles/pi.txt --profile pi -- mpirun -hostfile hostfiles/pi.txt mpiedge-profile adult.csv
mpiedge-emulate hostfiles/pi.txt -- mpiedge-run --hostfile hostfiles/pi.txt --run results/a profile adult.csv
mpiedge-emulate kill pi4-3
mpiedge-emulate slow pi4-2 4x
mpiedge-emulate clean"""


def build_parser():
    """The command line, up to the -- before COMMAND."""
    page = cli.parser("mpiedge-emulate", "A cluster of unequal hosts on this Linux box.",
                      description=DESCRIPTION, examples=EXAMPLES)
    page.usage = ("mpiedge-emulate HOSTFILE [--profile NAME] [--private DIR]... -- COMMAND...\n"
                  "       mpiedge-emulate [--cluster TOKEN] kill|freeze|mend HOST | cut HOST [in|out] | "
                  "slow HOST 4x | list\n"
                  "       mpiedge-emulate clean")
    page.add_argument("words", nargs="+", metavar="HOSTFILE", help="a hostfile; or an order: see above")
    page.add_argument("--profile", metavar="NAME", help="pi, commodity, server or a TOML file "
                      "(default: that of the hostfile's name)")
    page.add_argument("--private", action="append", default=[], metavar="DIR",
                      help="each host but the first has an empty DIR of its own, as without a shared folder")
    page.add_argument("--cluster", metavar="TOKEN", help="the cluster an order is for, by the token it was started "
                      "with (default: the only one)")
    page.set_defaults(command=[])
    return page


def run(args) -> int:
    """Local: an order to a cluster that runs, or a cluster around a command."""
    from pathlib import Path

    from mpiedge.supervise import cluster, emulation

    verb = args.words[0]
    if verb in ORDERS and not args.command:
        print(f"emulated: {emulation.send_order(args.words, args.cluster)}")
        return 0
    cluster.check_box()
    if args.words == ["clean"] and not args.command:
        print(f"emulated: {cluster.sweep()} clusters that were left behind are removed")
        return 0
    if len(args.words) > 1 or not args.command:
        raise UsageError("mpiedge-emulate", "a hostfile, -- and a command are needed",
                         "Write for example: mpiedge-emulate hostfiles/pi.txt --profile pi -- mpirun ...")
    profile = args.profile or Path(verb).name.split(".")[0]
    return emulation.emulate(verb, profile, args.private, args.command, args.quiet)


def main(argv: list[str] | None = None) -> int:
    """Entry point of mpiedge-emulate."""
    words = sys.argv[1:] if argv is None else argv
    page = build_parser()
    if "--" in words:
        at = words.index("--")
        page.set_defaults(command=words[at + 1 :])
        words = words[:at]
    return cli.main(page, run, words, alone=True)


if __name__ == "__main__":
    sys.exit(main())
