"""Whole pickled modules: the tree of classes, how they were made, parameters apart from buffers."""

import sys
import types

import pytest
import torch
from torch import nn

from cairn.domain import Role
from cairn.errors import LimitError
from cairn.formats import BytesSource, limits
from cairn.formats.values import read_array
from tests.formats.making import (
    Made,
    Name,
    Persistent,
    archive,
    bytes_of,
    layout_of,
    pickled,
    rebuilt,
    saved,
)

LEGACY = {"_use_new_zipfile_serialization": False}


class Conv(nn.Module):
    def __init__(self, c1: int, c2: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c1, c2, 3, stride=2, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(c2, eps=1e-3, momentum=0.03)
        self.act = nn.SiLU(inplace=True)


class Detect(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.nc = 3
        self.reg_max = 16
        self.stride = torch.tensor([8.0, 16.0])  # a plain attribute, as in ultralytics
        self.cv2 = nn.ModuleList([nn.Conv2d(4, 2, 1)])
        self.register_buffer("strides", torch.ones(2), persistent=False)


class DetectionModel(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Sequential(Conv(3, 4), Conv(4, 4), Detect())
        self.yaml = {"nc": 3, "backbone": [[-1, 1, "Conv", [4, 3, 2]]]}
        self.names = {0: "cat", 1: "dog", 2: "cow"}
        self.inplace = True


@pytest.fixture
def yolo(monkeypatch):
    """A model whose classes live where those of ultralytics live, which is not installed."""
    homes = {
        "ultralytics": [],
        "ultralytics.nn": [],
        "ultralytics.nn.modules": [],
        "ultralytics.nn.modules.conv": [Conv],
        "ultralytics.nn.modules.head": [Detect],
        "ultralytics.nn.tasks": [DetectionModel],
    }
    for name, classes in homes.items():
        home = types.ModuleType(name)
        monkeypatch.setitem(sys.modules, name, home)
        for made in classes:
            setattr(home, made.__name__, made)
            monkeypatch.setattr(made, "__module__", name)
    return DetectionModel()


@pytest.mark.parametrize("options", [{}, LEGACY])
@pytest.mark.filterwarnings("ignore:Couldn't retrieve source")
def test_a_yolo_checkpoint_shows_its_classes_and_how_they_were_made(yolo, options) -> None:
    half = yolo.half()
    checkpoint = {
        "epoch": -1,
        "best_fitness": 0.5,
        "model": half,
        "ema": None,
        "optimizer": None,
        "train_args": {"imgsz": 640, "lr0": 0.01, "data": "coco8.yaml"},
        "version": "8.3.0",
    }
    data = saved(checkpoint, **options)
    layout = layout_of(data)
    assert layout.modules["model"] == "ultralytics.nn.tasks.DetectionModel"
    assert layout.modules["model.model"] == "torch.nn.modules.container.Sequential"
    assert layout.modules["model.model.0"] == "ultralytics.nn.modules.conv.Conv"
    assert layout.modules["model.model.0.conv"] == "torch.nn.modules.conv.Conv2d"
    assert layout.modules["model.model.2"] == "ultralytics.nn.modules.head.Detect"
    assert set(layout.modules) == {f"model.{n}".rstrip(".") for n, _ in yolo.named_modules()}
    metadata = layout.metadata
    assert metadata["epoch"] == -1
    assert metadata["train_args.imgsz"] == 640
    assert metadata["version"] == "8.3.0"
    assert metadata["model.yaml.nc"] == 3
    assert metadata["model.names.1"] == "dog"
    assert metadata["model.model.0.conv.kernel_size"] == "[3, 3]"
    assert metadata["model.model.0.conv.stride"] == "[2, 2]"
    assert metadata["model.model.0.conv.in_channels"] == 3
    assert metadata["model.model.0.bn.eps"] == 1e-3
    assert metadata["model.model.2.reg_max"] == 16
    assert not [key for key in metadata if "hook" in key or ".training" in key or "._" in key]
    state = yolo.state_dict()
    found = {tensor.name.removeprefix("model."): tensor for tensor in layout.tensors}
    assert found.keys() == state.keys() | {"model.2.stride", "model.2.strides"}
    for name, tensor in state.items():
        assert read_array(found[name], BytesSource(data)).tobytes() == bytes_of(tensor)
    parameters = {name for name, _ in yolo.named_parameters()}
    assert {n for n, t in found.items() if t.role is Role.WEIGHTS} == parameters
    assert {t.role for n, t in found.items() if n not in parameters} == {Role.BUFFERS}


def test_the_average_of_a_yolo_is_told_from_the_model(yolo) -> None:
    layout = layout_of(saved({"model": yolo, "ema": DetectionModel(), "updates": 7}))
    roles = {tensor.name: tensor.role for tensor in layout.tensors}
    assert roles["ema.model.0.conv.weight"] is Role.EMA
    assert roles["ema.model.0.bn.running_mean"] is Role.EMA
    assert roles["model.model.0.conv.weight"] is Role.WEIGHTS
    assert layout.sections == {"model": Role.WEIGHTS, "ema": Role.EMA}


def test_the_settings_of_torchs_own_modules_are_metadata() -> None:
    model = nn.Sequential(
        nn.MultiheadAttention(8, 2, dropout=0.25),
        nn.LayerNorm((4, 8)),
        nn.LSTM(3, 5, num_layers=2, bidirectional=True),
        nn.Dropout(0.5),
        nn.TransformerEncoderLayer(8, 2, activation="gelu"),
    )
    layout = layout_of(saved(model))
    metadata = layout.metadata
    assert metadata["0.num_heads"] == 2
    assert metadata["0.dropout"] == 0.25
    assert metadata["1.normalized_shape"] == "[4, 8]"
    assert metadata["2.hidden_size"] == 5
    assert metadata["2.bidirectional"] is True
    assert metadata["3.p"] == 0.5
    assert metadata["4.activation"] == "torch._C._nn.gelu"
    assert {tensor.name for tensor in layout.tensors} == set(model.state_dict())
    assert layout.modules[""] == "torch.nn.modules.container.Sequential"
    assert layout.modules["4.linear1"] == "torch.nn.modules.linear.Linear"


def test_settings_of_many_modules_leave_room_for_the_rest(monkeypatch) -> None:
    monkeypatch.setattr("cairn.formats.torch_findings.MAX_METADATA_ITEMS", 30)
    model = nn.Sequential(*(nn.Conv2d(1, 1, 1, bias=False) for _ in range(10)))
    layout = layout_of(saved({"model": model, "epoch": 9, "later": {"lr": 0.5}}))
    assert layout.metadata["epoch"] == 9
    assert layout.metadata["later.lr"] == 0.5
    assert len(layout.metadata) == 30
    assert any("more than 30 values" in note for note in layout.notes)


def module(children: list, state=()) -> Made:
    parts = {"_parameters": {}, "_buffers": {}, "_modules": dict(children), **dict(state)}
    return Made(Name("torch.nn", "Thing"), state=parts)


def test_a_module_may_be_called_like_an_optimizer() -> None:
    weight = {"_parameters": {"weight": rebuilt(Persistent("0", 4))}}
    tree = module([("optimizer", module([], weight)), ("sampler", module([], weight))])
    layout = layout_of(archive(pickled(tree), {"0": bytes(16)}))
    assert {tensor.role for tensor in layout.tensors} == {Role.WEIGHTS}


def test_a_module_that_contains_itself_is_walked_once() -> None:
    program = pickled(module([("a", module([]))]))
    # The child's place in `_modules` is taken by the module itself, out of the memo.
    looped = (
        b"\x80\x02ctorch.nn\nThing\n)Rq\x01}(X\x0b\x00\x00\x00_parameters}"
        b"X\x08\x00\x00\x00_modules}X\x04\x00\x00\x00selfh\x01sub."
    )
    assert layout_of(archive(program)).modules == {"": "torch.nn.Thing", "a": "torch.nn.Thing"}
    layout = layout_of(archive(looped))
    assert layout.modules == {"": "torch.nn.Thing"}
    assert any("listed once" in note for note in layout.notes)


def test_an_exponential_tree_of_shared_modules_is_walked_once() -> None:
    program = b"\x80\x02ctorch.nn\nThing\nq\x00)R}(X\x0b\x00\x00\x00_parameters}"
    program += b"X\x08\x00\x00\x00_modules}ubq\x01"
    for level in range(1, 60):
        below = b"h" + bytes([level])
        program += (
            b"h\x00)R}(X\x0b\x00\x00\x00_parameters}X\x08\x00\x00\x00_modules}("
            + (b"K\x01" + below + b"K\x02" + below)
            + b"uub"
            + (b"q" + bytes([level + 1]))
        )
    layout = layout_of(archive(program + b"."))
    assert len(layout.modules) == 60


def test_modules_nested_too_deep_end_in_a_limit() -> None:
    opened = b"h\x00)R}(X\x0b\x00\x00\x00_parameters}X\x08\x00\x00\x00_modules}X\x01\x00\x00\x00x"
    depth = limits.MAX_DEPTH
    program = b"\x80\x02ctorch.nn\nThing\nq\x000" + opened * depth + b"N" + b"sub" * depth + b"."
    with pytest.raises(LimitError, match="nested deeper"):
        layout_of(archive(program))


def test_long_paths_of_many_modules_end_in_a_limit() -> None:
    key = "k" * 4000
    leaf = b"h\x00)R}(X\x0b\x00\x00\x00_parameters}X\x08\x00\x00\x00_modules}ub"
    children = b"".join(b"M" + i.to_bytes(2, "little") + leaf for i in range(10_000))
    program = (
        b"\x80\x02ctorch.nn\nThing\nq\x000"
        + (b"(X" + len(key).to_bytes(4, "little") + key.encode())
        + (b"(" + children + b"dd.")
    )
    with pytest.raises(LimitError, match="characters"):
        layout_of(archive(program))


def test_one_state_or_one_tuple_of_arguments_shared_by_many_calls_is_walked_once() -> None:
    """30,000 objects that share 30,000 values would be 900,000,000 steps."""
    values = b"(" + b"N" * 30_000 + b"t" + b"q\x010"
    state = b"(" + b"".join(b"J" + i.to_bytes(4, "little") + b"N" for i in range(30_000))
    made = b"h\x00h\x01Rh\x02b"
    program = b"\x80\x02cm\nC\nq\x000" + values + state + b"dq\x020"
    layout = layout_of(archive(program + b"(" + made * 30_000 + b"l."))
    assert len(layout.metadata) == limits.MAX_METADATA_ITEMS
