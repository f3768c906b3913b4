"""GPT-2, in the naming of Hugging Face, of scripts that follow it, and of GGUF.

Names: https://github.com/huggingface/transformers/blob/main/src/transformers/models/gpt2/modeling_gpt2.py.
Its projections are stored input first (`Conv1D`), those of nanoGPT output first; the axes with
three times the width tell which.
"""

from cairn.domain import Fact
from cairn.formats.family import NamedFamily, Naming, axis, layers
from cairn.formats.weight_names import WeightNames

_UNKNOWN = ("num_attention_heads", "hidden_act")
_ATTENTION = "h.N.attn.c_attn.weight"


def _has_three_in_one(names: WeightNames) -> bool:
    """Queries, keys and values in one weight, each as wide as the model."""
    found = names.find(_ATTENTION)
    return found is not None and len(found.shape) == 2 and max(found.shape) == 3 * min(found.shape)


def _wide(names: WeightNames) -> Fact | None:
    found, base = names.find("h.N.mlp.c_fc.weight"), names.find("wte.weight")
    if found is None or base is None or len(found.shape) != 2 or len(base.shape) != 2:
        return None
    is_input_first = found.shape[0] == base.shape[1]
    return Fact(found.shape[1 if is_input_first else 0], f"shape of {found.example}")


class Gpt2Family(NamedFamily):
    """Pre-norm decoders with learned positions and `h.N.attn.c_attn`."""

    name = "gpt2"
    model_types = frozenset(("gpt2", "openai-gpt2"))
    orders = (
        (
            *("transformer", "wte", "wpe", "h", "ln_1", "attn", "ln_2", "mlp", "ln_f", "lm_head"),
            *("score", "c_attn", "c_fc", "c_proj", "weight", "bias"),
        ),
    )
    namings = (
        Naming(
            needs=(_ATTENTION, "h.N.mlp.c_fc.weight", "wte.weight", "wpe.weight"),
            checks=(_has_three_in_one,),
            facts={
                "num_hidden_layers": layers(_ATTENTION),
                "hidden_size": axis(1, "wte.weight"),
                "intermediate_size": _wide,
                "vocab_size": axis(0, "wte.weight"),
                "max_position_embeddings": axis(0, "wpe.weight"),
                "num_labels": axis(0, "score.weight"),
            },
            unknown=_UNKNOWN,
        ),
        Naming(
            needs=("blk.N.attn_qkv.weight", "blk.N.ffn_up.weight", "position_embd.weight"),
            lacks=("token_types.weight", "blk.N.ffn_gate.weight"),
            facts={
                "num_hidden_layers": layers("blk.N.attn_qkv.weight"),
                "hidden_size": axis(1, "token_embd.weight"),
                "intermediate_size": axis(0, "blk.N.ffn_up.weight"),
                "vocab_size": axis(0, "token_embd.weight"),
                "max_position_embeddings": axis(0, "position_embd.weight"),
            },
            unknown=_UNKNOWN,
        ),
    )
