"""What evidence is: something a file holds, and where. Rules see evidence, never a file."""

from dataclasses import dataclass
from typing import ClassVar

from cairn.domain import Place


@dataclass(frozen=True, slots=True)
class Evidence:
    """One observation; it says what is there, not whether that is good or bad.

    Subclasses add fields of strings, numbers, flags and tuples of these, so that evidence can be
    kept as JSON and judged again when rules change, without the file. `kind` names the subclass
    in what is kept: never changed, never used again for something else.
    """

    kind: ClassVar[str]

    place: Place


@dataclass(frozen=True, slots=True)
class Form(Evidence):
    """Content was read as this: a format's name."""

    kind: ClassVar[str] = "form"

    name: str


@dataclass(frozen=True, slots=True)
class Broken(Evidence):
    """Content breaks the rules of the format that it says or seems to be."""

    kind: ClassVar[str] = "broken"

    problem: str


@dataclass(frozen=True, slots=True)
class Unread(Evidence):
    """Content that was not looked into, and why."""

    kind: ClassVar[str] = "unread"

    reason: str
