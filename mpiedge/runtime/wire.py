"""Messages as bytes: a JSON header that names every array, then the raw arrays; nothing received is ever executed."""

import json
import math
import struct

import numpy as np

MAGIC = b"mpe1"
PREFIX = struct.Struct("<4sIQ")  # magic, header bytes, bytes in all
ALIGNMENT = 16  # each array starts at a multiple, so that views of the received buffer are aligned
PLAIN_KINDS = "biufcSUmM"
MARK = "\x01array"
BYTES_MARK = "\x01bytes"


class WireError(ValueError):
    """A buffer that is not a whole message: wrong mark, wrong sizes, unknown kinds."""


def pack(message) -> np.ndarray:
    """Local: the message as one uint8 array.

    message: any nesting of dict (str keys), list, tuple (arrives as a list), str, int, float, bool, None, bytes and
    numpy arrays of numbers, booleans, dates, fixed-width text, or objects that are all `str`. Raises TypeError for
    anything else, naming it.
    """
    described: list[list] = []
    pieces: list[np.ndarray] = []

    def describe(value):
        if isinstance(value, np.ndarray):
            if value.dtype.kind == "O" or value.dtype.kind == "T":
                lengths, text = _encode_text(value)
                described.append(["text", list(value.shape), lengths.nbytes, text.nbytes])
                pieces.extend((lengths, text))
            elif value.dtype.kind in PLAIN_KINDS:
                described.append([value.dtype.str, list(value.shape), value.nbytes])
                pieces.append(np.ascontiguousarray(value))
            else:
                raise TypeError(f"arrays of dtype {value.dtype} do not travel between ranks")
            return {MARK: len(described) - 1}
        if isinstance(value, np.generic):
            return value.item()
        if isinstance(value, (bytes, bytearray, memoryview)):
            raw = np.frombuffer(value, np.uint8)
            described.append([BYTES_MARK, [raw.size], raw.size])
            pieces.append(raw)
            return {MARK: len(described) - 1}
        raise TypeError(f"a {type(value).__name__} does not travel between ranks")

    body = json.dumps(message, default=describe, separators=(",", ":"), ensure_ascii=False)
    header = f"[{json.dumps(described, separators=(',', ':'))},{body}]".encode("utf-8", "surrogatepass")
    total = _aligned(PREFIX.size + len(header))
    total += sum(_aligned(piece.nbytes) for piece in pieces)
    buffer = np.empty(total, np.uint8)
    PREFIX.pack_into(buffer, 0, MAGIC, len(header), total)
    position = PREFIX.size + len(header)
    buffer[PREFIX.size : position] = np.frombuffer(header, np.uint8)
    for piece in pieces:
        start = _aligned(position)
        buffer[position:start] = 0
        position = start + piece.nbytes
        if piece.nbytes:
            buffer[start:position] = np.frombuffer(memoryview(piece.reshape(-1).view(np.uint8)), np.uint8)
    buffer[position:] = 0
    return buffer


def unpack(buffer):
    """Local: the message of `pack`; arrays are views of `buffer`. Raises WireError when sizes do not fit."""
    raw = np.frombuffer(buffer, np.uint8)
    if raw.size < PREFIX.size:
        raise WireError(f"a message of {raw.size} bytes is shorter than its prefix")
    magic, header_bytes, total = PREFIX.unpack_from(raw, 0)
    if magic != MAGIC or total != raw.size or PREFIX.size + header_bytes > total:
        raise WireError("a message with a wrong mark or length")
    try:
        text = raw[PREFIX.size : PREFIX.size + header_bytes].tobytes().decode("utf-8", "surrogatepass")
        # The body is decoded by the same call: its marks are resolved by the hook once the descriptions are known.
        described, end = json.JSONDecoder().raw_decode(text, 1)
        arrays = _arrays(raw, described, PREFIX.size + header_bytes)
        if not arrays:
            return json.loads(text[end + 1 : -1])
        return json.loads(text[end + 1 : -1], object_hook=lambda item: arrays[item[MARK]] if MARK in item else item)
    except (ValueError, TypeError, IndexError, KeyError) as error:
        raise error if isinstance(error, WireError) else WireError(f"a damaged message ({error})") from error


def _arrays(raw: np.ndarray, described: list, position: int) -> list:
    arrays = []
    for kind, shape, *sizes in described:
        count = math.prod(shape)
        if any(extent < 0 for extent in shape) or any(size < 0 for size in sizes):
            raise WireError("negative sizes")
        spans = []
        for size in sizes:
            position = _aligned(position)
            if position + size > raw.size:
                raise WireError("an array reaches beyond its message")
            spans.append(raw[position : position + size])
            position += size
        if kind == "text":
            if len(spans) != 2 or spans[0].size != 4 * count:
                raise WireError("the lengths of a text array do not fit its shape")
            arrays.append(_decode_text(spans[0].view(np.int32), spans[1]).reshape(shape))
        elif kind == BYTES_MARK:
            arrays.append(spans[0].tobytes())
        else:
            dtype = np.dtype(kind)
            if dtype.kind not in PLAIN_KINDS or len(spans) != 1 or count * dtype.itemsize != spans[0].size:
                raise WireError("an array does not fit its shape")
            arrays.append(spans[0].view(dtype).reshape(shape) if dtype.itemsize else np.zeros(shape, dtype))
    return arrays


def _encode_text(array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Local: int32 byte lengths (-1 for None) and the concatenated utf-8 bytes of an object array of str."""
    flat = array.reshape(-1).tolist()
    lengths = np.empty(len(flat), np.int32)
    encoded = []
    for index, text in enumerate(flat):
        if text is None:
            lengths[index] = -1
            continue
        if not isinstance(text, str):
            raise TypeError(f"an object array holds a {type(text).__name__}; only str travels between ranks")
        data = text.encode("utf-8", "surrogatepass")
        lengths[index] = len(data)
        encoded.append(data)
    return lengths, np.frombuffer(b"".join(encoded), np.uint8)


def _decode_text(lengths: np.ndarray, raw: np.ndarray) -> np.ndarray:
    kept = np.where(lengths < 0, 0, lengths).astype(np.int64)
    ends = np.cumsum(kept)
    if (ends[-1] if ends.size else 0) != raw.size:
        raise WireError("the lengths of a text array do not add up")
    data = raw.tobytes()
    texts = np.empty(lengths.size, object)
    start = 0
    for index, (length, end) in enumerate(zip(lengths.tolist(), ends.tolist())):
        texts[index] = data[start:end].decode("utf-8", "surrogatepass") if length >= 0 else None
        start = end
    return texts


def _aligned(position: int) -> int:
    return -(-position // ALIGNMENT) * ALIGNMENT
