"""`cairn inspect` says by its exit code whether it read anything."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from torch import nn

from tests.cli.command import cairn, cairn_on_a_terminal


def test_a_folder_whose_only_checkpoint_cannot_be_read_is_no_success(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"not one")
    told = cairn("inspect", str(tmp_path), "--json", expect=6)
    assert "model.safetensors" in json.loads(told.stdout)["unread"]


def test_one_unread_file_beside_a_read_one_is_named_and_no_failure(tmp_path: Path) -> None:
    save_file({"w": np.zeros(3, dtype=np.float32)}, tmp_path / "model.safetensors")
    (tmp_path / "other.bin").write_bytes(b"not one")
    told = cairn("inspect", str(tmp_path))
    assert "other.bin" in told.stdout


def test_a_folder_without_tensors_says_only_that(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("a,b\n")
    told = cairn("inspect", str(tmp_path)).stdout
    assert "no file here holds tensors" in told
    assert "resume" not in told


def test_settings_of_modules_and_the_writing_library_do_not_crowd_out_the_progress(
    tmp_path: Path,
) -> None:
    torch.save({"epoch": 3, "model": nn.Sequential(nn.Conv2d(3, 8, 3))}, tmp_path / "whole.pt")
    told = cairn("inspect", str(tmp_path / "whole.pt")).stdout
    assert "epoch" in told and "in_channels" not in told
    save_file({"w": np.zeros(3)}, tmp_path / "w.safetensors", metadata={"format": "pt"})
    told = cairn("inspect", str(tmp_path / "w.safetensors")).stdout
    assert [line.split() for line in told.splitlines() if line.startswith("format")] == [
        ["format", "safetensors"]
    ]


def test_several_models_in_one_folder_are_told_apart_from_one(tmp_path: Path) -> None:
    for folder in ("checkpoint-1", "checkpoint-2"):
        (tmp_path / folder).mkdir()
        save_file({"w": np.zeros(3)}, tmp_path / folder / "model.safetensors")
    assert "2 models, in checkpoint-1/, checkpoint-2/" in cairn("inspect", str(tmp_path)).stdout
    torch.save({"w": torch.zeros(3)}, tmp_path / "checkpoint-1" / "model.bin")
    told = cairn("inspect", str(tmp_path / "checkpoint-1")).stdout
    assert "holds the same weights as safetensors, torch-zip" in told


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\x89PNG\r\n\x1a\n", "a PNG image"),
        (b"<!DOCTYPE html><title>404", "a web page"),
        (b"hello", "begins with 'hello'"),
        (b"\x01\x02", "begins with 01 02"),
    ],
)
def test_what_is_no_checkpoint_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "model.bin").write_bytes(content)
    assert said in cairn("inspect", str(tmp_path / "model.bin"), expect=6).stderr


def test_a_narrow_terminal_names_the_statistics_it_hides(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"w": np.arange(6, dtype=np.float32).reshape(2, 3)}, path)
    narrow = " ".join(cairn_on_a_terminal("inspect", "--stats", str(path), columns=100).split())
    assert "5 columns are hidden at this width: mean, distinct, rank, histogram, remarks" in narrow
    assert "140 columns or --json show them" in narrow
    wide = cairn_on_a_terminal("inspect", "--stats", str(path), columns=160)
    assert "hidden" not in wide
    assert "distinct" in wide
