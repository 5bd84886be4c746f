"""The repository keeps its promises: scripts parse, hostfiles agree, floors hold, the README's lines run."""

import ast
import os
import re
import subprocess
from pathlib import Path

import pytest

import mpiedge

ROOT = Path(__file__).parent.parent
SCRIPTS = ["bin/quickstart", "bin/test", "bin/pipeline.sh", ".ci/run"]
SOURCED = ["bin/install.sh", "bin/mpiedge-env.sh"]
HOSTFILES = ["local", "pi", "commodity", "server"]
SOURCES = sorted((ROOT / "mpiedge").rglob("*.py"))

# A file imports only from floors below its own, and from its own folder. The models know nothing of ranks.
FLOORS = {
    "errors": 0, "kernels": 1, "runtime": 2, "store": 3, "stage": 4, "cli": 4,
    "supervise": 5, "report": 5, "demo": 5, "models": 5,
    "graph": 6, "cleaning": 6, "profiling": 6, "training": 7, "commands": 8,
}  # fmt: skip
WITHOUT_TORCH = (
    "cleaning", "profiling", "report", "demo", "store", "runtime", "kernels", "graph", "stage", "cli", "errors",
)  # fmt: skip


def imports(path):
    """(imported module, whether at the top of the file) of every import in a source file, in absolute form."""
    package = list(path.relative_to(ROOT).parent.parts)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield name.name, node in tree.body
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join(base + ([node.module] if node.module else []))
            for name in node.names if module == "mpiedge" else [None]:
                yield f"{module}.{name.name}" if name else module, node in tree.body


def room(path):
    """The folder of the package a file belongs to, or the file itself at the top."""
    parts = path.relative_to(ROOT / "mpiedge").with_suffix("").parts
    return parts[0]


@pytest.mark.parametrize("script", SCRIPTS + SOURCED)
def test_scripts_parse(script):
    """bash accepts every script; those to be run are executable and begin with a shebang."""
    path = ROOT / script
    subprocess.run(["bash", "-n", path], check=True)
    if script in SCRIPTS:
        assert os.access(path, os.X_OK) and path.read_text().startswith("#!")


def hosts(name):
    """[(host, ranks)] of a hostfile, in either form."""
    found = []
    for line in (ROOT / "hostfiles" / name).read_text().splitlines():
        line = line.split("#")[0].strip()
        if line:
            match = re.fullmatch(r"([\w.-]+)(?:\s+slots=|:)(\d+)", line)
            assert match, f"{name}: {line}"
            found.append((match[1], int(match[2])))
    return found


@pytest.mark.parametrize("name", HOSTFILES)
def test_hostfiles_agree(name):
    """Both forms of a hostfile name the same hosts and ranks, each once, and tell the line that uses them."""
    assert hosts(f"{name}.txt") == hosts(f"{name}.mpich.txt")
    assert len(dict(hosts(f"{name}.txt"))) == len(hosts(f"{name}.txt"))
    ranks = sum(count for _, count in hosts(f"{name}.txt"))
    assert f"mpirun -hostfile hostfiles/{name}.txt mpiedge-" in (ROOT / f"hostfiles/{name}.txt").read_text()
    assert f"mpirun -f hostfiles/{name}.mpich.txt -n {ranks} mpiedge-" in (
        ROOT / f"hostfiles/{name}.mpich.txt"
    ).read_text()


def test_every_program_has_a_command():
    """Each console script in setup.py points to a command with build_parser, run and main."""
    programs = re.search(r"programs = \((.+?)\)", (ROOT / "setup.py").read_text())[1]
    for program in re.findall(r'"(\w+)"', programs):
        tree = ast.parse((ROOT / f"mpiedge/commands/{program}.py").read_text(encoding="utf-8"))
        defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert {"build_parser", "run", "main"} <= defined


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_source_file(path):
    """A source file keeps to its floor, has a docstring and at most 500 lines, and pickles nothing."""
    text = path.read_text(encoding="utf-8")
    own = room(path)
    for module, _ in imports(path):
        other = module.split(".")[1] if module.startswith("mpiedge.") else None
        if other in FLOORS and own in FLOORS and other != own:
            assert FLOORS[other] < FLOORS[own], f"{path.relative_to(ROOT)} imports {module}"
    assert len(text.splitlines()) <= 500
    if path.name != "__init__.py" or text.strip():
        assert ast.get_docstring(ast.parse(text)), "no docstring"
    if own != "graph" or path.name != "pickles.py":  # it reads a foreign format with a restricted unpickler
        assert not {"pickle", "marshal", "shelve", "dill"} & {module for module, _ in imports(path)}
    for word in ("torch.load(", "allow_pickle=True", "shell=True", "TODO", "FIXME", "NotImplementedError"):
        assert word not in text


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_torch_stays_upstairs(path):
    """Only models, training and the bodies of train and predict import torch; commands import nothing heavy on top."""
    for module, at_top in imports(path):
        package = module.split(".")[0]
        if room(path) in WITHOUT_TORCH:
            assert package != "torch"
        if room(path) == "commands" and at_top:
            assert package not in ("torch", "numpy", "h5py", "mpi4py", "pandas", "scipy")


def test_license_is_whole():
    """LICENSE is the Apache License 2.0 from its title to its appendix, and setup.py names it."""
    text = (ROOT / "LICENSE").read_text()
    assert len(text.splitlines()) == 202
    assert "Version 2.0, January 2004" in text and "END OF TERMS AND CONDITIONS" in text and "APPENDIX" in text
    assert 'license="Apache-2.0"' in (ROOT / "setup.py").read_text()


def test_dependencies_have_reasons():
    """Every package in setup.py has a line in docs/dependencies.md."""
    text = (ROOT / "setup.py").read_text()
    block = text[text.index("install_requires") : text.index("entry_points")]
    reasons = (ROOT / "docs/dependencies.md").read_text()
    packages = re.findall(r'"([A-Za-z][\w-]*)[<>=]', block)
    assert len(packages) > 10
    assert [package for package in packages if package not in reasons] == []


def test_readme_tree_is_true():
    """Every path in the README's file tree exists, and every folder and file at the top is in it."""
    tree = re.search(r"## Files.*?```\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)[1]
    paths = [line.split()[0].rstrip("/") for line in tree.splitlines() if line.strip()]
    assert [path for path in paths if not (ROOT / path).exists()] == []
    tracked = subprocess.run(["git", "-C", ROOT, "ls-files"], capture_output=True, text=True)
    if tracked.returncode == 0:
        top = {line.split("/")[0] for line in tracked.stdout.splitlines()}
        assert top - {path.split("/")[0] for path in paths} == set()


def test_readme_links_lead_somewhere():
    """Relative links in the documents point to files that exist."""
    for document in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_version_is_one():
    """The version of the package is a plain x.y.z."""
    assert re.fullmatch(r"\d+\.\d+\.\d+", mpiedge.__version__)


def test_local_hostfile_starts_two_ranks(mpirun, tmp_path):
    """`mpirun -hostfile hostfiles/local.txt` starts two ranks, and the demo data is that of one rank."""
    hostfile = ROOT / "hostfiles/local.txt"
    code = "from mpi4py import MPI; print(MPI.COMM_WORLD.size)"
    done = mpirun(0, "mpirun", "-hostfile", hostfile, "python", "-c", code)
    if "Hydra" in mpirun(0, "mpirun", "--version").stdout:
        pytest.skip("MPICH reads the other form")
    assert done.returncode == 0 and done.stdout.split() == ["2", "2"]
    two = mpirun(0, "mpirun", "-hostfile", hostfile, "mpiedge-demo", "--rows", 300, "--out", tmp_path / "two")
    one = mpirun(0, "mpiedge-demo", "--rows", 300, "--out", tmp_path / "one")
    assert two.returncode == one.returncode == 0
    assert two.stdout.count("demo ") == 1
    for file in ("papers.csv", "cites.csv", "truth/cells.csv"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_environment_keeps_what_is_set():
    """Sourcing bin/mpiedge-env.sh from anywhere puts .venv first and leaves the user's own settings alone."""
    command = (
        f'export OMPI_MCA_osc=mine; . "{ROOT}/bin/mpiedge-env.sh"; . "{ROOT}/bin/mpiedge-env.sh"; '
        'echo "$OMPI_MCA_osc $PRTE_MCA_hwloc_default_binding_policy ${PATH%%:*}"; echo "$PATH"'
    )
    environment = {"PATH": "/usr/bin:/bin"}
    done = subprocess.run(["bash", "-c", command], env=environment, cwd="/", capture_output=True, text=True, check=True)
    first, path = done.stdout.splitlines()
    assert first == f"mine none {ROOT}/.venv/bin"
    assert path.count(".venv/bin") == 1
