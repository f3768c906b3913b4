"""Keras files: tensors equal what Keras' own archives hold, code in configurations never runs."""

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from cairn.domain import Layout, Role
from cairn.errors import MalformedError
from cairn.formats import BytesSource
from cairn.formats.limits import HEAD_BYTES
from cairn.formats.readers.keras import KerasReader
from cairn.formats.values import read_array
from cairn.testing.readers import ReaderConformance
from tests.formats.making import layout_of

CONFIG = {
    "module": "keras",
    "class_name": "Sequential",
    "config": {
        "name": "net",
        "layers": [
            {"module": "keras.layers", "class_name": "Dense", "config": {"name": "first"}},
            {
                "module": "keras.layers",
                "class_name": "BatchNormalization",
                "config": {"name": "norm", "scale": False, "center": True},
            },
        ],
    },
    "compile_config": {
        "optimizer": {"class_name": "Adam", "config": {"learning_rate": 0.01}},
        "loss": "mse",
    },
}


def weights() -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver="latest") as file:
        file["layers/dense/vars/0"] = np.arange(6, dtype="f4").reshape(2, 3)
        file["layers/dense/vars"].attrs["name"] = "first"
        for number in range(3):
            file[f"layers/batch_normalization/vars/{number}"] = np.full(2, number, "f4")
        file["layers/batch_normalization/vars"].attrs["name"] = "norm"
        file["optimizer/vars/0"] = np.int64(3)
    return buffer.getvalue()


def archive(
    config: Any = CONFIG, h5: bytes | None = None, method: int = zipfile.ZIP_STORED
) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as out:
        out.writestr("metadata.json", '{"keras_version": "3.15.1", "date_saved": "2026-01-01"}')
        out.writestr("config.json", json.dumps(config))
        out.writestr("model.weights.h5", weights() if h5 is None else h5, method)
    return buffer.getvalue()


class TestKeras(ReaderConformance):
    reader = KerasReader()
    read_ahead_bytes = HEAD_BYTES  # the first page of the HDF5 file inside

    @classmethod
    def make(cls) -> dict[str, bytes]:
        buffer = io.BytesIO()
        with h5py.File(buffer, "w", libver="latest") as file:
            file["vars/0"] = np.arange(6, dtype="f4").reshape(2, 3)
        config = {"class_name": "Dense", "config": {"name": "one"}}
        return {"one layer": archive(config, buffer.getvalue())}


def values(data: bytes, layout: Layout) -> dict[str, bytes]:
    return {t.name: read_array(t, BytesSource(data)).tobytes() for t in layout.tensors}


def test_layers_give_their_class_to_groups_and_their_role_to_variables() -> None:
    layout = layout_of(archive())
    assert dict(layout.modules) == {
        "": "Sequential",
        "layers.dense": "Dense",
        "layers.batch_normalization": "BatchNormalization",
    }
    assert {t.name: t.role for t in layout.tensors} == {
        "layers.batch_normalization.vars.0": Role.WEIGHTS,
        "layers.batch_normalization.vars.1": Role.BUFFERS,
        "layers.batch_normalization.vars.2": Role.BUFFERS,
        "layers.dense.vars.0": Role.WEIGHTS,
        "optimizer.vars.0": Role.OPTIMIZER,
    }
    assert layout.architecture is not None
    assert layout.architecture.class_name == "Sequential"
    assert layout.architecture.config == {"layers.Dense": 1, "layers.BatchNormalization": 1}
    assert layout.metadata["compile_config.optimizer"] == "Adam"
    assert layout.metadata["compile_config.optimizer.learning_rate"] == 0.01
    assert layout.metadata["keras_version"] == "3.15.1"


SCRIPT = """
import sys
import numpy as np, keras
from keras import layers
inner = keras.Sequential([keras.Input((3,)), layers.Dense(2, name="inside")], name="inner")
model = keras.Sequential([
    keras.Input((4,)), layers.Dense(3, name="first"), layers.BatchNormalization(name="norm"),
    layers.Dropout(0.1), layers.Lambda(lambda x: x * 2, name="twice"), inner,
])
model.compile("adam", "mse")
model.fit(np.ones((4, 4)), np.ones((4, 2)), verbose=0)
for name in ("m.keras", "m.h5", "m.weights.h5"):
    (model.save_weights if "weights" in name else model.save)(f"{sys.argv[1]}/{name}")
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What Keras itself saves, in a process of its own."""
    folder = tmp_path_factory.mktemp("keras")
    subprocess.run(
        [sys.executable, "-c", SCRIPT, folder],
        check=True,
        capture_output=True,
        env={**os.environ, "KERAS_BACKEND": "torch"},
    )
    return folder


def h5_values(file: h5py.File) -> dict[str, bytes]:
    found: dict[str, bytes] = {}

    def keep(path: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found[path.replace("/", ".")] = item[()].tobytes()

    file.visititems(keep)
    return found


def test_a_file_by_keras_has_the_values_keras_wrote(saved: Path) -> None:
    data = (saved / "m.keras").read_bytes()
    layout = layout_of(data)
    with zipfile.ZipFile(saved / "m.keras") as out:
        inner = io.BytesIO(out.read("model.weights.h5"))
    with h5py.File(inner) as file:
        assert values(data, layout) == h5_values(file)
    assert layout.modules["layers.dense"] == "Dense"
    assert layout.modules["layers.sequential.layers.dense"] == "Dense"
    assert Role.BUFFERS in layout.roles()
    assert layout.roles()[Role.OPTIMIZER] > 6
    assert any("'twice' is a Lambda" in note for note in layout.notes)


@pytest.mark.parametrize("name", ["m.h5", "m.weights.h5"])
def test_hdf5_by_keras_has_the_values_keras_wrote(saved: Path, name: str) -> None:
    data = (saved / name).read_bytes()
    layout = layout_of(data)
    with h5py.File(saved / name) as file:
        assert values(data, layout) == h5_values(file)


def test_an_old_whole_model_says_its_architecture(saved: Path) -> None:
    layout = layout_of((saved / "m.h5").read_bytes())
    assert layout.architecture is not None
    assert layout.architecture.class_name == "Sequential"
    assert layout.modules["model_weights.first"] == "Dense"
    assert layout.metadata["training_config.optimizer"] == "Adam"
    assert any("'twice' is a Lambda" in note for note in layout.notes)
    assert {r.value for r in layout.roles()} == {"weights", "buffers", "optimizer"}


# --- hostile -------------------------------------------------------------------------------


def test_a_config_that_names_foreign_code_is_said_and_not_followed() -> None:
    """CVE-2025-1550: Keras imported any module and called any function a config names."""
    call = {"module": "os", "class_name": "system", "config": {"command": "true"}}
    config = {**CONFIG, "config": {**CONFIG["config"], "layers": [call]}}
    notes = layout_of(archive(config)).notes
    assert "config.json names os.system, which Keras would import" in notes


def test_a_lambda_is_said_and_not_decoded() -> None:
    """CVE-2024-3660: Keras before 2.13 unmarshalled the bytecode of Lambda layers."""
    node = {
        "class_name": "Lambda",
        "config": {
            "name": "bad",
            "function": {"class_name": "__lambda__", "config": {"code": "?"}},
        },
    }
    notes = layout_of(archive({"class_name": "Sequential", "config": [node]})).notes
    assert any("'bad' is a Lambda" in note for note in notes)
    assert any("bytecode" in note for note in notes)


@pytest.mark.parametrize(
    "config",
    [
        *([], 3, None, {"class_name": 3}, {"class_name": "M", "config": 4}),
        {"class_name": "M", "config": {"layers": [3, None, [], {"config": []}]}},
        {"class_name": "M", "config": {"layers": {"a": 1}}, "compile_config": [1]},
        {"class_name": "M", "config": {}, "compile_config": {"optimizer": {"config": [1]}}},
    ],
)
def test_a_config_of_any_form_is_read_or_noted(config: Any) -> None:
    assert len(layout_of(archive(config)).tensors) == 5


def test_a_deeply_nested_config_is_refused() -> None:
    data = archive()
    deep = b"[" * 100_000
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w") as out:
        for name in old.namelist():
            out.writestr(name, deep if name == "config.json" else old.read(name))
    with pytest.raises(MalformedError, match="nested too deeply"):
        layout_of(buffer.getvalue())


def test_compressed_weights_are_refused_with_advice() -> None:
    with pytest.raises(MalformedError, match="compressed"):
        layout_of(archive(method=zipfile.ZIP_DEFLATED))


def test_weights_cut_short_inside_the_archive_are_refused() -> None:
    with pytest.raises(MalformedError, match="truncated"):
        layout_of(archive(h5=weights()[:-1]))


def test_an_hdf5_file_cannot_reach_out_of_its_member() -> None:
    """Its addresses are checked against the member, not against the archive around it."""
    h5 = weights()
    (tensor, *_) = layout_of(h5).tensors
    place = tensor.span.start.to_bytes(8, "little")
    at = h5.index(place + tensor.span.size_bytes.to_bytes(8, "little"))
    moved = h5[:at] + (len(h5) - 4).to_bytes(8, "little") + h5[at + 8 :]
    with pytest.raises(MalformedError, match="past the end"):
        layout_of(archive(h5=moved))
