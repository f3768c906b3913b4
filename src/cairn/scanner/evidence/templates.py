"""What templates would do when they are rendered."""

from dataclasses import dataclass
from typing import ClassVar

from cairn.scanner.evidence.base import Evidence


@dataclass(frozen=True, slots=True)
class TemplateUse(Evidence):
    """Something that a Jinja template uses, once for each `use` and `name`.

    `use` is one of `node` (a type of syntax), `name` (a variable that is read and never set),
    `attribute` (one that begins with `_` or belongs to frames and code), `method`, `call`,
    `filter`, `test`, `text` (a constant with `__` in it), `key` (a key computed from pieces of
    text) and `work` (a loop or repetition of `name` rounds).
    """

    kind: ClassVar[str] = "template-use"

    use: str
    name: str
