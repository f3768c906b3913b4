"""`cairn merge` as a person runs it."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.cli.command import cairn


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A base with a configuration, an adapter for it, and two fine-tunes."""
    rng = np.random.default_rng(0)
    base = {"m.weight": rng.standard_normal((6, 4)).astype(np.float32)}
    pair = {"A": rng.standard_normal((1, 4)), "B": rng.standard_normal((6, 1))}
    change = (pair["B"] @ pair["A"]).astype(np.float32)
    for name, part in (("base", 0.0), ("first", 1.0), ("second", 3.0)):
        (tmp_path / name).mkdir()
        save_file(
            {"m.weight": base["m.weight"] + np.float32(part) * change},
            tmp_path / name / "model.safetensors",
        )
        (tmp_path / name / "tokenizer.json").write_text("{}")
    (tmp_path / "lora").mkdir()
    named = {f"base_model.model.m.lora_{k}.weight": v.astype(np.float32) for k, v in pair.items()}
    save_file(named, tmp_path / "lora" / "adapter_model.safetensors")
    stated = {"peft_type": "LORA", "r": 1, "lora_alpha": 1}
    (tmp_path / "lora" / "adapter_config.json").write_text(json.dumps(stated))
    return tmp_path


def run(folder: Path, *arguments: str, expect: int = 0) -> str:
    placed = [str(folder / one) if (folder / one).exists() else one for one in arguments]
    done = cairn("merge", *placed, "-o", str(folder / "out"), expect=expect)
    return done.stderr if expect else done.stdout


def weight(folder: Path, name: str) -> np.ndarray:
    return load_file(folder / name / "model.safetensors")["m.weight"]


def test_an_adapter_goes_in_and_out_again(folder: Path) -> None:
    told = json.loads(run(folder, "adapter", "base", "lora", "--json"))
    assert (told["tensors"], told["computed"]) == (1, 1)
    assert (folder / "out" / "tokenizer.json").exists() and (folder / "out" / "README.md").exists()
    np.testing.assert_allclose(weight(folder, "out"), weight(folder, "first"), atol=1e-6)
    (folder / "out").rename(folder / "merged")
    assert "1 of them computed" in run(folder, "undo", "merged", "lora")
    np.testing.assert_allclose(weight(folder, "out"), weight(folder, "base"), atol=1e-6)


def test_extracting_says_how_much_is_kept(folder: Path) -> None:
    text = run(folder, "extract", "base", "second", "--rank", "1")
    assert "m.weight" in text and "100.0 %" in text
    config = json.loads((folder / "out" / "adapter_config.json").read_text())
    assert (config["r"], config["target_modules"]) == (1, ["m"])
    assert "no matrix of base differs" in run(folder, "extract", "base", "base", expect=2)


def test_models_are_merged_with_weights(folder: Path) -> None:
    run(folder, "models", "first", "second", "--weights", "1,1", "--json")
    middle = (weight(folder, "first") + weight(folder, "second")) / 2
    np.testing.assert_allclose(weight(folder, "out"), middle, atol=1e-6)
    assert "--force overwrites" in run(folder, "models", "first", "second", expect=4)
    assert "not numbers" in run(folder, "models", "first", "second", "--weights", "x", expect=2)
    assert "name it with --base" in run(
        folder, "models", "first", "second", "--method", "ties", expect=2
    )
