"""A proof that an entry is in a log, as one file that is checked without the log.

Specification: https://c2sp.org/tlog-proof. The extra data of ours is one JSON object, `entry` and
for a hidden one `salt` (hex) and `content`: text of the bytes that `entries` makes.
"""

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass

from cairn.domain import LogEvent
from cairn.errors import LimitError, MalformedError
from cairn.provenance.log.entries import Hidden, Opening, decode, reveal
from cairn.provenance.log.heads import TreeHead
from cairn.provenance.log.merkle import HASH_BYTES, check_inclusion, leaf_hash
from cairn.provenance.log.notes import MAX_NOTE_BYTES, PublicKey, note_text, open_note

MAX_PROOF_BYTES = MAX_NOTE_BYTES + (1 << 20)  # two entries of 64 KiB, in JSON and base64
_FIRST_LINE = "c2sp.org/tlog-proof@v1"


@dataclass(frozen=True, slots=True)
class LogProof:
    """An entry and its opening if it is hidden, where it is in a log, the path to the root, the
    signed head.
    """

    entry: bytes
    opening: Opening | None
    index: int
    path: tuple[bytes, ...]
    note: bytes

    @property
    def head(self) -> TreeHead:
        """What the note says, whoever signed it."""
        return TreeHead.parse(note_text(self.note))

    def check(self, keys: Iterable[PublicKey]) -> LogEvent | Hidden:
        """What is proved to be in the log of one of these keys; hidden unless it is opened.

        Raises:
            IntegrityError: it is not proved, or the opening is that of another entry.
            MalformedError: the head or the entry cannot be read.
        """
        return self.event(TreeHead.parse(open_note(self.note, keys)))

    def event(self, head: TreeHead) -> LogEvent | Hidden:
        """What is proved to be in the log of a head that somebody checked; see `check`."""
        check_inclusion(leaf_hash(self.entry), self.index, head.size, head.root, self.path)
        if self.opening is None:
            return decode(self.entry)
        return reveal(self.entry, self.opening)

    def serialise(self) -> bytes:
        """The bytes of the file."""
        fields = {"entry": self.entry.decode()}
        if self.opening is not None:
            fields["salt"] = self.opening.salt.hex()
            fields["content"] = self.opening.content.decode()
        extra = _base64(json.dumps(fields, sort_keys=True, ensure_ascii=False).encode())
        lines = [_FIRST_LINE, f"extra {extra}", f"index {self.index}", *map(_base64, self.path)]
        return "\n".join([*lines, "", ""]).encode() + self.note

    @classmethod
    def parse(cls, content: bytes) -> "LogProof":
        """The proof in a file; nothing of it is checked.

        Raises:
            LimitError: it is too long. MalformedError: it is none, or one without an entry.
        """
        if len(content) > MAX_PROOF_BYTES:
            raise LimitError(f"a proof of more than {MAX_PROOF_BYTES} bytes is not read")
        before, _, note = content.partition(b"\n\n")
        try:
            first, extra, index, *path = before.decode().split("\n")
            fields = json.loads(base64.b64decode(_behind("extra ", extra), validate=True))
            number = _behind("index ", index)
            hashes = tuple(base64.b64decode(line, validate=True) for line in path)
            opening = None
            if "salt" in fields:
                salt = bytes.fromhex(fields["salt"])
                opening = Opening(salt, fields["content"].encode())
            entry = fields["entry"].encode()
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise MalformedError("not a proof of this log: c2sp.org/tlog-proof@v1") from None
        if (
            first != _FIRST_LINE
            or not (number.isascii() and number.isdigit() and len(number) < HASH_BYTES)
            or any(len(found) != HASH_BYTES for found in hashes)
        ):
            raise MalformedError("not a proof of this log: its first line, index or hashes")
        return cls(entry, opening, int(number), hashes, note)


def _behind(label: str, line: str) -> str:
    if not line.startswith(label):
        raise ValueError(f"no {label}")
    return line.removeprefix(label)


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
