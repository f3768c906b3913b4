"""A checkpoint is whole or not there, holds safetensors and JSON, and unpickles nothing."""

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from blake3 import blake3
from torch import nn

from cairn import training
from cairn.errors import RequestError, UnavailableError
from cairn.training import folders
from tests.architecture.checkout import ROOT


class Tied(nn.Module):
    """Two names for one matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = nn.Embedding(5, 3)
        self.out = nn.Linear(3, 5, bias=False)
        self.out.weight = self.inside.weight


def small() -> dict[str, Any]:
    model = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    return {"model": model, "optimizer": optimizer}


def test_weights_are_a_file_that_everybody_reads(tmp_path: Path) -> None:
    parts = small()
    folder = training.save(tmp_path, 3, **parts)
    found = safetensors.torch.load_file(folder / "model.safetensors")
    assert {n: t.tolist() for n, t in found.items()} == {
        n: t.tolist() for n, t in parts["model"].state_dict().items()
    }
    states = safetensors.torch.load_file(folder / "optimizer.safetensors")
    assert "state.model.weight.exp_avg" in states


def test_tied_weights_are_kept_once_and_the_stock_loader_ties_them(tmp_path: Path) -> None:
    model = Tied()
    folder = training.save(tmp_path, 1, model=model)
    assert list(safetensors.torch.load_file(folder / "model.safetensors")) == ["inside.weight"]
    again = Tied()
    safetensors.torch.load_model(again, folder / "model.safetensors")
    assert torch.equal(again.out.weight, model.out.weight)
    resumed = Tied()
    training.resume(tmp_path, model=resumed)
    assert torch.equal(resumed.out.weight, model.out.weight)
    assert resumed.out.weight is resumed.inside.weight


def test_the_record_names_every_file_with_its_digest(tmp_path: Path) -> None:
    folder = training.save(tmp_path, 3, **small())
    said = json.loads((folder / "checkpoint.json").read_text())
    files = {path.name for path in folder.iterdir()} - {"checkpoint.json"}
    assert set(said["files"]) == files
    for name, file in said["files"].items():
        data = (folder / name).read_bytes()
        digest = f"blake3:{blake3(data).hexdigest()}"
        assert (len(data), digest) == (file["bytes"], file["digest"])


def test_a_step_saved_again_takes_the_place_of_the_first(tmp_path: Path) -> None:
    parts = small()
    training.save(tmp_path, 1, values={"take": 1}, **parts)
    training.save(tmp_path, 1, values={"take": 2}, **parts)
    assert training.steps(tmp_path) == [1]
    assert len(list(tmp_path.iterdir())) == 1
    assert training.resume(tmp_path, **parts).values == {"take": 2}


def test_of_two_takes_the_later_counts_if_nobody_removed_the_first(tmp_path: Path) -> None:
    parts = small()
    first = training.save(tmp_path / "a", 1, values={"take": 1}, **parts)
    second = training.save(tmp_path / "b", 1, values={"take": 2}, **parts)
    (tmp_path / "run").mkdir()
    first.rename(tmp_path / "run/step-1")
    second.rename(tmp_path / "run/step-1.1")  # killed between the two
    assert training.resume(tmp_path / "run", **parts).values == {"take": 2}


def test_what_a_killed_writer_left_is_never_a_step_and_goes(tmp_path: Path) -> None:
    parts = small()
    whole = training.save(tmp_path, 1, **parts)
    half = tmp_path / ".step-2.0123abcd.part"
    shutil.copytree(whole, half)
    assert training.steps(tmp_path) == [1]
    assert training.resume(tmp_path, **parts).step == 1
    training.save(tmp_path, 2, **parts)
    assert not half.exists()


def test_what_another_writer_is_writing_stays(tmp_path: Path) -> None:
    parts = small()
    with folders.new_step(tmp_path, 5, 0) as draft:
        training.save(tmp_path, 1, **parts)
        assert draft.is_dir()
    assert training.steps(tmp_path) == [1, 5]


def refuse(error: OSError) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_a_full_disk_harms_nothing_that_is_there(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = small()
    training.save(tmp_path, 1, **parts)
    with monkeypatch.context() as patched:
        patched.setattr(os, call, refuse(OSError(errno.ENOSPC, "No space left on device")))
        with pytest.raises(UnavailableError, match="No space left"):
            training.save(tmp_path, 2, **parts)
    assert [path.name for path in tmp_path.iterdir()] == ["step-1"]
    training.save(tmp_path, 2, **parts)
    assert training.resume(tmp_path, **small()).step == 2


def test_too_little_room_is_said_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 0))
    with pytest.raises(UnavailableError, match="has room for 0 bytes, step 1 needs"):
        training.save(tmp_path, 1, **small())
    assert list(tmp_path.iterdir()) == []


class Refusing:
    def state_dict(self) -> dict[str, Any]:
        return {"rule": {"scale": lambda x: x}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        raise AssertionError


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"scheduler": Refusing()}, "scheduler.rule.scale is a builtins.function"),
        ({"values": {"at": [object()]}}, "values.at.0 is a builtins.object"),
        ({"metrics": {"loss": "low"}}, "the metric 'loss' is a str"),
        ({"metrics": {"loss": torch.ones(2)}}, "the metric 'loss' is a Tensor"),
        ({"counter": 3}, "counter is a int, which has no state_dict"),
        ({"random": nn.Linear(1, 1)}, "'random' cannot name a part"),
        ({"a/b": nn.Linear(1, 1)}, "'a/b' cannot name a part"),
        ({"accumulated": -1}, "-1 micro-batches"),
    ],
    ids=lambda item: item if isinstance(item, str) else "",
)
def test_what_cannot_be_kept_is_refused_before_anything_is_written(
    more: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(RequestError, match=said):
        training.save(tmp_path / "run", 1, **small(), **more)
    assert not (tmp_path / "run").exists()


NO_UNPICKLING = """
import sys
from pathlib import Path
import torch
from cairn import training

seen = []
sys.addaudithook(lambda event, _: seen.append(event) if event.startswith("pickle.") else None)
model = torch.nn.Linear(2, 2)
training.save(Path(sys.argv[1]), 1, model=model, values={"x": torch.ones(1)})
training.resume(Path(sys.argv[1]), model=model)
assert seen == [], seen
import copyreg, pickle
pickle.loads(pickle.dumps(torch.Size))
assert seen, "the probe sees nothing"
"""


def test_neither_saving_nor_resuming_unpickles(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", NO_UNPICKLING, str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr


WRITING_FOR_EVER = """
import sys
from pathlib import Path
import torch
from cairn import training

torch.set_num_threads(1)
model = torch.nn.Linear(300, 300)
step = 0
while True:
    step += 1
    folder = Path(sys.argv[1])
    training.save(folder, step % 3, values={"n": step}, code=folder, model=model)
    print(step, flush=True)
"""


@pytest.mark.slow
def test_whenever_the_writer_is_killed_the_newest_checkpoint_is_whole(tmp_path: Path) -> None:
    for round_ in range(8):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITING_FOR_EVER, str(tmp_path)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        assert writer.stdout is not None
        acknowledged = [int(writer.stdout.readline()) for _ in range(3)][-1]
        for _ in range(round_ * 3000):
            pass  # another instant each time
        writer.kill()
        acknowledged = max([acknowledged, *map(int, writer.communicate()[0].split())])
        kept = [
            training.resume(tmp_path, step=step, code=tmp_path, model=nn.Linear(300, 300)).values[
                "n"
            ]
            for step in training.steps(tmp_path)
        ]
        assert max(kept) >= acknowledged
