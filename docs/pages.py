"""Writes docs/programs/: a page for each program, made of its parser alone. `make docs` runs it."""

import argparse
import importlib
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs/programs"


def programs() -> list[str]:
    """The programs that setup.py installs, without the common part of their names."""
    return re.findall(r'"(\w+)"', re.search(r"programs = \((.+?)\)", (ROOT / "setup.py").read_text())[1])


def parser(program: str) -> argparse.ArgumentParser:
    """The parser of a program."""
    return importlib.import_module(f"mpiedge.commands.{program}").build_parser()


def page(program: str) -> str:
    """A page in Markdown: what it is, how it is called, every flag with its default, examples."""
    own = parser(program)
    summary, _, description = own.description.partition("\n\n")
    examples = re.search(r"examples:\n(.*?)\n\n", own.epilog, re.S)[1]
    parts = [f"# {own.prog}", summary, f"```\n{synopsis(own)}\n```"]
    parts += [description] if description else []
    for group in own._action_groups:
        lines = [option(action) for action in group._group_actions if action.help is not argparse.SUPPRESS]
        lines = [line for line in lines if line and not line.startswith("- `-h")]
        if lines:
            title = {"options": "Options", "positional arguments": "Arguments", "common options": "Common options"}
            parts += [f"## {title.get(group.title, str(group.title).capitalize())}"]
            parts += [group.description] if group.description else []
            parts += ["\n".join(lines)]
    code = "\n".join(line.strip() for line in examples.splitlines())
    parts += ["## Examples", f"```\n{code}\n```"]
    parts += [f"[The manual](../commands.md#{own.prog}) says more, also of [exit codes](../commands.md#exit-codes)."]
    return "\n\n".join(parts) + "\n"


def synopsis(own: argparse.ArgumentParser) -> str:
    """One line: the usage a parser gives itself, else its arguments."""
    if own.usage:
        return "\n".join(line.strip() for line in own.usage.splitlines())
    words = []
    for action in own._actions:
        if not action.option_strings and action.help is not argparse.SUPPRESS:
            name = metavar(action)
            words.append({"*": f"[{name} ...]", "+": f"{name} [{name} ...]", "?": f"[{name}]"}.get(action.nargs, name))
    return " ".join([own.prog, *words, "[options]"])


def option(action: argparse.Action) -> str:
    """A line of the list: flags, what they take, what they do."""
    value = "" if action.nargs == 0 else f" {metavar(action)}"
    names = ", ".join(action.option_strings) + value if action.option_strings else metavar(action)
    words = (action.help or "").replace("%(default)s", str(action.default)).replace("%%", "%")
    return f"- `{names}`: {words}" if action.help else ""


def metavar(action: argparse.Action) -> str:
    """The name of a value."""
    if isinstance(action.metavar, tuple):
        return " ".join(action.metavar)
    return action.metavar or ("|".join(map(str, action.choices)) if action.choices else action.dest.upper())


def main() -> None:
    """Writes all pages."""
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.md"):
        old.unlink()
    for program in programs():
        (FOLDER / f"mpiedge-{program}.md").write_text(page(program), encoding="utf-8")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
