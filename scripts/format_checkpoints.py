"""Tiny checkpoints of the model families, saved by their own frameworks; nothing is downloaded.

For the table in docs/formats/README.md and for tests: needs the development environment.
"""

import contextlib
import io
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn

SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}
TEXT = {"vocab_size": 50, "max_position_embeddings": 20, **SIZES}
ENDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}


def model_of(stem: str, task: str, **config: Any) -> Any:
    """A model of transformers with random weights."""
    torch.manual_seed(0)
    made = getattr(transformers, f"{stem}Config")(**config)
    return getattr(transformers, f"{stem}{task}")(made)


def saved(stem: str, task: str, **config: Any) -> Callable[[Path], Path]:
    """What `save_pretrained` writes for such a model."""

    def make(folder: Path) -> Path:
        model_of(stem, task, **config).save_pretrained(folder)
        return folder

    return make


def bare_state_dict(folder: Path) -> Path:
    """A BERT as training scripts save one: nothing but tensors."""
    path = folder / "model.pt"
    torch.save(model_of("Bert", "ForSequenceClassification", **TEXT).state_dict(), path)
    return path


def stable_diffusion(folder: Path) -> Path:
    """A pipeline of diffusers, without a tokenizer."""
    import diffusers

    unet = diffusers.UNet2DConditionModel(
        block_out_channels=(8, 16),
        layers_per_block=1,
        cross_attention_dim=16,
        attention_head_dim=4,
        norm_num_groups=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )
    vae = diffusers.AutoencoderKL(
        block_out_channels=(8, 16),
        norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
    )
    pipeline = diffusers.StableDiffusionPipeline(
        vae=vae,
        text_encoder=model_of("CLIPText", "Model", **TEXT),
        tokenizer=None,
        unet=unet,
        scheduler=diffusers.DDIMScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder)
    return folder


class _Examples(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
    def __len__(self) -> int:
        return 16

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"input_ids": torch.arange(8) + index, "labels": torch.tensor(index % 2)}


def trained(model: nn.Module, folder: Path) -> Path:
    """The checkpoint that Hugging Face's Trainer leaves after three steps."""
    arguments = transformers.TrainingArguments(
        str(folder), max_steps=3, save_steps=3, logging_steps=1, per_device_train_batch_size=2,
        report_to=[], use_cpu=True, disable_tqdm=True,
    )  # fmt: skip
    transformers.Trainer(model, arguments, train_dataset=_Examples()).train()
    return folder / "checkpoint-3"


def trainer(folder: Path) -> Path:
    """A BERT in training."""
    return trained(model_of("Bert", "ForSequenceClassification", **TEXT), folder)


def adapter(folder: Path) -> Path:
    """A LoRA adapter of PEFT."""
    import peft

    config = peft.LoraConfig(target_modules=["query", "value"], r=4, lora_alpha=8)
    peft.get_peft_model(model_of("Bert", "Model", **TEXT), config).save_pretrained(folder)
    return folder


def ultralytics(folder: Path) -> Path:
    """A file in the form of a YOLOv8's: a pickled module of classes named like Ultralytics'.

    The library itself is AGPL and not used.
    """
    names = ("ultralytics", "ultralytics.nn", "ultralytics.nn.tasks")
    tasks = types.ModuleType(names[2])
    classes = {}
    for name in ("DetectionModel", "Conv", "C2f", "Detect"):
        classes[name] = type(name, (nn.Module,), {"__module__": names[2]})
        setattr(tasks, name, classes[name])

    def convolution(width: int) -> nn.Module:
        made = classes["Conv"]()
        made.conv, made.bn = nn.Conv2d(width, width, 1, bias=False), nn.BatchNorm2d(width)
        return made

    block = classes["C2f"]()
    block.cv1, block.cv2 = convolution(4), convolution(4)
    head = classes["Detect"]()
    head.cv2 = nn.ModuleList([nn.Sequential(convolution(4), nn.Conv2d(4, 64, 1))])
    head.cv3 = nn.ModuleList([nn.Sequential(convolution(4), nn.Conv2d(4, 80, 1))])
    head.dfl = nn.Module()
    head.dfl.conv = nn.Conv2d(16, 1, 1, bias=False)
    model = classes["DetectionModel"]()
    model.model = nn.Sequential(convolution(4), block, head)
    path = folder / "yolov8.pt"
    sys.modules |= {names[0]: types.ModuleType(names[0]), names[1]: types.ModuleType(names[1])}
    sys.modules[names[2]] = tasks
    try:
        torch.save({"epoch": -1, "model": model.half(), "date": "2026-01-01"}, path)
    finally:
        for name in names:
            del sys.modules[name]
    return path


def reinforcement(
    algorithm: str, environment: str = "CartPole-v1", **options: Any
) -> Callable[[Path], Path]:
    """What Stable-Baselines3 saves after a few steps."""

    def make(folder: Path) -> Path:
        import stable_baselines3

        chosen = getattr(stable_baselines3, algorithm)
        model = chosen("MlpPolicy", environment, policy_kwargs={"net_arch": [8]}, **options)
        model.learn(16)
        model.save(folder / "model.zip")
        return folder / "model.zip"

    return make


def lightning(folder: Path) -> Path:
    """A checkpoint of Lightning in training."""
    import lightning as pl

    class Net(pl.LightningModule):
        def __init__(self, width: int = 4) -> None:
            super().__init__()
            self.save_hyperparameters()
            self.net = nn.Sequential(
                nn.Linear(3, width), nn.BatchNorm1d(width), nn.Linear(width, 1)
            )

        def training_step(self, batch: torch.Tensor, index: int) -> torch.Tensor:  # noqa: ARG002
            return self.net(batch).mean()

        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.AdamW(self.parameters())
            return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1)]

    run = pl.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    run.fit(Net(), torch.utils.data.DataLoader(torch.randn(8, 3), batch_size=4))
    run.save_checkpoint(folder / "model.ckpt", weights_only=False)
    return folder / "model.ckpt"


def accelerated(folder: Path) -> Path:
    """What accelerate's `save_state` writes."""
    import accelerate

    runner = accelerate.Accelerator(cpu=True)
    model: Any = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    optimizer: Any = torch.optim.AdamW(model.parameters())
    schedule: Any = torch.optim.lr_scheduler.StepLR(optimizer, 5)
    model, optimizer, schedule = runner.prepare(model, optimizer, schedule)
    model(torch.randn(2, 3)).sum().backward()
    optimizer.step()
    runner.save_state(str(folder))
    return folder


_CODEC = {
    **{
        f"{side}_{key}": 2
        for side in ("encoder", "decoder")
        for key in ("layers", "attention_heads")
    },
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "d_model": 16,
    "vocab_size": 50,
    **ENDS,
    "decoder_start_token_id": 1,
}
_GPT2 = {"vocab_size": 50, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 20}
_T5 = {
    "vocab_size": 50, "d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2,
    "decoder_start_token_id": 0,
}  # fmt: skip
_MIXTRAL = {**TEXT, "num_key_value_heads": 1, "num_local_experts": 4, "num_experts_per_tok": 2}
_RESNET = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 2]}
_YOLOS = {**SIZES, "image_size": [32, 32], "patch_size": 8, "num_detection_tokens": 5}
_VOICE = {
    "vocab_size": 30, "conv_dim": [8, 8], "conv_kernel": [3, 3], "conv_stride": [2, 2],
    "num_feat_extract_layers": 2, "num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2,
    **SIZES,
}  # fmt: skip

MAKERS: dict[str, Callable[[Path], Path]] = {
    "BERT, by transformers": saved("Bert", "ForSequenceClassification", **TEXT),
    "BERT, a bare state dict": bare_state_dict,
    "BERT in training, by the Trainer": trainer,
    "GPT-2, by transformers": saved("GPT2", "LMHeadModel", **_GPT2),
    "Mixtral, by transformers": saved("Mixtral", "ForCausalLM", **_MIXTRAL),
    "T5, by transformers": saved("T5", "ForConditionalGeneration", **_T5),
    "ResNet, by transformers": saved("ResNet", "ForImageClassification", **_RESNET),
    "YOLOS, by transformers": saved("Yolos", "ForObjectDetection", **_YOLOS),
    "YOLO in the form of Ultralytics": ultralytics,
    "Stable Diffusion, by diffusers": stable_diffusion,
    "Whisper, by transformers": saved("Whisper", "ForConditionalGeneration", **_CODEC),
    "wav2vec 2.0, by transformers": saved("Wav2Vec2", "ForCTC", **_VOICE),
    "PPO, by Stable-Baselines3": reinforcement("PPO", n_steps=8, batch_size=8, n_epochs=1),
    "DQN, by Stable-Baselines3": reinforcement("DQN", learning_starts=4, buffer_size=100),
    "LoRA of a BERT, by PEFT": adapter,
    "a Lightning checkpoint": lightning,
    "an accelerate state": accelerated,
}


def make_all(folder: Path) -> dict[str, Path]:
    """Every checkpoint below `folder`, by label: the path to inspect."""
    made = {}
    for label, make in MAKERS.items():
        own = folder / "".join(c if c.isalnum() else "-" for c in label)
        own.mkdir()
        with contextlib.redirect_stdout(io.StringIO()):
            made[label] = make(own)
    return made
