"""The adjacency of a part in two blocks: what is near (owned neighbours) and what is far (halo copies).

Sums over near neighbours need nothing from other ranks, so they run while the far rows travel.
"""

from dataclasses import dataclass

import numpy as np

from mpiedge.graph.part import Part
from mpiedge.graph.sparse import SparseRows, offsets

NORMS = ("symmetric", "mean")


@dataclass
class Blocks:
    """A normalised adjacency: row v of it is scale[v] times the sum over v's neighbours u of shift[u] times row u.

    near: ones, owned x owned and symmetric, or owned x all rows at hand; far: scale[v], boundary rows x halo;
    boundary: int64, the owned rows of `far`; scale: of the owned rows; shift: of owned and halo rows; all as exact as
    the features.
    """

    near: SparseRows
    far: SparseRows
    boundary: np.ndarray
    scale: np.ndarray
    shift: np.ndarray


def split_blocks(part: Part, norm: str, places: np.ndarray | None = None) -> Blocks:
    """Local: the blocks of a part. places: where the rows of the part, owned and halo, lie among rows that are all at
    hand (see graph/shared_halo.py): then all neighbours are near.

    norm: "symmetric" is D^-1/2 (A + I) D^-1/2 (Kipf & Welling 2017); "mean" is D^-1 A, zero rows for isolated nodes
    (Hamilton, Ying & Leskovec 2017).
    """
    rows = np.repeat(np.arange(part.owned), np.diff(part.indptr))
    columns, dtype = part.indices, part.features.data.dtype
    if norm == "mean":
        others = rows != columns
        rows, columns = rows[others], columns[others]
        scale = (1 / np.maximum(part.degrees[: part.owned] - 1, 1)).astype(dtype)
        shift = np.ones(len(part.nodes), dtype)
    else:
        shift = (1 / np.sqrt(part.degrees)).astype(dtype)
        scale = shift[: part.owned]
    away = columns >= (part.owned if places is None else len(part.nodes))
    near = SparseRows(offsets(np.bincount(rows[~away], minlength=part.owned)), columns[~away], None, part.owned)
    if places is not None:
        near.indices = places[near.indices]
    boundary, place = np.unique(rows[away], return_inverse=True)
    far = SparseRows(offsets(np.bincount(place, minlength=len(boundary))), columns[away] - np.int32(part.owned),
                     scale[rows[away]], part.halo)
    return Blocks(near, far, boundary, scale, shift)
