"""Tiny models that no rule about families was written on: other classes, sizes and namings.

`MODELS` are of a family and named by it, `STRANGERS` are of none. Rules are not changed to make a
model here pass; a model that taught a rule something moves to `development`.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from tests.formats.families.development import ENDS, PICTURES, VOICE, of, policy

WIDE = {
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "intermediate_size": 40,
}
DECODER = {**WIDE, "vocab_size": 70, "num_key_value_heads": 1, **ENDS}
SPARSE = {"num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 20}
SHORT = {"vocab_size": 70, "max_position_embeddings": 30}
T5_SIZES = {
    "vocab_size": 70,
    "d_model": 24,
    "d_kv": 8,
    "d_ff": 40,
    "num_layers": 3,
    "num_heads": 3,
    "decoder_start_token_id": 0,
}
BART_SIZES = {
    "vocab_size": 50,
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
}


def wrapped(model: nn.Module, prefix: str) -> dict[str, Any]:
    """A state dict as a training script that wraps its model leaves it."""
    return {prefix + name: tensor for name, tensor in model.state_dict().items()}


def torchvision_resnet(bottleneck: bool) -> dict[str, Any]:
    """Names and shapes by https://github.com/pytorch/vision/blob/main/torchvision/models/resnet.py."""
    state = {"conv1.weight": (8, 3, 7, 7), "bn1.weight": (8,), "bn1.running_mean": (8,)}
    for stage, blocks in enumerate((3, 4, 6, 3), 1):
        for block in range(blocks):
            for conv in range(1, 4 if bottleneck else 3):
                state[f"layer{stage}.{block}.conv{conv}.weight"] = (8, 8, 3, 3)
                state[f"layer{stage}.{block}.bn{conv}.weight"] = (8,)
        if stage > 1 or bottleneck:
            state[f"layer{stage}.0.downsample.0.weight"] = (8, 8, 1, 1)
    state |= {"fc.weight": (10, 8), "fc.bias": (10,)}
    return {name: torch.empty(shape) for name, shape in state.items()}


def ultralytics(prefix: str) -> dict[str, Any]:
    """Names of a YOLOv8n, some of them, by `cfg/models/v8/yolov8.yaml`."""
    state = {"0.conv.weight": (16, 3, 3, 3), "0.bn.running_mean": (16,)}
    for block in (2, 4, 6, 8, 12, 15, 18, 21):
        for part in ("cv1", "cv2", "m.0.cv1", "m.0.cv2"):
            state[f"{block}.{part}.conv.weight"] = (16, 16, 3, 3)
            state[f"{block}.{part}.bn.weight"] = (16,)
    for scale in range(3):
        state[f"22.cv2.{scale}.0.conv.weight"] = (64, 16, 3, 3)
        state[f"22.cv2.{scale}.2.weight"] = (64, 64, 1, 1)
        state[f"22.cv3.{scale}.0.conv.weight"] = (80, 16, 3, 3)
        state[f"22.cv3.{scale}.2.weight"] = (80, 80, 1, 1)
    state["22.dfl.conv.weight"] = (1, 16, 1, 1)
    return {prefix + name: torch.empty(shape) for name, shape in state.items()}


def kohya() -> dict[str, Any]:
    """By https://github.com/kohya-ss/sd-scripts/blob/main/networks/lora.py."""
    state: dict[str, Any] = {}
    blocks = "lora_unet_down_blocks_0_attentions_1_transformer_blocks_0_attn1"
    for module in (
        f"{blocks}_to_q",
        f"{blocks}_to_v",
        "lora_te_text_model_encoder_layers_3_mlp_fc1",
    ):
        state[f"{module}.lora_down.weight"] = torch.empty(8, 320)
        state[f"{module}.lora_up.weight"] = torch.empty(320, 8)
        state[f"{module}.alpha"] = torch.tensor(4.0)
    return state


def adapter(model: nn.Module, targets: list[str], **options: Any) -> dict[str, Any]:
    import peft

    made = peft.get_peft_model(model, peft.LoraConfig(target_modules=targets, **options))
    return dict(peft.get_peft_model_state_dict(made))


def diffusers_model(name: str, **config: Any) -> nn.Module:
    import diffusers

    return getattr(diffusers, name)(**config)


def large_unet() -> nn.Module:
    return diffusers_model(
        "UNet2DConditionModel",
        block_out_channels=(8, 16, 24),
        layers_per_block=2,
        cross_attention_dim=20,
        attention_head_dim=(2, 4, 4),
        norm_num_groups=4,
        transformer_layers_per_block=(1, 1, 2),
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=64,
        use_linear_projection=True,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    )


def unconditional_unet() -> nn.Module:
    return diffusers_model(
        "UNet2DModel",
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        down_block_types=("DownBlock2D",) * 2,
        up_block_types=("UpBlock2D",) * 2,
        sample_size=16,
    )


def saved_names(model: nn.Module) -> dict[str, Any]:
    """What `save_pretrained` writes: names of before transformers 5, for models renamed since."""
    import tempfile

    from safetensors.torch import load_file

    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        return load_file(f"{folder}/model.safetensors")


def image_bart() -> nn.Module:
    return of("Bart", "ForConditionalGeneration", **BART_SIZES)


MODELS: dict[str, tuple[str, Callable[[], Any]]] = {
    "a bare BERT": ("bert", lambda: of("Bert", "Model", **WIDE, **SHORT)),
    "BERT for pretraining, compiled": (
        "bert",
        lambda: wrapped(of("Bert", "ForPreTraining", **WIDE, **SHORT), "_orig_mod.module."),
    ),
    "RoBERTa classifier": (
        "roberta",
        lambda: of("Roberta", "ForSequenceClassification", **WIDE, **SHORT),
    ),
    "XLM-RoBERTa": ("roberta", lambda: of("XLMRoberta", "ForTokenClassification", **WIDE, **SHORT)),
    "CamemBERT": ("roberta", lambda: of("Camembert", "ForMaskedLM", **WIDE, **SHORT)),
    "ELECTRA": (
        "bert",
        lambda: of("Electra", "ForPreTraining", embedding_size=24, **WIDE, **SHORT),
    ),
    "DistilBERT for questions": (
        "distilbert",
        lambda: of(
            "DistilBert",
            "ForQuestionAnswering",
            vocab_size=70,
            dim=24,
            n_layers=3,
            n_heads=3,
            hidden_dim=40,
        ),
    ),
    "a bare GPT-2": (
        "gpt2",
        lambda: of("GPT2", "Model", vocab_size=70, n_embd=24, n_layer=3, n_head=3),
    ),
    "GPT-2 classifier, distributed": (
        "gpt2",
        lambda: wrapped(
            of("GPT2", "ForSequenceClassification", vocab_size=70, n_embd=24, n_layer=3, n_head=3),
            "module.",
        ),
    ),
    "Mistral": ("llama-like", lambda: of("Mistral", "ForCausalLM", **DECODER)),
    "Gemma": ("llama-like", lambda: of("Gemma", "ForCausalLM", head_dim=8, **DECODER)),
    "Gemma 3": ("llama-like", lambda: of("Gemma3Text", "Model", head_dim=8, **DECODER)),
    "Llama classifier": ("llama-like", lambda: of("Llama", "ForSequenceClassification", **DECODER)),
    "OLMo 2": ("llama-like", lambda: of("Olmo2", "ForCausalLM", **DECODER)),
    "Granite": ("llama-like", lambda: of("Granite", "ForCausalLM", **DECODER)),
    "SmolLM3": ("llama-like", lambda: of("SmolLM3", "ForCausalLM", **DECODER)),
    "Qwen3 of experts": (
        "llama-like",
        lambda: of("Qwen3Moe", "ForCausalLM", head_dim=8, **SPARSE, **DECODER),
    ),
    "Qwen2 of experts": (
        "llama-like",
        lambda: of(
            "Qwen2Moe", "ForCausalLM", shared_expert_intermediate_size=16, **SPARSE, **DECODER
        ),
    ),
    "OLMoE": (
        "llama-like",
        lambda: of("Olmoe", "ForCausalLM", num_experts=6, num_experts_per_tok=2, **DECODER),
    ),
    "Mixtral as saved": (
        "llama-like",
        lambda: saved_names(of("Mixtral", "ForCausalLM", num_local_experts=6, **DECODER)),
    ),
    "mT5": ("t5", lambda: of("MT5", "ForConditionalGeneration", **T5_SIZES)),
    "UMT5": ("t5", lambda: of("UMT5", "ForConditionalGeneration", **T5_SIZES)),
    "T5's encoder": ("t5", lambda: of("T5", "EncoderModel", **T5_SIZES)),
    "a bare ResNet": (
        "resnet",
        lambda: of("ResNet", "Model", embedding_size=8, hidden_sizes=[8, 16, 24], depths=[2, 2, 1]),
    ),
    "ResNet of basic blocks": (
        "resnet",
        lambda: of(
            "ResNet",
            "Model",
            embedding_size=8,
            hidden_sizes=[8, 16],
            depths=[2, 2],
            layer_type="basic",
        ),
    ),
    "torchvision's ResNet-34": ("resnet", lambda: torchvision_resnet(bottleneck=False)),
    "torchvision's ResNet-50": ("resnet", lambda: torchvision_resnet(bottleneck=True)),
    "a YOLOv8": ("yolo", lambda: ultralytics("model.")),
    "a YOLOv8 in its training file": ("yolo", lambda: ultralytics("ema.model.")),
    "YOLOS as saved": (
        "yolos",
        lambda: saved_names(
            of("Yolos", "Model", **WIDE, image_size=[48, 32], patch_size=16, num_detection_tokens=7)
        ),
    ),
    "a bare ViT": ("vit", lambda: of("ViT", "Model", **WIDE, **PICTURES)),
    "ViT as saved": (
        "vit",
        lambda: saved_names(of("ViT", "ForImageClassification", **WIDE, **PICTURES)),
    ),
    "ViT-MSN": ("vit", lambda: of("ViTMSN", "ForImageClassification", **WIDE, **PICTURES)),
    "DeiT with two heads": (
        "deit",
        lambda: of("DeiT", "ForImageClassificationWithTeacher", **WIDE, **PICTURES),
    ),
    "CLIP's text encoder with its projection": (
        "clip-text",
        lambda: of("CLIPText", "ModelWithProjection", **WIDE, **SHORT),
    ),
    "CLIP's vision encoder with its projection": (
        "clip-vision",
        lambda: of("CLIPVision", "ModelWithProjection", **WIDE, **PICTURES),
    ),
    "a bare Whisper": (
        "whisper",
        lambda: of(
            "Whisper", "Model", **BART_SIZES, **ENDS, decoder_start_token_id=1, num_mel_bins=128
        ),
    ),
    "wav2vec 2.0 classifier": (
        "wav2vec2",
        lambda: of(
            "Wav2Vec2",
            "ForSequenceClassification",
            vocab_size=30,
            do_stable_layer_norm=True,
            feat_extract_norm="layer",
            **WIDE,
            **{**VOICE, "num_conv_pos_embedding_groups": 4},
        ),
    ),
    "a bare HuBERT": (
        "hubert",
        lambda: wrapped(of("Hubert", "Model", vocab_size=30, **WIDE, **VOICE), "student.hubert."),
    ),
    "a UNet of SDXL's kind": ("unet", large_unet),
    "an unconditional UNet": ("unet", unconditional_unet),
    "a deeper VAE": (
        "vae",
        lambda: diffusers_model(
            "AutoencoderKL",
            block_out_channels=(8, 16, 24),
            norm_num_groups=4,
            latent_channels=8,
            down_block_types=("DownEncoderBlock2D",) * 3,
            up_block_types=("UpDecoderBlock2D",) * 3,
        ),
    ),
    "a PEFT adapter of Llama": (
        "lora",
        lambda: adapter(of("Llama", "ForCausalLM", **DECODER), ["q_proj", "down_proj"], r=6),
    ),
    "a PEFT adapter with magnitudes": (
        "lora",
        lambda: adapter(
            of("GPT2", "Model", vocab_size=70, n_embd=24, n_layer=1, n_head=3),
            ["c_attn"],
            r=2,
            use_dora=True,
        ),
    ),
    "a PEFT adapter of convolutions": (
        "lora",
        lambda: adapter(
            of("ResNet", "Model", embedding_size=8, hidden_sizes=[8], depths=[2]),
            ["convolution"],
            r=3,
        ),
    ),
    "a kohya adapter": ("lora", kohya),
    "A2C": ("rl-policy", lambda: policy("A2C", "Acrobot-v1")),
    "TD3": ("rl-policy", lambda: policy("TD3", "Pendulum-v1")),
    "DDPG": ("rl-policy", lambda: policy("DDPG", "Pendulum-v1")),
}

STRANGERS: dict[str, Callable[[], Any]] = {
    "a perceptron": lambda: nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)),
    "an LSTM": lambda: nn.LSTM(4, 8, 2),
    "torch's transformer": lambda: nn.Transformer(16, 2, 1, 1, 32),
    "a plain convolutional network": lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)),
    "BART": image_bart,
    "BLOOM": lambda: of("Bloom", "Model", vocab_size=50, hidden_size=16, n_layer=1, n_head=2),
    "OPT": lambda: of(
        "OPT",
        "Model",
        vocab_size=50,
        ffn_dim=32,
        word_embed_proj_dim=24,
        hidden_size=24,
        num_hidden_layers=1,
        num_attention_heads=3,
    ),
    "Falcon": lambda: of(
        "Falcon", "Model", vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2
    ),
    "GPT-NeoX": lambda: of("GPTNeoX", "Model", **WIDE, vocab_size=50),
    "StarCoder": lambda: of("GPTBigCode", "Model", vocab_size=50, n_embd=16, n_layer=1, n_head=2),
    "ALBERT": lambda: of("Albert", "Model", embedding_size=8, **WIDE, **SHORT),
    "DeBERTa": lambda: of("DebertaV2", "Model", **WIDE, **SHORT),
    "MPNet": lambda: of("MPNet", "Model", **WIDE, **SHORT),
    "Mamba": lambda: of("Mamba", "Model", vocab_size=50, hidden_size=16, num_hidden_layers=1),
    "ESM": lambda: of("Esm", "Model", pad_token_id=0, **WIDE, **SHORT),
    "ConvNeXt": lambda: of("ConvNext", "Model", hidden_sizes=[8, 16, 16, 16], depths=[1, 1, 1, 1]),
    "RegNet": lambda: of(
        "RegNet", "Model", embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], groups_width=8
    ),
    "MobileNet": lambda: of("MobileNetV1", "Model"),
    "Swin": lambda: of(
        "Swin",
        "Model",
        image_size=32,
        patch_size=4,
        embed_dim=8,
        depths=[1, 1],
        num_heads=[2, 2],
        window_size=4,
    ),
    "DINOv2": lambda: of("Dinov2", "Model", **WIDE, **PICTURES),
    "BEiT": lambda: of("Beit", "Model", **WIDE, **PICTURES),
    "SegFormer": lambda: of(
        "Segformer",
        "Model",
        hidden_sizes=[8, 8],
        depths=[1, 1],
        num_encoder_blocks=2,
        num_attention_heads=[1, 1],
        sr_ratios=[2, 1],
        patch_sizes=[3, 3],
        strides=[2, 2],
        mlp_ratios=[2, 2],
    ),
    "SigLIP": lambda: of(
        "Siglip", "Model", text_config={**WIDE, **SHORT}, vision_config={**WIDE, **PICTURES}
    ),
    "WavLM": lambda: of("WavLM", "Model", **WIDE, **VOICE),
    "SigLIP's text encoder": lambda: of("SiglipText", "Model", **WIDE, **SHORT),
    "SigLIP's vision encoder": lambda: of("SiglipVision", "Model", **WIDE, **PICTURES),
    "a tiny autoencoder": lambda: diffusers_model("AutoencoderTiny"),
    "a ControlNet": lambda: diffusers_model(
        "ControlNetModel",
        block_out_channels=(8, 16),
        layers_per_block=1,
        cross_attention_dim=16,
        attention_head_dim=4,
        norm_num_groups=4,
        conditioning_embedding_out_channels=(4, 8),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
    ),
    "a vector-quantised autoencoder": lambda: diffusers_model(
        "VQModel",
        block_out_channels=(8, 16),
        norm_num_groups=4,
        num_vq_embeddings=10,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
    ),
}
