"""Cosignatures of witnesses: that somebody saw a head, and that it began with all they saw before.

Specification: https://c2sp.org/tlog-cosignature. A witness's key is written like that of a log,
with type 0x04; its line in a note is `— <name> <base64>` of

    key id[4] | time u64 big-endian, Unix seconds | Ed25519 signature[64]

over `cosignature/v1`, `time <seconds>` and the text of the head. How witnesses are asked is
https://c2sp.org/tlog-witness: see `cairn.hub.log_witness`.
"""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from cairn.errors import IntegrityError, MalformedError
from cairn.provenance.log.heads import TreeHead
from cairn.provenance.log.notes import PublicKey, note_parts, note_text

WITNESSED = "witnessed"
"""Where a log has the newest head that witnesses cosigned; a name of ours."""

_KIND = b"\x04"
_TIME_BYTES = 8
_SIGNATURE_BYTES = 64


@dataclass(frozen=True, slots=True)
class Cosignature:
    """Which witness saw a head, and when."""

    witness: PublicKey
    at: datetime


def witness_key(text: str) -> PublicKey:
    """A witness's key as people pass it on; RequestError for anything else."""
    return PublicKey.parse(text, _KIND)


def cosignatures(note: bytes, witnesses: Iterable[PublicKey]) -> list[Cosignature]:
    """Those of these witnesses in a note; others are ignored.

    Raises:
        IntegrityError: one of them is wrong. MalformedError, LimitError: it is no note.
    """
    text, signatures = note_parts(note)
    known = {(key.name, key.key_id): key for key in witnesses}
    found: dict[PublicKey, Cosignature] = {}
    for name, signature in signatures:
        key = known.get((name, signature[:4]))
        if key is None:
            continue
        seconds = int.from_bytes(signature[4 : 4 + _TIME_BYTES], "big")
        if not key.signed(_signed_text(seconds, text).encode(), signature[4 + _TIME_BYTES :]):
            raise IntegrityError(f"the cosignature by {name} is wrong")
        one = Cosignature(key, _moment(seconds))
        if key not in found or found[key].at < one.at:
            found[key] = one
    return list(found.values())


def signed_by(note: bytes, keys: Iterable[PublicKey]) -> bytes:
    """A note with the signatures by these keys alone; they are not checked here.

    Raises:
        MalformedError, LimitError: it is no note.
    """
    wanted = {(key.name, key.key_id) for key in keys}
    return _note(note, (one for one in note_parts(note)[1] if (one[0], one[1][:4]) in wanted))


def merge(note: bytes, other: bytes) -> bytes:
    """A note with the signatures of another, if that has the same text: by each key the newest.

    A witness that sees the same head again signs it with another time.

    Raises:
        MalformedError, LimitError: one is no note.
    """
    newest: dict[tuple[str, bytes], tuple[str, bytes]] = {}
    (text, signatures), (other_text, others) = note_parts(note), note_parts(other)
    for name, signature in (*signatures, *(others if other_text == text else ())):
        key = name, signature[:4]
        if key not in newest or _time(newest[key][1]) <= _time(signature):
            newest[key] = name, signature
    return _note(note, newest.values())


def witness_request(note: bytes, old_size: int, proof: Iterable[str]) -> bytes:
    """What a witness is asked with, which saw a head of `old_size` entries last (0: none).

    `proof` is the consistency proof, each hash in base64.
    """
    return "\n".join((f"old {old_size}", *proof, "", "")).encode() + note


def _signed_text(seconds: int, text: str) -> str:
    TreeHead.parse(text)
    return f"cosignature/v1\ntime {seconds}\n{text}"


def _note(note: bytes, signatures: Iterable[tuple[str, bytes]]) -> bytes:
    """The text of a note above other signatures."""
    lines = (f"— {name} {base64.b64encode(raw).decode()}\n" for name, raw in signatures)
    return f"{note_text(note)}\n{''.join(lines)}".encode()


def _time(signature: bytes) -> int:
    """Of a cosignature, which is longer than the signature of a log; 0 for the latter."""
    return int.from_bytes(signature[4:-_SIGNATURE_BYTES], "big")


def _moment(seconds: int) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        raise MalformedError(f"a cosignature is from the second {seconds}") from None
