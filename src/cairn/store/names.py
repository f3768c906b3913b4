"""Names for blobs, kept in the store itself: object `names/ab/<SHA-256 of the name>`, version 1.

| offset | bytes | field |
|---|---|---|
| 0 | 8 | magic `CAIRNNAM` |
| 8 | 4 | u32 version, 1 |
| 12 | 4 | u32 bytes of the name N |
| 16 | 32 | SHA-256 of the blob |
| 48 | 8 | u64 blob bytes |
| 56 | 8 | u64 when the name was given, microseconds since 1970 |
| 64 | 4 | u32 bytes of the metadata M |
| 68 | 4 | u32 zero |
| 72 | N | the name, UTF-8 |
| | M | a JSON object: what the giver said about the blob |
| | 32 | BLAKE3-256 of everything before |

Integers are little-endian. One object per name: giving, moving and removing a name is one atomic
step, whoever else is at work. What has a name is never garbage.
"""

import hashlib
import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from blake3 import blake3

from cairn.domain import Blob, Digest
from cairn.errors import EntryNotFoundError, IntegrityError, MalformedError, NamingError
from cairn.formats.strict_json import parse_json
from cairn.store.backends import Backend, ObjectNotFoundError
from cairn.store.backends.base import put_bytes, read_all, replace_bytes
from cairn.store.holdings import digests_under
from cairn.store.keys import NAMES

VERSION = 1
MAX_NAME_BYTES = 1024  # as long as the longest path that repos take
MAX_METADATA_BYTES = 1 << 20
_MAGIC = b"CAIRNNAM"
_HEAD = struct.Struct("<8sII32sQQII")
_CHECK_BYTES = 32
_LAST_US = 253_402_300_800_000_000 - 1  # the end of 9999: calendars know no later year
MAX_RECORD_BYTES = _HEAD.size + MAX_NAME_BYTES + MAX_METADATA_BYTES + _CHECK_BYTES


@dataclass(frozen=True, slots=True)
class NamedBlob:
    """A blob under a name, since when, and what was said about it: JSON values.

    Raises:
        NamingError: the name is empty, too long or not printable, or the time is in no year
            that calendars know.
    """

    name: str
    blob: Blob
    added_us: int
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.name or len(self.name.encode(errors="replace")) > MAX_NAME_BYTES:
            raise NamingError(f"a name has 1 to {MAX_NAME_BYTES} bytes: {self.name[:80]!r}")
        if not self.name.isprintable() or self.name != self.name.strip():
            raise NamingError(f"{self.name[:80]!r} has spaces around it, or what no screen shows")
        if not 0 <= self.added_us <= _LAST_US:
            raise NamingError(f"{self.name[:80]!r} was given in no year that calendars know")


class Names:
    """The names of one store; safe to use from several threads and processes."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def put(self, named: NamedBlob, *, replace: bool = True) -> bool:
        """Durably give a name; False if it is taken and is not to be replaced."""
        data = encode_name(named)
        if not replace:
            return put_bytes(self._backend, name_key(named.name), data)
        replace_bytes(self._backend, name_key(named.name), data)
        return True

    def get(self, name: str) -> NamedBlob:
        """What has this name.

        Raises:
            EntryNotFoundError: nothing has.
            IntegrityError: the record of it is damaged.
        """
        try:
            return self._read(name_key(name))
        except ObjectNotFoundError:
            raise _nothing(name) from None

    def has(self, name: str) -> bool:
        """Whether the name is given, though its record may be damaged."""
        return self._backend.exists(name_key(name))

    def remove(self, name: str) -> None:
        """Take a name away; the blob stays until a gc finds that nothing else wants it.

        Raises:
            EntryNotFoundError: nothing has it.
        """
        if not self._backend.delete(name_key(name)):
            raise _nothing(name)

    def survey(self) -> tuple[list[NamedBlob], list[IntegrityError]]:
        """The names whose records are whole, sorted, and what is wrong with the others."""
        whole, problems = [], list[IntegrityError]()
        for key in self._keys():
            try:
                whole.append(self._read(key))
            except ObjectNotFoundError:
                continue  # removed since it was listed
            except IntegrityError as error:
                problems.append(error)
        return sorted(whole, key=lambda named: named.name), problems

    def list(self, prefix: str = "") -> list[NamedBlob]:
        """Everything whose name begins so, sorted by name.

        Raises:
            IntegrityError: a record is damaged.
        """
        return sorted(self._all(prefix), key=lambda named: named.name)

    def _all(self, prefix: str) -> Iterator[NamedBlob]:
        for key in self._keys():
            try:
                named = self._read(key)
            except ObjectNotFoundError:
                continue  # removed since it was listed
            if named.name.startswith(prefix):
                yield named

    def _keys(self) -> Iterator[str]:
        return (info.key for _, info in digests_under(self._backend, NAMES))

    def _read(self, key: str) -> NamedBlob:
        try:
            return parse_name(read_all(self._backend, key))
        except IntegrityError as error:
            raise IntegrityError(
                f"{key} of the store: {error}. `cairn store rm` takes the name away if you know it,"
                " else remove that file; the bytes can be found by their SHA-256"
            ) from None


def _nothing(name: str) -> EntryNotFoundError:
    return EntryNotFoundError(
        f"nothing in the store is called {name[:200]!r}: `cairn store ls` lists what is there"
    )


def name_key(name: str) -> str:
    """Where a name's record lies: a name may have any characters, a key only few."""
    digest = hashlib.sha256(name.encode(errors="replace")).hexdigest()
    return f"{NAMES}{digest[:2]}/{digest}"


def encode_name(named: NamedBlob) -> bytes:
    """The record's bytes.

    Raises:
        NamingError: the metadata is not JSON, or too large.
    """
    name = named.name.encode()
    try:
        metadata = json.dumps(dict(named.metadata), allow_nan=False, sort_keys=True).encode()
        _parse_metadata(metadata)  # what is written can be read
    except (TypeError, ValueError) as error:
        raise NamingError(f"the metadata of {named.name[:80]!r} is not JSON: {error}") from None
    if len(metadata) > MAX_METADATA_BYTES:
        raise NamingError(f"the metadata of {named.name[:80]!r} has {len(metadata)} bytes")
    head = _HEAD.pack(
        _MAGIC, VERSION, len(name), named.blob.digest.raw, named.blob.size_bytes,
        named.added_us, len(metadata), 0,
    )  # fmt: skip
    body = head + name + metadata
    return body + blake3(body).digest()


def parse_name(data: bytes) -> NamedBlob:
    """A record from its bytes.

    Raises:
        IntegrityError: damaged, or of a newer version.
    """
    body = len(data) - _CHECK_BYTES
    if body < _HEAD.size:
        raise IntegrityError("the record of a name is cut short")
    magic, version, length, raw, size, added_us, extra, zero = _HEAD.unpack_from(data)
    if magic != _MAGIC or version != VERSION or zero:
        raise IntegrityError(f"it does not start as the record of a name of version {VERSION}")
    if body != _HEAD.size + length + extra:
        raise IntegrityError(f"the record of a name has {len(data)} bytes: it was cut or extended")
    if blake3(memoryview(data)[:body]).digest() != data[body:]:
        raise IntegrityError("the record of a name does not match its checksum")
    at = _HEAD.size + length
    try:
        name = data[_HEAD.size : at].decode()
        blob = Blob(Digest.sha256(raw.hex()), size)
        return NamedBlob(name, blob, added_us, _parse_metadata(data[at:body]))
    except (ValueError, NamingError) as error:
        raise IntegrityError(f"the record of a name holds something else: {error}") from None


def _parse_metadata(text: bytes) -> dict[str, Any]:
    """What was said about a blob; strictly, because family files bring records of strangers.

    Raises:
        ValueError: it is no JSON object, or one that could not be written again.
    """
    try:
        metadata = parse_json(text, "the record of a name", what="the metadata")
    except MalformedError as error:
        raise ValueError(str(error)) from None
    if not isinstance(metadata, dict):
        raise ValueError("the metadata is not an object")
    json.dumps(metadata, allow_nan=False)  # 1e999 is JSON, and infinite here
    return metadata
