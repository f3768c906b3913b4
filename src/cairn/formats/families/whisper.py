"""Whisper, in the namings of Hugging Face and of OpenAI.

Names: https://github.com/huggingface/transformers/blob/main/src/transformers/models/whisper/modeling_whisper.py
and https://github.com/openai/whisper/blob/main/whisper/model.py.
"""

from cairn.formats.family import NamedFamily, Naming, axis, layers

_UNKNOWN = ("num_attention_heads", "hidden_act")


class WhisperFamily(NamedFamily):
    """Speech-to-text encoder-decoders over mel spectrograms."""

    name = "whisper"
    model_types = frozenset(("whisper",))
    orders = (
        (
            *("model", "encoder", "decoder", "proj_out", "conv1", "conv2", "embed_tokens"),
            *("embed_positions", "layers", "layer_norm", "self_attn", "k_proj", "v_proj", "q_proj"),
            *("out_proj", "self_attn_layer_norm", "encoder_attn", "encoder_attn_layer_norm", "fc1"),
            *("fc2", "final_layer_norm", "weight", "bias"),
        ),
    )
    namings = (
        Naming(
            needs=(
                *("encoder.conv1.weight", "encoder.conv2.weight", "decoder.embed_positions.weight"),
                "decoder.layers.N.encoder_attn.q_proj.weight",
            ),
            facts={
                "num_hidden_layers": layers("encoder.layers.N.fc1.weight"),
                "num_decoder_layers": layers("decoder.layers.N.fc1.weight"),
                "hidden_size": axis(1, "decoder.embed_tokens.weight"),
                "intermediate_size": axis(0, "encoder.layers.N.fc1.weight"),
                "vocab_size": axis(0, "decoder.embed_tokens.weight"),
                "max_position_embeddings": axis(0, "decoder.embed_positions.weight"),
                "num_mel_bins": axis(1, "encoder.conv1.weight"),
            },
            unknown=_UNKNOWN,
        ),
        Naming(
            needs=(
                *("encoder.conv1.weight", "encoder.conv2.weight", "decoder.token_embedding.weight"),
                "decoder.blocks.N.cross_attn.query.weight",
            ),
            facts={
                "num_hidden_layers": layers("encoder.blocks.N.attn.query.weight"),
                "num_decoder_layers": layers("decoder.blocks.N.attn.query.weight"),
                "hidden_size": axis(1, "decoder.token_embedding.weight"),
                "intermediate_size": axis(0, "encoder.blocks.N.mlp.N.weight"),
                "vocab_size": axis(0, "decoder.token_embedding.weight"),
                "max_position_embeddings": axis(0, "decoder.positional_embedding"),
                "num_mel_bins": axis(1, "encoder.conv1.weight"),
            },
            unknown=_UNKNOWN,
        ),
    )
