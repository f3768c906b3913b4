"""Signed notes: a text, a blank line, then signatures; and the keys that make and check them.

Specification: https://c2sp.org/signed-note. Keys are written as golang.org/x/mod/sumdb/note
writes them, so other tools of the ecosystem read them:

    <name>+<key id, 8 hex digits>+<base64 of 0x01 and the 32 bytes of the public key>
    PRIVATE+KEY+<name>+<key id>+<base64 of 0x01 and the 32 bytes of the seed>

Only Ed25519 (signature type 0x01, and 0x04 of witnesses) is made or believed.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from cairn.errors import IntegrityError, LimitError, MalformedError, RequestError

MAX_NOTE_BYTES = 64 << 10  # the specification asks for 16 signatures of up to 5 kB at least once
_ED25519 = b"\x01"
_KEY_BYTES = 32
_NAME = re.compile(r"[^\s+]{1,300}\Z")
_SIGNATURE = re.compile(r"— (?P<name>[^\s+]+) (?P<signature>[A-Za-z0-9+/]+={0,2})\Z")
_PRIVATE = "PRIVATE+KEY+"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A name and the Ed25519 key that signs as it; `str` is what people pass on.

    `kind` is the type of its signatures: that of notes, or that of witnesses.
    """

    name: str
    raw: bytes
    kind: bytes = _ED25519

    def __post_init__(self) -> None:
        if not _NAME.match(self.name) or len(self.raw) != _KEY_BYTES:
            raise RequestError("the name of a key has no spaces and no plus, its key 32 bytes")

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{_base64(self.kind + self.raw)}"

    @property
    def key_id(self) -> bytes:
        """Four bytes that tell the keys of one name apart; no protection."""
        return hashlib.sha256(self.name.encode() + b"\n" + self.kind + self.raw).digest()[:4]

    @classmethod
    def parse(cls, text: str, kind: bytes = _ED25519) -> "PublicKey":
        """The key of this kind that `str` wrote; RequestError for anything else."""
        name, raw = _key_parts(text.strip(), kind)
        key = cls(name, raw, kind)
        if str(key) != text.strip():
            raise RequestError(f"{text[:120]!r}: the key does not have the id it says")
        return key

    def signed(self, text: bytes, signature: bytes) -> bool:
        """Whether this key made the signature."""
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, text)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A name and the 32 bytes of seed behind its key, never shown by `repr`."""

    name: str
    seed: bytes = field(repr=False)

    @classmethod
    def new(cls, name: str) -> "PrivateKey":
        """A key that nobody has."""
        return cls(name, Ed25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def parse(cls, text: str) -> "PrivateKey":
        """The key that `serialise` wrote; RequestError for anything else."""
        if not text.startswith(_PRIVATE):
            raise RequestError(f"a private key begins with {_PRIVATE}")
        name, seed = _key_parts(text.strip().removeprefix(_PRIVATE), _ED25519)
        key = cls(name, seed)
        if key.serialise() != text.strip():
            raise RequestError("the private key does not have the id it says")
        return key

    def serialise(self) -> str:
        """The key as text: whoever reads it can sign."""
        key_id = self.public.key_id.hex()
        return f"{_PRIVATE}{self.name}+{key_id}+{_base64(_ED25519 + self.seed)}"

    @property
    def public(self) -> PublicKey:
        """The key that checks what this one signs."""
        return PublicKey(self.name, self._key.public_key().public_bytes_raw())

    def sign(self, text: str) -> str:
        """A note of this text, which ends in a newline, with one signature."""
        assert text.endswith("\n"), "the text of a note ends in a newline"
        return f"{text}\n{self.signature(text)}"

    def signature(self, text: str) -> str:
        """The line to append to a note of this text."""
        signature = self.public.key_id + self._key.sign(text.encode())
        return f"— {self.name} {_base64(signature)}\n"

    @property
    def _key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)


def note_text(note: bytes) -> str:
    """The text of a note, of which nothing is known yet: no signature is checked.

    Raises:
        LimitError: it is too long. MalformedError: it is no note.
    """
    return note_parts(note)[0]


def open_note(note: bytes, keys: Iterable[PublicKey]) -> str:
    """The text of a note that at least one of the keys has signed.

    Signatures by other keys are ignored.

    Raises:
        LimitError: it is too long. MalformedError: it is no note.
        IntegrityError: no signature by a known key, or one that is wrong.
    """
    text, signatures = note_parts(note)
    known = {(key.name, key.key_id): key for key in keys}
    believed = False
    for name, signature in signatures:
        key = known.get((name, signature[:4]))
        if key is None:
            continue
        if not key.signed(text.encode(), signature[4:]):
            raise IntegrityError(f"the signature by {name} is wrong: the note was changed")
        believed = True
    if not believed:
        expected = " or ".join(f"{name} ({key_id.hex()})" for name, key_id in known)
        raise IntegrityError(f"the note is not signed by {expected or 'any key that is known'}")
    return text


def note_parts(note: bytes) -> tuple[str, list[tuple[str, bytes]]]:
    """The text of a note, and the names and signatures below it, none of them checked.

    Raises:
        LimitError: it is too long. MalformedError: it is no note.
    """
    if len(note) > MAX_NOTE_BYTES:
        raise LimitError(f"a note of more than {MAX_NOTE_BYTES} bytes is not read")
    try:
        whole = note.decode()
    except UnicodeDecodeError as error:
        raise MalformedError("a signed note is not UTF-8", offset=error.start) from None
    text, blank, lines = whole.rpartition("\n\n")
    if any(c < " " and c != "\n" for c in whole) or not blank or not lines.endswith("\n"):
        raise MalformedError("not a signed note: a text, a blank line and signatures")
    return text + "\n", [_signature(line) for line in lines[:-1].split("\n")]


def _signature(line: str) -> tuple[str, bytes]:
    found = _SIGNATURE.match(line)
    try:
        signature = base64.b64decode(found["signature"], validate=True) if found else b""
    except binascii.Error:
        signature = b""
    if found is None or len(signature) <= 4:
        raise MalformedError(f"{line[:80]!r} is not the signature line of a note")
    return found["name"], signature


def _key_parts(text: str, kind: bytes) -> tuple[str, bytes]:
    name, _, rest = text.partition("+")
    _, _, encoded = rest.partition("+")  # the id is compared by whoever parses
    try:
        raw = base64.b64decode(encoded, validate=True)
    except ValueError:
        raw = b""
    if not _NAME.match(name) or raw[:1] != kind or len(raw) != 1 + _KEY_BYTES:
        raise RequestError("a key is written <name>+<8 hex digits>+<base64 of an Ed25519 key>")
    return name, raw[1:]


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
