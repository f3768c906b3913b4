"""Checkpoints spread over ranks leave Cairn as one file that `load_state_dict` takes."""

from pathlib import Path

import pytest
import safetensors.torch
import torch
from click.testing import CliRunner

from cairn.cli.main import app
from tests.formats.test_dcp import grid
from tests.formats.test_deepspeed import BUFFER, FROZEN, MASTERS, zero2, zero3


def converted(contents: dict[str, bytes], folder: Path) -> dict[str, torch.Tensor]:
    """What `cairn convert` makes of files, loaded by safetensors."""
    for name, data in contents.items():
        path = folder / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    out = folder / "out.safetensors"
    done = CliRunner().invoke(app, ["convert", str(folder / "in"), str(out)])
    assert done.exit_code == 0, done.output
    return safetensors.torch.load_file(out)


def test_chunks_of_four_ranks_become_one_tensor(tmp_path: Path) -> None:
    contents, whole = grid()
    assert torch.equal(converted(contents, tmp_path)["w"], whole)


@pytest.mark.parametrize("stage", [2, 3])
def test_zero_checkpoints_become_a_state_dict(stage: int, tmp_path: Path) -> None:
    found = converted(zero2(3) if stage == 2 else zero3(3), tmp_path)
    dtype = torch.bfloat16 if stage == 2 else torch.float32
    for name, master in MASTERS.items():
        assert torch.equal(found[name], master.to(dtype))
    assert torch.equal(found["base.weight"], FROZEN["base.weight"])
    assert torch.equal(found["tied.weight"], MASTERS["head.weight"].to(dtype))
    assert torch.equal(found["offset"], BUFFER)
