"""Cairn's own training checkpoints: every tensor with its role, the training with its progress."""

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from cairn import training
from cairn.domain import Role
from cairn.errors import MalformedError
from cairn.formats.assemblers.cairn_training import CairnTrainingAssembler
from cairn.testing.assemblers import (
    AssemblerConformance,
    assembled,
    files_of,
    layouts_of,
    only_assembly,
)
from cairn.workflows.inspect import inspect_path

Contents = dict[str, bytes]


def save(folder: Path) -> Path:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.25)
    model(torch.ones(2, 3)).sum().backward()
    optimizer.step()
    return training.save(
        folder,
        7,
        metrics={"loss": 0.5},
        values={"epoch": 2, "tags": ("a", float("nan"))},
        accumulated=1,
        model=model,
        optimizer=optimizer,
        scheduler=torch.optim.lr_scheduler.StepLR(optimizer, 2),
        average=AveragedModel(model),
        sampler=training.EpochSampler(10, seed=1),
        noise=torch.Generator(),
    )


def contents_of(folder: Path) -> Contents:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def made() -> Contents:
    with tempfile.TemporaryDirectory() as folder:
        return contents_of(save(Path(folder)))


class TestCairnTraining(AssemblerConformance):
    assembler = CairnTrainingAssembler()

    @classmethod
    def make(cls) -> dict[str, Contents]:
        return {"a step": made(), "a step of two ranks": of_ranks()}


def test_inspect_says_what_is_there_and_that_training_can_go_on_exactly(tmp_path: Path) -> None:
    found = inspect_path(save(tmp_path))
    roles = {tensor.name: tensor.role for _, tensor in found.tensors()}
    assert roles["0.weight"] is Role.WEIGHTS
    assert roles["1.running_mean"] is Role.BUFFERS
    assert roles["average.module.0.weight"] is Role.EMA
    assert roles["optimizer.state.0.weight.exp_avg"] is Role.OPTIMIZER
    assert roles["gradients.model.0.weight"] is Role.OPTIMIZER
    assert roles["random.torch"] is roles["noise.value"] is Role.RNG
    assert found.belongs["checkpoint.json", "optimizer.state.0.weight"] == "0.weight"
    assert (found.training["step"], found.training["loss"]) == (7, 0.5)
    assert (found.training["epoch"], found.training["learning_rate"]) == (2, 0.25)
    assert found.completeness is not None
    assert found.completeness.missing == found.completeness.inexact == ()


def test_marked_values_are_shown_as_what_they_hold() -> None:
    said = only_assembly(CairnTrainingAssembler(), made()).metadata
    assert said["tags.0"] == "a"
    assert said["optimizer.param_groups.0.betas.1"] == 0.999
    assert not any("$" in key for key in said)


def changed(contents: Contents, **values: Any) -> Contents:
    said = json.loads(contents["checkpoint.json"])
    return {**contents, "checkpoint.json": json.dumps({**said, **values}).encode()}


@pytest.mark.parametrize(
    "values",
    [
        {"version": 3},
        {"parts": []},
        {"parts": {"model": 3}},
        {"parts": {"model": {"kind": "module", "file": "../elsewhere.safetensors"}}},
        {"parts": {"model": {"kind": "module", "file": ["x"]}}},
        {"parts": {"model": {"kind": "module", "file": "absent.safetensors"}}},
    ],
    ids=str,
)
def test_records_that_mean_nothing_are_malformed(values: dict[str, Any]) -> None:
    with pytest.raises(MalformedError):
        only_assembly(CairnTrainingAssembler(), changed(made(), **values))


def test_the_file_of_another_program_is_left_alone() -> None:
    contents = {**made(), "checkpoint.json": b'{"epoch": 3}'}
    found = assembled(CairnTrainingAssembler(), files_of(contents), layouts_of(contents))
    assert found == {"checkpoint.json": None}


# --- what several ranks kept ---------------------------------------------------------------


def of_ranks(**changed_ranks: Any) -> Contents:
    """The checkpoint above with one matrix in two pieces, as two ranks write it."""
    contents = made()
    weight = torch.arange(12.0).reshape(4, 3)
    said = json.loads(contents["checkpoint.json"])
    for rank, rows in enumerate((weight[:3], weight[3:])):
        data = safetensors.torch.save({"big": rows.contiguous()})
        contents[f"model.rank-{rank}.safetensors"] = data
    contents["random.rank-1.safetensors"] = contents["random.safetensors"]
    ranks = {
        "size": 2,
        "pieces": {
            "model": {"big": {"shape": [4, 3], "at": [[0, [0, 0], [3, 3]], [1, [3, 0], [1, 3]]]}}
        },
        "own": {
            "1": {
                "environment": None,
                "parts": {"random": {"file": "random.rank-1.safetensors", "state": {}}},
            }
        },
    }
    said |= {"version": 2, "ranks": {**ranks, **changed_ranks}}
    return {**contents, "checkpoint.json": json.dumps(said).encode()}


def test_pieces_of_ranks_are_one_tensor_and_what_is_a_ranks_own_has_its_number() -> None:
    found = only_assembly(CairnTrainingAssembler(), of_ranks())
    by_name = {tensor.name: tensor for tensor in found.tensors}
    big = by_name["big"]
    assert (big.shape, big.role) == ((4, 3), Role.WEIGHTS)
    assert [(piece.start, piece.shape) for piece in big.pieces] == [
        ((0, 0), (3, 3)),
        ((3, 0), (1, 3)),
    ]
    assert by_name["random.rank-1.torch"].role is Role.RNG


@pytest.mark.parametrize(
    "ranks",
    [
        {"pieces": {"model": {"big": {"shape": [4, 3], "at": [[0, [0, 0], [3, 3]]]}}}},
        {"pieces": {"model": {"big": {"shape": [4, 3], "at": []}}}},
        {"pieces": {"model": {"big": {"shape": [4, 3], "at": [[7, [0, 0], [4, 3]]]}}}},
        {"pieces": {"model": {"big": {"shape": [1 << 80], "at": [["0", 0]]}}}},
        {"pieces": {"model": {"big": 3}}},
        {"pieces": {"../x": {"big": {"shape": [3, 3], "at": [[0, [0, 0], [3, 3]]]}}}},
        {"pieces": []},
        {"own": {"1": {"parts": {"absent": {"file": "x"}}}}},
        {"own": 3},
    ],
    ids=str,
)
def test_ranks_that_mean_nothing_are_malformed(ranks: dict[str, Any]) -> None:
    with pytest.raises(MalformedError):
        only_assembly(CairnTrainingAssembler(), of_ranks(**ranks))
