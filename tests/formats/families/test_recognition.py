"""Families by names and shapes: on the models the rules were written on, and on others.

When the rules were first run on the held-out models, they named 74 of 78 rightly: the towers of
CLIP saved alone were unknown (three models), and a spectrogram transformer was taken for a DeiT.
Those four moved to `development`, others took their place.
"""

from typing import Any

import pytest

from cairn.formats.family import CANNOT_BE_KNOWN
from cairn.formats.limits import MAX_TEMPLATES
from cairn.formats.recognition import FAMILIES, family_of, recognise
from cairn.formats.weight_names import WeightNames
from tests.formats.families import development, held_out
from tests.formats.families.development import shapes_of

KNOWN = {**development.MODELS, **held_out.MODELS}
STRANGERS = {**development.STRANGERS, **held_out.STRANGERS}


@pytest.mark.parametrize("label", KNOWN)
def test_a_model_of_a_family_is_recognised(label: str) -> None:
    family, make = KNOWN[label]
    found = recognise(shapes_of(make()))
    assert found is not None
    assert found.family == family
    assert found.evidence.startswith("tensor names: ")
    assert all(fact.evidence for fact in found.facts.values())


@pytest.mark.parametrize("label", STRANGERS)
def test_a_model_of_no_family_is_given_none(label: str) -> None:
    assert recognise(shapes_of(STRANGERS[label]())) is None


def facts_of(label: str) -> dict[str, Any]:
    found = recognise(shapes_of(KNOWN[label][1]()))
    assert found is not None
    return {key: fact.value for key, fact in found.facts.items()}


@pytest.mark.parametrize(
    ("label", "facts"),
    [
        (
            "a bare BERT",
            {"num_hidden_layers": 3, "hidden_size": 24, "intermediate_size": 40, "vocab_size": 70},
        ),
        ("GPT-2", {"num_hidden_layers": 2, "hidden_size": 16, "intermediate_size": 64}),
        (
            "Qwen3 of experts",
            {"num_experts": 6, "num_attention_heads": 3, "moe_intermediate_size": 20},
        ),
        ("Mixtral as saved", {"num_experts": 6, "num_hidden_layers": 3, "intermediate_size": 40}),
        ("mT5", {"num_attention_heads": 3, "num_decoder_layers": 3, "vocab_size": 70}),
        ("torchvision's ResNet-50", {"depths": "3, 4, 6, 3", "num_labels": 10}),
        ("a bare ViT", {"image_size": 32, "patch_size": 8, "num_hidden_layers": 3}),
        ("a bare Whisper", {"num_mel_bins": 128, "num_hidden_layers": 1}),
        ("a kohya adapter", {"r": 8, "target_modules": "fc1, to_q, to_v", "lora_alpha": None}),
        ("a PEFT adapter of Llama", {"r": 6, "target_modules": "down_proj, q_proj"}),
        ("A2C", {"algorithm": "PPO or A2C", "observation_size": 6, "action_size": 3}),
        ("a YOLOv8", {"num_labels": 80}),
        ("a UNet of SDXL's kind", {"cross_attention_dim": 20, "num_down_blocks": 3}),
    ],
)
def test_shapes_tell_the_facts(label: str, facts: dict[str, Any]) -> None:
    found = facts_of(label)
    assert {key: found[key] for key in facts} == facts


@pytest.mark.parametrize("label", ["BERT classifier", "GPT-2", "Llama", "OLMo 2", "ViT", "Whisper"])
def test_heads_that_no_shape_tells_are_not_guessed(label: str) -> None:
    found = recognise(shapes_of(KNOWN[label][1]()))
    assert found is not None
    assert found.facts["num_attention_heads"].value is None
    assert found.facts["num_attention_heads"].evidence == CANNOT_BE_KNOWN


def test_flax_kernels_are_read_the_other_way_round() -> None:
    layer = "bert/encoder/layer/{}/{}/kernel"
    shapes = {
        layer.format(at, part): shape
        for at in range(3)
        for part, shape in {
            "attention/self/query": (8, 8),
            "intermediate/dense": (8, 20),
        }.items()
    }
    shapes["bert/embeddings/word_embeddings/embedding"] = (30, 8)
    shapes["bert/embeddings/token_type_embeddings/embedding"] = (2, 8)
    found = recognise(shapes)
    assert found is not None
    assert found.family == "bert"
    assert found.facts["intermediate_size"].value == 20
    assert found.facts["num_hidden_layers"].value == 3


def test_gguf_names_are_known() -> None:
    block = {"attn_q.weight": (8, 8), "attn_norm.weight": (8,), "ffn_norm.weight": (8,)}
    shapes = {f"blk.{at}.{name}": shape for at in range(4) for name, shape in block.items()}
    shapes["token_embd.weight"] = (50, 8)
    found = recognise(shapes)
    assert found is not None
    assert found.family == "llama-like"
    assert found.facts["vocab_size"].value == 50


@pytest.mark.parametrize(
    "shapes",
    [
        {},
        {"": ()},
        {"." * 2000: (1,)},
        {f"{'9' * 4000}.weight": (1, 1)},
        {f"a{at}.weight": (1,) for at in range(3 * MAX_TEMPLATES)},
        {f"x.{at}.lora_A.weight": () for at in range(10)},
        {
            "wte.weight": (),
            "wpe.weight": (),
            "h.0.attn.c_attn.weight": (),
            "h.0.mlp.c_fc.weight": (),
        },
        {"embedder.embedder.convolution.weight": (0,), "conv_in.weight": (2**62,) * 9},
    ],
)
def test_hostile_names_and_shapes_are_nothing(shapes: dict[str, tuple[int, ...]]) -> None:
    found = recognise(shapes)
    assert found is None or found.family in {family.name for family in FAMILIES}
    assert len(WeightNames(shapes).templates) <= MAX_TEMPLATES


def test_a_model_type_belongs_to_one_family() -> None:
    for family in FAMILIES:
        for kind in family.model_types:
            assert family_of(kind) is family
