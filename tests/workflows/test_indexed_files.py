"""An index given as target stands for the shards it names."""

import json
import pickle
from pathlib import Path

import pytest
import safetensors.torch
import torch
import torch.distributed.checkpoint as dcp

from cairn.errors import EntryNotFoundError, MalformedError
from cairn.workflows.inspect import inspect_path, read_path
from tests.formats.making import bytes_of

TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(4), "c": torch.zeros(2, 2)}


@pytest.fixture(params=["safetensors", "bin"])
def index(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A model in two shards with a foreign file beside, and its index."""
    kind = request.param
    stem = "model" if kind == "safetensors" else "pytorch_model"
    shards = {1: ("a",), 2: ("b", "c")}
    places = {}
    for number, names in shards.items():
        file = f"{stem}-{number:05}-of-00002.{kind}"
        held = {name: TENSORS[name] for name in names}
        if kind == "safetensors":
            safetensors.torch.save_file(held, tmp_path / file)
        else:
            torch.save(held, tmp_path / file)
        places |= dict.fromkeys(names, file)
    total = sum(tensor.nbytes for tensor in TENSORS.values())
    path = tmp_path / f"{stem}.{kind}.index.json"
    path.write_text(json.dumps({"metadata": {"total_size": total}, "weight_map": places}))
    torch.save({"other": torch.ones(100)}, tmp_path / "other.pt")
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    return path


def test_it_stands_for_its_shards_and_no_other_file(index: Path) -> None:
    found = read_path(index)
    values = {
        tensor.name: b"".join(found.blocks(path, tensor))
        for path, tensor in found.checkpoint.tensors()
    }
    assert values == {name: bytes_of(tensor) for name, tensor in TENSORS.items()}
    assert found.checkpoint.notes == ()
    assert not found.checkpoint.unread
    assert found.checkpoint.architecture is not None
    assert found.checkpoint.architecture.family == "bert"


def test_a_missing_shard_is_noted_by_name(index: Path) -> None:
    shard = next(index.parent.glob("*00002-of-00002*"))
    shard.unlink()
    found = inspect_path(index)
    assert any("missing" in note and shard.name in note for note in found.notes)


def test_a_shard_that_is_a_link_out_of_the_folder_is_not_read(index: Path, tmp_path: Path) -> None:
    shard = next(index.parent.glob("*00001-of-00002*"))
    secret = tmp_path.parent / f"{tmp_path.name}-secret"
    shard.rename(secret)
    shard.symlink_to(secret)
    found = inspect_path(index)
    assert shard.name not in found.layouts
    assert any(shard.name in note for note in found.notes)


def test_a_broken_index_says_what_is_wrong(index: Path) -> None:
    index.write_text('{"weight_map": {"a": "../x"}}')
    with pytest.raises(MalformedError, match="shard name"):
        inspect_path(index)


def test_a_missing_index_is_missing(tmp_path: Path) -> None:
    with pytest.raises(EntryNotFoundError):
        inspect_path(tmp_path / "model.safetensors.index.json")


def test_the_metadata_of_a_distributed_checkpoint_stands_for_its_files(tmp_path: Path) -> None:
    dcp.save({"model": TENSORS}, checkpoint_id=tmp_path, no_dist=True)
    torch.save({"other": torch.ones(100)}, tmp_path / "other.pt")
    found = inspect_path(tmp_path / ".metadata")
    assert {t.name for _, t in found.tensors()} == {f"model.{name}" for name in TENSORS}
    assert "other.pt" not in found.layouts


def test_other_files_called_metadata_are_refused(tmp_path: Path) -> None:
    (tmp_path / ".metadata").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(MalformedError, match="not the metadata of a distributed checkpoint"):
        inspect_path(tmp_path / ".metadata")
