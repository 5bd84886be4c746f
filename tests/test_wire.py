"""Messages survive the way through bytes, and bytes that are no message are refused."""

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mpiedge.runtime.wire import PREFIX, WireError, pack, unpack

plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
dtypes = st.one_of(
    arrays.boolean_dtypes(), arrays.integer_dtypes(), arrays.floating_dtypes(sizes=(16, 32, 64)),
    arrays.complex_number_dtypes(sizes=(64, 128)), arrays.unicode_string_dtypes(max_len=5),
    arrays.byte_string_dtypes(max_len=5), arrays.datetime64_dtypes(max_period="D", min_period="s"),
)  # fmt: skip
numbers = arrays.arrays(dtypes, arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
words = st.lists(st.text() | st.none(), max_size=8).map(lambda texts: np.array(texts, object))
messages = st.recursive(
    plain | numbers | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def same(left, right) -> bool:
    """Equal in type, shape, dtype and value; NaN equals NaN."""
    if isinstance(left, np.ndarray):
        if not isinstance(right, np.ndarray) or left.shape != right.shape or left.dtype != right.dtype:
            return False
        return left.tolist() == right.tolist() if left.dtype == object else left.tobytes() == right.tobytes()
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    return type(left) is type(right) and (left == right or left != left)


@given(messages)
def test_round_trip(message):
    """Any nesting of values and arrays comes back equal, the dtypes and shapes of its arrays included."""
    assert same(message, unpack(pack(message)))


@given(messages, st.data())
def test_cut_messages_are_refused(message, data):
    """A message that lost its end is an error, never a shorter message."""
    buffer = pack(message)
    keep = data.draw(st.integers(0, buffer.size - 1))
    with pytest.raises(WireError):
        unpack(buffer[:keep])


@given(messages, st.data())
def test_damaged_headers_never_crash(message, data):
    """A changed byte of the header gives an error or some message, but no other failure and no huge allocation."""
    buffer = pack(message)
    end = PREFIX.size + PREFIX.unpack_from(buffer, 0)[1]
    buffer[data.draw(st.integers(0, end - 1))] ^= data.draw(st.integers(1, 255))
    damaged = buffer.tobytes()
    with contextlib.suppress(WireError):
        unpack(buffer)
    assert buffer.tobytes() == damaged, "reading changes nothing"


def test_sizes_are_checked_before_anything_is_made():
    """An array that claims to be larger than its message is refused."""
    buffer = pack({"x": np.zeros(3)})
    text = buffer.tobytes().replace(b"[3],24", b"[9],72")
    with pytest.raises(WireError, match="beyond"):
        unpack(np.frombuffer(text, np.uint8))


def test_views_and_layouts():
    """Strided, transposed and big-endian arrays keep their values; what arrives is C-ordered."""
    grid = np.arange(12).reshape(3, 4)
    message = {"strided": grid[:, ::2], "turned": grid.T, "big": grid.astype(">i4")}
    back = unpack(pack(message))
    assert all(np.array_equal(back[name], message[name]) for name in message)
    assert back["big"].dtype == np.dtype(">i4")


def test_scalars_and_tuples_become_plain():
    """numpy scalars arrive as Python numbers, tuples as lists."""
    assert unpack(pack({"a": np.int64(3), "b": np.float32(0.5), "c": (1, 2)})) == {"a": 3, "b": 0.5, "c": [1, 2]}


@pytest.mark.parametrize("value", [object(), {1, 2}, np.array([object()]), np.array([1, "a"], object)])
def test_objects_do_not_travel(value):
    """Anything that would need code to be rebuilt is refused by the sender, by name."""
    with pytest.raises(TypeError, match="travel"):
        pack({"x": value})
