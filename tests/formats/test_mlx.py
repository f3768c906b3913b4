"""MLX folders: recognised by their configuration, packed weights counted as what they stand for."""

import json
from typing import Any

import pytest
import safetensors.torch
import torch

from cairn.domain import Assembly
from cairn.formats import BytesSource
from cairn.formats.assemblers.mlx import MlxAssembler
from cairn.testing.assemblers import (
    AssemblerConformance,
    assembled,
    files_of,
    layouts_of,
    only_assembly,
)
from cairn.workflows.inspect import inspect_files

Contents = dict[str, bytes]


def quantised(rows: int, columns: int, *, group: int = 64, bits: int = 4) -> dict[str, Any]:
    """The three tensors `mx.quantize` makes of one matrix, by their leaf."""
    return {
        "weight": torch.zeros(rows, columns * bits // 32, dtype=torch.uint32),
        "scales": torch.ones(rows, columns // group, dtype=torch.bfloat16),
        "biases": torch.zeros(rows, columns // group, dtype=torch.bfloat16),
    }


def model(quantization: Any, **layers: dict[str, Any]) -> Contents:
    tensors = {f"model.{n}.{leaf}": t for n, made in layers.items() for leaf, t in made.items()}
    tensors["model.norm.weight"] = torch.ones(64, dtype=torch.bfloat16)
    config = {"model_type": "llama", "quantization": quantization}
    return {
        "config.json": json.dumps(config).encode(),
        "model.safetensors": safetensors.torch.save(tensors, {"format": "mlx"}),
    }


FOUR_BITS = {"group_size": 64, "bits": 4, "mode": "affine"}


def assembly_of(contents: Contents) -> Assembly:
    return only_assembly(MlxAssembler(), contents)


class TestMlx(AssemblerConformance):
    assembler = MlxAssembler()

    @classmethod
    def make(cls) -> dict[str, Contents]:
        return {"four bits": model(FOUR_BITS, up=quantised(2, 128))}


def test_packed_weights_are_counted_as_what_they_stand_for() -> None:
    found = assembly_of(model(FOUR_BITS, up=quantised(3, 128), down=quantised(5, 64)))
    assert found.metadata == {
        "quantization.bits": 4,
        "quantization.group_size": 64,
        "quantization.mode": "affine",
        "packed_weights": 2,
        "packed_elements": 3 * 128 + 5 * 64,
        "parameters": 3 * 128 + 5 * 64 + 64,
    }
    assert any("stand for 704 elements" in note for note in found.notes)


def test_layers_may_be_packed_otherwise_than_the_rest() -> None:
    settings = {**FOUR_BITS, "model.down": {"group_size": 32, "bits": 8}, "model.norm": False}
    contents = model(settings, up=quantised(3, 128), down=quantised(5, 64, group=32, bits=8))
    assert assembly_of(contents).metadata["packed_elements"] == 3 * 128 + 5 * 64


@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6, 8])
def test_every_width_is_counted(bits: int) -> None:
    contents = model({"group_size": 32, "bits": bits}, up=quantised(2, 64, group=32, bits=bits))
    assert assembly_of(contents).metadata["packed_elements"] == 2 * 64


def test_shapes_that_contradict_the_configuration_are_noted() -> None:
    found = assembly_of(model({"group_size": 64, "bits": 8}, up=quantised(3, 128)))
    assert found.metadata["packed_weights"] == 0
    assert "model.up.weight of shape (3, 16) is not 8 bits in groups of 64" in found.notes


def test_weights_that_are_not_quantised_are_recognised_by_the_files() -> None:
    found = assembly_of(model(None))
    assert found.notes == ("weights in the layout of MLX, not quantised",)


@pytest.mark.parametrize(
    "quantization", [None, [], {"bits": 4}, {"group_size": 0, "bits": 4}, {"bits": True}, FOUR_BITS]
)
def test_other_models_with_such_a_configuration_are_not_taken_for_mlx(quantization: Any) -> None:
    contents = model(quantization)
    contents["model.safetensors"] = safetensors.torch.save({"w": torch.ones(2)})
    found = assembled(MlxAssembler(), files_of(contents), layouts_of(contents))
    assert list(found.values()) == [None]


def test_inspect_lists_the_stored_tensors_and_says_that_they_are_mlx() -> None:
    contents = model(FOUR_BITS, up=quantised(3, 128))
    found = inspect_files({name: BytesSource(data, name) for name, data in contents.items()})
    assert found.formats == ("mlx", "safetensors")
    assert {t.name for _, t in found.tensors()} == {
        *("model.up.weight", "model.up.scales", "model.up.biases", "model.norm.weight")
    }
    assert any("quantised by MLX to 4 bits" in note for note in found.notes)
