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


def test_a_new_head_comes_with_its_class_and_labels(folder: Path) -> None:
    (folder / "base" / "config.json").write_text('{"architectures": ["Body"], "model_type": "x"}')
    adapter = folder / "lora" / "adapter_model.safetensors"
    head = {"base_model.model.score.weight": np.ones((2, 6), np.float32)}
    save_file({**load_file(adapter), **head}, adapter)
    stated = json.loads((folder / "lora" / "adapter_config.json").read_text())
    stated |= {"modules_to_save": ["score"], "auto_mapping": {"base_model_class": "Classifier"}}
    (folder / "lora" / "adapter_config.json").write_text(json.dumps(stated))
    (folder / "lora" / "results.json").write_text('{"classes": ["bad", "good"]}')
    run(folder, "adapter", "base", "lora")
    assert json.loads((folder / "out" / "config.json").read_text()) == {
        "architectures": ["Classifier"],
        "model_type": "x",
        "id2label": {"0": "bad", "1": "good"},
        "label2id": {"bad": 0, "good": 1},
    }


def test_prefixes_of_heads_and_positions_do_not_keep_models_apart(folder: Path) -> None:
    base, second = (folder / name / "model.safetensors" for name in ("base", "second"))
    positions = {"positions": np.arange(3)}
    head = {"score.weight": np.ones((2, 6), np.float32)}
    plain = load_file(second)
    save_file({**load_file(base), **positions}, base)
    save_file({f"body.{name}": values for name, values in plain.items()} | head, second)
    assert "left out score.weight" in run(folder, "extract", "base", "second", "--rank", "1")
    (name, *_) = load_file(folder / "out" / "adapter_model.safetensors")
    assert name.startswith("base_model.model.m.lora_")
    save_file(plain, second)
    (folder / "base" / "results.json").write_text("{}")
    run(folder, "models", "base", "second", "--force")
    merged = load_file(folder / "out" / "model.safetensors")
    assert set(merged) == {"m.weight", "positions"}
    assert not (folder / "out" / "results.json").exists(), "it is of the first model alone"
