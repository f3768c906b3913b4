"""What frameworks save is clean: state dicts, trainings, whole models of torch's own layers."""

import collections
import datetime as dt
import functools
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from cairn.domain import FileReport, Verdict
from cairn.formats import FileSource
from cairn.scanner import gather, report_of
from scripts import format_checkpoints


def report(path: Path) -> FileReport:
    with FileSource(path) as source:
        return report_of(path.name, source.size_bytes, gather(source))


def layers() -> nn.Module:
    encoder = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
    return nn.Sequential(nn.Embedding(5, 4), nn.LSTM(4, 4), nn.BatchNorm1d(4), encoder, nn.GELU())


def training() -> dict[str, Any]:
    model = layers()
    optimizer = torch.optim.AdamW(model.parameters())
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
    return {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "schedule": schedule.state_dict(),
        "random": (torch.get_rng_state(), np.random.get_state(), np.random.default_rng(0)),
        "at": dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        "best": np.float64(0.5),
        "folder": Path("runs/1"),
        "seen": collections.defaultdict(int, a=1),
        "activation": functools.partial(nn.functional.gelu, approximate="tanh"),
    }


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.layer(x))


def _exported(path: Path) -> None:
    torch.export.save(torch.export.export(Net(), (torch.ones(1, 3),)), str(path))


_LEGACY = {"_use_new_zipfile_serialization": False}
_SAVED: dict[str, Callable[[Path], object]] = {
    "tensors.pt": lambda path: torch.save(layers().state_dict(), path),
    "tensors.pth": lambda path: torch.save(layers().state_dict(), path, **_LEGACY),
    "training.ckpt": lambda path: torch.save(training(), path),
    "training.pt": lambda path: torch.save(training(), path, **_LEGACY),
    "module.pt": lambda path: torch.save(layers(), path),
    "module.pth": lambda path: torch.save(layers(), path, **_LEGACY),
    "optimizer.pt": lambda path: torch.save(torch.optim.SGD(layers().parameters(), 0.1), path),
    "kinds.pt": lambda path: torch.save(
        [torch.eye(2).to_sparse(), torch.ones(2).to(torch.float8_e4m3fn), torch.device("cpu")], path
    ),
    "script.pt": lambda path: torch.jit.save(torch.jit.script(Net()), str(path)),
    "program.pt2": _exported,
    "array.npy": lambda path: np.save(path, np.arange(5)),
    "objects.npy": lambda path: np.save(path, np.array([{"a": np.ones(2)}, None], dtype=object)),
    "records.npy": lambda path: np.save(path, np.zeros(2, [("a", "f4"), ("b", "i8", (2,))])),
    "arrays.npz": lambda path: np.savez(path, a=np.ones(2), b=np.array(["text"])),
    "zeros.npz": lambda path: np.savez_compressed(path, a=np.zeros(10**6)),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", _SAVED)
def test_what_a_framework_saves_is_clean(name: str, tmp_path: Path) -> None:
    _SAVED[name](tmp_path / name)
    assert report(tmp_path / name).findings == ()


@pytest.mark.parametrize("protocol", range(6))
def test_plain_values_and_arrays_are_clean_in_every_protocol(protocol: int, tmp_path: Path) -> None:
    value = {"a": np.ones(3), "bytes": bytes(300), "set": {1}, "z": 1j, "when": dt.date(2026, 1, 1)}
    path = tmp_path / "value.pkl"
    path.write_bytes(pickle.dumps(value, protocol))
    assert report(path).findings == ()


@pytest.mark.parametrize(
    "what", [what for what in format_checkpoints.MAKERS if "Ultralytics" not in what]
)
def test_the_model_families_are_clean(what: str, tmp_path: Path) -> None:
    format_checkpoints.MAKERS[what](tmp_path)
    reports = [report(path) for path in sorted(tmp_path.rglob("*")) if path.is_file()]
    assert [r for r in reports if r.verdict is not Verdict.CLEAN] == []


def test_a_module_of_classes_that_nobody_knows_is_suspicious(tmp_path: Path) -> None:
    path = format_checkpoints.ultralytics(tmp_path)
    found = report(path)
    assert found.verdict is Verdict.SUSPICIOUS
    assert all("ultralytics.nn.tasks" in finding.message for finding in found.findings)
