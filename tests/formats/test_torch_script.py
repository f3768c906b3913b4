"""TorchScript: tensors by the names the module has, its classes, and code that is never run."""

import io
import zipfile

import pytest
import torch
from torch import nn

from cairn.domain import Role
from cairn.errors import LimitError, MalformedError
from cairn.formats import BytesSource
from cairn.formats.readers.torch_script import TorchScriptReader
from cairn.formats.values import read_array
from cairn.testing.readers import ReaderConformance
from tests.formats.making import Persistent, archive, bytes_of, layout_of, pickled, rebuilt

pytestmark = pytest.mark.filterwarnings("ignore")


class Inner(nn.Module):
    k: int

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(2, 3)
        self.register_buffer("shift", torch.full((2,), 0.5))
        self.norm = nn.BatchNorm1d(3)
        self.k = 3

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.fc(x + self.shift)) * self.k


class Outer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = Inner()
        self.heads = nn.ModuleList([nn.Linear(3, 2), nn.Linear(2, 2)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.inner(x)
        for head in self.heads:
            x = head(x)
        return x


def file_of(module) -> bytes:
    buffer = io.BytesIO()
    torch.jit.save(module, buffer)
    return buffer.getvalue()


def scripted(module: nn.Module) -> bytes:
    return file_of(torch.jit.script(module.eval()))


class TestTorchScript(ReaderConformance):
    reader = TorchScriptReader()

    @classmethod
    def make(cls) -> dict[str, bytes]:
        weight = {"w": rebuilt(Persistent("0", 4))}
        return {
            "linear": scripted(nn.Linear(2, 1)),
            "by hand": archive(pickled(weight), {"0": bytes(16)}, **{"constants.pkl": pickled(())}),
        }


@pytest.mark.parametrize("how", ["script", "trace"])
def test_tensors_classes_and_buffers_are_those_of_the_module(how: str) -> None:
    model = Outer().eval()
    module = (
        torch.jit.script(model) if how == "script" else torch.jit.trace(model, torch.ones(1, 2))
    )
    data = file_of(module)
    layout = layout_of(data)
    assert layout.format == "torchscript"
    state = model.state_dict()
    found = {tensor.name: tensor for tensor in layout.tensors}
    assert {name for name in found if not name.startswith("CONSTANTS.")} == set(state)
    for name, tensor in state.items():
        assert read_array(found[name], BytesSource(data)).tobytes() == bytes_of(tensor), name
    buffers = {name for name, _ in model.named_buffers()}
    ours = {name for name in state if found[name].role is Role.BUFFERS}
    assert ours == buffers
    assert layout.modules[""].endswith(".Outer")
    assert layout.modules["inner"].endswith(".Inner")
    assert layout.modules["heads"] == "torch.nn.modules.container.ModuleList"
    assert layout.modules["heads.1"] == "torch.nn.modules.linear.Linear"
    assert not any("mangle" in name or "__torch__" in name for name in layout.modules.values())
    assert layout.metadata["code_files"] >= 4
    assert any("none of which is run" in note for note in layout.notes)


def test_attributes_are_metadata() -> None:
    layout = layout_of(scripted(Outer()))
    assert layout.metadata["inner.k"] == 3
    assert not any("training" in key or "hook" in key for key in layout.metadata)


def test_a_frozen_module_has_its_weights_among_the_constants() -> None:
    model = nn.Sequential(nn.Linear(2, 3)).eval()
    data = file_of(torch.jit.freeze(torch.jit.script(model)))
    layout = layout_of(data)
    values = {read_array(t, BytesSource(data)).tobytes() for t in layout.tensors}
    assert {bytes_of(model[0].weight), bytes_of(model[0].bias)} <= values
    assert {tensor.name for tensor in layout.tensors} >= {"CONSTANTS.c0", "CONSTANTS.c1"}
    assert {tensor.role for tensor in layout.tensors} == {Role.WEIGHTS}


def test_constants_beside_parameters_are_no_weights() -> None:
    model = Outer().eval()
    offset = torch.arange(3)
    traced = file_of(torch.jit.trace(lambda x: x + offset, torch.ones(3)))
    assert [t.role for t in layout_of(traced).tensors] == [Role.WEIGHTS]
    both = layout_of(file_of(torch.jit.trace(model, torch.ones(1, 2))))
    constants = [t for t in both.tensors if t.name.startswith("CONSTANTS.")]
    assert {tensor.role for tensor in constants} <= {Role.BUFFERS}


def test_packed_quantised_layers_show_their_integers() -> None:
    model = torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Linear(2, 3)), {nn.Linear})
    layout = layout_of(file_of(torch.jit.script(model)))
    found = {tensor.dtype.label: tensor for tensor in layout.tensors}
    assert found["QI8"].shape == (3, 2)
    assert {tensor.role for tensor in layout.tensors} == {Role.WEIGHTS}


def test_archives_for_phones_are_read() -> None:
    module = torch.jit.script(nn.Linear(2, 3))
    layout = layout_of(module._save_to_buffer_for_lite_interpreter())
    assert [tensor.name for tensor in layout.tensors] == ["weight", "bias"]


def test_code_that_would_run_is_text(tmp_path) -> None:
    """The source is replaced by Python that would leave a trace."""
    trace = tmp_path / "ran"
    data, out = scripted(nn.Linear(2, 1)), io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            evil = f"open({str(trace)!r}, 'w')".encode()
            new.writestr(name, evil if name.endswith(".py") else old.read(name))
    assert len(layout_of(out.getvalue()).tensors) == 2
    assert not trace.exists()


def test_constants_that_are_impossible_are_refused() -> None:
    constants = pickled((rebuilt(Persistent("0", 4)),))
    with pytest.raises(MalformedError, match="not in the file"):
        layout_of(archive(pickled({}), **{"constants.pkl": constants}))
    kept = {"constants.pkl": constants, "constants/0": bytes(16)}
    (tensor,) = layout_of(archive(pickled({}), **kept)).tensors
    assert tensor.name == "CONSTANTS.c0"


def test_the_two_pickles_share_one_budget(monkeypatch) -> None:
    data = archive(pickled(list(range(20))), **{"constants.pkl": pickled((list(range(20)),))})
    layout_of(data)
    monkeypatch.setattr("cairn.formats.torch_archive.MAX_LAYOUT_OPCODES", 40)
    with pytest.raises(LimitError, match="opcodes"):
        layout_of(data)


def test_modules_that_contain_each_other_and_share_a_state_are_walked_once() -> None:
    made = b"c__torch__\nM\n)\x81q\x01}q\x02X\x01\x00\x00\x00ah\x01sb"
    layout = layout_of(archive(b"\x80\x02" + made + b".", **{"constants.pkl": pickled(())}))
    assert layout.modules == {"": "__main__.M"}
    shared = b"c__torch__\nM\n)\x81h\x02b"
    program = b"\x80\x02]" + made + b"a" + shared * 3 + b"0" * 3 + b"."
    assert layout_of(archive(program, **{"constants.pkl": pickled(())})).format == "torchscript"


def test_much_code_is_not_looked_into(monkeypatch) -> None:
    monkeypatch.setattr("cairn.formats.script_objects.MAX_SCRIPT_BYTES", 10)
    layout = layout_of(scripted(Outer()))
    roles = {tensor.name: tensor.role for tensor in layout.tensors}
    assert roles["inner.shift"] is Role.WEIGHTS  # nothing says that it is a buffer
    assert roles["inner.norm.running_mean"] is Role.BUFFERS
