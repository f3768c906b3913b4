"""`cairn inspect` says by its exit code whether it read anything."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from tests.cli.command import cairn


def test_a_folder_whose_only_checkpoint_cannot_be_read_is_no_success(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"not one")
    told = cairn("inspect", str(tmp_path), "--json", expect=6)
    assert "model.safetensors" in json.loads(told.stdout)["unread"]


def test_one_unread_file_beside_a_read_one_is_named_and_no_failure(tmp_path: Path) -> None:
    save_file({"w": np.zeros(3, dtype=np.float32)}, tmp_path / "model.safetensors")
    (tmp_path / "other.bin").write_bytes(b"not one")
    told = cairn("inspect", str(tmp_path))
    assert "other.bin" in told.stdout
