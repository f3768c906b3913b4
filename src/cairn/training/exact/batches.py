"""A batch for a model of any class, of the shapes a plan asks for, and the loss of it."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from cairn.errors import RequestError

_MEL_FRAMES_EACH = 2  # Whisper halves its spectrogram
_PROMPT = 77
_USUAL_SIDE = 224


def batch_for(model: nn.Module, plan: Mapping[str, Any]) -> dict[str, Tensor]:
    """What the model's `forward` takes, by name; the values do not matter.

    Raises:
        RequestError: no batch is known for this kind of model.
    """
    config: Any = model.config
    many, seq = plan["batch"], plan["seq"]
    name = type(model).__name__
    if name == "UNet2DConditionModel":
        return _of_unet(config, many, plan["image"])
    takes = getattr(model, "main_input_name", "input_ids")
    if takes == "pixel_values":
        return _of_images(config, name, many, plan["image"])
    if takes == "input_values":
        return {
            "input_values": torch.zeros(many, seq),
            "labels": torch.ones(many, 8, dtype=torch.long),
        }
    if takes == "input_features":
        frames = _MEL_FRAMES_EACH * config.max_source_positions
        return {
            "input_features": torch.zeros(many, config.num_mel_bins, frames),
            "labels": torch.zeros(many, seq, dtype=torch.long),
        }
    if takes == "input_ids":
        return _of_text(config, name, many, seq, plan["target_seq"] or seq)
    raise RequestError(f"no batch is known for {name}, which takes {takes!r}")


def _of_text(config: Any, name: str, many: int, seq: int, target: int) -> dict[str, Tensor]:
    found = {"input_ids": torch.zeros(many, seq, dtype=torch.long)}
    if name.endswith("ForSequenceClassification"):
        config.problem_type = "single_label_classification"
        config.pad_token_id = config.pad_token_id or 0
        found["labels"] = torch.zeros(many, dtype=torch.long)
    elif name.endswith(("ForCausalLM", "LMHeadModel", "ForMaskedLM", "ForTokenClassification")):
        found["labels"] = torch.zeros(many, seq, dtype=torch.long)
    elif name.endswith("ForConditionalGeneration"):
        found["labels"] = torch.zeros(many, target, dtype=torch.long)
    return found


def _of_images(config: Any, name: str, many: int, side: int) -> dict[str, Tensor]:
    stated = getattr(config, "image_size", None) or _USUAL_SIDE
    tall, broad = stated if isinstance(stated, (list, tuple)) else (stated, stated)
    if side:
        tall = broad = side
    found = {"pixel_values": torch.zeros(many, config.num_channels, tall, broad)}
    if name.endswith("ForImageClassification"):
        config.problem_type = "single_label_classification"
        found["labels"] = torch.zeros(many, dtype=torch.long)
    return found


def _of_unet(config: Any, many: int, side: int) -> dict[str, Tensor]:
    latent = side // 8 or config.sample_size
    width = config.cross_attention_dim
    return {
        "sample": torch.zeros(many, config.in_channels, latent, latent),
        "timestep": torch.zeros(many, dtype=torch.long),
        "encoder_hidden_states": torch.zeros(many, _PROMPT, width),
    }


def loss_of(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """The model's own loss, where shapes are enough to compute it.

    Where it is not there is a stand-in of the same size: the sum of logarithms of probabilities
    for CTC, whose lengths are values, and for the matching of detected objects; the mean square
    for what has no loss of its own.
    """
    name = type(model).__name__
    if name.endswith("ForCTC"):
        scores = model(input_values=batch["input_values"]).logits
        return functional.log_softmax(scores, dim=-1, dtype=torch.float32).sum()
    out = model(**batch)
    loss = getattr(out, "loss", None)
    if isinstance(loss, Tensor):
        return loss
    if name.endswith("ForObjectDetection"):
        boxes: Tensor = out.pred_boxes
        return functional.log_softmax(out.logits, dim=-1).sum() + boxes.abs().sum()
    first: Tensor = out[0]
    return first.float().pow(2).mean()
