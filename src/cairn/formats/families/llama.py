"""Decoders built like Llama: Mistral, Qwen, Gemma, Phi-3, and mixtures of experts such as Mixtral.

Names: https://github.com/huggingface/transformers/blob/main/src/transformers/models/llama/modeling_llama.py
and `models/mixtral`; Meta's own: https://github.com/meta-llama/llama/blob/main/llama/model.py;
GGUF: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. The names do not tell these models
apart, so the label is `llama-like`.
"""

from cairn.domain import Fact
from cairn.formats.family import Measure, NamedFamily, Naming, axis, layers, quotient
from cairn.formats.weight_names import WeightNames

_UNKNOWN = ("num_attention_heads", "num_key_value_heads", "hidden_act", "max_position_embeddings")
_QUERY = "layers.N.self_attn.q_proj.weight"
_NORM = "layers.N.self_attn.q_norm.weight"
_EXPERTS = (
    "experts.N.gate_proj.weight",
    "experts.N.w1.weight",
)


def _heads(suffix: str) -> Measure:
    """Heads, where a norm per head gives their width; a norm over all heads at once does not."""

    def read(names: WeightNames) -> Fact | None:
        all_heads = quotient(axis(0, _QUERY), axis(0, _NORM))(names)
        if all_heads is None or all_heads.value == 1:
            return None
        return quotient(axis(0, suffix), axis(0, _NORM))(names)

    return read


def _experts(names: WeightNames) -> Fact | None:
    """Numbered experts, or all of them in one tensor."""
    for suffix in _EXPERTS:
        found = names.find(suffix)
        if found is not None:
            return Fact(found.counts[-1], f"numbers in {found.text}")
    return axis(0, "experts.gate_up_proj", "blk.N.ffn_gate_exps.weight")(names)


def _fused_width(names: WeightNames) -> Fact | None:
    """Of experts in one tensor the axis that is not the model's width; either comes last."""
    found, base = names.find("mlp.experts.down_proj"), names.find(_EMBEDDING[0])
    if found is None or base is None or len(found.shape) != 3 or len(base.shape) != 2:
        return None
    widths = [n for n in found.shape[1:] if n != base.shape[1]] or [base.shape[1]]
    return Fact(widths[0], f"shape of {found.example}") if len(widths) == 1 else None


_EMBEDDING = ("embed_tokens.weight", "token_embd.weight", "tok_embeddings.weight")
_COMMON = {
    "hidden_size": axis(1, *_EMBEDDING),
    "vocab_size": axis(0, *_EMBEDDING),
    "num_experts": _experts,
    "num_labels": axis(0, "score.weight"),
}
_HF = {
    "num_hidden_layers": layers("layers.N.self_attn.o_proj.weight"),
    **_COMMON,
    "num_attention_heads": _heads(_QUERY),
    "num_key_value_heads": _heads("layers.N.self_attn.k_proj.weight"),
}


class LlamaFamily(NamedFamily):
    """Pre-norm decoders with rotary positions and gated feed-forward layers."""

    name = "llama-like"
    model_types = frozenset(
        (
            *("llama", "mistral", "mixtral", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "gemma"),
            *("gemma2", "gemma3_text", "phi3", "olmo", "olmo2", "olmoe", "granite", "smollm3"),
        )
    )
    orders = (
        (
            *(
                "model",
                "embed_tokens",
                "layers",
                "self_attn",
                "q_proj",
                "k_proj",
                "v_proj",
                "o_proj",
            ),
            *(
                "qkv_proj",
                "q_norm",
                "k_norm",
                "block_sparse_moe",
                "mlp",
                "gate",
                "experts",
                "gate_proj",
                "up_proj",
            ),
            *("shared_expert", "shared_expert_gate"),
            *("gate_up_proj", "down_proj", "input_layernorm", "post_attention_layernorm"),
            *(
                "pre_feedforward_layernorm",
                "post_feedforward_layernorm",
                "norm",
                "lm_head",
                "score",
            ),
            *("weight", "bias"),
        ),
    )
    namings = (
        Naming(
            needs=(_QUERY, "layers.N.self_attn.o_proj.weight", "layers.N.mlp.gate_proj.weight"),
            facts={**_HF, "intermediate_size": axis(0, "layers.N.mlp.gate_proj.weight")},
            unknown=_UNKNOWN,
        ),
        Naming(
            needs=("layers.N.self_attn.qkv_proj.weight", "layers.N.mlp.gate_up_proj.weight"),
            facts={**_HF, "intermediate_size": axis(1, "layers.N.mlp.down_proj.weight")},
            unknown=_UNKNOWN,
        ),
        Naming(
            needs=(_QUERY, "block_sparse_moe.experts.N.w1.weight"),
            facts={**_HF, "intermediate_size": axis(0, "experts.N.w1.weight")},
            unknown=_UNKNOWN,
        ),
        Naming(
            needs=(_QUERY, "mlp.experts.N.gate_proj.weight"),
            facts={**_HF, "moe_intermediate_size": axis(0, "experts.N.gate_proj.weight")},
            unknown=_UNKNOWN,
        ),
        Naming(
            needs=(_QUERY, "mlp.experts.gate_up_proj", "mlp.experts.down_proj"),
            facts={**_HF, "moe_intermediate_size": _fused_width},
            unknown=_UNKNOWN,
        ),
        Naming(
            needs=("layers.N.attention.wq.weight", "layers.N.feed_forward.w1.weight"),
            facts={
                "num_hidden_layers": layers("layers.N.attention.wq.weight"),
                **_COMMON,
                "intermediate_size": axis(0, "layers.N.feed_forward.w1.weight"),
            },
            unknown=_UNKNOWN,
        ),
        Naming(
            needs=("blk.N.attn_q.weight", "blk.N.attn_norm.weight", "blk.N.ffn_norm.weight"),
            lacks=("position_embd.weight", "blk.N.attn_norm.bias", "enc.blk.N.attn_q.weight"),
            facts={
                "num_hidden_layers": layers("blk.N.attn_q.weight"),
                **_COMMON,
                "intermediate_size": axis(0, "blk.N.ffn_gate.weight"),
            },
            unknown=_UNKNOWN,
        ),
    )
