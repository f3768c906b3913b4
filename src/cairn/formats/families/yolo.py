"""YOLO in the naming of Ultralytics, and YOLOS of Hugging Face.

Names: https://github.com/ultralytics/ultralytics/blob/main/ultralytics/nn/modules/head.py
(read, not used: it is AGPL) and
https://github.com/huggingface/transformers/blob/main/src/transformers/models/yolos/modeling_yolos.py.
"""

from cairn.domain import Fact
from cairn.formats.family import NamedFamily, Naming, axis, layers
from cairn.formats.weight_names import WeightNames

_NUMBERS_PER_BOX = 5  # x, y, width, height, objectness: YOLOv5 predicts them beside the classes
_ANCHORS = 3


def _classes_of_anchors(names: WeightNames) -> Fact | None:
    found = names.find("model.N.m.N.weight")
    if found is None or not found.shape or found.shape[0] % _ANCHORS:
        return None
    return Fact(
        found.shape[0] // _ANCHORS - _NUMBERS_PER_BOX,
        f"shape of {found.example}, if there are {_ANCHORS} anchors",
    )


class YoloFamily(NamedFamily):
    """Detectors: `model.N.` with `cv1`, `cv2` and `bn`; or a ViT with detection tokens."""

    name = "yolo"
    model_types = frozenset(("yolos", "yolo"))
    orders = (
        (
            *(
                "vit",
                "embeddings",
                "encoder",
                "layernorm",
                "class_labels_classifier",
                "bbox_predictor",
            ),
            *("cls_token", "detection_tokens", "position_embeddings", "patch_embeddings"),
            *("mid_position_embeddings", "projection", "layer", "interpolation", "attention"),
            *("intermediate", "output", "layernorm_before", "layernorm_after", "query", "key"),
            *("value", "dense", "layers", "weight", "bias"),
        ),
    )
    namings = (
        Naming(
            needs=("embeddings.detection_tokens", "embeddings.patch_embeddings.projection.weight"),
            facts={
                "num_hidden_layers": layers(
                    "encoder.layer.N.output.dense.weight", "layers.N.mlp.fc2.weight"
                ),
                "hidden_size": axis(2, "embeddings.detection_tokens"),
                "intermediate_size": axis(
                    0, "encoder.layer.N.intermediate.dense.weight", "layers.N.mlp.fc1.weight"
                ),
                "patch_size": axis(3, "embeddings.patch_embeddings.projection.weight"),
                "num_detection_tokens": axis(1, "embeddings.detection_tokens"),
            },
            unknown=("num_attention_heads", "image_size", "hidden_act"),
            label="yolos",
        ),
        Naming(
            needs=("N.cv1.conv.weight", "N.cv2.conv.weight", "cv3.N.N.weight", "dfl.conv.weight"),
            facts={
                "num_labels": axis(0, "cv3.N.N.weight"),
                "embedding_size": axis(0, "model.N.conv.weight"),
            },
            unknown=("image_size",),
        ),
        Naming(
            needs=("N.cv1.conv.weight", "N.cv2.conv.weight", "model.N.anchors"),
            facts={
                "num_labels": _classes_of_anchors,
                "embedding_size": axis(0, "model.N.conv.weight"),
            },
            unknown=("image_size",),
        ),
    )
