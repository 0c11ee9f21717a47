"""The codec equals openpi's to the byte, reads the other spellings, and refuses whatever a message must not contain."""

import msgpack
import numpy as np
import pytest
from openpi_client import msgpack_numpy as openpi

from simeval.policies.remote.codec import CodecError, pack, unpack

VALUES = {
    "observation/image": np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3),
    "observation/state": np.linspace(-1, 1, 8),
    "half": np.ones((2, 2), ">f2").T[::-1],
    "empty": np.zeros((0, 7), np.float32),
    "flag": np.array([True, False]),
    "scalar": np.float32(0.1),
    "whole": np.int64(-3),
    "prompt": "pick up the ✱ bowl",
    "none": None,
    "nested": {"list": [1, 2.5, "three", b"four", np.zeros(())]},
}


def same(one, other) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, np.ndarray | np.generic):
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    return type(one) is type(other) and one == other


def test_bytes_equal_openpis_own():
    assert pack(VALUES) == openpi.packb(VALUES)


def test_both_codecs_read_each_other():
    assert same(unpack(openpi.packb(VALUES)), VALUES)
    assert same(openpi.unpackb(pack(VALUES)), VALUES)


@pytest.mark.parametrize("key", [str, str.encode])
@pytest.mark.parametrize("text", [str, str.encode])
def test_other_spellings_are_read(key, text):
    array, scalar = np.arange(6, dtype="<f4").reshape(2, 3), np.float64(2.5)
    common = {key("data"): array.tobytes(), key("shape"): [2, 3]}
    message = {
        "openpi": {key("__ndarray__"): True, key("dtype"): text("<f4"), **common},
        "lebedov": {key("nd"): True, key("type"): text("<f4"), key("kind"): text(""), **common},
        "lebedov scalar": {key("nd"): False, key("type"): text("<f8"), key("data"): scalar.tobytes()},
        "openpi scalar": {key("__npgeneric__"): True, key("dtype"): text("<f8"), key("data"): 2.5},
    }
    read = unpack(msgpack.packb(message))
    assert same(read, {"openpi": array, "lebedov": array, "lebedov scalar": scalar, "openpi scalar": scalar})


def test_arrays_are_views_that_nothing_can_write_to():
    array = unpack(pack(np.zeros(3)))
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1


@pytest.mark.parametrize(
    "value", [np.array([None]), np.zeros(2, complex), np.zeros(2, "i4,f4"), np.complex64(1j), object(), {1, 2}, 2**70]
)
def test_what_cannot_be_sent_is_refused(value):
    with pytest.raises(CodecError, match="cannot be sent"):
        pack({"value": value})


def test_a_list_that_contains_itself_is_refused():
    endless: list = []
    endless.append(endless)
    with pytest.raises(CodecError, match="cannot be sent"):
        pack(endless)


def array(**changes) -> bytes:
    fields = {"__ndarray__": True, "data": bytes(16), "dtype": "<f4", "shape": [4], **changes}
    return msgpack.packb({key.encode(): value for key, value in fields.items() if value is not ...})


REFUSED = {
    "no dtype": (array(dtype=...), "has no dtype"),
    "no data": (array(data=...), "has no data"),
    "no shape": (array(shape=...), "has no shape"),
    "objects": (array(dtype="|O"), "type |O are refused"),
    "complex": (array(dtype="<c8"), "type <c8 are refused"),
    "void": (array(dtype="<V2"), "type <V2 are refused"),
    "record": (array(dtype="i4,f4"), "type i4,f4 are refused"),
    "dates": (array(dtype="<M8[s]"), "are refused"),
    "unknown": (array(dtype="<f5"), "type <f5 are unknown"),
    "no width": (array(dtype="<U0", shape=[10**9], data=b""), "type <U0 are refused"),
    "type is a number": (array(dtype=4), "type 4 are refused"),
    "escape sequence": (array(dtype="\x1b[31m"), "type \\x1b[31m are refused"),
    "too few bytes": (array(shape=[5]), "takes 20 bytes, and 16 came"),
    "too many bytes": (array(shape=[3]), "takes 12 bytes, and 16 came"),
    "1 GB declared": (array(shape=[2**28]), "takes 1073741824 bytes, and 16 came"),
    "negative": (array(shape=[-4]), "has the shape [-4]"),
    "overflow": (array(shape=[2**39, 2**39, 0], data=b""), "has the shape"),
    "a length is true": (array(shape=[True, 4]), "has the shape"),
    "shape is a number": (array(shape=4), "has the shape 4"),
    "too many dimensions": (array(shape=[1] * 40), "has the shape"),
    "text as data": (array(data="x" * 16), "are str, not bytes"),
    "lebedov's objects": (
        msgpack.packb({b"nd": True, b"type": "|O", b"kind": b"O", b"shape": [1], b"data": b"pickle"}),
        "type |O are refused",
    ),
    "lebedov's kind": (
        msgpack.packb({b"nd": True, b"type": "<f4", b"kind": b"V", b"shape": [1], b"data": b"1234"}),
        "kind b'V' are refused",
    ),
    "scalar too large": (msgpack.packb({b"__npgeneric__": True, b"dtype": "|i1", b"data": 300}), "is 300"),
    "scalar is a text": (msgpack.packb({b"__npgeneric__": True, b"dtype": "<f4", b"data": "1"}), "is 1"),
    "scalar without data": (msgpack.packb({b"__npgeneric__": True, b"dtype": "<f4"}), "has no data"),
    "extension type": (msgpack.packb(msgpack.ExtType(5, b"x")), "extension type (5)"),
    "number as key": (msgpack.packb({1: 2}), "no complete msgpack"),
    "empty": (b"", "no complete msgpack"),
    "cut off": (pack(VALUES)[:-3], "no complete msgpack"),
    "followed by more": (pack(1) + pack(2), "no complete msgpack"),
    "garbage": (b"\xc1\xc1", "no msgpack"),
    "not UTF-8": (b"\xa2\xff\xfe", "not UTF-8"),
    "nested 10 000 deep": (b"\x91" * 10_000 + b"\x01", "nested too deep"),
    "maps nested 10 000 deep": (b"\x81\xa1a" * 10_000 + b"\x01", "nested too deep"),
    "a list of 4 billion": (b"\xdd\xff\xff\xff\xff", "no complete msgpack"),
    "a map of 4 billion": (b"\xdf\xff\xff\xff\xff", "no complete msgpack"),
    "a text of 4 GB": (b"\xdb\xff\xff\xff\xff", "no complete msgpack"),
    "many maps": (b"\x9a" + (b"\xdc\xff\xff" + b"\x80" * 65535) * 10, "more than 100000 maps and lists"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_messages_are_refused_in_one_line(case):
    message, reason = REFUSED[case]
    with pytest.raises(CodecError) as error:
        unpack(message)
    assert reason in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 200


def test_a_long_message_is_refused_before_it_is_read():
    with pytest.raises(CodecError, match="1001 bytes, more than 1000"):
        unpack(bytes(1001), max_bytes=1000)
