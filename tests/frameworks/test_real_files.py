"""Files written by the frameworks that are too large for every run: values equal theirs.

Each writer runs in the environment of `./scripts/test --all`, so that Cairn's process imports
none of them; `expected.npz` holds the bytes every named tensor must have.
"""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from cairn.workflows.inspect import read_path
from cairn.workflows.readable import ReadableCheckpoint

pytestmark = pytest.mark.slow

WRITERS = Path(__file__).with_name("writers")
PYTHON = Path(__file__).resolve().parents[2] / ".venv-frameworks/bin/python"
LIMIT_S = 300


def written(writer: str, out: Path, *arguments: str) -> dict[str, np.ndarray]:
    """Let a framework write into `out`; returns what it says is in there."""
    if not PYTHON.exists():
        if os.environ.get("CAIRN_FRAMEWORKS_REQUIRED"):
            pytest.fail("./scripts/test --all could not install the frameworks")
        pytest.skip("the frameworks are installed by ./scripts/test --all")
    done = subprocess.run(
        [PYTHON, WRITERS / f"{writer}.py", out, *arguments],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    with np.load(out / "expected.npz") as expected:
        return dict(expected)


def values_of(found: ReadableCheckpoint) -> dict[str, bytes]:
    assert found.checkpoint.unread == {}
    return {
        tensor.name: b"".join(bytes(block) for block in found.blocks(path, tensor))
        for path, tensor in found.checkpoint.tensors()
    }


def test_a_tensorflow_checkpoint_has_the_values_tensorflow_wrote(tmp_path: Path) -> None:
    expected = written("tensorflow_files", tmp_path)
    found = values_of(read_path(tmp_path / "checkpoint.index"))
    assert {name: found[name] for name in expected} == {
        name: raw.tobytes() for name, raw in expected.items()
    }


def test_a_saved_model_has_its_variables(tmp_path: Path) -> None:
    expected = written("tensorflow_files", tmp_path)
    saved = read_path(tmp_path / "saved")
    found = values_of(saved)
    for name, raw in expected.items():
        assert found[name.removeprefix("net/")] == raw.tobytes()


def test_a_flax_file_has_the_values_flax_wrote(tmp_path: Path) -> None:
    expected = written("flax_files", tmp_path)
    found = values_of(read_path(tmp_path / "flax_model.msgpack"))
    assert found == {name: raw.tobytes() for name, raw in expected.items()}


def test_an_orbax_folder_is_recognised_and_its_values_are_not_claimed(tmp_path: Path) -> None:
    expected = written("orbax_files", tmp_path)
    found = read_path(tmp_path / "orbax").checkpoint
    told = " ".join((*found.notes, *found.unread.values()))
    assert "not read" in told
    named = {tensor.name for _, tensor in found.tensors()}
    assert named == set() or named >= set(expected)


def test_a_ctranslate2_model_has_the_variables_it_was_made_of(tmp_path: Path) -> None:
    expected = written("ctranslate2_files", tmp_path)
    found = values_of(read_path(tmp_path / "ctranslate2"))
    shared = {name: raw.tobytes() for name, raw in expected.items() if name in found}
    assert {name: found[name] for name in shared} == shared
    assert any(name.endswith("weight") for name in shared)


@pytest.mark.parametrize("precision", ["FLOAT32", "FLOAT16"])
def test_a_core_ml_program_has_the_weights_it_was_made_of(tmp_path: Path, precision: str) -> None:
    expected = written("coreml_files", tmp_path, precision)
    found = values_of(read_path(tmp_path / "model.mlpackage"))
    assert sorted(found.values()) == sorted(raw.tobytes() for raw in expected.values())


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_a_deepspeed_checkpoint_gives_its_masters_back(tmp_path: Path, stage: int) -> None:
    expected = written("deepspeed_files", tmp_path, str(stage))
    found = values_of(read_path(tmp_path / f"zero{stage}"))
    for name, raw in expected.items():
        candidates = [v for n, v in found.items() if n == name or n.endswith(f".{name}")]
        assert raw.tobytes() in candidates, name
