"""Tiny models that the rules about families were written on; the held-out ones are elsewhere.

Each is named by what it is and gives a model or a state dict; nothing is downloaded.
"""

from collections.abc import Callable, Mapping
from typing import Any

import transformers
from torch import nn

SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}
PICTURES = {"image_size": 32, "patch_size": 8}
VOICE = {
    "conv_dim": [8, 8],
    "conv_kernel": [3, 3],
    "conv_stride": [2, 2],
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
}
ENDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}


def shapes_of(model: nn.Module | Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of what a model saves."""
    state = model.state_dict() if isinstance(model, nn.Module) else model
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def of(stem: str, task: str, **config: Any) -> nn.Module:
    """A model of transformers by the stems of its configuration and class."""
    made = getattr(transformers, f"{stem}Config")(**config)
    return getattr(transformers, f"{stem}{task}")(made)


def yolos() -> nn.Module:
    config = {**SIZES, **PICTURES, "image_size": [32, 32], "num_detection_tokens": 5}
    return of("Yolos", "ForObjectDetection", **config)


def whisper() -> nn.Module:
    config = {
        f"{side}_{key}": 2
        for side in ("encoder", "decoder")
        for key in ("layers", "attention_heads")
    }
    config |= {"encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "d_model": 16, "vocab_size": 50}
    return of("Whisper", "ForConditionalGeneration", **config, **ENDS, decoder_start_token_id=1)


def unet() -> nn.Module:
    import diffusers

    return diffusers.UNet2DConditionModel(
        block_out_channels=(8, 16),
        layers_per_block=1,
        cross_attention_dim=16,
        attention_head_dim=4,
        norm_num_groups=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )


def vae() -> nn.Module:
    import diffusers

    return diffusers.AutoencoderKL(
        block_out_channels=(8, 16),
        norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
    )


def adapted() -> Mapping[str, Any]:
    import peft

    config = peft.LoraConfig(target_modules=["query", "value"], r=4)
    model = peft.get_peft_model(of("Bert", "Model", vocab_size=50, **SIZES), config)
    return peft.get_peft_model_state_dict(model)


def policy(algorithm: str, environment: str) -> nn.Module:
    import stable_baselines3

    made = getattr(stable_baselines3, algorithm)
    return made("MlpPolicy", environment, policy_kwargs={"net_arch": [8]}).policy


MODELS: dict[str, tuple[str, Callable[[], Any]]] = {
    "BERT classifier": (
        "bert",
        lambda: of("Bert", "ForSequenceClassification", vocab_size=50, **SIZES),
    ),
    "BERT with its head": ("bert", lambda: of("Bert", "ForMaskedLM", vocab_size=50, **SIZES)),
    "RoBERTa": ("roberta", lambda: of("Roberta", "ForMaskedLM", vocab_size=50, **SIZES)),
    "DistilBERT": (
        "distilbert",
        lambda: of(
            "DistilBert", "ForMaskedLM", vocab_size=50, dim=16, n_layers=2, n_heads=2, hidden_dim=32
        ),
    ),
    "GPT-2": (
        "gpt2",
        lambda: of(
            "GPT2", "LMHeadModel", vocab_size=50, n_embd=16, n_layer=2, n_head=2, n_positions=20
        ),
    ),
    "Llama": (
        "llama-like",
        lambda: of("Llama", "ForCausalLM", vocab_size=50, num_key_value_heads=1, **SIZES),
    ),
    "Qwen3": (
        "llama-like",
        lambda: of(
            "Qwen3", "ForCausalLM", vocab_size=50, num_key_value_heads=1, head_dim=8, **SIZES
        ),
    ),
    "Phi-3": (
        "llama-like",
        lambda: of("Phi3", "ForCausalLM", vocab_size=50, num_key_value_heads=1, **SIZES, **ENDS),
    ),
    "Mixtral": (
        "llama-like",
        lambda: of(
            "Mixtral",
            "ForCausalLM",
            vocab_size=50,
            num_key_value_heads=1,
            num_local_experts=4,
            **SIZES,
        ),
    ),
    "T5": (
        "t5",
        lambda: of(
            "T5",
            "ForConditionalGeneration",
            vocab_size=50,
            d_model=16,
            d_kv=8,
            d_ff=32,
            num_layers=2,
            num_heads=2,
            decoder_start_token_id=0,
        ),
    ),
    "ResNet": (
        "resnet",
        lambda: of(
            "ResNet",
            "ForImageClassification",
            embedding_size=8,
            hidden_sizes=[8, 16],
            depths=[1, 2],
        ),
    ),
    "YOLOS": ("yolos", yolos),
    "ViT": ("vit", lambda: of("ViT", "ForImageClassification", **SIZES, **PICTURES)),
    "DeiT": ("deit", lambda: of("DeiT", "ForImageClassification", **SIZES, **PICTURES)),
    "CLIP": (
        "clip",
        lambda: of(
            "CLIP",
            "Model",
            text_config={"vocab_size": 50, **SIZES},
            vision_config={**SIZES, **PICTURES},
        ),
    ),
    "CLIP's text encoder": ("clip-text", lambda: of("CLIPText", "Model", vocab_size=50, **SIZES)),
    "CLIP's vision encoder": (
        "clip-vision",
        lambda: of("CLIPVision", "Model", **SIZES, **PICTURES),
    ),
    "Whisper": ("whisper", whisper),
    "wav2vec 2.0": ("wav2vec2", lambda: of("Wav2Vec2", "ForCTC", vocab_size=30, **SIZES, **VOICE)),
    "HuBERT": ("hubert", lambda: of("Hubert", "ForCTC", vocab_size=30, **SIZES, **VOICE)),
    "a UNet": ("unet", unet),
    "a VAE": ("vae", vae),
    "a PEFT adapter": ("lora", adapted),
    "PPO": ("rl-policy", lambda: policy("PPO", "CartPole-v1")),
    "DQN": ("rl-policy", lambda: policy("DQN", "CartPole-v1")),
    "SAC": ("rl-policy", lambda: policy("SAC", "Pendulum-v1")),
}

STRANGERS: dict[str, Callable[[], Any]] = {
    "an audio spectrogram transformer": lambda: of(
        "AST", "Model", **SIZES, patch_size=8, max_length=64, num_mel_bins=32
    ),
}
