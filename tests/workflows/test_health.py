"""Health: every tensor is measured or has a reason, troubles are told, JSON loses nothing."""

import json
import threading
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from cairn.domain import DType, Role, Span, TensorInfo, Trouble
from cairn.workflows.health import LARGE, TensorHealth, measure_tensors, summarise
from cairn.workflows.inspect import read_path
from cairn.workflows.plain_statistics import parsed, plain
from tests.cli.command import cairn


@pytest.fixture
def sick(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    healthy = torch.randn(32, 16)
    nan, infinite, dead, large = (healthy.clone() for _ in range(4))
    nan[3, 2] = float("nan")
    infinite[0, 0] = -float("inf")
    dead[4] = 0
    large[0, 0] = 2 * LARGE
    tensors = {
        "healthy": healthy,
        "transposed": healthy.to(torch.bfloat16),
        "nan": nan,
        "infinite": infinite,
        "dead": dead,
        "large": large,
        "zero": torch.zeros(8),
        "constant": torch.ones(8),
        "single": torch.zeros(()),
        "positions": torch.zeros(4, dtype=torch.int64),
    }
    safetensors.torch.save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "damaged.bin").write_bytes(b"PK\3\4 no zip")
    return tmp_path


def health_of(path: Path, **options) -> dict[str, TensorHealth]:
    readable = read_path(path)
    found = measure_tensors(readable, readable.checkpoint.tensors(), **options)
    return {health.tensor.name: health for health in found}


def test_what_stands_out_is_told_of_each_tensor(sick: Path) -> None:
    found = {name: health.troubles for name, health in health_of(sick).items()}
    assert found == {
        "healthy": (),
        "transposed": (),
        "nan": (Trouble.NAN,),
        "infinite": (Trouble.INFINITE,),
        "dead": (Trouble.DEAD_ROWS,),
        "large": (Trouble.LARGE,),
        "zero": (Trouble.ALL_ZERO,),
        "constant": (Trouble.CONSTANT,),
        "single": (Trouble.ALL_ZERO,),
        "positions": (),
    }


def test_tensors_come_in_the_order_asked_for_whatever_the_threads_do(sick: Path) -> None:
    readable = read_path(sick)
    tensors = list(readable.checkpoint.tensors())
    for threads in (1, 4):
        found = list(measure_tensors(readable, tensors, threads=threads))
        assert [(health.path, health.tensor) for health in found] == tensors


def test_optimizer_state_of_zeros_is_no_trouble(tmp_path: Path) -> None:
    parameter = torch.nn.Parameter(torch.randn(4, 4))
    optimizer = torch.optim.AdamW([parameter])
    parameter.sum().backward()
    parameter.grad.zero_()
    optimizer.step()
    torch.save(optimizer.state_dict(), tmp_path / "optimizer.pt")
    found = health_of(tmp_path)
    assert {health.tensor.role for health in found.values()} == {Role.OPTIMIZER}
    assert any(health.statistics.is_all_zero for health in found.values() if health.statistics)
    assert not any(health.troubles for health in found.values())


def test_progress_adds_up_to_the_bytes_of_the_tensors(sick: Path) -> None:
    lock, done = threading.Lock(), []

    def progress(count: int) -> None:
        with lock:
            done.append(count)

    found = health_of(sick, progress=progress)
    assert sum(done) == sum(health.tensor.size_bytes for health in found.values())


def test_a_view_is_measured_as_it_is_seen(tmp_path: Path) -> None:
    whole = torch.arange(24.0).reshape(4, 6)
    torch.save({"view": whole[:, 1:3].t(), "whole": whole}, tmp_path / "model.bin")
    found = health_of(tmp_path)["view"].statistics
    assert found is not None
    assert (found.count, found.minimum, found.maximum, found.rows) == (8, 1, 20, 2)


def test_a_tensor_whose_bytes_went_away_has_a_reason_and_the_others_numbers(sick: Path) -> None:
    readable = read_path(sick)
    tensors = list(readable.checkpoint.tensors())
    weights = sick / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    found = list(measure_tensors(readable, tensors))
    assert any("shorter" in health.not_read for health in found)
    summary = summarise(found)
    assert summary.measured
    assert summary.measured + summary.not_read == len(tensors)


def test_a_type_without_a_stated_codebook_is_said_to_be_not_decoded(sick: Path) -> None:
    readable = read_path(sick)
    tensor = TensorInfo("q", DType.IQ1_S, (256,), Span(0, DType.IQ1_S.block_bytes))
    (health,) = measure_tensors(readable, [("model.safetensors", tensor)])
    assert health.statistics is None
    assert health.not_read == "IQ1_S values are not decoded"


def test_statistics_come_back_from_json_as_they_were(sick: Path) -> None:
    for health in health_of(sick).values():
        assert health.statistics is not None
        text = json.dumps(plain(health.statistics), allow_nan=False)
        assert parsed(json.loads(text)) == health.statistics


def test_the_command_shows_numbers_histograms_and_what_stands_out(sick: Path) -> None:
    told = cairn("inspect", str(sick), "--stats").stdout
    assert "10 tensors measured: NaN in 1, infinite values in 1, all zero in 2" in told
    assert "nan: 1 of 512 values are NaN" in told
    assert "dead: 1 of 32 rows are all zero" in told
    healthy = next(line for line in told.splitlines() if line.startswith("healthy"))
    assert "█" in healthy


def test_the_command_measures_only_what_the_filter_chooses(sick: Path) -> None:
    told = json.loads(cairn("inspect", str(sick), "--stats", "-f", "nan", "--json").stdout)
    assert told["health"] == {"measured": 1, "not_read": 0, "troubles": {"NaN": 1}}
    (tensor,) = told["tensors"]
    assert (tensor["statistics"]["nan"], tensor["troubles"]) == (1, ["NaN"])
    assert tensor["statistics"]["evidence"] == "measured"
    assert (
        "statistics" not in json.loads(cairn("inspect", str(sick), "--json").stdout)["tensors"][0]
    )


def test_the_command_gives_ranks_of_wider_matrices_when_asked(tmp_path: Path) -> None:
    thin = np.linalg.qr(np.random.default_rng(0).normal(size=(300, 2)))[0]
    safetensors.torch.save_file(
        {"w": torch.from_numpy(thin @ thin.T).float()}, tmp_path / "model.safetensors"
    )
    ranks = []
    for option in ("--stats", "--rank"):
        told = json.loads(cairn("inspect", str(tmp_path), option, "--json").stdout)
        ranks.append(told["tensors"][0]["statistics"]["rank"])
    assert "longer than 256" in ranks[0]["not_computed"]
    assert ranks[1]["effective"] == pytest.approx(2, abs=0.01)
