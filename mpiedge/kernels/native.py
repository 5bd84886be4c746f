"""The compiled kernels: one C library without Python headers, called through ctypes, which releases the GIL."""

import ctypes
import os
from importlib import machinery
from pathlib import Path


def load() -> ctypes.CDLL | None:
    """Load the compiled kernels; None where they were not built or `MPIEDGE_NATIVE=0` asks for the plain versions."""
    if os.environ.get("MPIEDGE_NATIVE") == "0":
        return None
    for suffix in machinery.EXTENSION_SUFFIXES:
        path = Path(__file__).with_name("_native" + suffix)
        if path.exists():
            return ctypes.CDLL(str(path))
    return None


library = load()
