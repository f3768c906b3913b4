"""LoRA adapters as PEFT, kohya's scripts and diffusers name them; rank and targets from shapes.

A pair of weights per adapted module, (rank, in) and (out, rank):

    PEFT       base_model.model.<module>.lora_A.weight, .lora_B.weight, .lora_A.<adapter>.weight
    diffusers  <part>.<module>.lora_A.weight, .lora.down.weight, .lora_linear_layer.down.weight
    kohya      lora_unet_<module with _ for .>.lora_down.weight, .lora_up.weight, .alpha

Sources: https://github.com/huggingface/peft/blob/main/src/peft/utils/save_and_load.py,
https://github.com/kohya-ss/sd-scripts/blob/main/networks/lora.py and
https://github.com/huggingface/diffusers/blob/main/src/diffusers/loaders/lora_conversion_utils.py.
"""

import re

from cairn.domain import Fact
from cairn.formats.family import CANNOT_BE_KNOWN, Family, Recognition
from cairn.formats.limits import MAX_SUFFIX_CHARS
from cairn.formats.weight_names import WeightNames

_DOWN = re.compile(
    r"(?P<module>[^.]+(?:\.N)?)\.(?:lora_A(?:\.[^.]+)?|lora_down|lora\.down|lora_linear_layer\.down)"
    r"\.weight\Z|(?P<bare>[^.]+)\.lora_A\Z"
)
# kohya joins the whole path with underscores; a module's own name is its last words.
_KOHYA = re.compile(
    r"lora_(?:unet|te\d?)_\w*?(?P<module>to_[qkv]|to_out_0|ff_net_[02](?:_proj)?|[qkvo]_proj|out_proj"
    r"|fc[12]|proj_(?:in|out)|conv\w*|time_emb_proj|linear_\w+)\Z"
)
_MOST_TARGETS = 40


class LoraFamily(Family):
    """Low-rank adapters: they are no models by themselves."""

    name = "lora"
    model_types = frozenset(("lora",))

    def recognise(self, names: WeightNames) -> Recognition | None:
        """Pairs of low-rank weights, wherever they hang."""
        ranks: dict[int, str] = {}
        targets: dict[str, None] = {}
        evidence = ""
        for template in names.templates.values():
            # Only the end: for a search, the work is quadratic in the length of a segment.
            match = _DOWN.search(template.text[-MAX_SUFFIX_CHARS:])
            if match is None or len(template.shape) < 2:
                continue
            evidence = evidence or template.text
            ranks.setdefault(template.shape[0], template.example)
            targets[_target(match["module"] or match["bare"])] = None
        if not evidence:
            return None
        named = sorted(targets)[:_MOST_TARGETS]
        facts = {
            "r": Fact(_rank(ranks), f"shape of {next(iter(ranks.values()))}"),
            "target_modules": Fact(", ".join(named), "tensor names"),
            "lora_alpha": Fact(None, CANNOT_BE_KNOWN),
        }
        return Recognition(self.name, self.name, f"tensor names: {evidence}", facts)


def _target(module: str) -> str:
    """The module's own name: a numbered one keeps its number's place, as in `to_out.0`."""
    kohya = _KOHYA.match(module)
    return kohya["module"] if kohya else module.replace(".N", ".0")


def _rank(ranks: dict[int, str]) -> int | str:
    """The rank, or all of them where they differ."""
    return next(iter(ranks)) if len(ranks) == 1 else ", ".join(str(n) for n in sorted(ranks))
