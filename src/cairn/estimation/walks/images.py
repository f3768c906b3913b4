"""Models of images: vision transformers, ResNets, and the UNet of Stable Diffusion."""

from collections.abc import Iterator
from dataclasses import dataclass

from cairn.estimation.stacks import Stack
from cairn.estimation.subject import Shape, Subject
from cairn.estimation.tape import Tape
from cairn.estimation.walks.transformer import block, habits_of

_USUAL_SIDE = 224


def vision_transformer(tape: Tape, subject: Subject, stack: Stack) -> None:
    """Patches of an image through an encoder, such as ViT, DeiT, YOLOS and CLIP's image tower."""
    plan = tape.plan
    side = plan.image or subject.number("image_size", 0) or _declared_side(subject)
    patch = subject.shape_of(
        "patch_embeddings.projection.weight", "patch_embed.proj.weight", "patch_embedding.weight"
    ) or (0, 3, 16, 16)
    tall, broad = side if isinstance(side, tuple) else (side, side)
    extra = 1 + subject.number("num_detection_tokens", 0)
    patches = (tall // patch[-1]) * (broad // patch[-1])
    positions = patches + extra
    rows = float(plan.batch * positions)
    width = stack.attention.out.outputs
    habits = habits_of(subject, "gelu", 0.0)
    pixels = patch[-1] * patch[-1] * patch[1]
    tape.keep(plan.batch * patches * pixels, plan.narrow)
    tape.product(plan.batch * patches, pixels, width, is_first=True)
    entry = rows * width * plan.wide
    tape.block(stack.count, entry, lambda: block(tape, stack, habits, rows, positions))
    tape.layer_norm(rows, width)
    judged = plan.batch * max(1, subject.number("num_detection_tokens", 0))
    for _, shape in subject.head_shapes():
        if len(shape) == 2:
            tape.linear("classifier", judged, shape[1], shape[0])


def _declared_side(subject: Subject) -> tuple[int, int] | int:
    """YOLOS declares height and width."""
    found = subject.numbers("image_size", ())
    return (found[0], found[1]) if len(found) == 2 else _USUAL_SIDE


@dataclass(frozen=True, slots=True)
class _ResidualLayer:
    stage: int
    is_first: bool
    convolutions: tuple[Shape, ...]
    shortcut: Shape | None


def resnet(tape: Tape, subject: Subject) -> None:
    """A ResNet: convolutions, each with a batch norm and most with a ReLU after it."""
    plan = tape.plan
    side = plan.image or subject.number("image_size", _USUAL_SIDE)
    stem = subject.shape_of("embedder.embedder.convolution.weight", "conv1.weight") or (64, 3, 7, 7)
    pixels = float(plan.batch * side * side)
    tape.convolution("convolution", stem, pixels / 4, pixels, is_first=True)
    tape.keep(2 * pixels / 4 * stem[0], plan.narrow)  # into the norm, out of the ReLU
    tape.keep(pixels / 16 * stem[0], 8)  # the pooling's choices are int64
    pixels /= 16
    tape.keep(pixels * stem[0], plan.narrow)
    for layer in _layers(subject):
        pixels = _residual(tape, layer, pixels)


def _residual(tape: Tape, layer: _ResidualLayer, pixels: float) -> float:
    """One layer; returns the pixels after it. What it takes is kept by the layer before."""
    narrow = tape.plan.narrow
    narrows = layer.is_first and layer.stage > 0
    strided = next((at for at, s in enumerate(layer.convolutions) if s[-1] > 1), 0)
    now = pixels
    for at, shape in enumerate(layer.convolutions):
        made = now / 4 if narrows and at == strided else now
        tape.convolution("convolution", shape, made, now, is_input_kept=True)
        now = made
        tape.keep(2 * now * shape[0], narrow)  # into the norm; out of the ReLU, here or at the end
    if layer.shortcut is not None:
        tape.convolution("convolution", layer.shortcut, now, pixels, is_input_kept=True)
        tape.keep(now * layer.shortcut[0], narrow)
    return now


def _layers(subject: Subject) -> Iterator[_ResidualLayer]:
    """The residual layers in order, in the names of transformers or torchvision."""
    found: dict[tuple[int, int], dict[str, Shape]] = {}
    for name, shape in subject.tensors.items():
        parts = name.split(".")
        if len(shape) != 4:
            continue
        if "stages" in parts:
            at = parts.index("stages")
            key = (int(parts[at + 1]), int(parts[at + 3]))
            found.setdefault(key, {})[".".join(parts[at + 4 :])] = shape
        else:
            for at, part in enumerate(parts[:-2]):
                if part[:5] == "layer" and part[5:].isdecimal() and parts[at + 1].isdecimal():
                    key = (int(part[5:]) - 1, int(parts[at + 1]))
                    found.setdefault(key, {})[".".join(parts[at + 2 :])] = shape
    for (stage, layer), weights in sorted(found.items()):
        main = {n: s for n, s in weights.items() if "shortcut" not in n and "downsample" not in n}
        aside = next((s for n, s in weights.items() if n not in main), None)
        yield _ResidualLayer(stage, layer == 0, tuple(main[n] for n in sorted(main)), aside)
