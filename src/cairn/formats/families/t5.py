"""T5 and the models that kept its names: mT5, UMT5, FLAN-T5, its encoder alone.

Names: https://github.com/huggingface/transformers/blob/main/src/transformers/models/t5/modeling_t5.py;
GGUF: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. The bias of relative positions has
one column per head, so heads can be told.
"""

from cairn.formats.family import NamedFamily, Naming, axis, layers

_QUERY = "encoder.block.N.layer.N.SelfAttention.q.weight"


class T5Family(NamedFamily):
    """Encoder-decoders with relative positions and `block.N.layer.N.SelfAttention`."""

    name = "t5"
    model_types = frozenset(("t5", "mt5", "umt5"))
    orders = (
        (
            *("shared", "transformer", "encoder", "decoder", "lm_head", "classification_head"),
            *(
                "embed_tokens",
                "block",
                "final_layer_norm",
                "layer",
                "SelfAttention",
                "EncDecAttention",
            ),
            *("DenseReluDense", "layer_norm", "q", "k", "v", "o", "relative_attention_bias"),
            *("wi", "wi_0", "wi_1", "wo", "weight", "bias"),
        ),
    )
    namings = (
        Naming(
            needs=(_QUERY, "encoder.final_layer_norm.weight"),
            facts={
                "num_hidden_layers": layers(_QUERY),
                "num_decoder_layers": layers("decoder.block.N.layer.N.SelfAttention.q.weight"),
                "hidden_size": axis(1, _QUERY),
                "intermediate_size": axis(1, "DenseReluDense.wo.weight"),
                "num_attention_heads": axis(1, "SelfAttention.relative_attention_bias.weight"),
                "vocab_size": axis(0, "shared.weight", "encoder.embed_tokens.weight"),
            },
            unknown=("hidden_act",),
        ),
        Naming(
            needs=("enc.blk.N.attn_q.weight", "enc.blk.N.attn_rel_b.weight"),
            facts={
                "num_hidden_layers": layers("enc.blk.N.attn_q.weight"),
                "num_decoder_layers": layers("dec.blk.N.attn_q.weight"),
                "hidden_size": axis(1, "token_embd.weight"),
                "vocab_size": axis(0, "token_embd.weight"),
            },
            unknown=("hidden_act",),
        ),
    )
