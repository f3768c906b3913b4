"""flax's msgpack: values equal the bytes written, hostile structures are refused."""

import struct
from typing import Any

import ml_dtypes
import msgpack
import numpy as np
import pytest

from cairn.domain import DType, Layout, Role
from cairn.errors import LimitError, MalformedError
from cairn.formats import BytesSource
from cairn.formats.readers.flax import FlaxReader
from cairn.formats.values import read_array
from cairn.testing.readers import ReaderConformance
from tests.formats.making import layout_of


def array(value: Any) -> msgpack.ExtType:
    """As `_ndarray_to_bytes` of flax.serialization packs it."""
    found = np.asarray(value)
    packed = msgpack.packb((found.shape, found.dtype.name, found.tobytes("C")), use_bin_type=True)
    return msgpack.ExtType(3 if isinstance(value, np.generic) else 1, packed)


def saved(value: Any) -> bytes:
    return bytes(msgpack.packb(value, strict_types=True))


def chunked(value: np.ndarray, size: int) -> dict[str, Any]:
    """As `_chunk` of flax.serialization cuts an array."""
    flat = value.reshape(-1)
    chunks = [flat[at : at + size] for at in range(0, flat.size, size)]
    return {
        "__msgpack_chunked_array__": True,
        "shape": {str(at): n for at, n in enumerate(value.shape)},
        "chunks": {str(at): array(chunk) for at, chunk in enumerate(chunks)},
    }


KERNEL = np.arange(12, dtype="f4").reshape(3, 4)
STATE = {
    "step": array(np.int32(7)),
    "params": {"Dense_0": {"kernel": array(KERNEL), "bias": array(np.ones(4, "f2"))}},
    "batch_stats": {"BatchNorm_0": {"mean": array(np.zeros(4, "f4"))}},
    "opt_state": {"0": {"count": array(np.int32(7)), "mu": {"kernel": array(KERNEL)}}},
}


class TestFlax(ReaderConformance):
    reader = FlaxReader()
    read_ahead_bytes = 1024

    @classmethod
    def make(cls) -> dict[str, bytes]:
        return {
            "a train state": saved(STATE),
            "chunks and scalars": saved(
                {"w": chunked(KERNEL, 5), "lr": 0.5, "text": "x", "list": [1, None, True, 2j.real]}
            ),
            "larger than a page": saved({"a": array(np.ones(1200, "f4")), "b": array(KERNEL)}),
        }


def values(data: bytes, layout: Layout) -> dict[str, bytes]:
    return {t.name: read_array(t, BytesSource(data)).tobytes() for t in layout.tensors}


@pytest.mark.parametrize(
    "kind",
    [
        *("bool", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8", "c8", "c16"),
        *(ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2),
    ],
    ids=str,
)
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3), (40, 50)])
def test_every_dtype_has_the_bytes_written(kind: Any, shape: tuple[int, ...]) -> None:
    count = int(np.prod(shape))
    whole = (np.arange(count) % 2).astype(kind).reshape(shape)
    data = saved({"w": array(whole)})
    layout = layout_of(data)
    (tensor,) = layout.tensors
    assert tensor.shape == shape
    assert values(data, layout) == {"w": whole.tobytes()}


def test_names_and_roles_follow_the_maps() -> None:
    layout = layout_of(saved(STATE))
    assert {t.name: t.role for t in layout.tensors} == {
        "step": Role.METADATA,
        "params.Dense_0.kernel": Role.WEIGHTS,
        "params.Dense_0.bias": Role.WEIGHTS,
        "batch_stats.BatchNorm_0.mean": Role.BUFFERS,
        "opt_state.0.count": Role.OPTIMIZER,
        "opt_state.0.mu.kernel": Role.OPTIMIZER,
    }


@pytest.mark.parametrize("size", [1, 5, 12, 100])
def test_an_array_in_chunks_is_put_together(size: int) -> None:
    data = saved({"w": chunked(KERNEL, size), "after": array(KERNEL)})
    layout = layout_of(data)
    assert layout.tensors[0].shape == (3, 4)
    assert values(data, layout) == {"w": KERNEL.tobytes(), "after": KERNEL.tobytes()}


def test_everything_else_becomes_metadata() -> None:
    z = msgpack.ExtType(2, msgpack.packb((1.0, -2.0)))
    more = {"lr": 0.5, "name": "é", "raw": b"abc", "on": True, "none": None, "z": z, "n": [1, -300]}
    assert dict(layout_of(saved({"a": more})).metadata) == {
        "a.lr": 0.5,
        "a.name": "é",
        "a.raw": "3 bytes",
        "a.on": True,
        "a.none": None,
        "a.z": "(1-2j)",
        "a.n.0": 1,
        "a.n.1": -300,
    }


def test_an_unknown_dtype_is_left_out_with_a_note() -> None:
    packed = msgpack.packb(((2,), "int4", b"\1\2"), use_bin_type=True)
    layout = layout_of(saved({"w": msgpack.ExtType(1, packed), "v": array(KERNEL)}))
    assert [t.name for t in layout.tensors] == ["v"]
    assert layout.notes == ("'w' is left out: its dtype 'int4' is not known",)


def test_lists_of_every_width_are_walked() -> None:
    for count in (1, 15, 16, 70_000):
        layout = layout_of(saved({"list": [0] * count, "w": array(KERNEL)}))
        assert len(layout.tensors) == 1


# --- hostile -------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [b"\x91", b"\x81\xa1a", b"\xdd\x00\x00\x00\x01"])
def test_deep_nesting_is_refused(level: bytes) -> None:
    with pytest.raises(LimitError, match="nested"):
        layout_of(b"\x81\xa1a" + level * 100_000 + b"\xc0")


@pytest.mark.parametrize(
    "bomb",
    [
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xc9\xff\xff\xff\xff\x01",
        b"\xdc\xff\xff",
    ],
)
def test_a_declared_length_beyond_the_file_is_refused(bomb: bytes) -> None:
    with pytest.raises(MalformedError, match="do not fit"):
        layout_of(b"\x81\xa1a" + bomb + bytes(50))


def test_too_many_items_are_refused(monkeypatch) -> None:
    monkeypatch.setattr("cairn.formats.msgpack.MAX_MSGPACK_ITEMS", 1000)
    with pytest.raises(LimitError, match="items"):
        layout_of(saved({"a": [0] * 2000}))


def test_long_names_above_many_leaves_are_refused_before_they_are_made() -> None:
    value: Any = [0] * 100_000
    for _ in range(8):
        value = {"k" * 500: value}
    with pytest.raises(LimitError, match="names"):
        layout_of(saved({"a": value}))


@pytest.mark.parametrize(
    "value",
    [
        msgpack.ExtType(1, b""),
        msgpack.ExtType(1, b"\xc0"),
        msgpack.ExtType(1, msgpack.packb(((2,), "float32", b"1234567"))),
        msgpack.ExtType(1, msgpack.packb(((-2,), "float32", b""))),
        msgpack.ExtType(1, msgpack.packb(((True,), "uint8", b"1"))),
        msgpack.ExtType(1, msgpack.packb(((1 << 62, 1 << 62), "float32", b""))),
        msgpack.ExtType(1, msgpack.packb(((1,) * 65, "uint8", b"1"))),
        msgpack.ExtType(1, msgpack.packb(((1,), "uint8", b"1")) + b"\0"),
        msgpack.ExtType(2, msgpack.packb("no")),
    ],
    ids=str,
)
def test_an_extension_that_is_no_array_is_refused(value: Any) -> None:
    with pytest.raises(MalformedError):
        layout_of(saved({"w": value}))


@pytest.mark.parametrize(
    "change",
    [
        {"shape": {"0": 3, "1": 5}},
        {"shape": {"0": 3, "2": 4}},
        {"shape": [3, 4]},
        {"chunks": {}},
        {"chunks": {"0": array(KERNEL), "2": array(KERNEL[:0])}},
        {"chunks": {"0": array(KERNEL[:2]), "1": array(KERNEL[2:].astype("f8"))}},
        {"chunks": {"0": 5}},
    ],
)
def test_chunks_that_contradict_each_other_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(MalformedError):
        layout_of(saved({"w": {**chunked(KERNEL, 5), **change}}))


@pytest.mark.parametrize(
    "raw",
    [
        b"\x81\xa1a\xc1",
        b"\x82\xa1a\x01\xa1a\x02",
        b"\x82\xa1a\x01\x05\x02",
        b"\x81\xa1a\x01\x00",
        b"\x81\xa1a" + struct.pack(">Bf", 0xCA, 1)[:-1],
        b"\x82\xa1a\x01\xa1\xff\x02",
    ],
    ids=["never used", "key twice", "integer key", "trailing", "cut number", "not UTF-8"],
)
def test_broken_msgpack_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedError):
        layout_of(raw)


def test_half_precision_is_told_from_bfloat16() -> None:
    data = saved({"a": array(np.ones(2, "f2")), "b": array(np.ones(2, ml_dtypes.bfloat16))})
    assert [t.dtype for t in layout_of(data).tensors] == [DType.F16, DType.BF16]
