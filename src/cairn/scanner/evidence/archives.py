"""What archives hold besides their members' content."""

from dataclasses import dataclass
from typing import ClassVar

from cairn.scanner.evidence.base import Evidence


@dataclass(frozen=True, slots=True)
class MemberName(Evidence):
    """A member whose name leads out of the folder it would be unpacked to."""

    kind: ClassVar[str] = "member-name"

    name: str


@dataclass(frozen=True, slots=True)
class Encrypted(Evidence):
    """A member that says it is encrypted, so that nobody without the password knows it."""

    kind: ClassVar[str] = "encrypted"

    name: str
