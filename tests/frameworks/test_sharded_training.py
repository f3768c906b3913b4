"""A training sharded by FSDP2 over two processes: states by name, values as if never sharded."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cairn.domain import Role
from cairn.workflows.inspect import read_path
from tests.frameworks.writers import fsdp_files

pytestmark = pytest.mark.slow  # two processes that import torch


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fsdp")
    script = str(Path(fsdp_files.__file__))
    ranks = [
        subprocess.Popen([sys.executable, script, str(rank), str(folder)], stderr=subprocess.PIPE)
        for rank in range(fsdp_files.PROCESSES)
    ]
    for rank in ranks:
        _, errors = rank.communicate(timeout=120)
        assert rank.returncode == 0, errors.decode()[-2000:]
    return folder


def test_states_of_a_sharded_optimizer_belong_to_the_parameters_they_are_named_by(
    trained: Path,
) -> None:
    found = read_path(trained / "dcp").checkpoint
    names = [f"{layer}.{kind}" for layer in (0, 1, 2) for kind in ("weight", "bias")]
    assert found.unread == {}
    assert not any("not matched" in note for note in found.notes)
    assert found.belongs == {
        (".metadata", f"optim.state.{name}"): f"model.{name}" for name in names
    }
    states = [t for _, t in found.tensors() if t.role is Role.OPTIMIZER]
    assert len(states) == 3 * len(names)


def test_values_put_together_equal_those_of_the_model_that_was_never_sharded(
    trained: Path,
) -> None:
    readable = read_path(trained / "dcp")
    whole = torch.load(trained / "full.pt", weights_only=True)
    expected = {f"model.{name}": tensor for name, tensor in whole["model"].items()}
    for parameter, states in whole["optim"].items():
        expected |= {f"optim.state.{parameter}.{what}": value for what, value in states.items()}
    read = {}
    for path, tensor in readable.checkpoint.tensors():
        blocks = [block.tobytes() for block in readable.blocks(path, tensor)]
        read[tensor.name] = b"".join(blocks)
        assert tensor.shape == tuple(expected[tensor.name].shape)
    assert {name: value.numpy().tobytes() for name, value in expected.items()} == read
