"""What the launcher told this process through its environment, readable before MPI is imported."""

import os

RANK_VARIABLES = ("OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID")
SIZE_VARIABLES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_NTASKS")


def launched() -> bool:
    """Local: True when mpirun (or another launcher) started this process."""
    return any(name in os.environ for name in RANK_VARIABLES)


def rank_hint() -> int:
    """Local: the rank this process will have, 0 without a launcher. For output before MPI starts (usage, help)."""
    return _first(RANK_VARIABLES, 0)


def size_hint() -> int:
    """Local: the number of ranks, 1 without a launcher, where the launcher says so."""
    return _first(SIZE_VARIABLES, 1)


def ends_job_on_error() -> bool:
    """Local: True under Open MPI 5's launcher, unless told not to end a job when a rank exits with an error or dies."""
    if goes_on_without_dead():
        return False
    spared = os.environ.get("PRTE_MCA_state_base_error_non_zero_exit", "1")  # noqa: SIM112 - Open MPI's name
    return os.environ.get("PMIX_NAMESPACE", "").startswith("prterun") and spared.lower() in ("1", "true", "yes")


def goes_on_without_dead() -> bool:
    """Local: True under `mpirun --with-ft ulfm`, which leaves the others alive when a rank dies."""
    return os.environ.get("OMPI_MCA_mpi_ft_enable") == "1"  # noqa: SIM112 - Open MPI's name


def mpi_library() -> str:
    """Local: the MPI library in use, for example "Open MPI v5.0.11"; MPI must run."""
    from mpi4py import MPI

    name = MPI.Get_library_version().replace("\n", ",").split(",")[0].strip("\x00 ")
    return " ".join(name.replace("Version:", "").split())


def _first(names: tuple[str, ...], default: int) -> int:
    for name in names:
        value = os.environ.get(name, "")
        if value.isdigit():
            return int(value)
    return default
