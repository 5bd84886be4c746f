"""A bare program in an empty place: the stages before it run first, on the demo data."""

from importlib import import_module

SHARED_FLAGS = ("run", "memory", "threads", "scratch", "progress", "trace", "verbose", "quiet")


def prepare_demo(args, world, stages: tuple[str, ...]) -> None:
    """Collective: where nothing was cleaned yet, `stages` run on the demo data; `args.run` names their run."""
    from mpiedge.runtime.root import on_root
    from mpiedge.store.run import choose_run

    folder, how_chosen = on_root(world, lambda: [str(part) for part in choose_run(args.run, "clean")])
    if how_chosen != "new":
        return
    args.run = folder
    for stage in stages:
        program = import_module(f"mpiedge.commands.{stage}")
        arguments = program.build_parser().parse_args([])
        for name in SHARED_FLAGS:
            setattr(arguments, name, getattr(args, name))
        program.run(arguments, world)
