"""Which layer a tensor belongs to and which place in it: `encoder.layer.3`, `attention.query`."""

import re
from dataclasses import dataclass

_NUMBER = re.compile(r"(?:^|\.)(\d+)(?=\.|$)")
_LEAF = re.compile(r"\.?(weight|bias|kernel|gamma|beta|scale|embedding)\Z")


@dataclass(frozen=True, slots=True, order=True)
class LayerPlace:
    """A place in a numbered layer; `number` is None outside of layers.

    `stack` is the dotted path before the number, `part` what follows, without `.weight` or `.bias`.
    """

    stack: str
    number: int | None
    part: str

    @property
    def layer(self) -> str:
        """The layer's dotted name, or that of the module outside of layers."""
        if self.number is None:
            above = self.part.split(".")[:-1] or [self.part]
            return ".".join(above[:2])  # `bert.embeddings` says more than `bert`
        return f"{self.stack}.{self.number}" if self.stack else str(self.number)


def place_of(name: str) -> LayerPlace:
    """Split a tensor's name at the first number in it."""
    found = _NUMBER.search(name)
    if found is None:
        return LayerPlace("", None, _LEAF.sub("", name) or name)
    stack, rest = name[: found.start()], name[found.end() :].lstrip(".")
    return LayerPlace(stack, int(found[1][:18]), _LEAF.sub("", rest) or rest)
