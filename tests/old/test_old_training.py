"""Training checkpoints written by every released format are resumed, to the bit."""

import base64
import json
from pathlib import Path

import pytest
import torch

from cairn.formats.training_record import VERSION
from cairn.training import EVERYTHING, resume
from tests.old.make_training import ACCUMULATED, METRICS, STEP, VALUES, fixture, loop
from tests.training.loop import digest

every_version = pytest.mark.parametrize("version", range(1, VERSION + 1))


@every_version
@pytest.mark.filterwarnings("ignore:step-7 is not exact")
def test_an_old_checkpoint_gives_back_the_whole_loop(version: int, tmp_path: Path) -> None:
    folder = tmp_path / f"step-{STEP}"
    folder.mkdir()
    for name, data in json.loads(fixture(version).read_text()).items():
        (folder / name).write_bytes(base64.b64decode(data))
    parts, saved = loop(filled=False), loop(filled=True)
    back = resume(tmp_path, allow=EVERYTHING, data_digest="sha256:00", **parts)
    assert (back.step, back.accumulated, back.metrics) == (STEP, ACCUMULATED, METRICS)
    assert digest(back.values) == digest(VALUES)
    for name in ("model", "optimizer", "scheduler", "sampler"):
        assert digest(parts[name].state_dict()) == digest(saved[name].state_dict()), name
    for mine, its in zip(parts["model"].parameters(), saved["model"].parameters(), strict=True):
        assert torch.equal(mine.grad, its.grad)
    assert parts["noise"].random() == saved["noise"].random()
    after = torch.rand(2).tolist()
    torch.manual_seed(11)
    loop(filled=True)  # drew its weights before it was saved
    assert after == torch.rand(2).tolist()
