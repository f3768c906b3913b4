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
from cairn.errors import EntryNotFoundError, IntegrityError, NamingError
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
MAX_RECORD_BYTES = _HEAD.size + MAX_NAME_BYTES + MAX_METADATA_BYTES + _CHECK_BYTES


@dataclass(frozen=True, slots=True)
class NamedBlob:
    """A blob under a name, since when, and what was said about it: JSON values.

    Raises:
        NamingError: the name is empty, too long or not printable.
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
            return parse_name(read_all(self._backend, name_key(name)))
        except ObjectNotFoundError:
            raise EntryNotFoundError(f"nothing in the store is called {name[:200]!r}") from None

    def remove(self, name: str) -> None:
        """Take a name away; the blob stays until a gc finds that nothing else wants it.

        Raises:
            EntryNotFoundError: nothing has it.
        """
        if not self._backend.delete(name_key(name)):
            raise EntryNotFoundError(f"nothing in the store is called {name[:200]!r}")

    def list(self, prefix: str = "") -> list[NamedBlob]:
        """Everything whose name begins so, sorted by name.

        Raises:
            IntegrityError: a record is damaged.
        """
        return sorted(self._all(prefix), key=lambda named: named.name)

    def _all(self, prefix: str) -> Iterator[NamedBlob]:
        for _, info in digests_under(self._backend, NAMES):
            try:
                named = parse_name(read_all(self._backend, info.key))
            except ObjectNotFoundError:
                continue  # removed since it was listed
            if named.name.startswith(prefix):
                yield named


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
        name, metadata = data[_HEAD.size : at].decode(), json.loads(data[at:body])
        if not isinstance(metadata, dict):
            raise IntegrityError(f"the metadata of {name!r} is not an object")
        return NamedBlob(name, Blob(Digest.sha256(raw.hex()), size), added_us, metadata)
    except (ValueError, RecursionError, NamingError) as error:
        raise IntegrityError(f"the record of a name holds something else: {error}") from None
