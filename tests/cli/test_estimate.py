"""`cairn estimate` as a person runs it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.cli.command import cairn
from tests.estimation.subjects import decoder


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small decoder with its configuration."""
    folder = tmp_path_factory.mktemp("base")
    shapes = decoder(layers=2, width=32, wide=64, words=50).tensors
    save_file({n: np.zeros(s, np.float32) for n, s in shapes.items()}, folder / "model.safetensors")
    config = {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "vocab_size": 50,
        "intermediate_size": 64,
        "tie_word_embeddings": False,
    }
    (folder / "config.json").write_text(json.dumps(config))
    return str(folder)


def told(*arguments: str, expect: int = 0) -> Any:
    return json.loads(cairn("estimate", *arguments, "--json", expect=expect).stdout)


def test_memory_by_part_time_and_what_it_costs(base: str) -> None:
    text = cairn(
        *("estimate", base, "--method", "lora", "--batch", "8", "--seq", "64", "--device", "H100"),
        *("--steps", "1000", "--price-per-hour", "2.5", "--carbon-intensity", "300"),
    ).stdout
    assert "llama" in text and "2,048 trained" in text
    for words in ("weights", "activations", "framework (assumed)", "(estimated)"):
        assert words in text
    assert "h100" in text and "1,000 steps" in text and "kg CO2" in text


def test_a_sample_longer_than_the_positions_is_told_of(tmp_path: Path) -> None:
    shapes = {**decoder(layers=1, width=16, wide=32, words=50).tensors, "wpe.weight": (24, 16)}
    whole = {n: np.zeros(s, np.float32) for n, s in shapes.items()}
    save_file(whole, tmp_path / "model.safetensors")
    text = cairn("estimate", str(tmp_path), "--seq", "25").stdout
    assert "its positions end at 24 tokens" in text
    assert "its positions" not in cairn("estimate", str(tmp_path), "--seq", "24").stdout
    assert told(str(tmp_path))["model"]["positions"] == 24


def test_a_table_has_no_empty_columns(base: str) -> None:
    text = cairn("estimate", base, "--device", "h100").stdout
    assert "a step" in text
    assert not any(words in text for words in ("kg CO2", "cost", "kWh", "1 steps"))


def test_json_says_of_every_group_what_kind_of_number_it_is(base: str) -> None:
    found = told(base, "--batch", "4", "--device", "all", "--tokens", "1000000")
    assert found["steps"] == -(-1_000_000 // (4 * 512))
    bases = {key: group.get("basis") for key, group in found.items() if isinstance(group, dict)}
    assert bases["memory"] == bases["flops_per_step"] == "estimated"
    assert bases["model"] == "declared" and bases["plan"] == bases["prices"] == "given"
    assert sum(found["memory"]["parts"].values()) == pytest.approx(
        found["memory"]["total_bytes"], abs=10
    )
    names = [row["device"]["name"] for row in found["devices"]]
    assert {"h100", "t4", "cpu"} <= set(names)
    assert all(row["time"]["cost"] is None for row in found["devices"])


def test_the_catalogue_is_listed_and_says_what_was_not_checked() -> None:
    text = cairn("estimate", "--devices").stdout
    assert "NVIDIA H100 SXM" in text and "not checked" in text
    listed = told("--devices")
    assert {one["basis"] for one in listed} == {"declared"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--batch", "0"), "batch 0 is not in 1"),
        (("--steps", "1", "--tokens", "2"), "not both"),
        (("--device", "abacus"), "no device 'abacus'"),
        (("--sharding", "zero2"), "2 devices or more"),
    ],
)
def test_a_wrong_request_says_what_is_wrong(
    base: str, arguments: tuple[str, ...], words: str
) -> None:
    assert words in cairn("estimate", base, *arguments, expect=2).stderr


def test_without_a_base_it_asks_for_one() -> None:
    assert "name what to train" in cairn("estimate", expect=2).stderr


def test_an_adapter_and_packed_weights_are_refused(tmp_path: Path) -> None:
    adapter = tmp_path / "adapter.safetensors"
    pair = {"q_proj.lora_A.weight": (2, 8), "q_proj.lora_B.weight": (8, 2)}
    save_file(
        {f"base_model.model.layers.0.{n}": np.zeros(s, np.float32) for n, s in pair.items()},
        adapter,
    )
    assert "estimate the model it is for" in cairn("estimate", str(adapter), expect=2).stderr
    packed = tmp_path / "packed.safetensors"
    save_file({"model.layers.0.self_attn.q_proj.qweight": np.zeros((8, 4), np.int32)}, packed)
    assert "packed codes" in cairn("estimate", str(packed), expect=2).stderr
