"""The keys of one log over time: how an old key hands over to a new one, and what each may sign.

A handover is a proof (`proofs.py`) of the entry that names both keys, whose head both have signed.
Whoever trusts one of them is led to the other. The old key counts for heads up to that one, the
new key from there on. A log's handovers are one file, `keys`: a line of base64 for each, oldest
first.
"""

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from cairn.domain import LogEvent, LogKind
from cairn.errors import CairnError, IntegrityError, LimitError, MalformedError
from cairn.provenance.log.heads import TreeHead
from cairn.provenance.log.notes import PublicKey, note_text, open_note
from cairn.provenance.log.proofs import LogProof

KEYS = "keys"
MAX_KEYS_BYTES = 1 << 20  # hundreds of handovers
OLD, NEW = "old_key", "new_key"


@dataclass(frozen=True, slots=True)
class Handover:
    """That `old` gave a log to `new`, at a head of `size` entries."""

    old: PublicKey
    new: PublicKey
    size: int

    @classmethod
    def of(cls, proof: LogProof) -> "Handover":
        """What a proof proves.

        Raises:
            IntegrityError: it proves none, or one of the keys did not sign.
            MalformedError: the entry names no keys.
        """
        event = proof.event(proof.head)
        try:
            if not isinstance(event, LogEvent) or event.kind is not LogKind.KEY:
                raise MalformedError("is about something else")
            old, new = (PublicKey.parse(event.details[name]) for name in (OLD, NEW))
        except (CairnError, KeyError) as error:
            raise MalformedError(f"no handover between two keys of a log: {error}") from None
        for key in (old, new):
            open_note(proof.note, [key])
        if not old.name == new.name == proof.head.origin:
            raise IntegrityError(f"the keys {old.name} and {new.name} are those of other logs")
        return cls(old, new, proof.head.size)


@dataclass(frozen=True, slots=True)
class LogKeys:
    """A key that is trusted, and the handovers that lead from it and to it."""

    trusted: PublicKey
    handovers: tuple[Handover, ...] = ()

    @classmethod
    def believing(cls, trusted: PublicKey, told: bytes) -> "LogKeys":
        """What a log's file of handovers adds to a key; nothing, if it does not lead to it.

        Raises:
            IntegrityError: a handover is not proved, or does not follow the one before.
            MalformedError, LimitError: it is no such file.
        """
        if len(told) > MAX_KEYS_BYTES:
            raise LimitError(f"more than {MAX_KEYS_BYTES} bytes of handovers are not read")
        found = tuple(Handover.of(_proof(line)) for line in told.splitlines())
        for before, after in pairwise(found):
            if before.new != after.old or before.size > after.size:
                raise IntegrityError("a handover between keys does not follow the one before")
        keys = cls(trusted, found)
        return keys if trusted in keys.known else cls(trusted)

    @property
    def known(self) -> list[PublicKey]:
        """Every key that is believed, the oldest first."""
        if not self.handovers:
            return [self.trusted]
        return [self.handovers[0].old, *(one.new for one in self.handovers)]

    @property
    def current(self) -> PublicKey:
        """The key that signs now."""
        return self.known[-1]

    def goes_on(self, before: "LogKeys") -> bool:
        """Whether all handovers known before are among these, and only newer ones were added."""
        return self.handovers[: len(before.handovers)] == before.handovers

    def head(self, note: bytes) -> TreeHead:
        """The head that a note says, signed by a key that could sign it.

        Raises:
            IntegrityError: by none, or by one that was handed over before or after.
            MalformedError, LimitError: it is no signed head.
        """
        head = TreeHead.parse(open_note(note, self.known))
        if head.origin != self.trusted.name:
            raise IntegrityError(
                f"the head is that of the log {head.origin}, not {self.trusted.name}"
            )
        if not any(
            self._may_sign(n, head.size) and _signed(note, key) for n, key in enumerate(self.known)
        ):
            raise IntegrityError(
                f"the head of {head.size} entries is signed by a key that the log had at another"
                " time: it was handed over"
            )
        return head

    def _may_sign(self, number: int, size: int) -> bool:
        begins = self.handovers[number - 1].size if number else 0
        ends = self.handovers[number].size if number < len(self.handovers) else size
        return begins <= size <= ends


def serialise(proofs: Iterable[LogProof]) -> bytes:
    """The file of these handovers."""
    return b"".join(base64.b64encode(one.serialise()) + b"\n" for one in proofs)


def _proof(line: bytes) -> LogProof:
    try:
        return LogProof.parse(base64.b64decode(line, validate=True))
    except binascii.Error:
        raise MalformedError("a line of the log's handovers is no base64") from None


def _signed(note: bytes, key: PublicKey) -> bool:
    try:
        return open_note(note, [key]) == note_text(note)
    except IntegrityError:
        return False
