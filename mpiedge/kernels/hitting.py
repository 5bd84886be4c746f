"""Minimal difference sets per right-hand side, and their minimal hitting sets (MMCS); with the plain versions."""

import ctypes

import numpy as np

from mpiedge.kernels import bits, native

SLICE = 1 << 14


def _declare(library):
    address, size, narrow = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32
    signatures = {
        "minimise": (size, [address, narrow, size, size, address, address, size]),
        "covered": (None, [address, size, narrow, address, size, address]),
        "new": (address, [address, size, narrow, narrow, narrow]),
        "run": (narrow, [address, size]),
        "count": (size, [address]),
        "sets": (address, [address]),
        "failed": (narrow, [address]),
        "free": (None, [address]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, "hitting_" + name)
        function.restype, function.argtypes = result, arguments
    return library


_library = _declare(native.library) if native.library is not None else None


def minimal_evidence(masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Local: the difference sets that are inclusion-minimal for some right-hand side.

    masks: (k, words) uint64. Returns (sets, use), both (m, words), sorted by size and value of the set; bit A of use[i]
    is set where no other set that holds column A lies inside set i.
    """
    masks = bits.unique(masks)
    if _library is None:
        return minimal_evidence_plain(masks)
    kept, use = np.empty_like(masks), np.empty_like(masks)
    count, words = 0, masks.shape[1]
    for start in range(0, len(masks), SLICE):
        count = _library.hitting_minimise(masks.ctypes.data, words, start, min(start + SLICE, len(masks)),
                                          kept.ctypes.data, use.ctypes.data, count)
    return kept[:count].copy(), use[:count].copy()


def minimal_evidence_plain(masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Local: the plain version of `minimal_evidence` on distinct masks in ascending size."""
    kept, use = [], []
    for mask in masks:
        union = np.zeros_like(mask)
        for other in kept:
            if not (other & ~mask).any():
                union |= other
        if (mask & ~union).any():
            kept.append(mask)
            use.append(mask & ~union)
    shape = (-1, masks.shape[1])
    return np.array(kept, np.uint64).reshape(shape), np.array(use, np.uint64).reshape(shape)


def covered(sets: np.ndarray, closed: np.ndarray) -> np.ndarray:
    """Local: for each set (k, words) whether one of the closed sets lies inside it, bool (k,)."""
    if _library is None:
        return np.array([not (closed & ~one).any(axis=1).all() for one in sets], bool)
    result = np.empty(len(sets), np.uint8)
    sets, closed = np.ascontiguousarray(sets), np.ascontiguousarray(closed)
    _library.hitting_covered(sets.ctypes.data, len(sets), sets.shape[1], closed.ctypes.data, len(closed),
                             result.ctypes.data)
    return result.view(bool)


def branches(edges: np.ndarray) -> int:
    """Local: into how many branches the search for hitting sets of `edges` can be cut."""
    return int(bits.sizes(edges).min()) if len(edges) else 1


def minimal_hitting_sets(edges: np.ndarray, largest: int | None = None, budget: int = 1 << 17, branch: int = -1,
                         stop=None):
    """Local: a generator that yields None about every 50 ms and returns all minimal hitting sets of `edges`.

    edges: (k, words) uint64, none empty, none inside another. largest: leave out hitting sets with more members.
    stop: a function () -> bool; when it says so after a slice, return what was found by then.
    branch: follow only one of the `branches(edges)` of the search, 0 and up; each hitting set is found in exactly one.
    Returns (m, words) uint64, unsorted: the minimal hitting sets of the hypergraph (Murakami & Uno 2014).
    """
    words = edges.shape[1]
    largest = 64 * words if largest is None else largest
    if _library is None:
        return (yield from minimal_hitting_sets_plain(edges, largest, branch, stop))
    edges = np.ascontiguousarray(edges)
    handle = _library.hitting_new(edges.ctypes.data, len(edges), words, largest, branch)
    try:
        if not handle or _library.hitting_failed(handle):
            raise MemoryError("no memory for the enumeration of hitting sets")
        while status := _library.hitting_run(handle, budget):
            if status < 0:
                raise MemoryError("no memory for the enumeration of hitting sets")
            if stop is not None and stop():
                break
            yield None
        count = _library.hitting_count(handle)
        if not count:
            return np.empty((0, words), np.uint64)
        found = (ctypes.c_uint64 * (count * words)).from_address(_library.hitting_sets(handle))
        return np.frombuffer(found, np.uint64).reshape(count, words).copy()
    finally:
        _library.hitting_free(handle)


def minimal_hitting_sets_plain(edges: np.ndarray, largest: int, only: int = -1, stop=None):
    """Local: the plain version of `minimal_hitting_sets`, on whole numbers as sets."""
    words = edges.shape[1]
    sets = [sum(int(word) << (64 * i) for i, word in enumerate(edge)) for edge in edges]
    found, steps, ended = [], 0, False

    def descend(chosen, uncovered, critical, candidates):
        nonlocal steps, ended
        if not uncovered:
            found.append(chosen)
            return
        if chosen.bit_count() >= largest:
            return
        branch = min((edge & candidates for edge in uncovered), key=int.bit_count)
        candidates &= ~branch
        number = -1
        while branch:
            vertex = branch & -branch
            branch ^= vertex
            number += 1
            if not chosen and only >= 0 and number != only:
                candidates |= vertex
                continue
            kept = [[edge for edge in own if not edge & vertex] for own in critical]
            if not all(kept):
                continue
            steps += 1
            if steps % 1024 == 0:
                ended = ended or (stop is not None and stop())
                yield None
            if ended:
                return
            own = [edge for edge in uncovered if edge & vertex]
            left = [edge for edge in uncovered if not edge & vertex]
            yield from descend(chosen | vertex, left, [*kept, own], candidates)
            candidates |= vertex

    for _ in descend(0, sets, [], (1 << (64 * words)) - 1):
        if not ended:
            yield None
    low = (1 << 64) - 1
    return np.array([[one >> (64 * i) & low for i in range(words)] for one in found], np.uint64).reshape(-1, words)
