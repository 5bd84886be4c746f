"""Whether torch has room at all: its import alone may be more than the kernel grants, which then ends the program."""

import numpy as np

from mpiedge.errors import MemoryPlanError
from mpiedge.runtime import resources

TORCH_BYTES = 118e6
"""What torch and the modules that use it take when they are imported, beside mapped files (110 MB measured)."""


def require_torch(world) -> None:
    """Collective: MemoryPlanError on every rank when one has less memory left than the import of torch takes.

    Message: a minimum.
    """
    left = int(world.min(np.array([resources.available_bytes(world.node_size)], np.int64))[0])
    if left < TORCH_BYTES:
        error = MemoryPlanError("memory", f"torch alone takes {TORCH_BYTES / 1e6:.0f} MB, and a rank has "
                                f"{left / 1e6:.0f} MB left", "Use hosts with more memory, or fewer ranks per host")
        error.everywhere = True
        raise error
