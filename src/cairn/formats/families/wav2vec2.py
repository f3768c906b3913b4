"""wav2vec 2.0 and HuBERT, which differ by their prefix only.

Names: https://github.com/huggingface/transformers/blob/main/src/transformers/models/wav2vec2/modeling_wav2vec2.py.
WavLM has these names and gated relative positions besides.
"""

from cairn.formats.family import NamedFamily, Naming, axis, layers

_NEEDS = (
    "feature_extractor.conv_layers.N.conv.weight",
    "feature_projection.projection.weight",
    "encoder.pos_conv_embed.conv.bias",
    "encoder.layers.N.attention.k_proj.weight",
)
_LACKS = ("gru_rel_pos_const", "rel_attn_embed.weight")
_UNKNOWN = ("num_attention_heads", "hidden_act")
_FACTS = {
    "num_hidden_layers": layers("encoder.layers.N.attention.k_proj.weight"),
    "hidden_size": axis(0, "feature_projection.projection.weight"),
    "intermediate_size": axis(0, "encoder.layers.N.feed_forward.intermediate_dense.weight"),
    "num_feat_extract_layers": layers("feature_extractor.conv_layers.N.conv.weight"),
    "vocab_size": axis(0, "lm_head.weight"),
    "num_labels": axis(0, "classifier.weight"),
}


class Wav2Vec2Family(NamedFamily):
    """Encoders of raw audio: convolutions, then a transformer."""

    name = "wav2vec2"
    model_types = frozenset(("wav2vec2", "hubert"))
    orders = (
        (
            *("masked_spec_embed", "wav2vec2", "hubert", "feature_extractor", "feature_projection"),
            *("encoder", "lm_head", "projector", "classifier", "conv_layers", "conv"),
            *("pos_conv_embed", "attention", "layer_norm", "projection", "layers", "feed_forward"),
            *("final_layer_norm", "k_proj", "v_proj", "q_proj", "out_proj", "intermediate_dense"),
            *("output_dense", "weight", "bias", "parametrizations", "original0", "original1"),
        ),
    )
    namings = (
        Naming(
            needs=("hubert.encoder.pos_conv_embed.conv.bias", *_NEEDS),
            lacks=_LACKS,
            facts=_FACTS,
            unknown=_UNKNOWN,
            label="hubert",
        ),
        Naming(needs=_NEEDS, lacks=_LACKS, facts=_FACTS, unknown=_UNKNOWN),
    )
