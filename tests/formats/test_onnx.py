"""ONNX models: tensors as onnx reads them, graphs as they are, external data within the folder."""

import io
import struct
import warnings
from collections.abc import Iterable

import numpy as np
import onnx
import onnx.numpy_helper
import pytest
import torch
from onnx import TensorProto, helper

from cairn.domain import DType, Role
from cairn.errors import LimitError, MalformedError
from cairn.formats import BytesSource, read_layout
from cairn.formats.onnx_tensors import DTYPES
from cairn.formats.read_ahead import FIRST_BYTES
from cairn.formats.readers.onnx import OnnxReader
from cairn.formats.values import read_array
from cairn.testing.readers import CountingSource, ReaderConformance
from tests.formats.making import layout_of

FLOAT = TensorProto.FLOAT


def model_of(
    initializers: Iterable[TensorProto] = (), nodes: Iterable[onnx.NodeProto] = (), **options
) -> onnx.ModelProto:
    graph = helper.make_graph(
        list(nodes),
        "tiny",
        [helper.make_tensor_value_info("x", FLOAT, ["batch", 4])],
        [helper.make_tensor_value_info("y", FLOAT, None)],
        initializer=list(initializers),
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], **options)


def bytes_with(*initializers: TensorProto) -> bytes:
    return model_of(initializers).SerializeToString()


def dense(name: str, shape: tuple[int, ...], dtype=np.float32) -> TensorProto:
    values = np.arange(np.prod(shape), dtype=dtype).reshape(shape)
    return onnx.numpy_helper.from_array(values, name)


def gemm() -> onnx.NodeProto:
    return helper.make_node("Gemm", ["x", "w", "b"], ["y"])


class TestOnnx(ReaderConformance):
    reader = OnnxReader()
    read_ahead_bytes = 8 * FIRST_BYTES

    @classmethod
    def make(cls) -> dict[str, bytes]:
        constant = helper.make_node("Constant", [], ["c"], value=dense("", (2, 2)))
        typed = helper.make_tensor("t", TensorProto.INT32, [3], [1, -2, 300])
        return {
            "raw": model_of([dense("w", (3, 4)), dense("b", (3,))], [gemm()]).SerializeToString(),
            "typed and constant": model_of([typed], [constant]).SerializeToString(),
            "no tensors": model_of(
                [], [helper.make_node("Relu", ["x"], ["y"])]
            ).SerializeToString(),
            "larger than a page": model_of([dense("w", (60, 60))]).SerializeToString(),
        }


def assert_reads_as_onnx_does(data: bytes, tensors: dict[str, TensorProto]) -> None:
    found = {tensor.name: tensor for tensor in layout_of(data).tensors}
    assert set(found) == set(tensors)
    for name, proto in tensors.items():
        wanted = onnx.numpy_helper.to_array(proto)
        tensor = found[name]
        assert tensor.shape == wanted.shape
        raw = read_array(tensor, BytesSource(data)).tobytes()
        if tensor.dtype.block_elements > 1:  # onnx unpacks to a byte each
            again = onnx.numpy_helper.from_array(wanted)
            assert raw == again.raw_data, name
        else:
            assert raw == wanted.tobytes(), name


NUMERIC = sorted(set(DTYPES) - {27, 28})


def numbers_for(data_type: int, count: int) -> np.ndarray:
    dtype = helper.tensor_dtype_to_np_dtype(data_type)
    raw = np.random.default_rng(data_type).integers(-2 if dtype.kind == "i" else 0, 2, count)
    return raw.astype(np.float32).astype(dtype)


@pytest.mark.parametrize("shape", [(), (0, 2), (5,), (2, 3)], ids=str)
@pytest.mark.parametrize("raw", [True, False], ids=["raw", "typed"])
@pytest.mark.parametrize("data_type", NUMERIC, ids=lambda t: TensorProto.DataType.Name(t))
def test_every_type_has_the_values_that_onnx_reads(data_type: int, raw: bool, shape) -> None:
    count = int(np.prod(shape, dtype=int))
    values = numbers_for(data_type, count)
    if raw:
        proto = onnx.numpy_helper.from_array(values.reshape(shape), "w")
    else:
        proto = helper.make_tensor("w", data_type, shape, values)
    assert proto.HasField("raw_data") is raw
    assert_reads_as_onnx_does(bytes_with(proto), {"w": proto})


def test_every_type_of_onnx_is_known_but_text() -> None:
    assert set(DTYPES) == set(TensorProto.DataType.values()) - {
        TensorProto.UNDEFINED,
        TensorProto.STRING,
    }


def test_integers_of_any_size_come_back_from_varints() -> None:
    for data_type, values in (
        (TensorProto.INT32, [0, -1, 2**31 - 1, -(2**31)]),
        (TensorProto.INT64, [0, -1, 2**63 - 1, -(2**63)]),
        (TensorProto.UINT64, [0, 2**64 - 1, 300]),
        (TensorProto.UINT32, [0, 2**32 - 1, 300]),
        (TensorProto.INT8, [0, -1, -128, 127]),
    ):
        proto = helper.make_tensor("w", data_type, [len(values)], values)
        assert_reads_as_onnx_does(bytes_with(proto), {"w": proto})


def unpacked(number: int, payloads: list[bytes], wire_type: int, data_type: int) -> bytes:
    """A model with a tensor whose numbers are a field each, as no current writer leaves them."""
    body = bytes([1 << 3, len(payloads), 2 << 3, data_type])
    body += b"".join(bytes([number << 3 | wire_type]) + payload for payload in payloads)
    body += b"\x42\x01w"
    graph = b"\x2a" + bytes([len(body)]) + body
    return b"\x08\x0a\x3a" + bytes([len(graph)]) + graph + b"\x42\x02\x10\x15"


def test_numbers_that_are_a_field_each_are_read() -> None:
    floats = [struct.pack("<f", value) for value in (1.5, -2.0, 3.0)]
    for data in (
        unpacked(4, floats, 5, FLOAT),
        unpacked(5, [b"\x01", b"\xac\x02", b"\x00"], 0, TensorProto.INT32),
        unpacked(10, [struct.pack("<d", 0.1)] * 2, 1, TensorProto.DOUBLE),
    ):
        (proto,) = onnx.load_from_string(data).graph.initializer
        assert_reads_as_onnx_does(data, {"w": proto})


def test_tensors_of_constants_and_subgraphs_are_named_by_where_they_stand() -> None:
    def branch(name: str) -> onnx.GraphProto:
        node = helper.make_node("Identity", [f"{name}_w"], [f"{name}_y"])
        output = helper.make_tensor_value_info(f"{name}_y", FLOAT, [2])
        return helper.make_graph([node], name, [], [output], initializer=[dense(f"{name}_w", (2,))])

    nodes = [
        helper.make_node("Constant", [], ["flag"], value=dense("ignored", (), np.int64)),
        helper.make_node("If", ["flag"], ["y"], then_branch=branch("a"), else_branch=branch("b")),
    ]
    function = helper.make_function(
        "local", "Scaled", ["x"], ["z"],
        [helper.make_node("Constant", [], ["scale"], value=dense("", (3,)))],
        [helper.make_opsetid("", 21)],
    )  # fmt: skip
    data = model_of([dense("w", (2, 2))], nodes, functions=[function]).SerializeToString()
    found = {tensor.name: tensor.role for tensor in layout_of(data).tensors}
    assert found == {
        "w": Role.WEIGHTS,
        "flag": Role.BUFFERS,
        "y.then_branch.a_w": Role.WEIGHTS,
        "y.else_branch.b_w": Role.WEIGHTS,
        "Scaled.scale": Role.BUFFERS,
    }


def test_the_graph_is_told_in_metadata() -> None:
    model = model_of([dense("w", (3, 4))], [gemm(), gemm()], producer_name="me")
    helper.set_model_props(model, {"model_type": "bert"})
    layout = layout_of(model.SerializeToString())
    assert layout.metadata["producer_name"] == "me"
    assert layout.metadata["opset.ai.onnx"] == 21
    assert layout.metadata["inputs.x"] == "F32[batch, 4]"
    assert layout.metadata["outputs.y"].startswith("F32[")
    assert layout.metadata["operators.Gemm"] == 2
    assert (layout.architecture.family, layout.architecture.evidence) == (
        "bert",
        "ONNX metadata model_type",
    )


def test_initializers_that_are_inputs_too_are_not_told_as_inputs() -> None:
    model = model_of([dense("w", (3, 4))])
    model.graph.input.append(helper.make_tensor_value_info("w", FLOAT, [3, 4]))
    assert "inputs.w" not in layout_of(model.SerializeToString()).metadata


def test_a_graph_alone_names_no_family() -> None:
    assert layout_of(bytes_with(dense("w", (3,)))).architecture is None


def test_what_torch_exports_is_read() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(module, (torch.ones(1, 4),), dynamo=True, verbose=False)
    buffer = io.BytesIO()
    program.save(buffer)
    data = buffer.getvalue()
    weights = {p.name: p for p in onnx.load_from_string(data).graph.initializer}
    assert_reads_as_onnx_does(data, weights)
    layout = layout_of(data)
    assert layout.parameters_by_dtype() == {DType.F32: 23}
    for name, value in module.state_dict().items():
        (tensor,) = (t for t in layout.tensors if t.name == name)
        assert read_array(tensor, BytesSource(data)).tobytes() == value.numpy().tobytes()


def external(location: str = "w.bin", **keys: object) -> TensorProto:
    proto = TensorProto(name="w", data_type=FLOAT, dims=[3, 4])
    proto.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **keys}.items():
        proto.external_data.add(key=key, value=str(value))
    return proto


def test_external_data_is_a_piece_of_another_file() -> None:
    for keys, start in (({}, 0), ({"offset": 4096, "length": 48, "checksum": "x"}, 4096)):
        (tensor,) = layout_of(bytes_with(external("sub/w.bin", **keys))).tensors
        (piece,) = tensor.pieces
        assert (piece.path, piece.span.start, piece.span.size_bytes) == ("sub/w.bin", start, 48)


@pytest.mark.parametrize(
    ("proto", "why"),
    [
        (external("../w.bin"), "outside the checkpoint"),
        (external("/etc/passwd"), "outside the checkpoint"),
        (external("a/../../w.bin"), "outside the checkpoint"),
        (external("..\\w.bin"), "outside the checkpoint"),
        (external("C:w.bin"), "outside the checkpoint"),
        (external(""), "does not say in which file"),
        (external(offset=-1), "external offset"),
        (external(offset="9" * 30), "external offset"),
        (external(offset="0x10"), "external offset"),
        (external(offset="٣"), "external offset"),
        (external(offset=2**63 - 1), "beyond any file"),
        (external(length=47), "needs 48 bytes"),
        (external(length=2**62), "needs 48 bytes"),
        (TensorProto(name="w", data_type=FLOAT, dims=[2], raw_data=bytes(4)), "needs 8 bytes"),
        (TensorProto(name="w", data_type=FLOAT, dims=[-2], raw_data=bytes(8)), "negative"),
        (TensorProto(name="w", data_type=FLOAT, dims=[2**62, 8], raw_data=b""), "63 bits"),
        (TensorProto(name="w", data_type=99, dims=[2], raw_data=bytes(4)), "type 99"),
        (TensorProto(name="w", dims=[2], raw_data=bytes(4)), "type 0"),
        (TensorProto(name="w", data_type=FLOAT, dims=[3], float_data=[1, 2]), "needs 12 bytes"),
        (TensorProto(name="w", data_type=7, dims=[3], int64_data=[1, 2]), "of 3 numbers"),
        (TensorProto(name="w", data_type=7, dims=[1 << 40], int64_data=[1]), "numbers"),
    ],
)
def test_an_impossible_tensor_is_refused(proto: TensorProto, why: str) -> None:
    with pytest.raises(MalformedError, match=why):
        layout_of(bytes_with(proto))


def test_two_tensors_of_one_name_are_refused() -> None:
    with pytest.raises(MalformedError, match="two tensors"):
        layout_of(bytes_with(dense("w", (2,)), dense("w", (2,))))


def test_varints_that_are_too_few_give_no_values() -> None:
    proto = helper.make_tensor("w", TensorProto.INT64, [3], [300, 1, 1])
    data = bytes_with(proto).replace(b"\xac\x02\x01\x01", b"\xac\x82\x81\x01")
    (tensor,) = layout_of(data).tensors
    with pytest.raises(MalformedError, match="varints"):
        read_array(tensor, BytesSource(data))


@pytest.mark.parametrize(
    ("proto", "why"),
    [
        (helper.make_tensor("w", TensorProto.STRING, [1], [b"a"]), "text"),
        (TensorProto(name="w", data_type=FLOAT, dims=[2]), "no data"),
        (TensorProto(name="w", data_type=27, dims=[3], raw_data=bytes(3)), "six-bit"),
    ],
)
def test_what_is_not_read_is_noted(proto: TensorProto, why: str) -> None:
    layout = layout_of(bytes_with(proto, dense("v", (2,))))
    assert [tensor.name for tensor in layout.tensors] == ["v"]
    assert any(why in note for note in layout.notes)


def test_sparse_initializers_are_noted() -> None:
    model = model_of([])
    sparse = helper.make_sparse_tensor(dense("v", (1,)), dense("i", (1,), np.int64), [9])
    model.graph.sparse_initializer.append(sparse)
    assert any("sparse" in note for note in layout_of(model.SerializeToString()).notes)


def test_a_bomb_of_nested_graphs_is_refused() -> None:
    def message(number: int, body: bytes) -> bytes:
        return bytes([number << 3 | 2, len(body) & 0x7F | 0x80, len(body) >> 7]) + body

    graph = message(2, b"g")
    for _ in range(40):
        graph = message(1, message(5, message(6, graph)))
    data = b"\x08\x0a" + message(7, graph) + b"\x42\x02\x10\x15"
    with pytest.raises(LimitError, match="nest"):
        layout_of(data)


def test_a_model_that_says_things_twice_is_refused() -> None:
    data = bytes_with(dense("w", (2,)))
    with pytest.raises(MalformedError, match="twice"):
        layout_of(data + data)


def test_other_protobuf_files_are_not_taken_for_models() -> None:
    saved_model = b"\x08\x01\x12\x04\x0a\x02\x08\x01"  # TensorFlow: schema version, meta graph
    for data in (saved_model, b"\x08\x01", b"\x08\x01\x3a\x00", b"\x08\x01\x3a\x02\x08\x01"):
        assert not OnnxReader().recognises(data, BytesSource(data))


def test_large_tensors_are_skipped_unread() -> None:
    data = bytes_with(*(dense(f"w{i}", (100, 100)) for i in range(8)))
    source = CountingSource(BytesSource(data))
    assert len(read_layout(source).tensors) == 8
    assert source.bytes_read < len(data) // 8


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.COMPLEX64, TensorProto.COMPLEX128])
def test_numbers_in_a_field_that_is_not_theirs_are_named_and_not_read(kind: int) -> None:
    """Found by fuzzing: the values of a complex number among integers raised a TypeError."""
    proto = TensorProto(name="odd", data_type=kind, dims=[2], int32_data=[1, 2])
    data = onnx.helper.make_model(
        onnx.helper.make_graph([], "g", [], [], initializer=[proto])
    ).SerializeToString()
    layout = read_layout(BytesSource(data))
    assert layout.tensors == ()
    assert any("field for integers" in note for note in layout.notes)
