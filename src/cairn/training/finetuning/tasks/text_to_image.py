"""Texts become pictures: a Stable Diffusion pipeline learns by LoRA what its data look like.

The U-Net learns to tell the noise that was put into a picture's latents, at a random time (Ho et
al., 2020, https://arxiv.org/abs/2006.11239; Rombach et al., 2022, https://arxiv.org/abs/2112.10752).
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from cairn.domain.finetuning import Method
from cairn.errors import RequestError
from cairn.formats.fetched_folders import called
from cairn.training.finetuning.bases import load_part
from cairn.training.finetuning.tasks.base import Batch, Example, Materials, Objective, Roles, Task
from cairn.training.finetuning.tasks.pictures import (
    PICTURE_COLUMNS,
    is_mirrored,
    mirrored,
    picture_of,
)
from cairn.training.finetuning.tasks.texts import text_of
from cairn.training.libraries import library
from cairn.training.rows import Row
from cairn.training.sampler import SampleIndex


class TextToImage(Task):
    """The U-Net of a `StableDiffusionPipeline`; the other parts stay, and make what it is given."""

    roles: ClassVar[Roles] = {
        "image": PICTURE_COLUMNS,
        "text": ("text", "caption", "prompt", "description"),
    }
    texts: ClassVar[Sequence[str]] = ("text",)
    objective = Objective("loss", highest=False)
    library_name = "diffusers"
    methods = (Method.LORA,)
    targets = ("to_q", "to_k", "to_v", "to_out.0")

    def __init__(self, materials: Materials) -> None:
        super().__init__(materials)
        base = materials.base
        self.processor = load_part("transformers.CLIPTokenizer", base, "tokenizer")
        self.model = load_part("diffusers.UNet2DConditionModel", base, "unet")
        self._text = load_part("transformers.CLIPTextModel", base, "text_encoder")
        self._vae = load_part("diffusers.AutoencoderKL", base, "vae")
        self._noise = load_part("diffusers.DDPMScheduler", base, "scheduler")
        kind = self._noise.config.prediction_type
        if kind not in ("epsilon", "v_prediction"):
            raise RequestError(f"{called(base)} predicts {kind}: epsilon or v_prediction is known")
        self.model.requires_grad_(requires_grad=False)
        for part in (self._text, self._vae):
            part.requires_grad_(requires_grad=False).eval()
        factor = 2 ** (len(self._vae.config.block_out_channels) - 1)
        self._side = int(self.model.config.sample_size) * factor  # pixels

    def example(self, row: Row) -> Example:
        """A square of pixels from -1 to 1, and tokens of the text."""
        return self._made(picture_of(row, self.columns["image"]), row)

    def varied(self, row: Row, index: SampleIndex) -> Example:
        """The picture, or what a mirror shows of it."""
        picture = picture_of(row, self.columns["image"])
        return self._made(mirrored(picture) if is_mirrored(index) else picture, row)

    def _made(self, picture: Any, row: Row) -> Example:
        fitted = library("PIL.ImageOps").fit(picture, (self._side, self._side))  # cut in the middle
        pixels = torch.from_numpy(np.asarray(fitted, dtype=np.float32) / 127.5 - 1)
        tokens = self.processor(
            text_of(row, self.columns["text"]),
            truncation=True,
            padding="max_length",
            max_length=self._text.config.max_position_embeddings,
        )
        return {"pixels": pixels.permute(2, 0, 1), "tokens": torch.tensor(tokens["input_ids"])}

    def collate(self, examples: list[Example]) -> Batch:
        """Pixels: (pictures, 3, side, side); tokens: (pictures, length)."""
        return {name: torch.stack([one[name] for one in examples]) for name in examples[0]}

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Squared error of the noise; noise and times come from the random numbers of the run."""
        pixels, tokens = batch["pixels"], batch["tokens"]
        self._vae.to(pixels.device)
        self._text.to(pixels.device)
        with torch.no_grad():
            latents = self._vae.encode(pixels).latent_dist.sample()
            latents = latents * self._vae.config.scaling_factor  # (pictures, channels, h, w)
            states = self._text(tokens)[0]  # (pictures, length, dim)
        noise = torch.randn_like(latents)
        steps = self._noise.config.num_train_timesteps
        times = torch.randint(0, steps, (len(latents),), device=latents.device)
        noisy = self._noise.add_noise(latents, noise, times)
        found = model(noisy, times, states).sample
        is_noise = self._noise.config.prediction_type == "epsilon"
        wanted = noise if is_noise else self._noise.get_velocity(latents, noise, times)
        return functional.mse_loss(found.float(), wanted.float())

    def answers(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Iterable[Any]]:
        """The loss says it all; its noise is the same in every evaluation."""
        return self.loss(model, batch), ()

    def measure(self, answers: list[Any]) -> dict[str, float]:
        """Nothing beside the loss."""
        del answers
        return {}

    def save(self, model: Any, folder: Path) -> None:
        """As `load_lora_weights` wants it."""
        peft, diffusers = library("peft"), library("diffusers")
        prefix = "base_model.model."
        weights = {
            name.removeprefix(prefix): tensor
            for name, tensor in peft.get_peft_model_state_dict(
                model, save_embedding_layers=False
            ).items()
        }
        diffusers.StableDiffusionPipeline.save_lora_weights(
            str(folder),
            unet_lora_layers=weights,
            unet_lora_adapter_metadata=model.peft_config["default"].to_dict(),
        )
