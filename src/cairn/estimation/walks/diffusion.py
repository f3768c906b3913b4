"""The UNet of Stable Diffusion, as diffusers names it.

Kept as in `resnet.py`, `attention.py` and `unets/unet_2d_condition.py` of
https://github.com/huggingface/diffusers/tree/main/src/diffusers/models.
"""

from collections.abc import Iterator

from cairn.estimation.subject import Shape, Subject
from cairn.estimation.tape import Tape

_SIDE = 64  # of 512 pixels, eight of which make one of the latent image
_PROMPT = 77  # tokens of a prompt, as CLIP's text model takes
_HEAD_WIDTH = 40  # of Stable Diffusion 1: 8 heads of 320 channels


def unet(tape: Tape, subject: Subject) -> None:
    """Down, middle and up, with what each level down hands to the level up."""
    plan = tape.plan
    side = plan.image // 8 if plan.image else subject.number("sample_size", _SIDE)
    pixels = float(plan.batch * side * side)
    weights = _levels(subject)
    first = subject.shape_of("conv_in.weight") or (320, 4, 3, 3)
    tape.convolution("conv_in", first, pixels, pixels, is_first=True)
    for level in (
        *_numbered(weights, "down_blocks"),
        "mid_block",
        *_numbered(weights, "up_blocks"),
    ):
        pixels = _level(tape, subject, weights[level], pixels)
    last = subject.shape_of("conv_out.weight") or (4, 320, 3, 3)
    tape.keep(2 * pixels * last[1], plan.wide)
    tape.convolution("conv_out", last, pixels, pixels)


def _levels(subject: Subject) -> dict[str, dict[str, Shape]]:
    """Weights by level (`down_blocks.0`, `mid_block`), by their names inside it."""
    found: dict[str, dict[str, Shape]] = {"mid_block": {}}
    for name, shape in subject.tensors.items():
        parts = name.split(".")
        if parts[0] in ("down_blocks", "up_blocks") and len(parts) > 2:
            found.setdefault(".".join(parts[:2]), {})[".".join(parts[2:])] = shape
        elif parts[0] == "mid_block":
            found["mid_block"][".".join(parts[1:])] = shape
    return found


def _numbered(weights: dict[str, dict[str, Shape]], kind: str) -> Iterator[str]:
    found = [level for level in weights if level.startswith(f"{kind}.")]
    yield from sorted(found, key=lambda level: int(level.rpartition(".")[2]))


def _level(tape: Tape, subject: Subject, weights: dict[str, Shape], pixels: float) -> float:
    """Its residual layers and transformers; returns the pixels after it."""
    parts = _parts(weights)
    numbers = sorted((key[1] for key in parts if key[0] == "resnets"), key=int)
    width = 0
    for number in numbers:
        inner = parts["resnets", number]
        width = inner["conv1.weight"][0]
        entry = pixels * inner["conv1.weight"][1] * tape.plan.wide
        tape.block(1, entry, lambda inner=inner: _residual(tape, inner, pixels))  # type: ignore[misc]
        inner = parts.get(("attentions", number), {})
        if inner:
            tape.block(
                1,
                pixels * width * tape.plan.wide,
                lambda inner=inner: _transformer(tape, subject, inner, pixels),  # type: ignore[misc]
            )
    for name, shape in weights.items():
        if name == "downsamplers.0.conv.weight":
            tape.convolution("conv", shape, pixels / 4, pixels)
            pixels /= 4
        elif name == "upsamplers.0.conv.weight":
            pixels *= 4
            tape.convolution("conv", shape, pixels, pixels)
    return pixels


def _parts(weights: dict[str, Shape]) -> dict[tuple[str, str], dict[str, Shape]]:
    """Weights of a level by kind and number of the layer they are of."""
    found: dict[tuple[str, str], dict[str, Shape]] = {}
    for name, shape in weights.items():
        kind, _, rest = name.partition(".")
        number, _, inner = rest.partition(".")
        found.setdefault((kind, number), {})[inner] = shape
    return found


def _residual(tape: Tape, weights: dict[str, Shape], pixels: float) -> None:
    """Norm, SiLU, convolution, twice; a shortcut where the width changes."""
    outputs, inputs = weights["conv1.weight"][:2]
    for width, name in ((inputs, "conv1.weight"), (outputs, "conv2.weight")):
        tape.keep(pixels * width, tape.plan.wide)  # into the norm
        tape.keep(pixels * width, tape.plan.wide)  # into SiLU
        tape.convolution(name.removesuffix(".weight"), weights[name], pixels, pixels)
    if "conv_shortcut.weight" in weights:
        shape = weights["conv_shortcut.weight"]
        tape.convolution("conv_shortcut", shape, pixels, pixels, is_input_kept=True)


def _transformer(tape: Tape, subject: Subject, weights: dict[str, Shape], pixels: float) -> None:
    """Attention to the image itself and to the prompt, and a gated feed-forward part."""
    plan = tape.plan
    keys = pixels / plan.batch
    width = weights["norm.weight"][0]
    tape.keep(pixels * width, plan.wide)
    _pointwise(tape, weights["proj_in.weight"], pixels)
    blocks = sorted({n.split(".")[1] for n in weights if n.startswith("transformer_blocks.")})
    heads = _heads(subject, width)
    for number in blocks:
        inner = f"transformer_blocks.{number}."
        for name in ("attn1", "attn2"):
            query = weights[f"{inner}{name}.to_q.weight"]
            key = weights[f"{inner}{name}.to_k.weight"]
            is_own = key[1] == query[1] and name == "attn1"
            tape.layer_norm(pixels, width)
            if is_own:
                tape.linear("to_q to_k to_v", pixels, width, query[0] + 2 * key[0])
                tape.attention(pixels, keys, query[0], key[0], heads)
            else:
                prompt = float(plan.batch * _PROMPT)
                tape.linear("to_q", pixels, width, query[0])
                tape.linear("to_k to_v", prompt, key[1], 2 * key[0])
                tape.attention(pixels, _PROMPT, query[0], key[0], heads, key_rows=prompt)
            tape.linear("to_out.0", pixels, query[0], width, is_input_kept=True)
        tape.layer_norm(pixels, width)
        wide, narrow = weights[f"{inner}ff.net.0.proj.weight"], weights[f"{inner}ff.net.2.weight"]
        tape.linear("proj", pixels, wide[1], wide[0])
        tape.keep(3 * pixels * narrow[1], plan.narrow)  # gate, its GELU, and what that multiplies
        tape.linear("net.2", pixels, narrow[1], narrow[0])
    _pointwise(tape, weights["proj_out.weight"], pixels)


def _heads(subject: Subject, width: int) -> int:
    """In Stable Diffusion 1 `attention_head_dim` says how many heads there are."""
    found = subject.config.get("attention_head_dim")
    if isinstance(found, int) and 0 < found <= width:
        return found
    return max(1, width // _HEAD_WIDTH)


def _pointwise(tape: Tape, shape: Shape, pixels: float) -> None:
    tape.linear("proj_in", pixels, shape[1], shape[0])
