"""Shapes and settings come from strangers: an answer or a refusal, whatever they are."""

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest

from cairn.errors import RequestError
from cairn.estimation.devices import catalogue
from cairn.estimation.estimate import MAX_TENSORS, estimate
from cairn.estimation.plan import Method, Plan
from cairn.estimation.subject import Subject
from tests.estimation.subjects import decoder

FAMILIES = ("llama-like", "bert", "t5", "whisper", "wav2vec2", "vit", "resnet", "stable-diffusion")
NAMES = (
    *decoder(layers=2).tensors,
    *("embeddings.patch_embeddings.projection.weight", "encoder.conv1.weight"),
    *("conv_layers.0.conv.weight", "feature_projection.projection.weight", "classifier.weight"),
    *(
        "embedder.embedder.convolution.weight",
        "encoder.stages.0.layers.0.layer.0.convolution.weight",
    ),
    *("encoder.stages.1.layers.x.layer.0.convolution.weight", "conv_in.weight", "conv_out.weight"),
    *("down_blocks.0.resnets.0.conv1.weight", "down_blocks.0.attentions.0.norm.weight"),
    *("up_blocks.x.resnets.y.conv1.weight", "mid_block.resnets.0.conv2.weight"),
    *("decoder.block.0.layer.1.EncDecAttention.q.weight", "wi_1.weight", "lm_head.weight"),
)
AXES = (0, 1, 3, 64, 10**18)
NUMBERS = (0, -1, True, 10**39, "many", None, 7)
KEYS = ("vocab_size", "image_size", "num_attention_heads", "max_source_positions", "sample_size")
H100 = catalogue().find("h100")


def strange(rng: np.random.Generator) -> Subject:
    names = [name for name in NAMES if rng.random() < 0.7]
    shapes = {n: tuple(int(a) for a in rng.choice(AXES, rng.integers(0, 5))) for n in names}
    config = {key: NUMBERS[rng.integers(len(NUMBERS))] for key in KEYS}
    family = str(rng.choice(FAMILIES))
    return Subject(family, shapes, config, {**config, "conv_stride": [0, -2, 5]})


def test_whatever_the_shapes_there_is_an_answer_or_a_refusal() -> None:
    rng = np.random.default_rng(0)
    answered = 0
    for _ in range(300):
        plan = replace(Plan(batch=2, seq=8), method=list(Method)[rng.integers(4)])
        with suppress(RequestError):
            answered += estimate(strange(rng), plan, (H100,)).parameters >= 0
    assert answered > 10


def test_more_tensors_than_any_model_has_are_refused() -> None:
    many = {f"layers.{n}.weight": (1, 1) for n in range(MAX_TENSORS + 1)}
    with pytest.raises(RequestError, match="100,001 tensors"):
        estimate(Subject("llama-like", many), Plan())
