"""What every program shares: flags, one `main`, and the single place where errors become a line and an exit code."""

import argparse
import contextlib
import copy
import os
import socket
import sys
import time
import traceback

from mpiedge import __version__
from mpiedge.errors import MpiedgeError, UsageError, remedy_for
from mpiedge.runtime import heartbeat, launcher

EXIT_CODES = """\
exit codes:
  0  done
  1  failed
  2  wrong usage
  3  bad input, store or environment
  4  would not fit the memory budget
  75 stopped with the work saved: run it again to go on
"""

USAGE_GRACE_S = 2.0
LARGEST_SEED = 2**63 - 1


def parser(program: str, summary: str, *, examples: str, description: str = "") -> argparse.ArgumentParser:
    """A parser with the common flags, and a help page with examples and exit codes."""
    page = argparse.ArgumentParser(
        prog=program,
        description=f"{summary}\n\n{description}".strip(),
        epilog=f"examples:\n{_indent(examples)}\n\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    common = page.add_argument_group("common options")
    common.add_argument("--run", metavar="DIR",
                        help="run folder (default: $MPIEDGE_RUN, else the newest usable in results/)")
    common.add_argument("--seed", type=int, default=0, metavar="N", help="seed of everything random (default 0)")
    common.add_argument("--memory", metavar="SIZE",
                        help="budget per rank, such as 300MB, 1.5G or 50%% (default: 70%% of the free memory, shared)")
    common.add_argument("--threads", type=int, metavar="N",
                        help="threads per rank (default: the host's cores shared by its ranks)")
    common.add_argument("--scratch", metavar="DIR", help="folder for temporary files (default: inside the run folder)")
    common.add_argument("--progress", type=float, metavar="SECONDS",
                        help="time between progress lines, also into a log file (0: none; default: on a terminal)")
    common.add_argument("--trace", action="store_true",
                        help="write trace.json, a timeline of all ranks for chrome://tracing or Perfetto")
    common.add_argument("-v", "--verbose", action="store_true", help="say more; with an internal error, its traceback")
    common.add_argument("-q", "--quiet", action="store_true", help="print errors only")
    common.add_argument("--version", action="version", version=f"{program} {__version__}")
    return page


def _indent(text: str) -> str:
    return "\n".join("  " + line for line in text.strip().splitlines())


def main(page: argparse.ArgumentParser, run, argv: list[str] | None = None, *, alone: bool = False,
         before=None, work=None) -> int:
    """Parse, start MPI, call `run(args, world)`, and end the job on every rank if one of them fails.

    Arguments are parsed before anything heavy is imported: help, version and usage errors need neither MPI nor numpy.
    `alone`: a program that is no rank of a job: no MPI, and `run(args)` returns the exit code.
    `before`: what a rank does ahead of MPI, `before(args)`: child processes must not be started once it runs.
    `work`: bytes of input, `work(args)`, and those that take as long as what all ranks do alike, where the slowest may
    sit out, and what else tells whether they may (see `runtime.team.assemble`).
    Returns 0; on an error the process ends with that error's exit code.
    """
    args = _parse(page, argv)
    _set_threads(args.threads)
    world = None
    with _patient_streams():
        try:
            if alone:
                return run(args)
            if before:
                before(args)
            heartbeat.start()
            from mpiedge.runtime import recovery
            from mpiedge.runtime.team import assemble
            from mpiedge.runtime.world import World

            world = World(threads=args.threads)
            if team := assemble(world, args, _known_speeds, *work) if work else world:
                world = team
                while not recovery.finish(run, copy.copy(args), world):
                    world = recovery.without_the_dead(world)
                team.dismiss()
            sys.stdout.flush()
            heartbeat.farewell(0)
            return 0
        except BaseException as error:  # whatever it is, the other ranks must not wait for this one
            _end(page.prog, world, error, args.verbose)
            return 1


def _known_speeds(args, hosts: list[str]) -> list[float] | None:
    """Local: what mpiedge-doctor found of the hosts of a run."""
    from pathlib import Path

    from mpiedge.store import host_profile
    from mpiedge.store.run import RESULTS

    return host_profile.speeds(Path(args.run or os.environ.get("MPIEDGE_RUN") or Path(RESULTS, "new")), hosts)


def table_bytes(args) -> int:
    """Local: size of the tables named on the command line; OSError where one is not there."""
    return sum(map(os.path.getsize, args.tables))


def _parse(page, argv):
    return _parse_silently(page, argv) if launcher.rank_hint() else _parse_checked(page, argv)


def _parse_checked(page, argv):
    args = page.parse_args(argv)
    if args.threads is not None and args.threads < 1:
        page.error("--threads must be at least 1")
    if not 0 <= args.seed <= LARGEST_SEED:
        page.error("--seed must be a whole number from 0 to 2^63 - 1")
    if args.progress is not None and not 0 <= args.progress < float("inf"):
        page.error("--progress must be a number of seconds, 0 for none")
    if args.memory is not None:
        from mpiedge.runtime.resources import parse_size

        try:
            parse_size(args.memory, 1 << 40)
        except UsageError as error:
            page.error(str(error))
    return args


def _parse_silently(page, argv):
    """Every rank parses the same line; rank 0 speaks, and the others stay until it has: the first exit ends the job."""
    with open(os.devnull, "w") as nowhere:
        streams, (sys.stdout, sys.stderr) = (sys.stdout, sys.stderr), (nowhere, nowhere)
        try:
            return _parse_checked(page, argv)
        except SystemExit as end:
            if end.code:
                time.sleep(USAGE_GRACE_S)
            raise
        finally:
            sys.stdout, sys.stderr = streams


def _set_threads(threads: int | None) -> None:
    """Tell numpy's BLAS before it is imported; its default is every core of the host for every rank."""
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, str(threads or 1))


class _Patient:
    """A stream whose reader may leave (`mpiedge-clean ... | head -1`), or its disk fill: then the text goes nowhere."""

    def __init__(self, stream):
        self._stream = stream
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # names of files need not be text in the terminal's encoding

    def write(self, text: str) -> int:
        with self._heedless():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._heedless():
            self._stream.flush()

    @contextlib.contextmanager
    def _heedless(self):
        try:
            yield
        except OSError:  # a closed pipe, a full disk under a log file
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())  # also for what Python flushes at its end
            os.close(nowhere)

    def __getattr__(self, name: str):
        return getattr(self._stream, name)


@contextlib.contextmanager
def _patient_streams():
    """Within the block, work goes on when nobody reads its output any more: the run folder is what counts."""
    for number in range(3):  # closed ones are opened as nothing: else the next file opened would get what is printed
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (_Patient(stream or os.fdopen(number, "w", closefd=False))
                              for number, stream in zip((1, 2), streams))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams


def describe(error: BaseException) -> tuple[str, int]:
    """The line and the exit code of an error."""
    if isinstance(error, MpiedgeError):
        return str(error), error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", 1
    if isinstance(error, MemoryError):
        return "out of memory. Give fewer ranks per host, or a smaller --memory so that the work is cut finer", 4
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'this host'}: {error.strerror}. {remedy_for(error)}".rstrip(), 3
    if isinstance(error, RuntimeError) and str(error).startswith("cannot load MPI library"):
        return f"{' '.join(str(error).split())}. Install an MPI library: bin/quickstart brings Open MPI", 3
    if isinstance(error, ImportError):
        return f"{error}. Install mpiedge and an MPI library: bin/quickstart does both", 3
    frame = traceback.extract_tb(error.__traceback__)[-1:]
    place = f" ({os.path.basename(frame[0].filename)}:{frame[0].lineno})" if frame else ""
    cause = " ".join(str(error).split())
    return f"internal error: {type(error).__name__}: {cause}{place}. Run again with -v and report the traceback", 1


def _end(program: str, world, error: BaseException, verbose: bool) -> None:
    """Print one line and end the whole job. Never returns under MPI."""
    if isinstance(error, SystemExit):
        line, code = ("", error.code if isinstance(error.code, int) else 1)
        if code == 0:
            raise error
    else:
        line, code = describe(error)
    sys.stdout.flush()
    heartbeat.farewell(code, line)
    if world is None:
        # Without MPI the ranks cannot agree on who speaks. If all fail alike, the end of rank 0 ends the job meanwhile.
        rank, speaks = launcher.rank_hint(), True
        if rank:
            time.sleep(USAGE_GRACE_S)
            line = line and f"{line} (rank {rank} on {socket.gethostname()})"
    else:
        speaks = world.speaks_for_error()
        if line and world.size > 1 and not getattr(error, "everywhere", False):
            line = f"{line} (rank {world.rank} on {world.host})"
    if speaks and line:
        if verbose and not isinstance(error, MpiedgeError):
            traceback.print_exception(error)
        print(f"{program}: {line}", file=sys.stderr, flush=True)
    if world is not None and not world.is_alone:
        world.abort(code)
    sys.exit(code)
