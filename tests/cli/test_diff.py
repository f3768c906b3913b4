"""`cairn diff` as a person runs it."""

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file

from cairn.cli.main import app


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    torch.manual_seed(0)
    state = {f"layers.{n}.weight": torch.randn(24, 24) for n in range(3)}
    save_file(state, tmp_path / "a.safetensors")
    state["layers.1.weight"] = state["layers.1.weight"] * 1.5
    save_file(state, tmp_path / "b.safetensors")
    return str(tmp_path / "a.safetensors"), str(tmp_path / "b.safetensors")


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["diff", *arguments])
    return done.exit_code, done.output


def test_the_exit_code_is_that_of_diff(files: tuple[str, str]) -> None:
    assert run(files[0], files[0])[0] == 0
    code, text = run(*files)
    assert code == 1
    assert "Fine-tuned: 1 of 3 tensors changed, by 50 % in all" in text


def test_json_and_filter(files: tuple[str, str]) -> None:
    code, text = run(*files, "--json", "--filter", "layers.1.*")
    told = json.loads(text)
    assert code == 1 and [t["name"] for t in told["tensors"]] == ["layers.1.weight"]
    assert told["tensors"][0]["values"]["relative_change"] == pytest.approx(0.5, rel=1e-5)


def test_plots(files: tuple[str, str], tmp_path: Path) -> None:
    run(*files, "--plot", str(tmp_path / "map.svg"))
    assert (tmp_path / "map.svg").read_text().startswith("<svg")
    run(*files, "--plot", str(tmp_path / "map.png"))
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")


def test_a_plot_of_another_kind_and_a_missing_file_are_errors(files: tuple[str, str]) -> None:
    assert CliRunner().invoke(app, ["diff", *files, "--plot", "x.gif"]).exception is not None
    assert CliRunner().invoke(app, ["diff", files[0], "nowhere.pt"]).exception is not None
