"""Reads the python-2 pickles of the Planetoid data sets with an unpickler that can build plain containers only."""

import collections
import io
import pickle

import numpy as np

from mpiedge.errors import InputError
from mpiedge.graph.sparse import SparseRows


class PickledRows:
    """Receives the state of a pickled scipy CSR matrix, so that scipy itself is not needed."""

    def __setstate__(self, state):
        self.state = state


def latin1_bytes(text: str, encoding: str) -> bytes:
    """How Python 3 writes bytes for Python 2: as text with the name of its encoding, which is always this one."""
    return text.encode("latin1")


# Python 2 and old numpy and scipy named these modules differently; nothing else is ever looked up.
_multiarray = np._core.multiarray
ALLOWED = {
    **{(f"{module}.multiarray", "_reconstruct"): _multiarray._reconstruct for module in ("numpy.core", "numpy._core")},
    **{(f"{module}.multiarray", "scalar"): _multiarray.scalar for module in ("numpy.core", "numpy._core")},
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("scipy.sparse.csr", "csr_matrix"): PickledRows,
    ("scipy.sparse._csr", "csr_matrix"): PickledRows,
    ("collections", "defaultdict"): collections.defaultdict,
    ("_codecs", "encode"): latin1_bytes,
    ("__builtin__", "list"): list,
    ("builtins", "list"): list,
    ("__builtin__", "dict"): dict,
    ("builtins", "dict"): dict,
}


class RestrictedUnpickler(pickle.Unpickler):
    """Refuses every global that is not in the list above, so that no code can run."""

    def find_class(self, module, name):
        try:
            return ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it names {module}.{name}") from None


def load(name: str, data: bytes):
    """The value in a pickle of arrays, sparse rows, dicts and lists; `InputError` for anything else."""
    try:
        value = RestrictedUnpickler(io.BytesIO(data), encoding="latin1").load()
        return sparse_rows(value) if isinstance(value, PickledRows) else value
    except Exception as error:  # a hostile or broken pickle can raise nearly anything
        cause = f"it is not a pickle of plain arrays ({error})"
        raise InputError(name, cause, "Give the original Planetoid files") from None


def sparse_rows(pickled: PickledRows) -> SparseRows:
    """Checked sparse rows from the state of a pickled scipy CSR matrix."""
    state = pickled.state
    rows, columns = (int(length) for length in state.get("_shape", state.get("shape")))
    indptr, indices = np.asarray(state["indptr"], np.int64), np.asarray(state["indices"], np.int32)
    matrix = SparseRows(indptr, indices, np.asarray(state["data"], np.float32), columns)
    if len(indptr) != rows + 1 or not matrix.sound():
        raise ValueError("the sparse matrix is damaged")
    return matrix
