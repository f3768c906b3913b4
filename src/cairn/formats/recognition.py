"""Which families there are, and which of them some weights are of."""

from collections.abc import Mapping

from cairn.formats.families.bert import BertFamily
from cairn.formats.families.clip import ClipFamily
from cairn.formats.families.gpt2 import Gpt2Family
from cairn.formats.families.llama import LlamaFamily
from cairn.formats.families.lora import LoraFamily
from cairn.formats.families.resnet import ResNetFamily
from cairn.formats.families.rl_policy import RlPolicyFamily
from cairn.formats.families.stable_diffusion import StableDiffusionFamily
from cairn.formats.families.t5 import T5Family
from cairn.formats.families.vit import VitFamily
from cairn.formats.families.wav2vec2 import Wav2Vec2Family
from cairn.formats.families.whisper import WhisperFamily
from cairn.formats.families.yolo import YoloFamily
from cairn.formats.family import Family, Recognition
from cairn.formats.weight_names import Shape, WeightNames
from cairn.plugins import Registry

# The first that fits counts: an adapter carries the names of what it adapts, a single-file
# diffusion model those of its text encoder.
FAMILIES: Registry[Family] = Registry(
    "family",
    [
        LoraFamily(),
        StableDiffusionFamily(),
        YoloFamily(),
        WhisperFamily(),
        Wav2Vec2Family(),
        ClipFamily(),
        VitFamily(),
        T5Family(),
        BertFamily(),
        Gpt2Family(),
        LlamaFamily(),
        ResNetFamily(),
        RlPolicyFamily(),
    ],
)


def recognise(shapes: Mapping[str, Shape]) -> Recognition | None:
    """What weights with these names and shapes are; None if they are of no family known."""
    names = WeightNames(shapes)
    for family in FAMILIES:
        found = family.recognise(names)
        if found is not None:
            return found
    return None


def label_of(declared: str) -> str:
    """How a family of ours calls what a configuration declares; else as it is declared."""
    for family in FAMILIES:
        if declared in family.labels:
            return family.labels[declared]
    return declared


def family_of(label: str) -> Family | None:
    """The family that a configuration's model type or a recognised label belongs to."""
    for family in FAMILIES:
        if label == family.name or label in family.model_types:
            return family
    return None
