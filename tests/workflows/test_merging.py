"""Merging adapters and models: equal to PEFT to rounding, and to formulas written out."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from torch import nn

from cairn.errors import CairnError, RequestError
from cairn.merging.siblings import Method, Recipe, chances, merge, slerp, threshold
from cairn.workflows.computed_weights import Computed, Weights, weights_of, write_computed
from cairn.workflows.conv1d import conv1d_weights
from cairn.workflows.extract_adapter import extracted
from cairn.workflows.inspect import read_path
from cairn.workflows.lora_files import adapter_for
from cairn.workflows.merge_adapter import merged_with, unmerged
from cairn.workflows.merge_card import Parents
from cairn.workflows.merge_models import merged_models

State = Mapping[str, np.ndarray[Any, Any]]


class Net(nn.Module):
    """Every kind of layer that PEFT adapts, and a head."""

    def __init__(self) -> None:
        from transformers.pytorch_utils import Conv1D

        super().__init__()
        self.words = nn.Embedding(11, 6)
        self.conv = nn.Conv2d(3, 4, 3)
        self.first = nn.Linear(6, 8)
        self.turned = Conv1D(5, 8)
        self.head = nn.Linear(5, 2)


def wrapped(folder: Path, kind: type[nn.Module] = Net, **settings: Any) -> tuple[State, State]:
    """A base and an adapter in two folders; what the base holds, and what PEFT merges it to."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    base = kind()
    state = {name: p.detach().numpy().copy() for name, p in base.named_parameters()}
    (folder / "base").mkdir()
    save_file(state, folder / "base" / "model.safetensors")
    model = get_peft_model(base, LoraConfig(init_lora_weights=False, **settings))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "modules_to_save" in name:
                parameter.add_(1)
    model.save_pretrained(folder / "adapter")
    merged = model.merge_and_unload()
    return state, {n: p.detach().numpy() for n, p in merged.named_parameters()}


def weights(folder: Path, name: str) -> Weights:
    return weights_of(read_path(folder / name), name)


def write(made: Computed, source: Weights, folder: Path, **options: Any) -> dict[str, Any]:
    write_computed(made, source.found, folder, "model.safetensors", **options)
    return {k: v for path in folder.glob("*.safetensors") for k, v in load_file(path).items()}


def merge_here(folder: Path, **options: Any) -> dict[str, Any]:
    base = weights(folder, "base")
    adapter = adapter_for(read_path(folder / "adapter"), "adapter", base)
    parents = Parents(("org/base", "org/adapter"))
    return write(merged_with(base, adapter, parents), base, folder / "merged", **options)


@pytest.mark.parametrize(
    "settings",
    [
        {"r": 4, "lora_alpha": 16, "target_modules": ["first", "conv"]},
        {"r": 4, "use_rslora": True, "target_modules": ["first", "words"]},
        {"r": 2, "target_modules": ["turned"], "fan_in_fan_out": True},
        {"r": 2, "target_modules": ["first"], "modules_to_save": ["head"]},
        {
            "r": 4,
            "target_modules": ["first", "conv"],
            "rank_pattern": {"first": 2},
            "alpha_pattern": {"conv": 3},
        },
    ],
    ids=["alpha", "rslora and embedding", "Conv1D", "a new head", "patterns"],
)
def test_a_merged_adapter_is_what_peft_merges(tmp_path: Path, settings: dict[str, Any]) -> None:
    state, wanted = wrapped(tmp_path, **settings)
    found = merge_here(tmp_path)
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-6, atol=1e-6, err_msg=name)
    assert any(not np.array_equal(found[name], state[name]) for name in state)


def test_undoing_a_merge_gives_the_base_to_rounding_and_shards_hold_it(tmp_path: Path) -> None:
    state, _ = wrapped(tmp_path, r=4, target_modules=["first", "conv"])
    merge_here(tmp_path, shard_bytes=400)
    merged = weights(tmp_path, "merged")
    assert len(list((tmp_path / "merged").glob("model-*.safetensors"))) > 1
    index = json.loads((tmp_path / "merged" / "model.safetensors.index.json").read_text())
    assert index["weight_map"].keys() == state.keys()
    adapter = adapter_for(read_path(tmp_path / "adapter"), "adapter", merged)
    back = write(unmerged(merged, adapter, Parents(())), merged, tmp_path / "back")
    for name, value in state.items():
        np.testing.assert_allclose(back[name], value, rtol=1e-5, atol=1e-6)


def test_lineage_is_in_the_card_and_in_the_file(tmp_path: Path) -> None:
    wrapped(tmp_path, r=2, target_modules=["first"])
    merge_here(tmp_path)
    card = (tmp_path / "merged" / "README.md").read_text()
    assert "base_model:\n- org/base\n- org/adapter\nbase_model_relation: merge\n" in card
    header = (tmp_path / "merged" / "model.safetensors").read_bytes()[8:2000].decode("latin-1")
    assert '\\"method\\": \\"merge\\"' in header


def test_a_rounded_base_is_rounded_once(tmp_path: Path) -> None:
    base = np.array([[1.0, 256.0]], ml_dtypes.bfloat16)
    (tmp_path / "base").mkdir()
    save_file({"m.weight": base}, tmp_path / "base" / "model.safetensors")
    lora(tmp_path / "adapter", {"A": np.ones((1, 2)), "B": np.full((1, 1), 0.7)}, module="m")
    found = merge_here(tmp_path)["m.weight"]
    exact = base.astype(np.float32) + np.float32(0.7)
    np.testing.assert_array_equal(found, exact.astype(ml_dtypes.bfloat16))


def lora(folder: Path, pair: State, module: str = "first", **config: Any) -> None:
    folder.mkdir(exist_ok=True)
    named = {
        f"base_model.model.{module}.lora_{side}.weight": value.astype(np.float32)
        for side, value in pair.items()
    }
    save_file(named, folder / "adapter_model.safetensors")
    stated = {"peft_type": "LORA", "r": 1, "lora_alpha": 1, **config}
    (folder / "adapter_config.json").write_text(json.dumps(stated))


GOOD = {"A": np.ones((1, 6)), "B": np.ones((8, 1))}


@pytest.mark.parametrize(
    ("pair", "config", "words"),
    [
        (GOOD, {"use_dora": True}, "DoRA"),
        (GOOD, {"peft_type": "IA3"}, "'IA3' are not merged"),
        (GOOD, {"lora_bias": True}, "trained with lora_bias"),
        (GOOD, {"trainable_token_indices": [1]}, "trained with trainable_token_indices"),
        (GOOD, {"use_qalora": True}, "trained with use_qalora"),
        (GOOD, {"init_lora_weights": "pissa_niter_4"}, "changes the base's own weights too"),
        (GOOD, {"r": 2}, "first has the rank 1, adapter_config.json says 2"),
        (GOOD, {"r": 0}, "is '0', not a number above 0"),
        (GOOD, {"rank_pattern": {"(a+)+$": 2}}, "not a plain module name"),
        ({"A": np.ones((1, 7)), "B": np.ones((8, 1))}, {}, r"makes \(8, 7\), the base has"),
        ({"A": np.ones((1, 6))}, {}, "one of its two matrices"),
    ],
)
def test_a_bad_adapter_is_refused_by_name(
    tmp_path: Path, pair: State, config: dict[str, Any], words: str
) -> None:
    (tmp_path / "base").mkdir()
    zeros = {"first.weight": np.zeros((8, 6), np.float32)}
    save_file(zeros, tmp_path / "base" / "model.safetensors")
    lora(tmp_path / "adapter", pair, **config)
    with pytest.raises(RequestError, match=words):
        merge_here(tmp_path)
    assert not (tmp_path / "merged").exists()


def test_an_adapter_that_broke_in_training_is_refused(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    zeros = {"first.weight": np.zeros((8, 6), np.float32)}
    save_file(zeros, tmp_path / "base" / "model.safetensors")
    lora(tmp_path / "adapter", {**GOOD, "B": np.full((8, 1), np.nan)})
    with pytest.raises(RequestError, match=r"adds to first.weight holds NaN or infinity"):
        merge_here(tmp_path)


def test_an_adapter_of_another_base_and_one_without_settings_are_refused(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    save_file({"x.weight": np.zeros((8, 6), np.float32)}, tmp_path / "base" / "model.safetensors")
    lora(tmp_path / "adapter", GOOD)
    with pytest.raises(RequestError, match="is not for base: it changes first, which is not there"):
        merge_here(tmp_path)
    (tmp_path / "adapter" / "adapter_config.json").unlink()
    with pytest.raises(RequestError, match=r"has no adapter_config\.json"):
        merge_here(tmp_path)


def test_a_weight_that_the_base_lacks_is_of_a_module_trained_whole(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    zeros = {"first.weight": np.zeros((8, 6), np.float32)}
    save_file(zeros, tmp_path / "base" / "model.safetensors")
    lora(tmp_path / "adapter", GOOD)
    path = tmp_path / "adapter" / "adapter_model.safetensors"
    save_file({**load_file(path), "base_model.model.head.weight": np.ones((2, 8))}, path)
    with pytest.raises(RequestError, match=r"head\.weight is not there"):
        merge_here(tmp_path)
    config = {"peft_type": "LORA", "r": 1, "lora_alpha": 1, "modules_to_save": ["head"]}
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps(config))
    assert merge_here(tmp_path).keys() == {"first.weight", "head.weight"}


# --- extracting ----------------------------------------------------------------------------------


def test_an_extracted_adapter_is_the_change_where_that_has_the_rank(tmp_path: Path) -> None:
    _, wanted = wrapped(tmp_path, r=3, target_modules=["first", "conv"])
    (tmp_path / "tuned").mkdir()
    save_file(dict(wanted), tmp_path / "tuned" / "model.safetensors")
    base = weights(tmp_path, "base")
    made, report = extracted(base, weights(tmp_path, "tuned"), 3)
    write_computed(made, base.found, tmp_path / "out", "adapter_model.safetensors")
    assert {one.name for one in report.kept} == {"first.weight", "conv.weight"}
    assert min(one.energy_kept for one in report.kept) > 0.9999
    assert "base_model_relation" not in (tmp_path / "out" / "README.md").read_text()
    adapter = adapter_for(read_path(tmp_path / "out"), "out", base)
    back = write(merged_with(base, adapter, Parents(())), base, tmp_path / "again")
    for name, value in wanted.items():
        np.testing.assert_allclose(back[name], value, rtol=1e-4, atol=1e-5)
    from peft import PeftModel

    torch.manual_seed(0)
    loaded = PeftModel.from_pretrained(Net(), str(tmp_path / "out")).merge_and_unload()
    np.testing.assert_allclose(
        loaded.first.weight.detach().numpy(), wanted["first.weight"], rtol=1e-4, atol=1e-5
    )


def test_the_share_kept_is_that_of_the_first_singular_values(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    left, _ = np.linalg.qr(rng.standard_normal((9, 9)))
    right, _ = np.linalg.qr(rng.standard_normal((7, 7)))
    change = (left[:, :3] * np.array([3.0, 2.0, 1.0])) @ right[:3]
    states = {"base": np.zeros((9, 7), np.float32), "tuned": change.astype(np.float32)}
    for name, value in states.items():
        (tmp_path / name).mkdir()
        both = {"m.weight": value, "norm.bias": np.full(3, float(name == "tuned"), np.float32)}
        save_file(both, tmp_path / name / "model.safetensors")
    base = weights(tmp_path, "base")
    made, report = extracted(base, weights(tmp_path, "tuned"), 2)
    write_computed(made, base.found, tmp_path / "out", "adapter_model.safetensors")
    assert report.kept[0].energy_kept == pytest.approx(13 / 14, rel=1e-5)
    assert report.kept[0].relative_error == pytest.approx((1 / 14) ** 0.5, rel=1e-4)
    assert report.left_out.keys() == {"norm.bias"}


def test_new_weights_are_told_and_changes_without_numbers_refused(tmp_path: Path) -> None:
    zeros, ones = np.zeros((4, 3), np.float32), np.ones((4, 3), np.float32)
    mask = np.full(2, -np.inf, np.float32)
    states = {
        "base": {"m.weight": zeros, "mask": mask},
        "tuned": {"m.weight": ones, "mask": mask, "head.weight": ones},
        "broken": {"m.weight": ones * np.float32("nan"), "mask": mask},
    }
    for name, state in states.items():
        (tmp_path / name).mkdir()
        save_file(state, tmp_path / name / "model.safetensors")
    base = weights(tmp_path, "base")
    assert extracted(base, weights(tmp_path, "tuned"), 1)[1].left_out == {"head.weight": 1.0}
    with pytest.raises(RequestError, match=r"m\.weight holds NaN or infinity"):
        extracted(base, weights(tmp_path, "broken"), 1)


# --- siblings ------------------------------------------------------------------------------------


def siblings(folder: Path, **states: np.ndarray[Any, Any]) -> list[Weights]:
    found = []
    for name, value in states.items():
        (folder / name).mkdir()
        positions = np.arange(3)
        state = {"m.weight": value.astype(np.float32), "positions": positions}
        save_file(state, folder / name / "model.safetensors")
        found.append(weights(folder, name))
    return found


BASE = np.array([[0.0, 1.0, 2.0, -1.0]])
FIRST = BASE + np.array([[1.0, -0.1, 0.5, 0.0]])
SECOND = BASE + np.array([[0.5, 0.2, -2.0, 0.1]])


@pytest.mark.parametrize(
    ("recipe", "wanted"),
    [
        (Recipe(Method.LINEAR, (1.0, 3.0)), 0.25 * FIRST + 0.75 * SECOND),
        # Half of each change is kept: (1, 0, .5, 0) and (.5, 0, -2, 0). The signs elected are
        # + of 1.5 and - of -1.5, so the third is the mean of -2 alone.
        (Recipe(Method.TIES, (1.0, 1.0), density=0.5), BASE + np.array([0.75, 0, -2.0, 0])),
        (
            Recipe(Method.TIES, (1.0, 1.0), density=0.5, scale=0.5),
            BASE + np.array([0.375, 0, -1.0, 0]),
        ),
        (Recipe(Method.DARE, (0.5, 0.5), density=1.0), BASE + 0.5 * (FIRST + SECOND - 2 * BASE)),
    ],
    ids=["linear", "ties", "ties scaled", "dare that drops nothing"],
)
def test_a_merge_is_its_formula(
    tmp_path: Path, recipe: Recipe, wanted: np.ndarray[Any, Any]
) -> None:
    base, first, second = siblings(tmp_path, base=BASE, first=FIRST, second=SECOND)
    made = merged_models([first, second], base if recipe.method.needs_base else None, recipe)
    found = write(made, first, tmp_path / "out")
    np.testing.assert_allclose(found["m.weight"], wanted, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(found["positions"], np.arange(3))
    told = json.loads(made.metadata["cairn.recipe"])
    assert told["method"] == recipe.method.value and told["seed"] == recipe.seed


def drawn(seed: int, model: int, name: str, count: int) -> np.ndarray[Any, Any]:
    return chances(seed, model, name).random(count, dtype=np.float32)


def test_dare_drops_and_rescales_by_its_own_seed(tmp_path: Path) -> None:
    base, first = siblings(tmp_path, base=BASE, first=FIRST)
    recipe = Recipe(Method.DARE, (1.0,), density=0.5, seed=3)
    found = write(merged_models([first], base, recipe), first, tmp_path / "out")["m.weight"]
    kept = drawn(3, 0, "m.weight", BASE.size).reshape(BASE.shape) < 0.5
    np.testing.assert_allclose(found, BASE + np.where(kept, 2 * (FIRST - BASE), 0), atol=1e-6)
    many = drawn(3, 0, "m.weight", 100_000)
    assert abs(float((many < 0.5).mean()) - 0.5) < 0.01
    assert not np.array_equal(many, drawn(4, 0, "m.weight", 100_000))
    assert not np.array_equal(many, drawn(3, 1, "m.weight", 100_000))


def test_slerp_keeps_the_length_of_vectors_of_one_length() -> None:
    first, second = np.float32([1, 0]), np.float32([0, 1])
    np.testing.assert_allclose(slerp(first, second, 0.5), np.sqrt(0.5) * np.ones(2), rtol=1e-6)
    np.testing.assert_allclose(slerp(first, second, 0.0), first, atol=1e-7)
    np.testing.assert_allclose(slerp(first, 2 * first, 0.5), 1.5 * first, rtol=1e-6)
    np.testing.assert_array_equal(slerp(first * 0, first, 0.5), 0.5 * first)


def test_the_threshold_of_trimming_is_the_least_of_the_largest() -> None:
    change = np.float32([3, -1, 2, -5])
    found = [threshold(change, density) for density in (0.01, 0.5, 0.75, 1.0)]
    assert found == [5, 3, 2, 0]


@pytest.mark.parametrize("method", [Method.TIES, Method.DARE])
def test_a_weight_of_many_blocks_is_merged_as_its_formula_says(method: Method) -> None:
    rng = np.random.default_rng(0)
    base, *values = rng.standard_normal((4, 300, 301)).astype(np.float32)
    recipe = Recipe(method, (0.5, 1.0, 2.0), density=0.4, seed=7)
    changes = [value - base for value in values]
    if method is Method.TIES:
        kept = [c * (np.abs(c) >= np.sort(np.abs(c), axis=None)[-36_120]) for c in changes]
        sign = np.sign(sum(w * c for w, c in zip(recipe.weights, kept, strict=True)))
        agree = [w * (np.sign(c) == sign) for w, c in zip(recipe.weights, kept, strict=True)]
        total = sum(a * c for a, c in zip(agree, kept, strict=True))
        wanted = base + np.divide(total, sum(agree), where=sign != 0, out=np.zeros_like(base))
    else:
        masks = [drawn(7, n, "m", base.size).reshape(base.shape) < 0.4 for n in range(3)]
        parts = zip(masks, changes, recipe.weights, strict=True)
        wanted = base + sum(mask * change * (weight / 0.4) for mask, change, weight in parts)
    found = merge(recipe, "m", values, base)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


class Turned(nn.Module):
    """Layers of GPT-2, inputs first and square ones too, and a linear head."""

    def __init__(self) -> None:
        from transformers.pytorch_utils import Conv1D

        super().__init__()
        self.c_attn, self.c_proj = Conv1D(18, 6), Conv1D(6, 6)
        self.score = nn.Linear(6, 6, bias=False)


def test_each_layer_of_gpt2_is_turned_by_its_own_kind(tmp_path: Path) -> None:
    settings = {"target_modules": ["c_attn", "c_proj", "score"], "r": 2}
    state, wanted = wrapped(tmp_path, Turned, **settings)
    base = weights(tmp_path, "base")
    save_file(dict(wanted), tmp_path / "tuned.safetensors")
    (tmp_path / "tuned").mkdir()
    (tmp_path / "tuned.safetensors").rename(tmp_path / "tuned" / "model.safetensors")
    made, _ = extracted(base, weights(tmp_path, "tuned"), 2)
    write_computed(made, base.found, tmp_path / "out", "adapter_model.safetensors")
    from peft import PeftModel

    fresh = Turned()
    fresh.load_state_dict({n: torch.from_numpy(v) for n, v in state.items()})
    with_peft = PeftModel.from_pretrained(fresh, str(tmp_path / "out")).merge_and_unload()
    adapter = adapter_for(read_path(tmp_path / "out"), "out", base)
    back = write(merged_with(base, adapter, Parents(())), base, tmp_path / "again")
    for name, value in wanted.items():
        np.testing.assert_allclose(back[name], value, rtol=1e-4, atol=1e-5)
        theirs = with_peft.get_parameter(name).detach().numpy()
        np.testing.assert_allclose(theirs, value, rtol=1e-4, atol=1e-5)


def test_ports_of_gpt2_with_linear_layers_are_not_turned() -> None:
    shapes = {"h.0.attn.c_attn.weight": (18, 6), "h.0.mlp.c_fc.weight": (24, 6)}
    assert conv1d_weights(shapes) == frozenset()
    turned = {name: shape[::-1] for name, shape in shapes.items()} | {"lm_head.weight": (50, 6)}
    assert conv1d_weights(turned) == set(shapes)


@pytest.mark.parametrize(
    ("other", "recipe", "words"),
    [
        ({"m.weight": np.zeros((2, 4))}, Recipe(Method.LINEAR, (1, 1)), r"is \(1, 4\) in first"),
        ({"n.weight": BASE}, Recipe(Method.LINEAR, (1, 1)), "are not alike: other lacks m.weight"),
        ({"m.weight": BASE}, Recipe(Method.TIES, (1, 1)), "name it with --base"),
        ({"m.weight": BASE}, Recipe(Method.LINEAR, (1, 1, 1)), "3 weights for 2 models"),
    ],
)
def test_models_that_do_not_go_together_are_refused(
    tmp_path: Path, other: State, recipe: Recipe, words: str
) -> None:
    for name, state in (("first", {"m.weight": FIRST}), ("other", other)):
        (tmp_path / name).mkdir()
        values = {k: v.astype(np.float32) for k, v in state.items()}
        save_file(values, tmp_path / name / "model.safetensors")
    with pytest.raises(RequestError, match=words):
        merged_models([weights(tmp_path, "first"), weights(tmp_path, "other")], None, recipe)


@pytest.mark.parametrize("method", list(Method))
def test_what_is_no_number_is_refused_unless_all_have_it(method: Method, tmp_path: Path) -> None:
    mask = np.array([-np.inf, 0, 0, 1], np.float32)
    broken = np.array([np.nan, 1, 2, 3], np.float32)
    here = siblings(tmp_path, a=mask, b=mask, c=broken, base=np.zeros(4, np.float32))
    *models, other, base = here
    recipe = Recipe(method, (1, 1))
    made = merged_models(models, base if method.needs_base else None, recipe)
    assert np.array_equal(write(made, here[0], tmp_path / "out")["m.weight"], mask)
    made = merged_models([models[0], other], base if method.needs_base else None, recipe)
    with pytest.raises(RequestError, match="weight holds NaN or infinity in a"):
        write(made, here[0], tmp_path / "none")


def test_a_value_beyond_its_type_is_refused(tmp_path: Path) -> None:
    for name, value in (("a", 60_000), ("base", 0)):
        (tmp_path / name).mkdir()
        save_file(
            {"m.weight": np.full(2, value, np.float16)}, tmp_path / name / "model.safetensors"
        )
    here = [weights(tmp_path, name) for name in ("a", "base")]
    made = merged_models(here[:1], here[1], Recipe(Method.TIES, (1,), scale=2, density=1))
    with pytest.raises(RequestError, match="weight becomes larger than F16 holds"):
        write(made, here[0], tmp_path / "out")


def test_single_numbers_are_merged_and_counts_of_batches_taken_from_the_first(
    tmp_path: Path,
) -> None:
    for name, scale, count in (("a", 1, 7), ("b", 3, 9)):
        (tmp_path / name).mkdir()
        state = {"logit_scale": np.float32(scale), "norm.num_batches_tracked": np.int64(count)}
        arrays = {key: np.array(value) for key, value in state.items()}
        save_file(arrays, tmp_path / name / "model.safetensors")
    here = [weights(tmp_path, name) for name in "ab"]
    made = write(merged_models(here, None, Recipe(Method.LINEAR, (1, 1))), here[0], tmp_path / "o")
    assert (made["logit_scale"].shape, float(made["logit_scale"])) == ((), 2.0)
    assert int(made["norm.num_batches_tracked"]) == 7


def test_vocabularies_that_differ_are_called_so(tmp_path: Path) -> None:
    for name, words in (("first", 1200), ("other", 1201)):
        (tmp_path / name).mkdir()
        table = {"words.weight": np.zeros((words, 2), np.float32)}
        save_file(table, tmp_path / name / "model.safetensors")
    both = [weights(tmp_path, "first"), weights(tmp_path, "other")]
    with pytest.raises(RequestError, match="their vocabularies differ"):
        merged_models(both, None, Recipe(Method.LINEAR, (1.0, 1.0)))


@pytest.mark.parametrize(
    "wrong",
    [
        *({"density": 0.0}, {"density": 1.5}, {"t": 2.0}, {"weights": (1.0, float("nan"))}),
        *({"method": Method.SLERP, "weights": (1.0,)}, {"weights": (1.0, -1.0)}),
        {"method": Method.TIES, "weights": (2.0, -1.0)},
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(RequestError):
        Recipe(**{"method": Method.LINEAR, "weights": (1.0, 1.0), **wrong})


def test_memory_holds_few_tensors_at_once(tmp_path: Path) -> None:
    """Sixteen tensors of 1 MB from two models: what is held at once is a few of them."""
    import tracemalloc

    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        state = {f"m.{n}.weight": np.full((512, 512), n, np.float32) for n in range(16)}
        save_file(state, tmp_path / name / "model.safetensors")
    both = [weights(tmp_path, name) for name in ("first", "second")]
    made = merged_models(both, None, Recipe(Method.LINEAR, (1.0, 1.0)))
    tracemalloc.start()
    write_computed(made, both[0].found, tmp_path / "out", "model.safetensors")
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 9 * (1 << 20)


def test_nothing_is_left_when_a_computed_tensor_fails(tmp_path: Path) -> None:
    base, first = siblings(tmp_path, base=BASE, first=FIRST)
    changed = {"m.weight": FIRST.astype(np.float32), "positions": np.arange(1, 4)}
    save_file(changed, tmp_path / "first" / "model.safetensors")
    first = weights(tmp_path, "first")
    made = merged_models([base, first], None, Recipe(Method.LINEAR, (1.0, 1.0)))
    with pytest.raises(CairnError, match=re.escape("positions holds I64, which differ")):
        write_computed(made, base.found, tmp_path / "out", "model.safetensors")
    assert list((tmp_path / "out").iterdir()) == []
