"""Cleaning of tables; of pandas data frames by `clean`."""

FOR_FRAMES = ("Cleaned", "clean")


def __getattr__(name: str):
    """The functions for data frames, imported when they are first asked for: the program itself never needs pandas."""
    if name in FOR_FRAMES:
        from mpiedge.cleaning import frames

        return getattr(frames, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *FOR_FRAMES])
