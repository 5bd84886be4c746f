"""Every program explains itself without MPI, and the documentation matches the parsers."""

import argparse
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
from launching import load_pages

ROOT = Path(__file__).parent.parent
PROGRAMS = re.findall(r'"(\w+)"', re.search(r"programs = \((.+?)\)", (ROOT / "setup.py").read_text())[1])
HEAVY = {"mpi4py", "numpy", "h5py", "torch", "pandas", "scipy"}


def flags(program):
    """The long flags of a program's parser, --help left out."""
    page = importlib.import_module(f"mpiedge.commands.{program}").build_parser()
    actions = [action for action in page._actions if action.help is not argparse.SUPPRESS]
    return {name for action in actions for name in action.option_strings if name.startswith("--")} - {"--help"}


def common_flags():
    """The flags that all programs share."""
    from mpiedge import cli

    return {name for action in cli.parser("p", "s", examples="")._actions for name in action.option_strings
            if name.startswith("--")} - {"--help"}  # fmt: skip


def manual(section):
    """The text of one section of docs/commands.md."""
    text = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
    found = re.search(rf"^## {re.escape(section)}$(.*?)(?=^## |\Z)", text, re.M | re.S)
    assert found, f"docs/commands.md has no section {section}"
    return found[1]


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("flag", ["--help", "--version"])
def test_help_and_version_need_nothing(program, flag):
    """--help and --version answer with exit code 0 and import neither MPI nor anything heavy."""
    code = (
        f"import sys; from mpiedge.commands.{program} import main\n"
        f"try: main([{flag!r}])\n"
        "except SystemExit as end: assert end.code in (0, None), end.code\n"
        f"print('LOADED', *({HEAVY!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "LOADED"
    assert f"mpiedge-{program}" in done.stdout


@pytest.mark.parametrize("program", PROGRAMS)
def test_wrong_usage_is_one_line(program):
    """An unknown flag ends with exit code 2 and names itself."""
    done = subprocess.run(
        [sys.executable, "-m", f"mpiedge.commands.{program}", "--no-such-flag", "x.csv"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert "--no-such-flag" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("program", PROGRAMS)
def test_manual_names_every_flag(program):
    """docs/commands.md has a page for the program with exactly its own flags and the customary parts."""
    page = manual(f"mpiedge-{program}")
    documented = set(re.findall(r"(?<![\w-])--[a-z][\w-]*", page.split("### OPTIONS")[1].split("### FILES")[0]))
    assert documented - common_flags() == flags(program) - common_flags()
    titles = re.findall(r"^### (.+)$", page, re.M)
    assert titles == ["SYNOPSIS", "OPTIONS", "FILES", "EXIT CODES", "EXAMPLES"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_pages_are_those_of_the_parsers(program):
    """docs/programs has a page for each program, as `make docs` writes it now."""
    written = (ROOT / f"docs/programs/mpiedge-{program}.md").read_text("utf-8")
    assert written == load_pages().page(program), "run `make docs` (python docs/pages.py)"


def test_no_page_without_program():
    """A program that is gone leaves no page."""
    assert sorted(path.stem for path in (ROOT / "docs/programs").iterdir()) == sorted(
        f"mpiedge-{program}" for program in PROGRAMS)


def test_manual_names_the_common_flags():
    """The common flags are described once, in a section of their own."""
    documented = set(re.findall(r"^- `(?:-\w, )?(--[a-z-]+)", manual("Common options"), re.M))
    assert documented == common_flags()


@pytest.mark.parametrize("document", ["README.md", "docs/commands.md", "hostfiles", "bin"])
def test_examples_use_flags_that_exist(document):
    """Every flag in an example line of a document or script exists in the parser of its program."""
    path = ROOT / document
    files = [path] if path.is_file() else sorted(file for file in path.iterdir() if file.is_file())
    known = {program: flags(program) | {"--help"} for program in PROGRAMS}
    known["run"] = known["emulate"] = set().union(*known.values())  # it hands the flags of the stages on
    for file in files:
        for line in file.read_text(encoding="utf-8").splitlines():
            for program, rest in re.findall(r"mpiedge-(\w+)\b([^|`#]*)", line):
                if program in known:
                    wrong = set(re.findall(r"(?<![\w-])--[a-z][\w-]*", rest)) - known[program]
                    assert not wrong, f"{file.name}: {line.strip()}"


def test_readme_names_every_program():
    """The README has a word on each program."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [program for program in PROGRAMS if f"mpiedge-{program}" not in text] == []


def test_manual_names_every_variable():
    """Each MPIEDGE_ variable that the package or its scripts read is described, and no other."""
    sources = [*(ROOT / "mpiedge").rglob("*.py"), *(ROOT / "bin").iterdir()]
    used = {name for file in sources for name in re.findall(r"MPIEDGE_[A-Z]+\b", file.read_text(encoding="utf-8"))}
    assert set(re.findall(r"^- `(MPIEDGE_[A-Z]+)", manual("Environment"), re.M)) == used
