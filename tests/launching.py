"""The environment of the programs under test, and the maker of their pages."""

import atexit
import functools
import importlib.util
import itertools
import os
import shutil
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
QUIET_MPI = {
    "PRTE_MCA_rmaps_default_mapping_policy": "slot:oversubscribe",  # Open MPI 5: more ranks than cores
    "PRTE_MCA_hwloc_default_binding_policy": "none",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",  # Open MPI 4
    "OMPI_MCA_hwloc_base_binding_policy": "none",
    "OMPI_MCA_osc": "^ucx",
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMP_NUM_THREADS": "1",
    "MPIEDGE_REST": "0",  # on a busy machine a rank may seem slow
}
# Not for the programs under test: the ranks of an outer job, and a ban on the compiled modules that start them fast.
NOT_INHERITED = ("PYTHONDONTWRITEBYTECODE", "OMPI_COMM_", "PMIX_", "PMI_", "PRTE_LAUNCHED", "HYDRA_", "MPIEDGE_RUN",
                 "MPIEDGE_ACCESS")


def launch_environment(changes: dict[str, str] | None = None) -> dict[str, str]:
    """The environment for programs under test: this interpreter's folder first, a calm MPI, nothing of an outer job.

    Each has a folder of its own for temporary files: launchers that tests kill leave theirs, named by process number,
    and a later one with that number would not start.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(NOT_INHERITED)}
    kept["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), kept.get("PATH", "")))
    kept["PYTHONPATH"] = os.pathsep.join(filter(None, (str(PROJECT), kept.get("PYTHONPATH"))))
    kept["TMPDIR"] = str(_temporary() / str(next(_numbers)))
    os.mkdir(kept["TMPDIR"])
    return {**kept, **QUIET_MPI, **(changes or {})}


_numbers = itertools.count()


@functools.cache
def _temporary() -> Path:
    """The folder of this process's programs under test, removed when it ends."""
    folder = tempfile.mkdtemp(prefix="mpiedge-tests-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def load_pages():
    """docs/pages.py as a module."""
    spec = importlib.util.spec_from_file_location("pages", PROJECT / "docs/pages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
