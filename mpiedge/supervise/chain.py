"""A chain of stages: read from words or a TOML file, and what of it is complete in a run folder."""

import json
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

from mpiedge.errors import InputError, StoreError, UsageError
from mpiedge.store.layout import RUN_FILE
from mpiedge.store.run import read_manifest

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

STAGES = ("clean", "profile", "train", "predict")
OUTPUTS = ("-o", "--output")
EXAMPLE = "clean papers.csv -- profile -- train --label area"


@dataclass(frozen=True)
class Call:
    """One stage of the chain: its program and arguments; folder: where in the run its manifest lies."""

    stage: str
    arguments: tuple[str, ...]
    folder: str = field(default="")

    def program(self, python: str, run: Path, common: list[str]) -> list[str]:
        """Local: the words that start one rank of it."""
        return [python, "-m", f"mpiedge.commands.{self.stage}", *self.arguments, *common, "--run", str(run)]

    def inputs(self) -> dict[str, list[int]]:
        """Local: size and time of change of the arguments that are files or folders of files, by path."""
        named = [Path(word) for before, word in zip(("", *self.arguments), self.arguments) if before not in OUTPUTS]
        paths = [path for one in named for path in ([one] if one.is_file() else sorted(one.glob("*")))]
        return {str(path): [path.stat().st_size, path.stat().st_mtime_ns] for path in paths if path.is_file()}

    def about(self) -> dict:
        """Local: what must agree for a committed manifest to be that of this call."""
        return {"arguments": list(self.arguments), "inputs": self.inputs()}


def read_chain(words: list[str]) -> list[Call]:
    """Local: the calls of `STAGE ARGS... [-- STAGE ARGS...]...`, or of the one TOML file named. Raises UsageError."""
    if len(words) == 1 and words[0].endswith(".toml"):
        return [make_call(stage, arguments) for stage, arguments in read_toml(words[0])]
    calls: list[list[str]] = [[]]
    for word in words:
        if word == "--":
            calls.append([])
        else:
            calls[-1].append(word)
    calls = [call for call in calls if call]
    if not calls:
        raise UsageError("STAGE", "no stage is given", f"Write for example: mpiedge-run --run results/a {EXAMPLE}")
    return [make_call(call[0].removeprefix("mpiedge-"), call[1:]) for call in calls]


def make_call(stage: str, arguments: list[str]) -> Call:
    """Local: a call whose arguments the stage's own parser accepts. Raises UsageError; argparse ends with code 2."""
    if stage not in STAGES:
        raise UsageError(stage, "is no stage", f"There are {', '.join(STAGES)}, with -- between two of them")
    for flag, why in (("--run", "is given once, before the first stage"), ("--dry-run", "leaves nothing to supervise")):
        if any(word == flag or word.startswith(flag + "=") for word in arguments):
            raise UsageError(flag, why, f"Leave it out after {stage}")
    args = import_module(f"mpiedge.commands.{stage}").build_parser().parse_args(arguments)
    return Call(stage, tuple(arguments), "verify" if getattr(args, "verify", None) else stage)


def read_toml(path: str) -> list[tuple[str, list[str]]]:
    """Local: (stage, arguments) of a TOML file with `[[stage]]` entries: `name` and `arguments`. Raises InputError."""
    try:
        content = tomllib.loads(Path(path).read_text("utf-8"))
        if not all(isinstance(entry.get("arguments", []), list) for entry in content["stage"]):
            raise TypeError("arguments are no list")
        return [(entry["name"], [str(word) for word in entry.get("arguments", [])]) for entry in content["stage"]]
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError, AttributeError) as error:
        why = getattr(error, "strerror", None) or " ".join(str(error).split())
        cause = f"cannot be read as a chain of stages ({why})"
        raise InputError(path, cause, 'Write [[stage]] with name = "clean" and arguments = ["papers.csv"]') from error


def is_committed(run: Path, call: Call, record: dict) -> bool:
    """Local: whether the manifest of a call's stage is there and was written by a job of the recorded attempts.

    record: the entry of supervisor.json: what the stage was started with, and the names of its jobs.
    """
    if not record or {name: record.get(name) for name in ("arguments", "inputs")} != call.about():
        return False
    try:
        read_manifest(run, call.folder)
        started = json.loads((run / RUN_FILE).read_bytes())[call.folder]
    except (StoreError, OSError, ValueError, KeyError, TypeError):
        return False
    return isinstance(started, dict) and started.get("job") in record.get("jobs", [])
