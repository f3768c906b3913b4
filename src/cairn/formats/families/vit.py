"""Vision transformers, in the namings of Hugging Face before and since its version 5, and of timm.

Names: https://github.com/huggingface/transformers/blob/main/src/transformers/models/vit/modeling_vit.py
and https://github.com/huggingface/pytorch-image-models/blob/main/timm/models/vision_transformer.py.
"""

from cairn.formats.family import NamedFamily, Naming, axis, image_side, layers
from cairn.formats.weight_names import WeightNames

_UNKNOWN = ("num_attention_heads", "hidden_act")
_PATCH = "embeddings.patch_embeddings.projection.weight"
_POSITIONS = "embeddings.position_embeddings"
_NORM = ("encoder.layer.N.layernorm_before.weight", "layers.N.layernorm_before.weight")
_WIDE = ("encoder.layer.N.intermediate.dense.weight", "layers.N.mlp.fc1.weight")
_FACTS = {
    "num_hidden_layers": layers(*_NORM),
    "hidden_size": axis(0, _PATCH),
    "intermediate_size": axis(0, *_WIDE),
    "patch_size": axis(3, _PATCH),
    "num_channels": axis(1, _PATCH),
    "num_labels": axis(0, "classifier.weight", "cls_classifier.weight"),
}
_RELATIVE = ("encoder.layer.N.lambda_1", "layers.N.lambda_1", "embeddings.detection_tokens")


def _sees_colours(names: WeightNames) -> bool:
    """Three channels: transformers over spectrograms have DeiT's names and one channel."""
    found = names.find(_PATCH)
    return found is not None and found.shape[1:2] == (3,)


class VitFamily(NamedFamily):
    """Transformers over image patches with a class token."""

    name = "vit"
    model_types = frozenset(("vit", "deit", "vit_mae", "vit_msn"))
    orders = (
        (
            *(
                "vit",
                "deit",
                "embeddings",
                "encoder",
                "layers",
                "layernorm",
                "pooler",
                "classifier",
            ),
            *("cls_classifier", "distillation_classifier", "cls_token", "position_embeddings"),
            *("distillation_token", "mask_token", "patch_embeddings", "projection", "layer"),
            *(
                "attention",
                "intermediate",
                "output",
                "q_proj",
                "k_proj",
                "v_proj",
                "o_proj",
                "query",
            ),
            *("key", "value", "layernorm_before", "layernorm_after", "mlp", "fc1", "fc2", "dense"),
            *("weight", "bias"),
        ),
    )
    namings = (
        Naming(
            needs=("embeddings.distillation_token", "embeddings.cls_token", _PATCH),
            lacks=_RELATIVE,
            checks=(_sees_colours,),
            facts={
                **_FACTS,
                "image_size": image_side(axis(1, _POSITIONS, minus=2), axis(3, _PATCH)),
            },
            unknown=_UNKNOWN,
            label="deit",
        ),
        *(
            Naming(
                needs=("embeddings.cls_token", _PATCH, norm),
                lacks=("embeddings.distillation_token", *_RELATIVE),
                facts={
                    **_FACTS,
                    "image_size": image_side(axis(1, _POSITIONS, minus=1), axis(3, _PATCH)),
                },
                unknown=_UNKNOWN,
            )
            for norm in _NORM
        ),
        Naming(
            needs=("cls_token", "pos_embed", "patch_embed.proj.weight", "blocks.N.attn.qkv.weight"),
            facts={
                "num_hidden_layers": layers("blocks.N.attn.qkv.weight"),
                "hidden_size": axis(0, "patch_embed.proj.weight"),
                "intermediate_size": axis(0, "blocks.N.mlp.fc1.weight"),
                "patch_size": axis(3, "patch_embed.proj.weight"),
                "image_size": image_side(
                    axis(1, "pos_embed", minus=1), axis(3, "patch_embed.proj.weight")
                ),
                "num_labels": axis(0, "head.weight"),
            },
            unknown=_UNKNOWN,
        ),
    )
