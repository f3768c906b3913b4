"""The head of a log, which its key signs: how many entries there are, and their root hash.

Specification: https://c2sp.org/tlog-checkpoint. Called a checkpoint there, which here is
something else.
"""

import base64
import binascii
import re
from dataclasses import dataclass

from cairn.errors import MalformedError
from cairn.provenance.log.merkle import HASH_BYTES

MAX_SIZE = 1 << 63
_SIZE = re.compile(r"(0|[1-9][0-9]{0,18})\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class TreeHead:
    """The origin that names a log, its number of entries and the root of their tree."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The text that is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    def parse(cls, text: str) -> "TreeHead":
        """The head that a note's text says; lines behind the third are ignored.

        Raises:
            MalformedError: it says none.
        """
        lines = text.removesuffix("\n").split("\n")
        if len(lines) < 3 or not all(lines) or not _SIZE.match(lines[1]):
            raise MalformedError("not the head of a log: origin, size and root hash")
        try:
            root = base64.b64decode(lines[2], validate=True)
        except binascii.Error:
            root = b""
        if len(root) != HASH_BYTES or int(lines[1]) >= MAX_SIZE:
            raise MalformedError("not the head of a log: its root is no base64 of 32 bytes")
        return cls(lines[0], int(lines[1]), root)
