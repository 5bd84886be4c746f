"""Profiles of tables; of pandas data frames by `discover_fds`, `discover_uccs`, `discover_inds` and `profile`."""

FOR_FRAMES = ("discover_fds", "discover_inds", "discover_uccs", "profile")


def __getattr__(name: str):
    """The functions for data frames, imported when they are first asked for: the programs never need pandas."""
    if name in FOR_FRAMES:
        from mpiedge.profiling import frames

        return getattr(frames, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *FOR_FRAMES])
