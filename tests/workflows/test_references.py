"""Files that tensors lie in: missing, too short, leading elsewhere."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from cairn.errors import UntrustedDataError
from cairn.workflows.inspect import inspect_path, read_path

VALUES = np.arange(2000, dtype=np.float32)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    tensor = onnx.numpy_helper.from_array(VALUES, "w")
    graph = helper.make_graph([], "tiny", [], [], initializer=[tensor])
    path = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph), path, save_as_external_data=True, location="w.data")
    return path


@pytest.mark.parametrize("as_folder", [True, False])
def test_values_beside_the_model_are_read(model: Path, as_folder: bool) -> None:
    found = read_path(model.parent if as_folder else model)
    ((path, tensor),) = found.checkpoint.tensors()
    assert b"".join(found.blocks(path, tensor)) == VALUES.tobytes()
    assert found.checkpoint.unread == {}


@pytest.mark.parametrize("as_folder", [True, False])
def test_a_missing_file_is_unread(model: Path, as_folder: bool) -> None:
    (model.parent / "w.data").unlink()
    found = inspect_path(model.parent if as_folder else model)
    assert "not there" in found.unread["w.data"]


@pytest.mark.parametrize("as_folder", [True, False])
def test_a_file_too_short_is_unread(model: Path, as_folder: bool) -> None:
    data = model.parent / "w.data"
    data.write_bytes(data.read_bytes()[:-1])
    found = inspect_path(model.parent if as_folder else model)
    assert "8000 bytes, it has 7999" in found.unread["w.data"]


@pytest.mark.parametrize("as_folder", [True, False])
def test_a_link_out_of_the_folder_is_not_followed(
    model: Path, as_folder: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = model.parent / "w.data"
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "secret"
    data.rename(elsewhere)
    data.symlink_to(elsewhere)
    found = read_path(model.parent if as_folder else model)
    assert "link out" in found.checkpoint.unread["w.data"]
    ((path, tensor),) = found.checkpoint.tensors()
    with pytest.raises(UntrustedDataError, match="leads out"):
        list(found.blocks(path, tensor))


def test_a_reference_out_of_the_folder_makes_the_model_unread(model: Path) -> None:
    proto = onnx.load(model, load_external_data=False)
    proto.graph.initializer[0].external_data[0].value = "../w.data"
    model.write_bytes(proto.SerializeToString())
    assert "outside the checkpoint" in inspect_path(model.parent).unread["model.onnx"]
    with pytest.raises(UntrustedDataError, match="outside the checkpoint"):
        inspect_path(model)
