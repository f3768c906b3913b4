"""What configurations call the numbers people compare models by.

The keys of facts are those of Hugging Face's BERT and Llama configurations; other models spell
them otherwise (GPT-2: `n_embd`, T5: `d_model`, DistilBERT: `dim`). Sources: `configuration_*.py` in
https://github.com/huggingface/transformers/tree/main/src/transformers/models, and
https://github.com/huggingface/peft/blob/main/src/peft/tuners/lora/config.py.
"""

from collections.abc import Mapping
from typing import Any

from cairn.domain import Fact, Scalar
from cairn.formats.naming import printable

SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "num_hidden_layers": (
        *("num_hidden_layers", "n_layer", "n_layers", "num_layers", "encoder_layers"),
        *("num_encoder_layers", "block_count"),
    ),
    "num_decoder_layers": ("num_decoder_layers", "decoder_layers"),
    "hidden_size": ("hidden_size", "n_embd", "d_model", "dim", "embedding_length"),
    "intermediate_size": (
        *("intermediate_size", "n_inner", "d_ff", "ffn_dim", "encoder_ffn_dim", "hidden_dim"),
        "feed_forward_length",
    ),
    "moe_intermediate_size": ("moe_intermediate_size", "expert_feed_forward_length"),
    "num_attention_heads": (
        *("num_attention_heads", "n_head", "n_heads", "num_heads", "encoder_attention_heads"),
        "attention.head_count",
    ),
    "num_key_value_heads": ("num_key_value_heads", "attention.head_count_kv"),
    "vocab_size": ("vocab_size",),
    "max_position_embeddings": (
        *("max_position_embeddings", "n_positions", "n_ctx", "max_target_positions"),
        "context_length",
    ),
    "num_experts": ("num_experts", "num_local_experts", "n_routed_experts", "expert_count"),
    "num_experts_per_tok": ("num_experts_per_tok", "moe_topk", "expert_used_count"),
    "image_size": ("image_size",),
    "patch_size": ("patch_size",),
    "num_channels": ("num_channels",),
    "num_labels": ("num_labels", "num_classes", "id2label"),
    "depths": ("depths",),
    "embedding_size": ("embedding_size",),
    "num_detection_tokens": ("num_detection_tokens",),
    "num_mel_bins": ("num_mel_bins",),
    "in_channels": ("in_channels",),
    "out_channels": ("out_channels",),
    "latent_channels": ("latent_channels",),
    "cross_attention_dim": ("cross_attention_dim",),
    "sample_size": ("sample_size",),
    "r": ("r",),
    "lora_alpha": ("lora_alpha",),
    "target_modules": ("target_modules",),
    "hidden_act": (
        *("hidden_act", "activation_function", "activation", "hidden_activation"),
        *("dense_act_fn", "feed_forward_proj"),
    ),
}
# Models of several kinds of data keep what concerns their language model in a part of their own.
_TEXT_PARTS = ("text_config", "llm_config", "language_config")
_MAX_LISTED = 16
_MAX_TEXT = 1000


def declared_facts(config: Mapping[str, Any], file: str) -> dict[str, Fact]:
    """The facts a configuration states, each with the file and key that does."""
    found: dict[str, Fact] = {}
    for fact, spellings in SPELLINGS.items():
        for key, value in _values(config, spellings):
            shown = _shown(key, value)
            if shown is not None:
                found[fact] = Fact(shown, f"{file}: {key}")
                break
    return found


def _values(config: Mapping[str, Any], spellings: tuple[str, ...]) -> list[tuple[str, Any]]:
    """What a configuration has under these keys, its own before those of its language part."""
    values = [(key, config[key]) for key in spellings if config.get(key) is not None]
    for part in _TEXT_PARTS:
        inner = config.get(part)
        if isinstance(inner, dict):
            values += [(f"{part}.{key}", inner[key]) for key in spellings if key in inner]
    return values


def _shown(key: str, value: Any) -> Scalar:
    """A value as one scalar: short lists of scalars as text, `id2label` by its length."""
    if key.endswith("id2label"):
        return len(value) if isinstance(value, dict) else None
    if isinstance(value, list):
        if not 0 < len(value) <= _MAX_LISTED or any(
            isinstance(item, (dict, list)) for item in value
        ):
            return None
        # Sets are written in any order; lists of numbers mean theirs.
        ordered = sorted(value) if all(isinstance(item, str) for item in value) else value
        return printable(", ".join(str(item) for item in ordered), _MAX_TEXT)
    if isinstance(value, str):
        return printable(value, _MAX_TEXT)
    return value if isinstance(value, (int, float)) else None
