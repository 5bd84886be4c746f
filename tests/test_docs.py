"""The documentation says what the programs are: pages from the parsers, command lines that parse, links that lead."""

import re
import shlex
from pathlib import Path

import pytest
from launching import load_pages

ROOT = Path(__file__).parent.parent
GUIDES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PROMPTS = ("$ ", "# ")


pages = load_pages()


def command_lines(path):
    """The lines in code blocks and code words of a file that call a program with its arguments, synopses left out."""
    text = path.read_text("utf-8")
    blocks = [line for block in re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S) for line in block.splitlines()]
    words = re.findall(r"`([^`\n]+ [^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))
    for line in [*blocks, *words]:
        line = line.strip()
        for prompt in PROMPTS:
            line = line.removeprefix(prompt)
        call = re.match(r"(?:(?:mpirun|mpiedge-emulate)\b.*? (?:-- )?)?(?:bin/)?mpiedge-(\w+)( .*)?$", line)
        synopsis = re.search(r"\[|\.\.\.|[|<]| STAGE|RUN RUN", line)
        if call and not synopsis and not re.match(r"mpiedge-\w+ \d", line):
            yield line, call[1], re.split(r" # | > ", call[2] or "")[0]


@pytest.mark.parametrize("path", [*GUIDES, *sorted((ROOT / "docs/programs").glob("*.md"))],
                         ids=lambda path: str(path.relative_to(ROOT)))
def test_command_lines_parse(path):
    """Each command line is accepted by the parser of its program."""
    from mpiedge.supervise import deploy

    for line, program, rest in command_lines(path):
        if program in pages.programs():
            parser = pages.parser(program)
        else:
            assert program == "deploy", line
            parser = deploy.build_parser()
        try:
            parser.parse_args(shlex.split(rest))
        except SystemExit as end:
            assert not end.code, f"{path.name}: {line}"


def test_the_tutorial_has_the_whole_way():
    """Every stage, the installation, the checks and the report occur as lines to type."""
    lines = [program for _, program, _ in command_lines(ROOT / "docs/tutorial.md")]
    order = ["deploy", "doctor", "clean", "profile", "train", "predict", "report", "run"]
    assert [program for program in dict.fromkeys(lines) if program in order] == order


@pytest.mark.parametrize("path", [*GUIDES, ROOT / "results/README.md"], ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    """Links to files of the project, with the heading they name, and paths of scripts and sources in code words."""
    text = path.read_text("utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text):
        name, _, heading = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        assert file.exists(), target
        if heading:
            titles = re.findall(r"^#+ (.+)$", file.read_text("utf-8"), re.M)
            assert heading in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}, target
    for name in re.findall(r"`((?:bin|hostfiles|mpiedge|tests|benchmarks)/[\w./-]+\.\w+)`", text):
        assert (ROOT / name).exists(), name


def test_what_security_promises():
    """No program is started through a shell, only the restricted reader unpickles, no code is evaluated."""
    forbidden = re.compile(r"shell=True|os\.system\(|\beval\(|(?<![\w.])exec\(|torch\.load|allow_pickle=True"
                           r"|import pickle\b|from pickle|marshal|yaml")
    found = {str(path.relative_to(ROOT)) for path in (ROOT / "mpiedge").rglob("*.py")
             if forbidden.search(path.read_text("utf-8"))}
    assert found == {"mpiedge/graph/pickles.py"}
