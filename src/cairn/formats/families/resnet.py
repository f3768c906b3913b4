"""ResNet, in the namings of torchvision (and timm) and of Hugging Face.

Names: https://github.com/pytorch/vision/blob/main/torchvision/models/resnet.py and
https://github.com/huggingface/transformers/blob/main/src/transformers/models/resnet/modeling_resnet.py.
RegNet has the second naming too; its first convolution is 3 wide, ResNet's 7.
"""

from cairn.domain import Fact
from cairn.formats.family import Measure, NamedFamily, Naming, axis
from cairn.formats.weight_names import WeightNames

_STEM = "embedder.embedder.convolution.weight"
_STEM_PIXELS = 7
_UNKNOWN = ("image_size", "hidden_act")


def _has_wide_stem(names: WeightNames) -> bool:
    found = names.find(_STEM)
    return found is not None and found.shape[-1:] == (_STEM_PIXELS,)


def _blocks(*stages: str) -> Measure:
    """Blocks of each stage as text, such as `3, 4, 6, 3`."""

    def read(names: WeightNames) -> Fact | None:
        counts = [names.count(f"{stage}.N.conv1.weight") for stage in stages]
        return Fact(", ".join(str(n) for n in counts if n), f"numbers in {stages[0]}.N and so on")

    return read


class ResNetFamily(NamedFamily):
    """Convolutional networks of residual blocks in four stages."""

    name = "resnet"
    model_types = frozenset(("resnet",))
    orders = (
        (
            *("resnet", "conv1", "bn1", "conv2", "bn2", "conv3", "bn3", "downsample"),
            *(
                "layer1",
                "layer2",
                "layer3",
                "layer4",
                "fc",
                "embedder",
                "encoder",
                "stages",
                "layers",
            ),
            *("shortcut", "layer", "convolution", "normalization", "classifier", "weight", "bias"),
        ),
    )
    namings = (
        Naming(
            needs=(_STEM, "encoder.stages.N.layers.N.layer.N.convolution.weight"),
            checks=(_has_wide_stem,),
            facts={
                "embedding_size": axis(0, _STEM),
                "num_channels": axis(1, _STEM),
                "num_labels": axis(0, "classifier.N.weight"),
            },
            unknown=_UNKNOWN,
        ),
        Naming(
            needs=(
                *("conv1.weight", "bn1.weight", "layer1.N.conv1.weight"),
                *("layer2.N.downsample.N.weight", "layer4.N.conv1.weight"),
            ),
            facts={
                "depths": _blocks("layer1", "layer2", "layer3", "layer4"),
                "embedding_size": axis(0, "layer1.N.bn1.weight"),
                "num_labels": axis(0, "fc.weight"),
            },
            unknown=_UNKNOWN,
        ),
    )
