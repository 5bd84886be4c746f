"""Minimal difference sets per right-hand side, and their minimal hitting sets (MMCS); with the plain versions."""

import ctypes

import numpy as np

from mpiedge.kernels import bits, native

MOST_CUTS = 8
"""Levels of a search at which it can be cut into branches."""


def _declare(library):
    address, size, narrow = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32
    signatures = {
        "minimise": (size, [address, narrow, size, address, narrow, address, address]),
        "covered": (None, [address, size, narrow, address, size, address]),
        "new": (address, [address, size, narrow, narrow, address, narrow]),
        "run": (narrow, [address, size]),
        "cut": (narrow, [address, address, address]),
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
    return ordered(masks, *minimal_for(masks))


def ordered(masks: np.ndarray, numbers: np.ndarray, use: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Local: masks[numbers], sorted by size and value, and what belongs to each."""
    sets = masks[numbers]
    at = bits.order(sets)
    return sets[at], use[at]


def minimal_for(masks: np.ndarray, rights: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Local: which of the sets `masks` (k, words) are minimal for some of `rights`, and for which.

    rights: a mask of columns (words,), all by default; or one for each set (k, words), which leaves out only columns
    for which another of the sets is known to lie inside it. Returns (numbers (m,) int64, use (m, words) uint64), by
    ascending size; of equal sets the first counts.
    """
    if rights is None:
        rights = np.full(masks.shape[1], ~np.uint64(0))
    if _library is None:
        return minimal_for_plain(masks, rights)
    masks, rights = np.ascontiguousarray(masks), np.ascontiguousarray(rights)
    numbers, use = np.empty(len(masks), np.int64), np.empty_like(masks)
    step = masks.shape[1] if rights.ndim == 2 else 0
    count = _library.hitting_minimise(masks.ctypes.data, masks.shape[1], len(masks), rights.ctypes.data, step,
                                      numbers.ctypes.data, use.ctypes.data)
    if count < 0:
        raise MemoryError("no memory for the minimal difference sets")
    return numbers[:count], use[:count]


def minimal_for_plain(masks: np.ndarray, rights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Local: the plain version of `minimal_for`."""
    numbers, use = [], []
    rights = np.broadcast_to(rights, masks.shape)
    for number in np.argsort(bits.sizes(masks), kind="stable").tolist():
        mask = masks[number]
        union = np.zeros_like(mask)
        for other in numbers:
            if not (masks[other] & ~mask).any():
                union |= masks[other]
        if (mask & rights[number] & ~union).any():
            numbers.append(number)
            use.append(mask & rights[number] & ~union)
    return np.array(numbers, np.int64), np.array(use, np.uint64).reshape(-1, masks.shape[1])


def covered(sets: np.ndarray, closed: np.ndarray) -> np.ndarray:
    """Local: for each set (k, words) whether one of the closed sets lies inside it, bool (k,)."""
    if _library is None:
        return np.array([not (closed & ~one).any(axis=1).all() for one in sets], bool)
    result = np.empty(len(sets), np.uint8)
    sets, closed = np.ascontiguousarray(sets), np.ascontiguousarray(closed)
    _library.hitting_covered(sets.ctypes.data, len(sets), sets.shape[1], closed.ctypes.data, len(closed),
                             result.ctypes.data)
    return result.view(bool)


def minimal_hitting_sets(edges: np.ndarray, largest: int | None = None, budget: int = 1 << 17, path: tuple = (),
                         stop=None, cut: int | None = None):
    """Local: a generator that yields after every `budget` steps and returns all minimal hitting sets of `edges`.

    edges: (k, words) uint64, none empty, none inside another. largest: leave out hitting sets with more members.
    stop: a function () -> bool; when it says so after a slice, return what was found by then. path: search one branch
    only; cut: after so many slices, and when True was sent, leave other branches to be searched elsewhere: yields a
    list of their paths (of at most MOST_CUTS numbers). Each hitting set is found in exactly one branch.
    Returns (m, words) uint64, unsorted: the minimal hitting sets of the hypergraph (Murakami & Uno 2014).
    """
    words = edges.shape[1]
    largest = 64 * words if largest is None else largest
    if _library is None:
        return (yield from minimal_hitting_sets_plain(edges, largest, path, stop))
    edges, numbers = np.ascontiguousarray(edges), np.array(path, np.int32)
    handle = _library.hitting_new(edges.ctypes.data, len(edges), words, largest, numbers.ctypes.data, len(numbers))
    try:
        if not handle or _library.hitting_failed(handle):
            raise MemoryError("no memory for the enumeration of hitting sets")
        slices, asked = 0, False
        while status := _library.hitting_run(handle, budget):
            if status < 0:
                raise MemoryError("no memory for the enumeration of hitting sets")
            if stop is not None and stop():
                break
            slices += 1
            asked = yield _cut(handle) if cut and (asked or slices % cut == 0) else []
        count = _library.hitting_count(handle)
        if not count:
            return np.empty((0, words), np.uint64)
        found = (ctypes.c_uint64 * (count * words)).from_address(_library.hitting_sets(handle))
        return np.frombuffer(found, np.uint64).reshape(count, words).copy()
    finally:
        _library.hitting_free(handle)


def _cut(handle) -> list[tuple[int, ...]]:
    path, ends = np.empty(MOST_CUTS, np.int32), np.empty(2, np.int32)
    depth = _library.hitting_cut(handle, path.ctypes.data, ends.ctypes.data)
    return [(*path[:depth].tolist(), number) for number in range(*ends.tolist())] if depth >= 0 else []


def minimal_hitting_sets_plain(edges: np.ndarray, largest: int, path: tuple = (), stop=None):
    """Local: the plain version of `minimal_hitting_sets`, on whole numbers as sets; it leaves no branches to others."""
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
            wanted = path[len(critical)] if len(critical) < len(path) else number
            kept = [[edge for edge in own if not edge & vertex] for own in critical]
            if number > wanted or not all(kept):
                continue
            if number < wanted:
                candidates |= vertex
                continue
            steps += 1
            if steps % 1024 == 0:
                ended = ended or (stop is not None and stop())
                yield []
            if ended:
                return
            own = [edge for edge in uncovered if edge & vertex]
            left = [edge for edge in uncovered if not edge & vertex]
            yield from descend(chosen | vertex, left, [*kept, own], candidates)
            candidates |= vertex

    for _ in descend(0, sets, [], (1 << (64 * words)) - 1):
        if not ended:
            yield []
    low = (1 << 64) - 1
    return np.array([[one >> (64 * i) & low for i in range(words)] for one in found], np.uint64).reshape(-1, words)
