"""CLIP, both towers or one, in the namings of Hugging Face and of OpenAI.

Names: https://github.com/huggingface/transformers/blob/main/src/transformers/models/clip/modeling_clip.py
and https://github.com/openai/CLIP/blob/main/clip/model.py. SigLIP has these names without a class
embedding.
"""

from types import MappingProxyType

from cairn.formats.family import Measure, NamedFamily, Naming, axis, image_side, layers

_UNKNOWN = ("num_attention_heads", "hidden_act")
_TEXT = "text_model.embeddings.token_embedding.weight"
_VISION = "vision_model.embeddings.patch_embedding.weight"
_CLASS = "vision_model.embeddings.class_embedding"
_TEXT_QUERY = "text_model.encoder.layers.N.self_attn.q_proj.weight"
_VISION_QUERY = "vision_model.encoder.layers.N.self_attn.q_proj.weight"
# One tower alone is saved without its prefix since transformers 5.
_TOKENS = "embeddings.token_embedding.weight"
_PATCHES = "embeddings.patch_embedding.weight"
_QUERY = "encoder.layers.N.self_attn.q_proj.weight"


def _text_facts(prefix: str) -> dict[str, Measure]:
    return {
        "num_hidden_layers": layers(f"{prefix}{_QUERY}"),
        "hidden_size": axis(1, f"{prefix}{_TOKENS}"),
        "intermediate_size": axis(0, f"{prefix}encoder.layers.N.mlp.fc1.weight"),
        "vocab_size": axis(0, f"{prefix}{_TOKENS}"),
        "max_position_embeddings": axis(0, f"{prefix}embeddings.position_embedding.weight"),
    }


def _image(prefix: str) -> Measure:
    positions = axis(0, f"{prefix}embeddings.position_embedding.weight", minus=1)
    return image_side(positions, axis(3, f"{prefix}{_PATCHES}"))


class ClipFamily(NamedFamily):
    """Text and image encoders trained together."""

    name = "clip"
    model_types = frozenset(("clip", "clip-text", "clip-vision"))
    labels = MappingProxyType({"clip_text_model": "clip-text", "clip_vision_model": "clip-vision"})
    orders = (
        (
            *("logit_scale", "text_model", "vision_model", "visual_projection", "text_projection"),
            *("embeddings", "class_embedding", "patch_embedding", "token_embedding"),
            *(
                "position_embedding",
                "pre_layrnorm",
                "encoder",
                "final_layer_norm",
                "post_layernorm",
            ),
            *(
                "layers",
                "self_attn",
                "k_proj",
                "v_proj",
                "q_proj",
                "out_proj",
                "layer_norm1",
                "mlp",
            ),
            *("fc1", "fc2", "layer_norm2", "weight", "bias"),
        ),
    )
    namings = (
        Naming(
            needs=(_TEXT, _VISION, _CLASS, _TEXT_QUERY, _VISION_QUERY),
            facts={
                **_text_facts("text_model."),
                "vision_hidden_size": axis(0, _VISION),
                "vision_num_hidden_layers": layers(_VISION_QUERY),
                "patch_size": axis(3, _VISION),
                "image_size": _image("vision_model."),
                "projection_dim": axis(0, "text_projection.weight"),
            },
            unknown=_UNKNOWN,
        ),
        Naming(
            needs=(
                _TOKENS,
                _QUERY,
                "encoder.layers.N.layer_norm1.weight",
                "final_layer_norm.weight",
            ),
            lacks=("head.weight", _PATCHES),
            facts=_text_facts(""),
            unknown=_UNKNOWN,
            label="clip-text",
        ),
        Naming(
            needs=(_PATCHES, "embeddings.class_embedding", _QUERY, "pre_layrnorm.weight"),
            lacks=(_TOKENS,),
            facts={
                "num_hidden_layers": layers(_QUERY),
                "hidden_size": axis(0, _PATCHES),
                "intermediate_size": axis(0, "encoder.layers.N.mlp.fc1.weight"),
                "patch_size": axis(3, _PATCHES),
                "image_size": _image(""),
            },
            unknown=_UNKNOWN,
            label="clip-vision",
        ),
        Naming(
            needs=(
                *("transformer.resblocks.N.attn.in_proj_weight", "token_embedding.weight"),
                *("visual.conv1.weight", "text_projection"),
            ),
            facts={
                "num_hidden_layers": layers("transformer.resblocks.N.attn.in_proj_weight"),
                "hidden_size": axis(1, "token_embedding.weight"),
                "vocab_size": axis(0, "token_embedding.weight"),
                "max_position_embeddings": axis(0, "positional_embedding"),
                "patch_size": axis(3, "visual.conv1.weight"),
                "projection_dim": axis(1, "text_projection"),
            },
            unknown=_UNKNOWN,
        ),
    )
