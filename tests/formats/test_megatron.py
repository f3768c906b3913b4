"""Megatron-LM: every model-parallel rank listed under its name, none missing unsaid."""

import argparse
import pickle
from pathlib import Path

import pytest
import torch
import torch.distributed.checkpoint as dcp

from cairn.domain import Assembly, Role
from cairn.errors import LimitError, MalformedError
from cairn.formats import BytesSource
from cairn.formats.assemblers.megatron import MegatronAssembler
from cairn.testing.assemblers import AssemblerConformance, only_assembly, values_of
from cairn.workflows.inspect import inspect_files, inspect_path
from tests.formats.making import bytes_of, saved

Contents = dict[str, bytes]
ITERATION = "iter_0000040"


def rank_value(seed: int) -> dict[str, object]:
    """What `save_checkpoint` gathers for one rank, cut short."""
    weight = torch.full((2, 3), float(seed))
    return {
        "args": argparse.Namespace(tensor_model_parallel_size=2, hidden_size=3),
        "checkpoint_version": 3.0,
        "iteration": 40,
        "model": {"embedding.word_embeddings.weight": weight, "final_norm.bias": weight[0].clone()},
        "optimizer": {"optimizer": {"state": {0: {"exp_avg": weight + 1}}, "param_groups": []}},
    }


def ranks(*folders: str, top: str = f"{ITERATION}/") -> Contents:
    return {
        f"{top}{folder}/model_optim_rng.pt": saved(rank_value(seed))
        for seed, folder in enumerate(folders, 1)
    }


def assembly_of(contents: Contents) -> Assembly:
    return only_assembly(MegatronAssembler(), contents)


class TestMegatron(AssemblerConformance):
    assembler = MegatronAssembler()

    @classmethod
    def make(cls) -> dict[str, Contents]:
        latest = {"latest_checkpointed_iteration.txt": b"40"}
        optimizer = {
            f"{ITERATION}/mp_rank_00/distrib_optim.pt": saved({0: {"param": torch.ones(5)}})
        }
        return {
            "two tensor ranks": {**latest, **ranks("mp_rank_00", "mp_rank_01")},
            "distributed optimizer": {**ranks("mp_rank_00"), **optimizer},
        }


def test_every_rank_is_listed_under_its_name_and_not_merged() -> None:
    contents = ranks("mp_rank_00_000", "mp_rank_00_001", "mp_rank_01_000", "mp_rank_01_001")
    found = assembly_of(contents)
    values = values_of(found, contents)
    name = "model.embedding.word_embeddings.weight"
    for seed, folder in enumerate(("00_000", "00_001", "01_000", "01_001"), 1):
        assert values[f"mp_rank_{folder}.{name}"] == bytes_of(torch.full((2, 3), float(seed)))
    assert "tensor-parallel shards are listed per rank, not merged" in found.notes
    assert found.metadata["iteration"] == 40
    assert found.metadata["args.hidden_size"] == 3
    keys = {t.key for t in found.tensors if t.role is Role.WEIGHTS}
    assert keys == {"embedding.word_embeddings.weight", "final_norm.bias"}


def test_a_single_rank_keeps_its_names() -> None:
    found = assembly_of(ranks("mp_rank_00", top=""))
    assert "model.final_norm.bias" in {t.name for t in found.tensors}
    assert found.notes == ()


def test_inspect_says_how_far_training_had_come() -> None:
    contents = ranks("mp_rank_00", "mp_rank_01")
    found = inspect_files({name: BytesSource(data, name) for name, data in contents.items()})
    assert found.formats == ("megatron", "torch-zip")
    assert found.training["iteration"] == 40
    assert not found.unread


@pytest.mark.parametrize(
    ("there", "missing"),
    [
        (("mp_rank_00", "mp_rank_02"), "mp_rank_01"),
        (("mp_rank_00_000", "mp_rank_01_000", "mp_rank_01_001"), "mp_rank_00_001"),
    ],
)
def test_a_missing_rank_is_named(there: tuple[str, ...], missing: str) -> None:
    with pytest.raises(MalformedError, match=rf"'{missing}/model_optim_rng\.pt' is missing"):
        assembly_of(ranks(*there))


def test_an_unreadable_rank_is_named() -> None:
    contents = ranks("mp_rank_00", "mp_rank_01")
    contents[f"{ITERATION}/mp_rank_01/model_optim_rng.pt"] = b"PK\x03\x04"
    with pytest.raises(MalformedError, match=r"mp_rank_01/model_optim_rng\.pt' could not be read"):
        assembly_of(contents)


def test_ranks_of_different_kinds_in_one_folder_are_refused() -> None:
    with pytest.raises(MalformedError, match="different kinds"):
        assembly_of(ranks("mp_rank_00", "mp_rank_00_001"))


def test_another_newest_iteration_is_noted() -> None:
    latest = {"latest_checkpointed_iteration.txt": b"80\n"}
    found = assembly_of({**latest, **ranks("mp_rank_00")})
    assert any("names '80'" in note for note in found.notes)


def test_torch_dist_checkpoints_are_put_together_with_their_common_values(tmp_path: Path) -> None:
    folder = tmp_path / ITERATION
    weight = torch.arange(6.0).reshape(2, 3)
    dcp.save({"decoder.weight": weight}, checkpoint_id=folder, no_dist=True)
    torch.save({"iteration": 40, "args": argparse.Namespace(hidden_size=3)}, folder / "common.pt")
    (folder / "metadata.json").write_text('{"sharded_backend": "torch_dist"}')
    found = inspect_path(tmp_path)
    assert [t.name for _, t in found.tensors()] == ["decoder.weight"]
    assert found.training["iteration"] == 40


class CustomMetadata:
    """Megatron pickles a class of its own, derived from torch's."""


def test_metadata_of_a_derived_class_is_read(tmp_path: Path) -> None:
    dcp.save({"w": torch.ones(2)}, checkpoint_id=tmp_path, no_dist=True)
    plain = pickle.loads((tmp_path / ".metadata").read_bytes())
    derived = CustomMetadata()
    derived.__dict__.update(plain.__dict__)
    (tmp_path / ".metadata").write_bytes(pickle.dumps(derived))
    assert [t.name for _, t in inspect_path(tmp_path).tensors()] == ["w"]


def test_strided_tensors_by_the_thousand_are_no_bomb(monkeypatch: pytest.MonkeyPatch) -> None:
    """A view of 60 columns is 60 pieces and costs the file some hundred bytes."""
    monkeypatch.setattr("cairn.formats.strided_pieces.MAX_CHUNKS", 1000)
    wide = torch.zeros(60, 60).t()
    contents = {
        "mp_rank_00/model_optim_rng.pt": saved({"model": {f"w{n}": wide[:, :] for n in range(17)}})
    }
    with pytest.raises(LimitError, match="more than 1000 pieces"):
        assembly_of(contents)
