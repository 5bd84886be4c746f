"""Sets of columns as lines of text put together from fragments; with the plain version."""

import ctypes

import numpy as np

from mpiedge.kernels import bits, native


def _declare(library):
    size, address, narrow = ctypes.c_int64, ctypes.c_void_p, ctypes.c_int32
    library.mpiedge_lines.restype = size
    library.mpiedge_lines.argtypes = [address, size, narrow, *[address] * 11]
    return library


_library = _declare(native.library) if native.library is not None else None


def lines(sets: np.ndarray, names: list[bytes], head: bytes, between: bytes, middles: list[bytes], ends: list[bytes],
          middle: np.ndarray | None = None, end: np.ndarray | None = None) -> bytes:
    """Local: for every set (k, words) of columns a piece of text, one after another.

    It is `head`, the names of its columns with `between` between them, one of the `middles` and one of the `ends`;
    middle, end: which of them, (k,) each; None: the first.
    """
    if _library is None:
        return lines_plain(sets, names, head, between, middles, ends, middle, end)
    packed = [_packed(one) for one in ([head, between], names, middles, ends)]
    sets = np.ascontiguousarray(sets, np.uint64)
    middle, end = (None if one is None else np.ascontiguousarray(one, np.int32) for one in (middle, end))
    addresses = [[text.ctypes.data, starts.ctypes.data] for text, starts in packed]
    arguments = [sets.ctypes.data, *sets.shape, *addresses[0], *addresses[1], *addresses[2],
                 None if middle is None else middle.ctypes.data, *addresses[3],
                 None if end is None else end.ctypes.data]
    text = np.empty(_library.mpiedge_lines(*arguments, None), np.uint8)
    _library.mpiedge_lines(*arguments, text.ctypes.data)
    return text.tobytes()


def _packed(fragments: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    return np.frombuffer(b"".join(fragments), np.uint8), np.cumsum([0, *map(len, fragments)], dtype=np.int64)


def lines_plain(sets, names, head, between, middles, ends, middle=None, end=None) -> bytes:
    """Local: the plain version of `lines`."""
    middle = np.zeros(len(sets), int) if middle is None else middle
    end = np.zeros(len(sets), int) if end is None else end
    return b"".join(head + between.join([names[column] for column in columns]) + middles[one] + ends[other]
                    for columns, one, other in zip(bits.members(sets, len(names)), middle.tolist(), end.tolist()))
