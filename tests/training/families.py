"""Tiny models of the families people train, each with the loss of one batch."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from cairn.training import SampleIndex

Batch = dict[str, Tensor]
Sample = Callable[[SampleIndex], Batch]
VOCABULARY = 40


@dataclass(frozen=True)
class Family:
    """How a model is made, what its samples are, and what is minimised."""

    make: Callable[[], nn.Module]
    sample: Sample
    loss: Callable[[nn.Module, Batch], Tensor]


def chance(index: SampleIndex) -> tuple[np.random.Generator, np.random.Generator]:
    """What a sample is made from, and what it is augmented by in this epoch."""
    return np.random.default_rng(int(index)), np.random.default_rng(index.seed)


def text(length: int = 6) -> Sample:
    def sample(index: SampleIndex) -> Batch:
        content, augmentation = chance(index)
        tokens = content.integers(3, VOCABULARY, length)
        tokens[augmentation.random(length) < 0.2] = 1
        return {"input_ids": torch.from_numpy(tokens), "labels": torch.tensor(int(index) % 2)}

    return sample


def noisy(*shape: int, name: str) -> Sample:
    def sample(index: SampleIndex) -> Batch:
        content, augmentation = chance(index)
        values = content.normal(size=shape) + 0.1 * augmentation.normal(size=shape)
        return {name: torch.from_numpy(values.astype(np.float32)), "index": torch.tensor(index % 2)}

    return sample


def transformers_model(stem: str, task: str, **config: Any) -> nn.Module:
    import transformers

    made = getattr(transformers, f"{stem}Config")(**config)
    return getattr(transformers, f"{stem}{task}")(made)


def linear() -> nn.Module:
    """Neither transformers nor a tokenizer: dropout, normalisation with buffers."""
    return nn.Sequential(
        nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 2)
    )


def linear_loss(model: nn.Module, batch: Batch) -> Tensor:
    return functional.cross_entropy(model(batch["x"]), batch["index"])


def bert() -> nn.Module:
    return transformers_model(
        "Bert",
        "ForSequenceClassification",
        vocab_size=VOCABULARY,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
    )


def of_model(model: nn.Module, batch: Batch) -> Tensor:
    return model(**batch).loss


def next_token(model: nn.Module, batch: Batch) -> Tensor:
    return model(input_ids=batch["input_ids"], labels=batch["input_ids"]).loss


def gpt2() -> nn.Module:
    return transformers_model(
        "GPT2", "LMHeadModel", vocab_size=VOCABULARY, n_embd=16, n_layer=2, n_head=2, n_positions=8
    )


def t5() -> nn.Module:
    sizes = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2}
    return transformers_model(
        "T5",
        "ForConditionalGeneration",
        vocab_size=VOCABULARY,
        decoder_start_token_id=0,
        **sizes,
    )


def resnet() -> nn.Module:
    return transformers_model(
        "ResNet",
        "ForImageClassification",
        embedding_size=8,
        hidden_sizes=[8, 16],
        depths=[1, 1],
        num_labels=2,
        layer_type="basic",
    )


def of_pictures(model: nn.Module, batch: Batch) -> Tensor:
    return model(pixel_values=batch["pixel_values"], labels=batch["index"]).loss


def yolos() -> nn.Module:
    return transformers_model(
        "Yolos",
        "ForObjectDetection",
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=[16, 16],
        patch_size=8,
        num_detection_tokens=3,
        num_labels=2,
        hidden_dropout_prob=0.1,
    )


def detected(model: nn.Module, batch: Batch) -> Tensor:
    """Every token has its own object: the matcher of transformers needs scipy."""
    found = model(pixel_values=batch["pixel_values"])
    labels = batch["index"][:, None].expand(-1, 3)  # (samples, tokens)
    boxes = torch.tensor([0.5, 0.5, 0.2, 0.2]).expand_as(found.pred_boxes)
    classes = functional.cross_entropy(found.logits.flatten(0, 1), labels.flatten())
    return classes + functional.l1_loss(found.pred_boxes, boxes)


def unet() -> nn.Module:
    import diffusers

    return diffusers.UNet2DConditionModel(
        block_out_channels=(8, 16),
        layers_per_block=1,
        cross_attention_dim=8,
        attention_head_dim=4,
        norm_num_groups=4,
        dropout=0.1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )


def denoised(model: nn.Module, batch: Batch) -> Tensor:
    """Noise and time come from the random numbers of the process, as in the usual scripts."""
    latents = batch["latents"]
    noise = torch.randn_like(latents)
    times = torch.randint(0, 1000, (len(latents),))
    level = (times / 1000).reshape(-1, 1, 1, 1)
    condition = torch.randn(len(latents), 2, 8)
    found = model(latents * (1 - level) + noise * level, times, condition).sample
    return functional.mse_loss(found, noise)


def whisper() -> nn.Module:
    sides = {
        f"{side}_{what}": 2
        for side in ("encoder", "decoder")
        for what in ("layers", "attention_heads")
    }
    return transformers_model(
        "Whisper",
        "ForConditionalGeneration",
        vocab_size=VOCABULARY,
        d_model=16,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        num_mel_bins=8,
        max_source_positions=20,
        max_target_positions=10,
        dropout=0.1,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
        **sides,
    )


def transcribed(model: nn.Module, batch: Batch) -> Tensor:
    labels = batch["index"][:, None] + torch.arange(3, 8)  # (samples, tokens)
    return model(input_features=batch["input_features"], labels=labels).loss


def wav2vec2() -> nn.Module:
    """SpecAugment masks by the random numbers of NumPy."""
    return transformers_model(
        "Wav2Vec2",
        "ForCTC",
        vocab_size=VOCABULARY,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        conv_dim=[8, 8],
        conv_kernel=[3, 3],
        conv_stride=[2, 2],
        num_feat_extract_layers=2,
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
        mask_time_prob=0.3,
        mask_time_length=2,
        ctc_loss_reduction="mean",
        pad_token_id=0,
    )


def spelled(model: nn.Module, batch: Batch) -> Tensor:
    labels = batch["index"][:, None] + torch.arange(3, 8)  # (samples, tokens)
    return model(input_values=batch["input_values"], labels=labels).loss


FAMILIES: dict[str, Family] = {
    "linear": Family(linear, noisy(8, name="x"), linear_loss),
    "bert": Family(bert, text(), of_model),
    "gpt2": Family(gpt2, text(), next_token),
    "t5": Family(t5, text(), next_token),
    "resnet": Family(resnet, noisy(3, 16, 16, name="pixel_values"), of_pictures),
    "yolos": Family(yolos, noisy(3, 16, 16, name="pixel_values"), detected),
    "unet": Family(unet, noisy(4, 8, 8, name="latents"), denoised),
    "whisper": Family(whisper, noisy(8, 40, name="input_features"), transcribed),
    "wav2vec2": Family(wav2vec2, noisy(200, name="input_values"), spelled),
}
