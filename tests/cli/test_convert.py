"""`cairn convert` from the shell: what it says, writes and refuses."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.cli.command import cairn

STATE = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(3)}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.save({"state_dict": STATE, "epoch": 1}, tmp_path / "last.ckpt")
    return tmp_path / "last.ckpt"


def test_a_file_becomes_safetensors_and_is_not_overwritten(saved: Path) -> None:
    target = saved.with_name("out.safetensors")
    told = cairn("convert", str(saved), str(target), "--verify").stdout
    assert "2 tensors" in told and "every value compared" in told and str(target) in told
    assert torch.equal(load_file(target)["a"], STATE["a"])
    assert "--force" in cairn("convert", str(saved), str(target), expect=4).stderr
    cairn("convert", str(saved), str(target), "--force", "--prefix", "net")
    assert load_file(target).keys() == {"net.a", "net.b"}


def test_a_folder_becomes_a_folder_with_its_configuration(saved: Path) -> None:
    (saved.parent / "config.json").write_text('{"model_type": "bert"}')
    out = saved.parent / "out"
    told = json.loads(cairn("convert", str(saved.parent), str(out), "--json").stdout)
    assert sorted(path.name for path in out.iterdir()) == ["config.json", "model.safetensors"]
    assert told["written"] == [str(out / "model.safetensors"), str(out / "config.json")]
    assert told["tensors"] == 2 and told["verified"] == "headers"


def test_shards_are_written_with_their_index(saved: Path) -> None:
    out = saved.with_name("m.safetensors")
    cairn("convert", str(saved), str(out), "--shard-size", "24B")
    index = json.loads(out.with_name("m.safetensors.index.json").read_text())
    assert index["weight_map"] == {
        "a": "m-00001-of-00002.safetensors",
        "b": "m-00002-of-00002.safetensors",
    }


def test_what_cannot_be_converted_says_why(tmp_path: Path, saved: Path) -> None:
    out = str(tmp_path / "o.safetensors")
    assert "no such file" in cairn("convert", "./none.pt", out, expect=3).stderr
    assert "role optimizer" in cairn("convert", str(saved), out, "--role", "optimizer",
                                     expect=2).stderr  # fmt: skip
    other = cairn("convert", str(saved), str(tmp_path / "o.bin"), expect=2).stderr
    assert "only safetensors is written" in other and not (tmp_path / "o.bin").exists()
    missing = str(tmp_path / "no/o.safetensors")
    assert "no such folder" in cairn("convert", str(saved), missing, expect=3).stderr
