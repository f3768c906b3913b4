"""Training series: what a loop saves is there byte for byte, in less space, and pruned by rules."""

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import torch

from cairn.domain import Retention
from cairn.errors import EntryNotFoundError, RequestError
from cairn.workflows.folder_store import open_folder
from cairn.workflows.series import Series
from tests.architecture.checkout import ROOT
from tests.cli.command import cairn

WEIGHTS = np.random.default_rng(1).normal(0, 0.02, 100_000).astype(np.float32)


def step_of(n: int) -> dict[str, np.ndarray]:
    nudge = np.random.default_rng(n).normal(0, 1e-6, WEIGHTS.size).astype(np.float32)
    return {"w": WEIGHTS + n * nudge, "step": np.array(n)}


def test_a_series_comes_back_as_it_was_saved_and_takes_less(tmp_path: Path) -> None:
    with Series(tmp_path, "run") as series:
        for n in (10, 9, 100):
            series.save(n, step_of(n), {"loss": 1 / n})
        assert series.steps() == [9, 10, 100]
        assert series.metadata(10) == {"loss": 0.1, "step": 10}
    store = open_folder(tmp_path).store
    assert list(store.pending()) == []
    assert store.stats().stored_bytes < 0.7 * store.stats().logical_bytes
    with Series(tmp_path, "run") as series:
        for n in series.steps():
            loaded = series.load(n)
            assert all(np.array_equal(loaded[name], value) for name, value in step_of(n).items())
        with pytest.raises(EntryNotFoundError):
            series.load(11)


def test_tensors_of_torch_are_taken_without_importing_it(tmp_path: Path) -> None:
    matrix = torch.randn(30, 20)
    given = {
        "bf16": matrix.to(torch.bfloat16),
        "f8": matrix.to(torch.float8_e4m3fn),
        "turned": matrix.T,
        "some": matrix[3:9:2, 1:15:3],
        "flags": matrix > 0,
        "one": torch.tensor(3),
        "none": torch.empty(0, 4),
        "trained": torch.nn.Parameter(matrix),
    }
    with Series(tmp_path, "run") as series:
        series.save(1, given)
        loaded = series.load(1)
    assert loaded["bf16"].dtype == ml_dtypes.bfloat16
    for name, value in given.items():
        back, wanted = loaded[name].astype(np.float32), value.detach().float().numpy()
        assert back.shape == wanted.shape
        assert np.array_equal(back, wanted)


@pytest.mark.parametrize("value", ["text", [1, 2], np.array(["text"]), np.array([None])])
def test_what_is_no_tensor_is_refused_and_nothing_is_kept(value: object, tmp_path: Path) -> None:
    with Series(tmp_path, "run") as series:
        with pytest.raises(RequestError, match="wrong"):
            series.save(1, {"wrong": value})
        assert series.steps() == []


def test_what_changes_after_save_is_not_in_what_was_saved(tmp_path: Path) -> None:
    weights = WEIGHTS.copy()
    with Series(tmp_path, "run") as series:
        series.save(1, {"w": weights})
        weights[:] = 0
        assert np.array_equal(series.load(1)["w"], WEIGHTS)


def test_retention_keeps_the_last_every_kth_and_the_best() -> None:
    steps = {n: {"loss": abs(n - 33)} for n in range(0, 100, 10)} | {7: {"loss": float("nan")}}
    assert Retention(last=2).kept(steps) == {80, 90}
    assert Retention(every=40).kept(steps) == {0, 40, 80, 90}
    assert Retention(best=2).kept(steps) == {30, 40, 90}
    assert Retention(best=1, highest=True).kept(steps) == {90}
    with pytest.raises(RequestError):
        Retention()


def test_pruning_leaves_what_stays_whole(tmp_path: Path) -> None:
    with Series(tmp_path, "run") as series:
        for n in range(1, 7):
            series.save(n, step_of(n), {"loss": n % 4})
        series.save(0, step_of(0))
    with Series(tmp_path, "other") as other:
        other.save(1, step_of(50))
    place = ("--store", str(tmp_path))
    planned = cairn("store", "prune", "run", "--last", "2", "--best", "1", "--dry-run", *place)
    assert "0, 1, 2, 3" in planned.stdout
    done = json.loads(
        cairn("store", "prune", "run", "--last", "2", "--best", "1", "--json", *place).stdout
    )
    assert done["kept"] == [4, 5, 6]
    assert done["freed_bytes"] > 0
    for name, kept in (("run", [4, 5, 6]), ("other", [1])):
        with Series(tmp_path, name) as series:
            assert series.steps() == kept
            for n in kept:
                assert np.array_equal(
                    series.load(n)["w"], step_of(50 if name == "other" else n)["w"]
                )
    cairn("store", "prune", "ruin", "--last", "1", *place, expect=3)
    cairn("store", "prune", "run", *place, expect=2)


def test_a_killed_training_leaves_every_step_it_saved(tmp_path: Path) -> None:
    program = """
        import sys, numpy as np
        from cairn.workflows.series import Series
        series = Series(sys.argv[1], "run")
        for n in range(1000):
            series.save(n, {"w": np.full(50_000, n, np.float32)})
            print(n, flush=True)
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        saved = [int(running.stdout.readline()) for _ in range(5)]
        os.kill(running.pid, signal.SIGKILL)
    with Series(tmp_path, "run") as series:
        assert set(saved) <= set(series.steps())
        for n in series.steps():
            assert np.array_equal(series.load(n)["w"], np.full(50_000, n, np.float32))
    assert list(open_folder(tmp_path).store.pending()) == []


def test_the_example_of_the_guide_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs/series.md").read_text()
    for program in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(compile(program, "docs/series.md", "exec"), {})
