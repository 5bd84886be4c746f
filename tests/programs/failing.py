"""A program that fails on purpose: `failing.py WHAT RANK`, launched by test_errors.py under mpirun."""

import sys

import numpy as np

from mpiedge import cli, errors
from mpiedge.runtime import launcher
from mpiedge.runtime.root import on_root


def run(args, world):
    """Rank `args.rank` fails in the way asked for while the others wait in a collective call or in the queue."""
    def fail():
        if args.what == "input":
            raise errors.InputError("papers.csv", "line 7 has 3 cells instead of 4", "Run mpiedge-clean")
        if args.what == "memory":
            raise MemoryError
        if args.what == "exit":
            sys.exit(3)
        raise ValueError("a defect")

    if args.what == "root":
        on_root(world, lambda: (_ for _ in ()).throw(errors.MemoryPlanError("plan", "too much", "Use less")))
    if args.what == "root-defect":
        on_root(world, fail)
    if args.what == "served":
        from mpiedge.runtime.mail import Mail
        from mpiedge.runtime.queue import Queue

        mail = Mail(world)
        mail.handle("ask", lambda source, message: fail())  # rank 0 fails while it answers, the others wait for that
        Queue(world, mail).run([(task,) for task in range(8)], lambda task: mail.request(0, "ask"))
    if args.rank in (world.rank, -1):
        fail()
    if args.what == "queue":
        from mpiedge.runtime.mail import Mail
        from mpiedge.runtime.queue import Queue

        Queue(world, Mail(world)).run([(task,) for task in range(8)], lambda task: {"x": np.zeros(1)})
    world.barrier()


if __name__ == "__main__":
    page = cli.parser("failing", "Fails on purpose.", examples="failing input 1")
    page.add_argument("what")
    page.add_argument("rank", type=int)
    if sys.argv[1] == "import" and launcher.rank_hint() == int(sys.argv[-1]):
        sys.modules["psutil"] = None  # a host without one of the packages
    cli.main(page, run)
