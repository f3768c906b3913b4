"""Core ML: programs with their weights, other models by name, and files nobody should write.

The files here are put together field by field; what coremltools writes is read in
`tests/frameworks`.
"""

import struct
from pathlib import Path

import numpy as np
import pytest

from cairn.domain import DType
from cairn.errors import LimitError, MalformedError, UnknownFormatError
from cairn.formats.assemblers.coreml import CoremlAssembler
from cairn.formats.readers.coreml import CoremlReader
from cairn.formats.readers.mil_blob import MilBlobReader
from cairn.testing.assemblers import AssemblerConformance
from cairn.testing.readers import ReaderConformance
from cairn.workflows.inspect import read_path
from tests.formats.making import layout_of

WEIGHTS = "@model_path/weights/weight.bin"
HALF, SINGLE, WHOLE = 10, 11, 23


def varint(value: int) -> bytes:
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def message(field: int, *body: bytes) -> bytes:
    raw = b"".join(body)
    return varint(field << 3 | 2) + varint(len(raw)) + raw


def tensor_type(dtype: int, shape: tuple[int, ...]) -> bytes:
    axes = (message(3, message(1, number(1, axis))) for axis in shape)
    return message(2, message(1, number(1, dtype), number(2, len(shape)), *axes))


def blob_value(dtype: int, shape: tuple[int, ...], offset: int, path: str = WEIGHTS) -> bytes:
    return tensor_type(dtype, shape) + message(5, message(1, path.encode()), number(2, offset))


def immediate(dtype: int, shape: tuple[int, ...], field: int, values: bytes) -> bytes:
    return tensor_type(dtype, shape) + message(3, message(1, message(field, message(1, values))))


def constant(name: str, value: bytes, kind: str = "const", key: str = "val") -> bytes:
    return message(
        3,
        message(1, kind.encode()),
        message(3, message(1, name.encode())),
        message(5, message(1, key.encode()), message(2, value)),
    )


def model(*operations: bytes, function: str = "main") -> bytes:
    block = message(3, message(1, b"CoreML6"), message(2, *operations))
    program = message(2, message(1, function.encode()), message(2, message(2, b"CoreML6"), block))
    return number(1, 7) + message(2, message(1, message(1, b"x"))) + message(502, program)


def weights(*blobs: tuple[int, bytes], padding: int = 0) -> bytes:
    out = struct.pack("<II56x", len(blobs), 2)
    for kind, data in blobs:
        out += bytes(-len(out) % 64)
        record = (0xDEADBEEF, kind, len(data), len(out) + 64, padding)
        out += struct.pack("<IIQQQ32x", *record) + data
    return out


class TestCoreml(ReaderConformance):
    reader = CoremlReader()
    read_ahead_bytes = 64

    @classmethod
    def make(cls) -> dict[str, bytes]:
        bias = np.ones(4, np.float32).tobytes()
        return {
            "program": model(
                constant("w", blob_value(SINGLE, (4, 8), 64)),
                constant("b", immediate(SINGLE, (4,), 1, bias)),
            ),
        }


class TestMilBlob(ReaderConformance):
    reader = MilBlobReader()

    @classmethod
    def make(cls) -> dict[str, bytes]:
        return {
            "two blobs": weights((2, bytes(128)), (1, bytes(64))),
            "larger than a page": weights((2, bytes(6400)), (4, bytes(64))),
        }


def package_files() -> dict[str, bytes]:
    """A matrix and a vector in the weights, and a vector in the model."""
    matrix, vector = np.arange(32, dtype=np.float32), np.arange(5, dtype=np.float16)
    return {
        "weights/weight.bin": weights((2, matrix.tobytes()), (1, vector.tobytes())),
        "model.mlmodel": model(
            constant("w", blob_value(SINGLE, (4, 8), 64)),
            constant("q", blob_value(HALF, (5,), 256), "constexpr_lut_to_dense", "lut"),
            constant("b", immediate(HALF, (2,), 7, np.array([1, 2], np.float16).tobytes())),
            constant("epsilon", immediate(SINGLE, (), 1, struct.pack("<f", 1e-5))),
            constant("strides", immediate(WHOLE, (2,), 2, b"\x01\x02")),
        ),
    }


class TestCoremlPackage(AssemblerConformance):
    assembler = CoremlAssembler()

    @classmethod
    def make(cls) -> dict[str, dict[str, bytes]]:
        return {"package": package_files()}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "tiny.mlpackage/Data/com.apple.CoreML"
    (folder / "weights").mkdir(parents=True)
    for path, data in package_files().items():
        (folder / path).write_bytes(data)
    return folder.parents[1]


def test_a_package_is_one_model_with_named_tensors(package: Path) -> None:
    found = read_path(package)
    values = {
        tensor.name: (tensor.dtype, tensor.shape, b"".join(found.blocks(path, tensor)))
        for path, tensor in found.checkpoint.tensors()
    }
    assert values == {
        "w": (DType.F32, (4, 8), np.arange(32, dtype=np.float32).tobytes()),
        "q.lut": (DType.F16, (5,), np.arange(5, dtype=np.float16).tobytes()),
        "b": (DType.F16, (2,), np.array([1, 2], np.float16).tobytes()),
    }
    assert found.checkpoint.unread == {}


def test_weights_alone_are_listed_by_their_offsets(package: Path) -> None:
    found = read_path(package / "Data/com.apple.CoreML/weights/weight.bin").checkpoint
    assert [t.name for _, t in found.tensors()] == ["blob at 64", "blob at 256"]


def test_a_model_whose_weights_are_missing_says_so(package: Path) -> None:
    (package / "Data/com.apple.CoreML/weights/weight.bin").unlink()
    unread = read_path(package).checkpoint.unread
    assert "not there" in unread["Data/com.apple.CoreML/weights/weight.bin"]


def test_a_model_that_refers_to_no_blob_is_unread(package: Path) -> None:
    path = package / "Data/com.apple.CoreML/model.mlmodel"
    path.write_bytes(model(constant("w", blob_value(SINGLE, (4, 8), 128))))
    unread = read_path(package).checkpoint.unread
    assert "not one of the blobs" in unread["Data/com.apple.CoreML/model.mlmodel"]


def test_functions_other_than_main_come_before_their_tensors() -> None:
    data = model(constant("w", blob_value(SINGLE, (4, 8), 64)), function="prefill")
    assert [t.name for t in layout_of(data).tensors] == ["prefill.w"]


def test_operators_are_counted() -> None:
    data = model(*(constant(f"w{i}", blob_value(SINGLE, (1,), 64 * i)) for i in range(3)))
    assert layout_of(data).metadata == {"specification_version": 7, "operators.const": 3}


@pytest.mark.parametrize(("field", "what"), [(500, "neural network"), (402, "tree"), (888, "888")])
def test_other_kinds_of_models_are_named(field: int, what: str) -> None:
    data = number(1, 1) + message(2, message(1, b"")) + message(field, b"\x0a\x00")
    with pytest.raises(UnknownFormatError, match=rf"{what}.*not read yet.*ML program"):
        layout_of(data)


@pytest.mark.parametrize(
    "path", ["../weight.bin", "/etc/passwd", "@model_path/../../x", "a\\..\\..\\x", ""]
)
def test_weights_outside_the_package_are_refused(path: str) -> None:
    with pytest.raises(MalformedError, match="outside the checkpoint"):
        layout_of(model(constant("w", blob_value(SINGLE, (2,), 64, path))))


@pytest.mark.parametrize(
    ("operations", "why"),
    [
        ([constant("w", blob_value(SINGLE, (2**62, 8), 64))], "beyond any file"),
        ([constant("w", blob_value(SINGLE, (2,), 2**64 - 1))], "beyond any file"),
        ([constant("w", blob_value(SINGLE, (2**63,), 64))], "shape"),
        ([constant("w", blob_value(SINGLE, (1,) * 70, 64))], "shape"),
        ([constant("w", blob_value(SINGLE, (2,), 64))] * 2, "two tensors"),
        ([constant("w", immediate(SINGLE, (3,), 1, bytes(8)))], "needs 12 bytes"),
    ],
)
def test_an_impossible_constant_is_refused(operations: list[bytes], why: str) -> None:
    with pytest.raises(MalformedError, match=why):
        layout_of(model(*operations))


def test_a_bomb_of_nested_blocks_is_refused() -> None:
    operation = b""
    for _ in range(40):
        operation = message(3, message(4, operation))
    with pytest.raises(LimitError, match="nest"):
        layout_of(model(operation))


def test_types_without_a_name_here_are_noted() -> None:
    layout = layout_of(model(constant("w", blob_value(38, (8,), 64))))  # 6-bit
    assert layout.tensors == ()
    assert any("not read" in note for note in layout.notes)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (weights((2, bytes(64)))[:-1], "beyond the file"),
        (weights((2, bytes(64))) + b"x", "the file has"),
        (struct.pack("<I", 2**31) + weights((2, bytes(64)))[4:], "do not fit"),
        (struct.pack("<I", 2) + weights((2, bytes(64)))[4:], "ends inside"),
        (weights((99, bytes(64))), "type 99"),
        (weights((2, bytes(63)), (2, bytes(4))), "no whole number"),
        (weights((8, bytes(4)), padding=64), "no whole number"),
        (weights((2, bytes(64))).replace(b"\x80" + bytes(7), b"\x88" + bytes(7)), "broken"),
    ],
)
def test_broken_weights_are_refused(data: bytes, why: str) -> None:
    with pytest.raises(MalformedError, match=why):
        layout_of(data)


def test_blobs_narrower_than_a_byte_are_counted_by_their_padding() -> None:
    (tensor,) = layout_of(weights((8, bytes(3)), padding=4)).tensors
    assert (tensor.dtype, tensor.shape) == (DType.I4, (5,))
    layout = layout_of(weights((13, bytes(3))))
    assert (layout.tensors[0].dtype, layout.tensors[0].shape) == (DType.U8, (3,))
    assert any("6-bit" in note for note in layout.notes)
