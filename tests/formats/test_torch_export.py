"""Exported programs: weights by qualified name as torch has them, the graph told in short."""

import io
import json
import zipfile

import pytest
import torch
from torch import nn

from cairn.domain import Role
from cairn.errors import MalformedError
from cairn.formats import BytesSource
from cairn.formats.readers.torch_export import TorchExportReader
from cairn.formats.values import read_array
from cairn.testing.readers import ReaderConformance
from tests.formats.making import bytes_of, layout_of


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(2, 3)
        self.norm = nn.BatchNorm1d(3)
        self.tied = self.first
        self.scale = nn.Parameter(torch.ones(3, 2, dtype=torch.bfloat16).t())
        self.register_buffer("shift", torch.full((3,), 0.5), persistent=False)
        self.offset = torch.arange(3.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(self.tied(x)) + self.shift + self.offset + torch.tensor([1.0, 2.0, 3.0])
        return y * self.scale.sum()


def exported(model: nn.Module, *inputs: torch.Tensor) -> bytes:
    buffer = io.BytesIO()
    torch.export.save(torch.export.export(model.eval(), inputs), buffer)
    return buffer.getvalue()


def meta(dtype=7, sizes=(2,), strides=(1,), offset=0) -> dict:
    return {
        "dtype": dtype,
        "sizes": [{"as_int": n} for n in sizes],
        "strides": [{"as_int": n} for n in strides],
        "storage_offset": {"as_int": offset},
    }


def payload(path: str = "weight_0", **options) -> dict:
    return {
        "path_name": path,
        "is_param": True,
        "use_pickle": False,
        "tensor_meta": meta(**options),
    }


def by_hand(config=None, *, compression: int = zipfile.ZIP_STORED, **members: bytes) -> bytes:
    buffer = io.BytesIO()
    config = {"w": payload()} if config is None else config
    with zipfile.ZipFile(buffer, "w", compression) as out:
        out.writestr("a/data/weights/weight_0", bytes(16))
        text = json.dumps({"config": config})
        out.writestr("a/data/weights/m_weights_config.json", text)
        out.writestr("a/models/m.json", b"{}")
        out.writestr("a/archive_format", b"pt2")
        for name, content in members.items():
            out.writestr(f"a/{name}", content)
    return buffer.getvalue()


class TestTorchExport(ReaderConformance):
    reader = TorchExportReader()

    @classmethod
    def make(cls) -> dict[str, bytes]:
        two = {"w": payload(), "tail": payload(sizes=(2,), offset=2)}
        return {"by hand": by_hand(), "two views": by_hand(two), "no weights": by_hand({})}


def test_weights_have_the_names_and_values_of_the_module() -> None:
    model = Net()
    data = exported(model, torch.ones(4, 2))
    layout = layout_of(data, "net.pt2")
    assert layout.format == "torch-export"
    found = {tensor.name: tensor for tensor in layout.tensors}
    state = {**model.state_dict(), "shift": model.shift, "offset": model.offset}
    assert found.keys() - {"lifted_tensor_0"} == state.keys()
    for name, tensor in state.items():
        assert found[name].shape == tuple(tensor.shape)
        assert read_array(found[name], BytesSource(data)).tobytes() == bytes_of(tensor), name
    weights = {name for name in found if found[name].role is Role.WEIGHTS}
    assert weights == {name for name, _ in model.named_parameters(remove_duplicate=False)}
    assert found["tied.weight"].span == found["first.weight"].span


def test_the_graph_is_told_in_short() -> None:
    layout = layout_of(exported(Net(), torch.ones(4, 2)))
    assert layout.modules[""].endswith(".Net")
    assert layout.modules["norm"] == "torch.nn.modules.batchnorm.BatchNorm1d"
    metadata = layout.metadata
    assert metadata["torch_version"] == torch.__version__
    assert metadata["ops.aten.linear.default"] == 1
    assert metadata["ops.aten.add.Tensor"] == 3
    assert (metadata["inputs"], metadata["outputs"]) == (1, 1)
    assert str(metadata["schema_version"]).startswith("8.")


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16, torch.complex64])
def test_dtypes_are_those_of_the_module(dtype) -> None:
    model = nn.Linear(2, 2, dtype=dtype)
    data = exported(model, torch.ones(1, 2, dtype=dtype))
    found = {tensor.name: tensor for tensor in layout_of(data).tensors}
    assert read_array(found["weight"], BytesSource(data)).tobytes() == bytes_of(model.weight)


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"w": payload(sizes=(5,))}, "reaches to byte 20"),
        ({"w": payload(offset=3)}, "reaches"),
        ({"w": payload(strides=(2**40,))}, "reaches"),
        ({"w": payload(sizes=(-1,))}, "no dtype, sizes"),
        ({"w": payload(strides=(-1,))}, "no dtype, sizes"),
        ({"w": payload(offset=-1)}, "no dtype, sizes"),
        ({"w": payload(sizes=(True,))}, "no dtype, sizes"),
        ({"w": payload(sizes=(1,) * 65, strides=(1,) * 65)}, "no dtype, sizes"),
        ({"w": payload(sizes=(2**40, 2**40), strides=(0, 0))}, "elements"),
        ({"w": payload(sizes=(2, 2))}, "stride per axis"),
        ({"w": payload(dtype=0)}, "no dtype"),
        ({"w": payload(dtype="7")}, "no dtype"),
        ({"w": payload("../../archive_format")}, "not stored here"),
        ({"w": payload("weight_1")}, "not stored here"),
        ({"w": {}}, "says nothing of"),
        ({"w": 1}, "says nothing of"),
        ([], "no table"),
    ],
)
def test_an_impossible_payload_is_refused(config, why) -> None:
    with pytest.raises(MalformedError, match=why):
        layout_of(by_hand(config))


def test_sizes_that_are_symbols_are_refused() -> None:
    config = {"w": {**payload(), "tensor_meta": {**meta(), "sizes": [{"as_name": "s0"}]}}}
    with pytest.raises(MalformedError, match="no dtype, sizes"):
        layout_of(by_hand(config))


def test_compressed_weights_are_refused() -> None:
    with pytest.raises(MalformedError, match="not stored here"):
        layout_of(by_hand(compression=zipfile.ZIP_DEFLATED))


def test_pickled_objects_are_left_alone_and_noted() -> None:
    layout = layout_of(by_hand({"w": {**payload(), "use_pickle": True}, "v": payload()}))
    assert [tensor.name for tensor in layout.tensors] == ["v"]
    assert any("left alone" in note for note in layout.notes)


def test_a_graph_that_is_nonsense_says_nothing() -> None:
    """Only its JSON has to be well-formed: the weights do not depend on it."""
    stack = {"metadata": {"nn_module_stack": "a;b,c;;,,"}, "target": 7}
    nonsense = {"graph_module": {"graph": {"nodes": [1, stack, None]}, "signature": []}}
    buffer = by_hand().replace(b"a/models/m.json", b"a/models/0.json")
    layout = layout_of(by_hand(**{"models/0.json": json.dumps(nonsense).encode()}))
    assert layout.metadata["nodes"] == 3
    assert layout.modules == {"": ""}
    assert any("2 models" in note for note in layout.notes)
    assert layout_of(buffer).metadata["nodes"] == 0


def test_a_huge_graph_is_not_looked_at(monkeypatch) -> None:
    monkeypatch.setattr("cairn.formats.readers.torch_export.MAX_GRAPH_BYTES", 100)
    data = by_hand({}, **{"models/0.json": b" " * 101})
    assert any("not looked at" in note for note in layout_of(data).notes)


@pytest.mark.parametrize("said", [b"pt3", b"pt", b"pt22"])
def test_another_archive_format_is_refused(said) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as out:
        out.writestr("a/models/m.json", b"{}")
        out.writestr("a/archive_format", said)
    with pytest.raises(MalformedError, match="archive format"):
        layout_of(buffer.getvalue())
