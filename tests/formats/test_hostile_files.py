"""Attacks by name, against every format they apply to; docs/formats/hostile.md has the table."""

import random
import re
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import msgpack
import numpy as np
import pytest
from onnx import TensorProto

from cairn.domain import Layout
from cairn.errors import MalformedError, UntrustedDataError
from cairn.formats import READERS, BytesSource, read_layout
from fuzz.seeds import suites
from tests.formats.making import Persistent, archive, layout_of, pickled, rebuilt, safetensors_bytes
from tests.formats.test_coreml import SINGLE, blob_value, constant, model
from tests.formats.test_flax import saved as packed
from tests.formats.test_gguf import head, info
from tests.formats.test_numpy import dict_of
from tests.formats.test_onnx import bytes_with, external
from tests.formats.test_torch_legacy import by_hand

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs/formats/hostile.md"
MAX_PEAK_BYTES = 8 << 20
FLOAT = TensorProto.FLOAT


def outcome(data: bytes) -> Layout | UntrustedDataError:
    """What reading gives, within a bounded memory."""
    tracemalloc.start()
    try:
        return read_layout(BytesSource(data, "sample"))
    except UntrustedDataError as error:
        return error
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < MAX_PEAK_BYTES + 2 * len(data)


def zipped(call: object) -> bytes:
    return archive(pickled({"w": call}), {"0": bytes(16)})


def legacy(call: object) -> bytes:
    return by_hand(pickled({"w": call}), [("0", 4, bytes(16))])


def view(offset: int, size: tuple[int, ...], strides: tuple[int, ...]) -> object:
    return rebuilt(Persistent("0", 4), offset, size, strides)


def numpy_file(text: str) -> bytes:
    raw = text.encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(raw)) + raw + bytes(8)


def entry(shape: list[int], offsets: tuple[int, int] = (0, 8)) -> bytes:
    found = {"w": {"dtype": "F32", "shape": shape, "data_offsets": offsets}}
    return safetensors_bytes(found, bytes(8))


def flax_array(*shape: int) -> bytes:
    return packed({"w": msgpack.ExtType(1, msgpack.packb((shape, "float32", bytes(8))))})


@pytest.mark.parametrize("carry", [zipped, legacy])
@pytest.mark.parametrize("strides", [(-1,), (-(2**63),), (-4,)])
def test_negative_strides_are_refused(carry: Callable[[object], bytes], strides) -> None:
    assert isinstance(outcome(carry(view(3, (2,), strides))), MalformedError)


@pytest.mark.parametrize(
    "data",
    [
        *(carry(view(0, (-2,), (1,))) for carry in (zipped, legacy)),
        *(carry(view(-1, (2,), (1,))) for carry in (zipped, legacy)),
        numpy_file(dict_of(shape="(-2,)")),
        entry([-2]),
        entry([2], (-8, 0)),
        bytes_with(TensorProto(name="w", data_type=FLOAT, dims=[-2], raw_data=bytes(8))),
        bytes_with(external(offset=-8)),
        bytes_with(external(length=-48)),
        flax_array(-2),
    ],
)
def test_negative_shapes_and_offsets_are_refused(data: bytes) -> None:
    found = outcome(data)
    assert isinstance(found, UntrustedDataError) or not found.tensors


@pytest.mark.parametrize(
    "data",
    [
        *(carry(view(0, (2**32, 2**32), (0, 0))) for carry in (zipped, legacy)),
        *(carry(view(2**62, (2,), (2**62,))) for carry in (zipped, legacy)),
        *(carry(view(2**63 - 1, (2,), (1,))) for carry in (zipped, legacy)),
        entry([2**32, 2**32]),
        entry([2**62, 8]),
        entry([2], (0, 2**64 - 8)),
        head(infos=[info("w", (2**32, 2**32))]),
        head(infos=[info("w", (8,), offset=2**64 - 32)], data=bytes(32)),
        numpy_file(dict_of(shape=f"({2**32}, {2**32})")),
        bytes_with(TensorProto(name="w", data_type=FLOAT, dims=[2**62, 8])),
        bytes_with(external(offset=2**63 - 1)),
        bytes_with(external(length=2**64)),
        model(constant("w", blob_value(SINGLE, (2**62, 8), 64))),
        model(constant("w", blob_value(SINGLE, (2,), 2**64 - 1))),
        flax_array(2**62, 8),
    ],
)
def test_sizes_and_offsets_that_overflow_are_refused(data: bytes) -> None:
    found = outcome(data)
    assert isinstance(found, UntrustedDataError) or not found.tensors


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 2**64 - 1) + b"{}",
        head(n_tensors=2**63),
        head(n_pairs=2**64 - 1),
        b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1) + b"{}",
        b"\x81\xa1w\xc6\xff\xff\xff\xff",  # msgpack: bytes
        b"\x81\xa1w\xdd\xff\xff\xff\xff",  # msgpack: an array
        b"\xdf\xff\xff\xff\xff",  # msgpack: a map
        b"\x08\x07\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f",  # protobuf: a graph
        *(carry(b"\x80\x04\x8e" + struct.pack("<Q", 2**62)) for carry in (by_hand, archive, bytes)),
        struct.pack("<II56x", 2**32 - 1, 2) + struct.pack("<IIQQQ32x", 0xDEADBEEF, 2, 8, 128, 0),
    ],
)
def test_a_huge_declared_length_is_refused_before_it_is_allocated(data: bytes) -> None:
    assert isinstance(outcome(data), UntrustedDataError)


@pytest.mark.parametrize(
    "data",
    [
        safetensors_bytes(b'{"__metadata__":' + b"[" * 100_000, b""),
        numpy_file("(" * 60_000),
        b"\x81\xa1w" + b"\x91" * 100_000 + b"\xc0",
        *(
            carry(b"\x80\x02" + b"(" * 100_000 + b"l" * 100_000 + b".")
            for carry in (by_hand, archive, bytes)
        ),
        *(
            carry(b"\x80\x04" + b"]" * 100_000 + b"a" * 99_999 + b".")
            for carry in (by_hand, archive, bytes)
        ),
    ],
)
def test_deep_nesting_ends_in_an_error_of_ours(data: bytes) -> None:
    try:
        read_layout(BytesSource(data))
    except UntrustedDataError:
        return
    pytest.fail("a hundred thousand levels were read")


def shared(depth: int, leaf: bytes) -> bytes:
    """A list of a list ... each holding the one below ten times: 10**depth paths."""
    program = b"\x80\x02" + leaf + b"q\x00"
    for level in range(depth):
        get = b"h" + bytes([level])
        program += b"]q" + bytes([level + 1]) + b"(" + get * 10 + b"e"
    return program + b"."


@pytest.mark.parametrize("carry", [by_hand, archive, bytes])
@pytest.mark.parametrize("leaf", [b"]", b"}", b"X\x03\x00\x00\x00lol"])
def test_a_memo_bomb_is_walked_once(carry: Callable[[bytes], bytes], leaf: bytes) -> None:
    found = outcome(carry(shared(200, leaf)))
    assert isinstance(found, UntrustedDataError) or len(found.metadata) < 3000


@pytest.mark.parametrize(
    "path", ["../w.bin", "/etc/passwd", "a/../../w.bin", "..\\w.bin", "C:w.bin", "w\0.bin", "a//b"]
)
@pytest.mark.parametrize(
    "make",
    [
        lambda path: bytes_with(external(path)),
        lambda path: model(constant("w", blob_value(SINGLE, (2,), 64, path))),
    ],
    ids=["onnx", "coreml"],
)
def test_path_traversal_in_external_data_is_refused(make, path: str) -> None:
    assert isinstance(outcome(make(path)), MalformedError)


@pytest.mark.parametrize("name", [reader.name for reader in READERS])
def test_any_number_may_be_near_2_to_the_32_or_64(name: str) -> None:
    """Lengths, counts and offsets wherever they stand: no wrapping, no span outside the file."""
    rng = random.Random(name)
    for suite in suites()[name]:
        for data in list(suite.make().values())[:2]:
            for at in rng.sample(range(len(data)), min(100, len(data))):
                number = rng.choice((2**64 - 1, 2**64 - 8, 2**63, 2**63 - 1, 2**32 - 1, 2**31))
                raw = number.to_bytes(8, "little")[: rng.choice((4, 8))]
                found = outcome(data[:at] + raw + data[at + len(raw) :])
                for tensor in found.tensors if isinstance(found, Layout) else ():
                    assert tensor.pieces or tensor.span.stop <= found.size_bytes


def test_an_archive_of_itself_is_opened_once() -> None:
    """Archives within archives are members like others: nothing follows them down."""
    data = archive(pickled({"w": 1}))
    for _ in range(50):
        data = archive(pickled({"w": 1}), {"0": data})
    assert isinstance(outcome(data), Layout)


def test_values_of_overlapping_views_are_read_and_overlapping_storages_refused() -> None:
    views = {"a": view(0, (3,), (1,)), "b": view(1, (3,), (1,))}
    layout = layout_of(archive(pickled(views), {"0": np.arange(4, dtype="<f4").tobytes()}))
    assert [t.span.size_bytes for t in layout.tensors] == [12, 12]
    with pytest.raises(MalformedError, match="overlap"):
        layout_of(
            safetensors_bytes(
                {
                    name: {"dtype": "F32", "shape": [3], "data_offsets": [at, at + 12]}
                    for name, at in (("a", 0), ("b", 4))
                },
                bytes(16),
            )
        )


def test_every_attack_of_the_document_has_the_tests_it_names() -> None:
    named = re.findall(r"`([\w/.]+\.py)::(\w+)`", DOCUMENT.read_text())
    assert len(named) > 40
    missing = [
        (path, test)
        for path, test in named
        if not (ROOT / path).is_file() or f"def {test}(" not in (ROOT / path).read_text()
    ]
    assert missing == []
